//! Decides which object is reconciled when: the watches of one scope (a namespace, or all
//! namespaces), and the objects that each change enqueues.
//!
//! A runner for each kind keeps the queue. It never runs two reconciles of one object at the same
//! time, and of several requests for one object the earliest counts. The rest of this room finds
//! the objects that a change concerns. The reconcile of a healthy object is a decision in memory
//! and costs no call.
//!
//! Watches and controllers are separate, because every replica watches, and only the leader runs
//! controllers.

mod enqueuer;
mod grants;
mod instances;
mod restarts;
mod runner;
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
    cluster::{CallError, Change, Failed, Name, follow_in, scoped},
    memory::Memory,
    reconcile::{reconcile, reconcile_role},
    views::{Served, Views},
};
use enqueuer::Queues;
use futures::{Stream, StreamExt as _};
use kube::{Client, ResourceExt as _, runtime::watcher};
use std::{sync::Arc, time::Duration};

/// The number of reconciles of one kind that run at the same time. A higher number is no faster,
/// because the API server is the limit. At most 32 of them call STS, and 48 wait for DSS. The rest
/// is for what waits for neither, such as withdrawals.
pub const CONCURRENCY: usize = 96;

/// One scope (a namespace, or all namespaces): its views, its enqueuer and its queues.
pub struct Scope {
    api_namespace: Option<String>,
    served: Served,
    views: Views,
    enqueuer: Enqueuer,
    queues: Queues,
}

impl Scope {
    /// Makes a scope with empty views. `namespace` is `None` for all namespaces, of which those
    /// count that `served` chooses.
    #[must_use]
    pub fn new(namespace: Option<String>, served: Served, shared: &Shared) -> Self {
        let Shared { grants, namespaces, instances, data_robots } = shared;
        let views = Views::new(grants.clone(), namespaces.clone(), instances.clone(), data_robots.clone());
        let (enqueuer, queues) = Enqueuer::new(views.clone());
        Self { api_namespace: namespace, served, views, enqueuer, queues }
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
        let Self { api_namespace, served, views, enqueuer, queues } = self;
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
            let config_changes = follow_in(configs, all(), &views.configs, keeps(&served));
            let role_changes = follow_in(roles, all(), &views.roles, keeps(&served));
            let (secrets, sources) = (scoped(&client, namespace), scoped(&client, namespace));
            let secret_changes = follow_in(secrets, ours, &views.secrets, keeps(&served));
            let source_changes = follow_in(sources, offered, &views.sources, keeps(&served));
            Box::pin(futures::future::join5(
                served::admit(&served, first, &views, &enqueuer),
                each_change(config_changes, &enqueuer, |config: &AwsConfig| {
                    let name = Name::of(config);
                    let is_gone = !views.configs.shows(name.namespace(), name.name());
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
        futures::future::join4(configs.drain(), roles.drain(), restarts.drain(), trails.drain()).await;
    }

    /// Runs the controllers until `shutdown`, then waits for the reconciles that have begun.
    pub async fn run(self, context: Context, shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static) {
        let Self { served, views, enqueuer, queues: Queues { configs, roles, restarts, trails } } = self;
        let context = Arc::new(context);
        let reconcile_config = |name| reconcile_one(name, context.clone(), enqueuer.clone(), served.clone());
        let reconcile_role = |name| reconcile_one_role(name, context.clone(), served.clone());
        futures::future::join4(
            runner::run(configs, || views.configs.names(), CONCURRENCY, shutdown.clone(), reconcile_config),
            runner::run(roles, || views.roles.names(), CONCURRENCY, shutdown.clone(), reconcile_role),
            restarts::run(restarts, (enqueuer.clone(), served.clone()), context.clone(), shutdown.clone()),
            trails::run(trails, (enqueuer.clone(), served.clone()), context.clone(), shutdown),
        )
        .await;
    }
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

/// Reconciles a config of a namespace that this operator serves. When a namespace comes in,
/// everything is enqueued.
async fn reconcile_one(name: Name, context: Arc<Context>, enqueuer: Enqueuer, served: Served) -> Option<Duration> {
    if !served.serves(name.namespace()) {
        return None;
    }
    let config = context.views.configs.get(name.namespace(), name.name())?;
    let uid = config.uid();
    let trail = {
        let config = config.clone();
        move || enqueuer.trail(&config)
    };
    let reconciled = Box::pin(reconcile(config, &context, &trail)).await;
    next_of("AwsConfig", &name, reconciled, uid, &context.memory)
}

async fn reconcile_one_role(name: Name, context: Arc<Context>, served: Served) -> Option<Duration> {
    if !served.serves(name.namespace()) {
        return None;
    }
    let role = context.views.roles.get(name.namespace(), name.name())?;
    let uid = role.uid();
    let reconciled = Box::pin(reconcile_role(role, &context)).await;
    next_of("AwsRole", &name, reconciled, uid, &context.memory)
}

/// The time until the next reconcile of an object after this result.
fn next_of(
    kind: &str,
    name: &Name,
    reconciled: Result<Duration, CallError>,
    uid: Option<String>,
    memory: &Memory,
) -> Option<Duration> {
    let error = match reconciled {
        Ok(next) => return Some(next),
        Err(error) => error,
    };
    requeue_after(&error, memory, uid, |wait_ms| {
        let (namespace, name) = (name.namespace(), name.name());
        tracing::warn!(kind, namespace, name, %error, wait_ms, "not finished; it will be tried again");
    })
}

/// The time until the reconcile of the object with this UID after a failed call. `log` gets it in
/// milliseconds. A process that no longer leads requeues and logs nothing, because the next leader
/// reconciles the object.
fn requeue_after(error: &CallError, memory: &Memory, uid: Option<String>, log: impl FnOnce(i128)) -> Option<Duration> {
    if error.failed == Failed::NotLeading {
        return None;
    }
    let wait = memory.call_failed(&uid.unwrap_or_default());
    log(wait.as_millis());
    Some(Duration::try_from(wait).unwrap_or_default())
}
