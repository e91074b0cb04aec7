//! The Event of a first issue. keyturn writes it after the Secret and the status, together with the
//! generated `AwsRole`, because nobody waits for it.
//!
//! The `AwsRole` that is missing is the mark in the cluster that the Event may be missing too. The
//! Event therefore comes before the `AwsRole`, and has the same name in each attempt: the API
//! server refuses the second one.

use super::{EventNote, Outcome, conditions::holds};
use crate::{
    api::{AwsConfigStatus, ConditionType, Reason, find_condition},
    decide::{Plan, RoleStep, SecretAction, Trigger, input::Observed},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

/// The time for which the API server keeps an Event (`--event-ttl` of kube-apiserver, by default).
/// An older Event may be gone, and keyturn would write it a second time.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// The Event of a first issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstIssue {
    /// Its note.
    pub note: EventNote,
    /// Its name, which is the same in each attempt.
    pub name: String,
}

/// Whether the Event of this issue comes with the generated `AwsRole`. `after` is the status after
/// the issue.
#[must_use]
pub fn is_told_later(plan: &Plan, outcome: &Outcome, after: &AwsConfigStatus) -> bool {
    let is_first = plan.action() == Some(&SecretAction::Issue(Trigger::First)) && after.former.is_none();
    is_first && outcome.written.is_some() && matches!(plan.roles.step, RoleStep::Write { .. })
}

/// The Event of the first issue, if this process has not written it and it may be missing.
#[must_use]
pub fn first_issue(seen: &Observed, now: Timestamp) -> Option<FirstIssue> {
    let status = seen.config.status.as_ref().filter(|status| status.former.is_none())?;
    let is_ready = find_condition(&status.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True");
    let record = seen.target.record().filter(|record| record.is_live(now))?;
    let Time(issued_at) = status.issued_at.as_ref()?;
    let is_it = status.access_key_id.as_ref() == Some(&record.access_key_id);
    let is_recent = now.duration_since(*issued_at) < KEPT;
    if seen.remembered.told || !is_ready || !is_it || !is_recent {
        return None;
    }
    let uid = seen.config.uid().unwrap_or_default();
    let hash = Sha256::new().chain_update(uid).chain_update([0]).chain_update(issued_at.to_string()).finalize();
    let unique = hash.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let note = issued_note(&holds(seen, record).message, status);
    Some(FirstIssue { note, name: format!("{}.{unique:016x}", seen.config.name_any()) })
}

/// The note of an issue: what the Secret holds, and until when.
pub(super) fn issued_note(held: &str, status: &AwsConfigStatus) -> EventNote {
    let until = status.expires_at.as_ref().map(|Time(at)| format!(", valid until {at}")).unwrap_or_default();
    let note = format!("{held}{until}");
    EventNote { warning: false, reason: Reason::Issued.to_string(), action: "Issue", note }
}
