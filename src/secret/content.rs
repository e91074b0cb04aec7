//! The keys of the Secret in each format, for a live session and for a withdrawn one.

use super::{
    ProfilePart, ProfileRecord,
    data_robot::{self, DataRobotRendering},
    dataiku::{self, DssRendering},
    ini::{self, Profile},
};
use crate::{
    api::{Format, Reason, names::MOUNT_PATH, profile_key},
    credentials::Credentials,
    digest::Digest,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The beginning of every value of a session after its withdrawal.
pub const WITHDRAWN: &str = "WITHDRAWN";

/// The least length of a word that may be secret. Access keys, tokens and API keys are longer.
const WORD: usize = 16;

/// The data of a Secret: key to bytes. Its `Debug` output shows the keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub BTreeMap<String, Vec<u8>>);

impl Content {
    /// The texts of the data that may be secret, for an error that may quote them: the words of at
    /// least 16 characters, and each value as the API server encodes it.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let ends_a_word = |c: char| c.is_whitespace() || "\"',=:{}[]".contains(c);
        let words = self.0.values().filter_map(|value| std::str::from_utf8(value).ok());
        let words = words.flat_map(|text| text.split(ends_a_word)).map(str::to_owned);
        let encoded = self.0.values().map(|value| BASE64_STANDARD.encode(value));
        words.chain(encoded).filter(|text| text.len() >= WORD).collect()
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The settings that only the rendering needs. A change of them costs no call to STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The formats, each once.
    pub formats: Vec<Format>,
    /// `AWS_REGION` and the profile's region.
    pub region: Option<String>,
    /// `AWS_DEFAULT_BUCKET`.
    pub default_bucket: Option<String>,
    /// `AWS_EXTRA_BUCKETS`.
    pub extra_buckets: Vec<String>,
    /// Labels that the user wants on the Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the user wants on the Secret.
    pub annotations: BTreeMap<String, String>,
    /// The DSS that the pod's code talks to.
    pub dss: Option<DssRendering>,
    /// The DataRobot in which keyturn keeps the credential.
    pub data_robot: Option<DataRobotRendering>,
}

/// A value that the format of its file cannot hold. The error names the key, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {key} holds a character that the AWS configuration files cannot hold")]
pub struct Unrenderable {
    /// The key whose value is refused.
    pub key: &'static str,
}

impl Rendering {
    /// A digest of all settings, stored on the Secret.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        let mut part = |text: &str| digest.part(text);
        part("v1");
        part(&format!("{:?}", self.formats));
        part(self.region.as_deref().unwrap_or_default());
        part(self.default_bucket.as_deref().unwrap_or_default());
        part(&self.extra_buckets.join(","));
        for map in [&self.labels, &self.annotations] {
            part(&map.len().to_string());
            for (key, value) in map {
                part(key);
                part(value);
            }
        }
        // Settings without DSS add no part. The digest is then equal to the digest of releases that
        // did not know DSS.
        if let Some(dss) = &self.dss {
            dss.add_to(&mut digest);
        }
        if let Some(data_robot) = &self.data_robot {
            data_robot.add_to(&mut digest);
        }
        digest.short()
    }
}

/// The output of `credential_process`: version 1 of the AWS SDKs' contract ("Process credential
/// provider" in the AWS SDKs and Tools Reference Guide).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessCredentials {
    version: u8,
    access_key_id: String,
    secret_access_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
}

/// The credential of the config itself, for the Secret.
#[derive(Clone, Copy, Debug)]
pub enum Main<'a> {
    /// A live credential.
    Live {
        /// The credential.
        credentials: &'a Credentials,
        /// Its expiry; `None` for a credential that does not expire.
        expires_at: Option<Timestamp>,
        /// The API key of DSS beside it, if there is one.
        api_key: Option<&'a SecretString>,
        /// The person's own API token of DataRobot, if the Secret is to hold it.
        data_robot_token: Option<&'a SecretString>,
    },
    /// None, for this reason. With a withdrawn Secret, SDKs must fail and not fall back to the role
    /// of the node. The values begin with [`WITHDRAWN`], and AWS refuses them. botocore reads
    /// `AWS_CREDENTIAL_EXPIRATION` before it sends anything and quotes a text that is no time,
    /// therefore the reason stands there. Other SDKs do not need the expiry. The reason also stands
    /// in the access key ID, which S3 repeats in its answer; an access key ID has at least 16
    /// characters of `\w` (IAM, `AccessKey`).
    ///
    /// `credential_process` fails and prints the reason. A pod that read `config` earlier still
    /// runs the old command, whose output must not be a credential either. Without an access key,
    /// SDKs report a broken process provider, and run the command again at the next call. The
    /// reason stands in the version, because botocore quotes this field alone ("Unsupported version
    /// '…' for credential process").
    Withdrawn(Reason),
}

/// The keys for a live credential, and for the API key of DSS if there is one. `expires_at` is
/// `None` for a credential that does not expire.
///
/// # Errors
/// A value that an AWS configuration file cannot hold. Nothing is rendered then.
pub fn render(
    rendering: &Rendering,
    credentials: &Credentials,
    expires_at: Option<Timestamp>,
    api_key: Option<&SecretString>,
) -> Result<Content, Unrenderable> {
    render_all(rendering, Main::Live { credentials, expires_at, api_key, data_robot_token: None }, &[])
}

/// The same keys without any value of a session ([`Main::Withdrawn`]).
///
/// # Errors
/// A value that an AWS configuration file cannot hold. Nothing is rendered then.
pub fn render_withdrawn(rendering: &Rendering, reason: Reason) -> Result<Content, Unrenderable> {
    render_all(rendering, Main::Withdrawn(reason), &[])
}

/// The keys for the credential of the config, and for its profiles. A profile without session is
/// withdrawn for the reason in its record, in the same way.
///
/// # Errors
/// A value that an AWS configuration file cannot hold. Nothing is rendered then.
pub fn render_all(rendering: &Rendering, main: Main<'_>, profiles: &[ProfilePart]) -> Result<Content, Unrenderable> {
    let api_key = match main {
        Main::Live { api_key, .. } => api_key.map(SecretString::expose_secret),
        Main::Withdrawn(_) => rendering.dss.as_ref().is_some_and(|dss| dss.with_key).then_some(WITHDRAWN),
    };
    let data_robot_token = match main {
        Main::Live { data_robot_token, .. } => data_robot_token.map(SecretString::expose_secret),
        Main::Withdrawn(_) => None,
    };
    let is_withdrawn = matches!(main, Main::Withdrawn(_));
    let of_data_robot = rendering.data_robot.as_ref();
    let data_robot_token = of_data_robot.and_then(|it| it.token_of(data_robot_token, is_withdrawn));
    let values = match main {
        Main::Live { credentials, expires_at, .. } => Values::live(credentials, expires_at, PROCESS),
        Main::Withdrawn(reason) => Values::withdrawn(reason),
    };
    let beside = profiles.iter().map(|part| (part.record.name.as_str(), Values::of_profile(part)));
    assemble(rendering, &values, Tokens { api_key, data_robot: data_robot_token }, &beside.collect::<Vec<_>>())
}

/// The key with the output of `credential_process` for the profile `default`.
const PROCESS: &str = "credential-process.json";

/// The values of one session, or those in its place after its withdrawal.
struct Values {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
    /// The output of `credential_process`.
    process: Vec<u8>,
    /// The command that prints it.
    command: String,
}

impl Values {
    fn live(credentials: &Credentials, expires_at: Option<Timestamp>, key: &str) -> Self {
        let process = ProcessCredentials {
            version: 1,
            access_key_id: credentials.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.expose_secret().to_owned(),
            session_token: credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
            expiration: expires_at.map(|at| at.to_string()),
        };
        Self {
            process: serde_json::to_vec_pretty(&process).unwrap_or_default(),
            command: format!("cat {MOUNT_PATH}/{key}"),
            access_key_id: process.access_key_id,
            secret_access_key: process.secret_access_key,
            session_token: process.session_token,
            expiration: process.expiration,
        }
    }

    fn withdrawn(reason: Reason) -> Self {
        let said = format!("{WITHDRAWN} by keyturn: {reason}");
        Self {
            access_key_id: format!("{WITHDRAWN}_by_keyturn_{reason}"),
            secret_access_key: WITHDRAWN.to_owned(),
            session_token: Some(WITHDRAWN.to_owned()),
            process: serde_json::to_vec_pretty(&serde_json::json!({"Version": said})).unwrap_or_default(),
            command: format!("sh -c 'echo {said} >&2; exit 1'"),
            expiration: Some(said),
        }
    }

    fn of_profile(part: &ProfilePart) -> Self {
        let ProfileRecord { name, expires_at, withdrawn, .. } = &part.record;
        match (&part.credentials, withdrawn) {
            (Some(credentials), None) => Self::live(credentials, *expires_at, &profile_key(name)),
            (_, reason) => {
                let reason = reason.as_deref().and_then(Reason::named);
                Self::withdrawn(reason.unwrap_or(Reason::Pending))
            }
        }
    }

    /// The lines of the profile in the file `config`.
    fn config<'a>(&'a self, region: Option<&'a str>) -> Profile<'a> {
        let region = region.map(|region| ("region", region));
        region.into_iter().chain([("credential_process", self.command.as_str())]).collect()
    }

    /// The lines of the profile in the file `credentials`.
    fn keys(&self) -> Profile<'_> {
        let keys = [
            ("aws_access_key_id", self.access_key_id.as_str()),
            ("aws_secret_access_key", self.secret_access_key.as_str()),
        ];
        keys.into_iter().chain(self.session_token.as_deref().map(|token| ("aws_session_token", token))).collect()
    }
}

/// The tokens in the Secret for other systems than AWS.
#[derive(Clone, Copy)]
struct Tokens<'a> {
    api_key: Option<&'a str>,
    data_robot: Option<&'a str>,
}

fn assemble(
    rendering: &Rendering,
    values: &Values,
    tokens: Tokens<'_>,
    profiles: &[(&str, Values)],
) -> Result<Content, Unrenderable> {
    let mut data = BTreeMap::new();
    for format in &rendering.formats {
        match format {
            Format::Env => {
                let buckets = (!rendering.extra_buckets.is_empty()).then(|| rendering.extra_buckets.join(","));
                let variables = [
                    ("AWS_ACCESS_KEY_ID", Some(values.access_key_id.as_str())),
                    ("AWS_SECRET_ACCESS_KEY", Some(values.secret_access_key.as_str())),
                    ("AWS_SESSION_TOKEN", values.session_token.as_deref()),
                    ("AWS_CREDENTIAL_EXPIRATION", values.expiration.as_deref()),
                    ("AWS_REGION", rendering.region.as_deref()),
                    ("AWS_DEFAULT_REGION", rendering.region.as_deref()),
                    ("AWS_DEFAULT_BUCKET", rendering.default_bucket.as_deref()),
                    ("AWS_EXTRA_BUCKETS", buckets.as_deref()),
                ];
                let of_dss = rendering.dss.iter().flat_map(|dss| dss.variables(tokens.api_key));
                let of_data_robot = rendering.data_robot.iter().flat_map(|it| it.variables(tokens.data_robot));
                for (name, value) in variables.into_iter().chain(of_dss).chain(of_data_robot) {
                    if let Some(value) = value {
                        data.insert(name.to_owned(), value.as_bytes().to_vec());
                    }
                }
            }
            Format::Files => {
                let region = rendering.region.as_deref();
                let mut config = vec![("default".to_owned(), values.config(region))];
                config.extend(profiles.iter().map(|(name, values)| (format!("profile {name}"), values.config(region))));
                let mut keys = vec![("default".to_owned(), values.keys())];
                keys.extend(profiles.iter().map(|(name, values)| ((*name).to_owned(), values.keys())));
                data.insert("config".to_owned(), ini::file(&config)?);
                data.insert("credentials".to_owned(), ini::file(&keys)?);
                data.insert(PROCESS.to_owned(), values.process.clone());
                data.extend(profiles.iter().map(|(name, values)| (profile_key(name), values.process.clone())));
                data.extend(rendering.dss.iter().flat_map(|dss| dss.files(tokens.api_key)));
                data.extend(rendering.data_robot.iter().flat_map(|it| it.files(tokens.data_robot)));
            }
            Format::Dataiku => {
                let Values { access_key_id, secret_access_key, session_token, .. } = values;
                let dict = dataiku::aws_credential(access_key_id, secret_access_key, session_token.as_deref());
                data.insert(dataiku::AWS_CREDENTIAL.to_owned(), dict);
            }
            Format::DataRobot => {
                let Values { access_key_id, secret_access_key, session_token, .. } = values;
                let dict = data_robot::credential_data(access_key_id, secret_access_key, session_token.as_deref());
                data.insert(data_robot::CREDENTIAL_DATA.to_owned(), dict);
            }
        }
    }
    Ok(Content(data))
}

/// The live session in the output of `credential_process`; `None` if it is withdrawn or unreadable.
pub(super) fn process_credentials(json: &[u8]) -> Option<Credentials> {
    let process: ProcessCredentials = serde_json::from_slice(json).ok()?;
    live(process.access_key_id, process.secret_access_key, process.session_token)
}

fn live(access_key_id: String, secret_access_key: String, session_token: Option<String>) -> Option<Credentials> {
    (!access_key_id.starts_with(WITHDRAWN)).then(|| Credentials {
        access_key_id,
        secret_access_key: SecretString::from(secret_access_key),
        session_token: session_token.map(SecretString::from),
    })
}

/// The live session that `data` holds, read from any format that is there.
#[must_use]
pub fn credentials_in(data: &BTreeMap<String, Vec<u8>>) -> Option<Credentials> {
    if let Some(json) = data.get(PROCESS) {
        return process_credentials(json);
    }
    let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(value).ok());
    let (access_key_id, secret_access_key, session_token) = if data.contains_key("AWS_ACCESS_KEY_ID") {
        (
            text("AWS_ACCESS_KEY_ID")?.to_owned(),
            text("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            text("AWS_SESSION_TOKEN").map(str::to_owned),
        )
    } else {
        match text(dataiku::AWS_CREDENTIAL) {
            Some(json) => dataiku::read_aws_credential(json)?,
            None => data_robot::read_credential_data(text(data_robot::CREDENTIAL_DATA)?)?,
        }
    };
    live(access_key_id, secret_access_key, session_token)
}

#[cfg(test)]
mod tests;
