//! Trigger a call failed, in a sentence that names the route and never a key.

use std::{fmt, time::Duration};

/// Trigger a call to DSS failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tried}: {said}")]
pub struct DssError {
    /// The method, the route and the DSS.
    pub tried: String,
    /// What kind of failure it is.
    pub kind: Kind,
    /// What came of it, in words.
    pub said: String,
    /// How long DSS asked to be left alone, if it did.
    pub retry_after: Option<Duration>,
}

impl DssError {
    /// One that was asked and did not finish in time. `tried` says what for.
    #[must_use]
    pub fn late(tried: String, within: Duration) -> Self {
        let said = format!("no answer within {} s", within.as_secs());
        Self { tried, kind: Kind::Unreachable, said, retry_after: None }
    }
}

/// Failures that make a difference to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection, no answer in time, too many requests, or a 5xx of whatever stands in front of DSS: it will pass.
    Unreachable,
    /// What answers is no DSS API: a proxy's refusal, a login page, a redirect elsewhere, JSON of another form.
    Unreadable,
    /// 5xx in DSS's own words: it tried and failed, which may pass.
    Failed,
    /// 401 in DSS's own words: it does not know the key.
    Unauthenticated,
    /// 403 in DSS's own words: it knows the key and does not allow it this.
    Denied,
    /// 404 in DSS's own words: there is no such thing.
    NotFound,
    /// Another refusal in DSS's own words: it understood and cannot do it.
    Refused,
}

impl Kind {
    /// Whether it will pass by itself.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Unreachable | Self::Unreadable | Self::Failed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound => "not found",
            Self::Refused => "refused",
        })
    }
}
