//! What only the replica that leads does: it looks at objects, calls STS and DSS, and writes.

use super::{AbortOnDrop, ask_the_time, missed_pods::MissedPods};
use crate::{
    api::{DssInstance, names},
    certificate::{Kept, keep},
    clock::Clock,
    cluster::{Calls, Watched},
    controller::{Controllers, Enqueuer, InstanceController},
    credentials::Sts,
    dss_cache::DssCache,
    dss_instance::InstanceContext,
    leader::{Candidate, LeaseName, Lost},
    metrics::Metrics,
    reconcile::{Context, Memory},
    schedule, stores,
    views::Views,
};
use futures::future::{self, Either};
use kube::Client;
use std::{pin::pin, sync::Arc, time::Duration};

/// How long a new leader waits for the API server to tell the time.
const THE_TIME: Duration = Duration::from_secs(5);

/// How long what is in flight may take once the leader is told to end: longer than any call to the API server or STS, and
/// short enough that the lease is given up before the process has to be gone (`GRACE` in main.rs). DSS may take longer: whatever is
/// asked of it then is asked again by the next leader.
const FINISHING: Duration = Duration::from_secs(15);

/// All that the leader works with.
pub(super) struct Work {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) cluster_name: Arc<str>,
    pub(super) reporter: Arc<str>,
    pub(super) all: bool,
    pub(super) sts: Sts,
    pub(super) dss_cache: DssCache,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Metrics,
    pub(super) views: Arc<[Views]>,
    pub(super) enqueuers: Vec<Enqueuer>,
    pub(super) instances: Watched<DssInstance>,
    pub(super) controllers: Vec<Controllers>,
    pub(super) instance_controller: InstanceController,
    /// The certificate of the webhook, if it is of our making.
    pub(super) kept: Option<Kept>,
    /// The namespace of the webhook, if there is one.
    pub(super) webhook_namespace: Option<String>,
}

impl Work {
    /// Works until `shutdown`, then finishes what is in flight; if there is a lease, for as long as it is ours.
    pub(super) async fn lead(
        mut self,
        lease: Option<LeaseName>,
        shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static,
    ) -> Result<(), Lost> {
        let Some(lease) = lease else {
            self.metrics.leads();
            self.run(shutdown).await;
            return Ok(());
        };
        let candidate = Candidate::new(self.client.clone(), lease, &self.reporter, self.clock.clone());
        let standing = pin!(candidate.stand(shutdown.clone()));
        let won = match future::select(standing, pin!(self.drain())).await {
            Either::Left((won, _)) => won,
            Either::Right(_) => None,
        };
        let Some(mut leadership) = won else { return Ok(()) };
        self.metrics.leads();
        let work = async {
            let caught_up = future::select(Box::pin(shutdown.clone()), Box::pin(self.catch_up()));
            let is_stopped = matches!(caught_up.await, Either::Left(_));
            if !is_stopped {
                self.run(shutdown).await;
            }
        };
        leadership.during(work).await.inspect_err(|lost| tracing::error!("{lost}"))?;
        leadership.release().await;
        Ok(())
    }

    async fn drain(&mut self) {
        let controllers = future::join_all(self.controllers.iter_mut().map(Controllers::drain));
        future::join(controllers, self.instance_controller.drain()).await;
    }

    /// What the former leader saw and wrote last may not have been shown to us: then a session that it has just written
    /// would be asked for again, and one that a grant has just allowed be taken away. A list that begins now shows it.
    async fn catch_up(&self) {
        let path = format!("/apis/{}/{}", names::GROUP, names::VERSION);
        let time = tokio::time::timeout(THE_TIME, ask_the_time(&self.client, &self.clock, &path));
        let lists: Vec<_> = self.views.iter().map(Views::relist).collect();
        let _ = future::join(time, future::join_all(lists)).await;
        tracing::info!("everything is listed anew; decisions begin");
    }

    async fn run(self, shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static) {
        let _identifying = AbortOnDrop(tokio::spawn(identify(self.sts.clone(), self.enqueuers.clone())));
        // Not a task of its own: what writes is polled by who minds the lease's deadline.
        let (client, clock) = (self.client.clone(), self.clock.clone());
        let keeping = async move {
            match self.kept {
                Some(kept) => keep(kept, client, clock).await,
                None => future::pending().await,
            }
        };
        let _sweeping = self.webhook_namespace.map(|own| {
            let missed_pods = MissedPods {
                calls: Calls::new(self.client.clone()),
                views: self.views.clone(),
                enqueuers: self.enqueuers.clone(),
                memory: self.memory.clone(),
                metrics: self.metrics.clone(),
                own,
            };
            AbortOnDrop(tokio::spawn(missed_pods.run()))
        });
        let to_wake = self.enqueuers.clone();
        let instance_context = InstanceContext {
            cluster_name: self.cluster_name.clone(),
            clock: self.clock.clone(),
            calls: Calls::new(self.client.clone()),
            instances: self.instances,
            views: self.views,
            dss_cache: self.dss_cache.clone(),
            memory: self.memory.clone(),
            all: self.all,
            started_at: self.clock.now(),
            enqueue_users: Arc::new(move |instance, logins| {
                for enqueuer in &to_wake {
                    enqueuer.users_changed(instance, logins);
                }
            }),
        };
        let late = {
            let shutdown = shutdown.clone();
            async move {
                shutdown.await;
                tokio::time::sleep(FINISHING).await;
                tracing::warn!("something in flight did not finish in time; its next look will be the next leader's");
            }
        };
        let limiter = stores::limiter();
        let controllers = self.controllers.into_iter().map(|controllers| {
            let context = Context {
                cluster_name: self.cluster_name.clone(),
                clock: self.clock.clone(),
                calls: Calls::new(self.client.clone()),
                views: controllers.views().clone(),
                sts: self.sts.clone(),
                dss_cache: self.dss_cache.clone(),
                started_at: self.clock.now(),
                memory: self.memory.clone(),
                metrics: self.metrics.clone(),
                reporter: self.reporter.clone(),
                limiter: limiter.clone(),
            };
            controllers.run(context, shutdown.clone())
        });
        let instances = Box::pin(self.instance_controller.run(instance_context));
        // Controllers at instances are not waited for: a DSS may be slow, and what they read is read again. Nor is the
        // certificate, which goes on from any state.
        let for_ever = future::join(instances, Box::pin(keeping));
        let controllers = future::select(Box::pin(late), future::join_all(controllers));
        future::select(for_ever, controllers).await;
    }
}

/// Finds out who the operator is in AWS, whenever STS can be reached. Until then STS itself refuses what it would.
async fn identify(sts: Sts, enqueuers: Vec<Enqueuer>) {
    for attempt in 1.. {
        match sts.identify().await {
            Ok(identity) => {
                tracing::info!(arn = identity.arn(), "the operator's identity in AWS");
                enqueuers.iter().for_each(Enqueuer::all);
                return;
            }
            Err(error) => tracing::warn!(error, "STS does not say who the operator is in AWS; it will be asked again"),
        }
        let wait = schedule::fast_delay("identity", attempt);
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    }
}
