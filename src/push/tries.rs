//! The failures of steps, and when a step is tried again.

use super::Step;
use crate::{
    api::Statement,
    credentials::{IssueError, Retry},
    schedule,
};
#[cfg(test)]
use jiff::SignedDuration;
use jiff::Timestamp;

/// A step that failed, as the process remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The step. Another step does not wait.
    pub step: Step,
    /// The number of failures in a row. A step that was not tried, because others came first, does
    /// not count.
    pub count: i32,
    /// The time of the next try.
    pub until: Timestamp,
    /// Why it failed; `None` if it was only not tried.
    pub why: Option<Statement>,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The step.
    pub step: Step,
    /// The ID that the system gave the entry, if it gives any; or the error.
    pub result: Result<Option<String>, IssueError>,
}

impl Tried {
    /// What is to be remembered of the step; `None` if it succeeded. `before` is what was
    /// remembered of the same kind of place until now.
    #[must_use]
    pub fn failed(&self, before: Option<&Failed>, uid: &str, now: Timestamp) -> Option<Failed> {
        let error = self.result.as_ref().err()?;
        let before = before.filter(|before| before.step == self.step);
        let counted = before.map_or(0, |before| before.count);
        let again = counted.saturating_add(1);
        let spread = || schedule::transient_delay(uid, SPREAD);
        let (count, wait) = match error.retry {
            // Nothing of a push waits for STS.
            Retry::Saturated | Retry::InTurn | Retry::Queued(_) => (counted, spread()),
            Retry::HeldBack(wait) => (counted, wait),
            Retry::Durable => (again, schedule::durable_delay(again)),
            Retry::Transient => (again, spread()),
            Retry::TransientAfter(wait) => (again, wait.min(schedule::LONGEST_WISH).saturating_add(spread())),
        };
        let why = if error.retry.is_of_a_call() {
            Some(error.why.clone())
        } else {
            before.and_then(|before| before.why.clone())
        };
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        Some(Failed { step: self.step.clone(), count, until, why })
    }
}

/// The count of failures whose wait is added to a time at which many configs may be due: 4 to 8 s.
const SPREAD: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;

    #[test]
    fn a_step_that_failed_is_tried_again_by_the_kind_of_the_failure() {
        let now = Timestamp::UNIX_EPOCH;
        let release = || Step::Release(crate::push::Place::default());
        let failed = |retry, before: Option<&Failed>| {
            let error = IssueError::new(Reason::PushRefused, retry, "no");
            Tried { step: release(), result: Err(error) }.failed(before, "uid", now).unwrap()
        };
        let waited = |failed: &Failed| failed.until.duration_since(now).as_secs();
        let first = failed(Retry::Durable, None);
        let second = failed(Retry::Durable, Some(&first));
        assert_eq!((waited(&first), waited(&second), second.count), (30, 60, 2));
        let wished = failed(Retry::TransientAfter(SignedDuration::from_secs(100)), Some(&second));
        assert!((104..=108).contains(&waited(&wished)) && wished.count == 3, "{wished:?}");
        let held = failed(Retry::HeldBack(SignedDuration::from_secs(7)), Some(&second));
        assert_eq!((waited(&held), held.count, held.why), (7, 2, second.why.clone()), "it was not tried");
        let other = Failed { step: Step::Put(crate::push::Place::default()), ..second };
        assert_eq!(failed(Retry::Durable, Some(&other)).count, 1, "another step begins anew");
        assert_eq!(Tried { step: release(), result: Ok(None) }.failed(Some(&first), "uid", now), None);
    }
}
