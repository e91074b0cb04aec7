//! The controller of grants. It writes whether a grant is in order. The decisions about
//! `AwsConfig`s do not depend on it.

use super::requeue_after;
use crate::{
    api::AwsRoleGrant,
    clock::Clock,
    cluster::{CallError, Calls, Failed, Watched},
    grants::grant_status,
    memory::Memory,
};
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    stream,
};
use kube::{
    ResourceExt as _,
    runtime::{
        Controller,
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use std::sync::Arc;

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
pub struct GrantController {
    store: Store<AwsRoleGrant>,
    queue: UnboundedReceiver<ObjectRef<AwsRoleGrant>>,
}

/// Enqueues grants.
pub(super) struct GrantQueue(UnboundedSender<ObjectRef<AwsRoleGrant>>);

impl GrantQueue {
    // A failed send is ignored: the receiver is dropped together with the controller, and then no
    // grant is reconciled any more.
    pub(super) fn enqueue(&self, grant: &AwsRoleGrant) {
        let _ = self.0.unbounded_send(ObjectRef::from_obj(grant));
    }
}

impl GrantController {
    pub(super) fn new(store: Store<AwsRoleGrant>) -> (Self, GrantQueue) {
        let (sender, queue) = unbounded();
        (Self { store, queue }, GrantQueue(sender))
    }

    /// Discards every queued request, without a reconcile. Never ends. A new leader has everything
    /// relisted, and a list enqueues every grant.
    pub async fn drain(&mut self) {
        (&mut self.queue).for_each(|_| std::future::ready(())).await;
    }

    /// Reconciles the queued grants; without a context, discards every request, because another
    /// shard reconciles grants. Never ends.
    pub async fn run(mut self, context: Option<GrantContext>) {
        let Some(context) = context else { return self.drain().await };
        Controller::for_stream(stream::pending(), self.store)
            .reconcile_on(self.queue)
            .run(reconcile, after_error, Arc::new(context))
            .for_each(|_| std::future::ready(()))
            .await;
    }
}

/// Writes the status of one grant if it says nothing about the present spec.
async fn reconcile(grant: Arc<AwsRoleGrant>, context: Arc<GrantContext>) -> Result<Action, CallError> {
    let name = grant.name_any();
    let uid = grant.uid().unwrap_or_default();
    let Some(grant) = context.grants.get("", &name) else {
        context.memory.forget(&uid);
        return Ok(Action::await_change());
    };
    if let Some(status) = grant_status(&grant, context.clock.now()) {
        let write = context.calls.grant_status(&name, &status);
        match context.grants.own_writes().write("", &name, write).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            // The grant was deleted in the meantime, therefore there is no status to write.
            _ => {}
        }
    }
    context.memory.call_succeeded(&uid);
    Ok(Action::await_change())
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(grant: Arc<AwsRoleGrant>, error: &CallError, context: Arc<GrantContext>) -> Action {
    requeue_after(error, &context.memory, grant.uid(), |wait_ms| {
        tracing::warn!(kind = "AwsRoleGrant", name = grant.name_any(), %error, wait_ms, "not finished; it will be tried again");
    })
}
