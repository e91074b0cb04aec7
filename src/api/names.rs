//! Names that other programs and people may rely on: changing one is a breaking change.

/// API group of all custom resources.
pub const GROUP: &str = "keyturn.dev";
/// The version of the custom resources that this release serves.
pub const VERSION: &str = "v1alpha1";

/// Field manager of every server-side apply, and the value of [`MANAGED_BY`].
pub const MANAGER: &str = "keyturn";

/// Label that says who manages an object; ours carry [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label on Secrets and `AwsRole`s: the name of the `AwsConfig` that they belong to.
/// Secrets are watched by this label, as metadata only.
pub const AWS_CONFIG_LABEL: &str = "keyturn.dev/aws-config";
/// Label on `AwsRole`s: `Config` when the operator created it from `spec.role`. A user's own has none.
pub const CREATED_FROM: &str = "keyturn.dev/created-from";
/// The value of [`CREATED_FROM`] on an `AwsRole` that the operator wrote from `spec.role`.
pub const CREATED_FROM_CONFIG: &str = "Config";

/// Label on a Secret of a user's: its owner's consent that whoever may write `AwsConfig`s in the namespace may have it
/// delivered. Such Secrets are watched by this label, as metadata only, and read only while they carry it.
pub const SOURCE: &str = "keyturn.dev/source";
/// The value of [`SOURCE`].
pub const SOURCE_OFFERED: &str = "true";

/// Annotation on the Secret: whom the credential is for, a person or `system:<namespace>`.
pub const PERSON: &str = "keyturn.dev/person";
/// Annotation on the Secret: the ARN of the role whose session it holds; empty for a key.
pub const ROLE: &str = "keyturn.dev/role";
/// Annotation on the Secret: the access key ID of the session. Not a secret: it names the session in CloudTrail.
pub const ACCESS_KEY_ID: &str = "keyturn.dev/access-key-id";
/// Annotation on the Secret: when the session was issued, RFC 3339, whole seconds.
pub const ISSUED_AT: &str = "keyturn.dev/issued-at";
/// Annotation on the Secret: when the session expires as STS said, RFC 3339, whole seconds; empty for a key,
/// which does not.
pub const EXPIRES_AT: &str = "keyturn.dev/expires-at";
/// Annotation on the Secret: digest of what STS was asked for. Another one means: issue.
pub const ISSUE_DIGEST: &str = "keyturn.dev/issue-digest";
/// Annotation on the Secret: digest of what only the rendering needs. Another one means: render, without STS.
pub const RENDER_DIGEST: &str = "keyturn.dev/render-digest";
/// Annotation on the Secret: digest of the keys that we wrote and of the annotations above.
/// Another one means that somebody edited what is ours.
pub const CONTENT_DIGEST: &str = "keyturn.dev/content-digest";
/// Annotation on the Secret: the data keys that we wrote, comma separated. Any other key is somebody else's and stays.
pub const KEYS: &str = "keyturn.dev/keys";
/// Annotation on the Secret: the reason while its credential is withdrawn, else empty.
pub const WITHDRAWN: &str = "keyturn.dev/withdrawn";

/// Where pods mount the Secret. Fixed, because the `config` file names it: SDKs run `credential_process`
/// with no shell and no variables.
pub const MOUNT_PATH: &str = "/var/run/secrets/keyturn";

/// The name of the Secret of an `AwsConfig` that names no target: `<config>-aws`.
#[must_use]
pub fn default_target(config: &str) -> String {
    format!("{config}-aws")
}
