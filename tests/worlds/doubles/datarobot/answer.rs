//! The form of DataRobot's answers.

use std::convert::Infallible;
use std::fmt::Display;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error as DataRobot puts it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "message": message.into() }) }
    }

    /// The same with the name by which the Python client tells errors apart.
    #[must_use]
    pub(super) fn named(mut self, name: &str) -> Self {
        if !name.is_empty() {
            self.body["errorName"] = json!(name);
        }
        self
    }

    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 422 about the whole request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 422 about one field.
    pub(super) fn field(name: &str, problem: &str) -> Self {
        let mut refusal = Self::invalid("Invalid field data");
        refusal.body["errors"] = json!({ name: problem });
        refusal
    }

    pub(super) fn not_json(error: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// The beginning of this DataRobot's URLs, as the caller reached it: `http://127.0.0.1:8080`.
pub(super) struct Origin(String);

impl Origin {
    /// The URL of a path behind the base of the API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/api/v2{path}", self.0)
    }
}

impl<T: Sync> FromRequestParts<T> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Self::Rejection> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = parts.uri.authority().map(Authority::as_str).or(host);
        let scheme = parts.uri.scheme_str().unwrap_or("http");
        Ok(Self(format!("{scheme}://{}", authority.unwrap_or("datarobot.test"))))
    }
}
