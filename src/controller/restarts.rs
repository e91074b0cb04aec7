//! The controller of restarts. A namespace is reconciled when a config in it that restarts
//! workloads changes, and when a restart is due.

use super::{Enqueuer, enqueuer::Queue, requeue_after, runner};
use crate::{
    act::Context,
    cluster::Name,
    restart::{self, Remembered},
    views::Served,
};
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// The number of namespaces that are reconciled at the same time.
const CONCURRENCY: usize = 16;

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
    queue: Queue,
    (enqueuer, served): (Enqueuer, Served),
    context: Arc<Context>,
    shutdown: impl Future<Output = ()>,
) {
    let every = {
        let namespaces = context.views.namespaces.clone();
        move || namespaces.names()
    };
    let context = Arc::new(RestartContext { context, remembered: Remembered::default(), enqueuer, served });
    runner::run(queue, every, CONCURRENCY, shutdown, |name| reconcile_one(name, context.clone())).await;
}

async fn reconcile_one(namespace: Name, context: Arc<RestartContext>) -> Option<Duration> {
    if !context.served.serves(namespace.name()) {
        return None;
    }
    let uid = context.context.views.namespaces.get("", namespace.name())?.uid();
    let enqueue = |config: &crate::api::AwsConfig| context.enqueuer.finding_changed(config);
    let name = namespace.name();
    match Box::pin(restart::reconcile(name, &context.context, &context.remembered, enqueue)).await {
        Ok(next) => next,
        Err(error) => requeue_after(&error, &context.context.memory, uid, |wait_ms| {
            tracing::warn!(namespace = name, %error, wait_ms, "not restarted; it will be tried again");
        }),
    }
}
