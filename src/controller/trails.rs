//! The controller of trails: what follows a credential, in a queue of its own. The queue holds the
//! names of `AwsConfig`s, and no objects.

use super::{Enqueuer, enqueuer::Queue, requeue_after, runner};
use crate::{
    act::Context,
    cluster::Name,
    reconcile::{reconcile_trail, trail_of},
    views::Served,
};
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// The number of trails that are written at the same time while no credential is being written.
const CONCURRENCY: usize = 32;

/// Writes the trails of the configs that are queued or whose next attempt is due, until `shutdown`.
pub(super) async fn run(
    queue: Queue,
    (enqueuer, served): (Enqueuer, Served),
    context: Arc<Context>,
    shutdown: impl Future<Output = ()>,
) {
    let every = {
        let configs = context.views.configs.clone();
        move || configs.names()
    };
    let reconcile = |name| reconcile_one(name, context.clone(), enqueuer.clone(), served.clone());
    runner::run(queue, every, CONCURRENCY, shutdown, reconcile).await;
}

async fn reconcile_one(name: Name, context: Arc<Context>, enqueuer: Enqueuer, served: Served) -> Option<Duration> {
    if !served.serves(name.namespace()) {
        return None;
    }
    let config = context.views.configs.get(name.namespace(), name.name())?;
    let found = {
        let config = config.clone();
        move || enqueuer.finding_changed(&config)
    };
    let key = config.uid().map(|uid| trail_of(&uid));
    match Box::pin(reconcile_trail(config, &context, &found)).await {
        Ok(next) => next,
        Err(error) => requeue_after(&error, &context.memory, key, |wait_ms| {
            let (namespace, name) = (name.namespace(), name.name());
            tracing::warn!(namespace, name, %error, wait_ms, "the trail is not finished; it will be tried again");
        }),
    }
}
