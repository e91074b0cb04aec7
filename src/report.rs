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

use crate::{api::Reason, cluster::CallError, credentials::IssueError, decide::input::HeldKey, secret::Record};

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The Secret was written.
    pub written: Option<Written>,
    /// No credential was obtained.
    pub issue_failed: Option<IssueError>,
    /// What was obtained is what is there already: a key without an end.
    pub checked: bool,
    /// The API key of DSS that was created or delivered, whether or not it was written.
    pub api_key: Option<HeldKey>,
    /// No API key of DSS was obtained.
    pub api_key_failed: Option<IssueError>,
    /// The API keys that were deleted in DSS.
    pub deleted: Vec<DeletedKey>,
    /// API keys could not be deleted in DSS.
    pub tidy_failed: Option<String>,
    /// Somebody else created a Secret of that name first.
    pub blocked: bool,
    /// A call to the API server failed.
    pub call_failed: Option<CallError>,
}

impl Outcome {
    /// Whether the API key that was obtained proved to be somebody else's, or none could be proven to be right after that.
    #[must_use]
    pub fn key_is_somebody_elses(&self) -> bool {
        self.api_key_failed.as_ref().is_some_and(|error| error.why.reason == Reason::DssUserMismatch)
    }

    /// The same, with what came of the API key before.
    #[must_use]
    pub fn with_api_key(self, obtained: Self) -> Self {
        Self { api_key: obtained.api_key, api_key_failed: obtained.api_key_failed, deleted: obtained.deleted, ..self }
    }
}

/// An API key that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedKey {
    /// The instance of DSS that it was in.
    pub instance: String,
    /// Its ID there.
    pub id: String,
}

/// The Secret as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says of itself.
    pub record: Record,
    /// Its resourceVersion.
    pub version: Option<String>,
}
