//! Asking a double without a socket, in the tests of the doubles.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::wire::ConnectionLost;

/// The answer of a double.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// The body, which has to be JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The status and the message of an error.
    pub(super) fn error(&self) -> (u16, String) {
        let message = self.json()["message"].as_str().expect("a message").to_owned();
        (self.status, message)
    }
}

/// Sends a request, and reads the whole answer.
pub(super) async fn ask(router: Router, request: request::Builder, body: Option<Value>) -> io::Result<Answer> {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let Ok(answer) = router.oneshot(request.body(body).expect("a request")).await;
    let (parts, body) = ConnectionLost::check(answer)?.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("text");
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}
