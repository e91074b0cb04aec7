//! When to look again: every look ends with the time of the next one.

use super::{
    Done,
    attempt::{current_record, failure},
};
use crate::{
    api::Reason,
    reconcile::{
        decide::{Accepted, Plan, RoleStep, Step, renew_at},
        observed::{Observed, Remembered},
        schedule,
    },
};
use jiff::{SignedDuration, Timestamp};

/// When to look at the object again, whatever else happens.
#[must_use]
pub fn next_look(seen: &Observed, plan: &Plan, done: &Done, remembered: &Remembered, now: Timestamp) -> Timestamp {
    let after = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let record = current_record(seen, done);
    let expiry = record.as_ref().filter(|record| record.withdrawn.is_none()).and_then(|record| record.expires_at);
    let or_expiry = |at: Timestamp| expiry.map_or(at, |expiry| at.min(expiry));
    if let RoleStep::Hold { until } = plan.role {
        return until;
    }
    match (&plan.accepted, &plan.step) {
        (_, Step::LookForTarget | Step::LookInside | Step::LookForRole | Step::LookForSource | Step::LookAtSource) => {
            after(schedule::PENDING)
        }
        (Err(refusal), _) if refusal.reason == Reason::Pending => after(schedule::PENDING),
        (Err(_), _) => or_expiry(after(schedule::RESYNC)),
        _ if done.blocked => after(schedule::FOREIGN_TARGET),
        (Ok(accepted), _) if done.issue_failed.is_some() => {
            or_expiry(next_attempt(seen, accepted, done, remembered, now))
        }
        (Ok(_), Step::Blocked { .. }) => after(schedule::FOREIGN_TARGET),
        (Ok(_), Step::Hold { until }) => or_expiry(*until),
        // Withdrawn for what has changed or for its age: what comes next is decided at once.
        (Ok(_), Step::Withdraw { .. }) => now,
        (Ok(_), _) => match record {
            Some(record) => renew_at(seen, &record).unwrap_or_else(|| after(schedule::RESYNC)),
            None => after(schedule::PENDING),
        },
    }
}

fn next_attempt(
    seen: &Observed,
    accepted: &Accepted,
    done: &Done,
    remembered: &Remembered,
    now: Timestamp,
) -> Timestamp {
    let passing = remembered.passing.as_ref().filter(|passing| passing.attempt == accepted.attempt);
    let slow = || failure(seen, accepted, &Step::Keep, done, now).map(|failure| failure.next_attempt_at.0);
    passing.map(|passing| passing.next_attempt_at).or_else(slow).unwrap_or(now)
}
