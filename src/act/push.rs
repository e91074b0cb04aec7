//! The steps for the places of `spec.push`, after the Secret was written. No failure of them fails
//! the reconcile or delays a renewal.

use super::verify::{InHand, in_secret};
use crate::{
    act::Context,
    cluster::CallError,
    credentials::{Credentials, IssueError, Retry},
    decide::{Plan, has_left_data_robot, input::Observed, push_steps, push_waits},
    limit::{Budget, Place},
    push::{Slot, Step, Tried},
    report::{Outcome, current_record},
    secret::Record,
    stores::{self, Pushable},
};
use kube::ResourceExt as _;

/// The steps that were made.
#[derive(Default)]
pub(super) struct Pushes {
    pub(super) tried: Vec<(Slot, Tried)>,
    /// Whether a system was asked for something that is not a renewal that is due.
    pub(super) asked: bool,
    pub(super) call_failed: Option<CallError>,
}

/// Makes the steps that are due, one for each place. `is_due` says whether the credential was
/// renewed because it was due. Without the credential in memory, keyturn reads the Secret.
pub(super) async fn push(
    context: &Context,
    budget: &Budget,
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    in_hand: Option<&InHand>,
    is_due: bool,
) -> Pushes {
    let mut pushes = Pushes::default();
    let record = current_record(seen, outcome);
    let now = context.clock.now();
    let mut steps = push_steps(seen, plan, record, seen.config.pushed(), now);
    steps.retain(|(slot, step)| push_waits(&seen.remembered, *slot, step, now).is_none());
    let mut read = None;
    for (slot, step) in steps {
        // Nothing is asked, therefore nothing counts. The words of the store stay in the condition.
        if let Some(error) = stores::postponed(context.stores(budget), &step, now) {
            let said = seen.remembered.pushes.get(&slot).filter(|failed| failed.step == step);
            let why = said.and_then(|failed| failed.why.clone()).unwrap_or_else(|| error.why.clone());
            pushes.tried.push((slot, Tried { step, result: Err(IssueError { why, ..error }) }));
            continue;
        }
        let _place = match turn(context, seen, &step, is_due && in_hand.is_some()) {
            Ok(place) => place,
            Err(error) => {
                pushes.tried.push((slot, Tried { step, result: Err(error) }));
                continue;
            }
        };
        pushes.asked |= !is_due && !matches!(step, Step::Release(_));
        let credential = match (&step, record) {
            (Step::Put(_), Some(record)) => match credential(context, seen, record, in_hand, &mut read).await {
                Ok(Some(credentials)) => Some(Pushable { credentials, expires_at: record.expires_at }),
                // The Secret holds something else by now. A watch event enqueues the config.
                Ok(None) => continue,
                Err(error) => {
                    let error = IssueError::new(error.statement().reason, Retry::Transient, error.to_string());
                    pushes.tried.push((slot, Tried { step, result: Err(error) }));
                    continue;
                }
            },
            _ => None,
        };
        let made = stores::step(context.stores(budget), &seen.config, &step, credential, now).await;
        let result = match made {
            Ok(result) => result,
            Err(error) => {
                pushes.call_failed = Some(error);
                break;
            }
        };
        if result.as_ref().err().is_none_or(|error| error.retry.is_of_a_call()) {
            context.metrics.pushed(slot, result.is_ok());
        }
        tell(slot, &step, &result, record);
        pushes.tried.push((slot, Tried { step, result }));
    }
    if pushes.call_failed.is_none() {
        let has_left = |instance: &str| has_left_data_robot(seen, instance);
        pushes.call_failed = stores::leave_data_robots(context.stores(budget), &seen.config, has_left).await.err();
    }
    pushes
}

/// Takes a turn to ask the system. A renewal that is due does not wait for its turn, and a place is
/// given up without a question.
fn turn(context: &Context, seen: &Observed, step: &Step, is_due: bool) -> Result<Option<Place>, IssueError> {
    match step {
        Step::Release(_) => Ok(None),
        _ if is_due => Ok(Some(context.turns.take_due(&seen.config.namespace().unwrap_or_default()))),
        _ => context.take_turn(&seen.config, 1).map(Some),
    }
}

async fn credential<'a>(
    context: &Context,
    seen: &Observed,
    record: &Record,
    in_hand: Option<&'a InHand>,
    read: &'a mut Option<Credentials>,
) -> Result<Option<&'a Credentials>, CallError> {
    if let Some(in_hand) = in_hand {
        return Ok(Some(&in_hand.credentials));
    }
    if read.is_none() {
        *read = in_secret(context, seen, record).await?;
    }
    Ok(read.as_ref())
}

/// Writes a step to the log.
fn tell(slot: Slot, step: &Step, result: &Result<Option<String>, IssueError>, record: Option<&Record>) {
    let (place, what) = match step {
        Step::Claim(place) => (place, "found a place of spec.push free"),
        Step::Put(place) => (place, "pushed the credential"),
        Step::Revoke(place) => (place, "made unusable what was pushed"),
        Step::Remove(place) => (place, "removed what was pushed"),
        Step::Release(_) => return,
    };
    let (instance, login, name, store) = (&place.instance, &place.login, &place.name, slot.as_str());
    let access_key_id = record.map(|record| record.access_key_id.as_str()).unwrap_or_default();
    match result {
        Ok(_) => tracing::info!(store, instance, login, name, access_key_id, "{what}"),
        Err(error) => tracing::debug!(store, instance, login, name, %error, "a push failed"),
    }
}
