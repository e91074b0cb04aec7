//! Names that other programs and people may rely on. Changing one is a breaking change.

/// The API group of all custom resources.
pub const GROUP: &str = "keyturn.dev";
/// The version of the custom resources that this release serves.
pub const VERSION: &str = "v1alpha1";

/// The field manager of every server-side apply, and the value of [`MANAGED_BY`].
pub const MANAGER: &str = "keyturn";

/// A label or an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The full name, with its prefix.
    pub name: &'static str,
    /// The meaning of the name and the objects that carry it, as Markdown for the user.
    pub meaning: &'static str,
}

/// Defines the constants and the list of all of them. The list gives the doc comments to
/// docs/reference.md.
macro_rules! names {
    ($list:ident: $list_doc:literal $($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $text;)+

        #[doc = $list_doc]
        pub const $list: &[Name] = &[$(Name { name: $text, meaning: concat!($($doc),+) }),+];
    };
}

names! { LABELS: "The labels, in the order of the documentation."
    /// On the Secret and on AwsRoles that keyturn wrote: `keyturn`.
    MANAGED_BY = "app.kubernetes.io/managed-by";
    /// On the Secret and on AwsRoles that keyturn wrote: the name of the AwsConfig that they belong
    /// to. keyturn watches Secrets by this label, as metadata only.
    AWS_CONFIG_LABEL = "keyturn.dev/aws-config";
    /// On AwsRoles that keyturn wrote for `spec.role`: `Config`. AwsRoles that users wrote do not
    /// have it.
    CREATED_FROM = "keyturn.dev/created-from";
    /// On the Secret and on AwsRoles that keyturn wrote: `true`. Velero leaves objects with this
    /// label out of its backups, because keyturn writes them again.
    EXCLUDE_FROM_BACKUP = "velero.io/exclude-from-backup";
    /// On a Secret of a user: `true` is the owner's consent that users who may write AwsConfigs in
    /// the namespace may have the key in it delivered. keyturn watches such Secrets by this label,
    /// as metadata only, and reads them only while they carry it.
    SOURCE = "keyturn.dev/source";
}

/// The value of [`CREATED_FROM`] on an `AwsRole` that keyturn wrote for `spec.role`.
pub const CREATED_FROM_CONFIG: &str = "Config";
/// The value of [`SOURCE`] on a Secret that its owner offers.
pub const SOURCE_OFFERED: &str = "true";

names! { ANNOTATIONS: "The annotations of the Secret, in the order of the documentation."
    /// The subject of the credential: the person, or `system:<namespace>`.
    PERSON = "keyturn.dev/person";
    /// The ARN of the role whose session STS issued. Empty for a key and for a credential of a DSS
    /// connection.
    ROLE = "keyturn.dev/role";
    /// The access key ID of the credential. It is not a secret: it identifies the session in
    /// CloudTrail.
    ACCESS_KEY_ID = "keyturn.dev/access-key-id";
    /// The time at which the credential was issued, RFC 3339, whole seconds.
    ISSUED_AT = "keyturn.dev/issued-at";
    /// The time at which the session expires, RFC 3339, whole seconds: as STS or DSS reported it,
    /// or as assumed for a session of a DSS connection (sessionLifetime). Empty for a key, because
    /// a key does not expire.
    EXPIRES_AT = "keyturn.dev/expires-at";
    /// Digest of the request. If it differs from the current request, keyturn issues a new
    /// credential.
    ISSUE_DIGEST = "keyturn.dev/issue-digest";
    /// Digest of the settings that only the rendering needs. If it differs from the current
    /// settings, keyturn writes the Secret again without calling STS.
    RENDER_DIGEST = "keyturn.dev/render-digest";
    /// The data keys that belong to keyturn, separated by commas. keyturn does not change any other
    /// data key.
    KEYS = "keyturn.dev/keys";
    /// Digest of these data keys and of the other annotations in this table. If it differs,
    /// somebody edited what belongs to keyturn.
    CONTENT_DIGEST = "keyturn.dev/content-digest";
    /// The API key of DSS in the Secret: the ID of a personal key, or the name and version of the
    /// Secret that it came from. Empty without an API key.
    DSS_KEY = "keyturn.dev/dss-key";
    /// Digest of the request for an API key (DssInstance, login, kind of key) and of the key. If it
    /// differs from the current request, keyturn obtains another API key without calling STS. Empty
    /// without an API key.
    DSS_DIGEST = "keyturn.dev/dss-digest";
    /// The reason while the credential is withdrawn, otherwise empty.
    WITHDRAWN = "keyturn.dev/withdrawn";
    /// The labels and annotations of `spec.target` that keyturn wrote, separated by commas. keyturn
    /// removes them when the AwsConfig no longer asks for them. Absent without any.
    METADATA = "keyturn.dev/metadata";
    /// The sessions of `spec.profiles`, as JSON: of each profile the name, the role, the access key
    /// ID, the times and the digest of the request, and the reason while it is withdrawn. Absent
    /// without profiles.
    PROFILES = "keyturn.dev/profiles";
}

names! { CONFIG_NAMES: "The annotations of an AwsConfig that users write, in the order of the documentation."
    /// Written by the person, or by a user of `ceilings.confirmers` of the chart: the time, RFC
    /// 3339, at which they confirmed that the AwsConfig is still needed. It matters only with
    /// `ceilings.maxAge`. A time that is in the future when it is written never counts.
    CONFIRMED = "keyturn.dev/confirmed";
    /// Written by anybody who may patch the AwsConfig: any text, such as the time. Each new text
    /// asks for a new session, without a moment without Secret. Only the first 64 characters count.
    RENEW = "keyturn.dev/renew";
}

names! { OPERATOR_NAMES: "The annotation of the operator's own `ConfigMap`."
    /// Written by a cluster admin on the ConfigMap `<fullname>-withdrawals` of keyturn's release:
    /// the present time, RFC 3339. With `withdrawalBrake`, keyturn then withdraws all credentials
    /// that it has held back since before that time. A time in the future does not count before it
    /// has come.
    WITHDRAWALS_CONFIRMED = "keyturn.dev/withdrawals-confirmed";
}

names! { LEASE_NAMES: "The label and annotations of the Lease of keyturn's leader, in the order of the documentation."
    /// Label, written by keyturn: the name of the shard whose leader holds the Lease. Empty without
    /// shards.
    SHARD = "keyturn.dev/shard";
    /// Written by keyturn: the namespaces that the shard serves, as a label selector. Empty: all.
    SHARD_NAMESPACES = "keyturn.dev/shard-namespaces";
    /// Written by keyturn: `true` if the shard writes what belongs to the whole cluster.
    SHARD_OWNS_CLUSTER = "keyturn.dev/shard-owns-cluster";
    /// Written by keyturn: `Looking` before the shard works, while it looks for another shard that
    /// serves the same namespaces. `Serving` when it works.
    SHARD_STANDING = "keyturn.dev/shard-standing";
}

/// The characters of [`RENEW`] that count.
pub const RENEW_CHARACTERS: usize = 64;

names! { POD_NAMES: "The annotations and labels of pods, in the order of the documentation."
    /// Annotation on a pod, written by the pod's author: the name of an AwsConfig of the same
    /// namespace. keyturn mounts the Secret of that AwsConfig into the pod.
    POD_AWS_CONFIG = "keyturn.dev/aws-config";
    /// Annotation on a pod, written by the pod's author: `files` or `endpoint`. It wins over
    /// `inject.delivery` of the AwsConfig.
    POD_DELIVERY = "keyturn.dev/delivery";
    /// Annotation on a pod, written by the pod's author: the port of the endpoint on 127.0.0.1,
    /// from 1024 to 65535, if 18197 is taken.
    POD_ENDPOINT_PORT = "keyturn.dev/endpoint-port";
    /// Annotation on a pod, written by the pod's author: the absolute path of the home folder of
    /// its containers, for `.aws/config` and `.dataiku/config.json`. It wins over `inject.home` of
    /// the AwsConfig. Empty: none.
    POD_HOME = "keyturn.dev/home";
    /// Annotation on a pod, written by the pod's author: names of containers, separated by commas.
    /// keyturn changes these containers only.
    POD_CONTAINERS = "keyturn.dev/containers";
    /// Annotation on a pod, written by the pod's author: names of containers, separated by commas.
    /// keyturn leaves these containers as they are, also if `keyturn.dev/containers` names them.
    POD_SKIP_CONTAINERS = "keyturn.dev/skip-containers";
    /// Annotation on a pod, written by keyturn: the name of the AwsConfig whose Secret keyturn
    /// mounted into it.
    POD_INJECTED = "keyturn.dev/injected";
    /// Annotation on a pod, written by keyturn: the name of the Secret that keyturn mounted into
    /// it.
    POD_SECRET = "keyturn.dev/injected-secret";
    /// Annotation on a pod, written by keyturn: the names, separated by commas, of the containers
    /// that ask for the Secret and cannot have it.
    POD_NOT_INJECTED = "keyturn.dev/not-injected";
    /// Label on a pod or on a namespace. `false`: keyturn does not change the pod or the pods of
    /// the namespace. `required`: the API server refuses the pod, or a pod of the namespace, that
    /// would start without the Secret that it asks for. The label of the pod wins.
    INJECT = "keyturn.dev/inject";
}

/// The value of [`INJECT`] that keeps keyturn from changing pods.
pub const INJECT_OFF: &str = "false";
/// The value of [`INJECT`] with which no pod starts without the Secret that it asks for.
pub const INJECT_REQUIRED: &str = "required";

/// The beginning of the finalizer on an `AwsConfig`; the name of a `DssInstance` follows. While the
/// finalizer is there, that DSS may hold personal API keys of the config.
pub const DSS_FINALIZER: &str = "keyturn.dev/dss.";
/// The finalizer on a `DssInstance` that may hold personal API keys that keyturn created.
pub const DSS_INSTANCE_FINALIZER: &str = "keyturn.dev/dss-keys";

/// The beginning of the finalizer on an `AwsConfig`; the name of a `DataRobotInstance` follows.
/// While the finalizer is there, that DataRobot may hold a credential of the config.
pub const DATA_ROBOT_FINALIZER: &str = "keyturn.dev/datarobot.";
/// The finalizer on a `DataRobotInstance` that may hold credentials that keyturn wrote.
pub const DATA_ROBOT_INSTANCE_FINALIZER: &str = "keyturn.dev/datarobot-credentials";

/// The path at which pods mount the Secret. The path is fixed because the `config` file names it:
/// SDKs run `credential_process` without a shell and without variables.
pub const MOUNT_PATH: &str = "/var/run/secrets/keyturn";

/// The path of the files that the endpoint in a pod shares with the pod's containers: the token,
/// and a profile that leads to no credential.
pub const ENDPOINT_PATH: &str = "/var/run/secrets/keyturn-endpoint";
/// The port of the endpoint in a pod, on 127.0.0.1, if the pod chooses no other. Linux gives ports
/// from 32,768 on to outgoing connections (`ip_local_port_range`), and this one to nobody.
pub const ENDPOINT_PORT: u16 = 18_197;

/// Whether the prefix of a label or annotation belongs to keyturn or Kubernetes.
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    ["keyturn.dev/", "kubernetes.io/"].iter().any(|prefix| key.starts_with(prefix))
}

/// The default name of the Secret of an `AwsConfig`: `<config>-aws`.
#[must_use]
pub fn default_target(config: &str) -> String {
    format!("{config}-aws")
}

/// The target of the log lines that say of each credential who has it and why.
pub const AUDIT_TARGET: &str = "keyturn::audit";
