//! What is known after an attempt: what the Secret says of itself now, and the row of failures that goes on or ends.

use super::Outcome;
use crate::{
    api::Failure,
    clock::whole_seconds,
    credentials::{IssueError, Retry},
    decide::{
        Accepted, KeyStep, Plan, Step, api_key_attempt,
        input::{Observed, Target},
        schedule,
    },
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What the Secret says of itself, unless somebody edited it: then its word counts for nothing.
pub(super) fn current_record(seen: &Observed, outcome: &Outcome) -> Option<Record> {
    match &outcome.written {
        Some(written) => Some(written.record.clone()),
        None => former_record(seen).cloned(),
    }
}

/// The same before the attempt.
pub(super) fn former_record(seen: &Observed) -> Option<&Record> {
    match &seen.target {
        Target::Ours(ours) if !ours.is_edited() => ours.record.as_ref(),
        _ => None,
    }
}

/// A row of failures goes on while the same is tried for the same spec.
pub(super) fn failure(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Failure> {
    let accepted = plan.accepted.as_ref().ok()?;
    let of_api_key = api_key_attempt(accepted);
    let before = seen.config.status.as_ref();
    let same_spec = before.is_some_and(|status| status.observed_generation == seen.config.metadata.generation);
    let known = before.and_then(|status| status.failure.clone());
    let known = known.filter(|failure| same_spec && [&accepted.attempt, &of_api_key].contains(&&failure.attempt));
    let failed = failed(plan, outcome);
    let waits = |failure: &Failure| failure.attempt == of_api_key && matches!(plan.api_key, KeyStep::Hold { .. });
    match (failed, &plan.step) {
        (Some((error, attempt)), _) if error.retry == Retry::Durable => {
            let known = known.filter(|failure| failure.attempt == attempt);
            let count = known.as_ref().map_or(0, |failure| failure.count).saturating_add(1);
            let now = whole_seconds(now);
            Some(Failure {
                count,
                since: known.map_or(Time(now), |failure| failure.since),
                last_at: Time(now),
                next_attempt_at: Time(now.saturating_add(schedule::slow_delay(count)).unwrap_or(now)),
                attempt,
            })
        }
        (Some(_), _) | (None, Step::Hold { .. } | Step::Withdraw { .. }) => known,
        // A reconcile that did not get as far as an attempt ends no failure either.
        (None, _) if outcome.call_failed.is_some() || holds_nothing(seen, outcome) => known,
        // The credential is there, and the API key is still waited for.
        _ => known.filter(waits),
    }
}

fn holds_nothing(seen: &Observed, outcome: &Outcome) -> bool {
    outcome.written.is_none() && matches!(seen.target, Target::NotWatched)
}

/// What failed, and which attempt that was: the credential, or else the API key of DSS.
pub fn failed<'a>(plan: &Plan, outcome: &'a Outcome) -> Option<(&'a IssueError, String)> {
    let accepted: &Accepted = plan.accepted.as_ref().ok()?;
    let of_issue = outcome.issue_failed.as_ref().map(|error| (error, accepted.attempt.clone()));
    of_issue.or_else(|| outcome.api_key_failed.as_ref().map(|error| (error, api_key_attempt(accepted))))
}
