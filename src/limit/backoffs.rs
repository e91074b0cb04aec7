//! One backoff for each outside system that does not answer, for calls that nobody waits for.

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};

/// The first wait after a failure, in seconds. It doubles with each further failure.
const FIRST: i64 = 5;
/// The longest wait, in seconds.
const LONGEST: i64 = 300;
/// The longest wait that a system may ask for. The system may send a wrong value, and no call would
/// find out for as long that the system is back.
const LONGEST_WISH: SignedDuration = SignedDuration::from_mins(10);
/// The time for which one call that finds out whether the system is back keeps the others waiting.
const PROBE: SignedDuration = SignedDuration::from_secs(15);

/// The backoffs, by the name of the system. Clones share them. A restart forgets them, which costs
/// one call for each system.
#[derive(Clone, Debug, Default)]
pub struct Backoffs(Arc<Mutex<HashMap<String, Backoff>>>);

#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    until: Timestamp,
    /// Whether a call is under way that finds out whether the system is back.
    is_probed: bool,
}

impl Backoffs {
    /// The time that is left until the next call to a system may be made; `None` if one may be made
    /// now.
    #[must_use]
    pub fn left(&self, system: &str, now: Timestamp) -> Option<SignedDuration> {
        let until = self.backoffs().get(system)?.until;
        (now < until).then(|| until.duration_since(now))
    }

    /// Begins a call to a system. After failures only one call goes through when the wait has
    /// ended; the others wait until it has its answer.
    ///
    /// # Errors
    /// The time that is left until the next call may be made.
    pub fn begin(&self, system: &str, now: Timestamp) -> Result<(), SignedDuration> {
        let mut backoffs = self.backoffs();
        let Some(backoff) = backoffs.get_mut(system) else { return Ok(()) };
        if now < backoff.until {
            return Err(backoff.until.duration_since(now));
        }
        (backoff.until, backoff.is_probed) = (now.saturating_add(PROBE).unwrap_or(Timestamp::MAX), true);
        Ok(())
    }

    /// Records that the system did not answer a call, and returns the wait until the next one.
    /// `wished` is the wait that the system asked for, of which ten minutes count at most.
    #[must_use]
    pub fn failed(&self, system: &str, wished: Option<SignedDuration>, now: Timestamp) -> SignedDuration {
        let mut backoffs = self.backoffs();
        let backoff = backoffs.entry(system.to_owned()).or_insert(Backoff { failures: 0, until: now, is_probed: true });
        let later = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        // Calls that were under way together count once.
        if backoff.is_probed {
            backoff.is_probed = false;
            let doubled = FIRST.saturating_mul(1 << backoff.failures.min(10));
            backoff.until = later(SignedDuration::from_secs(doubled.min(LONGEST)));
            backoff.failures = backoff.failures.saturating_add(1);
        }
        backoff.until = backoff.until.max(later(wished.unwrap_or_default().min(LONGEST_WISH)));
        backoff.until.duration_since(now)
    }

    /// Records that the system answered a call, in whichever way.
    pub fn answered(&self, system: &str) {
        self.backoffs().remove(system);
    }

    fn backoffs(&self) -> MutexGuard<'_, HashMap<String, Backoff>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_call_finds_out_and_the_others_wait() {
        let backoffs = Backoffs::default();
        let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let left = |wait: Result<(), SignedDuration>| wait.map_err(|left| left.as_secs());
        assert_eq!(backoffs.begin("a", at(0)), Ok(()));
        assert_eq!(backoffs.failed("a", None, at(0)).as_secs(), 5);
        assert_eq!((left(backoffs.begin("a", at(1))), left(backoffs.begin("b", at(1)))), (Err(4), Ok(())));
        assert_eq!(backoffs.begin("a", at(5)), Ok(()), "the probe");
        assert_eq!(left(backoffs.begin("a", at(6))), Err(14), "the others wait for it");
        assert_eq!(backoffs.failed("a", None, at(6)).as_secs(), 10);
        assert_eq!(backoffs.failed("a", None, at(7)).as_secs(), 9, "a call from before the wait");
        assert_eq!(backoffs.failed("a", Some(SignedDuration::from_secs(400)), at(7)).as_secs(), 400, "as it asks");
        assert_eq!(backoffs.failed("a", Some(SignedDuration::from_hours(9999)), at(7)).as_secs(), 600, "no longer");
        assert_eq!(backoffs.left("a", at(17)).map(|left| left.as_secs()), Some(590));
        backoffs.answered("a");
        assert_eq!((backoffs.left("a", at(21)), backoffs.begin("a", at(21))), (None, Ok(())));
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let (backoffs, mut now) = (Backoffs::default(), Timestamp::UNIX_EPOCH);
        let waits = (0..9).map(|_| {
            let wait = backoffs.failed("a", None, now);
            now += wait;
            backoffs.begin("a", now).unwrap();
            wait.as_secs()
        });
        assert_eq!(waits.collect::<Vec<_>>(), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }
}
