//! Users, and the routes about them: the caller's own identity, the administrator's view, the
//! public view, and the user's own view.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::caller::{Admin, Caller};
use super::http::Colours;
use super::{Dss, Kinds};

/// The fields that a listing of users leaves out unless it is asked for settings.
const SETTINGS: [&str; 5] = ["adminProperties", "userProperties", "secrets", "credentials", "preferences"];

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

    /// The secrets in the form of `/auth/info`: `key` for the `name` of the settings.
    pub(super) fn secrets_as_answered(&self) -> Value {
        let answered = |secret: &Value| json!({ "key": secret["name"], "value": secret["value"] });
        self.secrets.iter().map(answered).collect()
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
        .route("/admin/users/{login}", get(read).put(write))
        .route("/users/{login}", get(read_publicly))
        .route("/current-user", get(read_own).put(write_own))
}

type Answer = Result<Json<Value>, Refusal>;

/// Whether a parameter is true: Python writes `True`, the documentation `true`.
fn says_yes(query: &BTreeMap<String, String>, name: &str) -> bool {
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
    let shown = |user: &&User| !colours.empty && !colours.missing_users.contains(&user.login);
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
    dss.lock().users.insert(login, user);
    // The Python client parses any JSON here.
    Ok(Json(json!({ "msg": "OK" })))
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
    }
    Ok(StatusCode::NO_CONTENT)
}
