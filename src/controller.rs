//! Which object is looked at when: the watches of one scope (a namespace, or all) and what each change wakes.
//!
//! `kube`'s controller keeps the queue (an object is never looked at twice at once, and only the newest wish to look
//! counts); this file only says what changed. A change that could concern many configs wakes them all: a look at a
//! healthy config is a decision in memory and costs no call.

use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, names},
    cluster::{CallError, Change, Watched, follow},
    reconcile::{Context, Views, reconcile},
};
use futures::{
    FutureExt as _, Stream, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    stream,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::{self, Action},
        reflector::{ObjectRef, store::Writer},
        watcher,
    },
};
use std::{sync::Arc, time::Duration};

/// How many configs are looked at at the same time. More is no faster: the API server is the limit.
const CONCURRENCY: u16 = 64;

/// The views that all scopes share.
pub struct Shared {
    /// All grants.
    pub grants: Watched<AwsRoleGrant>,
    /// All namespaces.
    pub namespaces: Watched<PartialObjectMeta<Namespace>>,
}

/// The writers that belong to [`Shared`].
pub struct SharedWriters {
    grants: Writer<AwsRoleGrant>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
}

impl Shared {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> (Self, SharedWriters) {
        let (grants, grants_writer) = Watched::new("awsrolegrants.keyturn.dev");
        let (namespaces, namespaces_writer) = Watched::new("namespaces");
        (Self { grants, namespaces }, SharedWriters { grants: grants_writer, namespaces: namespaces_writer })
    }

    /// Keeps the shared views up to date and wakes every scope. Never ends.
    pub async fn run(self, client: Client, writers: SharedWriters, wakers: Vec<Waker>) {
        let grants = follow(Api::all(client.clone()), watcher::Config::default(), &self.grants, writers.grants, |_| {});
        let namespaces =
            follow(Api::all(client), watcher::Config::default(), &self.namespaces, writers.namespaces, keep_labels);
        let grants = grants.for_each(|_| {
            wakers.iter().for_each(Waker::all);
            std::future::ready(())
        });
        let namespaces = namespaces.for_each(|change| {
            for waker in &wakers {
                match &change {
                    Change::One(namespace) => waker.namespace(&namespace.name_any()),
                    Change::All => waker.all(),
                }
            }
            std::future::ready(())
        });
        futures::future::join(grants, namespaces).await;
    }
}

fn keep_labels<K: Resource>(object: &mut K) {
    object.annotations_mut().clear();
}

/// Wakes the configs of one scope.
#[derive(Clone)]
pub struct Waker {
    configs: Watched<AwsConfig>,
    one: UnboundedSender<ObjectRef<AwsConfig>>,
    every: UnboundedSender<()>,
}

impl Waker {
    fn one(&self, namespace: &str, name: &str) {
        // The receiver is gone only when the scope is: then there is nothing to wake.
        let _ = self.one.unbounded_send(ObjectRef::new(name).within(namespace));
    }

    fn all(&self) {
        let _ = self.every.unbounded_send(());
    }

    fn namespace(&self, namespace: &str) {
        for config in self.configs.store().state() {
            if config.namespace().as_deref() == Some(namespace) {
                self.one(namespace, &config.name_any());
            }
        }
    }
}

/// One scope: a namespace, or all of them.
pub struct Scope {
    api_namespace: Option<String>,
    views: Views,
    configs: Writer<AwsConfig>,
    roles: Writer<AwsRole>,
    secrets: Writer<PartialObjectMeta<Secret>>,
    waker: Waker,
    woken: UnboundedReceiver<ObjectRef<AwsConfig>>,
    all_woken: UnboundedReceiver<()>,
}

impl Scope {
    /// A scope that has seen nothing yet. `namespace` is `None` for all namespaces.
    #[must_use]
    pub fn new(namespace: Option<String>, shared: &Shared) -> Self {
        let (configs, configs_writer) = Watched::new("awsconfigs.keyturn.dev");
        let (roles, roles_writer) = Watched::new("awsroles.keyturn.dev");
        let (secrets, secrets_writer) = Watched::new("secrets (labelled by keyturn)");
        let ((one, woken), (every, all_woken)) = (unbounded(), unbounded());
        let waker = Waker { configs: configs.clone(), one, every };
        let views =
            Views { configs, roles, secrets, grants: shared.grants.clone(), namespaces: shared.namespaces.clone() };
        Self {
            api_namespace: namespace,
            views,
            configs: configs_writer,
            roles: roles_writer,
            secrets: secrets_writer,
            waker,
            woken,
            all_woken,
        }
    }

    /// What this scope sees.
    #[must_use]
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// How others wake its configs.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Runs until `shutdown`, then finishes what is being done.
    pub async fn run(
        self,
        client: Client,
        context: Context,
        shutdown: impl Future<Output = ()> + Send + Sync + 'static,
    ) {
        let Self { api_namespace, views, configs, roles, secrets, waker, woken, all_woken } = self;
        let ours = watcher::Config::default().labels(names::AWS_CONFIG_LABEL);
        let config_changes = follow(
            scoped(&client, api_namespace.as_deref()),
            watcher::Config::default(),
            &views.configs,
            configs,
            |_| {},
        );
        let role_changes =
            follow(scoped(&client, api_namespace.as_deref()), watcher::Config::default(), &views.roles, roles, |_| {});
        let secret_changes = follow(scoped(&client, api_namespace.as_deref()), ours, &views.secrets, secrets, |_| {});
        let memory = context.memory.clone();
        let store = views.configs.store().clone();
        let changes = futures::future::join3(
            each_change(config_changes, &waker, |waker, config: &AwsConfig| {
                if store.get(&ObjectRef::from_obj(config)).is_none() {
                    memory.forget(&config.uid().unwrap_or_default());
                }
                waker.one(&config.namespace().unwrap_or_default(), &config.name_any());
            }),
            each_change(role_changes, &waker, |waker, role: &AwsRole| {
                waker.one(&role.namespace().unwrap_or_default(), &role.spec.aws_config_ref.name);
                wake_owners(waker, role);
            }),
            each_change(secret_changes, &waker, wake_owners),
        );
        let looks = Controller::for_stream(stream::pending(), store.clone())
            .with_config(controller::Config::default().concurrency(CONCURRENCY))
            .reconcile_on(woken)
            .reconcile_all_on(all_woken)
            .graceful_shutdown_on(shutdown)
            .run(look, after_error, Arc::new(context))
            .for_each(|_| std::future::ready(()));
        futures::future::select(looks.boxed(), changes.boxed()).await;
    }
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn each_change<K>(changes: impl Stream<Item = Change<K>>, waker: &Waker, wake: impl Fn(&Waker, &K)) {
    changes
        .for_each(|change| {
            match change {
                Change::One(object) => wake(waker, &object),
                Change::All => waker.all(),
            }
            std::future::ready(())
        })
        .await;
}

/// Wakes whom an object of ours belongs to. Its label and its owner reference say the same, unless somebody edited
/// one of them; then both are looked at.
fn wake_owners<K: Resource>(waker: &Waker, object: &K) {
    let namespace = object.namespace().unwrap_or_default();
    let labelled = object.labels().get(names::AWS_CONFIG_LABEL).cloned();
    let kind = AwsConfig::kind(&());
    let owners = object.owner_references().iter().filter(|owner| owner.kind == kind).map(|owner| owner.name.clone());
    let mut configs: Vec<String> = owners.chain(labelled).collect();
    configs.sort_unstable();
    configs.dedup();
    for config in configs {
        waker.one(&namespace, &config);
    }
}

async fn look(config: Arc<AwsConfig>, context: Arc<Context>) -> Result<Action, CallError> {
    Box::pin(reconcile(config, &context)).await.map(Action::requeue)
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn after_error(config: Arc<AwsConfig>, error: &CallError, context: Arc<Context>) -> Action {
    let wait = context.memory.call_failed(&config.uid().unwrap_or_default());
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    tracing::warn!(namespace, name, %error, wait_ms = wait.as_millis(), "not finished; it will be tried again");
    Action::requeue(Duration::try_from(wait).unwrap_or_default())
}
