//! The keys of the Secret's data. What is written is in the room `secret`, whose tests hold this list to it.

use super::Format;

/// A key of the Secret's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretKey {
    /// The format that it belongs to.
    pub format: Format,
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: &'static str,
    /// When it is there.
    pub present: Present,
}

/// When a key is in the Secret, if its format is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// Always.
    Always,
    /// For a session, and while the credential is withdrawn; a key of provider `default` has no such thing.
    Session,
    /// If this field of spec is set.
    IfSet(&'static str),
    /// If an API key of DSS is asked for.
    WithApiKey,
    /// If the `DssInstance` has a `caBundle`.
    WithCaBundle,
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

/// Every key, in the order in which they are documented.
pub const SECRET_KEYS: [SecretKey; 17] = [
    env("AWS_ACCESS_KEY_ID", "the access key ID", Present::Always),
    env("AWS_SECRET_ACCESS_KEY", "the secret access key", Present::Always),
    env("AWS_SESSION_TOKEN", "the session token", Present::Session),
    env("AWS_CREDENTIAL_EXPIRATION", "when the session expires, RFC 3339", Present::Session),
    env("AWS_REGION", "the region", Present::IfSet("region")),
    env("AWS_DEFAULT_REGION", "the same, for tools that read this name", Present::IfSet("region")),
    env("AWS_DEFAULT_BUCKET", "the bucket", Present::IfSet("defaultBucket")),
    env("AWS_EXTRA_BUCKETS", "the further buckets, comma separated", Present::IfSet("extraBuckets")),
    env("DKU_DSS_URL", "the URL of DSS", Present::IfSet("dss")),
    env("DKU_API_KEY", "the API key of DSS", Present::WithApiKey),
    env("DKU_CURRENT_PROJECT_KEY", "the DSS project", Present::IfSet("dss.project")),
    file(
        "config",
        "shared config file, profile `default`: the region if it is set, and a `credential_process` that prints \
         `credential-process.json`",
    ),
    file("credentials", "shared credentials file, profile `default`"),
    file(
        "credential-process.json",
        "the credential as `credential_process` prints it, version 1; with `Expiration` for a session",
    ),
    dss_file(
        "dataiku-config.json",
        "what DSS's Python client reads as `~/.dataiku/config.json`: URL and API key of the instance `default`",
        Present::WithApiKey,
    ),
    dss_file("dss-ca.crt", "the certificate authorities of DSS, PEM", Present::WithCaBundle),
    SecretKey {
        format: Format::Dataiku,
        name: "aws-credential.json",
        holds: "the dict of `get_aws_credential()`: `accessKey`, `secretKey`, and `sessionToken` for a session",
        present: Present::Always,
    },
];
