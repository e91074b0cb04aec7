//! The work that only the leader does: it reconciles objects, calls STS and DSS, and writes.

use super::{
    AbortOnDrop, WebhookCare, learn_time,
    missed_pods::MissedPods,
    withdrawals::{Withdrawals, former},
};
use crate::{
    act::Context,
    brake::{self, Brake},
    certificate::keep,
    clock::Clock,
    cluster::{Calls, Failing, Mandate, Write},
    controller::{CONCURRENCY, Controllers, Enqueuer, GrantContext, Shared, SharedControllers},
    credentials::{S3, Sts},
    data_robot::DataRobots,
    dss_cache::DssCache,
    instances::{DataRobotContext, InstanceContext, reconcile, reconcile_data_robot},
    leader::{Candidate, LeaseName, Lost},
    limit::{Backoffs, Called, Precedence, RateLimits, StsBudget, Turns},
    memory::Memory,
    metrics::Metrics,
    schedule,
    shards::Shard,
    stores,
    views::Views,
};
use futures::future::{self, Either};
use jiff::SignedDuration;
use kube::Client;
use std::{pin::pin, sync::Arc, time::Duration};

/// The time for which a new leader waits for the API server to tell it the time.
const TIME_WAIT: Duration = Duration::from_secs(5);

/// The time for which the leader may finish what is in flight after it is told to end. It is longer
/// than any call to the API server or STS. It is short enough for the leader to release the Lease
/// before the process must be gone (`GRACE` in main.rs). A request to DSS may take longer: the next
/// leader makes it again.
const FINISHING: Duration = Duration::from_secs(15);

/// What the leader works with.
pub(super) struct Work {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) cluster_name: Arc<str>,
    pub(super) reporter: Arc<str>,
    /// The most configs of a namespace that get a credential; `None` for no limit.
    pub(super) configs_per_namespace: Option<usize>,
    pub(super) rate_limits: RateLimits,
    pub(super) sts_budget: StsBudget,
    /// The time after which a config has to be confirmed again; `None` for no limit.
    pub(super) max_age: Option<SignedDuration>,
    pub(super) brake: brake::Settings,
    pub(super) shard: Shard,
    pub(super) sts: Sts,
    pub(super) s3: S3,
    pub(super) failing: Failing,
    pub(super) dss_cache: DssCache,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Metrics,
    pub(super) views: Arc<[Views]>,
    pub(super) enqueuers: Vec<Enqueuer>,
    pub(super) data_robots: DataRobots,
    pub(super) shared: Shared,
    pub(super) controllers: Vec<Controllers>,
    pub(super) shared_controllers: SharedControllers,
    /// The leader's tasks for the webhook; `None` if there is none.
    pub(super) webhook: Option<WebhookCare>,
}

impl Work {
    /// Works until `shutdown`, then finishes what is in flight. If there is a Lease, it works only
    /// while this replica holds the Lease.
    ///
    /// # Errors
    /// [`Lost`] if the Lease is lost.
    pub(super) async fn lead(
        mut self,
        lease: Option<LeaseName>,
        shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static,
    ) -> Result<(), Lost> {
        let Some(lease) = lease else {
            self.metrics.leads();
            self.run(Mandate::unlimited(), shutdown).await;
            return Ok(());
        };
        let failing = self.failing.clone();
        let told = Arc::new(
            move |allowed| {
                if allowed { failing.succeeded(Write::Lease) } else { failing.failed(Write::Lease) }
            },
        );
        let candidate =
            Candidate::new(self.client.clone(), lease, self.shard.clone(), &self.reporter, self.clock.clone(), told);
        let standing = pin!(candidate.stand(shutdown.clone()));
        let won = match future::select(standing, pin!(self.drain())).await {
            Either::Left((won, _)) => won.inspect_err(|overlap| tracing::error!("{overlap}"))?,
            Either::Right(_) => None,
        };
        let Some(mut leadership) = won else { return Ok(()) };
        self.metrics.leads();
        let mandate = Mandate::until(leadership.until());
        let work = async {
            let caught_up = future::select(Box::pin(shutdown.clone()), Box::pin(self.catch_up()));
            let is_stopped = matches!(caught_up.await, Either::Left(_));
            if !is_stopped {
                self.run(mandate, shutdown).await;
            }
        };
        leadership.during(work).await.inspect_err(|lost| tracing::error!("{lost}"))?;
        leadership.release().await;
        Ok(())
    }

    /// Discards every request of every queue, while another replica leads. Never ends.
    async fn drain(&mut self) {
        let controllers = future::join_all(self.controllers.iter_mut().map(Controllers::drain));
        future::join(controllers, self.shared_controllers.drain()).await;
    }

    /// Learns the API server's time and relists every view. The watches may not have shown yet what
    /// the former leader saw and wrote last. Without that, the new leader would ask STS for a
    /// session that has just been written, or withdraw a credential that a grant has just allowed.
    /// A list that begins now shows both.
    async fn catch_up(&self) {
        let time = tokio::time::timeout(TIME_WAIT, learn_time(&self.client, &self.clock));
        let lists: Vec<_> = self.views.iter().map(Views::relist).collect();
        let _ = future::join(time, future::join_all(lists)).await;
        tracing::info!("everything is listed anew; decisions begin");
    }

    /// Runs the controllers, the search for missed pods, the care for withdrawals, the maintenance
    /// of the certificate and the request for the operator's identity, until `shutdown` and at most
    /// [`FINISHING`] longer. Writes are made only while `mandate` holds.
    async fn run(self, mandate: Mandate, shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static) {
        let calls = Calls::new(self.client.clone(), mandate, self.failing.clone());
        let (instance_context, data_robot_context) = (self.instance_context(&calls), self.data_robot_context(&calls));
        let identifying = identify(self.sts.clone(), self.sts_budget.clone(), self.enqueuers.clone());
        let _identifying = AbortOnDrop(tokio::spawn(identifying));
        let calling = self.sts_budget.clone().run(call_in_turn(self.views.clone(), self.enqueuers.clone()));
        let _calling = AbortOnDrop(tokio::spawn(calling));
        // This is not a task of its own, because the future that minds the deadline of the Lease
        // must also poll every future that writes.
        let (client, calls_of_keeping, clock) = (self.client.clone(), calls.clone(), self.clock.clone());
        let certificate = self.webhook.as_ref().and_then(|webhook| webhook.certificate.clone());
        let keeping = async move {
            match certificate {
                Some(kept) => keep(kept, client, calls_of_keeping, clock).await,
                None => future::pending().await,
            }
        };
        let _searching = self.webhook.map(|webhook| {
            let missed_pods = MissedPods {
                calls: calls.clone(),
                views: self.views.clone(),
                enqueuers: self.enqueuers.clone(),
                memory: self.memory.clone(),
                metrics: self.metrics.clone(),
                own: webhook.namespace,
            };
            AbortOnDrop(tokio::spawn(missed_pods.run()))
        });
        let brake = Arc::new(Brake::new(self.brake, former(self.views.clone())));
        let withdrawals = Withdrawals {
            calls: calls.clone(),
            views: self.views.clone(),
            enqueuers: self.enqueuers.clone(),
            brake: brake.clone(),
            clock: self.clock.clone(),
            reporter: self.reporter.clone(),
        };
        let _watching = AbortOnDrop(tokio::spawn(withdrawals.run()));
        let grant_context = self.shard.duty().reports().then(|| GrantContext {
            clock: self.clock.clone(),
            calls: calls.clone(),
            grants: self.shared.grants.clone(),
            memory: self.memory.clone(),
        });
        let late = {
            let shutdown = shutdown.clone();
            async move {
                shutdown.await;
                tokio::time::sleep(FINISHING).await;
                tracing::warn!("something in flight did not finish in time; the next leader reconciles it");
            }
        };
        let (limiter, backoffs, accounts) = (stores::limiter(), Backoffs::default(), stores::Accounts::default());
        let push_limiter = stores::push_limiter();
        let listings = stores::Listings::default();
        let precedence = Precedence::default();
        let turns = Turns::new(self.rate_limits, CONCURRENCY);
        let controllers = self.controllers.into_iter().map(|controllers| {
            let context = Context {
                cluster_name: self.cluster_name.clone(),
                clock: self.clock.clone(),
                calls: calls.clone(),
                views: controllers.views().clone(),
                sts: self.sts.clone(),
                s3: self.s3.clone(),
                dss_cache: self.dss_cache.clone(),
                started_at: self.clock.now(),
                memory: self.memory.clone(),
                metrics: self.metrics.clone(),
                reporter: self.reporter.clone(),
                configs_per_namespace: self.configs_per_namespace,
                max_age: self.max_age,
                brake: brake.clone(),
                limiter: limiter.clone(),
                push_limiter: push_limiter.clone(),
                backoffs: backoffs.clone(),
                accounts: accounts.clone(),
                data_robots: self.data_robots.clone(),
                // A scope drops the tokens of Secrets that its own views do not show.
                tokens: stores::Tokens::default(),
                listings: listings.clone(),
                turns: turns.with_places(CONCURRENCY),
                sts_budget: self.sts_budget.clone(),
                precedence: precedence.clone(),
            };
            controllers.run(context, shutdown.clone())
        });
        let SharedControllers { instances, data_robots, grants } = self.shared_controllers;
        let instances = instances.run(instance_context, self.memory.clone(), |instance, context| {
            Box::pin(async move { reconcile(instance, &context).await })
        });
        let data_robots = data_robots.run(data_robot_context, self.memory.clone(), |instance, context| {
            Box::pin(async move { reconcile_data_robot(instance, &context).await })
        });
        let instances = Box::pin(future::join(instances, data_robots));
        // The leader does not wait for the reconciles of instances, because a system may be slow
        // and the next leader reads it again. Nor does it wait for the certificate, because its
        // maintenance continues from any state.
        let grants = Box::pin(grants.run(grant_context));
        let for_ever = future::join3(instances, grants, Box::pin(keeping));
        let controllers = future::select(Box::pin(late), future::join_all(controllers));
        future::select(for_ever, controllers).await;
    }

    fn instance_context(&self, calls: &Calls) -> InstanceContext {
        let enqueuers = self.enqueuers.clone();
        InstanceContext {
            cluster_name: self.cluster_name.clone(),
            clock: self.clock.clone(),
            calls: calls.clone(),
            instances: self.shared.instances.clone(),
            views: self.views.clone(),
            dss_cache: self.dss_cache.clone(),
            memory: self.memory.clone(),
            duty: self.shard.duty(),
            started_at: self.clock.now(),
            enqueue_users: Arc::new(move |instance, logins| {
                for enqueuer in &enqueuers {
                    enqueuer.users_changed(instance, logins);
                }
            }),
        }
    }

    fn data_robot_context(&self, calls: &Calls) -> DataRobotContext {
        let enqueuers = self.enqueuers.clone();
        DataRobotContext {
            clock: self.clock.clone(),
            calls: calls.clone(),
            instances: self.shared.data_robots.clone(),
            views: self.views.clone(),
            data_robots: self.data_robots.clone(),
            memory: self.memory.clone(),
            started_at: self.clock.now(),
            duty: self.shard.duty(),
            enqueue_users: Arc::new(move |instance| {
                for enqueuer in &enqueuers {
                    enqueuer.data_robot_changed(instance);
                }
            }),
        }
    }
}

/// Asks STS for the operator's identity in AWS, until STS answers. Until then keyturn cannot tell
/// in advance what STS will refuse, and STS refuses it itself.
async fn identify(sts: Sts, budget: StsBudget, enqueuers: Vec<Enqueuer>) {
    for attempt in 1.. {
        let answer = sts.identify(&budget.task("identity").await).await;
        match answer {
            Ok(identity) => {
                tracing::info!(arn = identity.arn(), "the operator's identity in AWS");
                enqueuers.iter().for_each(Enqueuer::all);
                return;
            }
            Err(error) => tracing::warn!(error, "STS does not say who the operator is in AWS; it will be asked again"),
        }
        let wait = schedule::transient_delay("identity", attempt);
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    }
}

/// Has the object reconciled whose turn to call STS has come. Returns `false` if there is no such
/// object any more.
fn call_in_turn(views: Arc<[Views]>, enqueuers: Vec<Enqueuer>) -> impl Fn(&Called) -> bool {
    move |Called { key, namespace, name }| {
        let found = views.iter().find_map(|views| views.configs.get(namespace, name));
        let is_there = found.is_some_and(|config| config.metadata.uid.as_deref() == Some(key));
        if is_there {
            for enqueuer in &enqueuers {
                enqueuer.turn_came(namespace, name);
            }
        }
        is_there
    }
}
