//! The states of all configs, for the metrics. They are computed at the scrape, because a routine
//! renewal should have nothing to update.

use crate::{
    api::{AwsConfig, AwsConfigStatus, ConditionType, DssInstanceStatus, Reason, find_condition},
    metrics::{DssState, ObjectState, State, States},
    views::Views,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use std::collections::HashSet;

/// The beginning of the subject that stands for a namespace's shared credential.
const OF_A_NAMESPACE: &str = "system:";

/// Counts the configs of these views by state, the persons who have a credential, and the
/// `DssInstance`s. If `has_objects`, it also has the state of each config.
pub(super) fn states(views: &[Views], has_objects: bool, now: Timestamp) -> States {
    let mut states = States::default();
    let mut persons = HashSet::new();
    for config in views.iter().flat_map(|views| views.configs.all()) {
        let status = config.status.as_ref();
        let state = count(&mut states, status, now);
        if has_objects {
            states.object(object(&config, state));
        }
        if matches!(state, State::Ready | State::RenewalFailing) {
            let subject = status.and_then(|status| status.person.as_deref());
            persons.extend(subject.filter(|subject| !subject.starts_with(OF_A_NAMESPACE)).map(str::to_owned));
        }
    }
    states.persons(persons.len());
    // Every scope has the same view of them.
    for instance in views.first().iter().flat_map(|views| views.instances.all()) {
        states.instance(dss_state(instance.status.as_ref()));
    }
    states
}

/// The state of a `DssInstance` with this status. While DSS does not answer, `Authorized` keeps the
/// value that it had.
fn dss_state(status: Option<&DssInstanceStatus>) -> DssState {
    let find = |type_| status.and_then(|status| find_condition(&status.conditions, type_));
    let is = |type_, wanted: &str| find(type_).is_some_and(|condition| condition.status == wanted);
    let is_asked = find(ConditionType::Reachable).is_some_and(|it| reason_of(it) != Reason::Pending);
    if is_asked && is(ConditionType::Reachable, "False") {
        DssState::Unreachable
    } else if is(ConditionType::Authorized, "False") {
        DssState::Unauthorized
    } else if is(ConditionType::Reachable, "True") && is(ConditionType::Authorized, "True") {
        DssState::Ready
    } else {
        DssState::Pending
    }
}

/// Counts one config with this status, and returns its state.
fn count(states: &mut States, status: Option<&AwsConfigStatus>, now: Timestamp) -> State {
    let Some(status) = status else {
        states.count(State::NotReady, Reason::Pending);
        return State::NotReady;
    };
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
    state
}

/// One config in this state, for the metrics of each object. A credential that was withdrawn has no
/// times.
fn object(config: &AwsConfig, state: State) -> ObjectState {
    let status = config.status.as_ref();
    let seconds = |time: Option<&Time>| time.map(|time| time.0.as_second());
    ObjectState {
        namespace: config.namespace().unwrap_or_default(),
        name: config.name_any(),
        is_ready: matches!(state, State::Ready | State::RenewalFailing),
        expires_at: seconds(status.and_then(|status| status.expires_at.as_ref())),
        renew_at: seconds(status.and_then(|status| status.renew_at.as_ref())),
        issued_at: seconds(status.and_then(|status| status.issued_at.as_ref())),
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
            assert_eq!(count(&mut seen, status.as_ref(), now), state, "{row}");
            assert_eq!(seen, expected, "{row}");
        }
    }

    #[test]
    fn an_instance_has_the_state_that_its_conditions_say() {
        let rows = [
            ("never asked", vec![], DssState::Pending),
            (
                "not asked, for want of a key",
                vec![("Reachable", "False", "Pending"), ("Authorized", "False", "DssDenied")],
                DssState::Unauthorized,
            ),
            (
                "away",
                vec![("Reachable", "False", "DssUnreachable"), ("Authorized", "True", "Authorized")],
                DssState::Unreachable,
            ),
            (
                "away, and denied before",
                vec![("Reachable", "False", "DssUnreachable"), ("Authorized", "False", "DssDenied")],
                DssState::Unreachable,
            ),
            (
                "denied",
                vec![("Reachable", "True", "Reachable"), ("Authorized", "False", "DssDenied")],
                DssState::Unauthorized,
            ),
            (
                "in order",
                vec![("Reachable", "True", "Reachable"), ("Authorized", "True", "Authorized")],
                DssState::Ready,
            ),
        ];
        for (row, conditions, expected) in rows {
            let condition = |(type_, status, reason): &(&str, &str, &str)| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let conditions: Vec<_> = conditions.iter().map(condition).collect();
            let status: DssInstanceStatus = from_value(json!({"conditions": conditions})).unwrap();
            assert_eq!(dss_state(Some(&status)), expected, "{row}");
        }
        assert_eq!(dss_state(None), DssState::Pending);
    }
}
