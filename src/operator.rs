//! The operator, assembled: what `keyturn run` starts, and what tests start over another wire and another clock.

mod webhook;

pub use webhook::WebhookSettings;

use crate::{
    api,
    certificate::keep,
    clock::{Clock, http_date},
    cluster::Calls,
    controller::{Scope, Shared, Waker},
    credentials::Sts,
    directory::{Connect, Directory},
    metrics::Metrics,
    reconcile::{Context, InstanceContext, Memory, Views, schedule},
    server::{self, Admin},
};
use futures::{FutureExt as _, future};
use kube::{Client, CustomResourceExt as _};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How often an operator says that it waits for a list.
const COMPLAINTS: Duration = Duration::from_secs(30);

/// What an operator needs from outside.
pub struct Operator {
    /// The API server.
    pub client: Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    /// How a DSS is connected to.
    pub connect: Connect,
    /// The clock.
    pub clock: Clock,
    /// The cluster's name: half of every external ID.
    pub cluster_name: String,
    /// The namespaces to serve; empty for all.
    pub namespaces: Vec<String>,
    /// Who reports Events: the pod's name.
    pub instance: String,
    /// How the webhook is served, if it is.
    pub webhook: Option<WebhookSettings>,
}

/// Why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server does not answer.
    #[error("the Kubernetes API server does not answer: {0}")]
    Unreachable(String),
    /// The API server refuses the operator's identity.
    #[error("the Kubernetes API server refuses the operator's identity: HTTP {0} for {1}")]
    Refused(u16, String),
    /// There are no custom resource definitions, or old ones.
    #[error(
        "the API server has no {0}: install the custom resource definitions with the chart (crds.install=true), or by \
         `keyturn crds | kubectl apply --server-side -f -`"
    )]
    NoDefinitions(String),
}

impl Operator {
    /// Checks that the API server is there and serves our resources, and learns its time.
    ///
    /// # Errors
    /// If it is not so, with what to do.
    pub async fn check(&self) -> Result<(), StartError> {
        let path = format!("/apis/{}/{}", api::names::GROUP, api::names::VERSION);
        let request = http::Request::get(&path).body(kube::client::Body::empty());
        let request = request.map_err(|error| StartError::Unreachable(error.to_string()))?;
        let asked_at = self.clock.now();
        let answer = self.client.send(request).await.map_err(|error| StartError::Unreachable(error.to_string()))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
        if let Some(date) = date {
            self.clock.learn(date, self.clock.now().duration_since(asked_at));
        }
        match answer.status().as_u16() {
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

    /// Runs until `shutdown`, then finishes what is in flight. The admin server listens on `listener`, if there is one.
    pub async fn run(self, listener: Option<TcpListener>, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
        let metrics = Metrics::new();
        let memory = Arc::new(Memory::default());
        let (shared, shared_writers) = Shared::new();
        let all = self.namespaces.is_empty();
        let scopes: Vec<Option<String>> =
            if self.namespaces.is_empty() { vec![None] } else { self.namespaces.into_iter().map(Some).collect() };
        let served = scopes.clone();
        let scopes: Vec<Scope> = scopes.into_iter().map(|namespace| Scope::new(namespace, &shared)).collect();
        let views: Arc<[Views]> = scopes.iter().map(Scope::views).collect();
        let kept = self.webhook.as_ref().and_then(WebhookSettings::kept);
        let webhook = self.webhook.map(|webhook| {
            let configs = webhook::configs_of(served.into_iter().zip(views.iter().cloned()).collect());
            webhook.serve(self.client.clone(), configs, metrics.clone())
        });
        let wakers: Vec<Waker> = scopes.iter().map(Scope::waker).collect();
        let shutdown = shutdown.shared();

        let directory = Directory::new(self.connect);
        let to_wake = wakers.clone();
        let instance_context = InstanceContext {
            cluster_name: self.cluster_name.as_str().into(),
            clock: self.clock.clone(),
            calls: Calls::new(self.client.clone()),
            instances: shared.instances.clone(),
            views: views.clone(),
            directory: directory.clone(),
            memory: memory.clone(),
            all,
            started_at: self.clock.now(),
            wake: Arc::new(move |instance, logins| {
                for waker in &to_wake {
                    waker.users_changed(instance, logins);
                }
            }),
        };
        let watching = tokio::spawn(shared.run(self.client.clone(), shared_writers, wakers.clone(), instance_context));
        let certificate = webhook.as_ref().map(|webhook| webhook.followed.clone());
        let admin = Admin { views, certificate, metrics: metrics.clone(), clock: self.clock.clone() };
        let router = server::router(admin.clone());
        let serving = tokio::spawn(async move {
            if let Some(listener) = listener
                && let Err(error) = axum::serve(listener, router).await
            {
                tracing::error!(%error, "the admin server ended");
            }
        });
        let complaining = tokio::spawn(complain(admin.views.clone()));

        let sts = Sts::new(self.sts.clone(), self.clock.clone(), metrics.sts_answered());
        let identifying = tokio::spawn(identify(sts.clone(), wakers));
        let keeping = kept.map(|kept| keep(kept, self.client.clone(), self.clock.clone()));
        let keeping = tokio::spawn(async move {
            if let Some(keeping) = keeping {
                keeping.await;
            }
        });
        let _end_with_us = [watching, serving, complaining, identifying, keeping].map(AbortOnDrop);

        let controllers = scopes.into_iter().map(|scope| {
            let context = Context {
                cluster_name: self.cluster_name.as_str().into(),
                clock: self.clock.clone(),
                calls: Calls::new(self.client.clone()),
                views: scope.views(),
                sts: sts.clone(),
                directory: directory.clone(),
                started_at: self.clock.now(),
                memory: memory.clone(),
                metrics: metrics.clone(),
                instance: self.instance.as_str().into(),
            };
            scope.run(self.client.clone(), context, shutdown.clone())
        });
        let looks = future::join_all(controllers);
        let webhook = async {
            shutdown.clone().await;
            if let Some(webhook) = webhook {
                webhook.end().await;
            }
        };
        future::join(looks, webhook).await;
    }
}

/// Finds out who the operator is in AWS, whenever STS can be reached. Until then STS itself refuses what it would.
async fn identify(sts: Sts, wakers: Vec<Waker>) {
    for attempt in 1.. {
        match sts.identify().await {
            Ok(identity) => {
                tracing::info!(arn = identity.arn(), "the operator's identity in AWS");
                wakers.iter().for_each(Waker::all);
                return;
            }
            Err(error) => tracing::warn!(error, "STS does not say who the operator is in AWS; it will be asked again"),
        }
        let wait = schedule::fast_delay("identity", attempt);
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    }
}

/// Says what is missing for as long as something is: an operator that waits must not do so in silence.
async fn complain(views: Arc<[Views]>) {
    loop {
        tokio::time::sleep(COMPLAINTS).await;
        let mut missing: Vec<String> = views.iter().flat_map(Views::missing).collect();
        missing.dedup();
        if !missing.is_empty() {
            tracing::error!(
                missing = missing.join("; "),
                "nothing is issued or withdrawn until everything has been listed"
            );
        }
    }
}

/// A task that ends when its owner does, however that ends.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
