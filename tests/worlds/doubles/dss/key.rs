//! API keys: global ones, which only a test makes, and the personal ones of users with their
//! routes.
//!
//! Keys are stored hashed, as on a new installation of DSS: the value is in the answer to the
//! creation and nowhere else. Everything about a key follows from its number.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::caller::{Admin, Caller};
use super::{ADMIN_KEY, ADMIN_KEY_ID, Dss, KEY_MARKER};
use crate::doubles::server::Colours;

/// A key that belongs to no user.
#[derive(Clone, Debug)]
pub(super) struct GlobalKey {
    pub(super) id: String,
    pub(super) value: String,
    pub(super) groups: Vec<String>,
    pub(super) admin: bool,
    /// The associated user (`dssUserForImpersonation`). The rights stay those of the key.
    pub(super) acts_as: Option<String>,
}

impl GlobalKey {
    /// The administrator's key.
    pub(super) fn administrators() -> Self {
        let (id, value) = (ADMIN_KEY_ID.to_owned(), ADMIN_KEY.to_owned());
        Self { id, value, groups: Vec::new(), admin: true, acts_as: None }
    }
}

/// A key of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalKey {
    /// The ID for deletion. It is no secret.
    pub id: String,
    /// The login.
    pub user: String,
    /// A line of text.
    pub label: String,
    /// A longer text.
    pub description: String,
    /// The value. Its holder acts as the user. It contains [`KEY_MARKER`].
    pub key: String,
    /// The time of creation, by the test's clock.
    pub created_at: Timestamp,
    /// The creator: a login, or the ID of a global key.
    pub created_by: String,
}

impl PersonalKey {
    fn without_value(&self) -> Value {
        json!({
            "id": self.id,
            "user": self.user,
            "label": self.label,
            "description": self.description,
            "createdOn": self.created_at.as_millisecond(),
            "createdBy": self.created_by,
        })
    }

    fn with_value(&self) -> Value {
        let mut shown = self.without_value();
        shown["key"] = json!(self.key);
        shown
    }
}

/// The properties of a key that a caller wants to create or change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) user: String,
    pub(super) label: String,
    pub(super) description: String,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(Refusal::not_json)
    }
}

impl Dss {
    pub(super) fn create_key(&self, wanted: Wanted, created_by: &str) -> PersonalKey {
        let mut state = self.lock();
        state.keys_ever += 1;
        let number = state.keys_ever;
        let key = PersonalKey {
            id: format!("personal-{number:0>4}"),
            user: wanted.user,
            label: wanted.label,
            description: wanted.description,
            key: format!("dkuaps-{KEY_MARKER}-{number:0>4}"),
            created_at: (self.clock)(),
            created_by: created_by.to_owned(),
        };
        state.personal_keys.push(key.clone());
        key
    }

    /// The key, if the caller is its user or an administrator.
    fn key_for(&self, caller: &Caller, id: &str) -> Result<PersonalKey, Refusal> {
        let key = self.lock().personal_keys.iter().find(|key| key.id == id).cloned();
        let key = key.ok_or_else(|| Refusal::not_found(format!("API key not found: {id}")))?;
        let own = caller.person().is_some_and(|user| user.login == key.user);
        if !own && (!caller.is_admin() || self.lock().keys_are_their_owners_only) {
            return Err(Refusal::denied("Action forbidden: not your API key"));
        }
        Ok(key)
    }
}

pub(super) fn routes() -> Router<Dss> {
    Router::new()
        .route("/personal-api-keys", get(list_own).post(create_own))
        .route("/personal-api-keys/", get(list_own).post(create_own))
        .route("/personal-api-keys/{id}", get(read).put(write).delete(delete))
        .route("/admin/personal-api-keys", get(list_all).post(create_for_user))
        .route("/admin/personal-api-keys/", get(list_all).post(create_for_user))
}

type Answer = Result<Json<Value>, Refusal>;

async fn list_own(State(dss): State<Dss>, caller: Caller, colours: Colours) -> Answer {
    let login = &caller.require_person()?.login;
    let state = dss.lock();
    let own = state.personal_keys.iter().filter(|key| !colours.is_empty() && key.user == *login);
    Ok(Json(own.map(PersonalKey::without_value).collect()))
}

async fn list_all(State(dss): State<Dss>, _: Admin, colours: Colours) -> Json<Value> {
    let state = dss.lock();
    let all = state.personal_keys.iter().filter(|_| !colours.is_empty());
    Json(all.map(PersonalKey::without_value).collect())
}

async fn create_own(State(dss): State<Dss>, caller: Caller, body: Bytes) -> Answer {
    let login = &caller.require_person()?.login;
    let wanted = Wanted { user: login.clone(), ..Wanted::read(&body)? };
    Ok(Json(dss.create_key(wanted, login).with_value()))
}

/// The user of the new key has to exist. It is an assumption that a disabled user gets a key, which
/// does not work yet.
async fn create_for_user(State(dss): State<Dss>, Admin(caller): Admin, body: Bytes) -> Answer {
    let mut wanted = Wanted::read(&body)?;
    if dss.lock().keys_are_their_owners_only {
        return Err(Refusal::denied("Action forbidden: users create their own API keys"));
    }
    if let Some(user) = dss.lock().keys_go_to.clone() {
        wanted.user = user;
    }
    if !dss.lock().users.contains_key(&wanted.user) {
        return Err(Refusal::not_found(format!("User not found: {}", wanted.user)));
    }
    Ok(Json(dss.create_key(wanted, caller.identifier()).with_value()))
}

async fn read(State(dss): State<Dss>, caller: Caller, Path(id): Path<String>) -> Answer {
    Ok(Json(dss.key_for(&caller, &id)?.without_value()))
}

async fn write(
    State(dss): State<Dss>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    dss.key_for(&caller, &id)?;
    let wanted = Wanted::read(&body)?;
    if let Some(key) = dss.lock().personal_keys.iter_mut().find(|key| key.id == id) {
        key.label = wanted.label;
        key.description = wanted.description;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(State(dss): State<Dss>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    dss.key_for(&caller, &id)?;
    dss.delete_personal_key(&id);
    Ok(StatusCode::NO_CONTENT)
}
