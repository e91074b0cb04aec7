//! The report to users: status, Events, and the time of the next reconcile. Pure; `reconcile` makes
//! the writes.

mod attempt;
pub mod audit;
mod conditions;
mod confirmation;
mod dss;
mod event_note;
mod findings;
mod first_issue;
mod next_reconcile;
mod profiles;
mod push;
mod status;
mod trouble;
mod unread;
mod verification;

pub use attempt::{current_record, failed, is_only_a_short_wait, withdrawn_for};
pub use event_note::{EventNote, event_notes};
pub use first_issue::{first_issue, is_told_later};
pub use next_reconcile::next_reconcile;
pub use profiles::{ProfileOutcome, withdrawn_profiles};
pub use status::status;
pub use unread::{Finding, deleting, key_finding, role_finding};

use crate::{
    cluster::CallError,
    credentials::IssueError,
    decide::{Plan, SecretAction, Trial},
    dss_keys::ApiKeyOutcome,
    push::{Slot, Tried},
    secret::Record,
};

/// The outcome of a plan.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Outcome {
    /// The Secret as keyturn wrote it; `None` if keyturn did not write it.
    pub written: Option<Written>,
    /// Whether keyturn deleted the Secret, because the API server refused to have it withdrawn.
    pub deleted: bool,
    /// Whether keyturn had its turn to ask an outside system for something that was not a renewal
    /// that was due.
    pub asked: bool,
    /// The error, if keyturn obtained no credential.
    pub issue_failed: Option<IssueError>,
    /// Whether the key that keyturn obtained is the one that the Secret holds already. Such a key
    /// never expires.
    pub checked: bool,
    /// The outcome for the second credential.
    pub api_key: ApiKeyOutcome,
    /// The attempts to obtain sessions of profiles. Empty if none was made.
    pub profiles: Vec<ProfileOutcome>,
    /// The steps that were made for the places of `spec.push`.
    pub pushes: Vec<(Slot, Tried)>,
    /// The trial of the credential; `None` if none was due.
    pub trial: Option<Box<Trial>>,
    /// Whether somebody else created a Secret of that name first.
    pub blocked: bool,
    /// The error, if a call to the API server failed that the credential needs.
    pub call_failed: Option<CallError>,
    /// The content digest of the Secret that a failed write may have written all the same.
    pub attempted: Option<String>,
    /// Whether that call was a read without which the decision is not certain. keyturn did nothing
    /// then.
    pub unread: bool,
    /// The number of reconciles in a row before this one in which a call to the API server failed.
    pub failed_before: i32,
}

impl Outcome {
    /// Whether the plan was to issue a credential, and the Secret holds what was issued.
    #[must_use]
    pub fn has_issued(&self, plan: &Plan) -> bool {
        let issues = matches!(plan.action(), Some(SecretAction::Issue(_)));
        let has_written = self.written.as_ref().is_some_and(|written| written.record.withdrawn.is_none());
        issues && (has_written || self.checked)
    }
}

/// The Secret as keyturn wrote it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The record in its annotations.
    pub record: Record,
    /// Its resourceVersion.
    pub version: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests;
