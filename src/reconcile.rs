//! RECONCILE: one `AwsConfig` from observation to report. [`crate::act`] carries out the plan.
//!
//! ```text
//!                   Observed         Plan            Outcome
//!   observe [client] ─▶ decide [pure] ─▶ act [client] ─▶ report [pure, then client]
//!                        ▲         │
//!                        └── read ─┘ [client]
//! ```
//!
//! A reconcile is level-triggered: the reason why the config was enqueued does not matter. No state
//! that matters is in memory only. The record on the Secret says which credential it holds, and the
//! status holds the count of durable failures. Therefore the process may be killed at any line.
//! Every reconcile returns the time of the next one, therefore a lost watch event cannot lose a
//! renewal.

mod aws_role;
mod cleanup;
mod observe;
mod trail;

pub use aws_role::reconcile_role;
pub use trail::{reconcile_trail, trail_of};

use crate::{
    act::{Context, act},
    api::{AwsConfig, ConditionType, Reason},
    brake::Fate,
    clock::whole_seconds,
    cluster::CallError,
    decide::{HoldCause, Next, Plan, Read, SecretAction, decide, held_since, input::Observed},
    limit::Budget,
    report::{
        Finding, Outcome, event_notes, is_only_a_short_wait, is_told_later, key_finding, next_reconcile, role_finding,
        status, withdrawn_for, withdrawn_profiles,
    },
    schedule::until,
    spans::attribute,
    stores::A_RECONCILE,
    views,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// The most reads of one reconcile. One decision can ask for fewer: user, role or key, API key, the
/// Secret's metadata, its data. Profiles ask for all their roles at once.
const READS: usize = 8;

/// Reconciles one `AwsConfig`, and returns the time until the next reconcile.
///
/// The steps, in order:
///
/// 1. Wait two seconds at most until every view is synced. If one stays unsynced, stop here and
///    requeue: keyturn neither issues nor withdraws a credential on half a view. (client)
/// 2. If the config is being deleted and has a finalizer of keyturn, clean up and stop here.
///    (client)
/// 3. Observe: collect what the views, the cache of DSS and the memory hold. If the config is gone
///    or is being deleted, forget it and stop here. If the view keeps only a part of the Secret's
///    metadata, and the config asks for other parts, read the metadata. (client)
/// 4. Decide: make a plan. (pure)
/// 5. While the plan asks for a read, make the read. If the API server refuses it, do not act.
///    (client)
/// 6. After each read, decide again. (pure)
/// 7. Act: carry out the plan. (client)
/// 8. Record the outcome in the memory of the process. (client)
/// 9. Report: make the status and the event notes. (pure)
/// 10. Write the status if it differs, and the Events. (client)
/// 11. Leave the generated `AwsRole`s and the Event of a first issue to the trail, if they are not
///     in order. `trail` enqueues it.
/// 12. Determine the time of the next reconcile. (pure)
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer. The next reconcile decides
/// anew.
#[tracing::instrument(name = "reconcile", skip_all, fields(
    namespace = config.namespace().unwrap_or_default(),
    object = config.name_any(),
    generation = config.metadata.generation,
))]
pub async fn reconcile(
    config: Arc<AwsConfig>,
    context: &Context,
    trail: &(dyn Fn() + Sync),
) -> Result<Duration, CallError> {
    let budget = &Budget::of(A_RECONCILE);
    // keyturn neither issues nor withdraws a credential while a view is unsynced.
    if !context.views.synced().await {
        return Ok(views::SYNC_WAIT);
    }
    if let Some(deleted) = cleanup::pending(context, &config) {
        return cleanup::cleanup(context, budget, &deleted).await;
    }
    let uid = config.uid().unwrap_or_default();
    let Some(mut seen) = observe::observe(context, &config) else {
        context.memory.forget(&uid);
        context.brake.release(&uid);
        context.sts_budget.leave(&uid);
        return Ok(until(context.clock.now(), None));
    };
    let mut unread = None;
    if observe::lacks_metadata(&seen) {
        unread = observe::read(context, budget, Read::Target, &mut seen).await.err();
    }
    let mut plan = decide(&seen, context.clock.now());
    // Each read answers what the plan asks for, therefore a few reads are enough. If a decision
    // asks for more, another writer changes the objects faster than keyturn reads them.
    for _ in 0..READS {
        let (Next::Read(what), None) = (&plan.next, &unread) else { break };
        match observe::read(context, budget, *what, &mut seen).await {
            Ok(true) => plan = decide(&seen, context.clock.now()),
            Ok(false) => break,
            Err(error) => unread = Some(error),
        }
    }
    tracing::debug!(next = ?plan.next, "decided");
    describe(&seen, &plan);
    if let Some(SecretAction::Hold { cause: HoldCause::AskedTooOften, .. }) = plan.action() {
        context.metrics.held_back("object");
    }

    let _urgent = is_waited_for(&plan).then(|| context.precedence.begin());
    let mut outcome = match unread {
        Some(error) => Outcome { call_failed: Some(error), unread: true, ..Outcome::default() },
        None => Box::pin(act(context, budget, &seen, &plan)).await,
    };
    outcome.failed_before = context.memory.failed_calls_of(&uid);
    let now = context.clock.now();
    let is_news = if outcome.unread {
        outcome.call_failed.as_ref().is_some_and(|error| error.is_persistent(outcome.failed_before))
    } else {
        context.memory.learn(&seen, &plan, &outcome, now);
        // A turn that this reconcile did not take up is for others.
        let has_passed = seen.has_turn && context.sts_budget.has_turn(&uid);
        if has_passed || !context.memory.waits_for_turn(&uid) {
            context.sts_budget.leave(&uid);
        }
        // The trail finds faults of roles that it has to write.
        let of_roles = plan.roles.are_in_order().then(|| role_finding(&seen, &plan.roles.step, None, 0)).flatten();
        for (type_, new) in
            [(ConditionType::AwsRoleFailing, of_roles), (ConditionType::DssKeysFailing, key_finding(&seen, &outcome))]
        {
            let Some(Finding(finding)) = new else { continue };
            context.memory.record_finding(&uid, type_, finding.clone());
            seen.remembered.findings.insert(type_, finding);
        }
        record_withdrawal(context, &seen, &plan, &outcome, now);
        !is_only_a_short_wait(&seen, &plan, &outcome)
    };
    let reported = if is_news { report(context, &seen, &plan, &outcome, now).await } else { Ok(()) };
    // While the credential only waits for its turn, its trail waits with it.
    if is_news && !outcome.unread && !plan.roles.are_in_order() {
        trail();
    }
    reported?;
    if let Some(error) = outcome.call_failed.take() {
        return Err(error);
    }
    context.memory.call_succeeded(&uid);
    let remembered = context.memory.recall(&uid);
    Ok(until(now, Some(next_reconcile(&seen, &plan, &outcome, &remembered, now))))
}

/// Whether somebody waits for what the plan does. The trails of others wait for it.
fn is_waited_for(plan: &Plan) -> bool {
    matches!(
        plan.action(),
        Some(
            SecretAction::Issue(_)
                | SecretAction::Render(_)
                | SecretAction::Withdraw(_)
                | SecretAction::Profiles { held: None }
        )
    )
}

/// Says in traces whose credential the reconcile is about, and of which role.
fn describe(seen: &Observed, plan: &Plan) {
    if let Some(subject) = seen.config.subject() {
        attribute("person", subject);
    }
    if let Some(role) = plan.accepted.as_ref().ok().and_then(|accepted| accepted.request.role()) {
        attribute("role", role);
    }
}

/// Counts a credential that keyturn withdrew, and tells the brake of one that goes for want of a
/// grant, or that is held back.
fn record_withdrawal(context: &Context, seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) {
    let (uid, namespace) = (seen.config.uid().unwrap_or_default(), seen.config.namespace().unwrap_or_default());
    let withdrawn = withdrawn_for(seen, plan, outcome);
    if let Some(reason) = withdrawn {
        context.metrics.withdrawn(reason);
    }
    for reason in withdrawn_profiles(seen, outcome) {
        context.metrics.withdrawn(reason);
    }
    if withdrawn == Some(Reason::NotGranted) {
        context.brake.record(&namespace, Fate::Withdrawn, now);
    }
    if plan.is_held() {
        let since = held_since(seen);
        if since.is_none() {
            context.brake.record(&namespace, Fate::Held, now);
        }
        context.brake.hold(&uid, since.unwrap_or_else(|| whole_seconds(now)));
    } else if outcome.call_failed.is_none() {
        context.brake.release(&uid);
    }
}

/// Writes the status if it differs from the recorded one, and an Event for each event note.
async fn report(
    context: &Context,
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), CallError> {
    let before = seen.config.status.clone().unwrap_or_default();
    let after = status(seen, plan, outcome, now);
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.name_any());
    if seen.config.status.is_none() || !views::shows_status(&before, &after) {
        let write = context.calls.config_status(&namespace, &name, &after);
        context.views.configs.own_writes().write(&namespace, &name, write).await?;
    }
    for note in event_notes(seen, plan, outcome, &before, &after) {
        context.record_event(&seen.config, &note).await;
    }
    if outcome.written.is_some() && !is_told_later(plan, outcome, &after) {
        context.memory.told(&seen.config.uid().unwrap_or_default());
    }
    Ok(())
}
