//! What is known after an attempt: what the Secret says of itself now, and the row of failures that goes on or ends.

use super::Done;
use crate::{
    api::Failure,
    clock::whole_seconds,
    credentials::Pace,
    reconcile::{
        decide::{Accepted, Step},
        observed::{Observed, Target},
        schedule,
    },
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What the Secret says of itself, unless somebody edited it: then its word counts for nothing.
pub(super) fn current_record(seen: &Observed, done: &Done) -> Option<Record> {
    match (&done.written, &seen.target) {
        (Some(written), _) => Some(written.record.clone()),
        (None, Target::Ours(ours)) if !ours.is_edited() => ours.record.clone(),
        _ => None,
    }
}

/// A row of failures goes on while the same is tried for the same spec.
pub(super) fn failure(
    seen: &Observed,
    accepted: &Accepted,
    step: &Step,
    done: &Done,
    now: Timestamp,
) -> Option<Failure> {
    let before = seen.config.status.as_ref();
    let same_spec = before.is_some_and(|status| status.observed_generation == seen.config.metadata.generation);
    let known = before.and_then(|status| status.failure.clone());
    let known = known.filter(|failure| same_spec && failure.attempt == accepted.attempt);
    match (&done.issue_failed, step) {
        (Some(error), _) if error.pace == Pace::Slow => {
            let count = known.as_ref().map_or(0, |failure| failure.count).saturating_add(1);
            let now = whole_seconds(now);
            Some(Failure {
                count,
                since: known.map_or(Time(now), |failure| failure.since),
                last_at: Time(now),
                next_attempt_at: Time(now.saturating_add(schedule::slow_delay(count)).unwrap_or(now)),
                attempt: accepted.attempt.clone(),
            })
        }
        (Some(_), _) | (None, Step::Hold { .. } | Step::Withdraw { .. }) => known,
        // A reconcile that did not get as far as an attempt ends no failure either.
        (None, _) if done.call_failed.is_some() || holds_nothing(seen, done) => known,
        _ => None,
    }
}

fn holds_nothing(seen: &Observed, done: &Done) -> bool {
    done.written.is_none() && matches!(seen.target, Target::NotWatched)
}
