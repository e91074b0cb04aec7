//! What people are told: status, Events, and when to look again. Pure; the writes are in `reconcile`.

mod attempt;
mod conditions;
mod dss;
mod event_note;
mod findings;
mod next_reconcile;
mod status;

pub use attempt::failed;
pub use event_note::{EventNote, event_notes};
pub use next_reconcile::next_reconcile;
pub use status::status;

use crate::{cluster::CallError, credentials::IssueError, dss_keys::ApiKeyOutcome, secret::Record};

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The Secret was written.
    pub written: Option<Written>,
    /// No credential was obtained.
    pub issue_failed: Option<IssueError>,
    /// What was obtained is what is there already: a key without an end.
    pub checked: bool,
    /// What came of the second credential.
    pub api_key: ApiKeyOutcome,
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
