//! The secrets and the credentials in the account of a user.
//!
//! DSS has no route for a single secret or credential, and no version by which a write could be
//! refused. Two routes change a part of an account only. keyturn uses these two, and never the one
//! that writes a whole user (`PUT /admin/users/{login}`), because that one could enable a user
//! again whom an administrator has just disabled, or give back groups.
//!
//! * `PUT /admin/users/actions/bulk` (`edit_users()`) changes the fields that the request names.
//!   Its documentation in `dataiku-api-client` 15.2.0 lists `secrets`, and not `credentials`.
//! * `PUT /current-user` (`get_own_user().get_settings().save()`) writes what users may change
//!   themselves. Nobody can enable themselves or join a group by it.
//!
//! DSS shows the values of secrets and credentials in an encrypted form, and takes them back in
//! that form. keyturn sends everything that is not its own back as it was read.

use super::{Dss, DssError, Kind};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// The secrets of a user, each as DSS shows it. `Debug` output names them without their values. An
/// answer without the field is unreadable, because a write would then delete the secrets that the
/// answer does not show.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct UserSecrets {
    secrets: Vec<Value>,
}

/// What users may change of their own account. `Debug` output names the credentials without their
/// values.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct OwnSettings(Map<String, Value>);

/// The status of one user in the answer to a change of several.
#[derive(Deserialize)]
struct Changed {
    login: Option<String>,
    status: Option<String>,
    error: Option<String>,
}

/// The status of a user whose change succeeded (`create_users()` in `dataiku-api-client` 15.2.0
/// documents both values).
const SUCCESS: &str = "SUCCESS";

/// The field of the own settings that holds credentials, by connection or plugin preset.
const CREDENTIALS: &str = "credentials";

impl UserSecrets {
    /// The names of the secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter_map(name_of)
    }

    /// The values, as they are sent.
    fn values(&self) -> Vec<String> {
        self.secrets.iter().filter_map(|secret| Some(secret.get("value")?.as_str()?.to_owned())).collect()
    }

    /// The same without the secrets of these names.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let is_named = |secret: &Value| name_of(secret).is_some_and(|name| names.iter().any(|other| other == name));
        Self { secrets: self.secrets.iter().filter(|secret| !is_named(secret)).cloned().collect() }
    }

    /// The same with a further secret. The form is that of `add_secret()` of the Python client.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.secrets.push(json!({"name": name, "value": value, "secret": true}));
        self
    }
}

impl OwnSettings {
    /// The values of the secrets and of the credentials, as they are sent.
    fn hidden(&self) -> Vec<String> {
        let secrets = self.0.get("secrets").and_then(Value::as_array).into_iter().flatten();
        let values = secrets.filter_map(|secret| secret.get("value")?.as_str());
        let credentials = self.0.get(CREDENTIALS).and_then(Value::as_object).into_iter().flat_map(Map::values);
        let fields = credentials.filter_map(Value::as_object).flatten();
        let shown = |name: &str| matches!(name, "type" | "user");
        let of_credentials = fields.filter(|(name, _)| !shown(name)).filter_map(|(_, value)| value.as_str());
        values.chain(of_credentials).map(str::to_owned).collect()
    }

    /// Whether there is a credential under this key.
    #[must_use]
    pub fn has_credential(&self, key: &str) -> bool {
        self.0.get(CREDENTIALS).and_then(|credentials| credentials.get(key)).is_some()
    }

    /// The same without the credential under this key.
    #[must_use]
    pub fn without_credential(mut self, key: &str) -> Self {
        if let Some(credentials) = self.0.get_mut(CREDENTIALS).and_then(Value::as_object_mut) {
            credentials.remove(key);
        }
        self
    }

    /// The same with this user and password under this key. The form is that of
    /// `set_basic_connection_credential()` of the Python client.
    #[must_use]
    pub fn with_credential(mut self, key: &str, user: &str, password: &str) -> Self {
        if let Some(credentials) = self.0.get_mut(CREDENTIALS).and_then(Value::as_object_mut) {
            credentials.insert(key.to_owned(), json!({"type": "BASIC", "user": user, "password": password}));
        }
        self
    }
}

impl Dss {
    /// The secrets of a user: `GET /admin/users/{login}`. `None` if DSS has no user with exactly
    /// this login. The call needs an admin key.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn secrets_of(&self, login: &str) -> Result<Option<UserSecrets>, DssError> {
        #[derive(Deserialize)]
        struct User {
            login: String,
            #[serde(flatten)]
            secrets: UserSecrets,
        }
        let user: Option<User> = self.call(Method::GET, &["admin", "users", login]).json_if_there().await?;
        Ok(user.filter(|user| user.login == login).map(|user| user.secrets))
    }

    /// Replaces the secrets of a user, and nothing else of the user: `PUT
    /// /admin/users/actions/bulk`. The call needs an admin key. It is not retried, because the
    /// secrets may have changed meanwhile. No error quotes a value.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn set_secrets_of(&self, login: &str, secrets: &UserSecrets) -> Result<(), DssError> {
        let body = json!([{"login": login, "secrets": secrets.secrets}]);
        let call =
            self.call(Method::PUT, &["admin", "users", "actions", "bulk"]).body(&body).once().hiding(secrets.values());
        let (changed, refused): (Vec<Changed>, _) = call.json_or_refusal().await?;
        let of_user = changed.iter().find(|changed| changed.login.as_deref() == Some(login));
        match of_user {
            Some(changed) if changed.status.as_deref() == Some(SUCCESS) => Ok(()),
            Some(changed) => Err(refused(Kind::Refused, changed.error.as_deref().unwrap_or("no reason"))),
            None => Err(refused(Kind::Unreadable, "the answer does not name the user")),
        }
    }

    /// What the calling user may change of their own account: `GET /current-user`. An answer that
    /// does not show the credentials is unreadable, because a write would then delete them.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn own_settings(&self) -> Result<OwnSettings, DssError> {
        self.call(Method::GET, &["current-user"])
            .json_if(|OwnSettings(settings)| {
                settings.contains_key("login") && settings.get(CREDENTIALS).is_some_and(Value::is_object)
            })
            .await
    }

    /// Replaces what the calling user may change of their own account: `PUT /current-user`. The
    /// call is not retried, because the account may have changed meanwhile.
    /// No error quotes a value.
    ///
    /// # Errors
    /// DSS cannot be reached or refuses the call; [`DssError::kind`] says which.
    pub async fn set_own_settings(&self, settings: &OwnSettings) -> Result<(), DssError> {
        let body = Value::Object(settings.0.clone());
        self.call(Method::PUT, &["current-user"]).body(&body).once().hiding(settings.hidden()).done().await
    }
}

fn name_of(secret: &Value) -> Option<&str> {
    secret.get("name")?.as_str()
}

impl fmt::Debug for UserSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl fmt::Debug for OwnSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = self.0.get(CREDENTIALS).and_then(Value::as_object);
        f.debug_list().entries(credentials.into_iter().flat_map(Map::keys)).finish()
    }
}
