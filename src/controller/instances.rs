//! The instances of DSS: looked at when they change and as often as `refresh` says.

use super::Enqueuer;
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
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The looks at instances.
pub struct InstanceController {
    store: Store<DssInstance>,
    queue: UnboundedReceiver<ObjectRef<DssInstance>>,
}

impl InstanceController {
    pub(super) fn new(store: Store<DssInstance>) -> (Self, UnboundedSender<ObjectRef<DssInstance>>) {
        let (wake, queue) = unbounded();
        (Self { store, queue }, wake)
    }

    /// Controllers at nothing and forgets who is queue. Never ends.
    pub async fn drain(&mut self) {
        (&mut self.queue).for_each(|_| std::future::ready(())).await;
    }

    /// Controllers. Never ends.
    pub async fn run(self, context: InstanceContext) {
        Controller::for_stream(stream::pending(), self.store)
            .reconcile_on(self.queue)
            .run(reconcile_one, after_error, Arc::new(context))
            .for_each(|_| std::future::ready(()))
            .await;
    }
}

/// Wakes whom a change concerns. Never ends.
pub(super) async fn follow_changes(
    store: Store<DssInstance>,
    changes: impl Stream<Item = Change<DssInstance>>,
    wake: UnboundedSender<ObjectRef<DssInstance>>,
    enqueuers: Vec<Enqueuer>,
    dss_cache: DssCache,
) {
    let mut known = HashMap::new();
    // The receiver is gone only when nobody will look any more.
    let one = |name: &str| drop(wake.unbounded_send(ObjectRef::<DssInstance>::new(name)));
    let all = |known: &mut HashMap<String, Meaning>| {
        *known = store.state().iter().map(|instance| (instance.name_any(), Meaning::of(instance))).collect();
        for name in known.keys() {
            one(name);
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
                    // What is written in status, by us, concerns nobody.
                    if known.get(&name) != meaning.as_ref() {
                        match meaning {
                            Some(meaning) => known.insert(name.clone(), meaning),
                            None => known.remove(&name),
                        };
                        one(&name);
                        for enqueuer in &enqueuers {
                            enqueuer.users_changed(&name, None);
                        }
                        if !is_there {
                            dss_cache.forget(&name);
                        }
                    }
                }
                Change::All => all(&mut known),
            }
            std::future::ready(())
        })
        .await;
}

/// What of an instance concerns others.
#[derive(PartialEq)]
struct Meaning {
    uid: Option<String>,
    generation: Option<i64>,
    is_going: bool,
}

impl Meaning {
    fn of(instance: &DssInstance) -> Self {
        Self {
            uid: instance.uid(),
            generation: instance.metadata.generation,
            is_going: instance.metadata.deletion_timestamp.is_some(),
        }
    }
}

async fn reconcile_one(instance: Arc<DssInstance>, context: Arc<InstanceContext>) -> Result<Action, CallError> {
    Box::pin(reconcile(instance, &context)).await.map(Action::requeue)
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(instance: Arc<DssInstance>, error: &CallError, context: Arc<InstanceContext>) -> Action {
    let wait = context.memory.call_failed(&instance.uid().unwrap_or_default());
    tracing::warn!(name = instance.name_any(), %error, wait_ms = wait.as_millis(), "not finished; it will be tried again");
    Action::requeue(Duration::try_from(wait).unwrap_or_default())
}
