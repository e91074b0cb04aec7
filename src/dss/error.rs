//! The errors of a call: a sentence that names the route and never a key.

use std::{fmt, time::Duration};

/// A failed call to DSS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tried}: {said}")]
pub struct DssError {
    /// The method, the route, the DSS and the impersonated user.
    pub tried: String,
    /// The kind of the failure.
    pub kind: Kind,
    /// The outcome of the call, in words.
    pub said: String,
    /// The wait that DSS asked for (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl DssError {
    /// The error for a DSS to which keyturn has made no call yet.
    #[must_use]
    pub fn not_connected(instance: &str) -> Self {
        Self {
            tried: format!("DssInstance \"{instance}\""),
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
    /// No connection, no answer in time, too many requests, or a 5xx of a proxy before DSS.
    /// Transient.
    Unreachable,
    /// The answer is not one of the DSS API: a proxy's refusal, a login page, a redirect to another
    /// host, JSON of another form, or an answer beyond the size limit. Counted as transient.
    Unreadable,
    /// A 404 or a 405 that is not one of the DSS API: this release of DSS may have no such route,
    /// or another server answers. Counted as transient.
    NoRoute,
    /// A 5xx of DSS itself: DSS tried and failed. Counted as transient.
    Failed,
    /// A 401 of DSS itself: DSS does not know the key.
    Unauthenticated,
    /// A 403 of DSS itself: DSS knows the key and denies it the call.
    Denied,
    /// A 404 of DSS itself: the requested object does not exist.
    NotFound,
    /// Another refusal of DSS itself: DSS understood the request and cannot do it.
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
