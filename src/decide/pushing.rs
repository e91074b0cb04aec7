//! The places of `spec.push`: which of them the config may have, and what is to be done about each
//! once the Secret is as planned.

use super::{
    Plan,
    input::{Observed, Remembered},
};
use crate::{
    api::{PushStatus, Reason},
    push::{InSecret, Input, Place, Slot, Step, Wanted, recorded},
    schedule,
    secret::Record,
};
use jiff::Timestamp;

/// What the spec asks for, of one kind, as far as the config may have it.
#[must_use]
pub fn wanted_place(seen: &Observed, plan: &Plan, slot: Slot) -> Wanted {
    let asked = seen.config.spec.push.as_deref().and_then(|push| slot.wanted_name(push));
    let Some(name) = asked else { return Wanted::Nothing };
    let Ok(accepted) = &plan.accepted else { return Wanted::Unknown };
    let Some(request) = &accepted.dss else { return Wanted::Nothing };
    if !seen.dss.as_ref().is_some_and(|dss| dss.push) {
        return Wanted::Forbidden;
    }
    let place = Place { instance: request.instance.clone(), login: request.login.clone(), name };
    if seen.push_taken.contains_key(&slot) { Wanted::Taken(place) } else { Wanted::Place(place) }
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
        let input = Input { wanted: &wanted, recorded: recorded(status, slot), in_secret: &in_secret };
        Some((slot, input.step()?))
    });
    steps.collect()
}

/// The time before which a step is not made; `None` if it is due. A step that failed waits for its
/// next try, and a config that has asked too often waits as it does for a credential.
#[must_use]
pub fn push_waits(remembered: &Remembered, slot: Slot, step: &Step, now: Timestamp) -> Option<Timestamp> {
    let failed = remembered.pushes.get(&slot).filter(|failed| failed.step == *step).map(|failed| failed.until);
    let again = remembered.used_until.map(schedule::asks_again_at);
    let again = again.filter(|_| matches!(step, Step::Claim(_) | Step::Remove(_)));
    failed.max(again).filter(|until| *until > now)
}
