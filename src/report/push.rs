//! The report on the places of `spec.push`: their part of status, the condition `Pushed`, its
//! Event, and the time of the next step.

use super::{EventNote, Outcome, attempt::current_record};
use crate::{
    api::{AwsConfigStatus, ConditionType, PushStatus, Pushed, Reason, Statement, condition, find_condition, unknown},
    decide::{
        Plan, in_secret,
        input::{Observed, Remembered},
        push_steps, push_waits, wanted_place,
    },
    push::{InSecret, Place, REVOKED, Slot, Step, Wanted, recorded, set_recorded},
    schedule,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The part of status about the places, after the steps of the outcome.
pub(super) fn pushed(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Box<PushStatus>> {
    let before = seen.config.pushed();
    let done = outcome.pushes.iter().filter(|(_, tried)| tried.result.is_ok());
    let mut after = before.cloned().unwrap_or_default();
    for (slot, tried) in done {
        let id = tried.result.as_ref().ok().and_then(Clone::clone);
        let there = match &tried.step {
            Step::Claim(place) => Some(claimed(place)),
            Step::Put(place) => {
                let holds = in_secret(plan, current_record(seen, outcome), now);
                Some(Pushed { credential_id: id, ..holding(place, &holds) })
            }
            Step::Revoke(place) => {
                Some(Pushed { credential_id: id, digest: Some(REVOKED.to_owned()), ..claimed(place) })
            }
            Step::Remove(_) | Step::Release(_) => None,
        };
        set_recorded(&mut after, *slot, there);
    }
    (after != PushStatus::default()).then(|| Box::new(after))
}

/// The record of a place that holds nothing of keyturn yet.
fn claimed(place: &Place) -> Pushed {
    let Place { instance, login, name, token, .. } = place.clone();
    Pushed { instance, login, name, token_secret_ref: token, ..Pushed::default() }
}

fn holding(place: &Place, holds: &InSecret) -> Pushed {
    match holds {
        InSecret::Holds { digest, access_key_id, expires_at } => Pushed {
            access_key_id: Some(access_key_id.clone()),
            digest: Some(digest.clone()),
            expires_at: expires_at.map(Time),
            ..claimed(place)
        },
        _ => claimed(place),
    }
}

/// The condition `Pushed`; `None` if the config asks for no place and has none.
pub(super) fn push_condition(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    status: Option<&PushStatus>,
    now: Timestamp,
) -> Option<Condition> {
    if seen.config.spec.push.is_none() && status.is_none() {
        return None;
    }
    let make =
        |truth, why: &Statement| condition(ConditionType::Pushed, truth, why, seen.config.metadata.generation, now);
    let record = current_record(seen, outcome);
    let in_secret = in_secret(plan, record, now);
    let steps = push_steps(seen, plan, record, status, now);
    let (mut obstacle, mut waits, mut held) = (None, false, vec![]);
    for slot in Slot::ALL {
        let (wanted, there) = (wanted_place(seen, plan, slot), recorded(status, slot));
        let step = steps.iter().find(|(of, _)| *of == slot).map(|(_, step)| step);
        let why = step.and_then(|step| failure(seen, outcome, slot, step));
        let why = why.map(|why| with_what_is_left(why, slot, there));
        let why = why.or_else(|| refusal(seen, slot, &wanted));
        if obstacle.is_none() {
            obstacle = why;
        }
        let is_there = there.is_some_and(|there| there.access_key_id.is_some() && !has_expired(there, now));
        waits |= step.is_some() || (!is_there && !matches!(wanted, Wanted::Nothing));
        held.extend(there.filter(|_| is_there).map(|there| Place::of(slot, there).to_string()));
    }
    if let Some(why) = obstacle {
        return Some(make(false, &why));
    }
    if waits {
        let why = match in_secret {
            InSecret::Holds { .. } => "keyturn is about to write the credential into the places of spec.push",
            _ => "the Secret holds no credential for the places of spec.push",
        };
        return Some(unknown(make(false, &Statement::new(Reason::NotPushed, why))));
    }
    if held.is_empty() {
        return None;
    }
    Some(make(
        true,
        &Statement::new(Reason::Pushed, format!("the credential is in the {}", held.join(", and in the "))),
    ))
}

/// Whether the credential in a place is of no use any more.
fn has_expired(there: &Pushed, now: Timestamp) -> bool {
    there.expires_at.as_ref().is_some_and(|Time(at)| *at <= now)
}

/// Why the step that is next failed, now or before.
fn failure(seen: &Observed, outcome: &Outcome, slot: Slot, step: &Step) -> Option<Statement> {
    let tried = outcome.pushes.iter().find(|(of, tried)| *of == slot && tried.step == *step);
    let now = tried.and_then(|(_, tried)| tried.result.as_ref().err()).filter(|error| error.retry.is_of_a_call());
    let before = seen.remembered.pushes.get(&slot).filter(|failed| failed.step == *step);
    now.map(|error| error.why.clone()).or_else(|| before.and_then(|failed| failed.why.clone()))
}

/// Why the config may not have a place that it asks for.
fn refusal(seen: &Observed, slot: Slot, wanted: &Wanted) -> Option<Statement> {
    if let (Slot::DataRobot, Some(data_robot)) = (slot, &seen.data_robot)
        && let (Wanted::Forbidden | Wanted::Unknown, Err(why)) = (wanted, data_robot.usable())
    {
        return Some(why.statement(&seen.config, data_robot));
    }
    match wanted {
        Wanted::Forbidden => {
            let instance = seen.config.spec.dss.as_ref().map(|dss| dss.instance.as_str()).unwrap_or_default();
            let message = format!(
                "DssInstance \"{instance}\" does not let keyturn write into the account of the login; a cluster admin can set push: true \
                 in the entry of its spec.allow that is about this namespace and person"
            );
            Some(Statement::new(Reason::PushRefused, message))
        }
        Wanted::Taken(_) => {
            let other = seen.push_taken.get(&slot)?;
            let message = format!(
                "spec.{} names a place of AwsConfig {other}, which has the same account in {}; choose another name, or take it out of \
                 that AwsConfig",
                slot.field(),
                slot.system().as_str()
            );
            Some(Statement::new(Reason::PushNameTaken, message))
        }
        Wanted::Nothing | Wanted::Place(_) | Wanted::Unknown => None,
    }
}

/// The statement, with what is still in the place, and until when it works.
fn with_what_is_left(why: Statement, slot: Slot, there: Option<&Pushed>) -> Statement {
    let Some((there, key)) = there.and_then(|there| Some((there, there.access_key_id.as_ref()?))) else { return why };
    let until = match &there.expires_at {
        Some(Time(at)) => format!("which works until {at}"),
        None => "which works until it is deactivated in IAM".to_owned(),
    };
    let place = Place::of(slot, there);
    Statement { message: format!("{}. {key} is still in the {place}, {until}", why.message), ..why }
}

/// The time of the next step; `None` if there is none before the next issue.
pub(super) fn next_push(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    remembered: &Remembered,
    now: Timestamp,
) -> Option<Timestamp> {
    let status = pushed(seen, plan, outcome, now);
    let later = |wait| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let progress = outcome.pushes.iter().any(|(_, tried)| tried.result.is_ok());
    let soon = if progress { now } else { later(schedule::PENDING) };
    let steps = push_steps(seen, plan, current_record(seen, outcome), status.as_deref(), now);
    let of_steps = steps.iter().map(|(slot, step)| push_waits(remembered, *slot, step, now).unwrap_or(soon));
    let waits_for_another = seen.push_taken.keys().map(|_| later(schedule::RESYNC));
    // A config that left a place keeps its finalizer for one more reconcile.
    let left = outcome.pushes.iter().any(|(_, tried)| tried.result.is_ok() && matches!(tried.step, Step::Remove(_)));
    of_steps.chain(waits_for_another).chain(left.then_some(now)).min()
}

/// The note about a failure, and about its end. The first success is no news.
pub(super) fn push_note(before: &AwsConfigStatus, after: &AwsConfigStatus) -> Option<EventNote> {
    let find = |status: &AwsConfigStatus| find_condition(&status.conditions, ConditionType::Pushed).cloned();
    let (former, said) = (find(before), find(after)?);
    let was_failing = former.as_ref().is_some_and(|former| former.status == "False");
    let is_same =
        former.as_ref().is_some_and(|former| (&former.status, &former.reason) == (&said.status, &said.reason));
    let warning = said.status == "False";
    let is_news = (warning && !is_same) || (said.status == "True" && was_failing);
    is_news.then_some(EventNote { warning, reason: said.reason, action: "Push", note: said.message })
}

/// The trouble that a failure is, in one word.
pub(super) fn push_trouble(conditions: &[Condition]) -> Option<&Condition> {
    find_condition(conditions, ConditionType::Pushed).filter(|condition| condition.status == "False")
}
