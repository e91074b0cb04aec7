//! The steps of a push: a place is claimed, filled or emptied.

use super::{A_RECONCILE, Access, DssCredential, DssSecrets, NotAsked, Store, api_key::add_finalizers};
use crate::{
    api::{AwsConfig, Reason, Statement},
    cluster::CallError,
    credentials::{Credentials, IssueError, Retry},
    dss::{Dss, DssError, Kind},
    push::{Place, Slot, Step, all_recorded},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use std::time::Duration;

/// The longest time of one step. The status of the config is written after it.
const A_STEP: Duration = Duration::from_secs(10);

/// A credential to push.
#[derive(Clone, Copy)]
pub struct Pushable<'a> {
    /// Its values.
    pub credentials: &'a Credentials,
    /// The time at which it expires; `None` for a key.
    pub expires_at: Option<Timestamp>,
}

/// Makes a step for a place. `credential` is what a [`Step::Put`] writes. The outer result is about
/// the API server, the inner one about DSS.
///
/// # Errors
/// [`CallError`] if keyturn could not write a finalizer. keyturn then changed nothing in DSS.
pub async fn step(
    access: Access<'_>,
    config: &AwsConfig,
    slot: Slot,
    step: &Step,
    credential: Option<Pushable<'_>>,
    now: Timestamp,
) -> Result<Result<(), IssueError>, CallError> {
    let (place, uid) = (step.place(), config.uid().unwrap_or_default());
    let instance = access.views.instances.get("", &place.instance);
    let url = instance.as_ref().map_or(place.instance.as_str(), |instance| instance.spec.url.as_str());
    let what = match step {
        Step::Claim(_) => "looking for",
        Step::Put(_) => "writing",
        Step::Remove(_) => "removing",
        Step::Release(_) => {
            access.accounts.give_up(url, &place.login, (slot, &place.name), &uid);
            return Ok(Ok(()));
        }
    };
    if matches!(step, Step::Remove(_)) && instance.is_none() {
        let (instance, login, name) = (&place.instance, &place.login, &place.name);
        let slot = slot.as_str();
        tracing::error!(
            instance,
            login,
            name,
            slot,
            "there is no such DssInstance any more: what keyturn wrote for this login may be left in DSS"
        );
        return Ok(Ok(()));
    }
    let Some(dss) = access.dss_cache.dss(&place.instance) else {
        return Ok(Err(IssueError::not_connected(&place.instance)));
    };
    let Some(account) = access.accounts.enter(url, &place.login) else { return Ok(Err(busy(place))) };
    if !account.claim(slot, &place.name, &uid, now) {
        // What is in the place is the other config's.
        let is_over = matches!(step, Step::Remove(_));
        return Ok(if is_over { Ok(()) } else { Err(claimed(slot, place)) });
    }
    if let Err(wait) = access.backoffs.begin(&place.instance, now) {
        return Ok(Err(away(&place.instance, wait)));
    }
    let store = store(slot, place, dss);
    let talk = talk(&store, step, slot, place, credential);
    let what = format!("{what} the {} {place}", slot.described(&place.name));
    let of_pushes = Access { limiter: access.push_limiter, ..access };
    let done = match of_pushes.within(&place.instance, &what, A_STEP.min(A_RECONCILE), talk).await {
        Ok(done) => done,
        Err(NotAsked::Late(error)) => Err(IssueError::of_dss(&error)),
        Err(saturated @ NotAsked::Saturated(_)) => return Ok(Err(saturated.into())),
    };
    let done = done.map_err(|error| match error.retry {
        Retry::Transient | Retry::TransientAfter(_) => {
            let wished = if let Retry::TransientAfter(wished) = error.retry { Some(wished) } else { None };
            let wait = access.backoffs.failed(&place.instance, wished, now);
            IssueError { retry: Retry::TransientAfter(wait), ..error }
        }
        _ => error,
    });
    if !matches!(&done, Err(error) if matches!(error.retry, Retry::TransientAfter(_))) {
        access.backoffs.answered(&place.instance);
    }
    // A place that was not free, or that is empty now, is nobody's.
    if matches!((step, &done), (Step::Claim(_), Err(_)) | (Step::Remove(_), Ok(()))) {
        account.give_up(slot, &place.name, &uid);
    }
    if done.is_ok() && matches!(step, Step::Claim(_)) {
        add_finalizers(access, config, &place.instance).await?;
    }
    Ok(done)
}

fn store(slot: Slot, place: &Place, dss: Dss) -> Store<'_> {
    match slot {
        Slot::DssSecrets => Store::DssSecrets(DssSecrets { dss, prefix: &place.name }),
        Slot::DssConnection | Slot::DssPlugin => Store::DssCredential(DssCredential { dss, key: &place.name }),
    }
}

async fn talk(
    store: &Store<'_>,
    step: &Step,
    slot: Slot,
    place: &Place,
    credential: Option<Pushable<'_>>,
) -> Result<(), IssueError> {
    match step {
        Step::Claim(_) => {
            let is_there = store.find(&place.login).await.map_err(|error| failed(&error))?;
            if is_there {
                return Err(IssueError::new(Reason::PushNameTaken, Retry::Durable, taken(slot, place)));
            }
            Ok(())
        }
        Step::Put(_) => match credential {
            Some(credential) => store.put(&place.login, credential).await,
            None => Ok(()),
        },
        Step::Remove(_) => store.delete(&place.login).await.map_err(|error| failed(&error)),
        Step::Release(_) => Ok(()),
    }
}

fn taken(slot: Slot, place: &Place) -> String {
    format!(
        "the {} {place} exist already, and keyturn did not write them for this AwsConfig; keyturn leaves them alone: delete them in \
         DSS, or choose another name in spec.{}",
        slot.described(&place.name),
        slot.field()
    )
}

fn claimed(slot: Slot, place: &Place) -> IssueError {
    let message = format!(
        "keyturn is about to write the {} {place} for another AwsConfig; choose another name in spec.{}, or take it out of that \
         AwsConfig",
        slot.described(&place.name),
        slot.field()
    );
    IssueError::new(Reason::PushNameTaken, Retry::Durable, message)
}

fn busy(place: &Place) -> IssueError {
    let message =
        format!("keyturn writes to the account {place} for another AwsConfig at the moment; it comes back in seconds");
    IssueError::new(Reason::DssUnreachable, Retry::Saturated, message)
}

/// The error of a step that is not made yet, because its DSS does not answer other pushes; `None`
/// if DSS may be asked. Nothing is asked here.
#[must_use]
pub fn postponed(access: Access<'_>, step: &Step, now: Timestamp) -> Option<IssueError> {
    let instance = &step.place().instance;
    let wait = access.backoffs.left(instance, now).filter(|_| !matches!(step, Step::Release(_)))?;
    Some(away(instance, wait))
}

/// The error of a call about a place. A refusal has a reason of its own, because the admin key may
/// be in order.
pub(super) fn failed(error: &DssError) -> IssueError {
    if error.kind == Kind::NoRoute {
        let message = format!(
            "this release of DSS seems to lack a route that keyturn needs: {error}; keyturn does not write the whole user instead, because \
             that could undo what an administrator changes at the same time; a DSS admin upgrades DSS, or take the place out of spec.push"
        );
        return IssueError::new(Reason::PushRefused, Retry::Durable, message);
    }
    let failed = IssueError::of_dss(error);
    if failed.why.reason == Reason::DssDenied && error.kind != Kind::Unauthenticated {
        return IssueError { why: Statement { reason: Reason::PushRefused, ..failed.why }, ..failed };
    }
    failed
}

/// The message names no time, because a message that changes costs a write of status at each try.
fn away(instance: &str, wait: SignedDuration) -> IssueError {
    let message =
        format!("DssInstance \"{instance}\" did not answer other pushes; keyturn asks it again within 10 min");
    IssueError::new(Reason::DssUnreachable, Retry::TransientAfter(wait), message)
}

/// The instances that may still hold something that keyturn pushed for a config, as status records
/// it.
fn left_in_place(config: &AwsConfig) -> impl Iterator<Item = (Slot, Place)> + '_ {
    all_recorded(config.pushed()).map(|(slot, pushed)| (slot, Place::of(pushed)))
}

/// Removes everything that keyturn pushed for a config that is being deleted. Returns what is left,
/// with the reason.
///
/// # Errors
/// Never of the API server, because a removal writes no finalizer; the type is that of [`step`].
pub async fn remove_all(
    access: Access<'_>,
    config: &AwsConfig,
    now: Timestamp,
) -> Result<Vec<(Slot, Place, IssueError)>, CallError> {
    let mut left = vec![];
    for (slot, place) in left_in_place(config) {
        let remove = Step::Remove(place);
        let result = step(access, config, slot, &remove, None, now).await?;
        if let (Err(error), Step::Remove(place)) = (result, remove) {
            left.push((slot, place, error));
        }
    }
    Ok(left)
}
