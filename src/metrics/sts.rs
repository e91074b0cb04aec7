//! The metrics of the budget of STS: who waits, for how long, and the rate in force.

use super::Metrics;
use crate::limit::{Lane, Snapshot, Waited};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::sync::{Arc, atomic::AtomicU64};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

/// The metrics of the budget. Clones share them.
#[derive(Clone)]
pub(super) struct StsMetrics {
    waiting: Family<LaneLabels, Gauge>,
    too_late: Gauge,
    rate: Gauge<f64, AtomicU64>,
    wait_seconds: Family<LaneLabels, Histogram>,
}

impl StsMetrics {
    /// Metrics that are all zero, in the registry.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let buckets = || Histogram::new([0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0]);
        let metrics = Self {
            waiting: Family::default(),
            too_late: Gauge::default(),
            rate: Gauge::default(),
            wait_seconds: Family::new_with_constructor(buckets),
        };
        registry.register("sts_waiting", "AwsConfigs that wait for a call to STS", metrics.waiting.clone());
        registry.register(
            "sts_renewals_too_late",
            "Renewals that wait for STS and whose credential will expire before their turn, at the present pace",
            metrics.too_late.clone(),
        );
        registry.register(
            "sts_rate_per_second",
            "The calls to STS in a second that keyturn makes at most now; 0 while STS cannot be reached",
            metrics.rate.clone(),
        );
        registry.register(
            "sts_wait_seconds",
            "How long a call waited for its turn, in seconds",
            metrics.wait_seconds.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// A callback for [`crate::limit::StsBudget`] that counts a turn and the time of its wait.
    #[must_use]
    pub fn sts_waited(&self) -> Waited {
        let waits = self.sts.wait_seconds.clone();
        Arc::new(move |lane, waited| {
            waits.get_or_create(&LaneLabels { lane: lane.as_str() }).observe(waited.as_secs_f64());
        })
    }

    /// Sets the gauges of the budget.
    pub fn sts_budget(&self, snapshot: &Snapshot) {
        for (lane, waiting) in Lane::ALL.into_iter().zip(snapshot.waiting) {
            let gauge = self.sts.waiting.get_or_create_owned(&LaneLabels { lane: lane.as_str() });
            gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
        self.sts.too_late.set(i64::try_from(snapshot.too_late).unwrap_or(i64::MAX));
        self.sts.rate.set(snapshot.rate);
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        limit::{Lane, Snapshot, Weather},
        metrics::{Metrics, States},
    };
    use std::time::Duration;

    #[test]
    fn the_budget_of_sts_shows_who_waits_how_long_and_its_rate() {
        let metrics = Metrics::new();
        metrics.sts_waited()(Lane::Renewal, Duration::from_secs(7));
        metrics.sts_budget(&Snapshot {
            waiting: [3, 20, 0],
            too_late: 5,
            rate: 12.5,
            under_way: 4,
            weather: Weather::Throttling,
        });
        let text = metrics.encode(&States::default()).unwrap();
        for line in [
            "keyturn_sts_waiting{lane=\"first\"} 3",
            "keyturn_sts_waiting{lane=\"renewal\"} 20",
            "keyturn_sts_waiting{lane=\"other\"} 0",
            "keyturn_sts_renewals_too_late 5",
            "keyturn_sts_rate_per_second 12.5",
            "keyturn_sts_wait_seconds_sum{lane=\"renewal\"} 7.0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
    }
}
