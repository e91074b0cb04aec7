//! A config that is being deleted and may have API keys in DSS: its Secret goes, then its keys, then its finalizers.
//!
//! DSS is not waited for for ever: an API key that cannot be deleted must not keep a namespace from going.

use super::{
    Context,
    act::{delete_keys, finalizers_without},
    turn::{A_LOOK, NoTurn, in_turn},
    until,
};
use crate::{
    api::{AwsConfig, Reason},
    cluster::{CallError, Failed, Preconditions},
    decide::{Tidy, dss_access::key_label, input::is_controlled_by, schedule},
    report::EventNote,
    views::key_places,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// The config as it is now, if it is being deleted and a finalizer of ours is on it.
pub(super) fn going(context: &Context, config: &AwsConfig) -> Option<Arc<AwsConfig>> {
    let current = context.views.configs.get(&config.namespace().unwrap_or_default(), &config.name_any())?;
    let waits = key_places(&current).next().is_some();
    (current.metadata.deletion_timestamp.is_some() && waits).then_some(current)
}

pub(super) async fn cleanup(context: &Context, config: &AwsConfig) -> Result<Duration, CallError> {
    delete_secret(context, config).await?;
    let now = context.clock.now();
    let is_given_up = |Time(deleted): &Time| schedule::is_given_up(*deleted, context.started_at, now);
    let given_up = config.metadata.deletion_timestamp.as_ref().is_some_and(is_given_up);
    let (mut free, mut trouble) = (vec![], None);
    for instance in key_places(config) {
        let exists = context.views.instances.get("", instance).is_some();
        let place = Tidy { instance: instance.to_owned(), exists, stay: vec![], leave: true };
        let mut deleted = vec![];
        let deleting = delete_keys(context, config, &place, &[], &mut deleted);
        match in_turn(context, instance, "deleting API keys", A_LOOK, deleting).await {
            Ok(Ok(())) => free.push(instance.to_owned()),
            Ok(Err(error)) | Err(NoTurn::Late(error)) if given_up => {
                left_behind(context, config, instance, &error.to_string()).await;
                free.push(instance.to_owned());
            }
            Ok(Err(error)) | Err(NoTurn::Late(error)) => trouble = Some(error.to_string()),
            // Who has not been asked has not refused: nothing is given up for that.
            Err(NoTurn::Busy(tried)) => trouble = Some(tried),
        }
    }
    if !free.is_empty() {
        let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
        let left = finalizers_without(config, &free);
        let write = context.calls.finalizers(config, &left);
        match context.views.configs.own_writes().write(&namespace, &name, write).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            _ => {}
        }
    }
    let uid = config.uid().unwrap_or_default();
    let Some(error) = trouble else {
        context.memory.forget(&uid);
        return Ok(until(now, None));
    };
    let wait = context.memory.call_failed(&uid);
    tracing::warn!(
        error,
        wait_ms = wait.as_millis(),
        "an AwsConfig that is being deleted waits for its API keys in DSS"
    );
    Ok(until(now, now.saturating_add(wait).ok()))
}

/// It would go with its config, which waits.
async fn delete_secret(context: &Context, config: &AwsConfig) -> Result<(), CallError> {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.target_name());
    let secret =
        context.views.secrets.get(&namespace, &name).filter(|secret| is_controlled_by(&secret.metadata, config));
    let Some(secret) = secret else { return Ok(()) };
    let seen = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
    match context.calls.delete_secret(&namespace, &name, seen).await {
        Err(error) if error.failed != Failed::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An Event if it can still be created, for in a namespace that is going none can; and a line of the log in any case.
async fn left_behind(context: &Context, config: &AwsConfig, instance: &str, why: &str) {
    let label = key_label(&context.cluster_name, config);
    let note = format!(
        "API keys with the label \"{label}\" may be left in DssInstance \"{instance}\", where keyturn could not delete them in \
         time: {why}; a DSS admin deletes them"
    );
    let news = EventNote { warning: true, reason: Reason::DssUnreachable.to_string(), action: "Delete", note };
    news.log();
    let event = news.manifest(config, &context.reporter, context.clock.now());
    if let Err(error) = context.calls.create_event(&event).await {
        tracing::warn!(%error, "an Event was lost");
    }
}
