//! The controller of `DssInstance`s. An instance is reconciled when it changes, and as often as its
//! `spec.refresh` says.

use super::{Enqueuer, requeue_after};
use crate::{
    api::DssInstance,
    cluster::{CallError, Change},
    dss_cache::DssCache,
    dss_instance::{InstanceContext, reconcile},
};
use futures::{
    Stream, StreamExt as _,
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
use std::{collections::HashMap, sync::Arc};

/// The controller of `DssInstance`s, with its queue.
pub struct InstanceController {
    store: Store<DssInstance>,
    queue: UnboundedReceiver<ObjectRef<DssInstance>>,
}

impl InstanceController {
    pub(super) fn new(store: Store<DssInstance>) -> (Self, UnboundedSender<ObjectRef<DssInstance>>) {
        let (sender, queue) = unbounded();
        (Self { store, queue }, sender)
    }

    /// Discards every queued request, without a reconcile. Never ends.
    pub async fn drain(&mut self) {
        (&mut self.queue).for_each(|_| std::future::ready(())).await;
    }

    /// Reconciles the queued instances. Never ends.
    pub async fn run(self, context: InstanceContext) {
        Controller::for_stream(stream::pending(), self.store)
            .reconcile_on(self.queue)
            .run(reconcile_one, after_error, Arc::new(context))
            .for_each(|_| std::future::ready(()))
            .await;
    }
}

/// Enqueues the instances that a change concerns, and the configs that use them. Never ends.
pub(super) async fn follow_changes(
    store: Store<DssInstance>,
    changes: impl Stream<Item = Change<DssInstance>>,
    queue: UnboundedSender<ObjectRef<DssInstance>>,
    enqueuers: Vec<Enqueuer>,
    dss_cache: DssCache,
) {
    let mut known = HashMap::new();
    // A failed send is ignored: the receiver is dropped only together with the controller, and then
    // no instance is reconciled any more.
    let enqueue = |name: &str| drop(queue.unbounded_send(ObjectRef::<DssInstance>::new(name)));
    let enqueue_all = |known: &mut HashMap<String, Meaning>| {
        *known = store.state().iter().map(|instance| (instance.name_any(), Meaning::of(instance))).collect();
        for name in known.keys() {
            enqueue(name);
        }
        enqueuers.iter().for_each(Enqueuer::all);
    };
    changes
        .for_each(|change| {
            match change {
                Change::One(instance) => {
                    let name = instance.name_any();
                    let is_there = store.get(&ObjectRef::from_obj(&instance)).is_some();
                    let meaning = is_there.then(|| Meaning::of(&instance));
                    // A change of the status concerns nobody, because keyturn wrote it.
                    if known.get(&name) != meaning.as_ref() {
                        match meaning {
                            Some(meaning) => known.insert(name.clone(), meaning),
                            None => known.remove(&name),
                        };
                        enqueue(&name);
                        for enqueuer in &enqueuers {
                            enqueuer.users_changed(&name, None);
                        }
                        if !is_there {
                            dss_cache.forget(&name);
                        }
                    }
                }
                Change::All => enqueue_all(&mut known),
            }
            std::future::ready(())
        })
        .await;
}

/// The parts of an instance whose change concerns the instance's controller and the configs that
/// use it.
#[derive(PartialEq)]
struct Meaning {
    uid: Option<String>,
    generation: Option<i64>,
    is_being_deleted: bool,
}

impl Meaning {
    fn of(instance: &DssInstance) -> Self {
        Self {
            uid: instance.uid(),
            generation: instance.metadata.generation,
            is_being_deleted: instance.metadata.deletion_timestamp.is_some(),
        }
    }
}

async fn reconcile_one(instance: Arc<DssInstance>, context: Arc<InstanceContext>) -> Result<Action, CallError> {
    Box::pin(reconcile(instance, &context)).await.map(Action::requeue)
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(instance: Arc<DssInstance>, error: &CallError, context: Arc<InstanceContext>) -> Action {
    requeue_after(error, &context.memory, instance.uid(), |wait_ms| {
        tracing::warn!(name = instance.name_any(), %error, wait_ms, "not finished; it will be tried again");
    })
}
