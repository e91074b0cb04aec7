//! The assembled operator. `keyturn run` starts it, and tests start it with another connection and
//! another clock.

mod missed_pods;
mod webhook;
mod work;

pub use webhook::WebhookSettings;

use crate::{
    api,
    clock::{Clock, http_date},
    controller::{Enqueuer, Scope, Shared},
    credentials::Sts,
    dss_cache::{Connect, DssCache},
    leader::{LeaseName, Lost},
    metrics::Metrics,
    reconcile::Memory,
    server::{self, Admin},
    views::Views,
};
use futures::{FutureExt as _, future};
use kube::{Client, CustomResourceExt as _};
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
    /// The function that connects to a DSS.
    pub connect: Connect,
    /// The clock.
    pub clock: Clock,
    /// The cluster's name. It is a part of every external ID and of the label of every API key.
    pub cluster_name: String,
    /// The namespaces to serve; empty for all.
    pub namespaces: Vec<String>,
    /// The most `AwsConfig`s of a namespace that get a credential; `None` for no limit.
    pub configs_per_namespace: Option<usize>,
    /// The name of the pod. It is the reporter of Events and a part of the Lease holder's identity.
    pub instance: String,
    /// The Lease by which one of several replicas becomes the leader; `None` if this replica is the
    /// only one.
    pub lease: Option<LeaseName>,
    /// The settings of the webhook; `None` if it is not served.
    pub webhook: Option<WebhookSettings>,
}

/// The reasons why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server does not answer.
    #[error("the Kubernetes API server does not answer: {0}")]
    Unreachable(String),
    /// The API server refuses the operator's identity.
    #[error("the Kubernetes API server refuses the operator's identity: HTTP {0} for {1}")]
    Refused(u16, String),
    /// The API server lacks the custom resource definitions, or has old ones.
    #[error(
        "the API server has no {0}: install the custom resource definitions with the chart (crds.install=true), or by \
         `keyturn crds | kubectl apply --server-side -f -`"
    )]
    NoDefinitions(String),
}

impl Operator {
    /// Checks that the API server answers and serves keyturn's resources, and learns its time.
    ///
    /// # Errors
    /// [`StartError`] if it does not. The error says what to do.
    pub async fn check(&self) -> Result<(), StartError> {
        let path = format!("/apis/{}/{}", api::names::GROUP, api::names::VERSION);
        match learn_time(&self.client, &self.clock, &path).await? {
            200 => {}
            404 => return Err(StartError::NoDefinitions(path)),
            status => return Err(StartError::Refused(status, path)),
        }
        let group_version = path.trim_start_matches("/apis/").to_owned();
        let resources = self.client.list_api_group_resources(&group_version).await;
        let resources = resources.map_err(|error| StartError::Unreachable(error.to_string()))?.resources;
        for plural in [
            api::AwsConfig::api_resource().plural,
            api::AwsRole::api_resource().plural,
            api::AwsRoleGrant::api_resource().plural,
            api::DssInstance::api_resource().plural,
        ] {
            if !resources.iter().any(|resource| resource.name == plural) {
                return Err(StartError::NoDefinitions(format!("{plural}.{group_version}")));
            }
        }
        Ok(())
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
        let metrics = Metrics::new();
        let memory = Arc::new(if self.webhook.is_some() { Memory::default() } else { Memory::without_webhook() });
        let (shared, shared_writers, instance_controller) = Shared::new();
        let all = self.namespaces.is_empty();
        let scopes: Vec<Option<String>> =
            if self.namespaces.is_empty() { vec![None] } else { self.namespaces.into_iter().map(Some).collect() };
        let served = scopes.clone();
        let scopes: Vec<Scope> = scopes.into_iter().map(|namespace| Scope::new(namespace, &shared)).collect();
        let views: Arc<[Views]> = scopes.iter().map(Scope::views).collect();
        let kept = self.webhook.as_ref().and_then(WebhookSettings::kept);
        let webhook_namespace = self.webhook.as_ref().map(|webhook| webhook.namespace.clone());
        let webhook = self.webhook.map(|webhook| {
            let configs = webhook::configs_for(served.into_iter().zip(views.iter().cloned()).collect());
            webhook.serve(self.client.clone(), self.clock.clone(), configs, metrics.clone())
        });
        let enqueuers: Vec<Enqueuer> = scopes.iter().map(Scope::enqueuer).collect();
        let shutdown = shutdown.shared();

        let dss_cache = DssCache::new(self.connect);
        let instances = shared.instances.clone();
        let shared = shared.watch(self.client.clone(), shared_writers, enqueuers.clone(), dss_cache.clone());
        let mut ours = vec![tokio::spawn(shared)];
        let mut controllers = Vec::new();
        for scope in scopes {
            let (watching, scope_controllers) = scope.begin(self.client.clone(), memory.clone());
            ours.push(tokio::spawn(watching));
            controllers.push(scope_controllers);
        }
        let certificate = webhook.as_ref().map(|webhook| webhook.followed.clone());
        let admin = Admin { views: views.clone(), certificate, metrics: metrics.clone(), clock: self.clock.clone() };
        ours.push(tokio::spawn(async move {
            if let Some(listener) = listener
                && let Err(error) = server::serve(admin, listener).await
            {
                tracing::error!(%error, "the admin server ended");
            }
        }));
        ours.push(tokio::spawn(log_unsynced(views.clone())));
        let _end_with_us: Vec<AbortOnDrop> = ours.into_iter().map(AbortOnDrop).collect();

        let sts = Sts::new(self.sts.clone(), self.clock.clone(), metrics.sts_answered());
        let work = Work {
            client: self.client,
            clock: self.clock,
            cluster_name: self.cluster_name.into(),
            reporter: self.instance.into(),
            configs_per_namespace: self.configs_per_namespace,
            all,
            sts,
            dss_cache,
            memory,
            metrics,
            views,
            enqueuers,
            instances,
            controllers,
            instance_controller,
            kept,
            webhook_namespace,
        };
        let leading = work.lead(self.lease, shutdown.clone());
        let Some(webhook) = webhook else { return leading.await };
        // A replica that has lost its Lease ends at once. A replica that is asked to end answers
        // the webhook a few seconds longer.
        let webhook = async {
            shutdown.await;
            webhook.end().await;
            Ok(())
        };
        future::try_join(leading, webhook).await.map(|_| ())
    }
}

/// Sends a GET of `path` to the API server, and learns the server's time from the answer. Returns
/// the status of the answer.
async fn learn_time(client: &Client, clock: &Clock, path: &str) -> Result<u16, StartError> {
    let request = http::Request::get(path).body(kube::client::Body::empty());
    let request = request.map_err(|error| StartError::Unreachable(error.to_string()))?;
    let asked_at = clock.now();
    let answer = client.send(request).await.map_err(|error| StartError::Unreachable(error.to_string()))?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
    if let Some(date) = date {
        clock.learn(date, clock.now().duration_since(asked_at));
    }
    Ok(answer.status().as_u16())
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
