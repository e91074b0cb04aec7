//! The states of all configs at one scrape, by state and reason.

use super::{Metrics, ObjectState, ReasonLabel};
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

/// The times left by which sessions are counted, in seconds. A session of an hour is renewed with
/// 18 minutes left at the latest.
const TIMES_LEFT: [i64; 11] = [0, 300, 600, 900, 1_800, 2_700, 3_600, 7_200, 14_400, 28_800, 43_200];

/// The state of a `DssInstance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DssState {
    /// DSS answers, and keyturn may use the admin key.
    Ready,
    /// DSS does not answer.
    Unreachable,
    /// keyturn cannot use the admin key.
    Unauthorized,
    /// keyturn has not asked yet.
    Pending,
}

impl EncodeLabelValue for DssState {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let name = match self {
            Self::Ready => "ready",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Pending => "pending",
        };
        name.encode(encoder)
    }
}

/// The label of `keyturn_dss_instances`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DssLabels {
    state: DssState,
}

/// The label of `keyturn_credentials_remaining`, as a histogram has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TimeLeftLabels {
    le: String,
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
    /// The sessions with at most as much time left as [`TIMES_LEFT`] says.
    by_time_left: [i64; TIMES_LEFT.len()],
    /// All sessions.
    sessions: i64,
    /// The persons who have a credential.
    persons: i64,
    instances: BTreeMap<DssState, i64>,
    objects: Vec<ObjectState>,
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
        for (count, bound) in self.by_time_left.iter_mut().zip(TIMES_LEFT) {
            *count += i64::from(seconds <= bound);
        }
        self.sessions += 1;
    }

    /// Sets the number of persons who have a credential.
    pub fn persons(&mut self, count: usize) {
        self.persons = i64::try_from(count).unwrap_or(i64::MAX);
    }

    /// Adds the state of one config, for the metrics of each object.
    pub fn object(&mut self, object: ObjectState) {
        self.objects.push(object);
    }

    /// Counts a `DssInstance` in this state.
    pub fn instance(&mut self, state: DssState) {
        *self.instances.entry(state).or_default() += 1;
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
        self.persons.set(states.persons);
        let bounds = TIMES_LEFT.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (le, count) in bounds.zip(states.by_time_left.into_iter().chain([states.sessions])) {
            self.remaining.get_or_create(&TimeLeftLabels { le }).set(count);
        }
        if let Some(objects) = &self.objects {
            objects.set(&states.objects);
        }
        self.dss_instances.clear();
        for (state, count) in &states.instances {
            self.dss_instances.get_or_create(&DssLabels { state: *state }).set(*count);
        }
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

    #[test]
    fn sessions_are_counted_by_the_time_that_is_left() {
        let metrics = Metrics::new();
        let mut states = States::default();
        for seconds in [-5, 600, 601, 50_000] {
            states.remaining(seconds);
        }
        let text = metrics.encode(&states).unwrap();
        for (le, count) in [("0", 1), ("300", 1), ("600", 2), ("900", 3), ("43200", 3), ("+Inf", 4)] {
            let line = format!("keyturn_credentials_remaining{{le=\"{le}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }

    #[test]
    fn an_instance_counts_in_its_present_state_only() {
        let metrics = Metrics::new();
        let lines = |state| {
            let mut states = States::default();
            states.instance(state);
            let text = metrics.encode(&states).unwrap();
            text.lines()
                .filter(|line| line.starts_with("keyturn_dss_instances{"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(DssState::Unreachable), [r#"keyturn_dss_instances{state="unreachable"} 1"#]);
        assert_eq!(lines(DssState::Ready), [r#"keyturn_dss_instances{state="ready"} 1"#]);
    }
}
