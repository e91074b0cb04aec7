//! The times of retries: of the credential, of the API key of DSS, and of repairs of what another
//! writer changes again and again.
//!
//! Somebody has to mend the cause of a *durable* failure. Status counts durable failures, because a
//! restart must not cause an earlier attempt. A *transient* failure passes by itself. The process
//! counts transient failures, because a restart that forgets them costs only one early attempt. A
//! failure holds back the attempt that failed and no other. A changed request is another attempt.
//!
//! A failure never changes the decision. It only postpones an issue, and keyturn never withdraws a
//! credential because its renewal failed.

use super::{Accepted, Case, HoldCause, Next, Read, SecretAction, Trigger, target::Target};
use crate::{
    api::{AwsConfig, Failure, Reason, Statement},
    clock::whole_seconds,
    credentials::{IssueError, Request, Retry},
    schedule,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The consecutive failures of one attempt, as the process counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The digest of the attempt ([`super::Accepted::attempt`]).
    pub attempt: String,
    /// The number of consecutive failures.
    pub count: i32,
    /// keyturn does not make the attempt again before this time.
    pub next_attempt_at: Timestamp,
    /// Whether keyturn makes the attempt again as soon as the budget of STS has a turn for the
    /// config, also before that time.
    pub in_turn: bool,
    /// The reason of the last failure; `None` if keyturn did not make the attempt, because others
    /// came first.
    pub why: Option<Statement>,
}

/// A wait for the turn of an attempt that is longer than this is reported.
const LONG_WAIT: SignedDuration = SignedDuration::from_secs(10);
/// An attempt that has not had its turn so often before is reported.
const OFTEN: i32 = 3;

/// The failures of one config: the durable ones from its status, and the transient ones from the
/// process.
#[derive(Clone, Copy, Debug)]
pub struct Failures<'a> {
    durable: Option<&'a Failure>,
    of_this_spec: bool,
    transient: Option<&'a Backoff>,
    /// Whether it is the turn of the config in the budget of STS.
    has_turn: bool,
}

impl<'a> Failures<'a> {
    /// The failures in the status of `config`, and the transient ones that the process remembers.
    #[must_use]
    pub fn of(config: &'a AwsConfig, transient: Option<&'a Backoff>) -> Self {
        let status = config.status.as_ref();
        let of_this_spec = status.is_some_and(|status| status.observed_generation == config.metadata.generation);
        Self { durable: status.and_then(|status| status.failure.as_ref()), of_this_spec, transient, has_turn: false }
    }

    /// The same failures. `has_turn` says whether it is the turn of the config in the budget of
    /// STS.
    #[must_use]
    pub fn with_turn(self, has_turn: bool) -> Self {
        Self { has_turn, ..self }
    }

    /// The failures of the profile of this name. keyturn counts them apart from those of the
    /// config.
    #[must_use]
    pub fn of_profile(config: &'a AwsConfig, profile: &str, transient: Option<&'a Backoff>) -> Self {
        let recorded = config.status.as_ref().and_then(|status| status.profile(profile));
        Self { durable: recorded.and_then(|profile| profile.failure.as_ref()), ..Self::of(config, transient) }
    }

    /// The time before which keyturn does not make this attempt again; `None` if the attempt may be
    /// made now.
    #[must_use]
    pub fn held_until(&self, attempt: &str, now: Timestamp) -> Option<Timestamp> {
        let durable = self.durable(attempt).map(|failure| failure.next_attempt_at.0);
        let waits = |backoff: &&Backoff| !(backoff.in_turn && self.has_turn);
        let transient = self.transient(attempt).filter(waits).map(|backoff| backoff.next_attempt_at);
        transient.max(durable).filter(|next| *next > now)
    }

    /// The reason why this attempt failed last; `None` if it did not fail.
    #[must_use]
    pub fn why(&self, attempt: &str) -> Option<Statement> {
        let transient = self.transient(attempt).and_then(|backoff| backoff.why.clone());
        transient.or_else(|| self.durable(attempt).and_then(Failure::why))
    }

    /// The failure that says that the last API key belongs to another user, if there is one. It
    /// counts for every attempt, because keyturn needs a key of the person's own first.
    #[must_use]
    pub fn wrong_owner(&self) -> Option<Statement> {
        let transient = self.transient.and_then(|backoff| backoff.why.clone());
        let durable = self.durable.and_then(Failure::why);
        transient.into_iter().chain(durable).find(is_of_wrong_owner)
    }

    /// Whether this failure of the attempt is news. If keyturn did not make the attempt because
    /// others came first, nothing new is known. It is news all the same if the wait is long, or if
    /// it happens again and again.
    #[must_use]
    pub fn is_news(&self, error: &IssueError, attempt: &str) -> bool {
        match error.retry {
            Retry::Saturated => false,
            Retry::HeldBack(wait) => {
                let often = self.transient(attempt).is_some_and(|backoff| backoff.count >= OFTEN);
                wait > LONG_WAIT || often
            }
            // A failure of its own says more than the wait. It gives way only to a reason of the
            // wait that concerns all.
            Retry::Queued(wait) => {
                let known = self.why(attempt).map(|why| why.reason);
                let says_more = known.is_none_or(|it| it == Reason::HeldBack && error.why.reason != Reason::HeldBack);
                let often = self.transient(attempt).is_some_and(|backoff| backoff.count >= OFTEN);
                says_more && (wait > LONG_WAIT || often)
            }
            Retry::Durable | Retry::Transient | Retry::TransientAfter(_) | Retry::InTurn => true,
        }
    }

    /// Whether this attempt only waits for its turn: it has not failed, and the wait is no news.
    #[must_use]
    pub fn only_waits(&self, attempt: &str) -> bool {
        self.durable(attempt).is_none() && self.transient(attempt).is_some_and(|backoff| backoff.why.is_none())
    }

    fn durable(&self, attempt: &str) -> Option<&'a Failure> {
        self.durable.filter(|failure| self.of_this_spec && failure.attempt == attempt)
    }

    fn transient(&self, attempt: &str) -> Option<&'a Backoff> {
        self.transient.filter(|backoff| backoff.attempt == attempt)
    }

    /// The durable failures that continue if one of these attempts is made again. An API key of
    /// another user continues under every attempt ([`Failures::wrong_owner`]).
    fn continued(&self, attempts: [&str; 2]) -> Option<&'a Failure> {
        let of_attempt = attempts.into_iter().find_map(|attempt| self.durable(attempt));
        of_attempt.or_else(|| self.durable.filter(|failure| failure.why().as_ref().is_some_and(is_of_wrong_owner)))
    }
}

/// Whether DSS said that the API key belongs to another user.
fn is_of_wrong_owner(why: &Statement) -> bool {
    why.reason == Reason::DssUserMismatch
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Attempted<'a> {
    /// The attempt failed with this error. The digest identifies the attempt.
    Failed(&'a IssueError, &'a str),
    /// keyturn made no attempt, or its result is not known.
    NotMade,
    /// keyturn has the credential, and holds back the attempt to obtain its API key.
    WithoutApiKey,
    /// The attempt succeeded, or no attempt was necessary.
    Succeeded,
}

/// The durable failures after an attempt, for status; `None` if there are none. `attempts` are the
/// digests of the credential's attempt and of its API key's.
#[must_use]
pub fn durable_after(
    failures: Failures<'_>,
    attempts: [&str; 2],
    attempted: Attempted<'_>,
    now: Timestamp,
) -> Option<Failure> {
    let known = failures.continued(attempts);
    match attempted {
        Attempted::Failed(error, attempt) if error.retry == Retry::Durable => {
            let known = known.filter(|failure| failure.attempt == attempt);
            let count = known.map_or(0, |failure| failure.count).saturating_add(1);
            let now = whole_seconds(now);
            Some(Failure {
                count,
                since: known.map_or(Time(now), |failure| failure.since.clone()),
                last_at: Time(now),
                next_attempt_at: Time(now.saturating_add(schedule::durable_delay(count)).unwrap_or(now)),
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

/// The transient failures after a failed attempt, for the process; `None` if only status counts the
/// failure.
///
/// An API key of another user is a durable failure, and the process counts it too. keyturn must not
/// create and delete keys again and again while it cannot write status.
#[must_use]
pub fn transient_after(
    failures: Failures<'_>,
    error: &IssueError,
    attempt: &str,
    uid: &str,
    now: Timestamp,
) -> Option<Backoff> {
    if error.retry == Retry::Durable && !is_of_wrong_owner(&error.why) {
        return None;
    }
    let count = failures.transient(attempt).map_or(0, |backoff| backoff.count).saturating_add(1);
    let wait = match error.retry {
        Retry::Durable => schedule::durable_delay(count),
        Retry::Transient | Retry::Saturated => schedule::transient_delay(uid, count),
        Retry::TransientAfter(wish) => schedule::transient_delay(uid, count).max(wish.min(schedule::LONGEST_WISH)),
        Retry::HeldBack(wait) => wait,
        Retry::InTurn | Retry::Queued(_) => schedule::TURN,
    };
    let why = if failures.is_news(error, attempt) { Some(error.why.clone()) } else { failures.why(attempt) };
    let next_attempt_at = now.saturating_add(wait).unwrap_or(now);
    Some(Backoff { attempt: attempt.to_owned(), count, next_attempt_at, in_turn: error.retry.is_in_turn(), why })
}

impl Case<'_> {
    /// Postpones an action, if the same attempt failed, if another writer fights over the Secret,
    /// or if keyturn has asked for this config too often. A renewal that is due waits only for the
    /// first of these.
    pub(super) fn hold_back(&self, accepted: &Accepted, next: Next) -> Next {
        let next = match next {
            Next::Do(
                action @ (SecretAction::Issue(Trigger::First | Trigger::Drifted)
                | SecretAction::Render(Trigger::Drifted)),
            ) if !self.profile_is_to_go() => self.after_repairs(action).into(),
            other => other,
        };
        let backing_off = self.backing_off(&accepted.attempt);
        let asks = !matches!(accepted.request, Request::Key(_));
        let is_bounded = matches!(&next, Next::Do(SecretAction::Issue(trigger)) if *trigger != Trigger::Due) && asks;
        let too_often = self.asked_too_often_until().filter(|_| is_bounded);
        match (&next, backing_off.max(too_often)) {
            (Next::Do(SecretAction::Issue(_)) | Next::Read(Read::Target), Some(until)) => {
                let withdrawal = self.expired().or_else(|| self.superseded(accepted)).or_else(|| self.denied(accepted));
                let cause = if too_often > backing_off { HoldCause::AskedTooOften } else { HoldCause::Backoff };
                // The profiles do not wait for the credential of the config.
                let others = || self.profiles_alone(Some((until, cause)));
                let next = withdrawal.map(Next::from).or_else(others);
                next.unwrap_or(SecretAction::Hold { until, cause }.into())
            }
            _ => next,
        }
    }

    /// The time before which keyturn does not ask an outside system for this config again, because
    /// it has asked often in a short time.
    pub(super) fn asked_too_often_until(&self) -> Option<Timestamp> {
        let again = self.seen.remembered.used_until.map(schedule::asks_again_at);
        again.filter(|again| *again > self.now)
    }

    /// The withdrawal of a credential that has expired. A failed renewal never withdraws a
    /// credential that is still live.
    pub(super) fn expired(&self) -> Option<SecretAction> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let record = ours.record.as_ref()?;
        let expired_at = record.expires_at.filter(|_| record.withdrawn.is_none() && record.has_expired(self.now))?;
        let message = format!("the credential expired at {expired_at} and could not be renewed");
        Some(SecretAction::Withdraw(Statement::new(Reason::Expired, message)))
    }

    /// The withdrawal of a key that the config no longer asks for, while keyturn cannot obtain what
    /// the config asks for now. keyturn does not wait for an expiry, because a key never expires.
    fn superseded(&self, accepted: &Accepted) -> Option<SecretAction> {
        let why = Statement::new(Reason::Pending, "the key in the Secret is no longer what is asked for");
        let answers = accepted.request.is_answered_by(&self.key_at_hand()?.issue_digest, None);
        (!answers).then_some(SecretAction::Withdraw(why))
    }

    /// The withdrawal of a key, once DSS denies the person the connection that the key came from.
    /// keyturn does not wait for an expiry, because a key never expires.
    fn denied(&self, accepted: &Accepted) -> Option<SecretAction> {
        self.key_at_hand()?;
        let why = self.failures().why(&accepted.attempt)?;
        (why.reason == Reason::DssConnectionDenied).then_some(SecretAction::Withdraw(why))
    }

    /// The failures of this config.
    pub(super) fn failures(&self) -> Failures<'_> {
        self.seen.failures()
    }

    /// The time before which keyturn does not make this attempt again.
    pub(super) fn backing_off(&self, attempt: &str) -> Option<Timestamp> {
        self.failures().held_until(attempt, self.now)
    }

    /// keyturn makes the first repairs at once. If another writer goes on, keyturn repairs less and
    /// less often.
    pub(super) fn after_repairs(&self, action: SecretAction) -> SecretAction {
        self.fought_over_until().map_or(action, |until| SecretAction::Hold { until, cause: HoldCause::FoughtOver })
    }

    /// The time before which keyturn leaves the changes of another writer as they are.
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
