//! The behaviours of a service, or of a server in front of it, other than a plain answer.
//!
//! A service in a company usually is behind a proxy and a single sign-on. Those answer in HTML and
//! with redirects where a client expects JSON, and most of these behaviours are about that.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::page;
use super::rules::Effect;
use super::server::Service;
use super::wire::ConnectionLost;

/// A behaviour for a call. The last three only modify the answer; the rest are the answer. A
/// behaviour carries out the request only if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 500 with an error of the service.
    ServerError,
    /// Any error of the service.
    Error {
        /// The HTTP status.
        status: u16,
        /// The name of the error: DSS' `errorType` (a Java class), DataRobot's `errorName`.
        error_type: String,
        /// The message.
        message: String,
    },
    /// 401 with a message that repeats the key of the request. Such a message must not be passed
    /// on.
    EchoedKey,
    /// 422 with a message that repeats the body of the request, and the secrets in it.
    EchoedBody,
    /// 502 with the HTML page of a proxy in between.
    BadGateway,
    /// 404 with the HTML page of the service's own nginx: as if this release had no such route.
    NoSuchRoute,
    /// An answer of a server in front of the service, which is neither HTML nor an error of the
    /// service.
    InBetween {
        /// The HTTP status.
        status: u16,
        /// The whole body: a line of text, JSON of another form, or nothing.
        body: &'static str,
    },
    /// 503 with the HTML page that users see while the service restarts.
    Maintenance,
    /// 200 with an HTML login page instead of JSON.
    LoginPage,
    /// 302 to the login page of another host.
    RedirectToLogin,
    /// 302 to this URL.
    RedirectTo(String),
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// `Retry-After`.
        retry_after_seconds: u64,
    },
    /// The connection breaks before the call reaches the service.
    ConnectionFailure,
    /// No answer, ever.
    Hang,
    /// The call is carried out, and never answered.
    HangAfter,
    /// The call is carried out and answered, with this many blanks before the JSON. The length is
    /// not announced. A client that reads to the end finds a right answer.
    HugeBody(usize),
    /// The call is carried out. Only the first half of the answer's body arrives.
    Garbled,
    /// The call is carried out, and then the connection breaks. The client does not learn of the
    /// object that was created.
    AnswerLost,
    /// The answer comes this much later. The call is carried out only then.
    Latency(Duration),
    /// These existing objects are missing from lists: users of DSS by their logins, credentials of
    /// DataRobot by their names.
    MissingFromListing(Vec<String>),
    /// Lists are empty. Other calls use up a time of the rule, too.
    EmptyListing,
}

impl Effect for Behaviour {
    fn is_the_answer(&self) -> bool {
        !matches!(self, Self::Latency(_) | Self::MissingFromListing(_) | Self::EmptyListing)
    }
}

impl Behaviour {
    /// The answer in place of the service's own, for the behaviours that do not carry out the call.
    /// Not for `Hang`.
    pub(super) fn instead<S: Service>(&self, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
        Some(match self {
            Self::ServerError => S::error(StatusCode::INTERNAL_SERVER_ERROR, None, "Internal error (by a test)"),
            Self::Error { status, error_type, message } => S::error(status_of(*status), Some(error_type), message),
            Self::EchoedKey => {
                let key = S::presented_key(headers).unwrap_or_default();
                S::error(StatusCode::UNAUTHORIZED, None, &format!("Invalid API key: {key}"))
            }
            Self::EchoedBody => {
                let body = String::from_utf8_lossy(body);
                S::error(StatusCode::UNPROCESSABLE_ENTITY, None, &format!("Invalid data: {body}"))
            }
            Self::BadGateway => page::page(StatusCode::BAD_GATEWAY, "502 Bad Gateway"),
            Self::NoSuchRoute => page::not_found(),
            Self::InBetween { status, body } => (status_of(*status), *body).into_response(),
            Self::Maintenance => page::page(StatusCode::SERVICE_UNAVAILABLE, &format!("{} is restarting", S::NAME)),
            Self::LoginPage => page::login(),
            Self::RedirectToLogin => {
                page::redirect(&format!("https://sso.example.test/login?from={}", S::NAME.to_lowercase()))
            }
            Self::RedirectTo(url) => page::redirect(url),
            Self::TooManyRequests { retry_after_seconds } => {
                let answer = S::error(StatusCode::TOO_MANY_REQUESTS, None, "Too many requests");
                page::with_header(answer, header::RETRY_AFTER, &retry_after_seconds.to_string())
            }
            Self::ConnectionFailure => ConnectionLost::answer(),
            _ => return None,
        })
    }

    /// Changes the service's own answer, for the behaviours that carry out the call.
    pub(super) async fn spoil(&self, answer: Response) -> Response {
        match self {
            Self::HugeBody(bytes) => page::behind_blanks(answer, *bytes),
            Self::Garbled => page::cut_in_half(answer).await,
            Self::AnswerLost => ConnectionLost::answer(),
            _ => answer,
        }
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("an HTTP status")
}
