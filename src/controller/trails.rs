//! The controller of trails: what follows a credential, in a queue of its own. The queue holds the
//! names of `AwsConfig`s, and no objects.

use super::{Enqueuer, enqueuer::Queue, requeue_after};
use crate::{
    act::Context,
    api::AwsConfig,
    cluster::CallError,
    reconcile::{reconcile_trail, trail_of},
    views::Served,
};
use kube::{ResourceExt as _, runtime::controller::Action};
use std::sync::Arc;

/// The number of trails that are written at the same time while no credential is being written.
const CONCURRENCY: u16 = 32;

struct TrailContext {
    context: Arc<Context>,
    enqueuer: Enqueuer,
    served: Served,
}

/// Writes the trails of the configs that are queued or whose next attempt is due, until `shutdown`.
pub(super) async fn run(
    queue: Queue<AwsConfig>,
    (enqueuer, served): (Enqueuer, Served),
    context: Arc<Context>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let store = context.views.configs.store().clone();
    let context = Arc::new(TrailContext { context, enqueuer, served });
    super::run_controller((store, queue), CONCURRENCY, shutdown, reconcile_one, after_error, context).await;
}

async fn reconcile_one(config: Arc<AwsConfig>, context: Arc<TrailContext>) -> Result<Action, CallError> {
    if !super::is_served(config.as_ref(), &context.served) {
        return Ok(Action::await_change());
    }
    let found = {
        let (config, enqueuer) = (config.clone(), context.enqueuer.clone());
        move || enqueuer.finding_changed(&config)
    };
    let next = Box::pin(reconcile_trail(config, &context.context, &found)).await?;
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(config: Arc<AwsConfig>, error: &CallError, context: Arc<TrailContext>) -> Action {
    let key = config.uid().map(|uid| trail_of(&uid));
    requeue_after(error, &context.context.memory, key, |wait_ms| {
        let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
        tracing::warn!(namespace, name, %error, wait_ms, "the trail is not finished; it will be tried again");
    })
}
