//! Obtains the API key of DSS that goes into the Secret, and has DSS say whose it is.
//!
//! Before a key is created, finalizers say where it may be: on the config, so that its deletion takes the key along, and
//! on the instance. Whatever happens then, the key is found again by its label.

use super::not_spoken_to;
use crate::{
    api::{AwsConfig, DssInstance, Reason, names},
    cluster::CallError,
    credentials::{IssueError, Retry},
    decide::{
        Accepted, DssRequest, KeyStep,
        dss_access::key_label,
        input::{HeldKey, Observed},
    },
    dss::{Dss, DssError, Kind, PersonalKey},
    reconcile::{
        Context,
        turn::{NoTurn, in_turn},
    },
    report::Outcome,
};
use kube::ResourceExt as _;
use secrecy::SecretString;
use std::time::Duration;

/// The key, or why there is none; `call_failed` if that is the API server's doing. DSS is waited for no longer than `most`.
pub(super) async fn obtain(
    context: &Context,
    seen: &Observed,
    accepted: &Accepted,
    step: &KeyStep,
    most: Duration,
) -> Outcome {
    let with = |api_key: Option<HeldKey>| Outcome { api_key, ..Outcome::default() };
    let Some(ask) = &accepted.dss else { return Outcome::default() };
    match step {
        KeyStep::None => Outcome::default(),
        KeyStep::Keep(held) => with(Some(held.clone())),
        KeyStep::Hold { former, .. } => with(former.clone()),
        KeyStep::Deliver { offered, former } => match proven_in_turn(context, ask, &offered.key, most).await {
            Ok(()) => with(Some(offered.clone())),
            Err(error) => {
                // Whose owner put another's key there does not go on with the former one.
                let api_key = former.as_ref().filter(|_| error.why.reason != Reason::DssUserMismatch);
                failed(api_key, error)
            }
        },
        KeyStep::Create { former } => create(context, seen, ask, former.as_ref(), most).await,
    }
}

/// The same after a key proved to be somebody else's: whatever stands in the way of a right one, that is what is wrong. Keys
/// are tried for no faster for that.
pub(super) fn doubted(obtained: Outcome) -> Outcome {
    let api_key_failed = obtained.api_key_failed.map(|error| match (error.why.reason, error.retry) {
        (Reason::DssUserMismatch, _) | (_, Retry::Saturated) => error,
        _ => {
            let message =
                format!("the last API key was somebody else's, and another cannot be had: {}", error.why.message);
            IssueError::new(Reason::DssUserMismatch, Retry::Durable, message)
        }
    });
    Outcome { api_key_failed, ..obtained }
}

async fn proven_in_turn(
    context: &Context,
    ask: &DssRequest,
    key: &SecretString,
    most: Duration,
) -> Result<(), IssueError> {
    in_turn(context, &ask.instance, "asking whose the API key is", most, proven(context, ask, key)).await?
}

async fn create(
    context: &Context,
    seen: &Observed,
    ask: &DssRequest,
    former: Option<&HeldKey>,
    most: Duration,
) -> Outcome {
    let Some(dss) = context.dss_cache.dss(&ask.instance) else { return failed(former, not_spoken_to(&ask.instance)) };
    if let Err(error) = announce(context, seen, &ask.instance).await {
        return Outcome { call_failed: Some(error), ..Outcome::default() };
    }
    let what = format!("creating an API key for \"{}\"", ask.login);
    let talk = created_or_found(context, seen, ask, &dss, former);
    match in_turn(context, &ask.instance, &what, most, talk).await {
        Ok(outcome) => outcome,
        Err(none) => {
            if matches!(none, NoTurn::Late(_)) {
                // It may have been created all the same.
                context.dss_cache.unsure_of_keys(&ask.instance);
            }
            failed(former, none.into())
        }
    }
}

async fn created_or_found(
    context: &Context,
    seen: &Observed,
    ask: &DssRequest,
    dss: &Dss,
    mut former: Option<&HeldKey>,
) -> Outcome {
    if let Some(held) = former.filter(|held| ask.is_answered_by(&held.record, None)) {
        match proven(context, ask, &held.key).await {
            Ok(()) => {
                // The key is this login's. Its ID stands in the Secret, which others can write: DSS has to say so, too, before
                // it is one to delete.
                let (id, login) = (&held.record.key, &ask.login);
                let is_theirs = |key: &PersonalKey| key.id == *id && key.user == *login;
                if dss.personal_keys().await.is_ok_and(|keys| keys.iter().any(is_theirs)) {
                    let label = key_label(&context.cluster_name, &seen.config);
                    let entry = PersonalKey { id: id.clone(), user: login.clone(), label };
                    context.dss_cache.created(&ask.instance, entry);
                }
                return Outcome { api_key: Some(held.clone()), ..Outcome::default() };
            }
            // DSS does not know it: nobody can do anything with it any more.
            Err(error) if error.why.reason == Reason::DssDenied => former = None,
            Err(error) => return failed(former, error),
        }
    }
    match created(context, seen, ask, dss).await {
        Ok(held) => Outcome { api_key: Some(held), ..Outcome::default() },
        Err(error) => failed(former, error),
    }
}

fn failed(former: Option<&HeldKey>, error: IssueError) -> Outcome {
    Outcome { api_key: former.cloned(), api_key_failed: Some(error), ..Outcome::default() }
}

async fn created(context: &Context, seen: &Observed, ask: &DssRequest, dss: &Dss) -> Result<HeldKey, IssueError> {
    let config = &seen.config;
    let label = key_label(&context.cluster_name, config);
    let description = format!(
        "Created by keyturn for AwsConfig {} in namespace {} of cluster {}, which deletes it. Do not edit.",
        config.name_any(),
        config.namespace().unwrap_or_default(),
        context.cluster_name
    );
    let created = dss.create_personal_key(&ask.login, &label, &description).await;
    let created = created.map_err(|error| {
        // It may have been created all the same: what is known of keys is not all of them any more.
        context.dss_cache.unsure_of_keys(&ask.instance);
        not_created(&error, &ask.login)
    })?;
    let entry = PersonalKey { id: created.id.clone(), user: ask.login.clone(), label };
    context.dss_cache.created(&ask.instance, entry.clone());
    tracing::info!(
        instance = ask.instance,
        login = ask.login,
        id = created.id,
        "a personal API key was created in DSS"
    );
    if let Err(error) = proven(context, ask, &created.key).await {
        // Not this person's, or not proven to be: it is of no use to anybody.
        if dss.delete_personal_key(&created.id, &ask.login).await.is_ok() {
            context.dss_cache.deleted(&ask.instance, entry);
        }
        return Err(error);
    }
    Ok(HeldKey { record: ask.record(created.id, &created.key), key: created.key })
}

fn not_created(error: &DssError, login: &str) -> IssueError {
    let mut why = IssueError::of_dss(error);
    if error.kind == Kind::Denied {
        why.why.message = format!(
            "the admin key is not allowed to create personal API keys for others, here for \"{login}\": {error}; a DSS admin \
             gives it that right, or \"{login}\" creates one for spec.dss.apiKeySecretRef"
        );
    }
    why
}

/// Has DSS say whose key it is.
async fn proven(context: &Context, ask: &DssRequest, key: &SecretString) -> Result<(), IssueError> {
    let dss = context.dss_cache.dss(&ask.instance).ok_or_else(|| not_spoken_to(&ask.instance))?;
    let info = dss.with_key(key.clone()).auth_info().await.map_err(|error| IssueError::of_dss(&error))?;
    if info.login() == Some(ask.login.as_str()) {
        return Ok(());
    }
    let whose = info.login().map_or("nobody's".to_owned(), |login| format!("\"{login}\"'s"));
    let message = format!(
        "DssInstance \"{}\" says that the API key is {whose}, and it has to be \"{}\"'s; it is not delivered",
        ask.instance, ask.login
    );
    Err(IssueError::new(Reason::DssUserMismatch, Retry::Durable, message))
}

/// The config's finalizer first: whoever takes the instance's away looks at the configs.
async fn announce(context: &Context, seen: &Observed, instance: &str) -> Result<(), CallError> {
    let finalizer = format!("{}{instance}", names::DSS_FINALIZER);
    let config: &AwsConfig = &seen.config;
    if !config.finalizers().contains(&finalizer) {
        let mut finalizers = config.finalizers().to_vec();
        finalizers.push(finalizer);
        let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
        let write = context.calls.finalizers(config, &finalizers);
        context.views.configs.own_writes().write(&namespace, &name, write).await?;
    }
    let unannounced = || {
        let found: Option<std::sync::Arc<DssInstance>> = context.views.instances.get("", instance);
        found.filter(|found| !found.finalizers().iter().any(is_ours))
    };
    if unannounced().is_none() {
        return Ok(());
    }
    // Of many who want the same at once one does it.
    let alone = context.dss_cache.writing(instance);
    let _alone = alone.lock().await;
    let Some(found) = unannounced() else { return Ok(()) };
    let mut finalizers = found.finalizers().to_vec();
    finalizers.push(names::DSS_INSTANCE_FINALIZER.to_owned());
    let write = context.calls.finalizers(found.as_ref(), &finalizers);
    context.views.instances.own_writes().write("", instance, write).await?;
    Ok(())
}

fn is_ours(finalizer: &String) -> bool {
    finalizer == names::DSS_INSTANCE_FINALIZER
}
