//! Pages of servers that stand before a service, and answers that were damaged on their way.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use futures::StreamExt;
use futures::stream;

const CHUNK: usize = 64 * 1024;
const BLANKS: Bytes = Bytes::from_static(&[b' '; CHUNK]);

/// An HTML page in the form of nginx's.
pub(super) fn page(status: StatusCode, title: &str) -> Response {
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    (status, Html(page)).into_response()
}

/// 404 as nginx answers a path that it does not know.
pub(super) fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, "404 Not Found")
}

/// The form for a user and a password of a single sign-on.
pub(super) fn login() -> Response {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>\
                <form method=\"post\" action=\"/login\"><input name=\"user\">\
                <input name=\"password\" type=\"password\"></form></body></html>";
    Html(page).into_response()
}

/// 302 to this URL.
pub(super) fn redirect(url: &str) -> Response {
    with_header(page(StatusCode::FOUND, "302 Found"), header::LOCATION, url)
}

/// The answer with one more header.
pub(super) fn with_header(mut answer: Response, name: HeaderName, value: &str) -> Response {
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
