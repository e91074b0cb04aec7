//! Deletes the API keys of DSS that are ours and are not to stay, and takes the finalizer away where none is left.

use crate::{
    api::{AwsConfig, names},
    decide::{
        Tidy,
        dss_access::{key_label, key_label_prefix},
        input::Observed,
    },
    dss::{DssError, PersonalKey},
    reconcile::{
        Context,
        turn::{A_LOOK, NoTurn, in_turn},
    },
    report::{DeletedKey, Outcome},
};
use kube::ResourceExt as _;

pub(super) async fn tidy(context: &Context, seen: &Observed, plan: &[Tidy], outcome: &mut Outcome) {
    let mut free = vec![];
    for place in plan {
        let mut stay = place.stay.clone();
        // The one that was just obtained is of the instance that is asked, which is none that is left.
        let obtained = outcome.api_key.as_ref().filter(|_| !place.leave);
        stay.extend(obtained.map(|held| held.record.key.clone()));
        let deleting = delete_keys(context, &seen.config, place, &stay, &mut outcome.deleted);
        match in_turn(context, &place.instance, "deleting API keys", A_LOOK, deleting).await {
            Ok(Ok(())) if place.leave => free.push(place.instance.clone()),
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(NoTurn::Late(error)) => {
                tracing::warn!(instance = place.instance, %error, "API keys could not be deleted in DSS; it will be tried again");
                outcome.tidy_failed = Some(error.to_string());
            }
            Err(NoTurn::Busy(tried)) => outcome.tidy_failed = Some(tried),
        }
    }
    if free.is_empty() {
        return;
    }
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.name_any());
    // The config may have been written meanwhile: by us, when a finalizer was added elsewhere.
    let Some(current) = context.views.configs.get(&namespace, &name) else { return };
    let left = finalizers_without(&current, &free);
    let write = context.calls.finalizers(current.as_ref(), &left);
    if let Err(error) = context.views.configs.own_writes().write(&namespace, &name, write).await {
        outcome.call_failed = Some(error);
    }
}

/// Deletes the keys of a config in one DSS, except those that stay. Where there is no such DSS any more, what is left
/// there is beyond reach, and said.
pub(in crate::reconcile) async fn delete_keys(
    context: &Context,
    config: &AwsConfig,
    place: &Tidy,
    stay: &[String],
    deleted: &mut Vec<DeletedKey>,
) -> Result<(), DssError> {
    let label = key_label(&context.cluster_name, config);
    let dss = context.dss_cache.dss(&place.instance);
    let (true, Some(dss)) = (place.exists, &dss) else {
        if place.exists {
            return Err(DssError::not_spoken_to(&place.instance));
        }
        tracing::error!(
            instance = place.instance,
            label,
            "there is no such DssInstance any more: API keys with this label may be left in DSS"
        );
        return Ok(());
    };
    let prefix = key_label_prefix(&context.cluster_name);
    let keys: Vec<PersonalKey> = context.dss_cache.keys_or_list(&place.instance, dss, &prefix, &label).await?;
    // A list may be shorter than the truth, and somebody may have labelled a key otherwise: status names it still.
    let told = config.status.iter().filter_map(|status| status.dss.as_ref()).flat_map(|dss| &dss.keys);
    let told: Vec<PersonalKey> = told
        .filter(|told| told.instance == place.instance && !keys.iter().any(|key| key.id == told.id))
        .map(|told| PersonalKey { id: told.id.clone(), user: told.login.clone(), label: label.clone() })
        .collect();
    let goes = |key: &PersonalKey| !stay.contains(&key.id);
    for key in keys.into_iter().filter(goes) {
        dss.delete_personal_key(&key.id, &key.user).await?;
        record_deletion(context, place, key, deleted);
    }
    let told: Vec<PersonalKey> = told.into_iter().filter(goes).collect();
    if told.is_empty() {
        return Ok(());
    }
    // The ID in status may come from the Secret, which others can write: as an admin only that is deleted which DSS says to be
    // this login's, and as that login what DSS does not show.
    let there = dss.personal_keys().await?;
    for key in told {
        match there.iter().find(|there| there.id == key.id) {
            Some(there) if there.user == key.user => dss.delete_personal_key(&key.id, &key.user).await?,
            Some(_) => tracing::warn!(
                instance = place.instance,
                login = key.user,
                id = key.id,
                "this API key is not of this login, though the Secret or status said so: it is left alone"
            ),
            None => dss.delete_own_key(&key.id, &key.user).await?,
        }
        record_deletion(context, place, key, deleted);
    }
    Ok(())
}

fn record_deletion(context: &Context, place: &Tidy, key: PersonalKey, deleted: &mut Vec<DeletedKey>) {
    let instance = &place.instance;
    tracing::info!(instance, login = key.user, id = key.id, "a personal API key is no longer in use");
    deleted.push(DeletedKey { instance: instance.clone(), id: key.id.clone() });
    context.dss_cache.deleted(instance, key);
}

/// The finalizers of a config without those for these instances.
#[must_use]
pub(in crate::reconcile) fn finalizers_without(config: &AwsConfig, instances: &[String]) -> Vec<String> {
    let goes = |finalizer: &str| {
        finalizer
            .strip_prefix(names::DSS_FINALIZER)
            .is_some_and(|instance| instances.iter().any(|gone| gone == instance))
    };
    config.finalizers().iter().filter(|finalizer| !goes(finalizer)).cloned().collect()
}
