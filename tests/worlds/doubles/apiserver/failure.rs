//! Refusals of the API server: Kubernetes `Status` objects.
//!
//! Clients decide by `code` and `reason`, and people read `message`. Both are spelled as the real
//! server spells them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::resource::Target;

/// A refusal of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u32>,
}

impl Failure {
    /// A refusal with the reason that belongs to the status.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, reason: usual_reason(code).to_owned(), message: message.into(), retry_after: None }
    }

    /// The same with another reason.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    pub(super) fn not_found(target: &Target) -> Self {
        let message = format!("{} \"{}\" not found", target.kind.id(), target.name);
        Self::new(404, message)
    }

    pub(super) fn no_such_resource() -> Self {
        Self::new(404, "the server could not find the requested resource")
    }

    pub(super) fn already_exists(target: &Target) -> Self {
        let message = format!("{} \"{}\" already exists", target.kind.id(), target.name);
        Self::new(409, message).because("AlreadyExists")
    }

    pub(super) fn conflict(target: &Target, why: &str) -> Self {
        let (id, name) = (target.kind.id(), &target.name);
        Self::new(409, format!("Operation cannot be fulfilled on {id} \"{name}\": {why}"))
    }

    pub(super) fn invalid(target: &Target, why: &str) -> Self {
        let (kind, name) = (&target.kind.kind, &target.name);
        Self::new(422, format!("{kind} \"{name}\" is invalid: {why}"))
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, message)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": { "retryAfterSeconds": self.retry_after.unwrap_or(0) },
            "code": self.code,
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).expect("an HTTP status");
        let mut answer = (status, Json(self.to_json())).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

fn usual_reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Expired",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}
