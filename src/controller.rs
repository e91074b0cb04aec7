//! Decides which object is reconciled when: the watches of one scope (a namespace, or all
//! namespaces), and the objects that each change enqueues.
//!
//! The controllers of `kube` keep the queues. They never run two reconciles of one object at the
//! same time, and of several requests for one object the earliest counts. This room only finds the
//! objects that a change concerns. The reconcile of a healthy object is a decision in memory and
//! costs no call.
//!
//! Watches and controllers are separate, because every replica watches, and only the leader runs
//! controllers.

mod enqueuer;
mod grants;
mod instances;
mod restarts;
mod served;
mod shared;
mod trails;

pub use enqueuer::Enqueuer;
pub use grants::{GrantContext, GrantController};
pub use instances::InstanceController;
pub use shared::{Shared, SharedControllers};

use crate::{
    act::Context,
    api::{AwsConfig, AwsRole, names},
    cluster::{CallError, Change, Failed, follow_in, scoped},
    memory::Memory,
    reconcile::{reconcile, reconcile_role},
    views::{Served, Views, Writers},
};
use enqueuer::{Queue, Queues};
use futures::{Stream, StreamExt as _, stream};
use kube::{
    Client, Resource, ResourceExt as _,
    runtime::{
        Controller,
        controller::{self, Action},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// The number of reconciles of one kind that run at the same time. A higher number is no faster,
/// because the API server is the limit. At most 32 of them call STS, and 48 wait for DSS. The rest
/// is for what waits for neither, such as withdrawals.
pub const CONCURRENCY: u16 = 96;

/// One scope (a namespace, or all namespaces): its views with their writers, its enqueuer and its
/// queues.
pub struct Scope {
    api_namespace: Option<String>,
    served: Served,
    views: Views,
    writers: Writers,
    enqueuer: Enqueuer,
    queues: Queues,
}

impl Scope {
    /// Makes a scope with empty views. `namespace` is `None` for all namespaces, of which those
    /// count that `served` chooses.
    #[must_use]
    pub fn new(namespace: Option<String>, served: Served, shared: &Shared) -> Self {
        let Shared { grants, namespaces, instances, data_robots } = shared;
        let (views, writers) = Views::new(grants.clone(), namespaces.clone(), instances.clone(), data_robots.clone());
        let (enqueuer, queues) = Enqueuer::new(views.clone());
        Self { api_namespace: namespace, served, views, writers, enqueuer, queues }
    }

    /// The views of this scope. Clones share their content.
    #[must_use]
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// The enqueuer of this scope, with which other rooms enqueue its objects.
    #[must_use]
    pub fn enqueuer(&self) -> Enqueuer {
        self.enqueuer.clone()
    }

    /// Splits the scope into its two halves. The first is a future that keeps the views up to date
    /// and enqueues the objects that a change concerns. That future never ends. The second is the
    /// controllers, which reconcile the queued objects.
    pub fn begin(
        self,
        client: Client,
        memory: Arc<Memory>,
    ) -> (impl Future<Output = ()> + Send + 'static, Controllers) {
        let Self { api_namespace, served, views, writers, enqueuer, queues } = self;
        let controllers =
            Controllers { served: served.clone(), views: views.clone(), enqueuer: enqueuer.clone(), queues };
        let watching = async move {
            served.known().await;
            let first = served.entered();
            let keeps = |served: &Served| {
                let served = served.clone();
                move |namespace: &str| served.keeps(namespace)
            };
            let all = watcher::Config::default;
            let ours = all().labels(names::AWS_CONFIG_LABEL);
            let offered = all().labels(&format!("{}={}", names::SOURCE, names::SOURCE_OFFERED));
            let namespace = api_namespace.as_deref();
            let (configs, roles) = (scoped(&client, namespace), scoped(&client, namespace));
            let config_changes = follow_in(configs, all(), &views.configs, writers.configs, keeps(&served));
            let role_changes = follow_in(roles, all(), &views.roles, writers.roles, keeps(&served));
            let (secrets, sources) = (scoped(&client, namespace), scoped(&client, namespace));
            let secret_changes = follow_in(secrets, ours, &views.secrets, writers.secrets, keeps(&served));
            let source_changes = follow_in(sources, offered, &views.sources, writers.sources, keeps(&served));
            Box::pin(futures::future::join5(
                served::admit(&served, first, &views, &enqueuer),
                each_change(config_changes, &enqueuer, |config: &AwsConfig| {
                    let is_gone = views.configs.store().get(&ObjectRef::from_obj(config)).is_none();
                    if is_gone {
                        memory.forget(&config.uid().unwrap_or_default());
                        enqueuer.target_left(config);
                    }
                    if is_gone || config.metadata.deletion_timestamp.is_some() {
                        enqueuer.place_left(config);
                    }
                    enqueuer.config_changed(config);
                }),
                each_change(role_changes, &enqueuer, |role: &AwsRole| enqueuer.role_changed(role)),
                each_change(secret_changes, &enqueuer, |secret| enqueuer.secret_changed(secret)),
                each_change(source_changes, &enqueuer, |secret| enqueuer.source_changed(secret)),
            ))
            .await;
        };
        (watching, controllers)
    }
}

/// The controllers of one scope: of its configs, of its roles, of the restarts of workloads, and of
/// what trails behind a credential.
pub struct Controllers {
    served: Served,
    views: Views,
    enqueuer: Enqueuer,
    queues: Queues,
}

impl Controllers {
    /// The views that these controllers work on.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Discards every queued request, without a reconcile. Never ends. No request is lost by this:
    /// before a new leader runs its controllers, it has everything relisted, and a list enqueues
    /// every object.
    pub async fn drain(&mut self) {
        let Queues { configs, roles, restarts, trails } = &mut self.queues;
        futures::future::join4(configs.forget(), roles.forget(), restarts.forget(), trails.forget()).await;
    }

    /// Runs the controllers until `shutdown`, then waits for the reconciles that have begun.
    pub async fn run(self, context: Context, shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static) {
        let Self { served, views, enqueuer, queues: Queues { configs, roles, restarts, trails } } = self;
        let context = Arc::new(context);
        let (configs, roles) = ((views.configs.store().clone(), configs), (views.roles.store().clone(), roles));
        let reconcile_one = {
            let (enqueuer, served) = (enqueuer.clone(), served.clone());
            move |config, context| reconcile_one(config, context, enqueuer.clone(), served.clone())
        };
        let reconcile_one_role = {
            let served = served.clone();
            move |role, context| reconcile_one_role(role, context, served.clone())
        };
        futures::future::join4(
            run_controller(configs, CONCURRENCY, shutdown.clone(), reconcile_one, after_error, context.clone()),
            run_controller(roles, CONCURRENCY, shutdown.clone(), reconcile_one_role, after_error, context.clone()),
            restarts::run(restarts, (enqueuer.clone(), served.clone()), context.clone(), shutdown.clone()),
            trails::run(trails, (enqueuer, served), context, shutdown),
        )
        .await;
    }
}

/// Reconciles the objects that are queued or whose requeue is due, until `shutdown`. At most
/// `concurrency` reconciles run at the same time, and never two of one object.
async fn run_controller<K, C, Reconcile>(
    (store, queue): (Store<K>, Queue<K>),
    concurrency: u16,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
    reconcile: impl FnMut(Arc<K>, Arc<C>) -> Reconcile,
    after_error: impl Fn(Arc<K>, &CallError, Arc<C>) -> Action + Send + Sync + 'static,
    context: Arc<C>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    Reconcile: Future<Output = Result<Action, CallError>> + Send + 'static,
{
    Controller::for_stream(stream::pending(), store)
        .with_config(controller::Config::default().concurrency(concurrency))
        .reconcile_on(queue.one)
        .reconcile_all_on(queue.every)
        .graceful_shutdown_on(shutdown)
        .run(reconcile, after_error, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn each_change<K>(changes: impl Stream<Item = Change<K>>, enqueuer: &Enqueuer, enqueue: impl Fn(&K)) {
    changes
        .for_each(|change| {
            match change {
                Change::One(object) => enqueue(&object),
                Change::All => enqueuer.all(),
            }
            std::future::ready(())
        })
        .await;
}

async fn reconcile_one(
    config: Arc<AwsConfig>,
    context: Arc<Context>,
    enqueuer: Enqueuer,
    served: Served,
) -> Result<Action, CallError> {
    if !is_served(config.as_ref(), &served) {
        return Ok(Action::await_change());
    }
    let trail = {
        let config = config.clone();
        move || enqueuer.trail(&config)
    };
    Box::pin(reconcile(config, &context, &trail)).await.map(Action::requeue)
}

/// Whether this operator serves the namespace of an object. When a namespace comes in, everything
/// is enqueued.
fn is_served(object: &impl Resource, served: &Served) -> bool {
    served.serves(object.meta().namespace.as_deref().unwrap_or_default())
}

async fn reconcile_one_role(role: Arc<AwsRole>, context: Arc<Context>, served: Served) -> Result<Action, CallError> {
    if !is_served(role.as_ref(), &served) {
        return Ok(Action::await_change());
    }
    Box::pin(reconcile_role(role, &context)).await.map(Action::requeue)
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &CallError, context: Arc<Context>) -> Action {
    requeue_after(error, &context.memory, object.uid(), |wait_ms| {
        let (kind, namespace, name) = (K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
        tracing::warn!(%kind, namespace, name, %error, wait_ms, "not finished; it will be tried again");
    })
}

/// Requeues the object with this UID after a failed call, and logs the wait in milliseconds. A
/// process that no longer leads does neither, because the next leader reconciles the object.
fn requeue_after(error: &CallError, memory: &Memory, uid: Option<String>, log: impl FnOnce(i128)) -> Action {
    if error.failed == Failed::NotLeading {
        return Action::await_change();
    }
    let wait = memory.call_failed(&uid.unwrap_or_default());
    log(wait.as_millis());
    Action::requeue(Duration::try_from(wait).unwrap_or_default())
}
