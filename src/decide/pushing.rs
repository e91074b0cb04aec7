//! The places of `spec.push`: which of them the config may have, and what is to be done about each
//! once the Secret is as planned.

use super::{
    Plan,
    data_robot_access::{NoDataRobot, SeenDataRobot},
    input::{Observed, Remembered},
};
use crate::{
    api::{PushStatus, Reason},
    push::{InSecret, Input, Place, Slot, Step, System, Wanted, recorded},
    schedule,
    secret::Record,
};
use jiff::Timestamp;

/// What the spec asks for, of one kind, as far as the config may have it.
#[must_use]
pub fn wanted_place(seen: &Observed, plan: &Plan, slot: Slot) -> Wanted {
    let asked = seen.config.spec.push.as_deref().and_then(|push| slot.wanted_name(push));
    let Some(name) = asked else { return Wanted::Nothing };
    if slot.system() == System::DataRobot {
        return seen.data_robot.as_ref().map_or(Wanted::Nothing, |seen_it| wanted_in_data_robot(seen, seen_it, name));
    }
    let Ok(accepted) = &plan.accepted else { return Wanted::Unknown };
    let Some(request) = &accepted.dss else { return Wanted::Nothing };
    if !seen.dss.as_ref().is_some_and(|dss| dss.push) {
        return Wanted::Forbidden;
    }
    let (instance, login) = (request.instance.clone(), request.login.clone());
    let place = Place { slot, instance, login, name, token: None };
    if seen.push_taken.contains_key(&slot) { Wanted::Taken(place) } else { Wanted::Place(place) }
}

/// The same of DataRobot. A place whose token is not there stays as it is: nothing can be written
/// or removed without it.
fn wanted_in_data_robot(seen: &Observed, data_robot: &SeenDataRobot, name: String) -> Wanted {
    // Nothing is allowed to a namespace whose labels are not known. That is no decision of an
    // admin, and an entry that is deleted does not get its ID back.
    if seen.namespace_labels.is_none() {
        return Wanted::Unknown;
    }
    match data_robot.usable() {
        Err(NoDataRobot::NotAllowed | NoDataRobot::OwnTokenNotAllowed | NoDataRobot::BeingDeleted) => Wanted::Forbidden,
        Err(NoDataRobot::Missing | NoDataRobot::WithoutToken | NoDataRobot::TokenNotOffered) => Wanted::Unknown,
        Ok(()) => {
            let Some(subject) = seen.config.subject() else { return Wanted::Unknown };
            let (slot, instance, token) = (Slot::DataRobot, data_robot.name.clone(), data_robot.own_token.clone());
            let place = Place { slot, instance, login: subject.to_string(), name, token };
            if seen.push_taken.contains_key(&slot) { Wanted::Taken(place) } else { Wanted::Place(place) }
        }
    }
}

/// The credential in the Secret. `record` is that of the Secret after the plan was carried out;
/// `None` if there is no Secret, or if somebody else edited it.
#[must_use]
pub fn in_secret(plan: &Plan, record: Option<&Record>, now: Timestamp) -> InSecret {
    let accepted = match &plan.accepted {
        Err(refusal) if refusal.withdraws && !plan.is_held() && plan.action().is_some() => return InSecret::Withdrawn,
        Err(_) => return InSecret::Unknown,
        Ok(accepted) => accepted,
    };
    match record {
        // A credential that expired is of no use to anybody, wherever it is.
        Some(record) if record.withdrawn.is_some() && !record.is_withdrawn_for(Reason::Expired) => InSecret::Withdrawn,
        Some(record) if record.is_live(now) && accepted.request.is_answered_by(&record.issue_digest, None) => {
            InSecret::holds(record)
        }
        _ => InSecret::Unknown,
    }
}

/// The next step for each place that needs one. `status` is what is recorded of the places.
#[must_use]
pub fn push_steps(
    seen: &Observed,
    plan: &Plan,
    record: Option<&Record>,
    status: Option<&PushStatus>,
    now: Timestamp,
) -> Vec<(Slot, Step)> {
    if seen.config.spec.push.is_none() && status.is_none() {
        return vec![];
    }
    let in_secret = in_secret(plan, record, now);
    let steps = Slot::ALL.into_iter().filter_map(|slot| {
        let wanted = wanted_place(seen, plan, slot);
        let input = Input { slot, wanted: &wanted, recorded: recorded(status, slot), in_secret: &in_secret };
        Some((slot, input.step()?))
    });
    steps.collect()
}

/// Whether the config can have nothing any more in this instance of DataRobot: neither does status
/// record a place there, nor does the config ask for one.
#[must_use]
pub fn has_left_data_robot(seen: &Observed, instance: &str) -> bool {
    let data_robot = seen.data_robot.as_ref().filter(|data_robot| data_robot.usable().is_ok());
    let asks = data_robot.is_some_and(|data_robot| data_robot.name == instance);
    let recorded = recorded(seen.config.pushed(), Slot::DataRobot);
    !asks && recorded.is_none_or(|place| place.instance != instance)
}

/// The time before which a step is not made; `None` if it is due. A step that failed waits for its
/// next try, and a config that has asked too often waits as it does for a credential.
#[must_use]
pub fn push_waits(remembered: &Remembered, slot: Slot, step: &Step, now: Timestamp) -> Option<Timestamp> {
    let failed = remembered.pushes.get(&slot).filter(|failed| failed.step == *step).map(|failed| failed.until);
    let again = remembered.used_until.map(schedule::asks_again_at);
    let again = again.filter(|_| matches!(step, Step::Claim(_) | Step::Revoke(_) | Step::Remove(_)));
    failed.max(again).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AwsConfig;
    use serde_json::{from_value, json};
    use std::{collections::BTreeMap, sync::Arc};

    #[test]
    fn an_unknown_namespace_takes_no_entry_out_of_datarobot() {
        let config: AwsConfig = from_value(json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
            "metadata": {"name": "c", "namespace": "team-a"},
            "spec": {"person": "alice", "push": {"dataRobot": {"instance": "prod", "name": "alice"}}},
        }))
        .unwrap();
        let instance = json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "DataRobotInstance", "metadata": {"name": "prod"},
            "spec": {"url": "https://robot.test", "tokenSecretRef": {"namespace": "k", "name": "t"}},
        });
        let data_robot = SeenDataRobot {
            name: "prod".to_owned(),
            instance: Some(Arc::new(from_value(instance).unwrap())),
            allowed: None,
            own_token: None,
            token_version: None,
        };
        let mut seen = Observed::of(Arc::new(config), "cluster", Timestamp::UNIX_EPOCH);
        let wanted = |seen: &Observed| wanted_in_data_robot(seen, &data_robot, "alice".to_owned());
        assert_eq!(wanted(&seen), Wanted::Unknown);
        seen.namespace_labels = Some(BTreeMap::new());
        assert_eq!(wanted(&seen), Wanted::Forbidden);
    }
}
