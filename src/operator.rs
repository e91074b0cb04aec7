//! The assembled operator. `keyturn run` starts it, and tests start it with another connection and
//! another clock.

mod missed_pods;
mod states;
mod withdrawals;
mod work;

use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, DataRobotInstance, DssInstance, names},
    brake,
    certificate::Kept,
    clock::{Clock, http_date},
    cluster::{Failing, StartError, check_served},
    controller::{Enqueuer, Scope, Shared},
    credentials::{S3, Sts},
    data_robot::DataRobots,
    dss_cache::DssCache,
    leader::{LeaseName, Lost, shards_in},
    limit::{RateLimits, StsBudget, StsLimits},
    memory::Memory,
    metrics::Metrics,
    rest::Connect,
    server::{self, Admin},
    shards::{NamespaceSelector, Overlap, Shard, overlap},
    views::{Served, Views},
};
use futures::{FutureExt as _, future};
use jiff::SignedDuration;
use kube::{Client, CustomResourceExt as _};
use states::states;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use work::Work;

/// The time after which the log says again which lists are missing.
const UNSYNCED_LOG_PERIOD: Duration = Duration::from_secs(30);

/// What an operator needs from outside.
pub struct Operator {
    /// The client of the API server.
    pub client: Client,
    /// The client of STS.
    pub sts: aws_sdk_sts::Client,
    /// The client of S3.
    pub s3: S3,
    /// The function that connects to a DSS or a DataRobot.
    pub connect: Connect,
    /// The clock.
    pub clock: Clock,
    /// The cluster's name. It is a part of every external ID and of the label of every API key.
    pub cluster_name: String,
    /// The namespaces to serve; empty for all.
    pub namespaces: Vec<String>,
    /// The labels of the namespaces to serve; `None` for those that `namespaces` says.
    pub namespace_selector: Option<NamespaceSelector>,
    /// The operator's place in a set of shards; `None` if it is none of a set.
    pub shard: Option<ShardPlace>,
    /// The most `AwsConfig`s of a namespace that get a credential; `None` for no limit.
    pub configs_per_namespace: Option<usize>,
    /// Whether the metrics have series of each `AwsConfig`.
    pub object_metrics: bool,
    /// The rates at which keyturn asks STS and DSS for what is not a renewal that is due.
    pub rate_limits: RateLimits,
    /// The bounds of all calls to STS.
    pub sts_limits: StsLimits,
    /// The time after which an `AwsConfig` has to be confirmed again; `None` for no limit.
    pub max_age: Option<SignedDuration>,
    /// The brake on withdrawals.
    pub brake: brake::Settings,
    /// The name of the pod. It is the reporter of Events and a part of the Lease holder's identity.
    pub instance: String,
    /// The Lease by which one of several replicas becomes the leader; `None` if this replica is the
    /// only one.
    pub lease: Option<LeaseName>,
    /// The operator's tasks for the webhook; `None` if there is none.
    pub webhook: Option<WebhookCare>,
}

/// The place of an operator in a set of shards.
#[derive(Clone, Debug)]
pub struct ShardPlace {
    /// The name of the shard.
    pub name: String,
    /// Whether this shard writes what belongs to the whole cluster.
    pub owns_cluster: bool,
}

/// The reasons why an operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The API server does not serve what keyturn needs.
    #[error(transparent)]
    ApiServer(#[from] StartError),
    /// Another operator serves some of the same namespaces.
    #[error(transparent)]
    Overlaps(#[from] Overlap),
    /// The Leases of other operators cannot be read.
    #[error(
        "cannot list the Leases of namespace \"{namespace}\", which say what other shards of keyturn serve: {error}; upgrade the \
         chart, or give keyturn's ServiceAccount the right to list leases.coordination.k8s.io there"
    )]
    Leases {
        /// The namespace of the Leases.
        namespace: String,
        /// The error of the API server or of the connection.
        error: kube::Error,
    },
}

/// The operator's tasks for the webhook, whose replicas are processes of their own.
#[derive(Clone, Debug)]
pub struct WebhookCare {
    /// The namespace of the release. The API server does not send its pods to the webhook.
    pub namespace: String,
    /// The certificate that the leader maintains; `None` if another program does.
    pub certificate: Option<Kept>,
}

impl Operator {
    /// Checks that the API server answers and serves keyturn's resources, and learns its time. With
    /// a Lease, checks that no other shard serves some of the same namespaces.
    ///
    /// # Errors
    /// [`CannotStart`] if that is not so. The error says what to do.
    pub async fn check(&self) -> Result<(), CannotStart> {
        learn_time(&self.client, &self.clock).await.map_err(|error| StartError::Unreachable(error.to_string()))?;
        let kinds = [
            AwsConfig::api_resource(),
            AwsRole::api_resource(),
            AwsRoleGrant::api_resource(),
            DssInstance::api_resource(),
            DataRobotInstance::api_resource(),
        ];
        check_served(&self.client, &kinds.map(|kind| kind.plural)).await?;
        let Some(LeaseName { namespace, name }) = &self.lease else { return Ok(()) };
        let leases = shards_in(self.client.clone(), namespace).await;
        let leases = leases.map_err(|error| CannotStart::Leases { namespace: namespace.clone(), error })?;
        match overlap(&self.shard(), name, &leases, self.clock.now()) {
            Some(overlap) => Err(overlap.into()),
            None => Ok(()),
        }
    }

    /// What this operator serves, as the other shards see it.
    fn shard(&self) -> Shard {
        Shard {
            name: self.shard.as_ref().map(|place| place.name.clone()).unwrap_or_default(),
            namespaces: self.namespace_selector.clone().unwrap_or_else(|| NamespaceSelector::named(&self.namespaces)),
            owns_cluster: self.shard.as_ref().is_none_or(|place| place.owns_cluster),
        }
    }

    /// Runs until `shutdown`, then finishes what is in flight. The admin server listens on
    /// `listener`, if there is one.
    ///
    /// # Errors
    /// [`Lost`] if this replica led and may no longer lead.
    pub async fn run(
        self,
        listener: Option<TcpListener>,
        shutdown: impl Future<Output = ()> + Send + Sync + 'static,
    ) -> Result<(), Lost> {
        let metrics = if self.object_metrics { Metrics::with_objects() } else { Metrics::new() };
        let memory = Arc::new(if self.webhook.is_some() { Memory::default() } else { Memory::without_webhook() });
        let (shared, shared_queues, shared_controllers) = Shared::new();
        let shard = self.shard();
        let served = self.namespace_selector.map_or_else(Served::all, Served::chosen_by);
        let scopes: Vec<Option<String>> =
            if self.namespaces.is_empty() { vec![None] } else { self.namespaces.into_iter().map(Some).collect() };
        let scopes: Vec<Scope> =
            scopes.into_iter().map(|namespace| Scope::new(namespace, served.clone(), &shared)).collect();
        let views: Arc<[Views]> = scopes.iter().map(Scope::views).collect();
        let enqueuers: Vec<Enqueuer> = scopes.iter().map(Scope::enqueuer).collect();
        let shutdown = shutdown.shared();
        let sts_budget = StsBudget::new(self.sts_limits, metrics.sts_waited());
        let failing = metrics.write_failed();
        let failing = Failing::new(move |write| failing(write.as_str()));

        let dss_cache = DssCache::new(self.connect.clone());
        let data_robots = DataRobots::new(self.connect);
        let shared_views = shared.clone();
        let (cache, robots) = (dss_cache.clone(), data_robots.clone());
        let shared = shared.watch(self.client.clone(), shared_queues, (enqueuers.clone(), served), cache, robots);
        let mut ours = vec![tokio::spawn(shared)];
        let mut controllers = Vec::new();
        for scope in scopes {
            let (watching, scope_controllers) = scope.begin(self.client.clone(), memory.clone());
            ours.push(tokio::spawn(watching));
            controllers.push(scope_controllers);
        }
        if let Some(listener) = listener {
            let shown = Shown { views: views.clone(), has_objects: self.object_metrics };
            let admin = admin(shown, &metrics, &self.clock, &failing, &sts_budget);
            let ports = metrics.ports().clone();
            ours.push(tokio::spawn(async move { server::serve(admin, listener, &ports).await }));
        }
        ours.push(tokio::spawn(log_unsynced(views.clone())));
        let _end_with_us: Vec<AbortOnDrop> = ours.into_iter().map(AbortOnDrop).collect();

        let sts = Sts::new(self.sts.clone(), self.clock.clone(), metrics.sts_answered());
        let work = Work {
            client: self.client,
            clock: self.clock,
            cluster_name: self.cluster_name.into(),
            reporter: self.instance.into(),
            configs_per_namespace: self.configs_per_namespace,
            rate_limits: self.rate_limits,
            sts_budget,
            max_age: self.max_age,
            brake: self.brake,
            shard,
            sts,
            s3: self.s3,
            failing,
            dss_cache,
            memory,
            metrics,
            views,
            enqueuers,
            data_robots,
            shared: shared_views,
            controllers,
            shared_controllers,
            webhook: self.webhook,
        };
        Box::pin(work.lead(self.lease, shutdown)).await
    }
}

/// The objects that the metrics are about.
struct Shown {
    views: Arc<[Views]>,
    /// Whether each config has series of its own.
    has_objects: bool,
}

/// Ready after everything has been listed, because keyturn neither issues nor withdraws before, and
/// while no writes fail that only the process can report.
fn admin(shown: Shown, metrics: &Metrics, clock: &Clock, failing: &Failing, sts_budget: &StsBudget) -> Admin {
    let sts_budget = sts_budget.clone();
    let (metrics, clock, views) = (metrics.clone(), clock.clone(), shown.views.clone());
    let failing = failing.clone();
    Admin {
        waits_for: Arc::new(move || views.iter().flat_map(Views::unsynced).chain(failing.said()).collect()),
        metrics: Arc::new(move || {
            metrics.sts_budget(&sts_budget.snapshot());
            metrics.encode(&states(&shown.views, shown.has_objects, clock.now()))
        }),
    }
}

/// Asks the API server for the resources of keyturn's group, and learns the server's time from the
/// answer.
async fn learn_time(client: &Client, clock: &Clock) -> Result<(), kube::Error> {
    let path = format!("/apis/{}/{}", names::GROUP, names::VERSION);
    let request = http::Request::get(path).body(kube::client::Body::empty());
    let asked_at = clock.now();
    let answer = client.send(request.map_err(kube::Error::HttpError)?).await?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
    if let Some(date) = date {
        clock.learn(date, clock.now().duration_since(asked_at));
    }
    Ok(())
}

/// Logs the unsynced views for as long as there are any, because an operator that waits must not do
/// so in silence. While every view is synced, this does nothing.
async fn log_unsynced(views: Arc<[Views]>) {
    loop {
        future::select_all(views.iter().map(|views| Box::pin(views.until_unsynced()))).await;
        tokio::time::sleep(UNSYNCED_LOG_PERIOD).await;
        let mut unsynced: Vec<String> = views.iter().flat_map(Views::unsynced).collect();
        unsynced.dedup();
        if !unsynced.is_empty() {
            tracing::error!(
                missing = unsynced.join("; "),
                "nothing is issued or withdrawn until everything has been listed"
            );
        }
    }
}

/// A task that is aborted when this handle is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
