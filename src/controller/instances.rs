//! The controllers of `DssInstance`s and `DataRobotInstance`s. An instance is reconciled when it
//! changes, and as often as its reconcile says.

use super::{
    Enqueuer,
    enqueuer::{Queue, QueueSender, queue},
    requeue_after, runner,
};
use crate::{
    cluster::{CallError, Change, Name, Object, Watched},
    memory::Memory,
};
use futures::{Stream, StreamExt as _};
use kube::{Resource, ResourceExt as _};
use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

/// The controller of the instances of one kind, with its queue.
pub struct InstanceController<K> {
    instances: Watched<K>,
    queue: Queue,
}

impl<K: Object> InstanceController<K> {
    pub(super) fn new(instances: Watched<K>) -> (Self, QueueSender) {
        let (sender, queue) = queue();
        (Self { instances, queue }, sender)
    }

    /// Discards every queued request, without a reconcile. Never ends.
    pub async fn drain(&mut self) {
        self.queue.drain().await;
    }

    /// Reconciles the queued instances, all at the same time. Never ends.
    pub async fn run<C, Reconcile>(
        self,
        context: C,
        memory: Arc<Memory>,
        reconcile: impl Fn(Arc<K>, Arc<C>) -> Reconcile,
    ) where
        C: Send + Sync + 'static,
        Reconcile: Future<Output = Result<Duration, CallError>> + Send + 'static,
    {
        let (instances, context) = (&self.instances, Arc::new(context));
        let reconcile_one = |name: Name| {
            let instance = instances.get("", name.name());
            let uid = instance.as_ref().and_then(|instance| instance.uid());
            let reconciled = instance.map(|instance| reconcile(instance, context.clone()));
            let memory = memory.clone();
            async move {
                match reconciled?.await {
                    Ok(next) => Some(next),
                    Err(error) => requeue_after(&error, &memory, uid, |wait_ms| {
                        tracing::warn!(name = name.name(), %error, wait_ms, "not finished; it will be tried again");
                    }),
                }
            }
        };
        runner::run(self.queue, || instances.names(), usize::MAX, pending(), reconcile_one).await;
    }
}

/// Enqueues the instances that a change concerns, and the configs that use them (`enqueue_users`).
/// `forget` gets the name of an instance that is gone. Never ends.
pub(super) async fn follow_changes<K>(
    shown: Watched<K>,
    changes: impl Stream<Item = Change<K>>,
    queue: QueueSender,
    enqueuers: Vec<Enqueuer>,
    enqueue_users: impl Fn(&Enqueuer, &str),
    forget: impl Fn(&str),
) where
    K: Object,
{
    let mut known = HashMap::new();
    let enqueue_all = |known: &mut HashMap<String, Meaning>| {
        *known = shown.all().map(|instance| (instance.name_any(), Meaning::of(instance.as_ref()))).collect();
        queue.all();
        enqueuers.iter().for_each(Enqueuer::all);
    };
    changes
        .for_each(|change| {
            match change {
                Change::One(instance) => {
                    let name = instance.name_any();
                    let is_there = shown.shows("", &name);
                    let meaning = is_there.then(|| Meaning::of(&instance));
                    // A change of the status concerns nobody, because keyturn wrote it.
                    if known.get(&name) != meaning.as_ref() {
                        match meaning {
                            Some(meaning) => known.insert(name.clone(), meaning),
                            None => known.remove(&name),
                        };
                        queue.enqueue(Name::new("", &name));
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
