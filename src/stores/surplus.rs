//! Deletes the API keys of DSS that are ours and are not to stay, and the finalizers of stores that are empty then.

use super::{A_RECONCILE, Access, DssKeys, Entry, NotAsked, Store};
use crate::{
    api::{AwsConfig, DssKey},
    cluster::CallError,
    dss::DssError,
    dss_keys::{ApiKeyOutcome, DeletedKey, SurplusKeys, key_label},
    finalizers,
};
use kube::ResourceExt as _;

/// Deletes what a plan calls surplus. Failures of DSS become part of the outcome.
///
/// # Errors
/// [`CallError`] if a finalizer could not be removed.
pub async fn delete_surplus(
    access: Access<'_>,
    config: &AwsConfig,
    plan: &[SurplusKeys],
    outcome: &mut ApiKeyOutcome,
) -> Result<(), CallError> {
    let mut empty = vec![];
    for place in plan {
        let mut stay = place.stay.clone();
        // The key that was just obtained is in the instance that is asked, which is none that is left.
        let obtained = outcome.held.as_ref().filter(|_| !place.leave);
        stay.extend(obtained.map(|held| held.record.key.clone()));
        match delete_in(access, config, place, &stay, &mut outcome.deleted).await {
            Ok(()) if place.leave => empty.push(place.instance.as_str()),
            Ok(()) => {}
            Err(NotAsked::Late(error)) => {
                let instance = &place.instance;
                tracing::warn!(instance, %error, "API keys could not be deleted in DSS; it will be tried again");
                outcome.surplus_failed = Some(error.to_string());
            }
            Err(NotAsked::Saturated(tried)) => outcome.surplus_failed = Some(tried),
        }
    }
    // keyturn may have written the config meanwhile, when it added a finalizer.
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    match access.views.configs.get(&namespace, &name) {
        Some(current) => remove_finalizers(access, &current, &empty).await,
        None => Ok(()),
    }
}

/// What is left of a config that is being deleted.
#[derive(Debug, Default)]
pub struct Left {
    /// Why keys could not be deleted yet; it is tried again.
    pub waits: Option<String>,
    /// The instances in which keys may be left for good, and why.
    pub given_up: Vec<(String, String)>,
}

/// Deletes all keys of a config that is being deleted, and its finalizers where none is left. `gives_up` says whether the
/// time is over in which a DSS that refuses is waited for.
///
/// # Errors
/// [`CallError`] if a finalizer could not be removed.
pub async fn delete_all(access: Access<'_>, config: &AwsConfig, gives_up: bool) -> Result<Left, CallError> {
    let (mut empty, mut left) = (vec![], Left::default());
    for instance in finalizers::key_places(config) {
        let exists = access.views.instances.get("", instance).is_some();
        let place = SurplusKeys { instance: instance.to_owned(), exists, stay: vec![], leave: true };
        match delete_in(access, config, &place, &[], &mut vec![]).await {
            Ok(()) => empty.push(instance),
            Err(NotAsked::Late(error)) if gives_up => {
                left.given_up.push((instance.to_owned(), error.to_string()));
                empty.push(instance);
            }
            Err(NotAsked::Late(error)) => left.waits = Some(error.to_string()),
            // A DSS that has not been asked has not refused. So nothing is given up for that.
            Err(NotAsked::Saturated(tried)) => left.waits = Some(tried),
        }
    }
    remove_finalizers(access, config, &empty).await?;
    Ok(left)
}

async fn remove_finalizers(access: Access<'_>, config: &AwsConfig, instances: &[&str]) -> Result<(), CallError> {
    if instances.is_empty() {
        return Ok(());
    }
    let empty: Vec<String> = instances.iter().map(|instance| finalizers::of_keys_in(instance)).collect();
    let is_of_empty = |finalizer: &str| empty.iter().any(|empty| empty == finalizer);
    finalizers::remove(access.calls, &access.views.configs, config, is_of_empty).await
}

/// Within the limits of the reconcile. A refusal of DSS is told like one that came late.
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

/// Deletes the keys of a config in one DSS, except those that stay. If there is no such DSS any more, the keys in it are
/// beyond reach, and the log says so.
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
    let keys = DssKeys::of(access, config, &place.instance).ok_or_else(|| DssError::not_spoken_to(&place.instance))?;
    let store = Store::DssKeys(keys);
    let mut struck_out = |entry: Entry| deleted.push(DeletedKey { instance: place.instance.clone(), id: entry.id });
    let goes = |entry: &Entry| !stay.contains(&entry.id);
    let ours = store.find_ours().await?;
    // A list may be shorter than the truth, and somebody may have labelled a key otherwise. Status still names it.
    let recorded = config.status.iter().filter_map(|status| status.dss.as_ref()).flat_map(|dss| &dss.keys);
    let unlisted = recorded.filter(|key| key.instance == place.instance && !ours.iter().any(|ours| ours.id == key.id));
    let unlisted: Vec<Entry> = unlisted.map(entry_of).filter(goes).collect();
    for entry in ours.into_iter().filter(goes) {
        store.delete(&entry).await?;
        struck_out(entry);
    }
    if unlisted.is_empty() {
        return Ok(());
    }
    let Store::DssKeys(keys) = &store;
    // The ID in status may come from the Secret, which others can write. So keyturn deletes a key as an admin only if
    // DSS says that it is this login's, and as that login if DSS does not show it.
    let there = keys.dss().personal_keys().await?;
    for entry in unlisted {
        match there.iter().find(|there| there.id == entry.id) {
            Some(there) if there.user == entry.owner => store.delete(&entry).await?,
            Some(_) => {
                let (instance, login, id) = (&place.instance, &entry.owner, &entry.id);
                tracing::warn!(
                    instance,
                    login,
                    id,
                    "this API key is not of this login, though the Secret or status said so: it is left alone"
                );
                // So that it is not asked for again.
                access.dss_cache.deleted(&place.instance, keys.personal_key(&entry));
            }
            None => keys.delete_as_owner(&entry).await?,
        }
        struck_out(entry);
    }
    Ok(())
}

fn entry_of(key: &DssKey) -> Entry {
    Entry { id: key.id.clone(), owner: key.login.clone() }
}
