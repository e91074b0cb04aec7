//! The trial of a credential after it was delivered: whether it is tried now, later or not at all.
//!
//! keyturn tries the credential of each request once. A renewal of the same request is not tried.
//! If AWS did not answer, keyturn tries again after 30 s, doubling, five times in all. After that
//! it tries with each new credential. So a network that keeps keyturn from S3 costs one trial per
//! renewal, and no requests in between.

use super::{Accepted, Plan, SecretAction, Trigger, input::Observed};
use crate::{
    schedule,
    secret::Record,
    verify::{Verdict, Verification, expected_arn},
};
use jiff::{SignedDuration, Timestamp};

/// The most trials of one request that AWS does not answer, except those with a new credential.
const TRIALS: i32 = 5;

/// The last trial of a config, as the process remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The digest of the question.
    pub digest: String,
    /// The result; `None` while others come first.
    pub verdict: Option<Verdict>,
    /// The number of trials in a row without an answer.
    pub unanswered: i32,
    /// keyturn does not try again before this time, except with a new credential.
    pub again_at: Timestamp,
}

/// The result of a step that should try a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// keyturn has tried the credential.
    Made {
        /// The digest of the question.
        digest: String,
        /// What AWS said.
        verdict: Verdict,
    },
    /// keyturn has asked nobody, because others come first.
    Waits {
        /// The digest of the question.
        digest: String,
        /// The time until the next try.
        wait: SignedDuration,
    },
}

/// What is to be tried, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now(Verification),
    /// Not before this time.
    At(Timestamp),
}

impl Tried {
    /// The last trial after this one. `before` is the last one until now.
    #[must_use]
    pub fn after(trial: &Trial, before: Option<&Self>, now: Timestamp) -> Self {
        let later = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let (Trial::Made { digest, .. } | Trial::Waits { digest, .. }) = trial;
        let before = before.filter(|before| before.digest == *digest);
        let counted = before.map_or(0, |before| before.unanswered);
        match trial {
            Trial::Made { verdict, .. } => {
                let unanswered = if verdict.is_answer() { 0 } else { counted.saturating_add(1) };
                let again_at = later(schedule::durable_delay(unanswered));
                Self { digest: digest.clone(), verdict: Some(verdict.clone()), unanswered, again_at }
            }
            Trial::Waits { wait, .. } => Self {
                digest: digest.clone(),
                verdict: before.and_then(|before| before.verdict.clone()),
                unanswered: counted,
                again_at: later(*wait),
            },
        }
    }

    /// The time of the next trial without a new credential; `None` if there is none.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let is_answered = self.verdict.as_ref().is_some_and(Verdict::is_answer);
        (!is_answered && self.unanswered < TRIALS).then_some(self.again_at)
    }
}

/// What `spec.verify` asks of the credential of this record; `None` if it asks for nothing, or if
/// the Secret holds no valid credential.
#[must_use]
pub fn verification(
    seen: &Observed,
    accepted: Option<&Accepted>,
    record: &Record,
    now: Timestamp,
) -> Option<Verification> {
    let expected = accepted.and_then(|accepted| expected_arn(&accepted.request));
    Verification::of(&seen.config.spec, &record.issue_digest, expected).filter(|_| record.is_live(now))
}

/// Whether AWS has answered this question before, as status says or as the process remembers.
#[must_use]
pub fn is_answered(seen: &Observed, digest: &str) -> bool {
    let recorded = seen.config.status.as_ref().and_then(|status| status.verified_request.as_deref());
    let remembered = seen.remembered.tried.as_deref().filter(|tried| tried.digest == digest);
    let is_answer = remembered.and_then(|tried| tried.verdict.as_ref()).is_some_and(Verdict::is_answer);
    recorded == Some(digest) || is_answer
}

/// The trial that is due after a plan was carried out; `None` if there is none. `record` is that of
/// the Secret now, and `is_new` says whether its credential was obtained a moment ago. A user who
/// asks for a new session by an annotation gets another trial, because the cause of a refusal may
/// be mended.
#[must_use]
pub fn trial(seen: &Observed, plan: &Plan, record: &Record, is_new: bool, now: Timestamp) -> Option<Due> {
    let accepted = plan.accepted.as_ref().ok()?;
    let is_requested = match plan.action()? {
        SecretAction::Issue(trigger) => *trigger == Trigger::Requested && is_new,
        SecretAction::Keep | SecretAction::Render(_) | SecretAction::Profiles { held: None } => false,
        SecretAction::Hold { .. }
        | SecretAction::Profiles { held: Some(_) }
        | SecretAction::Blocked(_)
        | SecretAction::Withdraw(_) => return None,
    };
    let asked = verification(seen, Some(accepted), record, now)?;
    if !accepted.request.is_answered_by(&record.issue_digest, None) {
        return None;
    }
    if is_answered(seen, &asked.digest) && !is_requested {
        return None;
    }
    if let Some(tried) = seen.remembered.tried.as_deref().filter(|tried| tried.digest == asked.digest && !is_new) {
        let next = tried.next()?;
        if next > now {
            return Some(Due::At(next));
        }
    }
    // Changes of the buckets alone ask STS for nothing. They are bounded here.
    let again = seen.remembered.used_until.map(schedule::asks_again_at);
    match again.filter(|again| *again > now) {
        Some(again) => Some(Due::At(again)),
        None => Some(Due::Now(asked)),
    }
}
