//! The calls to STS of one reconcile: their turn in the budget, and the calls.

use super::Act;
use crate::{
    credentials::{IssueError, Issued, Request, SessionRequest, not_your_turn},
    decide::{Accepted, ProfileStep, Trigger},
    limit::{Ask, Lane, StsTurn},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// A session that the plan asks STS for.
struct Wanted<'a> {
    session: &'a SessionRequest,
    trigger: Trigger,
    /// The expiry of the session that it replaces.
    expires_at: Option<Timestamp>,
}

impl Act<'_> {
    /// Whether the action is a renewal that is due.
    pub(super) fn is_due(&self) -> bool {
        self.trigger == Some(Trigger::Due)
    }

    /// The session for this very request that keyturn obtained before and could not write. keyturn
    /// then does not ask STS.
    pub(super) fn take_kept(&self, request: &Request) -> Option<Issued> {
        let Self { context, seen, .. } = self;
        let is_session = matches!(request, Request::Session(_));
        let uid = seen.config.uid().unwrap_or_default();
        is_session.then(|| context.memory.take_kept(&uid, request, context.clock.now())).flatten()
    }

    /// Keeps a session in memory, because it could not be written. A static key is not kept,
    /// because it is still where it was read.
    pub(super) fn keep(&self, accepted: &Accepted, issued: Issued) {
        if issued.expires_at.is_some() {
            self.context.memory.keep(&self.seen.config.uid().unwrap_or_default(), &accepted.request, issued);
        }
    }

    /// Assumes a role in the turn of this reconcile.
    pub(super) async fn assume(&self, session: &SessionRequest, is_due: bool) -> Result<Issued, IssueError> {
        let result = self.context.sts.assume_role(session, self.sts_turn()?).await;
        // A call in vain does not count among those that are made for one object.
        let is_in_vain = result.as_ref().is_err_and(|error| error.retry.is_in_turn());
        if !is_due && !is_in_vain {
            self.asked.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Ends the turn, because all calls to STS of this reconcile were made.
    pub(super) fn end_sts_turn(&self) {
        if let Some(Ok(turn)) = self.sts_turn.get() {
            turn.end();
        }
    }

    /// The turn for all calls of this reconcile. It is one turn, because sessions that are renewed
    /// together go into one write.
    fn sts_turn(&self) -> Result<&StsTurn, IssueError> {
        self.sts_turn.get_or_init(|| self.take_sts_turn()).as_ref().map_err(Clone::clone)
    }

    /// Asks the budget for a turn. A request that is not for a renewal pays its rate when it begins
    /// to wait, and not again when it asks again.
    fn take_sts_turn(&self) -> Result<StsTurn, IssueError> {
        let budget = &self.context.sts_budget;
        let config = &self.seen.config;
        let (uid, namespace) = (config.uid().unwrap_or_default(), config.namespace().unwrap_or_default());
        let wanted = self.wanted();
        let calls = wanted.iter().map(|wanted| self.context.sts.calls(wanted.session)).sum::<u32>().max(1);
        let is_due = wanted.iter().any(|wanted| wanted.trigger == Trigger::Due);
        if !is_due && !budget.knows(&uid) {
            self.context.pay(&namespace, calls)?;
        }
        let due = wanted.iter().filter(|wanted| wanted.trigger == Trigger::Due);
        let left =
            due.filter_map(|wanted| wanted.expires_at).min().map(|at| at.duration_since(self.context.clock.now()));
        let ask = Ask {
            key: uid.into(),
            namespace: namespace.into(),
            name: config.name_any().into(),
            attempt: self.attempts(),
            lane: if is_due { Lane::Renewal } else { Lane::First },
            expires_at: left.map(|left| Instant::now() + Duration::try_from(left).unwrap_or_default()),
            calls,
        };
        budget.ask(ask).map_err(|not_yet| not_your_turn(not_yet, budget.limits()))
    }

    /// The attempts of the config and of its profiles, whether they are made now or not.
    fn attempts(&self) -> String {
        let of_profiles = self.profiles.iter().map(|plan| &plan.accepted);
        let accepted = std::iter::once(self.accepted).chain(of_profiles).filter_map(|accepted| accepted.as_ref().ok());
        accepted.map(|accepted| accepted.attempt.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The sessions that the plan asks STS for.
    fn wanted(&self) -> Vec<Wanted<'_>> {
        let record = self.seen.target.record();
        let mut wanted = vec![];
        if let (Some(trigger), Ok(accepted)) = (self.trigger, self.accepted)
            && let Request::Session(session) = &accepted.request
        {
            let expires_at = record.and_then(|record| record.expires_at);
            wanted.push(Wanted { session, trigger, expires_at });
        }
        for plan in self.profiles {
            if let (Ok(accepted), ProfileStep::Issue(trigger)) = (&plan.accepted, &plan.step)
                && let Request::Session(session) = &accepted.request
            {
                let expires_at = record.and_then(|record| record.profile(&plan.name)?.expires_at);
                wanted.push(Wanted { session, trigger: *trigger, expires_at });
            }
        }
        wanted
    }
}
