//! The cleanup of a config that is being deleted and may have entries in stores: keyturn deletes
//! its Secret, then what it has in stores, then its finalizers.
//!
//! keyturn does not wait for a store for ever, because an API key that cannot be deleted must not
//! keep a namespace from being deleted.

use crate::{
    act::Context,
    api::{AwsConfig, Reason, Statement},
    cluster::{CallError, Failed, Preconditions},
    credentials::IssueError,
    decide::target::is_controlled_by,
    dss_keys::key_label,
    finalizers::{credential_places, key_places},
    limit::Budget,
    push::{Place, System},
    report::{EventNote, deleting},
    schedule::{self, until},
    stores::{delete_all, leave_data_robots, remove_all},
    views,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Returns the config as the view shows it now, if it is being deleted and has a finalizer of
/// keyturn.
pub(super) fn pending(context: &Context, config: &AwsConfig) -> Option<Arc<AwsConfig>> {
    let current = context.views.configs.get(&config.namespace().unwrap_or_default(), &config.name_any())?;
    let waits = key_places(&current).chain(credential_places(&current)).next().is_some();
    (current.metadata.deletion_timestamp.is_some() && waits).then_some(current)
}

/// Deletes the Secret of a config, its entries in stores and its finalizers. Returns the time until
/// the next reconcile. If a key could not be deleted, that is the time of the retry. `Ready` says
/// what keeps the config from being deleted.
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer.
pub(super) async fn cleanup(context: &Context, budget: &Budget, config: &AwsConfig) -> Result<Duration, CallError> {
    let uid = config.uid().unwrap_or_default();
    let error = match delete(context, budget, config).await {
        Ok(None) => {
            context.memory.forget(&uid);
            return Ok(until(context.clock.now(), None));
        }
        Ok(Some(error)) => error,
        Err(error) => {
            if error.is_persistent(context.memory.failed_calls_of(&uid)) {
                report(context, config, &error.statement()).await?;
            }
            return Err(error);
        }
    };
    let wait = context.memory.call_failed(&uid);
    tracing::warn!(
        error = error.message,
        wait_ms = wait.as_millis(),
        "an AwsConfig that is being deleted waits for what it has in DSS or DataRobot"
    );
    let message = format!("what it has outside the cluster is not deleted yet: {}", error.message);
    report(context, config, &Statement { message, ..error }).await?;
    let now = context.clock.now();
    Ok(until(now, now.saturating_add(wait).ok()))
}

/// Deletes the Secret, the entries in stores and the finalizers. Returns the error of a store that
/// may still have an entry, if keyturn waits for that store.
async fn delete(context: &Context, budget: &Budget, config: &AwsConfig) -> Result<Option<Statement>, CallError> {
    delete_secret(context, config).await?;
    let now = context.clock.now();
    let is_given_up = |Time(deleted): &Time| schedule::is_given_up(*deleted, context.started_at, now);
    let gives_up = config.metadata.deletion_timestamp.as_ref().is_some_and(is_given_up);
    let access = context.stores(budget);
    let (mut waits, mut holding) = (None, vec![]);
    for (place, error) in remove_all(access, config, now).await? {
        if gives_up && error.retry.is_of_a_call() {
            record_left_push(context, config, &place, &error).await;
        } else {
            holding.push((place.slot.system(), place.instance));
            waits = Some(error.why);
        }
    }
    let holds = |system| holding.iter().filter(move |(of, _)| *of == system).map(|(_, instance)| instance);
    leave_data_robots(access, config, |instance| holds(System::DataRobot).all(|it| it != instance)).await?;
    let in_dss: Vec<String> = holds(System::Dss).cloned().collect();
    let remaining = delete_all(access, config, &in_dss, gives_up).await?;
    for (instance, why) in &remaining.given_up {
        record_left_keys(context, config, instance, why).await;
    }
    Ok(remaining.waits.or(waits))
}

/// Writes to status what keeps the config from being deleted, if status does not say so yet.
async fn report(context: &Context, config: &AwsConfig, why: &Statement) -> Result<(), CallError> {
    let after = deleting(config, why, context.clock.now());
    let before = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if views::shows(before, &after.conditions) {
        return Ok(());
    }
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let write = context.calls.config_status(&namespace, &name, &after);
    context.views.configs.own_writes().write(&namespace, &name, write).await.map(|_| ())
}

/// Deletes the Secret of the config. Garbage collection would delete the Secret only together with
/// the config, and the config still waits for its finalizers.
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

/// Records in an Event and in the log that something that keyturn pushed may be left in DSS.
async fn record_left_push(context: &Context, config: &AwsConfig, place: &Place, error: &IssueError) {
    let note = format!(
        "the {place} may be left there, where keyturn could not remove it in time: {}; the person or an admin of {} deletes it",
        error.why.message,
        place.slot.system().as_str()
    );
    let note = EventNote { warning: true, reason: error.why.reason.to_string(), action: "Delete", note };
    context.record_event(config, &note).await;
}

/// Records in an Event and in the log that keys may be left in DSS. The log is necessary because no
/// Event can be created in a namespace that is being deleted.
async fn record_left_keys(context: &Context, config: &AwsConfig, instance: &str, why: &str) {
    let label = key_label(&context.cluster_name, config);
    let note = format!(
        "API keys with the label \"{label}\" may be left in DssInstance \"{instance}\", where keyturn could not delete them in \
         time: {why}; a DSS admin deletes them"
    );
    let note = EventNote { warning: true, reason: Reason::DssUnreachable.to_string(), action: "Delete", note };
    context.record_event(config, &note).await;
}
