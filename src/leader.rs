//! Who leads: of several replicas the one that holds a Lease. It alone looks at objects.
//!
//! A leader that cannot renew its lease stops [`RENEW_WITHIN`] after the last renewal that it began, five seconds before
//! anybody else may take it: what it sent until then has been answered by that time. It stops for good, since a process
//! that ends leaves nothing behind that could still write.
//!
//! This is ours and not a crate's. `kube-lease-manager` 0.13 compares the wall clocks of two nodes; it renews and releases
//! by patches that name no version, so that a late one overwrites the next holder's; it bounds no call in time; and
//! while the API server cannot be reached it goes on saying that it leads. Each of these lets two lead at once. (As of
//! its `state.rs`: `is_expired`, `lock`, `release`; and `manager.rs`: `watch`, `changed`.) `kube-leader-election` 0.44 also
//! compares wall clocks, and takes an expired lease by a merge patch that names no version; `kubert` 0.25 compares them,
//! too, and is made for `kube` 1.

mod lease;

use crate::clock::Clock;
use futures::{FutureExt as _, future};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt as _, api::PostParams};
use lease::{Sight, Verdict, claimed, released};
use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How long after the beginning of its last successful renewal a leader still acts.
pub const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// How often a leader renews.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How often whoever stands by looks whether the lease is free, and a leader that could not renew it tries again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one attempt may take. Two fit into [`RENEW_WITHIN`].
const ATTEMPT: Duration = Duration::from_secs(4);

/// Where the lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One replica's claim to lead.
pub struct Candidate {
    api: Api<Lease>,
    lease: LeaseName,
    identity: String,
    clock: Clock,
    sight: Sight,
    /// The lease as we last wrote it.
    held: Option<Lease>,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidate({} for {})", self.identity, self.lease)
    }
}

/// Trigger a leader no longer leads.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody else holds the lease.
    #[error("the lease {lease} was lost: {holder} holds it now; this process ends")]
    Taken {
        /// Which lease.
        lease: LeaseName,
        /// Who holds it.
        holder: String,
    },
    /// The lease could not be renewed in time.
    #[error("the lease {lease} could not be renewed within {} s ({why}); this process ends", RENEW_WITHIN.as_secs())]
    NotRenewed {
        /// Which lease.
        lease: LeaseName,
        /// What kept it from being renewed.
        why: String,
    },
}

/// What an attempt came to.
enum Claim {
    /// It is ours; the attempt was sent at this time.
    Ours(Instant),
    Others(String),
}

impl Candidate {
    /// A candidate. `instance` names it to people: the pod's name.
    #[must_use]
    pub fn new(client: Client, lease: LeaseName, instance: &str, clock: Clock) -> Self {
        // A process that was restarted in its pod is another: it does not know what the former one still has in flight.
        let start = RandomState::new().hash_one(instance);
        Self {
            api: Api::namespaced(client, &lease.namespace),
            lease,
            identity: format!("{instance}_{start:016x}"),
            clock,
            sight: Sight::default(),
            held: None,
        }
    }

    /// Waits until this replica leads; `None` if `shutdown` comes first.
    pub async fn stand(mut self, shutdown: impl Future<Output = ()>) -> Option<Leadership> {
        let mut shutdown = pin!(shutdown.fuse());
        let mut said: Option<Result<String, String>> = None;
        loop {
            let saying = match self.attempt().await {
                Ok(Claim::Ours(sent_at)) => {
                    let former = said.as_ref().and_then(|said| said.as_deref().ok());
                    tracing::info!(lease = %self.lease, identity = self.identity, former, "this replica leads");
                    return Some(Leadership::begin(self, sent_at));
                }
                Ok(Claim::Others(holder)) => Ok(holder),
                Err(error) => Err(error),
            };
            if said.as_ref() != Some(&saying) {
                let lease = &self.lease;
                match &saying {
                    Ok(holder) => tracing::info!(%lease, holder, "another replica leads; this one stands by"),
                    Err(error) => tracing::warn!(%lease, error, "it is not known who leads; this replica stands by"),
                }
                said = Some(saying);
            }
            tokio::select! {
                () = &mut shutdown => return None,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes or renews the lease, unless it is somebody else's.
    async fn attempt(&mut self) -> Result<Claim, String> {
        let answer = timeout(ATTEMPT, self.claim()).await;
        let answer = answer.map_err(|_| format!("the API server did not answer within {} s", ATTEMPT.as_secs()))?;
        answer.map_err(|error| error.to_string())
    }

    async fn claim(&mut self) -> Result<Claim, kube::Error> {
        let mut is_last = false;
        loop {
            // What we wrote last is what there is, unless somebody else wrote since: then the write is refused.
            let there = match self.held.take() {
                Some(held) => Some(held),
                None => self.api.get_opt(&self.lease.name).await?,
            };
            if let Verdict::Wait { holder } = self.sight.judge(there.as_ref(), &self.identity, Instant::now()) {
                return Ok(Claim::Others(holder));
            }
            let exists = there.is_some();
            let wanted = claimed(&self.lease.name, &self.identity, there, self.clock.now());
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
                // Somebody was faster, or deleted it: what there is now has to be read.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) && !is_last => is_last = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the lease up, if it is still as we wrote it.
    async fn release(mut self) {
        let Some(held) = self.held.take() else { return };
        let lease = released(held, self.clock.now());
        let (name, parameters) = (lease.name_any(), PostParams::default());
        match timeout(ATTEMPT, self.api.replace(&name, &parameters, &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.lease, "the lease is released: another replica may lead"),
            Ok(Err(error)) => tracing::warn!(lease = %self.lease, %error, "the lease was not released; it runs out"),
            Err(_) => tracing::warn!(lease = %self.lease, "the lease was not released in time; it runs out"),
        }
    }

    /// Renews until told to stop, and then gives the lease up.
    async fn keep(mut self, until: watch::Sender<Instant>, stop: oneshot::Receiver<()>) -> Result<(), Lost> {
        let mut stop = pin!(stop);
        let mut why = "it was not tried".to_owned();
        let mut pause = RENEW_EVERY;
        loop {
            tokio::select! {
                stopped = &mut stop => {
                    // Without a word, the leader is gone without having finished.
                    if stopped.is_ok() {
                        self.release().await;
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

/// The lease, held and renewed for as long as this is there.
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
        // On a task of its own, so that work that keeps a thread busy does not keep the lease from being renewed.
        let lease = candidate.lease.clone();
        let keeping = tokio::spawn(candidate.keep(renewed, stopped));
        Self { lease, until, keeping, stop: Some(stop) }
    }

    /// Does the leader's work for as long as this replica leads. Not one step of it is taken when the lease could not be
    /// renewed in time, even if the process was frozen meanwhile.
    ///
    /// # Errors
    /// If the lease is lost. The work is dropped, wherever it stands.
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

    /// Gives the lease up, so that another replica leads at once. To be called when nothing is in flight any more.
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
