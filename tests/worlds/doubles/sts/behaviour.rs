//! The behaviours of STS other than issuing a session.
//!
//! The errors are spelled as AWS spells them, because the SDK and the operator decide by code, HTTP
//! status and wording. A made-up wording would test a made-up operator.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::SignedDuration;

use super::{Call, UNKNOWN_ROLE};
use crate::doubles::rules::Effect;

/// A behaviour for a call. The last three only modify the answer; the rest are the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// 403: the role's trust policy, or the caller's own policy, does not allow it.
    AccessDenied,
    /// 400: `DurationSeconds` is over the role's `MaxSessionDuration`.
    DurationTooLong,
    /// 400 with the code `Throttling`, as the real STS answers (not 429).
    Throttling,
    /// 403: STS is not activated for this account in this region.
    RegionDisabled,
    /// 403 with the code `ExpiredToken`, for a caller whose own session has expired.
    ExpiredToken,
    /// 400 with the code `ExpiredTokenException`, for which the SDK has a type.
    ExpiredTokenException,
    /// 403: the caller's access key does not exist.
    InvalidClientTokenId,
    /// 403: the caller's secret key is wrong.
    SignatureDoesNotMatch,
    /// 400: session policies and tags together are too large.
    PackedPolicyTooLarge,
    /// 400: the session policy is not a policy.
    MalformedPolicyDocument,
    /// 500: an error of AWS.
    InternalFailure,
    /// 503: AWS has no room.
    ServiceUnavailable,
    /// Any other error.
    Error {
        /// The HTTP status.
        status: u16,
        /// The error code.
        code: String,
        /// The message.
        message: String,
    },
    /// 200 with an answer that ends in the middle of an element. The SDK parses it as a session
    /// with an access key ID and nothing else (empty secret, expiration 1970).
    BrokenXml,
    /// 200 with no body.
    EmptyAnswer,
    /// 502 with the HTML page of a proxy in between.
    ProxyErrorPage,
    /// The connection breaks before there is an answer.
    ConnectionFailure,
    /// No answer, ever.
    Hang,
    /// The answer comes this much later.
    Latency(Duration),
    /// The session lives this many seconds, whatever the request asks for.
    Lifetime(i64),
    /// STS's clock is this much ahead of the test's (behind, if negative), for this answer.
    Skew(SignedDuration),
}

impl Effect for Behaviour {
    fn is_the_answer(&self) -> bool {
        !matches!(self, Self::Latency(_) | Self::Lifetime(_) | Self::Skew(_))
    }
}

/// An error in STS's form.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    pub(super) fn access_denied(caller: &str, call: &Call) -> Self {
        let role = call.role_arn.as_deref().unwrap_or(UNKNOWN_ROLE);
        let message = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}");
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub(super) fn duration_too_long() -> Self {
        Self::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    }

    pub(super) fn expired_token() -> Self {
        let message = "The security token included in the request is expired";
        Self::new(StatusCode::FORBIDDEN, "ExpiredToken", message)
    }

    pub(super) fn signature(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
    }

    /// The error of a behaviour, if it has one.
    pub(super) fn of(behaviour: &Behaviour, caller: &str, call: &Call) -> Option<Self> {
        let bad = StatusCode::BAD_REQUEST;
        let forbidden = StatusCode::FORBIDDEN;
        Some(match behaviour {
            Behaviour::AccessDenied => Self::access_denied(caller, call),
            Behaviour::DurationTooLong => Self::duration_too_long(),
            Behaviour::Throttling => Self::new(bad, "Throttling", "Rate exceeded"),
            Behaviour::RegionDisabled => Self::new(
                forbidden,
                "RegionDisabledException",
                "STS is not activated in this region for account: 123456789012. Your account \
                 administrator can activate STS in this region using the IAM Console.",
            ),
            Behaviour::ExpiredToken => Self::expired_token(),
            Behaviour::ExpiredTokenException => Self::new(
                bad,
                "ExpiredTokenException",
                "Token expired: current date/time must be before the expiration date/time",
            ),
            Behaviour::InvalidClientTokenId => {
                Self::new(forbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            Behaviour::SignatureDoesNotMatch => Self::signature(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            ),
            Behaviour::PackedPolicyTooLarge => Self::new(
                bad,
                "PackedPolicyTooLarge",
                "Packed policy consumes 132% of allotted space, please use smaller policy.",
            ),
            Behaviour::MalformedPolicyDocument => Self::new(bad, "MalformedPolicyDocument", "Syntax errors in policy."),
            Behaviour::InternalFailure => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "We encountered an internal error. Please try again.",
            ),
            Behaviour::ServiceUnavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "Service is unavailable. Please try again.",
            ),
            Behaviour::Error { status, code, message } => {
                Self::new(StatusCode::from_u16(*status).expect("an HTTP status"), code, message)
            }
            _ => return None,
        })
    }
}
