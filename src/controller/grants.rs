//! The controller of grants. It writes whether a grant is in order. The decisions about
//! `AwsConfig`s do not depend on it.

use super::{
    enqueuer::{Queue, QueueSender, queue},
    requeue_after, runner,
};
use crate::{
    api::AwsRoleGrant,
    clock::Clock,
    cluster::{CallError, Calls, Failed, Name, Watched},
    grants::grant_status,
    memory::Memory,
};
use kube::ResourceExt as _;
use std::{future::pending, sync::Arc, time::Duration};

/// The number of grants that are reconciled at the same time.
const CONCURRENCY: usize = 16;

/// The handles that the reconcile of a grant works with.
pub struct GrantContext {
    /// The only source of time.
    pub clock: Clock,
    /// The calls to the API server.
    pub calls: Calls,
    /// The view of all grants.
    pub grants: Watched<AwsRoleGrant>,
    /// What this process remembers of each object.
    pub memory: Arc<Memory>,
}

/// The controller of grants, with its queue.
pub struct GrantController(Queue);

impl GrantController {
    pub(super) fn new() -> (Self, QueueSender) {
        let (sender, queue) = queue();
        (Self(queue), sender)
    }

    /// Discards every queued request, without a reconcile. Never ends.
    pub async fn drain(&mut self) {
        self.0.drain().await;
    }

    /// Reconciles the queued grants; without a context, discards every request, because another
    /// shard reconciles grants. Never ends.
    pub async fn run(mut self, context: Option<GrantContext>) {
        let Some(context) = context else { return self.drain().await };
        let context = Arc::new(context);
        let every = || context.grants.names();
        runner::run(self.0, every, CONCURRENCY, pending(), |name| reconcile_one(name, context.clone())).await;
    }
}

async fn reconcile_one(name: Name, context: Arc<GrantContext>) -> Option<Duration> {
    let grant = context.grants.get("", name.name())?;
    let error = reconcile(&grant, &context).await.err()?;
    requeue_after(&error, &context.memory, grant.uid(), |wait_ms| {
        tracing::warn!(kind = "AwsRoleGrant", name = name.name(), %error, wait_ms, "not finished; it will be tried again");
    })
}

/// Writes the status of one grant if it says nothing about the present spec.
async fn reconcile(grant: &AwsRoleGrant, context: &GrantContext) -> Result<(), CallError> {
    let name = grant.name_any();
    if let Some(status) = grant_status(grant, context.clock.now()) {
        let write = context.calls.grant_status(&name, &status);
        match context.grants.own_writes().write("", &name, write).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            // The grant was deleted in the meantime, therefore there is no status to write.
            _ => {}
        }
    }
    context.memory.call_succeeded(&grant.uid().unwrap_or_default());
    Ok(())
}
