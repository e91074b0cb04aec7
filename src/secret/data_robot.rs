//! Content for DataRobot's clients: the ID of the credential that keyturn keeps there, the settings
//! of a client with the person's own token, and credential data for use inline.

use super::WITHDRAWN;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const CREDENTIAL_DATA: &str = "datarobot-credential.json";
const CLIENT_CONFIG: &str = "drconfig.yaml";

/// The DataRobot in which keyturn keeps the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRobotRendering {
    /// The URL of the API.
    pub endpoint: String,
    /// `DATAROBOT_CREDENTIAL_ID`; `None` before DataRobot has the credential.
    pub credential_id: Option<String>,
    /// The version of the Secret with the person's own token, if the Secret is to hold the token.
    pub token_version: Option<String>,
}

/// Credential data of type `s3` (`CredentialDataSchema` of DataRobot's public API).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialData {
    credential_type: String,
    aws_access_key_id: String,
    aws_secret_access_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_session_token: Option<String>,
}

impl DataRobotRendering {
    pub(super) fn add_to(&self, digest: &mut Digest) {
        digest.part("datarobot");
        digest.part(self.credential_id.as_deref().unwrap_or_default());
        if let Some(version) = &self.token_version {
            digest.part(&self.endpoint);
            digest.part(version);
        }
    }

    /// The token in the Secret: the one that was read, or a text that says that it is withdrawn.
    pub(super) fn token_of<'a>(&self, token: Option<&'a str>, is_withdrawn: bool) -> Option<&'a str> {
        let wanted = self.token_version.is_some();
        if is_withdrawn { wanted.then_some(WITHDRAWN) } else { token.filter(|_| wanted) }
    }

    /// Token and endpoint stand side by side, because DataRobot's client takes both from one
    /// source.
    pub(super) fn variables<'a>(&'a self, token: Option<&'a str>) -> [(&'static str, Option<&'a str>); 3] {
        [
            ("DATAROBOT_CREDENTIAL_ID", self.credential_id.as_deref()),
            ("DATAROBOT_ENDPOINT", token.map(|_| self.endpoint.as_str())),
            ("DATAROBOT_API_TOKEN", token),
        ]
    }

    pub(super) fn files(&self, token: Option<&str>) -> BTreeMap<String, Vec<u8>> {
        let Some(token) = token else { return BTreeMap::new() };
        // Each string of JSON is one of YAML, too.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let config = format!("endpoint: {}\ntoken: {}\n", quoted(&self.endpoint), quoted(token));
        [(CLIENT_CONFIG.to_owned(), config.into_bytes())].into()
    }
}

pub(super) fn credential_data(access_key: &str, secret_key: &str, session_token: Option<&str>) -> Vec<u8> {
    let data = CredentialData {
        credential_type: "s3".to_owned(),
        aws_access_key_id: access_key.to_owned(),
        aws_secret_access_key: secret_key.to_owned(),
        aws_session_token: session_token.map(str::to_owned),
    };
    serde_json::to_vec_pretty(&data).unwrap_or_default()
}

/// The access key ID, the secret and the token of such data.
pub(super) fn read_credential_data(json: &str) -> Option<(String, String, Option<String>)> {
    let CredentialData { aws_access_key_id, aws_secret_access_key, aws_session_token, .. } =
        serde_json::from_str(json).ok()?;
    Some((aws_access_key_id, aws_secret_access_key, aws_session_token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{AwsConfig, Format, Present, Reason, SECRET_KEYS},
        credentials::Credentials,
        secret::{Content, Main, Rendering, credentials_in, render_all},
    };
    use secrecy::{ExposeSecret as _, SecretString};
    use serde_json::{Value, from_value, json};

    fn rendering(formats: &[Format], id: Option<&str>, token_version: Option<&str>) -> Rendering {
        let config = AwsConfig::new("c", from_value(json!({"person": "alice"})).unwrap());
        let data_robot = DataRobotRendering {
            endpoint: "https://robot.test/api/v2".to_owned(),
            credential_id: id.map(str::to_owned),
            token_version: token_version.map(str::to_owned),
        };
        Rendering { formats: formats.to_vec(), data_robot: Some(data_robot), ..Rendering::of(&config, None) }
    }

    fn session() -> Credentials {
        Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: Some("token".into()),
        }
    }

    fn rendered(rendering: &Rendering, token: Option<&str>) -> Content {
        let (credentials, token) = (session(), token.map(SecretString::from));
        let main =
            Main::Live { credentials: &credentials, expires_at: None, api_key: None, data_robot_token: token.as_ref() };
        render_all(rendering, main, &[]).unwrap()
    }

    fn text<'a>(content: &'a Content, key: &str) -> Option<&'a str> {
        content.0.get(key).map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn the_settings_of_a_client_need_the_token_and_the_id_does_not() {
        let both = [Format::Env, Format::Files];
        let of = |id, version, token| rendered(&rendering(&both, id, version), token);
        let settings = ["DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN", CLIENT_CONFIG];
        for (row, content, has_id, has_settings) in [
            ("before the first push", of(None, None, None), false, false),
            ("the instance's token", of(Some("1f"), None, None), true, false),
            ("a token that is not asked for", of(Some("1f"), None, Some("mine")), true, false),
            ("a Secret without the token", of(Some("1f"), Some("7"), None), true, false),
            ("the person's own token", of(Some("1f"), Some("7"), Some("mine")), true, true),
        ] {
            assert_eq!(content.0.contains_key("DATAROBOT_CREDENTIAL_ID"), has_id, "{row}");
            let held = settings.map(|key| content.0.contains_key(key));
            assert_eq!(held, [has_settings; 3], "{row}");
        }
        let content = of(Some("1f"), Some("7"), Some("mi\"ne"));
        let config = "endpoint: \"https://robot.test/api/v2\"\ntoken: \"mi\\\"ne\"\n";
        assert_eq!(text(&content, CLIENT_CONFIG), Some(config));
    }

    #[test]
    fn a_withdrawn_secret_holds_neither_the_token_nor_a_session() {
        let rendering = rendering(&[Format::Env, Format::Files, Format::DataRobot], Some("1f"), Some("7"));
        let content = render_all(&rendering, Main::Withdrawn(Reason::Suspended), &[]).unwrap();
        assert_eq!(text(&content, "DATAROBOT_API_TOKEN"), Some(WITHDRAWN));
        assert_eq!(text(&content, "DATAROBOT_CREDENTIAL_ID"), Some("1f"), "the entry is there");
        assert!(text(&content, CREDENTIAL_DATA).unwrap().contains(WITHDRAWN));
        assert!(credentials_in(&content.0).is_none());
    }

    #[test]
    fn the_rendered_keys_are_the_documented_keys() {
        let all = [Format::Env, Format::Files, Format::DataRobot];
        let content = rendered(&rendering(&all, Some("1f"), Some("7")), Some("mine"));
        let of_data_robot = SECRET_KEYS.iter().filter(|key| {
            let present = matches!(key.present, Present::OnceInDataRobot | Present::WithDataRobotToken);
            present || key.format == Format::DataRobot
        });
        let missing: Vec<&str> =
            of_data_robot.map(|key| key.name).filter(|name| !content.0.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let known = |name: &String| SECRET_KEYS.iter().any(|key| key.name == name);
        assert!(content.0.keys().all(known), "{content:?}");
    }

    #[test]
    fn credential_data_alone_holds_the_session() {
        let content = rendered(&rendering(&[Format::DataRobot], None, None), None);
        let data: Value = serde_json::from_str(text(&content, CREDENTIAL_DATA).unwrap()).unwrap();
        let wanted = json!({
            "credentialType": "s3", "awsAccessKeyId": "ASIAEXAMPLE", "awsSecretAccessKey": "secret",
            "awsSessionToken": "token",
        });
        assert_eq!((data, content.0.len()), (wanted, 1));
        let read = credentials_in(&content.0).unwrap();
        assert_eq!(read.secret_access_key.expose_secret(), "secret");
    }
}
