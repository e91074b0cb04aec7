//! Names that other programs and people may rely on: changing one is a breaking change.

/// API group of all custom resources.
pub const GROUP: &str = "keyturn.dev";
/// The version of the custom resources that this release serves.
pub const VERSION: &str = "v1alpha1";

/// Field manager of every server-side apply, and the value of [`MANAGED_BY`].
pub const MANAGER: &str = "keyturn";

/// A label or an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The whole of its name.
    pub name: &'static str,
    /// What it says, and where it stands.
    pub meaning: &'static str,
}

/// Constants and the list of them all, which gives their doc comments to docs/reference.md.
macro_rules! names {
    ($list:ident: $list_doc:literal $($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $text;)+

        #[doc = $list_doc]
        pub const $list: &[Name] = &[$(Name { name: $text, meaning: concat!($($doc),+) }),+];
    };
}

names! { LABELS: "The labels, in the order in which they are documented."
    /// On the Secret and on AwsRoles that keyturn wrote: `keyturn`.
    MANAGED_BY = "app.kubernetes.io/managed-by";
    /// On the Secret and on AwsRoles that keyturn wrote: the name of the AwsConfig that they belong to. Secrets are
    /// watched by this label, as metadata only.
    AWS_CONFIG_LABEL = "keyturn.dev/aws-config";
    /// On AwsRoles that keyturn wrote for `spec.role`: `Config`. A user's own has none.
    CREATED_FROM = "keyturn.dev/created-from";
    /// On a Secret of a user's: `true` is its owner's consent that whoever may write AwsConfigs in the namespace may have
    /// the key in it delivered. Such Secrets are watched by this label, as metadata only, and read only while they carry
    /// it.
    SOURCE = "keyturn.dev/source";
}

/// The value of [`CREATED_FROM`] on an `AwsRole` that the operator wrote from `spec.role`.
pub const CREATED_FROM_CONFIG: &str = "Config";
/// The value of [`SOURCE`].
pub const SOURCE_OFFERED: &str = "true";

names! { ANNOTATIONS: "The annotations of the Secret, in the order in which they are documented."
    /// Whom the credential is for: the person, or `system:<namespace>`.
    PERSON = "keyturn.dev/person";
    /// The ARN of the role whose session it holds; empty for a key.
    ROLE = "keyturn.dev/role";
    /// The access key ID of the credential. Not a secret: it names the session in CloudTrail.
    ACCESS_KEY_ID = "keyturn.dev/access-key-id";
    /// When the credential was issued, RFC 3339, whole seconds.
    ISSUED_AT = "keyturn.dev/issued-at";
    /// When the session expires as STS said, RFC 3339, whole seconds; empty for a key, which does not.
    EXPIRES_AT = "keyturn.dev/expires-at";
    /// Digest of what was asked for. Another one means: issue.
    ISSUE_DIGEST = "keyturn.dev/issue-digest";
    /// Digest of what only the rendering needs. Another one means: write again, without STS.
    RENDER_DIGEST = "keyturn.dev/render-digest";
    /// The data keys that are keyturn's, comma separated. Any other key is somebody else's and stays.
    KEYS = "keyturn.dev/keys";
    /// Digest of those keys and of the other annotations here. Another one means that somebody edited what is keyturn's.
    CONTENT_DIGEST = "keyturn.dev/content-digest";
    /// Which API key of DSS it holds: the ID of a personal one, or the Secret that it came from and its version; empty
    /// without one.
    DSS_KEY = "keyturn.dev/dss-key";
    /// Digest of whose API key was asked for, and how. Another one means: another key, without STS. Empty without one.
    DSS_DIGEST = "keyturn.dev/dss-digest";
    /// The reason while the credential is withdrawn, else empty.
    WITHDRAWN = "keyturn.dev/withdrawn";
}

names! { POD_NAMES: "The annotations and labels of pods, in the order in which they are documented."
    /// Annotation on a pod, written by its author: the name of the AwsConfig of the same namespace whose Secret it gets
    /// mounted.
    POD_AWS_CONFIG = "keyturn.dev/aws-config";
    /// Annotation on a pod, written by keyturn: the name of the AwsConfig whose Secret was mounted into it.
    POD_INJECTED = "keyturn.dev/injected";
    /// Label on a pod or on a namespace: `false` keeps keyturn's hands off it.
    INJECT = "keyturn.dev/inject";
}

/// The value of [`INJECT`] that keeps keyturn's hands off.
pub const INJECT_OFF: &str = "false";

/// What the finalizer on an `AwsConfig` begins with; the name of a `DssInstance` follows. While it is there, there may be
/// personal API keys of that config in that DSS.
pub const DSS_FINALIZER: &str = "keyturn.dev/dss.";
/// The finalizer on a `DssInstance` in which there may be personal API keys that keyturn created.
pub const DSS_INSTANCE_FINALIZER: &str = "keyturn.dev/dss-keys";

/// Where pods mount the Secret. Fixed, because the `config` file names it: SDKs run `credential_process`
/// with no shell and no variables.
pub const MOUNT_PATH: &str = "/var/run/secrets/keyturn";

/// The name of the Secret of an `AwsConfig` that names no target: `<config>-aws`.
#[must_use]
pub fn default_target(config: &str) -> String {
    format!("{config}-aws")
}
