//! The parts of DSS's answers that keyturn reads. The rest of an answer is skipped.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, fmt};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceInfo {
    pub(super) dss_version: Option<String>,
}

/// A user, as DSS shows it to an admin. Debug output names the admin properties without their
/// values, which only administrators of DSS may see.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The login of the user.
    pub login: String,
    /// Whether the user may log in.
    #[serde(default = "yes", deserialize_with = "yes_unless_said")]
    pub enabled: bool,
    /// The properties that administrators set; the user cannot edit them. `None` if the answer has
    /// none. Values that are not text are left out.
    #[serde(default, deserialize_with = "texts")]
    pub admin_properties: Option<BTreeMap<String, String>>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = self.admin_properties.as_ref().map(|properties| properties.keys().collect::<Vec<_>>());
        let mut user = f.debug_struct("User");
        user.field("login", &self.login).field("enabled", &self.enabled).field("admin_properties", &properties).finish()
    }
}

/// The owner of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthInfo {
    /// The login of a user, or the ID of a global key.
    pub auth_identifier: Option<String>,
    /// The login of the user on whose behalf the key acts.
    #[serde(rename = "associatedDSSUser", alias = "associatedDSSUSer")]
    associated_dss_user: Option<String>,
    /// The kind of the key, such as `PERSONAL_API_KEY`.
    auth_source: Option<String>,
}

/// The kind of an API key, as DSS reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A personal API key of a user. It has exactly the rights of this user.
    Personal,
    /// Another kind. A global API key is one. It may act as a user and have other rights than this
    /// user.
    Other,
    /// DSS does not report the kind.
    Unsaid,
}

/// The value of `authSource` for a personal API key (sample answer of `get_auth_info()` in the
/// developer guide).
const PERSONAL: &str = "PERSONAL_API_KEY";

/// The longest value of `authSource` that a message quotes, in characters.
const QUOTED: usize = 40;

impl AuthInfo {
    /// The login that the key acts as. `None` for a global key without a user.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        let personal = self.auth_source.as_deref().is_none_or(|source| source == PERSONAL);
        self.associated_dss_user.as_deref().or_else(|| self.auth_identifier.as_deref().filter(|_| personal))
    }

    /// Whether the answer names a key or a user.
    pub(super) fn names_somebody(&self) -> bool {
        self.auth_identifier.is_some() || self.associated_dss_user.is_some()
    }

    /// The kind of the key. `authSource` decides. For a personal key, `authIdentifier` is the login
    /// of its user; for a global key, it is the ID of the key, also if the key acts as a user. An
    /// answer that contradicts this counts as another kind.
    ///
    /// `via` and `userForImpersonation` decide nothing, because no documentation says which values
    /// they have for which kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        let is_of_user = || self.auth_identifier.as_deref().is_none_or(|identifier| self.login() == Some(identifier));
        match self.auth_source.as_deref() {
            None => KeyKind::Unsaid,
            Some(PERSONAL) if is_of_user() => KeyKind::Personal,
            Some(_) => KeyKind::Other,
        }
    }

    /// The value of `authSource`, if it has the form of the known values: capital letters and `_`.
    /// A message must not quote anything else, because the answer may hold the key.
    #[must_use]
    pub fn named_kind(&self) -> Option<&str> {
        let is_name = |text: &&str| text.len() <= QUOTED && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        self.auth_source.as_deref().filter(is_name)
    }
}

/// A personal API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PersonalKey {
    /// The ID of the key. It is not a secret.
    pub id: String,
    /// The login of the key's owner. Empty if DSS does not name one.
    #[serde(default, deserialize_with = "or_empty")]
    pub user: String,
    /// The label that the key's creator chose. Empty if DSS names none.
    #[serde(default, deserialize_with = "or_empty")]
    pub label: String,
}

/// A personal API key that has just been created.
#[derive(Clone, Debug, Deserialize)]
pub struct CreatedKey {
    /// The ID of the key. It is not a secret.
    pub id: String,
    /// The key itself.
    pub key: SecretString,
}

/// A connection, resolved for the calling user.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The type of the connection. DSS calls S3 `EC2`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The AWS credential that the connection resolves to, if it has one.
    #[serde(rename = "resolvedAWSCredential")]
    pub aws_credential: Option<AwsCredential>,
}

/// The result of `get_aws_credential()` in the Python client.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredential {
    /// The access key ID. It is not a secret.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: SecretString,
    /// The session token. A static key has none.
    pub session_token: Option<SecretString>,
    /// The time at which the session expires, if DSS reports it: as RFC 3339, or in milliseconds
    /// since 1970 like DSS's other times. No release is known to report it.
    #[serde(default, deserialize_with = "time")]
    pub expiration: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

/// A user without the field counts as enabled, because one incomplete entry must not make the whole
/// listing unreadable.
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
    fn a_user_is_read_and_the_rest_of_the_answer_is_skipped() {
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
    fn a_personal_key_is_one_that_dss_calls_so_by_its_user() {
        let alices = |source: serde_json::Value, identifier: &str| {
            let info = json!({"authSource": source, "authIdentifier": identifier, "associatedDSSUser": "alice"});
            from_value::<AuthInfo>(info).unwrap()
        };
        for (what, info, kind, named) in [
            ("personal", alices(json!(PERSONAL), "alice"), KeyKind::Personal, Some(PERSONAL)),
            (
                "a global key that acts as alice",
                alices(json!("CONFIGURABLE_API_KEY"), "key-1"),
                KeyKind::Other,
                Some("CONFIGURABLE_API_KEY"),
            ),
            ("a contradiction", alices(json!(PERSONAL), "key-1"), KeyKind::Other, Some(PERSONAL)),
            ("another spelling", alices(json!("Personal_Api_Key"), "alice"), KeyKind::Other, None),
            ("an echo of the key", alices(json!("dkuaps-3f9A"), "alice"), KeyKind::Other, None),
            ("empty", alices(json!(""), "alice"), KeyKind::Other, Some("")),
            ("nothing", alices(json!(null), "alice"), KeyKind::Unsaid, None),
            (
                "without an identifier",
                from_value(json!({"authSource": PERSONAL, "associatedDSSUser": "alice"})).unwrap(),
                KeyKind::Personal,
                Some(PERSONAL),
            ),
        ] {
            assert_eq!((info.kind(), info.named_kind()), (kind, named), "{what}");
        }
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
    fn debug_output_holds_no_secret() {
        let created: CreatedKey = from_value(json!({"id": "1", "key": "the-key"})).unwrap();
        let value = json!({"type": "EC2", "resolvedAWSCredential": {"accessKey": "A", "secretKey": "the-key"}});
        let connection: Connection = from_value(value).unwrap();
        let properties = json!({"login": "alice", "adminProperties": {"snowflake": "the-key"}});
        let user: User = from_value(properties).unwrap();
        let shown = format!("{created:?} {connection:?} {user:?}");
        assert!(shown.contains("snowflake"), "{shown}");
        assert!(!shown.contains("the-key"), "{shown}");
    }
}
