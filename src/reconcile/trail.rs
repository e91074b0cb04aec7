//! The trail of a credential: what keyturn writes after the Secret and the status, because nobody
//! waits for it. It is the Event of a first issue, and the generated `AwsRole`s.
//!
//! The trail has a queue and workers of its own. It is slow while credentials are being written,
//! and a write of an `AwsRole` that fails or hangs holds up no credential. Nothing of it is only in
//! memory: an `AwsRole` that is missing enqueues the trail again, also after a restart.

use super::observe::observe;
use crate::{
    act::{Context, write_roles},
    api::{AwsConfig, ConditionType},
    cluster::{CallError, Failed},
    decide::{RoleStep, generated_roles, input::Observed},
    report::{Finding, first_issue, role_finding},
    schedule::until,
    views,
};
use kube::{Resource as _, ResourceExt as _};
use std::{sync::Arc, time::Duration};

/// The key under which the failed calls of the trail of this object are counted. They are not those
/// of its credential.
#[must_use]
pub fn trail_of(uid: &str) -> String {
    format!("{uid}/trail")
}

/// Writes what is missing of the trail of one config. `found` is called if the finding about its
/// `AwsRole`s has changed. Returns the time until the next attempt; `None` if nothing is left.
///
/// # Errors
/// [`CallError`] if the API server refused a write or did not answer. The next attempt decides
/// anew.
#[tracing::instrument(name = "trail", skip_all, fields(
    namespace = config.namespace().unwrap_or_default(),
    object = config.name_any(),
))]
pub async fn reconcile_trail(
    config: Arc<AwsConfig>,
    context: &Context,
    found: &(dyn Fn() + Sync),
) -> Result<Option<Duration>, CallError> {
    if !context.views.synced().await {
        return Ok(Some(views::SYNC_WAIT));
    }
    let _way = context.precedence.give_way().await;
    let Some(seen) = observe(context, &config) else { return Ok(None) };
    tell_first_issue(context, &seen).await?;
    // The config may have been changed or deleted while the Event was written.
    let Some(seen) = observe(context, &config) else { return Ok(None) };
    let (uid, now) = (seen.config.uid().unwrap_or_default(), context.clock.now());
    let roles = generated_roles(&seen, now);
    let written = write_roles(context, &roles).await;
    if let RoleStep::Write { repairs, .. } = roles.step {
        context.memory.wrote_role(&uid, repairs, written.is_ok(), now);
    }
    let failed_before = context.memory.failed_calls_of(&trail_of(&uid));
    if let Some(Finding(finding)) = role_finding(&seen, &roles.step, written.as_ref().err(), failed_before)
        && context.memory.record_finding(&uid, ConditionType::AwsRoleFailing, finding)
    {
        found();
    }
    written?;
    context.memory.call_succeeded(&trail_of(&uid));
    let RoleStep::Hold { until: again } = roles.step else { return Ok(None) };
    Ok(Some(until(now, Some(again))))
}

/// Writes the Event of the first issue, if it may be missing. An Event that the API server does not
/// take is lost, and the log says so.
async fn tell_first_issue(context: &Context, seen: &Observed) -> Result<(), CallError> {
    let now = context.clock.now();
    let Some(first) = first_issue(seen, now) else { return Ok(()) };
    let mut event = first.note.manifest(seen.config.object_ref(&()), &context.reporter, now);
    event.metadata.name = Some(first.name);
    match context.calls.create_event(&event).await {
        Ok(()) => first.note.log(),
        // A former attempt, or a former leader, has written it.
        Err(error) if error.failed == Failed::AlreadyExists => {}
        Err(error) if error.failed == Failed::NotLeading => return Err(error),
        Err(error) => tracing::warn!(%error, "an Event was lost"),
    }
    context.memory.told(&seen.config.uid().unwrap_or_default());
    Ok(())
}
