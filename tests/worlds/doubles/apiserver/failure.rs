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
    /// What it is about: name, group, kind, causes.
    pub details: Value,
}

impl Failure {
    /// A refusal with the reason that belongs to the status.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: usual_reason(code).to_owned(),
            message: message.into(),
            retry_after: None,
            details: json!({}),
        }
    }

    /// The same with another reason.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    pub(super) fn not_found(target: &Target) -> Self {
        let message = format!("{} \"{}\" not found", target.kind.id(), target.name);
        Self::new(404, message).about(target, &target.kind.plural)
    }

    pub(super) fn no_namespace(namespace: &str) -> Self {
        let failure = Self::new(404, format!("namespaces \"{namespace}\" not found"));
        Self { details: json!({ "name": namespace, "kind": "namespaces" }), ..failure }
    }

    pub(super) fn no_such_resource() -> Self {
        Self::new(404, "the server could not find the requested resource")
    }

    pub(super) fn already_exists(target: &Target) -> Self {
        let message = format!("{} \"{}\" already exists", target.kind.id(), target.name);
        Self::new(409, message).because("AlreadyExists").about(target, &target.kind.plural)
    }

    pub(super) fn conflict(target: &Target, why: &str) -> Self {
        let (id, name) = (target.kind.id(), &target.name);
        let message = format!("Operation cannot be fulfilled on {id} \"{name}\": {why}");
        Self::new(409, message).about(target, &target.kind.plural)
    }

    /// A delete that means another object, or another version of it.
    pub(super) fn precondition(target: &Target, why: &str) -> Self {
        let (kind, name) = (target.kind.kind_and_group(), &target.name);
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        Self::new(409, message).about(target, &target.kind.kind)
    }

    /// An apply against the will of other owners: each with a field of theirs.
    pub(super) fn conflicts(conflicts: &[(String, String)]) -> Self {
        let message = if let [(manager, field)] = conflicts {
            format!("Apply failed with 1 conflict: conflict with {manager}: {field}")
        } else {
            let mut managers: Vec<&String> = conflicts.iter().map(|(manager, _)| manager).collect();
            managers.sort();
            managers.dedup();
            let mut lines = Vec::new();
            for manager in managers {
                lines.push(format!("conflicts with {manager}:"));
                let fields = conflicts.iter().filter(|(other, _)| other == manager);
                lines.extend(fields.map(|(_, field)| format!("- {field}")));
            }
            format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
        };
        let cause = |(manager, field): &(String, String)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {manager}"),
                "field": field,
            })
        };
        let causes: Vec<Value> = conflicts.iter().map(cause).collect();
        Self { details: json!({ "causes": causes }), ..Self::new(409, message) }
    }

    pub(super) fn bad_request(message: String) -> Self {
        Self::new(400, message)
    }

    /// Something that goes wrong inside the server, for which it has no reason.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, message).because("")
    }

    pub(super) fn invalid(target: &Target, why: &str) -> Self {
        let (kind, name) = (target.kind.kind_and_group(), &target.name);
        Self::new(422, format!("{kind} \"{name}\" is invalid: {why}")).about(target, &target.kind.kind)
    }

    fn about(mut self, target: &Target, kind: &str) -> Self {
        self.details = json!({ "name": target.name, "kind": kind });
        if !target.kind.group.is_empty() {
            self.details["group"] = json!(target.kind.group);
        }
        self
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, message)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut details = self.details.clone();
        if let Some(seconds) = self.retry_after {
            details["retryAfterSeconds"] = json!(seconds);
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
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
