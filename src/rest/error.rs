//! The errors of a call: a sentence that names the route and never a key.

use std::{fmt, time::Duration};

/// A failed call to an outside system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tried}: {said}")]
pub struct RestError {
    /// The method, the route, the system and the impersonated user.
    pub tried: String,
    /// The kind of the failure.
    pub kind: Kind,
    /// The outcome of the call, in words.
    pub said: String,
    /// The wait that the system asked for (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl RestError {
    /// The error for a system to which keyturn has made no call yet. `object` is the object that
    /// describes it, in words.
    #[must_use]
    pub fn not_connected(object: impl Into<String>) -> Self {
        Self {
            tried: object.into(),
            kind: Kind::Unreachable,
            said: "keyturn has not connected to it yet; see its conditions".to_owned(),
            retry_after: None,
        }
    }

    /// The error of an operation that did not finish within this time. `tried` names the operation.
    #[must_use]
    pub fn late(tried: String, within: Duration) -> Self {
        let said = format!("no answer within {} s", within.as_secs());
        Self { tried, kind: Kind::Unreachable, said, retry_after: None }
    }

    /// The error of an operation that was given up before its end. `tried` names the operation.
    #[must_use]
    pub fn given_up(tried: String, why: &str) -> Self {
        Self { tried, kind: Kind::Unreachable, said: why.to_owned(), retry_after: None }
    }
}

/// The kinds of failures that callers distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection, no answer in time, too many requests, or a 5xx of a proxy before the system.
    /// Transient.
    Unreachable,
    /// The answer is not one of the system's API: a proxy's refusal, a login page, a redirect to
    /// another host, JSON of another form, or an answer beyond the size limit. Counted as
    /// transient.
    Unreadable,
    /// A 404 or a 405 that is not one of the system's API: this release may have no such route,
    /// or another server answers. Counted as transient.
    NoRoute,
    /// A 5xx of the system itself: it tried and failed. Counted as transient.
    Failed,
    /// A 401 of the system itself: it does not know the key.
    Unauthenticated,
    /// A 403 of the system itself: it knows the key and denies it the call.
    Denied,
    /// A 404 of the system itself: the requested object does not exist.
    NotFound,
    /// Another refusal of the system itself: it understood the request and cannot do it.
    Refused,
}

impl Kind {
    /// Whether the failure is transient.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Unreachable | Self::Unreadable | Self::NoRoute | Self::Failed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
            Self::NoRoute => "no route",
            Self::Failed => "failed",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound => "not found",
            Self::Refused => "refused",
        })
    }
}
