//! The states of all configs, for the metrics. They are computed at the scrape, because a routine
//! renewal should have nothing to update.

use crate::{
    api::{ConditionType, find_condition},
    metrics::States,
    views::Views,
};
use jiff::Timestamp;

/// Counts the configs of these views by state.
pub(super) fn states(views: &[Views], now: Timestamp) -> States {
    let mut states = States::default();
    for config in views.iter().flat_map(|views| views.configs.store().state()) {
        let Some(status) = &config.status else {
            states.not_ready += 1;
            continue;
        };
        let is = |type_: ConditionType| {
            find_condition(&status.conditions, type_).is_some_and(|condition| condition.status == "True")
        };
        match (is(ConditionType::Ready), is(ConditionType::RenewalFailing)) {
            (true, false) => states.ready += 1,
            (true, true) => states.renewal_failing += 1,
            (false, _) => states.not_ready += 1,
        }
        if let Some(expires_at) = &status.expires_at {
            // A credential that has expired and could not be withdrawn has no time left.
            let remaining = expires_at.0.duration_since(now).as_secs().max(0);
            states.remaining_min_seconds =
                Some(states.remaining_min_seconds.map_or(remaining, |least| least.min(remaining)));
        }
    }
    states
}
