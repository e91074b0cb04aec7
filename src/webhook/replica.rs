//! One replica of the webhook, put together.

use super::Webhook;
use crate::{
    api::AwsConfig,
    certificate::{Followed, follow as follow_certificate},
    cluster::{StartError, SyncState, check_served, follow, scoped},
    https::{Bounds, Port, end},
    inject::{ConfigsFor, Settings},
    metrics::WebhookMetrics,
    server::{self, Admin},
    views::ConfigsOfPods,
};
use axum_server::Handle;
use futures::{FutureExt as _, StreamExt as _, future};
use kube::{Client, CustomResourceExt as _, runtime::watcher};
use std::{io, net::TcpListener, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// The time for which a replica that is ending still answers. A Service goes on sending requests to
/// it until every node has learnt that it ends.
const LINGER: Duration = Duration::from_secs(5);

/// One replica of the webhook.
pub struct Replica {
    /// The client of the API server.
    pub client: Client,
    /// The namespaces whose pods get Secrets; empty for all.
    pub namespaces: Vec<String>,
    /// The socket on which it answers reviews.
    pub listener: TcpListener,
    /// The namespace and the name of the Secret that holds its certificate.
    pub certificate: (String, String),
    /// The settings for injected pods.
    pub settings: Settings,
}

/// A scope (a namespace, or all namespaces as `None`) and its configs.
type Scope = (Option<String>, ConfigsOfPods);

impl Replica {
    /// Checks that the API server answers and serves `AwsConfig`s.
    ///
    /// # Errors
    /// [`StartError`] if it does not. The error says what to do.
    pub async fn check(&self) -> Result<(), StartError> {
        check_served(&self.client, &[AwsConfig::api_resource().plural]).await
    }

    /// Answers reviews as soon as there is a certificate. After `shutdown` it answers for a few
    /// seconds longer, then ends. The admin server listens on `admin`, if there is one.
    ///
    /// # Errors
    /// [`io::Error`] if the listener fails.
    pub async fn run(
        self,
        admin: Option<tokio::net::TcpListener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let metrics = WebhookMetrics::new();
        // The tasks end when this is dropped.
        let mut tasks = JoinSet::new();
        let all = if self.namespaces.is_empty() { vec![None] } else { self.namespaces.into_iter().map(Some).collect() };
        let scopes: Arc<[Scope]> = all.into_iter().map(|scope| watch(&mut tasks, &self.client, scope)).collect();
        let (mut certificate, following) = follow_certificate(self.client, &self.certificate.0, &self.certificate.1);
        tasks.spawn(following);
        if let Some(listener) = admin {
            let (metrics, ports) = (metrics.clone(), metrics.ports().clone());
            let admin = Admin {
                waits_for: waits_for(scopes.clone(), certificate.clone()),
                metrics: Arc::new(move || metrics.encode()),
            };
            tasks.spawn(async move { server::serve(admin, listener, &ports).await });
        }

        let handle = Handle::new();
        let (ending, published) = (handle.clone(), certificate.clone());
        let serving = async move {
            let Some(tls) = certificate.tls().await else { return Ok(()) };
            let refused = metrics.ports().connection_refused("webhook");
            let port = Port { listener: self.listener, handle, bounds: Bounds::WEBHOOK, refused };
            Webhook::new(configs_for(scopes), metrics).with(self.settings).serve(tls, port).await
        };
        let ended = async move {
            shutdown.await;
            // Without a certificate the replica answers nobody, and there may never be one.
            if published.unsynced().is_none() {
                tokio::time::sleep(LINGER).await;
                end(&ending);
                future::pending::<()>().await;
            }
        };
        tokio::select! {
            served = serving => served,
            () = ended => Ok(()),
        }
    }
}

/// Begins to watch the configs of a scope.
fn watch(tasks: &mut JoinSet<()>, client: &Client, scope: Option<String>) -> Scope {
    let configs = ConfigsOfPods::new();
    let changes = follow(scoped(client, scope.as_deref()), watcher::Config::default(), configs.watched());
    tasks.spawn(changes.for_each(|_| future::ready(())).boxed());
    (scope, configs)
}

/// What a replica waits for. The API server calls ready replicas only.
fn waits_for(scopes: Arc<[Scope]>, certificate: Followed) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
    Arc::new(move || {
        let views = scopes.iter().map(|(_, configs)| configs.watched().sync_state()).filter_map(SyncState::unsynced);
        views.chain(certificate.unsynced()).collect()
    })
}

/// The function that returns the configs a pod may ask for. It returns no config for a pod in a
/// namespace that keyturn does not serve, and `None` while the view of the configs is unsynced.
fn configs_for(scopes: Arc<[Scope]>) -> ConfigsFor {
    Arc::new(move |pod| {
        let serves = |scope: &&Scope| scope.0.as_deref().is_none_or(|served| served == pod.namespace);
        let Some((_, configs)) = scopes.iter().find(serves) else { return Some(vec![]) };
        let is_synced = configs.watched().sync_state().unsynced().is_none();
        is_synced.then(|| configs.for_pod(pod.namespace, pod.labels, pod.named))
    })
}
