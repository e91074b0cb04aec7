//! The reconcile of an `AwsRole`: its status says whether its config uses it, and whether it
//! is usable.

use super::observe::observe;
use crate::{
    act::Context,
    api::AwsRole,
    cluster::{CallError, Failed},
    decide::role_status,
    schedule::until,
    views,
};
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Reconciles one role: writes its status if it differs. Returns the time until the next reconcile.
///
/// # Errors
/// [`CallError`] if the API server refused the write or did not answer. The next reconcile decides
/// anew.
#[tracing::instrument(name = "role", skip_all, fields(
    namespace = role.namespace().unwrap_or_default(),
    object = role.name_any(),
))]
pub async fn reconcile_role(role: Arc<AwsRole>, context: &Context) -> Result<Duration, CallError> {
    if !context.views.synced().await {
        return Ok(views::SYNC_WAIT);
    }
    let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
    let now = context.clock.now();
    let Some(role) = context.views.roles.get(&namespace, &name) else {
        context.memory.forget(&role.uid().unwrap_or_default());
        return Ok(until(now, None));
    };
    let config = context.views.configs.get(&namespace, &role.spec.aws_config_ref.name);
    let seen = config.and_then(|config| observe(context, &config));
    // The status is not known yet. The change that makes it known enqueues the role.
    let Some(after) = role_status(&role, seen.as_ref(), now) else { return Ok(until(now, None)) };
    let before = role.status.clone().unwrap_or_default();
    let same = before.active == after.active
        && before.observed_generation == after.observed_generation
        && views::shows(&before.conditions, &after.conditions);
    if !same {
        let write = context.calls.role_status(&namespace, &name, &after);
        match context.views.roles.own_writes().write(&namespace, &name, write).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            // The role was deleted in the meantime, therefore there is no status to write.
            _ => {}
        }
    }
    context.memory.call_succeeded(&role.uid().unwrap_or_default());
    Ok(until(now, None))
}
