//! Deletes the API keys of DSS that are ours and are not to stay, and takes the finalizer away where none is left.

use crate::{
    api::{AwsConfig, names},
    dss::{DssError, PersonalKey},
    reconcile::{
        Context,
        decide::Tidy,
        dss::{key_label, key_label_prefix},
        observed::Observed,
        report::{DeletedKey, Done},
        turn::{A_LOOK, NoTurn, in_turn},
    },
};
use kube::ResourceExt as _;

pub(super) async fn tidy(context: &Context, seen: &Observed, plan: &[Tidy], done: &mut Done) {
    let mut free = vec![];
    for place in plan {
        let mut stay = place.stay.clone();
        // The one that was just obtained is of the instance that is asked, which is none that is left.
        let obtained = done.api_key.as_ref().filter(|_| !place.leave);
        stay.extend(obtained.map(|held| held.record.key.clone()));
        let deleting = delete_keys(context, &seen.config, place, &stay, &mut done.deleted);
        match in_turn(context, &place.instance, "deleting API keys", A_LOOK, deleting).await {
            Ok(Ok(())) if place.leave => free.push(place.instance.clone()),
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(NoTurn::Late(error)) => {
                tracing::warn!(instance = place.instance, %error, "API keys could not be deleted in DSS; it will be tried again");
                done.tidy_failed = Some(error.to_string());
            }
            Err(NoTurn::Busy(tried)) => done.tidy_failed = Some(tried),
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
    if let Err(error) = context.views.configs.ahead().write(&namespace, &name, write).await {
        done.call_failed = Some(error);
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
    let dss = context.directory.dss(&place.instance);
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
    let mut keys: Vec<PersonalKey> = context.directory.keys_or_list(&place.instance, dss, &prefix, &label).await?;
    // A list may be shorter than the truth. What status names, which only we write, is ours as well: in that instance.
    let told = config.status.iter().filter_map(|status| status.dss.as_ref()).flat_map(|dss| &dss.keys);
    for told in told.filter(|key| key.instance == place.instance) {
        if !keys.iter().any(|key| key.id == told.id) {
            keys.push(PersonalKey { id: told.id.clone(), user: told.login.clone(), label: label.clone() });
        }
    }
    for key in keys.into_iter().filter(|key| !stay.contains(&key.id)) {
        dss.delete_personal_key(&key.id, &key.user).await?;
        tracing::info!(
            instance = place.instance,
            login = key.user,
            id = key.id,
            "a personal API key was deleted in DSS"
        );
        deleted.push(DeletedKey { instance: place.instance.clone(), id: key.id.clone() });
        context.directory.deleted(&place.instance, key);
    }
    Ok(())
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
