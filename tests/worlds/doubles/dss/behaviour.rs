//! The behaviours of DSS, or of a server in front of it, other than a plain answer.
//!
//! DSS usually is behind a proxy and a single sign-on. Those answer in HTML and with redirects
//! where a client expects JSON, and most of these behaviours are about that.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::{self, Refusal};
use super::caller::presented_key;
use crate::doubles::rules::Effect;
use crate::doubles::wire::ConnectionLost;

/// A behaviour for a call. The last three only modify the answer; the rest are the answer. A
/// behaviour carries out the request only if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 500 with an error of DSS.
    ServerError,
    /// Any error of DSS.
    Error {
        /// The HTTP status.
        status: u16,
        /// The Java class of the exception.
        error_type: String,
        /// The message.
        message: String,
    },
    /// 401 with a message that repeats the key of the request. Such a message must not be passed
    /// on.
    EchoedKey,
    /// 502 with the HTML page of a proxy in between.
    BadGateway,
    /// 404 with the HTML page of DSS' own nginx: as if this release had no such route.
    NoSuchRoute,
    /// An answer of a server in front of DSS, which is neither HTML nor an error of DSS.
    InBetween {
        /// The HTTP status.
        status: u16,
        /// The whole body: a line of text, JSON of another form, or nothing.
        body: &'static str,
    },
    /// 503 with the HTML page that users see while DSS restarts.
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
    /// The connection breaks before the call reaches DSS.
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
    /// key that was created.
    AnswerLost,
    /// The answer comes this much later. The call is carried out only then.
    Latency(Duration),
    /// These existing logins are missing from the list of users.
    UsersMissingFromListing(Vec<String>),
    /// Lists of users and of keys are empty. Other calls use up a time of the rule, too.
    EmptyListing,
}

impl Effect for Behaviour {
    fn is_the_answer(&self) -> bool {
        !matches!(self, Self::Latency(_) | Self::UsersMissingFromListing(_) | Self::EmptyListing)
    }
}

impl Behaviour {
    /// The answer in place of DSS' own, for the behaviours that do not carry out the call. Not for
    /// `Hang`.
    pub(super) fn instead(&self, headers: &HeaderMap) -> Option<Response> {
        Some(match self {
            Self::ServerError => {
                let message = "Internal error (by a test)";
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "java.lang.RuntimeException", message).into_response()
            }
            Self::Error { status, error_type, message } => {
                let status = StatusCode::from_u16(*status).expect("an HTTP status");
                Refusal::new(status, error_type, message).into_response()
            }
            Self::EchoedKey => {
                let key = presented_key(headers).unwrap_or_default();
                Refusal::unauthenticated(format!("Invalid API key: {key}")).into_response()
            }
            Self::BadGateway => answer::page(StatusCode::BAD_GATEWAY, "502 Bad Gateway"),
            Self::NoSuchRoute => answer::page(StatusCode::NOT_FOUND, "404 Not Found"),
            Self::InBetween { status, body } => {
                (StatusCode::from_u16(*status).expect("an HTTP status"), *body).into_response()
            }
            Self::Maintenance => answer::page(StatusCode::SERVICE_UNAVAILABLE, "DSS is restarting"),
            Self::LoginPage => answer::login_page(),
            Self::RedirectToLogin => answer::redirect("https://sso.example.test/login?from=dss"),
            Self::RedirectTo(url) => answer::redirect(url),
            Self::TooManyRequests { retry_after_seconds } => answer::too_many_requests(*retry_after_seconds),
            Self::ConnectionFailure => ConnectionLost::answer(),
            _ => return None,
        })
    }

    /// Changes DSS' own answer, for the behaviours that carry out the call.
    pub(super) async fn spoil(&self, answer: Response) -> Response {
        match self {
            Self::HugeBody(bytes) => answer::behind_blanks(answer, *bytes),
            Self::Garbled => answer::cut_in_half(answer).await,
            Self::AnswerLost => ConnectionLost::answer(),
            _ => answer,
        }
    }
}
