//! The states of all configs at one scrape, by state and reason.

use super::{Metrics, ReasonLabel};
use crate::api::Reason;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::{collections::BTreeMap, fmt};

/// The state of a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It is ready and its renewal works.
    Ready,
    /// It is ready while renewal fails.
    RenewalFailing,
    /// Its credential has expired, because its renewal failed until then.
    Expired,
    /// It is not ready for another reason.
    NotReady,
}

impl EncodeLabelValue for State {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let name = match self {
            Self::Ready => "ready",
            Self::RenewalFailing => "renewal_failing",
            Self::Expired => "expired",
            Self::NotReady => "not_ready",
        };
        name.encode(encoder)
    }
}

/// The labels of `keyturn_credentials`. Both come from closed lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StateLabels {
    state: State,
    reason: ReasonLabel,
}

/// The number of configs in each state at a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    counts: BTreeMap<(State, Reason), i64>,
    /// The configs whose withdrawal is held back.
    held: i64,
    /// The shortest remaining lifetime of a credential, in seconds. `None` without a credential.
    pub(super) remaining_min_seconds: Option<i64>,
}

impl States {
    /// Counts a config in this state, for this reason.
    pub fn count(&mut self, state: State, reason: Reason) {
        *self.counts.entry((state, reason)).or_default() += 1;
    }

    /// Counts a config whose withdrawal is held back.
    pub fn held(&mut self) {
        self.held += 1;
    }

    /// Takes notice of a credential that is valid for so many seconds. An expired credential has no
    /// second left.
    pub fn remaining(&mut self, seconds: i64) {
        let seconds = seconds.max(0);
        self.remaining_min_seconds = Some(self.remaining_min_seconds.map_or(seconds, |least| least.min(seconds)));
    }
}

impl Metrics {
    /// Sets the gauges of the states. A state and reason that no config has any more has no series,
    /// so that no number is stale. `ready` with `Issued` is always there.
    pub(super) fn set_states(&self, states: &States) {
        self.credentials.clear();
        let none = [((State::Ready, Reason::Issued), 0)];
        for ((state, reason), count) in none.into_iter().chain(states.counts.iter().map(|(key, count)| (*key, *count)))
        {
            self.credentials.get_or_create(&StateLabels { state, reason: ReasonLabel(reason) }).set(count);
        }
        self.withdrawals_held.set(states.held);
        self.remaining_min.set(states.remaining_min_seconds.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_nobody_has_any_more_leaves_no_series_behind() {
        let metrics = Metrics::new();
        let lines = |states: &States| -> Vec<String> {
            let text = metrics.encode(states).unwrap();
            text.lines().filter(|line| line.starts_with("keyturn_credentials{")).map(str::to_owned).collect()
        };
        let mut states = States::default();
        states.count(State::RenewalFailing, Reason::Throttled);
        states.count(State::RenewalFailing, Reason::Throttled);
        let mut failing = lines(&states);
        failing.sort_unstable();
        let ready = |count| format!(r#"keyturn_credentials{{state="ready",reason="Issued"}} {count}"#);
        let throttled = r#"keyturn_credentials{state="renewal_failing",reason="Throttled"} 2"#.to_owned();
        assert_eq!(failing, [ready(0), throttled]);

        let mut states = States::default();
        states.count(State::Ready, Reason::Issued);
        assert_eq!(lines(&states), [ready(1)]);
    }
}
