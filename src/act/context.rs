//! The handles that a reconcile works with.

use crate::{
    api::AwsConfig,
    brake::Brake,
    clock::Clock,
    cluster::{CallError, Calls},
    credentials::{IssueError, S3, Sts, held_back},
    data_robot::DataRobots,
    decide::{input::Observed, target::Target},
    dss_cache::DssCache,
    limit::{Backoffs, Budget, Limiter, NotYet, Place, Precedence, StsBudget, Turns},
    memory::Memory,
    metrics::Metrics,
    report::EventNote,
    stores::{Access, Accounts, Listings, Tokens},
    views::Views,
};
use jiff::{SignedDuration, Timestamp};
use kube::{Resource as _, ResourceExt as _};
use std::sync::Arc;

/// The handles that a reconcile works with. There is one for each watched scope; the scopes share
/// the parts, except the views.
#[derive(Clone)]
pub struct Context {
    /// The cluster's name, which is a part of every external ID and of every label of an API key.
    pub cluster_name: Arc<str>,
    /// The only source of time.
    pub clock: Clock,
    /// The calls to the API server.
    pub calls: Calls,
    /// The views of the scope: the objects that the API server has shown.
    pub views: Views,
    /// The client of STS, from which sessions come.
    pub sts: Sts,
    /// The client of S3, by which buckets are tried.
    pub s3: S3,
    /// The users and API keys of every DSS, as they were last read.
    pub dss_cache: DssCache,
    /// What this process remembers of each object. Losing it costs a read or an early retry.
    pub memory: Arc<Memory>,
    /// The time at which this replica began to lead.
    pub started_at: Timestamp,
    /// The metrics.
    pub metrics: Metrics,
    /// The reporter of Events: the name of the pod.
    pub reporter: Arc<str>,
    /// The most configs of a namespace that get a credential; `None` for no limit.
    pub configs_per_namespace: Option<usize>,
    /// The time after which a config has to be confirmed again; `None` for no limit.
    pub max_age: Option<SignedDuration>,
    /// The brake on withdrawals, which all scopes share.
    pub brake: Arc<Brake>,
    /// Limits how many reconciles wait for an outside system at once.
    pub limiter: Limiter,
    /// The same for pushes, which must not take the permits of what a Secret waits for.
    pub push_limiter: Limiter,
    /// The backoffs of the systems that a push did not reach, which all scopes share.
    pub backoffs: Backoffs,
    /// The accounts that pushes write to at the moment, which all scopes share.
    pub accounts: Accounts,
    /// The clients of every DataRobot.
    pub data_robots: DataRobots,
    /// The API tokens of DataRobot that owners offer, as they were last read.
    pub tokens: Tokens,
    /// The listings of accounts in DataRobot, as they were read a moment ago.
    pub listings: Listings,
    /// Bounds the rate at which this scope and the others ask outside systems, and shares the
    /// places of this scope between its namespaces.
    pub turns: Turns,
    /// The budget of all calls to STS, which all scopes share.
    pub sts_budget: StsBudget,
    /// Lets credentials come before what trails behind them, in all scopes.
    pub precedence: Precedence,
}

impl Context {
    /// The handles that the stores work with, in a reconcile that has this budget.
    #[must_use]
    pub fn stores<'a>(&'a self, budget: &'a Budget) -> Access<'a> {
        Access {
            cluster_name: &self.cluster_name,
            calls: &self.calls,
            views: &self.views,
            dss_cache: &self.dss_cache,
            limiter: &self.limiter,
            push_limiter: &self.push_limiter,
            backoffs: &self.backoffs,
            accounts: &self.accounts,
            data_robots: &self.data_robots,
            tokens: &self.tokens,
            listings: &self.listings,
            budget,
        }
    }

    /// Reads the whole Secret that a config asks for.
    ///
    /// # Errors
    /// [`CallError`] if the API server refused the read or did not answer.
    pub async fn read_target(&self, seen: &Observed) -> Result<Target, CallError> {
        let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
        let attempted = seen.remembered.attempted.as_deref();
        let found = self.calls.secret(&namespace, &name).await?;
        let read = |secret| Target::read(&seen.config, secret, attempted, self.clock.now());
        Ok(found.map_or(Target::Absent, read))
    }

    /// Writes a log line and an Event about a config. An Event that the API server does not take is
    /// lost, and the log says so.
    pub async fn record_event(&self, config: &AwsConfig, note: &EventNote) {
        note.log();
        let event = note.manifest(config.object_ref(&()), &self.reporter, self.clock.now());
        if let Err(error) = self.calls.create_event(&event).await {
            tracing::warn!(%error, "an Event was lost");
        }
    }

    /// Takes a turn to ask an outside system for this many things that are not renewals that are
    /// due. The reconcile keeps the place until it has its answers.
    ///
    /// # Errors
    /// [`IssueError`] if others come first. keyturn has asked nobody.
    pub fn take_turn(&self, config: &AwsConfig, requests: u32) -> Result<Place, IssueError> {
        let namespace = config.namespace().unwrap_or_default();
        self.turns.take(&namespace, requests).map_err(|not_yet| self.held_back(not_yet, &namespace))
    }

    /// Takes this many requests from the rates, for an `AwsConfig` that then waits for its turn in
    /// the budget of STS.
    ///
    /// # Errors
    /// [`IssueError`] if others come first. keyturn has asked nobody.
    pub fn pay(&self, namespace: &str, requests: u32) -> Result<(), IssueError> {
        self.turns.pay(namespace, requests).map_err(|not_yet| self.held_back(not_yet, namespace))
    }

    fn held_back(&self, not_yet: NotYet, namespace: &str) -> IssueError {
        self.metrics.held_back(not_yet.scope());
        held_back(not_yet, namespace, self.turns.limits())
    }
}
