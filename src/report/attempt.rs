//! What is known after an attempt: what the Secret says of itself now, and the row of failures that goes on or ends.

use super::Outcome;
use crate::{
    api::Failure,
    credentials::IssueError,
    decide::{
        Accepted, Next, Plan, SecretAction, api_key_attempt,
        backoff::{Attempted, Failures, durable_after},
        input::{Observed, Target},
    },
    dss_keys::ApiKeyPlan,
    secret::Record,
};
use jiff::Timestamp;

/// What the Secret says of itself, unless somebody edited it: then its word counts for nothing.
pub(super) fn current_record(seen: &Observed, outcome: &Outcome) -> Option<Record> {
    match &outcome.written {
        Some(written) => Some(written.record.clone()),
        None => former_record(seen).cloned(),
    }
}

/// What the Secret said of itself before the attempt.
pub(super) fn former_record(seen: &Observed) -> Option<&Record> {
    match &seen.target {
        Target::Ours(ours) if !ours.is_edited() => ours.record.as_ref(),
        _ => None,
    }
}

/// The failures that were known before the attempt.
pub(super) fn failures(seen: &Observed) -> Failures<'_> {
    Failures::of(&seen.config, seen.remembered.transient.as_ref())
}

/// The durable row of failures after the attempt.
pub(super) fn failure(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Failure> {
    let accepted = plan.accepted.as_ref().ok()?;
    let of_api_key = api_key_attempt(accepted);
    let failed = failed(plan, outcome);
    let attempted = match (&failed, &plan.next) {
        (Some((error, attempt)), _) => Attempted::Failed(error, attempt),
        (None, Next::Do(SecretAction::Hold { .. } | SecretAction::Withdraw(_))) => Attempted::NotMade,
        (None, _) if outcome.call_failed.is_some() || holds_nothing(seen, outcome) => Attempted::NotMade,
        _ if matches!(plan.api_key, ApiKeyPlan::Hold { .. }) => Attempted::WithoutApiKey,
        _ => Attempted::Succeeded,
    };
    durable_after(failures(seen), [&accepted.attempt, &of_api_key], attempted, now)
}

fn holds_nothing(seen: &Observed, outcome: &Outcome) -> bool {
    outcome.written.is_none() && matches!(seen.target, Target::NotWatched)
}

/// What failed, and which attempt that was: the credential, or else the API key of DSS.
#[must_use]
pub fn failed<'a>(plan: &Plan, outcome: &'a Outcome) -> Option<(&'a IssueError, String)> {
    let accepted: &Accepted = plan.accepted.as_ref().ok()?;
    let of_issue = outcome.issue_failed.as_ref().map(|error| (error, accepted.attempt.clone()));
    of_issue.or_else(|| outcome.api_key.failed.as_ref().map(|error| (error, api_key_attempt(accepted))))
}
