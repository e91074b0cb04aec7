//! The controller of restarts. A namespace is reconciled when a config in it that restarts
//! workloads changes, and when a restart is due.

use super::{
    Enqueuer,
    enqueuer::{Queue, SeenNamespace},
    requeue_after,
};
use crate::{
    act::Context,
    cluster::CallError,
    restart::{self, Remembered},
    views::Served,
};
use kube::{ResourceExt as _, runtime::controller::Action};
use std::sync::Arc;

/// The number of namespaces that are reconciled at the same time.
const CONCURRENCY: u16 = 16;

struct RestartContext {
    context: Arc<Context>,
    remembered: Remembered,
    enqueuer: Enqueuer,
    served: Served,
}

/// Reconciles the namespaces that are queued or whose requeue is due, until `shutdown`. Two
/// reconciles of one namespace never run at the same time, therefore no two workloads of a
/// namespace are restarted at once.
pub(super) async fn run(
    queue: Queue<SeenNamespace>,
    (enqueuer, served): (Enqueuer, Served),
    context: Arc<Context>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let store = context.views.namespaces.store().clone();
    let context = Arc::new(RestartContext { context, remembered: Remembered::default(), enqueuer, served });
    super::run_controller((store, queue), CONCURRENCY, shutdown, reconcile_one, after_error, context).await;
}

async fn reconcile_one(namespace: Arc<SeenNamespace>, context: Arc<RestartContext>) -> Result<Action, CallError> {
    let enqueue = |config: &crate::api::AwsConfig| context.enqueuer.finding_changed(config);
    let name = namespace.name_any();
    if !context.served.serves(&name) {
        return Ok(Action::await_change());
    }
    let next = Box::pin(restart::reconcile(&name, &context.context, &context.remembered, enqueue));
    Ok(next.await?.map_or_else(Action::await_change, Action::requeue))
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(namespace: Arc<SeenNamespace>, error: &CallError, context: Arc<RestartContext>) -> Action {
    requeue_after(error, &context.context.memory, namespace.uid(), |wait_ms| {
        tracing::warn!(namespace = namespace.name_any(), %error, wait_ms, "not restarted; it will be tried again");
    })
}
