//! The states of all configs, for the metrics. They are computed at the scrape, because a routine
//! renewal should have nothing to update.

use crate::{
    api::{AwsConfigStatus, ConditionType, Reason, find_condition},
    metrics::{State, States},
    views::Views,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Counts the configs of these views by state.
pub(super) fn states(views: &[Views], now: Timestamp) -> States {
    let mut states = States::default();
    for config in views.iter().flat_map(|views| views.configs.store().state()) {
        count(&mut states, config.status.as_ref(), now);
    }
    states
}

/// Counts one config with this status.
fn count(states: &mut States, status: Option<&AwsConfigStatus>, now: Timestamp) {
    let Some(status) = status else { return states.count(State::NotReady, Reason::Pending) };
    let find = |type_: ConditionType| find_condition(&status.conditions, type_);
    let is = |type_: ConditionType| find(type_).filter(|condition| condition.status == "True").map(reason_of);
    let not_ready = || find(ConditionType::Ready).map_or(Reason::Pending, reason_of);
    let expires_at = status.expires_at.as_ref().map(|at| at.0);
    let (state, reason) = match (is(ConditionType::Ready), is(ConditionType::RenewalFailing)) {
        // While the API server takes no status, the credential expires all the same.
        (Some(_), _) if expires_at.is_some_and(|at| at <= now) => (State::Expired, Reason::Expired),
        (Some(reason), None) => (State::Ready, reason),
        (Some(_), Some(reason)) => (State::RenewalFailing, reason),
        (None, _) => match not_ready() {
            Reason::Expired => (State::Expired, Reason::Expired),
            reason => (State::NotReady, reason),
        },
    };
    states.count(state, reason);
    if status.withdrawal_held.is_some() {
        states.held();
    }
    if let Some(expires_at) = expires_at {
        states.remaining(expires_at.duration_since(now).as_secs());
    }
}

/// The reason of a condition. A reason that a newer release wrote is not in the list; keyturn
/// replaces it at its next reconcile.
fn reason_of(condition: &Condition) -> Reason {
    Reason::named(&condition.reason).unwrap_or(Reason::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn each_config_counts_in_one_state_and_no_time_left_is_negative() {
        let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let ready = condition("Ready", "True", "Issued");
        let failing = condition("RenewalFailing", "True", "Throttled");
        let not_ready = |reason: &str| vec![condition("Ready", "False", reason)];
        let rows = [
            ("never reconciled", None, State::NotReady, Reason::Pending),
            ("without a condition", Some((vec![], Some(60))), State::NotReady, Reason::Pending),
            ("ready", Some((vec![ready.clone()], Some(600))), State::Ready, Reason::Issued),
            ("a key, which does not expire", Some((vec![ready.clone()], None)), State::Ready, Reason::Issued),
            (
                "its renewal fails",
                Some((vec![ready.clone(), failing.clone()], Some(60))),
                State::RenewalFailing,
                Reason::Throttled,
            ),
            ("expired, and not yet withdrawn", Some((not_ready("Expired"), Some(-9))), State::Expired, Reason::Expired),
            (
                "expired, and nobody could write so",
                Some((vec![ready, failing], Some(0))),
                State::Expired,
                Reason::Expired,
            ),
            ("refused", Some((not_ready("NotGranted"), Some(0))), State::NotReady, Reason::NotGranted),
            ("refused by a newer release", Some((not_ready("Moonless"), None)), State::NotReady, Reason::Internal),
        ];
        for (row, status, state, reason) in rows {
            let (mut seen, mut expected) = (States::default(), States::default());
            expected.count(state, reason);
            let left = status.as_ref().and_then(|(_, left): &(Vec<serde_json::Value>, Option<i64>)| *left);
            if let Some(left) = left {
                expected.remaining(left.max(0));
            }
            let status: Option<AwsConfigStatus> = status.map(|(conditions, left)| {
                let at = |left| now.checked_add(jiff::SignedDuration::from_secs(left)).unwrap().to_string();
                from_value(json!({"conditions": conditions, "expiresAt": left.map(at)})).unwrap()
            });
            count(&mut seen, status.as_ref(), now);
            assert_eq!(seen, expected, "{row}");
        }
    }
}
