//! The routes of the API, and how DSS talks.

use axum::extract::State as Of;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::caller::{self, Caller};
use super::{Dss, State, connection, key, user, visitor};
use crate::doubles::page;
use crate::doubles::server::Service;

impl Service for State {
    const NAME: &'static str = "DSS";
    /// The base path of the Python client, and the documented one.
    const BASES: &'static [&'static str] = &["/dip/publicapi", "/public/api"];

    fn routes() -> Router<Dss> {
        Router::new()
            .route("/instance-info", get(instance_info))
            .merge(user::routes())
            .merge(key::routes())
            .merge(connection::routes())
            .merge(visitor::routes())
            .method_not_allowed_fallback(async || page::page(StatusCode::METHOD_NOT_ALLOWED, "405 Not Allowed"))
    }

    fn no_route() -> Response {
        page::not_found()
    }

    fn presented_key(headers: &HeaderMap) -> Option<String> {
        caller::presented_key(headers)
    }

    fn owner(&self, key: &str) -> Option<String> {
        self.key_id(key)
    }

    fn error(status: StatusCode, error_type: Option<&str>, message: &str) -> Response {
        let refusal = match error_type {
            Some(error_type) => Refusal::new(status, error_type, message),
            None => Refusal::of(status, message),
        };
        refusal.into_response()
    }
}

/// `GET /instance-info`. Every key may ask. keyturn uses `dssVersion`, and the Python client reads
/// the rest.
async fn instance_info(Of(dss): Of<Dss>, _: Caller) -> Json<Value> {
    Json(json!({
        "nodeId": "design",
        "nodeName": "design",
        "nodeType": "DESIGN",
        "dssVersion": dss.lock().version,
    }))
}
