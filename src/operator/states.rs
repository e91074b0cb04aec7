//! The states of all configs, for the metrics. They are computed at the scrape, because a routine
//! renewal should have nothing to update.

use crate::{
    api::{AwsConfigStatus, ConditionType, Reason, find_condition},
    metrics::States,
    views::Views,
};
use jiff::Timestamp;

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
    let Some(status) = status else {
        states.not_ready += 1;
        return;
    };
    let find = |type_: ConditionType| find_condition(&status.conditions, type_);
    let is = |type_: ConditionType| find(type_).is_some_and(|condition| condition.status == "True");
    let has_expired = || find(ConditionType::Ready).is_some_and(|ready| ready.reason == Reason::Expired.as_str());
    match (is(ConditionType::Ready), is(ConditionType::RenewalFailing)) {
        (true, false) => states.ready += 1,
        (true, true) => states.renewal_failing += 1,
        (false, _) if has_expired() => states.expired += 1,
        (false, _) => states.not_ready += 1,
    }
    if let Some(expires_at) = &status.expires_at {
        // A credential that has expired and could not be withdrawn has no time left.
        let remaining = expires_at.0.duration_since(now).as_secs().max(0);
        states.remaining_min_seconds =
            Some(states.remaining_min_seconds.map_or(remaining, |least| least.min(remaining)));
    }
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
        let rows = [
            ("never reconciled", None, States { not_ready: 1, ..States::default() }),
            ("ready", Some((vec![ready.clone()], 600)), States { ready: 1, ..States::default() }),
            (
                "its renewal fails",
                Some((vec![ready, condition("RenewalFailing", "True", "Throttled")], 60)),
                States { renewal_failing: 1, ..States::default() },
            ),
            (
                "expired, and not yet withdrawn",
                Some((vec![condition("Ready", "False", "Expired")], -9)),
                States { expired: 1, ..States::default() },
            ),
            (
                "refused",
                Some((vec![condition("Ready", "False", "NotGranted")], 0)),
                States { not_ready: 1, ..States::default() },
            ),
        ];
        for (row, status, expected) in rows {
            let mut seen = States::default();
            let left = status.as_ref().map(|(_, left): &(Vec<serde_json::Value>, i64)| (*left).max(0));
            let status: Option<AwsConfigStatus> = status.map(|(conditions, left)| {
                let expires_at = now.checked_add(jiff::SignedDuration::from_secs(left)).unwrap();
                from_value(json!({"conditions": conditions, "expiresAt": expires_at.to_string()})).unwrap()
            });
            count(&mut seen, status.as_ref(), now);
            assert_eq!(seen, States { remaining_min_seconds: left, ..expected }, "{row}");
        }
    }
}
