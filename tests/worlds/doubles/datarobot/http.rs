//! The routes of the API, and how DataRobot talks.

use axum::extract::State as Of;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::caller::{self, Caller};
use super::{DataRobot, State, job, routes};
use crate::doubles::server::Service;

impl Service for State {
    const NAME: &'static str = "DataRobot";
    const BASES: &'static [&'static str] = &["/api/v2"];

    fn routes() -> Router<DataRobot> {
        Router::new()
            .route("/version/", get(version))
            .merge(routes::routes())
            .merge(job::routes())
            .method_not_allowed_fallback(async || {
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "The path does not have this method")
            })
    }

    fn no_route() -> Response {
        Refusal::not_found().into_response()
    }

    fn presented_key(headers: &HeaderMap) -> Option<String> {
        caller::presented_token(headers)
    }

    fn owner(&self, key: &str) -> Option<String> {
        self.account_of(key).map(|account| account.name.clone())
    }

    fn error(status: StatusCode, error_type: Option<&str>, message: &str) -> Response {
        Refusal::new(status, message).named(error_type.unwrap_or_default()).into_response()
    }
}

/// `GET /version/`. The Python client asks it first. It reads `versionString`, and refuses a major
/// version above 2.
async fn version(Of(datarobot): Of<DataRobot>, _: Caller) -> Json<Value> {
    let version = datarobot.lock().version.clone();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let (major, minor) = (numbers.next(), numbers.next());
    Json(json!({ "versionString": version, "major": major, "minor": minor }))
}
