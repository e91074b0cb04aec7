//! The steps of a push: a place is claimed, filled or emptied.

use super::{
    A_RECONCILE, Access, DataRobotCredential, DssCredential, DssSecrets, NotAsked, Store,
    finalize::{add_data_robot_finalizers, add_finalizers},
    listings::Account,
    own_token,
};
use crate::{
    api::{AwsConfig, Reason, Statement},
    cluster::CallError,
    credentials::{Credentials, IssueError, Retry},
    dss::{DssError, Kind},
    push::{Place, REVOKED, Slot, Step, System, all_recorded, recorded},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
/// the API server, the inner one about the outside system: the ID of the entry, if it has any.
///
/// # Errors
/// [`CallError`] if keyturn could not write a finalizer, or could not read a token. keyturn then
/// changed nothing in the system.
pub async fn step(
    access: Access<'_>,
    config: &AwsConfig,
    step: &Step,
    credential: Option<Pushable<'_>>,
    now: Timestamp,
) -> Result<Result<Option<String>, IssueError>, CallError> {
    let (place, uid) = (step.place(), config.uid().unwrap_or_default());
    let (url, owner) = account_of(access, config, place);
    let account = match place.slot.system() {
        System::Dss => owner.clone(),
        // A write touches one entry only, therefore one reconcile at a time writes to one name.
        System::DataRobot => format!("{owner} {}", place.name),
    };
    let slot = place.slot;
    let what = match step {
        Step::Claim(_) => "looking for",
        Step::Put(_) => "writing",
        Step::Revoke(_) => "making unusable",
        Step::Remove(_) => "removing",
        Step::Release(_) => {
            access.accounts.give_up(&url, &account, (slot, &place.name), &uid);
            return Ok(Ok(None));
        }
    };
    if matches!(step, Step::Remove(_) | Step::Revoke(_)) && !exists(access, place) {
        tracing::error!(%place, "there is no such instance any more: what keyturn wrote there may be left");
        return Ok(Ok(None));
    }
    let store = match store(access, config, place, (url.as_str(), owner.as_str()), now).await? {
        Ok(Some(store)) => store,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    let Some(entered) = access.accounts.enter(&url, &account) else { return Ok(Err(busy(place))) };
    let is_end = matches!(step, Step::Remove(_) | Step::Revoke(_));
    // An entry in DataRobot says whose it is, therefore keyturn withdraws its own in any case. In
    // DSS nothing says it: what is in the place of another config is that config's.
    let is_marked = slot.system() == System::DataRobot;
    let may_write = (is_end && is_marked) || entered.claim(slot, &place.name, &uid, now);
    if !may_write {
        return Ok(if is_end { Ok(None) } else { Err(claimed(place)) });
    }
    let unclaim = || {
        if matches!(step, Step::Claim(_)) {
            entered.give_up(slot, &place.name, &uid);
        }
    };
    let system = place.of_instance();
    if let Err(wait) = access.backoffs.begin(&system, now) {
        unclaim();
        return Ok(Err(away(place, wait)));
    }
    let talk = talk(&store, step, credential);
    let of_pushes = Access { limiter: access.push_limiter, ..access };
    let tried = || format!("{what} the {place}");
    let done = match of_pushes.bounded(&system, tried, A_STEP.min(A_RECONCILE), talk).await {
        Ok(done) => done,
        Err(NotAsked::Late(error)) if slot.system() == System::DataRobot => Err(IssueError::of_data_robot(&error)),
        Err(NotAsked::Late(error)) => Err(IssueError::of_dss(&error)),
        Err(saturated @ NotAsked::Saturated(_)) => {
            unclaim();
            let error = IssueError::from(saturated);
            return Ok(Err(IssueError { why: Statement { reason: unreachable(place), ..error.why }, ..error }));
        }
    };
    let done = done.map_err(|error| match error.retry {
        Retry::Transient | Retry::TransientAfter(_) => {
            let wished = if let Retry::TransientAfter(wished) = error.retry { Some(wished) } else { None };
            let wait = access.backoffs.failed(&system, wished, now);
            IssueError { retry: Retry::TransientAfter(wait), ..error }
        }
        _ => error,
    });
    if !matches!(&done, Err(error) if matches!(error.retry, Retry::TransientAfter(_))) {
        access.backoffs.answered(&system);
    }
    // A place that was not free, or that is empty now, is nobody's.
    if matches!((step, &done), (Step::Claim(_), Err(_)) | (Step::Remove(_), Ok(_))) {
        entered.give_up(slot, &place.name, &uid);
    }
    if done.is_ok() && matches!(step, Step::Claim(_)) {
        match slot.system() {
            System::Dss => add_finalizers(access, config, &place.instance).await?,
            System::DataRobot => add_data_robot_finalizers(access, config, &place.instance).await?,
        }
    }
    Ok(done)
}

/// The URL of a system, and the account in it. An account of DataRobot is known by the Secret with
/// its token, because several instances may have one URL, each with an account of its own.
fn account_of(access: Access<'_>, config: &AwsConfig, place: &Place) -> (String, String) {
    match place.slot.system() {
        System::Dss => {
            let instance = access.views.instances.get("", &place.instance);
            let url = instance.map_or_else(|| place.instance.clone(), |instance| instance.spec.url.clone());
            (url, place.login.clone())
        }
        System::DataRobot => {
            let instance = access.views.data_robots.get("", &place.instance);
            let url = instance.as_ref().map_or_else(|| place.instance.clone(), |it| it.spec.endpoint());
            let namespace = config.namespace().unwrap_or_default();
            let own = place.token.as_ref().map(|token| format!("{namespace}/{}/{}", token.name, token.key));
            let of_instance = || {
                let secret = instance.as_ref()?.spec.token_secret_ref.as_ref()?;
                Some(format!("{}/{}/{}", secret.namespace, secret.name, secret.key))
            };
            (url, own.or_else(of_instance).unwrap_or_default())
        }
    }
}

fn exists(access: Access<'_>, place: &Place) -> bool {
    match place.slot.system() {
        System::Dss => access.views.instances.get("", &place.instance).is_some(),
        System::DataRobot => access.views.data_robots.get("", &place.instance).is_some(),
    }
}

/// The store of a place; `None` if what is there is of no use any more and cannot be reached. The
/// inner error says why keyturn cannot call the system.
async fn store<'a>(
    access: Access<'a>,
    config: &'a AwsConfig,
    place: &'a Place,
    account: (&str, &str),
    now: Timestamp,
) -> Result<Result<Option<Store<'a>>, IssueError>, CallError> {
    if place.slot.system() == System::DataRobot {
        return data_robot(access, config, place, account, now).await;
    }
    let Some(dss) = access.dss_cache.dss(&place.instance) else {
        return Ok(Err(IssueError::not_connected(&place.instance)));
    };
    Ok(Ok(Some(match place.slot {
        Slot::DssSecrets => Store::DssSecrets(DssSecrets { dss, prefix: &place.name }),
        _ => Store::DssCredential(DssCredential { dss, key: &place.name }),
    })))
}

async fn data_robot<'a>(
    access: Access<'a>,
    config: &'a AwsConfig,
    place: &'a Place,
    (url, owner): (&str, &str),
    now: Timestamp,
) -> Result<Result<Option<Store<'a>>, IssueError>, CallError> {
    let not_connected = || {
        let message = format!("{} has not been connected to yet; see its conditions", place.of_instance());
        IssueError::new(Reason::DataRobotUnreachable, Retry::Transient, message)
    };
    let Some(instance) = access.views.data_robots.get("", &place.instance) else { return Ok(Err(not_connected())) };
    let (uid, spec) = (instance.uid().unwrap_or_default(), &instance.spec);
    let this = (place.instance.as_str(), uid.as_str());
    let token = match &place.token {
        None => access.data_robots.token(this).ok_or_else(not_connected),
        Some(named) => {
            let token = own_token(access, &config.namespace().unwrap_or_default(), named).await?;
            if token.is_err() && has_expired(config, place, now) {
                tracing::warn!(%place, "the API token is gone: what keyturn wrote there is left, and has expired");
                return Ok(Ok(None));
            }
            token.map_err(|why| IssueError { why, retry: Retry::Durable })
        }
    };
    let client = access.data_robots.client(this, &spec.endpoint(), spec.ca_bundle.as_deref());
    Ok(match (token, client) {
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(IssueError::new(Reason::InvalidSpec, Retry::Durable, error.to_string())),
        (Ok(token), Ok(client)) => {
            let client = client.with_token(&token);
            let account = Account { listings: access.listings, key: (url.to_owned(), owner.to_owned()), now };
            Ok(Some(Store::DataRobot(DataRobotCredential { client, config, place, account })))
        }
    })
}

/// Whether status records this place with a session that has expired, or with none.
fn has_expired(config: &AwsConfig, place: &Place, now: Timestamp) -> bool {
    let recorded = recorded(config.pushed(), place.slot).filter(|it| Place::of(place.slot, it) == *place);
    recorded.is_some_and(|it| match &it.expires_at {
        Some(Time(at)) => *at <= now,
        None => it.digest.as_deref() == Some(REVOKED),
    })
}

async fn talk(store: &Store<'_>, step: &Step, credential: Option<Pushable<'_>>) -> Result<Option<String>, IssueError> {
    match step {
        Step::Claim(place) => {
            if store.find(&place.login).await? {
                return Err(match store {
                    Store::DataRobot(entry) => entry.taken(),
                    _ => IssueError::new(Reason::PushNameTaken, Retry::Durable, taken(place)),
                });
            }
            Ok(None)
        }
        Step::Put(place) => match credential {
            Some(credential) => store.put(&place.login, credential).await,
            None => Ok(None),
        },
        Step::Revoke(place) => store.revoke(&place.login).await,
        Step::Remove(place) => store.delete(&place.login).await.map(|()| None),
        Step::Release(_) => Ok(None),
    }
}

fn taken(place: &Place) -> String {
    format!(
        "the {place} exist already, and keyturn did not write them for this AwsConfig; keyturn leaves them alone: delete them in \
         DSS, or choose another name in spec.{}",
        place.slot.field()
    )
}

fn claimed(place: &Place) -> IssueError {
    let message = format!(
        "keyturn is about to write the {place} for another AwsConfig; choose another name in spec.{}, or take it out of that \
         AwsConfig",
        place.slot.field()
    );
    IssueError::new(Reason::PushNameTaken, Retry::Durable, message)
}

fn busy(place: &Place) -> IssueError {
    let message = format!(
        "keyturn writes to the account of the {place} for another AwsConfig at the moment; it comes back in seconds"
    );
    IssueError::new(unreachable(place), Retry::Saturated, message)
}

/// The error of a step that is not made yet, because its DSS does not answer other pushes; `None`
/// if DSS may be asked. Nothing is asked here.
#[must_use]
pub fn postponed(access: Access<'_>, step: &Step, now: Timestamp) -> Option<IssueError> {
    let place = step.place();
    let wait = access.backoffs.left(&place.of_instance(), now).filter(|_| !matches!(step, Step::Release(_)))?;
    Some(away(place, wait))
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
fn away(place: &Place, wait: SignedDuration) -> IssueError {
    let message = format!("{} did not answer other pushes; keyturn asks it again within 10 min", place.of_instance());
    IssueError::new(unreachable(place), Retry::TransientAfter(wait), message)
}

fn unreachable(place: &Place) -> Reason {
    match place.slot.system() {
        System::Dss => Reason::DssUnreachable,
        System::DataRobot => Reason::DataRobotUnreachable,
    }
}

/// Removes everything that keyturn pushed for a config that is being deleted. Returns what is left,
/// with the reason.
///
/// # Errors
/// [`CallError`] if keyturn could not read a token.
pub async fn remove_all(
    access: Access<'_>,
    config: &AwsConfig,
    now: Timestamp,
) -> Result<Vec<(Place, IssueError)>, CallError> {
    let mut left = vec![];
    for (slot, pushed) in all_recorded(config.pushed()) {
        let remove = Step::Remove(Place::of(slot, pushed));
        let result = step(access, config, &remove, None, now).await?;
        if let (Err(error), Step::Remove(place)) = (result, remove) {
            left.push((place, error));
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_system_that_has_the_place() {
        for (slot, reason) in [
            (Slot::DssSecrets, Reason::DssUnreachable),
            (Slot::DssConnection, Reason::DssUnreachable),
            (Slot::DataRobot, Reason::DataRobotUnreachable),
        ] {
            let place = Place { slot, ..Place::default() };
            let errors = [busy(&place), away(&place, SignedDuration::ZERO)];
            assert!(errors.iter().all(|error| error.why.reason == reason), "{slot:?}: {errors:?}");
        }
    }
}
