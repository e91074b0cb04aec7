//! The writes of the Secret. The API server refuses each of them if the Secret is not the one that
//! the plan was made for.

use crate::{
    act::Context,
    api::SECRET_KEYS,
    cluster::{CallError, Failed, Preconditions},
    decide::{
        input::Observed,
        target::{Ours, SecretData, Target},
    },
    report::{Outcome, Written},
    secret::{Content, Record, Rendering, patch, whole},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt as _, core::PartialObjectMeta};

/// Writes the Secret, and creates it first if it does not exist. If another owner has created a
/// Secret of this name, the outcome is `blocked`.
pub(super) async fn write(
    context: &Context,
    seen: &Observed,
    rendering: &Rendering,
    record: Record,
    content: Content,
) -> Outcome {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let write = async {
        if let Target::Ours(ours) = &seen.target {
            return patch_or_recreate(context, seen, ours, rendering, &record, &content).await;
        }
        context.calls.create_secret(&whole(&seen.config, rendering, &record, content.clone())).await
    };
    let written = context.views.secrets.own_writes().write(&namespace, &name, write).await;
    match written.map_err(|error| error.without(&content.texts())) {
        Ok(secret) => {
            Outcome { written: Some(Written { record, version: secret.resource_version() }), ..Outcome::default() }
        }
        Err(error) if error.failed == Failed::AlreadyExists => Outcome { blocked: true, ..Outcome::default() },
        Err(error) if error.failed == Failed::Invalid && record.withdrawn.is_some() => {
            delete(context, seen, error).await
        }
        Err(error) => {
            Outcome { call_failed: Some(error), attempted: Some(record.content_digest), ..Outcome::default() }
        }
    }
}

/// The data keys that get a withdrawn value: the keys of keyturn's own list that the record names
/// or that are in the Secret. The record may have been edited, and the API server refuses names
/// such as `x y`. Somebody may also have put a credential under a key that the record does not
/// name. Therefore keyturn reads the Secret.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub(super) async fn keys_of_ours(
    context: &Context,
    seen: &Observed,
    ours: &Ours,
    record: &Record,
) -> Result<Vec<&'static str>, CallError> {
    let all = SECRET_KEYS.iter().map(|key| key.name);
    let is_recorded = |name: &str| record.keys.iter().any(|key| key == name);
    if let SecretData::Read(read) = &ours.content {
        return Ok(all.filter(|name| is_recorded(name) || read.keys.contains(name)).collect());
    }
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let found = context.calls.secret(&namespace, &name).await?.and_then(|secret| secret.data).unwrap_or_default();
    Ok(all.filter(|name| is_recorded(name) || found.contains_key(*name)).collect())
}

/// Deletes a Secret of ours whose withdrawal the API server refused as invalid. Everybody who may
/// patch the Secret can cause such a refusal, for example by annotations that leave no room for
/// keyturn's own. A credential that is no longer allowed must not stay for that.
async fn delete(context: &Context, seen: &Observed, refused: CallError) -> Outcome {
    let Target::Ours(ours) = &seen.target else {
        return Outcome { call_failed: Some(refused), ..Outcome::default() };
    };
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let this_one = Preconditions { uid: ours.metadata.uid.clone(), resource_version: None };
    match context.calls.delete_secret(&namespace, &name, this_one).await {
        Err(error) if error.failed != Failed::NotFound => Outcome { call_failed: Some(error), ..Outcome::default() },
        _ => {
            tracing::warn!(error = %refused, "the Secret could not be withdrawn and was deleted");
            Outcome { deleted: true, ..Outcome::default() }
        }
    }
}

/// Patches a Secret of ours. An immutable Secret refuses every change of its data. keyturn deletes
/// it, if it is still the one that was seen, and creates it again.
async fn patch_or_recreate(
    context: &Context,
    seen: &Observed,
    ours: &Ours,
    rendering: &Rendering,
    record: &Record,
    content: &Content,
) -> Result<PartialObjectMeta<Secret>, CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let known_immutable = matches!(&ours.content, SecretData::Read(taken) if taken.immutable);
    if !known_immutable {
        let (former, is_whole) = (ours.record.as_ref(), matches!(ours.content, SecretData::Read(_)));
        let patch = patch(&seen.config, rendering, record, content.clone(), &ours.metadata, former, is_whole);
        match context.calls.patch_secret(&namespace, &name, &patch).await {
            Err(error) if error.failed == Failed::Invalid => {
                let current = context.calls.secret(&namespace, &name).await?;
                let Some(current) = current.filter(|current| current.metadata.uid == ours.metadata.uid) else {
                    return Err(error.of_another_object());
                };
                if current.immutable != Some(true) {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
    let seen_version =
        Preconditions { uid: ours.metadata.uid.clone(), resource_version: ours.metadata.resource_version.clone() };
    context.calls.delete_secret(&namespace, &name, seen_version).await?;
    context.calls.create_secret(&whole(&seen.config, rendering, record, content.clone())).await
}
