//! The keys of the Secret in each format, for a live session and for a withdrawn one.

use super::{
    dataiku::{self, DssRendering},
    ini::{self, Profile},
};
use crate::{
    api::{Format, Reason, names::MOUNT_PATH},
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
    let expiration = expires_at.map(|at| at.to_string());
    let values = Values {
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        session_token: credentials.session_token.as_ref().map(SecretString::expose_secret),
        expiration: expiration.as_deref(),
        api_key: api_key.map(SecretString::expose_secret),
    };
    let process = ProcessCredentials {
        version: 1,
        access_key_id: values.access_key_id.to_owned(),
        secret_access_key: values.secret_access_key.to_owned(),
        session_token: values.session_token.map(str::to_owned),
        expiration: expiration.clone(),
    };
    let process = serde_json::to_vec_pretty(&process).unwrap_or_default();
    assemble(rendering, &values, &process, &format!("cat {MOUNT_PATH}/credential-process.json"))
}

/// The same keys without any value of a session.
///
/// With a withdrawn Secret, SDKs must fail and not fall back to the role of the node. The values
/// begin with [`WITHDRAWN`], and AWS refuses them. botocore reads `AWS_CREDENTIAL_EXPIRATION`
/// before it sends anything and quotes a text that is no time, therefore the reason stands there.
/// Other SDKs do not need the expiry. The reason also stands in the access key ID, which S3 repeats
/// in its answer; an access key ID has at least 16 characters of `\w` (IAM, `AccessKey`).
///
/// `credential_process` fails and prints `reason`. A pod that read `config` earlier still runs the
/// old command, whose output must not be a credential either. Without an access key, SDKs report a
/// broken process provider, and run the command again at the next call. The reason stands in the
/// version, because botocore quotes this field alone ("Unsupported version '…' for credential
/// process").
///
/// # Errors
/// A value that an AWS configuration file cannot hold. Nothing is rendered then.
pub fn render_withdrawn(rendering: &Rendering, reason: Reason) -> Result<Content, Unrenderable> {
    let access_key_id = format!("{WITHDRAWN}_by_keyturn_{reason}");
    let said = format!("{WITHDRAWN} by keyturn: {reason}");
    let values = Values {
        access_key_id: &access_key_id,
        secret_access_key: WITHDRAWN,
        session_token: Some(WITHDRAWN),
        expiration: Some(&said),
        api_key: rendering.dss.as_ref().is_some_and(|dss| dss.with_key).then_some(WITHDRAWN),
    };
    let process = serde_json::json!({"Version": said});
    let process = serde_json::to_vec_pretty(&process).unwrap_or_default();
    assemble(rendering, &values, &process, &format!("sh -c 'echo {said} >&2; exit 1'"))
}

struct Values<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: Option<&'a str>,
    expiration: Option<&'a str>,
    api_key: Option<&'a str>,
}

fn assemble(
    rendering: &Rendering,
    values: &Values<'_>,
    process: &[u8],
    command: &str,
) -> Result<Content, Unrenderable> {
    let mut data = BTreeMap::new();
    for format in &rendering.formats {
        match format {
            Format::Env => {
                let buckets = (!rendering.extra_buckets.is_empty()).then(|| rendering.extra_buckets.join(","));
                let variables = [
                    ("AWS_ACCESS_KEY_ID", Some(values.access_key_id)),
                    ("AWS_SECRET_ACCESS_KEY", Some(values.secret_access_key)),
                    ("AWS_SESSION_TOKEN", values.session_token),
                    ("AWS_CREDENTIAL_EXPIRATION", values.expiration),
                    ("AWS_REGION", rendering.region.as_deref()),
                    ("AWS_DEFAULT_REGION", rendering.region.as_deref()),
                    ("AWS_DEFAULT_BUCKET", rendering.default_bucket.as_deref()),
                    ("AWS_EXTRA_BUCKETS", buckets.as_deref()),
                ];
                let of_dss = rendering.dss.iter().flat_map(|dss| dss.variables(values.api_key));
                for (name, value) in variables.into_iter().chain(of_dss) {
                    if let Some(value) = value {
                        data.insert(name.to_owned(), value.as_bytes().to_vec());
                    }
                }
            }
            Format::Files => {
                let mut config: Profile<'_> = vec![("credential_process", command)];
                if let Some(region) = rendering.region.as_deref() {
                    config.insert(0, ("region", region));
                }
                let mut keys = vec![
                    ("aws_access_key_id", values.access_key_id),
                    ("aws_secret_access_key", values.secret_access_key),
                ];
                keys.extend(values.session_token.map(|token| ("aws_session_token", token)));
                data.insert("config".to_owned(), ini::default_profile(&config)?);
                data.insert("credentials".to_owned(), ini::default_profile(&keys)?);
                data.insert("credential-process.json".to_owned(), process.to_vec());
                data.extend(rendering.dss.iter().flat_map(|dss| dss.files(values.api_key)));
            }
            Format::Dataiku => {
                let Values { access_key_id, secret_access_key, session_token, .. } = *values;
                let dict = dataiku::aws_credential(access_key_id, secret_access_key, session_token);
                data.insert(dataiku::AWS_CREDENTIAL.to_owned(), dict);
            }
        }
    }
    Ok(Content(data))
}

/// The live session that `data` holds, read from any format that is there.
#[must_use]
pub fn credentials_in(data: &BTreeMap<String, Vec<u8>>) -> Option<Credentials> {
    let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(value).ok());
    let found = match text("credential-process.json") {
        Some(json) => {
            let process: ProcessCredentials = serde_json::from_str(json).ok()?;
            (process.access_key_id, process.secret_access_key, process.session_token)
        }
        None if data.contains_key("AWS_ACCESS_KEY_ID") => (
            text("AWS_ACCESS_KEY_ID")?.to_owned(),
            text("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            text("AWS_SESSION_TOKEN").map(str::to_owned),
        ),
        None => dataiku::read_aws_credential(text(dataiku::AWS_CREDENTIAL)?)?,
    };
    let (access_key_id, secret_access_key, session_token) = found;
    (!access_key_id.starts_with(WITHDRAWN)).then(|| Credentials {
        access_key_id,
        secret_access_key: SecretString::from(secret_access_key),
        session_token: session_token.map(SecretString::from),
    })
}

#[cfg(test)]
mod tests;
