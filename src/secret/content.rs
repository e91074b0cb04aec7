//! The keys of the Secret in each format, for a live session and for a withdrawn one.

use super::ini::{self, Profile};
use crate::{
    api::{Format, Reason, names::MOUNT_PATH},
    credentials::Credentials,
    digest::Digest,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What every value of a session reads once it has been withdrawn.
pub const WITHDRAWN: &str = "WITHDRAWN";

/// The data of a Secret: key to bytes. Its `Debug` shows the keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub BTreeMap<String, Vec<u8>>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What only the rendering needs: a change of it costs no STS call.
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
}

/// A value that cannot stand in the file that it is meant for. Names the key, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {key} holds a character that the AWS configuration files cannot hold")]
pub struct Unrenderable {
    /// Which value.
    pub key: &'static str,
}

impl Rendering {
    /// A digest of all of it, stored on the Secret.
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
        digest.short()
    }
}

/// What `credential_process` prints: version 1 of the AWS SDKs' contract ("Process credential provider" in the AWS
/// SDKs and Tools Reference Guide).
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

/// The keys for a live credential that expires at `expires_at`, or not at all.
///
/// # Errors
/// If a value cannot stand in an AWS configuration file; nothing is rendered then.
pub fn render(
    rendering: &Rendering,
    credentials: &Credentials,
    expires_at: Option<Timestamp>,
) -> Result<Content, Unrenderable> {
    let expiration = expires_at.map(|at| at.to_string());
    let values = Values {
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        session_token: credentials.session_token.as_ref().map(SecretString::expose_secret),
        expiration: expiration.as_deref(),
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

/// The same keys without any value of a session. SDKs must fail with it rather than fall back to the node's role: the
/// variables read [`WITHDRAWN`], which AWS refuses, and `credential_process` fails and prints `reason`. A pod that
/// read its `config` before keeps running the old command, so what that prints must be no credential either: without
/// an access key, SDKs report a broken process provider and ask again at the next call.
///
/// # Errors
/// If a value cannot stand in an AWS configuration file; nothing is rendered then.
pub fn render_withdrawn(rendering: &Rendering, reason: Reason) -> Result<Content, Unrenderable> {
    let values = Values {
        access_key_id: WITHDRAWN,
        secret_access_key: WITHDRAWN,
        session_token: Some(WITHDRAWN),
        expiration: Some(WITHDRAWN),
    };
    let process = serde_json::json!({"Version": 1, "Error": format!("{WITHDRAWN} by keyturn: {reason}")});
    let process = serde_json::to_vec_pretty(&process).unwrap_or_default();
    assemble(rendering, &values, &process, &format!("sh -c 'echo {WITHDRAWN} by keyturn: {reason} >&2; exit 1'"))
}

struct Values<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: Option<&'a str>,
    expiration: Option<&'a str>,
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
                for (name, value) in variables {
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
            }
        }
    }
    Ok(Content(data))
}

/// The live session that `data` holds, from whichever format is there.
#[must_use]
pub fn credentials_in(data: &BTreeMap<String, Vec<u8>>) -> Option<Credentials> {
    let text = |key: &str| data.get(key).and_then(|value| std::str::from_utf8(value).ok());
    let found = match text("credential-process.json") {
        Some(json) => {
            let process: ProcessCredentials = serde_json::from_str(json).ok()?;
            (process.access_key_id, process.secret_access_key, process.session_token)
        }
        None => (
            text("AWS_ACCESS_KEY_ID")?.to_owned(),
            text("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            text("AWS_SESSION_TOKEN").map(str::to_owned),
        ),
    };
    let (access_key_id, secret_access_key, session_token) = found;
    (access_key_id != WITHDRAWN).then(|| Credentials {
        access_key_id,
        secret_access_key: SecretString::from(secret_access_key),
        session_token: session_token.map(SecretString::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Present, SECRET_KEYS};
    use std::collections::BTreeSet;

    fn rendering() -> Rendering {
        Rendering {
            formats: Format::DEFAULT.to_vec(),
            region: Some("eu-west-1".into()),
            default_bucket: Some("team-a".into()),
            extra_buckets: vec!["shared".into(), "more".into()],
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    fn session() -> Credentials {
        Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "key/with+slash".into(),
            session_token: Some("token+/==".into()),
        }
    }

    fn expiry() -> Option<Timestamp> {
        "2026-01-01T01:00:00Z".parse().ok()
    }

    fn text(content: &Content, key: &str) -> String {
        String::from_utf8(content.0[key].clone()).unwrap()
    }

    #[test]
    fn a_live_session_stands_in_every_format() {
        let content = render(&rendering(), &session(), expiry()).unwrap();
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "key/with+slash"),
            ("AWS_SESSION_TOKEN", "token+/=="),
            ("AWS_CREDENTIAL_EXPIRATION", "2026-01-01T01:00:00Z"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_DEFAULT_BUCKET", "team-a"),
            ("AWS_EXTRA_BUCKETS", "shared,more"),
        ] {
            assert_eq!(text(&content, name), value, "{name}");
        }
        assert_eq!(
            text(&content, "config"),
            "[default]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/keyturn/credential-process.json\n"
        );
        assert_eq!(
            text(&content, "credentials"),
            "[default]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = key/with+slash\naws_session_token = token+/==\n"
        );
        let process: serde_json::Value = serde_json::from_slice(&content.0["credential-process.json"]).unwrap();
        assert_eq!(
            process,
            serde_json::json!({"Version": 1, "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "key/with+slash",
                "SessionToken": "token+/==", "Expiration": "2026-01-01T01:00:00Z"})
        );
    }

    #[test]
    fn a_withdrawn_secret_keeps_every_key_and_no_value_of_the_session() {
        let live = render(&rendering(), &session(), expiry()).unwrap();
        let withdrawn = render_withdrawn(&rendering(), Reason::NotGranted).unwrap();
        assert!(live.0.keys().eq(withdrawn.0.keys()));
        for (key, value) in &withdrawn.0 {
            let value = String::from_utf8(value.clone()).unwrap();
            assert!(!value.contains("ASIAEXAMPLE") && !value.contains("slash") && !value.contains("token+"), "{key}");
        }
        assert_eq!(text(&withdrawn, "AWS_SECRET_ACCESS_KEY"), "WITHDRAWN");
        assert!(text(&withdrawn, "config").contains("NotGranted"));
        assert_eq!(text(&withdrawn, "AWS_REGION"), "eu-west-1");
        assert!(credentials_in(&withdrawn.0).is_none());
    }

    #[test]
    fn a_session_is_found_again_in_whichever_format_there_is() {
        for formats in [vec![Format::Env], vec![Format::Files], Format::DEFAULT.to_vec()] {
            let content = render(&Rendering { formats, ..rendering() }, &session(), expiry()).unwrap();
            let found = credentials_in(&content.0).unwrap();
            assert_eq!(found.access_key_id, "ASIAEXAMPLE");
            assert_eq!(found.session_token.unwrap().expose_secret(), "token+/==");
            assert_eq!(found.secret_access_key.expose_secret(), "key/with+slash");
        }
    }

    #[test]
    fn a_key_has_neither_token_nor_expiry_in_any_format() {
        let key = Credentials { session_token: None, ..session() };
        let content = render(&rendering(), &key, None).unwrap();
        for name in ["AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"] {
            assert!(!content.0.contains_key(name), "{name}");
        }
        assert!(!text(&content, "credentials").contains("token"));
        let process: serde_json::Value = serde_json::from_slice(&content.0["credential-process.json"]).unwrap();
        let keys: Vec<&String> = process.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["AccessKeyId", "SecretAccessKey", "Version"]);
        assert!(credentials_in(&content.0).unwrap().session_token.is_none());
        let withdrawn = render_withdrawn(&rendering(), Reason::NotGranted).unwrap();
        assert!(content.0.keys().all(|key| withdrawn.0.contains_key(key)), "every key stays");
    }

    #[test]
    fn the_keys_are_those_that_are_documented() {
        let bare = Rendering { region: None, default_bucket: None, extra_buckets: vec![], ..rendering() };
        let key = Credentials { session_token: None, ..session() };
        let rendered = |formats: &[Format], of: &Rendering, credentials: &Credentials, expires_at| {
            let content =
                render(&Rendering { formats: formats.to_vec(), ..of.clone() }, credentials, expires_at).unwrap();
            content.0.into_keys().collect::<BTreeSet<String>>()
        };
        let documented = |formats: &[Format], present: fn(Present) -> bool| {
            let keys = SECRET_KEYS.iter().filter(|key| formats.contains(&key.format) && present(key.present));
            keys.map(|key| key.name.to_owned()).collect::<BTreeSet<String>>()
        };
        for formats in [&[Format::Env][..], &[Format::Files], &Format::DEFAULT] {
            assert_eq!(rendered(formats, &rendering(), &session(), expiry()), documented(formats, |_| true));
            let without_fields = documented(formats, |present| !matches!(present, Present::IfSet(_)));
            assert_eq!(rendered(formats, &bare, &session(), expiry()), without_fields);
            assert_eq!(rendered(formats, &bare, &key, None), documented(formats, |present| present == Present::Always));
        }
    }

    #[test]
    fn what_was_not_asked_for_has_no_key() {
        let bare = Rendering {
            formats: vec![Format::Env],
            region: None,
            default_bucket: None,
            extra_buckets: vec![],
            ..rendering()
        };
        let content = render(&bare, &session(), expiry()).unwrap();
        let keys: Vec<&str> = content.0.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
        );
    }

    #[test]
    fn every_part_of_a_rendering_counts_in_its_digest() {
        let some = |text: &str| BTreeMap::from([(text.to_owned(), text.to_owned())]);
        let others = [
            Rendering { formats: vec![Format::Env], ..rendering() },
            Rendering { region: None, ..rendering() },
            Rendering { default_bucket: None, ..rendering() },
            Rendering { extra_buckets: vec!["shared".into()], ..rendering() },
            Rendering { labels: some("a"), ..rendering() },
            Rendering { annotations: some("a"), ..rendering() },
        ];
        let digests: std::collections::BTreeSet<String> =
            others.iter().chain([&rendering()]).map(Rendering::digest).collect();
        assert_eq!(digests.len(), others.len() + 1);
    }

    #[test]
    fn debug_output_shows_keys_only() {
        let shown = format!("{:?}", render(&rendering(), &session(), expiry()).unwrap());
        assert!(shown.contains("AWS_SESSION_TOKEN") && !shown.contains("token+"), "{shown}");
    }
}
