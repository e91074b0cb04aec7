//! Not before its time: what failed, or is fought over, is held back. It changes what is decided only for a while.

use super::{Accepted, Case, Step, Trigger, input::Target, schedule};
use crate::api::{ConditionType, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Case<'_> {
    pub(super) fn hold_back(&self, accepted: &Accepted, step: Step) -> Step {
        let step = match step {
            Step::Issue(Trigger::First | Trigger::Drifted) | Step::Render(Trigger::Drifted) => self.after_repairs(step),
            other => other,
        };
        match (&step, self.backing_off(&accepted.attempt)) {
            (Step::Issue(_) | Step::LookForTarget, Some(until)) => {
                let over = self.expired().or_else(|| self.superseded(accepted)).or_else(|| self.denied());
                over.unwrap_or(Step::Hold { until })
            }
            _ => step,
        }
    }

    /// A credential is never taken away because a renewal failed. One that has expired is none.
    pub(super) fn expired(&self) -> Option<Step> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let record = ours.record.as_ref()?;
        let expired_at = record.expires_at.filter(|_| record.withdrawn.is_none() && record.has_expired(self.now))?;
        let message = format!("the credential expired at {expired_at} and could not be renewed");
        Some(Step::Withdraw { reason: Reason::Expired, message })
    }

    /// A key never expires, so one that is no longer asked for goes when what is asked for cannot be had.
    fn superseded(&self, accepted: &Accepted) -> Option<Step> {
        let message = "the key in the Secret is no longer what is asked for".to_owned();
        let answers = accepted.request.is_answered_by(&self.key_at_hand()?.issue_digest, None);
        (!answers).then_some(Step::Withdraw { reason: Reason::Pending, message })
    }

    /// A key has no end: who may no longer read it in DSS has it no longer.
    fn denied(&self) -> Option<Step> {
        self.key_at_hand()?;
        let conditions = self.seen.config.status.iter().flat_map(|status| &status.conditions);
        let denied = conditions.into_iter().find(|condition| {
            condition.type_ == ConditionType::RenewalFailing.as_str()
                && condition.reason == Reason::DssConnectionDenied.as_str()
        })?;
        Some(Step::Withdraw { reason: Reason::DssConnectionDenied, message: denied.message.clone() })
    }

    /// Until when what failed is held back, if it was this attempt.
    pub(super) fn backing_off(&self, attempt: &str) -> Option<Timestamp> {
        let passing = self.seen.remembered.passing.as_ref();
        let passing = passing.filter(|passing| passing.attempt == attempt).map(|passing| passing.next_attempt_at);
        let status = self.seen.config.status.as_ref();
        let same_spec = |observed: Option<i64>| observed == self.seen.config.metadata.generation;
        let stored =
            status.filter(|status| same_spec(status.observed_generation)).and_then(|status| status.failure.as_ref());
        let stored = stored.filter(|failure| failure.attempt == attempt).map(|failure| {
            let Time(next) = failure.next_attempt_at;
            next
        });
        passing.max(stored).filter(|next| *next > self.now)
    }

    /// The first repairs are at once; a war with another writer is fought slowly.
    pub(super) fn after_repairs(&self, step: Step) -> Step {
        self.fought_over_until().map_or(step, |until| Step::Hold { until })
    }

    /// Until when what is ours is left as others made it.
    pub(super) fn fought_over_until(&self) -> Option<Timestamp> {
        let remembered = &self.seen.remembered;
        let last = remembered.repaired_at?;
        let next = last.saturating_add(schedule::repair_delay(remembered.repairs)).unwrap_or(last);
        let calm = self.now.duration_since(last) > schedule::CALM;
        (!calm && next > self.now).then_some(next)
    }
}
