//! The form of DSS' answers.
//!
//! The error object is known, because the Python client reads it. It is an **assumption** that the
//! statuses follow the usual meaning of HTTP: 401 for a key that is unknown or whose user may not
//! log in, 403 for a missing right, 404 for a missing object, 400 for a request that makes no sense
//! or cannot be resolved, 500 for a refusal of AWS. The class of the exception in each case is an
//! assumption, too. Public code that uses the Python client, which does not show the status, looks
//! for `com.dataiku.dip.server.controllers.NotFoundException` for a missing user, and has met
//! `com.dataiku.dip.exceptions.UnauthorizedException` for a missing right. No source says that
//! these classes come with the statuses here. Nothing in keyturn depends on a class.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error as DSS puts it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error_type: String,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error_type: &str, message: impl Into<String>) -> Self {
        Self { status, error_type: error_type.to_owned(), message: message.into() }
    }

    /// The error of this status, in the class that goes with it.
    pub(super) fn of(status: StatusCode, message: impl Into<String>) -> Self {
        let error_type = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "com.dataiku.dip.exceptions.UnauthorizedException",
            StatusCode::NOT_FOUND => "com.dataiku.dip.server.controllers.NotFoundException",
            StatusCode::TOO_MANY_REQUESTS => "com.dataiku.dip.exceptions.TooManyRequestsException",
            status if status.is_server_error() => "java.lang.RuntimeException",
            _ => "java.lang.IllegalArgumentException",
        };
        Self::new(status, error_type, message)
    }

    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::of(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::of(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::of(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn senseless(message: impl Into<String>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_json(error: impl Display) -> Self {
        let message = format!("Invalid JSON: {error}");
        Self::new(StatusCode::BAD_REQUEST, "com.google.gson.JsonSyntaxException", message)
    }

    pub(super) fn aws(message: impl Display) -> Self {
        let error_type = "software.amazon.awssdk.services.sts.model.StsException";
        let message = format!("Failed to assume role: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error_type, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({
            "errorType": self.error_type,
            "message": self.message,
            "detailedMessage": self.message,
        });
        (self.status, Json(body)).into_response()
    }
}
