//! The form of DSS' answers, and of the answers of servers in front of it.
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
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use futures::StreamExt;
use futures::stream;
use serde_json::json;

const CHUNK: usize = 64 * 1024;
const BLANKS: Bytes = Bytes::from_static(&[b' '; CHUNK]);

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

    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "com.dataiku.dip.exceptions.UnauthorizedException", message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "com.dataiku.dip.exceptions.UnauthorizedException", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "com.dataiku.dip.server.controllers.NotFoundException", message)
    }

    pub(super) fn senseless(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "java.lang.IllegalArgumentException", message)
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

/// An HTML page in the form of nginx's.
pub(super) fn page(status: StatusCode, title: &str) -> Response {
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    (status, Html(page)).into_response()
}

pub(super) fn login_page() -> Response {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>\
                <form method=\"post\" action=\"/login\"><input name=\"user\">\
                <input name=\"password\" type=\"password\"></form></body></html>";
    Html(page).into_response()
}

pub(super) fn redirect(url: &str) -> Response {
    with_header(page(StatusCode::FOUND, "302 Found"), header::LOCATION, url)
}

pub(super) fn too_many_requests(retry_after_seconds: u64) -> Response {
    let error_type = "com.dataiku.dip.exceptions.TooManyRequestsException";
    let answer = Refusal::new(StatusCode::TOO_MANY_REQUESTS, error_type, "Too many requests").into_response();
    with_header(answer, header::RETRY_AFTER, &retry_after_seconds.to_string())
}

fn with_header(mut answer: Response, name: HeaderName, value: &str) -> Response {
    let value = HeaderValue::from_str(value).expect("a header value");
    answer.headers_mut().insert(name, value);
    answer
}

/// The answer with this many blanks before its body. The blanks are made while the client reads.
pub(super) fn behind_blanks(answer: Response, bytes: usize) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let blanks = (0..bytes).step_by(CHUNK).map(move |sent| Ok(BLANKS.slice(..CHUNK.min(bytes - sent))));
    let body = stream::iter(blanks).chain(body.into_data_stream());
    Response::from_parts(parts, Body::from_stream(body))
}

/// The answer, with the first half of its body.
pub(super) async fn cut_in_half(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = to_bytes(body, usize::MAX).await.expect("a body of ours");
    Response::from_parts(parts, Body::from(body.slice(..body.len() / 2)))
}
