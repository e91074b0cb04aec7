//! Deletes surplus API keys in DSS, and then removes the finalizers of stores that are empty.

use super::{A_RECONCILE, Access, DssKeys, Entry, NotAsked};
use crate::{
    api::{AwsConfig, DssKey, Statement},
    cluster::CallError,
    credentials::IssueError,
    dss::DssError,
    dss_keys::{ApiKeyOutcome, DeletedKey, SurplusKeys, key_label},
    finalizers,
};
use kube::ResourceExt as _;

/// Deletes the surplus keys of a plan. Failures of DSS become part of the outcome.
///
/// # Errors
/// [`CallError`] if keyturn could not remove a finalizer.
pub async fn delete_surplus(
    access: Access<'_>,
    config: &AwsConfig,
    plan: &[SurplusKeys],
    outcome: &mut ApiKeyOutcome,
) -> Result<(), CallError> {
    let mut empty = vec![];
    for place in plan {
        let mut stay = place.stay.clone();
        // The key that keyturn just obtained stays. It is in the instance that the config names,
        // and that is none of those that the config leaves.
        let obtained = outcome.held.as_ref().filter(|_| !place.leave);
        stay.extend(obtained.map(|held| held.record.key.clone()));
        match delete_in(access, config, place, &stay, &mut outcome.deleted).await {
            Ok(()) if place.leave => empty.push(place.instance.as_str()),
            Ok(()) => {}
            Err(not_asked) => {
                let error = IssueError::from(not_asked);
                if error.retry.is_of_a_call() {
                    let instance = &place.instance;
                    tracing::warn!(instance, %error, "API keys could not be deleted in DSS; it will be tried again");
                }
                outcome.surplus_failed = Some(error);
            }
        }
    }
    // This reads the config again, because keyturn may have added a finalizer to it meanwhile.
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    match access.views.configs.get(&namespace, &name) {
        Some(current) => remove_finalizers(access, &current, &empty).await,
        None => Ok(()),
    }
}

/// The rest of the cleanup of a config that is being deleted.
#[derive(Debug, Default)]
pub struct Remaining {
    /// The reason why keyturn could not delete keys yet. keyturn retries.
    pub waits: Option<Statement>,
    /// The instances in which keys may remain for good, each with the reason.
    pub given_up: Vec<(String, String)>,
}

/// Deletes all keys of a config that is being deleted, and removes its finalizers for the instances
/// that hold none any more. The finalizers for the instances in `holding` stay, because something
/// else of the config is left there. `gives_up` says whether keyturn no longer waits for a DSS that
/// refuses.
///
/// # Errors
/// [`CallError`] if keyturn could not remove a finalizer.
pub async fn delete_all(
    access: Access<'_>,
    config: &AwsConfig,
    holding: &[String],
    gives_up: bool,
) -> Result<Remaining, CallError> {
    let (mut empty, mut left) = (vec![], Remaining::default());
    for instance in finalizers::key_places(config) {
        let exists = access.views.instances.get("", instance).is_some();
        let place = SurplusKeys { instance: instance.to_owned(), exists, stay: vec![], leave: true };
        match delete_in(access, config, &place, &[], &mut vec![]).await {
            Ok(()) if holding.iter().any(|other| other == instance) => {}
            Ok(()) => empty.push(instance),
            Err(NotAsked::Late(error)) if gives_up => {
                left.given_up.push((instance.to_owned(), error.to_string()));
                empty.push(instance);
            }
            // keyturn does not give up a DSS that it has not asked, because that DSS has not
            // refused.
            Err(not_asked) => left.waits = Some(IssueError::from(not_asked).why),
        }
    }
    remove_finalizers(access, config, &empty).await?;
    Ok(left)
}

/// Removes the finalizers of a config for the instances of DataRobot in which it has nothing any
/// more (`has_left`).
///
/// # Errors
/// [`CallError`] if keyturn could not remove a finalizer.
pub async fn leave_data_robots(
    access: Access<'_>,
    config: &AwsConfig,
    has_left: impl Fn(&str) -> bool,
) -> Result<(), CallError> {
    let left = finalizers::credential_places(config).filter(|instance| has_left(instance));
    let left: Vec<String> = left.map(finalizers::of_credentials_in).collect();
    remove_these(access, config, &left).await
}

async fn remove_finalizers(access: Access<'_>, config: &AwsConfig, instances: &[&str]) -> Result<(), CallError> {
    let empty: Vec<String> = instances.iter().map(|instance| finalizers::of_keys_in(instance)).collect();
    remove_these(access, config, &empty).await
}

async fn remove_these(access: Access<'_>, config: &AwsConfig, finalizers: &[String]) -> Result<(), CallError> {
    if finalizers.is_empty() {
        return Ok(());
    }
    let is_one = |finalizer: &str| finalizers.iter().any(|it| it == finalizer);
    finalizers::remove(access.calls, &access.views.configs, config, is_one).await
}

/// Deletes the surplus keys in one place, within the limits of the reconcile. Any error of DSS
/// becomes [`NotAsked::Late`].
async fn delete_in(
    access: Access<'_>,
    config: &AwsConfig,
    place: &SurplusKeys,
    stay: &[String],
    deleted: &mut Vec<DeletedKey>,
) -> Result<(), NotAsked> {
    let deleting = delete_keys(access, config, place, stay, deleted);
    access.within(&place.instance, "deleting API keys", A_RECONCILE, deleting).await?.map_err(NotAsked::Late)
}

/// Deletes the keys of a config in one DSS, except those that stay. If the `DssInstance` no longer
/// exists, keyturn cannot reach the keys in its DSS, and logs that.
async fn delete_keys(
    access: Access<'_>,
    config: &AwsConfig,
    place: &SurplusKeys,
    stay: &[String],
    deleted: &mut Vec<DeletedKey>,
) -> Result<(), DssError> {
    if !place.exists {
        let (instance, label) = (&place.instance, key_label(access.cluster_name, config));
        tracing::error!(
            instance,
            label,
            "there is no such DssInstance any more: API keys with this label may be left in DSS"
        );
        return Ok(());
    }
    let keys = DssKeys::of(access, config, &place.instance)
        .ok_or_else(|| DssError::not_connected(format!("DssInstance \"{}\"", place.instance)))?;
    let mut record_deletion =
        |entry: Entry| deleted.push(DeletedKey { instance: place.instance.clone(), id: entry.id });
    let is_surplus = |entry: &Entry| !stay.contains(&entry.id);
    let ours = keys.find_ours().await?;
    // A listing may lack a key that exists, and somebody may have changed a label. Status still
    // names the key.
    let recorded = config.status.iter().filter_map(|status| status.dss.as_ref()).flat_map(|dss| &dss.keys);
    let unlisted = recorded.filter(|key| key.instance == place.instance && !ours.iter().any(|ours| ours.id == key.id));
    let unlisted: Vec<Entry> = unlisted.map(entry_of).filter(is_surplus).collect();
    for entry in ours.into_iter().filter(is_surplus) {
        keys.delete(&entry).await?;
        record_deletion(entry);
    }
    if unlisted.is_empty() {
        return Ok(());
    }
    // keyturn deletes such a key with the rights of an admin only if DSS says that it belongs to
    // this login. If DSS does not list the key, keyturn deletes it with the rights of that login.
    // The reason is that the ID in status may come from the Secret, which others can write.
    let there = keys.dss().personal_keys().await?;
    for entry in unlisted {
        match there.iter().find(|there| there.id == entry.id) {
            Some(there) if there.user == entry.owner => keys.delete(&entry).await?,
            Some(_) => {
                let (instance, login, id) = (&place.instance, &entry.owner, &entry.id);
                tracing::warn!(
                    instance,
                    login,
                    id,
                    "this API key is not of this login, though the Secret or status said so: it is left alone"
                );
                // The cache forgets the key, because keyturn need not ask for it again.
                access.dss_cache.deleted(&place.instance, keys.personal_key(&entry));
            }
            None => keys.delete_as_owner(&entry).await?,
        }
        record_deletion(entry);
    }
    Ok(())
}

fn entry_of(key: &DssKey) -> Entry {
    Entry { id: key.id.clone(), owner: key.login.clone() }
}
