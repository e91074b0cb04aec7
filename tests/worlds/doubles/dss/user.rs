//! Users, and the routes about them: the caller's own identity, the administrator's view, the
//! public view, and the user's own view.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::caller::{Admin, Caller};
use super::{Dss, Kinds};
use crate::doubles::server::Colours;

/// The fields that a listing of users leaves out unless it is asked for settings.
const SETTINGS: [&str; 5] = ["adminProperties", "userProperties", "secrets", "credentials", "preferences"];

/// The beginning of a value that DSS shows in encrypted form. The double only encodes it.
const ENCRYPTED: &str = "e:AES:";

/// The value of a secret or a credential, as code in DSS gets it.
fn in_clear(value: &str) -> String {
    let decoded = value.strip_prefix(ENCRYPTED).and_then(|text| BASE64_STANDARD.decode(text).ok());
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned())
}

/// A user as `/admin/users/{login}` shows and takes it. A `PUT` replaces the whole user, so fields
/// that it lacks are empty afterwards.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct User {
    pub(super) login: String,
    pub(super) source_type: String,
    pub(super) display_name: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
    #[serde(rename = "userProfile")]
    pub(super) profile: String,
    pub(super) enabled: bool,
    pub(super) creation_date: i64,
    pub(super) admin_properties: BTreeMap<String, String>,
    #[serde(rename = "userProperties")]
    pub(super) own_properties: BTreeMap<String, String>,
    secrets: Vec<Value>,
    credentials: Map<String, Value>,
    preferences: Map<String, Value>,
}

impl User {
    pub(super) fn new(login: &str, groups: &[&str], created_at: Timestamp) -> Self {
        Self {
            login: login.to_owned(),
            source_type: "LOCAL".to_owned(),
            display_name: login.to_owned(),
            email: format!("{login}@example.test"),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            profile: "DESIGNER".to_owned(),
            enabled: true,
            creation_date: created_at.as_millisecond(),
            ..Self::default()
        }
    }

    /// The secrets in the form of `/auth/info`: `key` for the `name` of the settings, and the value
    /// in clear.
    pub(super) fn secrets_as_answered(&self) -> Value {
        let answered = |secret: &Value| {
            let value = secret["value"].as_str().unwrap_or_default();
            json!({ "key": secret["name"], "value": in_clear(value) })
        };
        self.secrets.iter().map(answered).collect()
    }

    /// The user and the password of the credential under this key, in clear.
    pub(super) fn credential(&self, key: &str) -> Option<(String, String)> {
        let credential = self.credentials.get(key)?;
        let password = credential["password"].as_str().unwrap_or_default();
        Some((credential["user"].as_str()?.to_owned(), in_clear(password)))
    }

    pub(super) fn remove_secret(&mut self, name: &str) {
        self.secrets.retain(|secret| secret["name"] != name);
    }

    pub(super) fn set_secret(&mut self, name: &str, value: &str) {
        self.remove_secret(name);
        self.secrets.push(json!({ "name": name, "value": value, "secret": true }));
        self.encrypt();
    }

    pub(super) fn set_credential(&mut self, key: &str, user: &str, password: &str) {
        self.credentials.insert(key.to_owned(), json!({ "type": "BASIC", "user": user, "password": password }));
        self.encrypt();
    }

    /// Encrypts the values of secrets and credentials that are not encrypted yet.
    fn encrypt(&mut self) {
        let values = self.secrets.iter_mut().filter_map(|secret| secret.get_mut("value"));
        let passwords = self.credentials.values_mut().filter_map(|credential| credential.get_mut("password"));
        for value in values.chain(passwords) {
            if let Some(text) = value.as_str().filter(|text| !text.starts_with(ENCRYPTED)) {
                *value = json!(format!("{ENCRYPTED}{}", BASE64_STANDARD.encode(text)));
            }
        }
    }

    fn without(&self, fields: &[&str]) -> Value {
        let mut user = json!(self);
        let object = user.as_object_mut().expect("an object");
        object.retain(|field, _| !fields.contains(&field.as_str()));
        user
    }
}

pub(super) fn routes() -> Router<Dss> {
    Router::new()
        .route("/auth/info", get(auth_info))
        .route("/admin/users", get(list))
        .route("/admin/users/", get(list))
        .route("/admin/users/actions/bulk", axum::routing::put(change_some))
        .route("/admin/users/{login}", get(read).put(write))
        .route("/users/{login}", get(read_publicly))
        .route("/current-user", get(read_own).put(write_own))
}

type Answer = Result<Json<Value>, Refusal>;

/// Whether a parameter is true: Python writes `True`, the documentation `true`.
pub(super) fn says_yes(query: &BTreeMap<String, String>, name: &str) -> bool {
    query.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

async fn auth_info(
    State(dss): State<Dss>,
    caller: Caller,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let mut info = caller.info(says_yes(&query, "withSecrets"));
    if let Some(answer) = info.as_object_mut().filter(|_| dss.lock().kinds == Kinds::Hidden) {
        answer.remove("authSource");
    }
    Json(info)
}

async fn list(
    State(dss): State<Dss>,
    _: Admin,
    Query(query): Query<BTreeMap<String, String>>,
    colours: Colours,
) -> Json<Value> {
    let left_out: &[&str] = if says_yes(&query, "includeSettings") { &[] } else { &SETTINGS };
    let state = dss.lock();
    let shown = |user: &&User| colours.show(&user.login);
    Json(state.users.values().filter(shown).map(|user| user.without(left_out)).collect())
}

fn found(dss: &Dss, login: &str) -> Result<User, Refusal> {
    let user = dss.lock().user_called(login).cloned();
    user.ok_or_else(|| Refusal::not_found(format!("User not found: {login}")))
}

async fn read(State(dss): State<Dss>, _: Admin, Path(login): Path<String>) -> Answer {
    Ok(Json(json!(found(&dss, &login)?)))
}

async fn write(State(dss): State<Dss>, _: Admin, Path(login): Path<String>, body: Bytes) -> Answer {
    found(&dss, &login)?;
    let user: User = serde_json::from_slice(&body).map_err(Refusal::not_json)?;
    if user.login != login {
        return Err(Refusal::senseless("The login of a user cannot be changed"));
    }
    let mut user = user;
    user.encrypt();
    dss.lock().users.insert(login, user);
    // The Python client parses any JSON here.
    Ok(Json(json!({ "msg": "OK" })))
}

/// `edit_users()`: changes the fields that each entry names, and nothing else. `credentials` is not
/// among the fields that the client documents, and is ignored.
async fn change_some(State(dss): State<Dss>, _: Admin, body: Bytes) -> Answer {
    let changes: Vec<Map<String, Value>> = serde_json::from_slice(&body).map_err(Refusal::not_json)?;
    let mut state = dss.lock();
    let statuses = changes.into_iter().map(|mut change| {
        let login = change.get("login").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(user) = state.users.get_mut(&login) else {
            return json!({ "login": login, "status": "FAILURE", "error": format!("User not found: {login}") });
        };
        change.remove("credentials");
        let mut changed = json!(user);
        changed.as_object_mut().expect("an object").extend(change);
        match serde_json::from_value::<User>(changed) {
            Ok(changed) => {
                *user = changed;
                user.encrypt();
                json!({ "login": login, "status": "SUCCESS" })
            }
            Err(error) => json!({ "login": login, "status": "FAILURE", "error": error.to_string() }),
        }
    });
    Ok(Json(statuses.collect()))
}

async fn read_publicly(State(dss): State<Dss>, _: Caller, Path(login): Path<String>) -> Answer {
    let user = found(&dss, &login)?;
    Ok(Json(json!({
        "login": user.login,
        "displayName": user.display_name,
        "groups": user.groups,
        "email": user.email,
        "enabled": user.enabled,
    })))
}

/// Only administrators see the properties that administrators set.
async fn read_own(caller: Caller) -> Answer {
    Ok(Json(caller.require_person()?.without(&["adminProperties"])))
}

/// Users may change their own data except groups and admin properties.
async fn write_own(State(dss): State<Dss>, caller: Caller, body: Bytes) -> Result<StatusCode, Refusal> {
    let login = &caller.require_person()?.login;
    let sent: User = serde_json::from_slice(&body).map_err(Refusal::not_json)?;
    if let Some(user) = dss.lock().users.get_mut(login) {
        user.own_properties = sent.own_properties;
        user.secrets = sent.secrets;
        user.credentials = sent.credentials;
        user.preferences = sent.preferences;
        user.encrypt();
    }
    Ok(StatusCode::NO_CONTENT)
}
