//! When anything is tried again: the credential, the API key of DSS, and what another writer changes again and again.
//!
//! A *durable* failure has to be mended by somebody. Status counts it, so that a restart does not try sooner. A
//! *transient* failure passes by itself. The process counts it, because a restart that forgets it costs one early attempt.
//! Either holds back the attempt that failed and nothing else: what is asked for now has an attempt of its own.
//!
//! A failure never changes what is decided. It only postpones an issue, and a credential is never withdrawn because its
//! renewal failed.

use super::{Accepted, Case, Next, Read, SecretAction, Trigger, input::Target};
use crate::{
    api::{AwsConfig, Failure, Reason, Statement},
    clock::whole_seconds,
    credentials::{IssueError, Retry},
    schedule,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A row of failures of one attempt, as the process counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// What was tried ([`super::Accepted::attempt`]).
    pub attempt: String,
    /// The number of failures in the row.
    pub count: i32,
    /// No attempt is made before this time.
    pub next_attempt_at: Timestamp,
    /// Why the last attempt failed; `None` if it was not made, because others were served first.
    pub why: Option<Statement>,
}

/// The failures of one config: the durable row of its status, and the transient row of the process.
#[derive(Clone, Copy, Debug)]
pub struct Failures<'a> {
    durable: Option<&'a Failure>,
    of_this_spec: bool,
    transient: Option<&'a Backoff>,
}

impl<'a> Failures<'a> {
    /// The failures that the status of `config` and the process know of.
    #[must_use]
    pub fn of(config: &'a AwsConfig, transient: Option<&'a Backoff>) -> Self {
        let status = config.status.as_ref();
        let of_this_spec = status.is_some_and(|status| status.observed_generation == config.metadata.generation);
        Self { durable: status.and_then(|status| status.failure.as_ref()), of_this_spec, transient }
    }

    /// The time before which this attempt is not made again, if that lies ahead.
    #[must_use]
    pub fn held_until(&self, attempt: &str, now: Timestamp) -> Option<Timestamp> {
        let durable = self.durable(attempt).map(|failure| failure.next_attempt_at.0);
        let transient = self.transient(attempt).map(|backoff| backoff.next_attempt_at);
        transient.max(durable).filter(|next| *next > now)
    }

    /// Why this attempt failed last, if it did.
    #[must_use]
    pub fn why(&self, attempt: &str) -> Option<Statement> {
        let transient = self.transient(attempt).and_then(|backoff| backoff.why.clone());
        transient.or_else(|| self.durable(attempt).and_then(Failure::why))
    }

    /// What DSS said of the last API key, if that was another user's. It counts for any attempt, because there has to be a
    /// right key first.
    #[must_use]
    pub fn wrong_owner(&self) -> Option<Statement> {
        let transient = self.transient.and_then(|backoff| backoff.why.clone());
        let durable = self.durable.and_then(Failure::why);
        transient.into_iter().chain(durable).find(|why| why.reason == Reason::DssUserMismatch)
    }

    fn durable(&self, attempt: &str) -> Option<&'a Failure> {
        self.durable.filter(|failure| self.of_this_spec && failure.attempt == attempt)
    }

    fn transient(&self, attempt: &str) -> Option<&'a Backoff> {
        self.transient.filter(|backoff| backoff.attempt == attempt)
    }

    /// The durable row that goes on, if one of these attempts is made again.
    fn going_on(&self, attempts: [&str; 2]) -> Option<&'a Failure> {
        let of_attempt = attempts.into_iter().find_map(|attempt| self.durable(attempt));
        let wrong_owner = |failure: &&Failure| failure.why().is_some_and(|why| why.reason == Reason::DssUserMismatch);
        of_attempt.or_else(|| self.durable.filter(wrong_owner))
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Attempted<'a> {
    /// It failed. The digest says what was tried.
    Failed(&'a IssueError, &'a str),
    /// None was made, or its end is not known.
    NotMade,
    /// The credential is there, and its API key is held back.
    WithoutApiKey,
    /// It succeeded, or nothing had to be tried.
    Succeeded,
}

/// The durable row after an attempt, for status. `attempts` are the digests of the credential's attempt and of its API
/// key's.
#[must_use]
pub fn durable_after(
    failures: Failures<'_>,
    attempts: [&str; 2],
    attempted: Attempted<'_>,
    now: Timestamp,
) -> Option<Failure> {
    let known = failures.going_on(attempts);
    match attempted {
        Attempted::Failed(error, attempt) if error.retry == Retry::Durable => {
            let known = known.filter(|failure| failure.attempt == attempt);
            let count = known.map_or(0, |failure| failure.count).saturating_add(1);
            let now = whole_seconds(now);
            Some(Failure {
                count,
                since: known.map_or(Time(now), |failure| failure.since.clone()),
                last_at: Time(now),
                next_attempt_at: Time(now.saturating_add(schedule::slow_delay(count)).unwrap_or(now)),
                attempt: attempt.to_owned(),
                reason: Some(error.why.reason.to_string()),
                message: Some(error.why.message.clone()),
            })
        }
        Attempted::Failed(..) | Attempted::NotMade => known.cloned(),
        Attempted::WithoutApiKey => known.filter(|failure| failure.attempt == attempts[1]).cloned(),
        Attempted::Succeeded => None,
    }
}

/// The transient row after an attempt that failed, for the process; `None` if status counts the failure.
///
/// An API key of another user is durable and counted by the process as well, because keys must not come and go while
/// status cannot be written.
#[must_use]
pub fn transient_after(
    failures: Failures<'_>,
    error: &IssueError,
    attempt: &str,
    uid: &str,
    now: Timestamp,
) -> Option<Backoff> {
    if error.retry == Retry::Durable && error.why.reason != Reason::DssUserMismatch {
        return None;
    }
    let count = failures.transient(attempt).map_or(0, |backoff| backoff.count).saturating_add(1);
    let wait = match error.retry {
        Retry::Durable => schedule::slow_delay(count),
        Retry::Transient | Retry::Saturated => schedule::fast_delay(uid, count),
        Retry::TransientAfter(wish) => schedule::fast_delay(uid, count).max(wish.min(schedule::LONGEST_WISH)),
    };
    let why = match error.retry {
        Retry::Saturated => failures.why(attempt),
        _ => Some(error.why.clone()),
    };
    let next_attempt_at = now.saturating_add(wait).unwrap_or(now);
    Some(Backoff { attempt: attempt.to_owned(), count, next_attempt_at, why })
}

impl Case<'_> {
    /// Holds an action back until its time, if the same attempt failed, or another writer fights over the Secret.
    pub(super) fn hold_back(&self, accepted: &Accepted, next: Next) -> Next {
        let next = match next {
            Next::Do(
                action @ (SecretAction::Issue(Trigger::First | Trigger::Drifted)
                | SecretAction::Render(Trigger::Drifted)),
            ) => self.after_repairs(action).into(),
            other => other,
        };
        match (&next, self.backing_off(&accepted.attempt)) {
            (Next::Do(SecretAction::Issue(_)) | Next::Read(Read::Target), Some(until)) => {
                let over = self.expired().or_else(|| self.superseded(accepted)).or_else(|| self.denied(accepted));
                over.unwrap_or(SecretAction::Hold { until }).into()
            }
            _ => next,
        }
    }

    /// A credential is never taken away because a renewal failed. One that has expired is none.
    pub(super) fn expired(&self) -> Option<SecretAction> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let record = ours.record.as_ref()?;
        let expired_at = record.expires_at.filter(|_| record.withdrawn.is_none() && record.has_expired(self.now))?;
        let message = format!("the credential expired at {expired_at} and could not be renewed");
        Some(SecretAction::Withdraw(Statement::new(Reason::Expired, message)))
    }

    /// A key never expires. So a key that is no longer asked for is withdrawn, if what is asked for cannot be had.
    fn superseded(&self, accepted: &Accepted) -> Option<SecretAction> {
        let why = Statement::new(Reason::Pending, "the key in the Secret is no longer what is asked for");
        let answers = accepted.request.is_answered_by(&self.key_at_hand()?.issue_digest, None);
        (!answers).then_some(SecretAction::Withdraw(why))
    }

    /// A key never expires. So it is withdrawn once DSS denies the person the connection that it came from.
    fn denied(&self, accepted: &Accepted) -> Option<SecretAction> {
        self.key_at_hand()?;
        let why = self.failures().why(&accepted.attempt)?;
        (why.reason == Reason::DssConnectionDenied).then_some(SecretAction::Withdraw(why))
    }

    /// The failures of this config.
    pub(super) fn failures(&self) -> Failures<'_> {
        Failures::of(&self.seen.config, self.seen.remembered.transient.as_ref())
    }

    /// The time before which this attempt is not made again.
    pub(super) fn backing_off(&self, attempt: &str) -> Option<Timestamp> {
        self.failures().held_until(attempt, self.now)
    }

    /// The first repairs are made at once. Against another writer who goes on, keyturn repairs less and less often.
    pub(super) fn after_repairs(&self, action: SecretAction) -> SecretAction {
        self.fought_over_until().map_or(action, |until| SecretAction::Hold { until })
    }

    /// The time before which what another writer changed is left as it is.
    pub(super) fn fought_over_until(&self) -> Option<Timestamp> {
        let remembered = &self.seen.remembered;
        let last = remembered.repaired_at?;
        let next = last.saturating_add(schedule::repair_delay(remembered.repairs)).unwrap_or(last);
        let calm = self.now.duration_since(last) > schedule::CALM;
        (!calm && next > self.now).then_some(next)
    }
}

#[cfg(test)]
mod tests;
