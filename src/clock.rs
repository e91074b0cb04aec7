//! The one clock. Every comparison of times takes `now` from here; nothing else reads the system's
//! clock.
//!
//! The clock of a node may be wrong, and the time that matters (the expiry of a session) comes from
//! STS. The clock therefore carries a correction, which it learns from the `Date` of answers: first
//! those of the API server, later those of STS. Without the correction, a node whose clock is an
//! hour ahead would see every new credential nearly expired, and would issue forever.
//!
//! The clock of a node may also jump or stand still later. STS then corrects it only when a renewal
//! is due, and by a clock that stands still no renewal comes due. Therefore the operator reads the
//! node's clock only once, and counts on from there by the monotonic clock ([`Clock::steady`]).

use jiff::{SignedDuration, Timestamp};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio::time::Instant;

/// Differences up to this one are no skew, in milliseconds: `Date` counts whole seconds, and an
/// answer needs time to travel.
const TOLERANCE_MS: i64 = 2_000;

/// A clock that agrees with STS. Clones share the correction.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    correction_ms: Arc<AtomicI64>,
}

#[derive(Clone)]
enum Source {
    /// The node's clock, whatever it does.
    Node(Arc<dyn Fn() -> Timestamp + Send + Sync>),
    /// A time, and how long ago it was by the monotonic clock.
    Counted { start: Timestamp, since: Instant },
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("correction_ms", &self.correction_ms()).finish_non_exhaustive()
    }
}

impl Clock {
    /// The system's clock, uncorrected until the first [`Clock::learn`].
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self::of_node(Timestamp::now)
    }

    /// The clock of a node that shows `shown`, uncorrected until the first [`Clock::learn`].
    #[must_use]
    pub fn of_node(shown: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { source: Source::Node(Arc::new(shown)), correction_ms: Arc::default() }
    }

    /// A clock that shows `start` now and moves with tokio's clock, which tests can pause.
    #[must_use]
    pub fn simulated(start: Timestamp) -> Self {
        Self { source: Source::Counted { start, since: Instant::now() }, correction_ms: Arc::default() }
    }

    /// The same time now, counted on by the monotonic clock: neither a jump nor a halt of the
    /// node's clock changes it. Both share the correction. A long-lived process that never learns
    /// the time from a server needs the other one, because a time service sets the node's clock
    /// right.
    #[must_use]
    pub fn steady(self) -> Self {
        let source = Source::Counted { start: self.uncorrected(), since: Instant::now() };
        Self { source, ..self }
    }

    /// The corrected time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let correction = SignedDuration::from_millis(self.correction_ms.load(Ordering::Relaxed));
        self.uncorrected().saturating_add(correction).unwrap_or(Timestamp::MAX)
    }

    /// The correction in milliseconds: positive if the node's clock is behind, negative if it is
    /// ahead.
    #[must_use]
    pub fn correction_ms(&self) -> i64 {
        self.correction_ms.load(Ordering::Relaxed)
    }

    /// Learns from the `Date` of an answer that took `travelled` from the request to the answer. A
    /// difference that the resolution of `Date` and the travel explain is ignored, because the
    /// clock should not jitter.
    pub fn learn(&self, date: Timestamp, travelled: SignedDuration) {
        let shown = self.uncorrected();
        // `Date` is cut to the second. On average the server's clock was half a second further.
        let measured = date.duration_since(shown).as_millis().clamp(i128::from(i64::MIN / 2), i128::from(i64::MAX / 2));
        let measured = i64::try_from(measured).unwrap_or_default() + 500;
        let known = self.correction_ms.load(Ordering::Relaxed);
        let travelled = i64::try_from(travelled.as_millis()).unwrap_or(i64::MAX / 2);
        let allowed = TOLERANCE_MS.saturating_add(travelled);
        if (measured - known).abs() > allowed {
            let corrected = if measured.abs() <= allowed { 0 } else { measured };
            self.correction_ms.store(corrected, Ordering::Relaxed);
            tracing::warn!(
                correction_ms = corrected,
                "this node's clock disagrees with the server's; times are corrected"
            );
        }
    }

    fn uncorrected(&self) -> Timestamp {
        match &self.source {
            Source::Node(shown) => shown(),
            Source::Counted { start, since } => {
                let elapsed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
                start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// The time of an HTTP `Date` header (RFC 9110, 5.6.7). `None` if it is no such time.
#[must_use]
pub fn http_date(header: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(header).ok().map(|zoned| zoned.timestamp())
}

/// `time` without its fraction of a second. Stored times have none; a computed time is cut as well,
/// because it has to compare equal to a stored one.
#[must_use]
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_moves_with_the_paused_one() {
        let clock = Clock::simulated(start());
        tokio::time::advance(std::time::Duration::from_secs(90)).await;
        assert_eq!(clock.now(), start() + SignedDuration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_clock_is_corrected_and_a_right_one_left_alone() {
        let clock = Clock::simulated(start());
        clock.learn(start() + SignedDuration::from_secs(1), SignedDuration::from_millis(60));
        assert_eq!(clock.correction_ms(), 0, "a second is within what Date can tell");

        clock.learn(start() + SignedDuration::from_hours(1), SignedDuration::from_millis(60));
        assert_eq!(clock.now(), start() + SignedDuration::from_hours(1) + SignedDuration::from_millis(500));

        clock.learn(start(), SignedDuration::from_millis(60));
        assert_eq!(clock.correction_ms(), 0, "a clock that was set right needs no correction");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_not_taken_for_skew() {
        let clock = Clock::simulated(start());
        clock.learn(start() - SignedDuration::from_secs(8), SignedDuration::from_secs(9));
        assert_eq!(clock.correction_ms(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_ignores_what_the_node_s_clock_does_later() {
        let node = Arc::new(AtomicI64::new(0));
        let shown = node.clone();
        let of_node = Clock::of_node(move || start() + SignedDuration::from_secs(shown.load(Ordering::Relaxed)));
        let steady = of_node.clone().steady();
        for (row, set_to) in [("it stands still", 0), ("it jumps ahead", 86_400), ("it jumps back", -86_400)] {
            let before = steady.now();
            node.store(set_to, Ordering::Relaxed);
            tokio::time::advance(std::time::Duration::from_secs(60)).await;
            assert_eq!(steady.now().duration_since(before).as_secs(), 60, "{row}");
            assert_eq!(of_node.now(), start() + SignedDuration::from_secs(set_to), "{row}");
        }
    }

    #[test]
    fn http_dates_are_read() {
        assert_eq!(http_date("Thu, 01 Jan 2026 00:00:00 GMT"), Some(start()));
        assert_eq!(http_date("yesterday"), None);
    }
}
