//! The state after an attempt: the record of the Secret, and the durable failures that continue or
//! end.

use super::Outcome;
use crate::{
    api::{Failure, Reason},
    credentials::{IssueError, Retry},
    decide::{
        Accepted, HoldCause, Next, Plan, SecretAction, api_key_attempt,
        backoff::{Attempted, durable_after},
        input::Observed,
        target::{SecretData, Target},
    },
    dss_keys::ApiKeyPlan,
    secret::Record,
};
use jiff::Timestamp;

/// The record of the Secret after the attempt. A deleted Secret has none. Nor has an edited one,
/// because keyturn does not trust its annotations.
#[must_use]
pub fn current_record<'a>(seen: &'a Observed, outcome: &'a Outcome) -> Option<&'a Record> {
    match &outcome.written {
        Some(written) => Some(&written.record),
        None if outcome.deleted => None,
        None => former_record(seen),
    }
}

/// The record of the Secret before the attempt. An edited Secret has none.
fn former_record(seen: &Observed) -> Option<&Record> {
    match &seen.target {
        Target::Ours(ours) if !ours.is_edited() => ours.record.as_ref(),
        _ => None,
    }
}

/// The record of the Secret before the attempt, if its digest fits. Status need not confirm it: if
/// keyturn was killed before it wrote status, nothing else names the API key that it delivered.
pub(super) fn consistent_record(seen: &Observed) -> Option<&Record> {
    match &seen.target {
        Target::Ours(ours) if !matches!(&ours.content, SecretData::Read(read) if !read.intact) => ours.record.as_ref(),
        _ => None,
    }
}

/// The reason for which keyturn took a credential out of the Secret; `None` if it took none out.
#[must_use]
pub fn withdrawn_for(seen: &Observed, plan: &Plan, outcome: &Outcome) -> Option<Reason> {
    seen.target.record().filter(|record| record.withdrawn.is_none())?;
    match (&outcome.written, plan.action()) {
        (Some(written), _) => written.record.withdrawn.as_deref().and_then(Reason::named),
        (None, Some(SecretAction::Withdraw(why))) if outcome.deleted => Some(why.reason),
        _ => None,
    }
}

/// The durable failures after the attempt; `None` if there are none.
pub(super) fn failure(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Failure> {
    let accepted = plan.accepted.as_ref().ok()?;
    let of_api_key = api_key_attempt(accepted);
    let failed = failed(plan, outcome);
    let attempted = match (&failed, &plan.next) {
        (Some((error, attempt)), _) => Attempted::Failed(error, attempt),
        (
            None,
            Next::Do(SecretAction::Hold { .. } | SecretAction::Withdraw(_) | SecretAction::Profiles { held: Some(_) }),
        ) => Attempted::NotMade,
        (None, _) if outcome.call_failed.is_some() || holds_nothing(seen, outcome) => Attempted::NotMade,
        _ if matches!(plan.api_key, ApiKeyPlan::Hold { .. }) => Attempted::WithoutApiKey,
        _ => Attempted::Succeeded,
    };
    durable_after(seen.failures(), [&accepted.attempt, &of_api_key], attempted, now)
}

fn holds_nothing(seen: &Observed, outcome: &Outcome) -> bool {
    outcome.written.is_none() && matches!(seen.target, Target::NotWatched)
}

/// Whether there is nothing to report yet, because the only result is that others come first and
/// the wait is short. Otherwise a flood of changes would be a flood of writes.
#[must_use]
pub fn is_only_a_short_wait(seen: &Observed, plan: &Plan, outcome: &Outcome) -> bool {
    let Outcome { written, deleted, issue_failed, api_key, call_failed, .. } = outcome;
    let failures = seen.failures();
    let waits = match (issue_failed, &plan.accepted) {
        (Some(error), Ok(accepted)) => {
            let waits = error.why.reason == Reason::HeldBack || matches!(error.retry, Retry::Queued(_));
            waits && !failures.is_news(error, &accepted.attempt)
        }
        (None, Ok(accepted)) => {
            let is_held = matches!(plan.action(), Some(SecretAction::Hold { cause: HoldCause::Backoff, .. }));
            is_held && failures.only_waits(&accepted.attempt)
        }
        (_, Err(_)) => false,
    };
    let did_nothing = written.is_none() && !deleted && call_failed.is_none();
    let without_key = api_key.held.is_none() && api_key.failed.is_none() && api_key.deleted.is_empty();
    let pushed_nothing = outcome.pushes.iter().all(|(_, tried)| tried.result.is_err());
    let beside = api_key.surplus_failed.is_none() && outcome.profiles.is_empty() && pushed_nothing;
    waits && did_nothing && without_key && beside
}

/// The error of the outcome, and the digest of the attempt that failed. A failure to obtain the
/// credential comes before a failure to obtain the API key. `None` if neither failed.
#[must_use]
pub fn failed<'a>(plan: &Plan, outcome: &'a Outcome) -> Option<(&'a IssueError, String)> {
    let accepted: &Accepted = plan.accepted.as_ref().ok()?;
    let of_issue = outcome.issue_failed.as_ref().map(|error| (error, accepted.attempt.clone()));
    of_issue.or_else(|| outcome.api_key.failed.as_ref().map(|error| (error, api_key_attempt(accepted))))
}
