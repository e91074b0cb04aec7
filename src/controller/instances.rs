//! The controllers of `DssInstance`s and `DataRobotInstance`s. An instance is reconciled when it
//! changes, and as often as its reconcile says.

use super::{Enqueuer, requeue_after};
use crate::{
    cluster::{CallError, Change},
    memory::Memory,
};
use futures::{
    Stream, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    stream,
};
use kube::{
    Resource, ResourceExt as _,
    runtime::{
        Controller,
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use serde::de::DeserializeOwned;
use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

/// The queue of the instances of one kind.
pub(super) type InstanceQueue<K> = UnboundedSender<ObjectRef<K>>;

/// The controller of the instances of one kind, with its queue.
pub struct InstanceController<K: Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    queue: UnboundedReceiver<ObjectRef<K>>,
}

impl<K> InstanceController<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    pub(super) fn new(store: Store<K>) -> (Self, InstanceQueue<K>) {
        let (sender, queue) = unbounded();
        (Self { store, queue }, sender)
    }

    /// Discards every queued request, without a reconcile. Never ends.
    pub async fn drain(&mut self) {
        (&mut self.queue).for_each(|_| std::future::ready(())).await;
    }

    /// Reconciles the queued instances. Never ends.
    pub async fn run<C, Reconcile>(
        self,
        context: C,
        memory: Arc<Memory>,
        reconcile: impl Fn(Arc<K>, Arc<C>) -> Reconcile,
    ) where
        C: Send + Sync + 'static,
        Reconcile: Future<Output = Result<Duration, CallError>> + Send + 'static,
    {
        let after_error = move |instance: Arc<K>, error: &CallError, _: Arc<C>| {
            requeue_after(error, &memory, instance.uid(), |wait_ms| {
                tracing::warn!(name = instance.name_any(), %error, wait_ms, "not finished; it will be tried again");
            })
        };
        let reconcile_one = move |instance, context| {
            let reconcile = reconcile(instance, context);
            async move { reconcile.await.map(Action::requeue) }
        };
        Controller::for_stream(stream::pending(), self.store)
            .reconcile_on(self.queue)
            .run(reconcile_one, after_error, Arc::new(context))
            .for_each(|_| std::future::ready(()))
            .await;
    }
}

/// Enqueues the instances that a change concerns, and the configs that use them (`enqueue_users`).
/// `forget` gets the name of an instance that is gone. Never ends.
pub(super) async fn follow_changes<K>(
    store: Store<K>,
    changes: impl Stream<Item = Change<K>>,
    queue: InstanceQueue<K>,
    enqueuers: Vec<Enqueuer>,
    enqueue_users: impl Fn(&Enqueuer, &str),
    forget: impl Fn(&str),
) where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut known = HashMap::new();
    // A failed send is ignored: the receiver is dropped only together with the controller, and then
    // no instance is reconciled any more.
    let enqueue = |name: &str| drop(queue.unbounded_send(ObjectRef::<K>::new(name)));
    let enqueue_all = |known: &mut HashMap<String, Meaning>| {
        *known = store.state().iter().map(|instance| (instance.name_any(), Meaning::of(instance.as_ref()))).collect();
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
                            enqueue_users(enqueuer, &name);
                        }
                        if !is_there {
                            forget(&name);
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
    fn of(instance: &impl Resource) -> Self {
        let meta = instance.meta();
        Self { uid: meta.uid.clone(), generation: meta.generation, is_being_deleted: meta.deletion_timestamp.is_some() }
    }
}
