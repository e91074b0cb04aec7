//! The confirmation of a config: the condition that warns before its end, and the Event about it.

use super::EventNote;
use crate::{
    api::{ConditionType, Reason, Statement, find_condition},
    clock::whole_seconds,
    decide::{Confirmation, Plan, input::Observed},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The statement of the condition `ConfirmationDue`. After the end, `Accepted` says it.
pub(super) fn confirmation_due(seen: &Observed, plan: &Plan, now: Timestamp) -> Option<Statement> {
    let has_ended = plan.accepted.as_ref().is_err_and(|refusal| refusal.why.reason == Reason::NotConfirmed);
    Confirmation::of(seen, now).filter(|_| !has_ended)?.warning(&seen.config, now)
}

/// The event note if the warning begins, or says something new.
pub(super) fn confirmation_note(before: &[Condition], after: &[Condition]) -> Option<EventNote> {
    let due = find_condition(after, ConditionType::ConfirmationDue)?;
    let former = find_condition(before, ConditionType::ConfirmationDue);
    former.is_none_or(|former| former.message != due.message).then(|| EventNote {
        warning: true,
        reason: due.reason.clone(),
        action: "Confirm",
        note: due.message.clone(),
    })
}

/// The confirmation that never counts. Without a limit of the age nothing is noted, and a former
/// note stays.
pub(super) fn early_confirmation(seen: &Observed, before: Option<&Time>, now: Timestamp) -> Option<Time> {
    match Confirmation::of(seen, now) {
        Some(confirmation) => confirmation.early().map(whole_seconds).map(Time),
        None => before.cloned(),
    }
}
