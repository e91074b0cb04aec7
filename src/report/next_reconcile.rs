//! The time of the next reconcile. Every reconcile ends with one, because a lost watch event must
//! not lose anything.

use super::{
    Outcome,
    attempt::{current_record, failed, failure},
    dss::dss,
    profiles::next_of_profiles,
    push::next_push,
    verification::next_trial,
};
use crate::{
    api::Reason,
    decide::{
        Confirmation, Next, Plan, SecretAction, check_at,
        input::{Observed, Remembered},
        renew_at,
    },
    dss_keys::ApiKeyPlan,
    schedule,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The time of the next reconcile, if no watch event enqueues the config sooner.
#[must_use]
pub fn next_reconcile(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    remembered: &Remembered,
    now: Timestamp,
) -> Timestamp {
    let after = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let record = current_record(seen, outcome);
    let expiry = record.filter(|record| record.withdrawn.is_none()).and_then(|record| record.expires_at);
    let or_expiry = |at: Timestamp| expiry.map_or(at, |expiry| at.min(expiry));
    let confirmation = Confirmation::of(seen, now).and_then(|confirmation| confirmation.next_moment(now));
    let confirmation = confirmation.unwrap_or(Timestamp::MAX);
    let until_next_profile = next_of_profiles(seen, plan, outcome, remembered, now).unwrap_or(Timestamp::MAX);
    let until_next_key = of_api_keys(seen, plan, outcome, remembered, now).unwrap_or(Timestamp::MAX);
    let at = match (&plan.accepted, &plan.next) {
        (_, Next::Read(_)) => after(schedule::PENDING),
        (Err(refusal), _) if refusal.why.reason == Reason::Pending => after(schedule::PENDING),
        (Err(_), Next::Do(SecretAction::Hold { until, .. } | SecretAction::Profiles { held: Some((until, _)) })) => {
            (*until).min(after(schedule::RESYNC))
        }
        (Err(_), _) => or_expiry(after(schedule::RESYNC)),
        _ if outcome.blocked => after(schedule::FOREIGN_TARGET),
        (Ok(_), _) if outcome.issue_failed.is_some() => or_expiry(next_attempt(seen, plan, outcome, remembered, now)),
        (Ok(_), Next::Do(SecretAction::Blocked(_))) => after(schedule::FOREIGN_TARGET),
        (Ok(_), Next::Do(SecretAction::Hold { until, .. } | SecretAction::Profiles { held: Some((until, _)) })) => {
            or_expiry(*until)
        }
        // After a withdrawal because of a change or an expiry, keyturn decides the next step at
        // once.
        (Ok(_), Next::Do(SecretAction::Withdraw(_))) => now,
        (Ok(_), _) => match record {
            Some(record) => renew_at(seen, record)
                .or_else(|| check_at(seen, record).map(|at| if at > now { at } else { after(schedule::PENDING) }))
                .unwrap_or_else(|| after(schedule::RESYNC)),
            None => after(schedule::PENDING),
        },
    };
    let next_trial = next_trial(seen, plan, outcome, remembered, now).unwrap_or(Timestamp::MAX);
    let next_push = next_push(seen, plan, outcome, remembered, now).unwrap_or(Timestamp::MAX);
    at.min(until_next_profile).min(until_next_key).min(confirmation).min(next_trial).min(next_push)
}

/// The time at which keyturn next tries to obtain or delete an API key of DSS; `None` if nothing is
/// to be done.
fn of_api_keys(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    remembered: &Remembered,
    now: Timestamp,
) -> Option<Timestamp> {
    if outcome.api_key.surplus_failed.is_some() {
        return now.saturating_add(schedule::durable_delay(1)).ok();
    }
    let again = match &plan.api_key {
        ApiKeyPlan::Hold { until, .. } => Some(*until),
        _ if outcome.api_key.failed.is_some() => Some(next_attempt(seen, plan, outcome, remembered, now)),
        _ => None,
    };
    let recorded = dss(seen, plan, outcome, now);
    let ends = recorded.iter().flat_map(|dss| &dss.keys).filter_map(|key| key.delete_at.as_ref());
    let end = ends.map(|Time(at)| *at).min();
    // If a key is still there after the time of its deletion, keyturn retries after a wait, and not
    // at once.
    let end = end.map(|at| if at > now { at } else { now.saturating_add(schedule::durable_delay(1)).unwrap_or(at) });
    again.into_iter().chain(end).min()
}

fn next_attempt(seen: &Observed, plan: &Plan, outcome: &Outcome, remembered: &Remembered, now: Timestamp) -> Timestamp {
    let attempt = failed(plan, outcome).map(|(_, attempt)| attempt).unwrap_or_default();
    let transient = remembered.transient.as_ref().filter(|backoff| backoff.attempt == attempt);
    let durable = || failure(seen, plan, outcome, now).map(|failure| failure.next_attempt_at.0);
    transient.map(|backoff| backoff.next_attempt_at).or_else(durable).unwrap_or(now)
}
