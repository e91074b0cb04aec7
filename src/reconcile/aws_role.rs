//! What happens each time that an `AwsRole` is looked at: its status says whether its config uses it, and could.

use super::{Context, observe::observe, until};
use crate::{
    api::{AwsRole, same_ignoring_times},
    cluster::{CallError, Failed},
    decide::role_status,
    views,
};
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Looks at one role and writes its status if it says something new. Returns when to look again.
///
/// # Errors
/// If the API server refused or did not answer the write; the same is then decided anew.
#[tracing::instrument(name = "role", skip_all, fields(
    namespace = role.namespace().unwrap_or_default(),
    name = role.name_any(),
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
    // What it waits for wakes it.
    let Some(after) = role_status(&role, seen.as_ref(), now) else { return Ok(until(now, None)) };
    let before = role.status.clone().unwrap_or_default();
    if before.active != after.active || !same_ignoring_times(&before.conditions, &after.conditions) {
        let write = context.calls.role_status(&namespace, &name, &after);
        match context.views.roles.own_writes().write(&namespace, &name, write).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            // Deleted meanwhile: there is nothing to say any more.
            _ => {}
        }
    }
    context.memory.call_succeeded(&role.uid().unwrap_or_default());
    Ok(until(now, None))
}
