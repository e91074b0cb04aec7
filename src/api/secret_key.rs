//! The keys of the Secret's data. The room `secret` writes them, and its tests compare them with
//! this list.

use super::{AwsConfigSpec, DssClient, Format};

/// A key of the Secret's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretKey {
    /// The format that the key belongs to.
    pub format: Format,
    /// The name of the key.
    pub name: &'static str,
    /// The value of the key, as Markdown for the user.
    pub holds: &'static str,
    /// The condition under which the Secret holds the key.
    pub present: Present,
}

/// The condition under which the Secret holds a key whose format is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// The key is always present.
    Always,
    /// The key is present for a session, and while the credential is withdrawn. A key of provider
    /// `default` has no such value.
    Session,
    /// The key is present if this field of spec is set.
    IfSet(Field),
    /// The key is present if the spec requests an API key of DSS.
    WithApiKey,
    /// The key is present if the `DssInstance` has a `caBundle`.
    WithCaBundle,
    /// The key is present once DataRobot has the credential of `push.dataRobot`.
    OnceInDataRobot,
    /// The key is present if the spec asks for the person's own API token of DataRobot.
    WithDataRobotToken,
    /// The key is present for each profile of spec.
    ForEachProfile,
}

/// A field of spec that has keys of its own in the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `region`.
    Region,
    /// `defaultBucket`.
    DefaultBucket,
    /// `extraBuckets`.
    ExtraBuckets,
    /// `dss`.
    Dss,
    /// `dss.project`.
    DssProject,
}

impl Field {
    /// The path of the field in spec.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::DefaultBucket => "defaultBucket",
            Self::ExtraBuckets => "extraBuckets",
            Self::Dss => "dss",
            Self::DssProject => "dss.project",
        }
    }

    fn is_set(self, spec: &AwsConfigSpec) -> bool {
        match self {
            Self::Region => spec.region.is_some(),
            Self::DefaultBucket => spec.default_bucket.is_some(),
            Self::ExtraBuckets => !spec.extra_buckets.is_empty(),
            Self::Dss => spec.dss.is_some(),
            Self::DssProject => spec.dss.as_ref().is_some_and(|dss| dss.project.is_some()),
        }
    }
}

impl SecretKey {
    /// Whether the Secret of an `AwsConfig` with this spec may hold this key. The spec does not
    /// determine everything: the credential and the `DssInstance` decide as well.
    #[must_use]
    pub fn may_be_for(&self, spec: &AwsConfigSpec) -> bool {
        let data_robot = || spec.push.as_ref().and_then(|push| push.data_robot.as_ref());
        let present = match self.present {
            Present::IfSet(field) => field.is_set(spec),
            Present::WithApiKey => spec.dss.as_ref().is_some_and(DssClient::wants_key),
            Present::WithCaBundle => spec.dss.is_some(),
            Present::OnceInDataRobot => data_robot().is_some(),
            Present::WithDataRobotToken => data_robot().is_some_and(|it| it.deliver_token),
            Present::ForEachProfile => !spec.profiles.is_empty(),
            Present::Always | Present::Session => true,
        };
        present && spec.has_format(self.format)
    }
}

const fn env(name: &'static str, holds: &'static str, present: Present) -> SecretKey {
    SecretKey { format: Format::Env, name, holds, present }
}

const fn file(name: &'static str, holds: &'static str) -> SecretKey {
    dss_file(name, holds, Present::Always)
}

const fn dss_file(name: &'static str, holds: &'static str, present: Present) -> SecretKey {
    SecretKey { format: Format::Files, name, holds, present }
}

/// The keys of the profiles, with `NAME` in the place of the profile's name ([`profile_key`]).
pub const PROFILE_KEY: SecretKey = dss_file(
    "credential-process-NAME.json",
    "the session of profile NAME, in the form of `credential-process.json`",
    Present::ForEachProfile,
);

/// The regular expression (RE2) of all keys of profiles. The policy for the operator's token allows
/// these keys beside [`SECRET_KEYS`].
pub const PROFILE_KEY_PATTERN: &str = "^credential-process-[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?[.]json$";

/// The key that holds the session of the profile of this name.
#[must_use]
pub fn profile_key(name: &str) -> String {
    PROFILE_KEY.name.replace("NAME", name)
}

/// Every key but those of the profiles, in the order of the documentation.
pub const SECRET_KEYS: [SecretKey; 22] = [
    env("AWS_ACCESS_KEY_ID", "the access key ID", Present::Always),
    env("AWS_SECRET_ACCESS_KEY", "the secret access key", Present::Always),
    env("AWS_SESSION_TOKEN", "the session token", Present::Session),
    env("AWS_CREDENTIAL_EXPIRATION", "the time at which the session expires, RFC 3339", Present::Session),
    env("AWS_REGION", "the region", Present::IfSet(Field::Region)),
    env("AWS_DEFAULT_REGION", "the same region, for tools that read this name", Present::IfSet(Field::Region)),
    env("AWS_DEFAULT_BUCKET", "the bucket", Present::IfSet(Field::DefaultBucket)),
    env("AWS_EXTRA_BUCKETS", "the further buckets, separated by commas", Present::IfSet(Field::ExtraBuckets)),
    env("DKU_DSS_URL", "the URL of DSS", Present::IfSet(Field::Dss)),
    env("DKU_API_KEY", "the API key of DSS", Present::WithApiKey),
    env("DKU_CURRENT_PROJECT_KEY", "the DSS project", Present::IfSet(Field::DssProject)),
    env(
        "DATAROBOT_CREDENTIAL_ID",
        "the ID of the credential that keyturn keeps in DataRobot",
        Present::OnceInDataRobot,
    ),
    env("DATAROBOT_ENDPOINT", "the URL of DataRobot's API", Present::WithDataRobotToken),
    env("DATAROBOT_API_TOKEN", "the person's own API token of DataRobot", Present::WithDataRobotToken),
    file(
        "config",
        "the shared config file, profile `default`: the region if it is set, and a `credential_process` that \
         prints `credential-process.json`; the same for each profile of `spec.profiles`",
    ),
    file("credentials", "the shared credentials file, profile `default` and each of `spec.profiles`"),
    file(
        "credential-process.json",
        "the credential as `credential_process` prints it, version 1; with `Expiration` for a session",
    ),
    dss_file(
        "dataiku-config.json",
        "settings of DSS's Python client, in the form of `~/.dataiku/config.json`: URL and API key of the \
         instance `default`",
        Present::WithApiKey,
    ),
    dss_file(
        "drconfig.yaml",
        "settings of DataRobot's Python client, in the form of `~/.config/datarobot/drconfig.yaml`: URL and API token",
        Present::WithDataRobotToken,
    ),
    dss_file("dss-ca.crt", "the certificate authorities of DSS, PEM", Present::WithCaBundle),
    SecretKey {
        format: Format::Dataiku,
        name: "aws-credential.json",
        holds: "the dict of `get_aws_credential()`: `accessKey`, `secretKey`, and `sessionToken` for a session",
        present: Present::Always,
    },
    SecretKey {
        format: Format::DataRobot,
        name: "datarobot-credential.json",
        holds: "credential data of DataRobot: `credentialType` `s3`, `awsAccessKeyId`, `awsSecretAccessKey`, and \
             `awsSessionToken` for a session",
        present: Present::Always,
    },
];
