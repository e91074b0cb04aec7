//! From a request to DSS' answer.
//!
//! A call is recorded when it arrives and gets its status when it is answered. In between the
//! client may have given up. Rules come first, then the key, then the request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::behaviour::Behaviour;
use super::caller::{Caller, PROXY_USER, presented_key};
use super::{Call, Dss, NOBODY, connection, key, user, visitor};
use crate::doubles::wire::ConnectionLost;

/// The base paths of the API: the Python client's, and the documented one.
const BASES: [&str; 2] = ["/dip/publicapi", "/public/api"];

pub(super) fn router(dss: Dss) -> Router {
    let api = Router::new()
        .route("/instance-info", get(instance_info))
        .merge(user::routes())
        .merge(key::routes())
        .merge(connection::routes())
        .merge(visitor::routes())
        .method_not_allowed_fallback(async || answer::page(StatusCode::METHOD_NOT_ALLOWED, "405 Not Allowed"));
    let [python, documented] = BASES;
    Router::new()
        .nest(python, api.clone())
        .nest(documented, api)
        .fallback(async || answer::page(StatusCode::NOT_FOUND, "404 Not Found"))
        .layer(from_fn_with_state(dss.clone(), attend))
        .with_state(dss)
}

/// `GET /instance-info`. Every key may ask. keyturn uses `dssVersion`, and the Python client reads
/// the rest.
async fn instance_info(State(dss): State<Dss>, _: Caller) -> Json<Value> {
    Json(json!({
        "nodeId": "design",
        "nodeName": "design",
        "nodeType": "DESIGN",
        "dssVersion": dss.lock().version,
    }))
}

/// The effects on answers that are lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Colours {
    pub(super) missing_users: Vec<String>,
    pub(super) empty: bool,
}

impl FromRequestParts<Dss> for Colours {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Dss) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

async fn attend(State(dss): State<Dss>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        // The client went away in the middle of its request.
        return ConnectionLost::answer();
    };
    let (number, effects) = {
        let mut state = dss.lock();
        state.arrived += 1;
        let call = state.call((dss.clock)(), &parts, &body);
        let effects = state.rules.take(&call);
        state.calls.push(call);
        (state.arrived, effects)
    };

    let mut colours = Colours::default();
    let mut ending = None;
    for behaviour in effects {
        match behaviour {
            Behaviour::Latency(latency) => tokio::time::sleep(latency).await,
            Behaviour::UsersMissingFromListing(logins) => colours.missing_users.extend(logins),
            Behaviour::EmptyListing => colours.empty = true,
            other => ending = Some(other),
        }
    }
    if ending == Some(Behaviour::Hang) {
        return std::future::pending().await;
    }

    let instead = ending.as_ref().and_then(|ending| ending.instead(&parts.headers));
    let answer = if let Some(answer) = instead {
        answer
    } else {
        parts.extensions.insert(colours);
        let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
        match &ending {
            Some(Behaviour::HangAfter) => return std::future::pending().await,
            Some(ending) => ending.spoil(answer).await,
            None => answer,
        }
    };
    dss.lock().answered(number, &answer);
    answer
}

impl super::State {
    fn call(&self, at: Timestamp, parts: &Parts, body: &[u8]) -> Call {
        let text = |name: &str| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let path = parts.uri.path();
        let behind = |base: &&str| path.strip_prefix(*base).filter(|rest| rest.starts_with('/'));
        let base = BASES.into_iter().find(|base| behind(base).is_some()).unwrap_or_default();
        let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
        let key = presented_key(&parts.headers);
        Call {
            number: self.arrived,
            at,
            method: parts.method.to_string(),
            base: base.to_owned(),
            path: path[base.len()..].to_owned(),
            query: query.map(|Query(query)| query).unwrap_or_default(),
            scheme: text(header::AUTHORIZATION.as_str()).and_then(|value| Some(value.split_once(' ')?.0.to_owned())),
            proxy_user: text(PROXY_USER).map(Cow::into_owned),
            caller: key.and_then(|key| self.key_id(&key)).unwrap_or_else(|| NOBODY.to_owned()),
            body: String::from_utf8_lossy(body).into_owned(),
            status: None,
        }
    }

    fn answered(&mut self, number: usize, answer: &Response) {
        let lost = answer.extensions().get::<ConnectionLost>().is_some();
        let mut calls = self.calls.iter_mut().rev();
        // A test may have cleared the list while the call was under way.
        if let Some(call) = calls.find(|call| call.number == number) {
            call.status = (!lost).then(|| answer.status().as_u16());
        }
    }
}
