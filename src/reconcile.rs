//! DECIDE AND ACT: what happens each time that an `AwsConfig` is looked at.
//!
//! ```text
//!   observe [client] ─▶ Observed ─▶ decide [pure] ─▶ Plan ─▶ act [client] ─▶ Outcome ─▶ report [pure, then client]
//!                          ▲                          │
//!                          └──────────── look ──────────┘
//! ```
//!
//! Level-triggered: it does not matter why it is looked at. Nothing that matters is kept in memory: the truth about a
//! credential is on its Secret, the pace of failures in status, so it may be killed at any line. Every look ends with
//! the time of the next one, so that no lost watch event can lose a renewal.

mod act;
mod aws_role;
mod cleanup;
mod memory;
mod observe;

pub use aws_role::reconcile_role;
pub use memory::Memory;

use crate::{
    api::{AwsConfig, same_ignoring_times},
    clock::Clock,
    cluster::{CallError, Calls},
    credentials::Sts,
    decide::{Next, Plan, decide, input::Observed},
    dss_cache::DssCache,
    limit::{Budget, Limiter},
    metrics::Metrics,
    report::{EventNote, Outcome, event_notes, next_reconcile, status},
    schedule,
    stores::{A_RECONCILE, Access},
    views::{self, Views},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Everything that a reconcile works with. One for each watched scope; the parts are shared.
#[derive(Clone)]
pub struct Context {
    /// Half of every external ID.
    pub cluster_name: Arc<str>,
    /// The only source of time.
    pub clock: Clock,
    /// What we ask of the API server.
    pub calls: Calls,
    /// What the API server shows us.
    pub views: Views,
    /// Where sessions come from.
    pub sts: Sts,
    /// What is known of every DSS.
    pub dss_cache: DssCache,
    /// What this process remembers, and may forget.
    pub memory: Arc<Memory>,
    /// When this process started.
    pub started_at: Timestamp,
    /// What is counted.
    pub metrics: Metrics,
    /// Who reports Events: the pod's name.
    pub reporter: Arc<str>,
    /// How many reconciles may wait for an outside system at once.
    pub limiter: Limiter,
}

impl Context {
    /// What the stores work with, in a reconcile that has this budget.
    fn stores<'a>(&'a self, budget: &'a Budget) -> Access<'a> {
        Access {
            cluster_name: &self.cluster_name,
            calls: &self.calls,
            views: &self.views,
            dss_cache: &self.dss_cache,
            limiter: &self.limiter,
            budget,
        }
    }

    /// Writes a line of the log and an Event about a config.
    pub async fn record_event(&self, config: &AwsConfig, note: &EventNote) {
        note.log();
        let event = note.manifest(config, &self.reporter, self.clock.now());
        if let Err(error) = self.calls.create_event(&event).await {
            tracing::warn!(%error, "an Event was lost");
        }
    }
}

/// More than the reads that one decision can ask for: user, role or key, API key, the Secret's metadata, its data.
const READS: usize = 8;

/// Looks at one config and does what is to be done. Returns when to look again.
///
/// # Errors
/// If the API server refused or did not answer a call; the same is then decided anew.
#[tracing::instrument(name = "reconcile", skip_all, fields(
    namespace = config.namespace().unwrap_or_default(),
    name = config.name_any(),
    generation = config.metadata.generation,
))]
pub async fn reconcile(config: Arc<AwsConfig>, context: &Context) -> Result<Duration, CallError> {
    let budget = &Budget::of(A_RECONCILE);
    // Nothing is issued and nothing is withdrawn on half a view.
    if !context.views.synced().await {
        return Ok(views::SYNC_WAIT);
    }
    if let Some(going) = cleanup::pending(context, &config) {
        return cleanup::cleanup(context, budget, &going).await;
    }
    let Some(mut seen) = observe::observe(context, &config) else {
        context.memory.forget(&config.uid().unwrap_or_default());
        return Ok(until(context.clock.now(), None));
    };
    let mut plan = decide(&seen, context.clock.now());
    // Each read answers what the plan asks for, so a few are enough. If more were needed, somebody changes things faster
    // than they are read.
    for _ in 0..READS {
        let Next::Read(what) = plan.next else { break };
        observe::read(context, budget, what, &mut seen).await?;
        plan = decide(&seen, context.clock.now());
    }
    tracing::debug!(next = ?plan.next, "decided");

    let outcome = Box::pin(act::act(context, budget, &seen, &plan)).await;
    let now = context.clock.now();
    context.memory.learn(&seen, &plan, &outcome, now);
    report(context, &seen, &plan, &outcome, now).await?;
    if let Some(error) = outcome.call_failed {
        return Err(error);
    }
    context.memory.call_succeeded(&seen.config.uid().unwrap_or_default());
    let remembered = context.memory.recall(&seen.config.uid().unwrap_or_default());
    Ok(until(now, Some(next_reconcile(&seen, &plan, &outcome, &remembered, now))))
}

/// Tells: status if it says something new, Events for what a person would want to know, metrics.
async fn report(
    context: &Context,
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), CallError> {
    let before = seen.config.status.clone().unwrap_or_default();
    let after = status(seen, plan, outcome, now);
    let same = same_ignoring_times(&before.conditions, &after.conditions) && {
        let without = |status: &crate::api::AwsConfigStatus| {
            let mut status = status.clone();
            status.conditions.clear();
            status
        };
        without(&before) == without(&after)
    };
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.name_any());
    if !same || seen.config.status.is_none() {
        let write = context.calls.config_status(&namespace, &name, &after);
        context.views.configs.own_writes().write(&namespace, &name, write).await?;
    }
    for note in event_notes(seen, plan, outcome, &before, &after) {
        context.record_event(&seen.config, &note).await;
    }
    Ok(())
}

/// The time from `now` to the next reconcile; without one the resync.
#[must_use]
pub fn until(now: Timestamp, next: Option<Timestamp>) -> Duration {
    let wait = next.map_or(schedule::RESYNC, |next| next.duration_since(now));
    Duration::try_from(wait).unwrap_or_default()
}
