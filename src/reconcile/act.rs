//! Carries a plan out. Every write names exactly the object that the plan was made for. Holds a client.

mod api_key;
mod tidy;

pub(super) use tidy::{delete_keys, finalizers_without};

use super::{
    Context,
    turn::{A_CREDENTIAL, A_LOOK, in_turn},
};
use crate::{
    api::{AwsRole, Reason},
    clock::whole_seconds,
    cluster::{CallError, Failed, Preconditions},
    credentials::{Credentials, IssueError, Issued, Request, Retry},
    decide::{
        Accepted, KeyStep, Plan, RoleStep, SecretAction, Trigger, awaits_own_key,
        input::{Observed, Ours, SecretData, Target, rendering},
    },
    report::{Outcome, Written},
    secret::{
        ApiKeyRecord, Content, Record, Rendering, Unrenderable, WITHDRAWN, desired, render, render_withdrawn, shell,
    },
};
use futures::future::join;
use kube::{ResourceExt as _, core::PartialObjectMeta};
use secrecy::SecretString;
use std::sync::Arc;

/// Carries out what concerns the Secret and, beside it, sees to the generated `AwsRole`s. What went wrong is part of
/// the answer.
pub(super) async fn act(context: &Context, seen: &Observed, plan: &Plan) -> Outcome {
    let secret = async {
        match (plan.action(), &plan.accepted) {
            (Some(SecretAction::Issue(why)), Ok(accepted)) => issue(context, seen, accepted, &plan.api_key, *why).await,
            (Some(SecretAction::Render(why)), Ok(accepted)) => {
                render_again(context, seen, accepted, &plan.api_key, *why).await
            }
            (Some(SecretAction::Withdraw(why)), _) => withdraw(context, seen, why.reason).await,
            _ => Outcome::default(),
        }
    };
    let roles = async {
        write_role(context, &plan.role).await?;
        prune(context, &plan.prune).await
    };
    let (mut outcome, roles) = join(Box::pin(secret), Box::pin(roles)).await;
    if let Err(error) = roles {
        outcome.call_failed.get_or_insert(error);
    }
    // A key goes once it is out of the Secret, never before.
    if outcome.call_failed.is_none() && !outcome.blocked {
        Box::pin(tidy::tidy(context, seen, &plan.tidy, &mut outcome)).await;
    }
    outcome
}

async fn issue(context: &Context, seen: &Observed, accepted: &Accepted, key: &KeyStep, why: Trigger) -> Outcome {
    let (provider, request) = (seen.config.spec.credential_provider, &accepted.request);
    let mut first = None;
    if awaits_own_key(seen) {
        let obtained = api_key::doubted(api_key::obtain(context, seen, accepted, key, A_LOOK).await);
        if obtained.call_failed.is_some() || obtained.api_key_failed.is_some() {
            return take_back(context, seen, obtained).await;
        }
        first = Some(obtained);
    }
    let issued = match obtain(context, seen, request).await {
        Ok(Some(issued)) => issued,
        Ok(None) => return first.unwrap_or_default(),
        Err(error) => {
            if error.retry != Retry::Saturated {
                context.metrics.failed(provider, error.why.reason);
            }
            return Outcome { issue_failed: Some(error), ..first.unwrap_or_default() };
        }
    };
    if why == Trigger::Due && is_there_already(seen, request, &issued) {
        return Outcome { checked: true, ..Outcome::default() };
    }
    let obtained = match first {
        Some(obtained) => obtained,
        None => api_key::obtain(context, seen, accepted, key, A_CREDENTIAL).await,
    };
    if obtained.call_failed.is_some() || obtained.key_is_somebody_elses() {
        keep(context, seen, accepted, issued);
        return take_back(context, seen, obtained).await;
    }
    let rendering = rendering(seen);
    let (api_key, value) = in_hand(&obtained);
    let content = match render(&rendering, &issued.credentials, issued.expires_at, value) {
        Ok(content) => content,
        Err(error) => return unrenderable(&error),
    };
    let record = Record::of(request, &issued, &subject(seen), rendering.digest(), api_key, &content);
    let outcome = write(context, seen, &rendering, record, content).await.with_api_key(obtained);
    if outcome.written.is_some() {
        context.metrics.issued(provider, if why == Trigger::Due { Reason::Renewed } else { Reason::Issued });
        if why == Trigger::Drifted {
            context.metrics.repaired();
        }
    } else {
        keep(context, seen, accepted, issued);
    }
    outcome
}

/// A session from STS, unless one for this very request could not be written before; or the key that was read.
async fn obtain(context: &Context, seen: &Observed, request: &Request) -> Result<Option<Issued>, IssueError> {
    let now = context.clock.now();
    match request {
        Request::Session(session) => {
            match context.memory.take_kept(&seen.config.uid().unwrap_or_default(), request, now) {
                Some(kept) => Ok(Some(kept)),
                None => context.sts.assume_role(session).await.map(Some),
            }
        }
        Request::Connection(connection) => {
            let instance = seen.dss.as_ref().and_then(|dss| dss.instance.as_ref());
            let lifetime =
                instance.and_then(|instance| instance.spec.session_lifetime.length().ok()).unwrap_or_default();
            let client =
                context.dss_cache.dss(&connection.instance).ok_or_else(|| not_spoken_to(&connection.instance))?;
            let former = seen
                .target
                .record()
                .filter(|record| record.withdrawn.is_none())
                .map(|record| record.access_key_id.as_str());
            let what = format!("reading connection \"{}\" as \"{}\"", connection.connection, connection.login);
            let talk = connection.obtain(&client, lifetime, former, || context.clock.now());
            in_turn(context, &connection.instance, &what, A_LOOK, talk).await?.map(Some)
        }
        Request::Key(_) => Ok(seen.source.key().map(|key| Issued {
            credentials: Credentials::clone(key),
            issued_at: whole_seconds(now),
            expires_at: None,
        })),
    }
}

/// A key without an end that is the one in the Secret: there is nothing to write.
fn is_there_already(seen: &Observed, request: &Request, issued: &Issued) -> bool {
    let digest = seen.target.record().map(|record| record.issue_digest.as_str());
    issued.expires_at.is_none() && digest == Some(request.issue_digest(&issued.credentials).as_str())
}

/// A DSS whose admin key has not been read yet.
fn not_spoken_to(instance: &str) -> IssueError {
    let message = format!("DssInstance \"{instance}\" has not been spoken to yet; see its conditions");
    IssueError::new(Reason::DssUnreachable, Retry::Transient, message)
}

fn in_hand(obtained: &Outcome) -> (ApiKeyRecord, Option<&SecretString>) {
    match &obtained.api_key {
        Some(held) => (held.record.clone(), Some(&held.key)),
        None => (ApiKeyRecord::default(), None),
    }
}

fn keep(context: &Context, seen: &Observed, accepted: &Accepted, issued: Issued) {
    // A key is where it was.
    if issued.expires_at.is_none() {
        return;
    }
    context.memory.keep(&seen.config.uid().unwrap_or_default(), &accepted.request, issued);
}

/// The credential that is there, in the form that is asked for now. No call to STS.
async fn render_again(context: &Context, seen: &Observed, accepted: &Accepted, key: &KeyStep, why: Trigger) -> Outcome {
    let Some((record, credentials)) = readable(&seen.target) else { return Outcome::default() };
    let obtained = api_key::obtain(context, seen, accepted, key, A_LOOK).await;
    if obtained.key_is_somebody_elses() {
        return take_back(context, seen, obtained).await;
    }
    let nothing_new = in_hand(&obtained).0 == record.api_key;
    if obtained.call_failed.is_some() || (why == Trigger::ApiKey && nothing_new) {
        return obtained;
    }
    let rendering = rendering(seen);
    let (api_key, value) = in_hand(&obtained);
    let content = match render(&rendering, &credentials, record.expires_at, value) {
        Ok(content) => content,
        Err(error) => return unrenderable(&error),
    };
    let record = record.rendered_again(rendering.digest(), api_key, &content);
    let outcome = write(context, seen, &rendering, record, content).await.with_api_key(obtained);
    if why == Trigger::Drifted && outcome.written.is_some() {
        context.metrics.repaired();
    }
    outcome
}

fn readable(target: &Target) -> Option<(Record, Arc<Credentials>)> {
    let Target::Ours(ours) = target else { return None };
    let SecretData::Read(taken) = &ours.content else { return None };
    Some((ours.record.clone()?, taken.credentials.clone()?))
}

async fn withdraw(context: &Context, seen: &Observed, reason: Reason) -> Outcome {
    let Target::Ours(ours) = &seen.target else { return Outcome::default() };
    let record = ours.record.clone().unwrap_or_else(|| Record::lost(&subject(seen), context.clock.now()));
    let rendering = rendering(seen);
    match render_withdrawn(&rendering, reason) {
        Ok(mut content) => {
            // What it depends on may be gone, as an instance of DSS. Every key stays all the same.
            for key in &record.keys {
                content.0.entry(key.clone()).or_insert_with(|| WITHDRAWN.into());
            }
            let record = record.withdrawn_for(reason, rendering.digest(), &content);
            write(context, seen, &rendering, record, content).await
        }
        Err(error) => unrenderable(&error),
    }
}

/// Whose API key proved to be somebody else's is left nothing.
async fn take_back(context: &Context, seen: &Observed, obtained: Outcome) -> Outcome {
    let outcome = seen.target.record().is_some_and(|record| record.is_withdrawn_for(Reason::DssUserMismatch));
    if outcome || !obtained.key_is_somebody_elses() {
        return obtained;
    }
    // Nor is a former key of theirs kept for later.
    let obtained = Outcome { api_key: None, ..obtained };
    withdraw(context, seen, Reason::DssUserMismatch).await.with_api_key(obtained)
}

fn subject(seen: &Observed) -> String {
    seen.config.subject().map(|subject| subject.to_string()).unwrap_or_default()
}

fn unrenderable(error: &Unrenderable) -> Outcome {
    let error = IssueError::new(Reason::InvalidSpec, Retry::Durable, error.to_string());
    Outcome { issue_failed: Some(error), ..Outcome::default() }
}

// ---- The Secret -----------------------------------------------------------------------------------------------------

async fn write(context: &Context, seen: &Observed, rendering: &Rendering, record: Record, content: Content) -> Outcome {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let write = async {
        if let Target::Ours(ours) = &seen.target {
            return apply_or_recreate(context, seen, ours, rendering, &record, content).await;
        }
        create(context, seen, rendering, &record, content).await
    };
    match context.views.secrets.own_writes().write(&namespace, &name, write).await {
        Ok(secret) => {
            Outcome { written: Some(Written { record, version: secret.resource_version() }), ..Outcome::default() }
        }
        Err(error) if error.failed == Failed::AlreadyExists => Outcome { blocked: true, ..Outcome::default() },
        Err(error) => Outcome { call_failed: Some(error), ..Outcome::default() },
    }
}

/// An immutable Secret refuses every apply. It is deleted, if it is still the one that we saw, and created.
async fn apply_or_recreate(
    context: &Context,
    seen: &Observed,
    ours: &Ours,
    rendering: &Rendering,
    record: &Record,
    content: Content,
) -> Result<PartialObjectMeta<k8s_openapi::api::core::v1::Secret>, CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let known_immutable = matches!(&ours.content, SecretData::Read(taken) if taken.immutable);
    if !known_immutable {
        let secret = desired(&seen.config, rendering, record, content.clone(), ours.metadata.uid.clone());
        match context.calls.apply_secret(&secret).await {
            Err(error) if error.failed == Failed::Invalid => {
                let current = context.calls.secret(&namespace, &name).await?;
                if current.is_none_or(|current| current.immutable != Some(true)) {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
    let seen_version =
        Preconditions { uid: ours.metadata.uid.clone(), resource_version: ours.metadata.resource_version.clone() };
    context.calls.delete_secret(&namespace, &name, seen_version).await?;
    create(context, seen, rendering, record, content).await
}

/// Two writes, once in a Secret's life: see [`shell`]. In between it is empty and says so by having no annotations.
async fn create(
    context: &Context,
    seen: &Observed,
    rendering: &Rendering,
    record: &Record,
    content: Content,
) -> Result<PartialObjectMeta<k8s_openapi::api::core::v1::Secret>, CallError> {
    let created = context.calls.create_secret(&shell(&seen.config)).await?;
    let secret = desired(&seen.config, rendering, record, content, created.metadata.uid);
    context.calls.apply_secret(&secret).await
}

// ---- The AwsRole ----------------------------------------------------------------------------------------------------

async fn write_role(context: &Context, step: &RoleStep) -> Result<(), CallError> {
    let RoleStep::Write { role, .. } = step else { return Ok(()) };
    let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
    let roles = context.views.roles.own_writes();
    let written = if role.metadata.uid.is_none() {
        roles.write(&namespace, &name, context.calls.create_role(role)).await
    } else {
        roles.write(&namespace, &name, context.calls.apply_role(role)).await
    };
    written.map(|_| ())
}

async fn prune(context: &Context, roles: &[Arc<AwsRole>]) -> Result<(), CallError> {
    for role in roles {
        let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
        let seen = Preconditions { uid: role.uid(), resource_version: None };
        match context.calls.delete_role(&namespace, &name, seen).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
