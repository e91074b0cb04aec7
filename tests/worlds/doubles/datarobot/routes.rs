//! The routes of credentials.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value};

use super::DataRobot;
use super::answer::{Origin, Refusal};
use super::caller::Owner;
use super::credential::Kind;
use super::list::Page;
use crate::doubles::server::Colours;

pub(super) fn routes() -> Router<DataRobot> {
    Router::new()
        .route("/credentials/", get(list).post(create))
        .route("/credentials/{id}/", get(read).patch(update).delete(delete))
}

/// The fields of a body. Only a description may be empty.
fn fields(body: &[u8]) -> Result<BTreeMap<String, String>, Refusal> {
    let sent: Map<String, Value> = serde_json::from_slice(body).map_err(Refusal::not_json)?;
    let field = |(name, value): (String, Value)| match value {
        Value::String(text) if text.is_empty() && name != "description" => Err(Refusal::field(&name, "is empty")),
        Value::String(text) => Ok((name, text)),
        _ => Err(Refusal::field(&name, "is not a text")),
    };
    sent.into_iter().map(field).collect()
}

async fn list(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    origin: Origin,
    uri: Uri,
    colours: Colours,
) -> Result<Json<Value>, Refusal> {
    let state = datarobot.lock();
    let page = Page::read(&uri, state.page)?;
    let own = state.credentials.iter().filter(|kept| kept.account == account).map(|kept| &kept.credential);
    let shown = own.filter(|credential| colours.show(&credential.name) && page.has(&credential.kind));
    Ok(Json(page.of(shown.map(super::Credential::shown).collect(), &state.pages, &origin)))
}

async fn create(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut values = fields(&body)?;
    let mut required = |name: &str| values.remove(name).ok_or_else(|| Refusal::field(name, "is required"));
    let (name, kind) = (required("name")?, Kind::called(&required("credentialType")?)?);
    let description = values.remove("description").unwrap_or_default();
    kind.check(&values)?;
    kind.check_complete(&values)?;
    let credential = datarobot.keep(&account, name, kind, description, values)?;
    Ok((StatusCode::CREATED, Json(credential.shown())))
}

async fn read(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let state = datarobot.lock();
    let kept = state.kept(&account, &id).ok_or_else(Refusal::not_found)?;
    Ok(Json(kept.credential.shown()))
}

async fn update(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let mut values = fields(&body)?;
    let mut state = datarobot.lock();
    let kept = state.kept(&account, &id).ok_or_else(Refusal::not_found)?;
    if values.is_empty() {
        return Err(Refusal::invalid("Must specify at least one field to update"));
    }
    let (name, description) = (values.remove("name"), values.remove("description"));
    Kind::called(&kept.credential.kind)?.check(&values)?;
    if name.as_ref().is_some_and(|name| state.is_taken(&account, name, Some(&id))) {
        return Err(Refusal::conflict("The name specified for credentials is already in use"));
    }
    let with_object = state.answers_updates_with_object;
    let kept = state.kept_mut(&account, &id).ok_or_else(Refusal::not_found)?;
    kept.change(|credential| {
        // A name without a description clears the description.
        if name.is_some() || description.is_some() {
            credential.description = description.unwrap_or_default();
        }
        credential.name = name.unwrap_or_else(|| credential.name.clone());
        credential.values.extend(values);
    });
    Ok(if with_object { Json(kept.credential.shown()).into_response() } else { StatusCode::OK.into_response() })
}

async fn delete(
    State(datarobot): State<DataRobot>,
    Owner(account): Owner,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let mut state = datarobot.lock();
    let kept = state.kept(&account, &id).ok_or_else(Refusal::not_found)?;
    if kept.in_use || state.jobs.iter().any(|job| job.uses(&id)) {
        return Err(Refusal::conflict("The credentials are in use by a data connection or a batch prediction job"));
    }
    state.credentials.retain(|kept| kept.credential.id != id);
    Ok(StatusCode::NO_CONTENT)
}
