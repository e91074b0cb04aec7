//! What people are told: status, Events, and when to look again. Pure; the writes are in `reconcile`.

mod attempt;
mod conditions;
mod news;
mod next_look;
mod status;

pub use news::{News, news};
pub use next_look::next_look;
pub use status::status;

use crate::{api::Reason, cluster::CallError, credentials::IssueError, secret::Record};

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Done {
    /// The Secret was written.
    pub written: Option<Written>,
    /// No credential was obtained.
    pub issue_failed: Option<IssueError>,
    /// Somebody else created a Secret of that name first.
    pub blocked: bool,
    /// A call to the API server failed.
    pub call_failed: Option<CallError>,
}

/// The Secret as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says of itself.
    pub record: Record,
    /// Its resourceVersion.
    pub version: Option<String>,
}

/// A reason and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    reason: String,
    message: String,
}

impl Statement {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: reason.as_str().to_owned(), message: message.into() }
    }
}
