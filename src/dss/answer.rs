//! What DSS answers, as far as keyturn reads it. Whatever else an answer holds is skipped unread.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceInfo {
    pub(super) dss_version: Option<String>,
}

/// A user, as an admin sees one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The login.
    pub login: String,
    /// Whether the user may log in at all.
    #[serde(default = "yes", deserialize_with = "yes_unless_said")]
    pub enabled: bool,
    /// What administrators noted about the user, which the user cannot edit; `None` where an answer leaves it out.
    /// What is no text is left out.
    #[serde(default, deserialize_with = "texts")]
    pub admin_properties: Option<BTreeMap<String, String>>,
}

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthInfo {
    /// The login of a user, or the ID of a global key.
    pub auth_identifier: Option<String>,
    /// The login of the user on whose behalf it acts.
    #[serde(rename = "associatedDSSUser", alias = "associatedDSSUSer")]
    associated_dss_user: Option<String>,
    /// `PERSONAL_API_KEY` and others.
    auth_source: Option<String>,
}

impl AuthInfo {
    /// The login that it stands for. A global key that is nobody's stands for none.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        let personal = self.auth_source.as_deref().is_none_or(|source| source == "PERSONAL_API_KEY");
        self.associated_dss_user.as_deref().or_else(|| self.auth_identifier.as_deref().filter(|_| personal))
    }
}

/// A personal API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PersonalKey {
    /// Names the key; not a secret.
    pub id: String,
    /// The login of its owner; empty if DSS does not say.
    #[serde(default, deserialize_with = "or_empty")]
    pub user: String,
    /// What its creator called it; empty if DSS does not say.
    #[serde(default, deserialize_with = "or_empty")]
    pub label: String,
}

/// A personal API key that has just been created.
#[derive(Clone, Debug, Deserialize)]
pub struct CreatedKey {
    /// Names the key; not a secret.
    pub id: String,
    /// The key itself.
    pub key: SecretString,
}

/// A connection with what it resolves to for whoever asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The type of the connection; `EC2` is S3.
    #[serde(rename = "type")]
    pub type_: String,
    /// The AWS credential that it resolves to, if it is one that has any.
    #[serde(rename = "resolvedAWSCredential")]
    pub aws_credential: Option<AwsCredential>,
}

/// What the Python client's `get_aws_credential()` returns.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredential {
    /// Names the credential; not a secret.
    pub access_key: String,
    /// Signs requests.
    pub secret_key: SecretString,
    /// Accompanies requests; a static key has none.
    pub session_token: Option<SecretString>,
    /// When the session ends, where DSS tells it: RFC 3339, or milliseconds since 1970 as DSS writes its other times.
    /// No release is known to tell it.
    #[serde(default, deserialize_with = "time")]
    pub expiration: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

/// One entry that leaves something open must not make a whole listing unreadable.
fn yes_unless_said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(yes))
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let values = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?;
    let text = |(name, value): (String, serde_json::Value)| value.as_str().map(|text| (name, text.to_owned()));
    Ok(values.map(|values| values.into_iter().filter_map(text).collect()))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(serde_json::Value::Number(number)) => number.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_user_is_read_whatever_else_dss_says_of_them() {
        let user: User = from_value(json!({
            "login": "alice", "enabled": true, "groups": ["g"], "secrets": [{"name": "n", "value": "v"}],
            "adminProperties": {"associatedRole": "analyst", "count": 3}, "userProperties": {"associatedRole": "root"},
        }))
        .unwrap();
        assert_eq!(user.admin_properties.unwrap(), [("associatedRole".to_owned(), "analyst".to_owned())].into());
        let bare: User = from_value(json!({"login": "bob"})).unwrap();
        assert!(bare.enabled && bare.admin_properties.is_none(), "absent is not the same as none");
    }

    #[test]
    fn a_key_stands_for_its_user_and_a_global_one_for_nobody() {
        let login = |value| from_value::<AuthInfo>(value).unwrap().login().map(str::to_owned);
        let personal =
            json!({"authSource": "PERSONAL_API_KEY", "authIdentifier": "alice", "associatedDSSUser": "alice"});
        assert_eq!(login(personal).as_deref(), Some("alice"));
        assert_eq!(login(json!({"authIdentifier": "alice"})).as_deref(), Some("alice"), "an old release");
        assert_eq!(login(json!({"authSource": "API_KEY", "authIdentifier": "key-1"})), None);
        let proxied = json!({"authSource": "API_KEY", "authIdentifier": "key-1", "associatedDSSUser": "bob"});
        assert_eq!(login(proxied).as_deref(), Some("bob"));
    }

    #[test]
    fn an_expiration_is_read_in_either_form_and_its_absence_is_none() {
        let read = |expiration| {
            let value = json!({"accessKey": "A", "secretKey": "s", "sessionToken": "t", "expiration": expiration});
            from_value::<AwsCredential>(value).unwrap().expiration.map(|at| at.to_string())
        };
        let at = Some("2026-01-01T00:00:00Z".to_owned());
        assert_eq!((read(json!("2026-01-01T00:00:00Z")), read(json!(1_767_225_600_000_i64))), (at.clone(), at));
        assert_eq!((read(json!(null)), read(json!({}))), (None, None));
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let created: CreatedKey = from_value(json!({"id": "1", "key": "the-key"})).unwrap();
        let value = json!({"type": "EC2", "resolvedAWSCredential": {"accessKey": "A", "secretKey": "the-key"}});
        let connection: Connection = from_value(value).unwrap();
        let shown = format!("{created:?} {connection:?}");
        assert!(!shown.contains("the-key"), "{shown}");
    }
}
