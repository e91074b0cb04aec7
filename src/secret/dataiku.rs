//! Content for code that was written for Dataiku DSS: the variables and the file that configure its
//! client, and the dict of `get_aws_credential()`.

use super::WITHDRAWN;
use crate::digest::Digest;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const AWS_CREDENTIAL: &str = "aws-credential.json";
const CLIENT_CONFIG: &str = "dataiku-config.json";
const API_KEY: &str = "DKU_API_KEY";

/// The DSS that the pod's code talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DssRendering {
    /// The URL of DSS, without a trailing slash, because Dataiku's client adds one.
    pub url: String,
    /// `DKU_CURRENT_PROJECT_KEY`.
    pub project: Option<String>,
    /// `no_check_certificate` of Dataiku's client, which reads no variable for this setting.
    pub no_check_certificate: bool,
    /// `dss-ca.crt`.
    pub ca_bundle: Option<String>,
    /// Whether the spec requests an API key.
    pub with_key: bool,
}

/// `~/.dataiku/config.json` ("Using the APIs outside of DSS" in Dataiku's developer guide).
#[derive(Serialize, Deserialize)]
struct ClientConfig {
    dss_instances: BTreeMap<String, Instance>,
    default_instance: String,
}

#[derive(Serialize, Deserialize)]
struct Instance {
    url: String,
    api_key: String,
    no_check_certificate: bool,
}

/// The dict that `get_aws_credential()` of Dataiku's client returns.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AwsCredential {
    access_key: String,
    secret_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<String>,
}

impl DssRendering {
    pub(super) fn add_to(&self, digest: &mut Digest) {
        digest.part("dss");
        digest.part(&self.url);
        for part in [&self.project, &self.ca_bundle] {
            digest.part(part.as_deref().unwrap_or_default());
        }
        digest.part([u8::from(self.no_check_certificate), u8::from(self.with_key)]);
    }

    pub(super) fn variables<'a>(&'a self, api_key: Option<&'a str>) -> [(&'static str, Option<&'a str>); 3] {
        [("DKU_DSS_URL", Some(&self.url)), (API_KEY, api_key), ("DKU_CURRENT_PROJECT_KEY", self.project.as_deref())]
    }

    pub(super) fn files(&self, api_key: Option<&str>) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        if let Some(api_key) = api_key {
            let instance = Instance {
                url: self.url.clone(),
                api_key: api_key.to_owned(),
                no_check_certificate: self.no_check_certificate,
            };
            let default = "default".to_owned();
            let config =
                ClientConfig { dss_instances: [(default.clone(), instance)].into(), default_instance: default };
            files.insert(CLIENT_CONFIG.to_owned(), serde_json::to_vec_pretty(&config).unwrap_or_default());
        }
        if let Some(pem) = &self.ca_bundle {
            files.insert("dss-ca.crt".to_owned(), pem.clone().into_bytes());
        }
        files
    }
}

pub(super) fn aws_credential(access_key: &str, secret_key: &str, session_token: Option<&str>) -> Vec<u8> {
    let credential = AwsCredential {
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
        session_token: session_token.map(str::to_owned),
    };
    serde_json::to_vec_pretty(&credential).unwrap_or_default()
}

/// The access key ID, the secret and the token of such a dict.
pub(super) fn read_aws_credential(json: &str) -> Option<(String, String, Option<String>)> {
    let AwsCredential { access_key, secret_key, session_token } = serde_json::from_str(json).ok()?;
    Some((access_key, secret_key, session_token))
}

/// The API key of DSS that `data` holds, read from any format that is there.
#[must_use]
pub fn api_key_in(data: &BTreeMap<String, Vec<u8>>) -> Option<SecretString> {
    let found = match data.get(CLIENT_CONFIG) {
        Some(json) => {
            let mut config: ClientConfig = serde_json::from_slice(json).ok()?;
            config.dss_instances.remove(&config.default_instance)?.api_key
        }
        None => String::from_utf8(data.get(API_KEY)?.clone()).ok()?,
    };
    (found != WITHDRAWN).then(|| found.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Field, Format, Present, Reason, SECRET_KEYS, SecretKey},
        credentials::Credentials,
        secret::{Content, Rendering, credentials_in, render, render_withdrawn},
    };
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn rendering(formats: &[Format]) -> Rendering {
        Rendering {
            formats: formats.to_vec(),
            region: None,
            default_bucket: None,
            extra_buckets: vec![],
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            dss: Some(DssRendering {
                url: "https://dss.example.com".into(),
                project: Some("FRAUD".into()),
                no_check_certificate: false,
                ca_bundle: Some("-----BEGIN".into()),
                with_key: true,
            }),
            data_robot: None,
        }
    }

    fn rendered(rendering: &Rendering, api_key: Option<&str>) -> Content {
        let session = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: Some("token".into()),
        };
        render(rendering, &session, None, api_key.map(Into::into).as_ref()).unwrap()
    }

    fn json(content: &Content, key: &str) -> Value {
        serde_json::from_slice(&content.0[key]).unwrap()
    }

    const ALL: [Format; 3] = [Format::Env, Format::Files, Format::Dataiku];

    #[test]
    fn the_client_finds_url_key_and_project() {
        let content = rendered(&rendering(&ALL), Some("the-key"));
        assert_eq!(
            json(&content, "dataiku-config.json"),
            json!({"dss_instances": {"default": {"url": "https://dss.example.com", "api_key": "the-key", "no_check_certificate": false}},
                "default_instance": "default"})
        );
        let text = |key: &str| String::from_utf8(content.0[key].clone()).unwrap();
        assert_eq!(
            (text("DKU_DSS_URL").as_str(), text("DKU_API_KEY").as_str()),
            ("https://dss.example.com", "the-key")
        );
        assert_eq!((text("DKU_CURRENT_PROJECT_KEY").as_str(), text("dss-ca.crt").as_str()), ("FRAUD", "-----BEGIN"));
        assert_eq!(
            json(&content, "aws-credential.json"),
            json!({"accessKey": "ASIAEXAMPLE", "secretKey": "secret", "sessionToken": "token"})
        );
    }

    #[test]
    fn the_rendered_keys_are_the_documented_keys() {
        let keys = |content: Content| content.0.into_keys().collect::<BTreeSet<String>>();
        let of_dss = |present: Present| {
            !matches!(present, Present::IfSet(Field::Region | Field::DefaultBucket | Field::ExtraBuckets))
        };
        // `secret/data_robot.rs` tests the others.
        let of_dss = |key: &&SecretKey| {
            let of_data_robot = matches!(key.present, Present::OnceInDataRobot | Present::WithDataRobotToken);
            of_dss(key.present) && !of_data_robot && key.format != Format::DataRobot
        };
        let with_key = SECRET_KEYS.iter().filter(of_dss).map(|key| key.name.to_owned());
        let mut with_key: BTreeSet<String> = with_key.collect();
        // This credential does not expire.
        with_key.remove("AWS_CREDENTIAL_EXPIRATION");
        assert_eq!(keys(rendered(&rendering(&ALL), Some("the-key"))), with_key);
        let without = |key: &&String| !["DKU_API_KEY", "dataiku-config.json"].contains(&key.as_str());
        let without_key: BTreeSet<String> = with_key.iter().filter(without).cloned().collect();
        assert_eq!(keys(rendered(&rendering(&ALL), None)), without_key, "no key, no file that would name one");
    }

    #[test]
    fn a_withdrawn_secret_keeps_every_name_and_no_key() {
        let withdrawn = render_withdrawn(&rendering(&ALL), Reason::NotGranted).unwrap();
        let live = rendered(&rendering(&ALL), Some("the-key"));
        assert!(live.0.keys().all(|key| withdrawn.0.contains_key(key)));
        assert_eq!(json(&withdrawn, "dataiku-config.json")["dss_instances"]["default"]["api_key"], WITHDRAWN);
        assert_eq!(json(&withdrawn, "aws-credential.json")["secretKey"], WITHDRAWN);
        assert!(api_key_in(&withdrawn.0).is_none() && credentials_in(&withdrawn.0).is_none());
    }

    #[test]
    fn key_and_credential_are_found_in_any_format() {
        for format in ALL {
            let content = rendered(&rendering(&[format]), Some("the-key"));
            assert_eq!(credentials_in(&content.0).unwrap().secret_access_key.expose_secret(), "secret", "{format:?}");
            let key = api_key_in(&content.0).map(|key| key.expose_secret().to_owned());
            assert_eq!(key.as_deref(), (format != Format::Dataiku).then_some("the-key"), "{format:?}");
        }
    }

    #[test]
    fn every_part_counts_in_the_digest() {
        let digest = |change: fn(&mut DssRendering)| {
            let mut rendering = rendering(&ALL);
            rendering.dss.iter_mut().for_each(change);
            rendering.digest()
        };
        let digests: BTreeSet<String> = [
            digest(|_| {}),
            digest(|dss| dss.url.push('x')),
            digest(|dss| dss.project = None),
            digest(|dss| dss.ca_bundle = None),
            digest(|dss| dss.with_key = false),
            digest(|dss| dss.no_check_certificate = true),
            Rendering { dss: None, ..rendering(&ALL) }.digest(),
        ]
        .into();
        assert_eq!(digests.len(), 7);
    }
}
