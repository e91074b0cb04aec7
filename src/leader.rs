//! Leader election: of several replicas, the one that holds a Lease leads. It alone reconciles.
//!
//! A leader that cannot renew its lease stops [`RENEW_WITHIN`] after the last renewal that it
//! began. Another replica may take the lease five seconds later. Within these five seconds, every
//! request that the leader sent has been answered. The leader stops for good, because a process
//! that ends leaves nothing behind that could still write.
//!
//! This code is ours and not a crate's. `kube-lease-manager` 0.13 compares the wall clocks of two
//! nodes; it renews and releases by patches that name no version, so that a late one overwrites the
//! next holder's; it bounds no call in time; and while the API server cannot be reached it goes on
//! saying that it leads. Each of these lets two replicas lead at once. (As of its `state.rs`:
//! `is_expired`, `lock`, `release`; and `manager.rs`: `watch`, `changed`.) `kube-leader-election`
//! 0.44 also compares wall clocks, and takes an expired lease by a merge patch that names no
//! version. `kubert` 0.25 compares them as well, and is made for `kube` 1.

mod lease;

use crate::{
    api::names::SHARD,
    clock::Clock,
    shards::{Answer, Overlap, Shard, Standing, announces, judge},
};
use futures::{FutureExt as _, future};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
};
use lease::{Sight, Verdict, claimed, released};
use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

/// The time for which a leader still acts, from the beginning of its last successful renewal.
pub const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// The interval between renewals of a leader.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// The interval at which a standby replica checks whether the lease is free, and at which a leader
/// retries a failed renewal.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest time of one attempt. Two attempts fit into [`RENEW_WITHIN`].
const ATTEMPT: Duration = Duration::from_secs(4);

/// The namespace and name of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// The namespace of the lease.
    pub namespace: String,
    /// The name of the lease.
    pub name: String,
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A callback for each attempt to take or renew the lease: whether the API server allowed it.
pub type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// A replica that wants to lead.
pub struct Candidate {
    api: Api<Lease>,
    lease: LeaseName,
    identity: String,
    clock: Clock,
    told: Told,
    shard: Shard,
    standing: Standing,
    sight: Sight,
    /// The lease as this replica last wrote it.
    held: Option<Lease>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidate({} for {})", self.identity, self.lease)
    }
}

/// The reason why a leader no longer leads, or does not begin to.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another shard serves some of the same namespaces, or also owns what belongs to the whole
    /// cluster.
    #[error(transparent)]
    Overlaps(#[from] Overlap),
    /// Another replica holds the lease.
    #[error("the lease {lease} was lost: {holder} holds it now; this process ends")]
    Taken {
        /// The lost lease.
        lease: LeaseName,
        /// The identity of the new holder.
        holder: String,
    },
    /// The lease could not be renewed in time.
    #[error("the lease {lease} could not be renewed within {} s ({why}); this process ends", RENEW_WITHIN.as_secs())]
    NotRenewed {
        /// The lost lease.
        lease: LeaseName,
        /// The last error of the renewal.
        why: String,
    },
}

/// The outcome of an attempt.
enum Claim {
    /// This replica holds the lease; the attempt was sent at this time.
    Ours(Instant),
    Others(String),
}

/// The outcome of a step on the way to lead.
enum Step {
    /// This replica leads; the write that says so was sent at this time.
    Leads(Instant),
    /// It holds the lease and has seen no other shard that serves some of the same.
    MayServe,
    Waits(Waiting),
    Yields(Overlap),
}

/// For what a replica waits.
#[derive(PartialEq)]
enum Waiting {
    /// For the holder of the lease.
    ForHolder(String),
    /// For the shard with this lease, which begins at the same time.
    ForShard(String),
}

impl Waiting {
    fn holder(&self) -> Option<&str> {
        match self {
            Self::ForHolder(holder) => Some(holder),
            Self::ForShard(_) => None,
        }
    }
}

/// How a replica leaves its lease.
#[derive(Clone, Copy, PartialEq)]
enum Leaving {
    /// After it led.
    Served,
    /// Before it led.
    Yields,
}

/// The Leases in a namespace that announce a shard, as they are now.
///
/// # Errors
/// The API server refuses the list or does not answer.
pub async fn shards_in(client: Client, namespace: &str) -> Result<Vec<Lease>, kube::Error> {
    announced_leases(&Api::namespaced(client, namespace)).await
}

async fn announced_leases(api: &Api<Lease>) -> Result<Vec<Lease>, kube::Error> {
    // A list without a resourceVersion shows every write that was answered before it.
    Ok(api.list(&ListParams::default().labels(SHARD)).await?.items)
}

impl Candidate {
    /// A candidate for the lease of a shard. `instance` is its name for people: the name of the
    /// pod. `told` learns of each attempt whether the API server let it read and write the lease.
    #[must_use]
    pub fn new(client: Client, lease: LeaseName, shard: Shard, instance: &str, clock: Clock, told: Told) -> Self {
        // The identity differs after a restart in the same pod, because the new process does not
        // know which requests of the former one are still in flight.
        let start = RandomState::new().hash_one(instance);
        Self {
            api: Api::namespaced(client, &lease.namespace),
            lease,
            identity: format!("{instance}_{start:016x}"),
            clock,
            told,
            shard,
            standing: Standing::Looking,
            sight: Sight::default(),
            held: None,
        }
    }

    /// Waits until this replica leads. `None` if `shutdown` comes first.
    ///
    /// # Errors
    /// [`Overlap`] if another shard serves some of the same. The lease is then released, and
    /// announces nothing.
    pub async fn stand(mut self, shutdown: impl Future<Output = ()>) -> Result<Option<Leadership>, Overlap> {
        let mut shutdown = pin!(shutdown.fuse());
        let mut said: Option<Result<Waiting, String>> = None;
        loop {
            let saying = match self.step().await {
                Ok(Step::Leads(sent_at)) => {
                    let former = said.as_ref().and_then(|said| said.as_ref().ok()).and_then(Waiting::holder);
                    tracing::info!(lease = %self.lease, identity = self.identity, former, "this replica leads");
                    return Ok(Some(Leadership::begin(self, sent_at)));
                }
                Ok(Step::MayServe) => continue,
                Ok(Step::Waits(waiting)) => Ok(waiting),
                Ok(Step::Yields(overlap)) => {
                    self.release(Leaving::Yields).await;
                    return Err(overlap);
                }
                Err(error) => Err(error),
            };
            if said.as_ref() != Some(&saying) {
                let lease = &self.lease;
                match &saying {
                    Ok(Waiting::ForHolder(holder)) => {
                        tracing::info!(%lease, holder, "another replica leads; this one stands by");
                    }
                    Ok(Waiting::ForShard(other)) => {
                        tracing::info!(%lease, other, "another shard begins, too; this one waits for it");
                    }
                    Err(error) => tracing::warn!(%lease, error, "it is not known who leads; this replica stands by"),
                }
                said = Some(saying);
            }
            tokio::select! {
                () = &mut shutdown => {
                    self.release(Leaving::Yields).await;
                    return Ok(None);
                }
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes or renews the lease. With the lease, looks whether another shard serves some of the
    /// same, and if none does, has the next step write that this shard serves.
    async fn step(&mut self) -> Result<Step, String> {
        let standing = std::mem::replace(&mut self.standing, Standing::Looking);
        let began = Instant::now();
        let sent_at = match self.attempt_as(standing).await? {
            Claim::Ours(sent_at) => sent_at,
            Claim::Others(holder) => return Ok(Step::Waits(Waiting::ForHolder(holder))),
        };
        if standing == Standing::Serving {
            self.standing = Standing::Serving;
            return Ok(Step::Leads(sent_at));
        }
        let Ok(leases) = timeout(ATTEMPT, announced_leases(&self.api)).await else {
            return Err(format!("the API server did not list Leases within {} s", ATTEMPT.as_secs()));
        };
        let leases = leases.map_err(|error| error.to_string())?;
        match judge(&self.shard, &self.lease.name, &leases, self.clock.now()) {
            // A process that stood still may have looked long ago, and others no longer count its
            // lease.
            Answer::Begin if began.elapsed() < RENEW_WITHIN => {
                self.standing = Standing::Serving;
                Ok(Step::MayServe)
            }
            Answer::Begin => Err("this process stood still".to_owned()),
            Answer::Wait { lease } => Ok(Step::Waits(Waiting::ForShard(lease))),
            Answer::Yield(overlap) => Ok(Step::Yields(overlap)),
        }
    }

    /// Takes or renews the lease, unless another replica holds it.
    async fn attempt(&mut self) -> Result<Claim, String> {
        self.attempt_as(self.standing).await
    }

    async fn attempt_as(&mut self, standing: Standing) -> Result<Claim, String> {
        let answer = timeout(ATTEMPT, self.claim(standing)).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the API server did not answer within {} s", ATTEMPT.as_secs())),
        };
        (self.told)(answer.is_ok());
        answer
    }

    async fn claim(&mut self, standing: Standing) -> Result<Claim, kube::Error> {
        let mut is_last = false;
        loop {
            // The lease that we wrote last is current, unless somebody wrote it since. In that case
            // the API server refuses the write.
            let there = match self.held.take() {
                Some(held) => Some(held),
                None => self.api.get_opt(&self.lease.name).await?,
            };
            if let Verdict::Wait { holder } = self.sight.judge(there.as_ref(), &self.identity, Instant::now()) {
                return Ok(Claim::Others(holder));
            }
            let exists = there.is_some();
            let mut wanted = claimed(&self.lease.name, &self.identity, there, self.clock.now());
            announces(&mut wanted.metadata, Some((&self.shard, standing)));
            let sent_at = Instant::now();
            let written = if exists {
                self.api.replace(&self.lease.name, &PostParams::default(), &wanted).await
            } else {
                self.api.create(&PostParams::default(), &wanted).await
            };
            match written {
                Ok(lease) => {
                    self.sight.judge(Some(&lease), &self.identity, Instant::now());
                    self.held = Some(lease);
                    return Ok(Claim::Ours(sent_at));
                }
                // Another replica was faster, or somebody deleted the lease. The current lease has
                // to be read.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) && !is_last => is_last = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Releases the lease, if nobody has written it since our last write. A shard that served stays
    /// announced for a while, for its next leader.
    async fn release(mut self, leaving: Leaving) {
        let Some(held) = self.held.take() else { return };
        let mut lease = released(held, self.clock.now());
        if leaving == Leaving::Yields {
            announces(&mut lease.metadata, None);
        }
        let (name, parameters) = (lease.name_any(), PostParams::default());
        match timeout(ATTEMPT, self.api.replace(&name, &parameters, &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.lease, "the lease is released: another replica may lead"),
            Ok(Err(error)) => tracing::warn!(lease = %self.lease, %error, "the lease was not released; it runs out"),
            Err(_) => tracing::warn!(lease = %self.lease, "the lease was not released in time; it runs out"),
        }
    }

    /// Renews until `stop` is sent, and then releases the lease.
    async fn keep(mut self, until: watch::Sender<Instant>, stop: oneshot::Receiver<()>) -> Result<(), Lost> {
        let mut stop = pin!(stop);
        let mut why = "it was not tried".to_owned();
        let mut pause = RENEW_EVERY;
        loop {
            tokio::select! {
                stopped = &mut stop => {
                    // A dropped sender means that the leader is gone before it finished. The lease
                    // then runs out.
                    if stopped.is_ok() {
                        until.send_replace(Instant::now());
                        self.release(Leaving::Served).await;
                    }
                    return Ok(());
                }
                () = sleep(pause) => {}
            }
            let deadline = *until.borrow();
            let attempt = timeout_at(deadline, self.attempt()).await;
            match attempt {
                Ok(Ok(Claim::Ours(sent_at))) => {
                    until.send_replace(sent_at + RENEW_WITHIN);
                    pause = RENEW_EVERY;
                }
                Ok(Ok(Claim::Others(holder))) => return Err(Lost::Taken { lease: self.lease.clone(), holder }),
                Ok(Err(error)) => {
                    tracing::warn!(lease = %self.lease, error, "the lease was not renewed; it is tried again");
                    why = error;
                    pause = LOOK_EVERY;
                }
                Err(_) => {}
            }
            if Instant::now() >= *until.borrow() {
                return Err(Lost::NotRenewed { lease: self.lease.clone(), why });
            }
        }
    }
}

/// The lease, held and renewed until this value is dropped.
pub struct Leadership {
    lease: LeaseName,
    until: watch::Receiver<Instant>,
    keeping: JoinHandle<Result<(), Lost>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Leadership {
    fn begin(candidate: Candidate, sent_at: Instant) -> Self {
        let (renewed, until) = watch::channel(sent_at + RENEW_WITHIN);
        let (stop, stopped) = oneshot::channel();
        // A task of its own renews, because work that keeps a thread busy must not delay the
        // renewal.
        let lease = candidate.lease.clone();
        let keeping = tokio::spawn(candidate.keep(renewed, stopped));
        Self { lease, until, keeping, stop: Some(stop) }
    }

    /// The time until which this replica leads, by the monotonic clock of this process. A renewal
    /// moves it, and the sender is dropped when the lease is lost or released.
    #[must_use]
    pub fn until(&self) -> watch::Receiver<Instant> {
        self.until.clone()
    }

    /// Does the leader's work while this replica leads. Once the lease was not renewed in time, no
    /// further step of the work is polled, even if the process was frozen meanwhile.
    ///
    /// # Errors
    /// The lease is lost. The work is dropped at its current step.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Lost> {
        let mut work = pin!(work);
        future::poll_fn(|context| {
            if let Poll::Ready(ended) = self.keeping.poll_unpin(context) {
                let lost = || self.not_renewed("the renewal ended");
                return Poll::Ready(Err(ended.ok().and_then(Result::err).unwrap_or_else(lost)));
            }
            if Instant::now() >= *self.until.borrow() {
                return Poll::Ready(Err(self.not_renewed("the process stood still")));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    fn not_renewed(&self, why: &str) -> Lost {
        Lost::NotRenewed { lease: self.lease.clone(), why: why.to_owned() }
    }

    /// Releases the lease, and another replica can lead at once. Call it only when no request is in
    /// flight any more.
    pub async fn release(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
            let _ = (&mut self.keeping).await;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}
