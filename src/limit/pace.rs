//! The pace of the calls to STS: a rate that adapts to the answers, and a way that closes while STS
//! cannot be reached. These are functions of values and an instant; they read no clock.
//!
//! ```text
//!               throttled: half of the rate, down to the least
//!            ┌──────────────────────────────────────────────┐
//!   full rate ◀──────────── grows from the first answer ─── slow ◀── answered ── probing
//!            └──── 5 calls in a row without an answer ──────────────────────────────▲
//! ```
//!
//! The rate is a token bucket. It halves when STS throttles, and grows by a constant number of
//! calls a second in each second after STS has answered again (additive increase, multiplicative
//! decrease; Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
//! Avoidance in Computer Networks", 1989). A refusal such as `AccessDenied` is an answer.

use std::time::Duration;
use tokio::time::Instant;

/// The time in seconds in which the rate grows from nothing to its most.
const RAMP_SECONDS: f64 = 20.0;
/// The least rate while STS throttles, in calls a second.
const LEAST: f64 = 1.0;
/// The most calls at once after a quiet time, in seconds of the present rate.
const BURST_SECONDS: f64 = 2.0;
/// The number of calls in a row without an answer after which STS counts as out of reach.
const OUT_OF_REACH: u32 = 5;
/// The first and the longest wait between two probes.
const PROBES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Less than this part of a call is none. It makes up for the rounding of waits.
const NONE: f64 = 1e-6;

/// The kind of an answer of STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// STS answered the request, with a session or with a refusal of this very request.
    Answered,
    /// STS answered that it gets too many requests.
    Throttled,
    /// STS gave no answer, or one that says that it serves nobody now.
    Unreachable,
}

/// What the last answers of STS say about all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// STS answers.
    Fair,
    /// STS throttles.
    Throttling,
    /// STS cannot be reached. One call at a time probes it.
    OutOfReach,
}

/// The pace.
#[derive(Debug)]
pub(super) struct Pace {
    most: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
    /// Whether the rate grows: whether STS has answered since it last throttled.
    grows: bool,
    slowed_at: Option<Instant>,
    way: Way,
}

/// The way to STS.
#[derive(Debug)]
enum Way {
    /// It is open. So many calls in a row got no answer.
    Open { unanswered: u32 },
    /// It is closed since this time. The next probe is made at `next`.
    Closed { since: Instant, next: Instant, wait: Duration },
}

impl Pace {
    /// The full rate, in calls a second, with a full burst.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let most = f64::from(per_second.max(1));
        Self {
            most,
            rate: most,
            tokens: most * BURST_SECONDS,
            at: now,
            grows: true,
            slowed_at: None,
            way: Way::Open { unanswered: 0 },
        }
    }

    /// The rate in force at `now`, in calls a second; 0 while STS cannot be reached.
    pub(super) fn rate(&mut self, now: Instant) -> f64 {
        self.refill(now);
        if matches!(self.way, Way::Closed { .. }) { 0.0 } else { self.rate }
    }

    /// The full rate, in calls a second.
    pub(super) fn most(&self) -> f64 {
        self.most
    }

    pub(super) fn weather(&self) -> Weather {
        match self.way {
            Way::Closed { .. } => Weather::OutOfReach,
            Way::Open { .. } if self.grows => Weather::Fair,
            Way::Open { .. } => Weather::Throttling,
        }
    }

    /// Whether a call may be made at `now`. `probes` is the number of calls that are under way. It
    /// counts only while STS is out of reach.
    pub(super) fn may_call(&mut self, probes: usize, now: Instant) -> bool {
        self.refill(now);
        match self.way {
            Way::Closed { next, .. } => probes == 0 && next <= now,
            Way::Open { .. } => self.tokens >= 1.0 - NONE,
        }
    }

    /// The time from which the next call may be made, as far as the pace decides that.
    pub(super) fn next_call_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        if let Way::Closed { next, .. } = self.way {
            return next;
        }
        let missing = 1.0 - self.tokens;
        if missing < NONE {
            return now;
        }
        let growth = if self.grows && self.rate < self.most { self.growth() } else { 0.0 };
        // Without growth the rate alone fills the bucket; with it, rate × t + growth × t² / 2.
        let seconds = if growth > 0.0 {
            ((self.rate * self.rate + 2.0 * growth * missing).sqrt() - self.rate) / growth
        } else {
            missing / self.rate
        };
        now + Duration::from_secs_f64(seconds) + Duration::from_millis(1)
    }

    /// Takes calls from the bucket. It may take more than there are, because a request of several
    /// calls would never have its turn otherwise; the next one waits longer for that.
    pub(super) fn take(&mut self, calls: u32) {
        self.tokens -= f64::from(calls);
    }

    /// Gives back calls that were not made.
    pub(super) fn give_back(&mut self, calls: u32) {
        self.tokens = (self.tokens + f64::from(calls)).min(self.burst());
    }

    /// Learns from the answer to a call that began at `began`. Returns whether STS serves again
    /// after it had throttled or had been out of reach.
    pub(super) fn learn(&mut self, heard: Heard, began: Instant, now: Instant) -> bool {
        self.refill(now);
        let was_fair = self.weather() == Weather::Fair;
        match (heard, &mut self.way) {
            (Heard::Answered, way) => {
                if matches!(way, Way::Closed { .. }) {
                    self.slow_to(LEAST);
                }
                self.way = Way::Open { unanswered: 0 };
                self.grows = true;
                return !was_fair;
            }
            (Heard::Throttled, way) => {
                let was_closed = matches!(way, Way::Closed { .. });
                self.way = Way::Open { unanswered: 0 };
                self.grows = false;
                // Calls that were under way at the last halving say nothing about the rate since.
                if was_closed || self.slowed_at.is_none_or(|at| began > at) {
                    self.slow_to(if was_closed { LEAST } else { self.rate / 2.0 });
                    self.slowed_at = Some(now);
                }
            }
            (Heard::Unreachable, Way::Open { unanswered }) => {
                *unanswered += 1;
                if *unanswered >= OUT_OF_REACH {
                    let (wait, _) = PROBES;
                    self.way = Way::Closed { since: now, next: now + wait, wait };
                }
            }
            (Heard::Unreachable, Way::Closed { since, next, wait }) => {
                // Calls that began before are no probes.
                if began > *since {
                    let (_, longest) = PROBES;
                    *wait = (*wait * 2).min(longest);
                    *next = now + *wait;
                }
            }
        }
        false
    }

    fn slow_to(&mut self, rate: f64) {
        self.rate = rate.max(LEAST.min(self.most));
        self.tokens = self.tokens.min(0.0);
    }

    fn growth(&self) -> f64 {
        self.most / RAMP_SECONDS
    }

    fn burst(&self) -> f64 {
        (self.rate * BURST_SECONDS).max(1.0)
    }

    /// Fills the bucket until `now`, at a rate that may grow meanwhile. While STS cannot be
    /// reached, neither happens.
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        if seconds <= 0.0 || matches!(self.way, Way::Closed { .. }) {
            return;
        }
        let before = self.rate;
        if self.grows {
            self.rate = (self.rate + self.growth() * seconds).min(self.most);
        }
        self.tokens = (self.tokens + f64::midpoint(before, self.rate) * seconds).min(self.burst());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The calls in so many seconds of an STS that gives this answer, in steps of a millisecond.
    fn calls(pace: &mut Pace, from: &mut Instant, seconds: u32, heard: Heard) -> u32 {
        let mut calls = 0;
        for _ in 0..seconds * 1000 {
            while pace.may_call(0, *from) {
                pace.take(1);
                pace.learn(heard, *from, *from);
                calls += 1;
            }
            *from += Duration::from_millis(1);
        }
        calls
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_halves_when_sts_throttles_and_grows_back_in_20_seconds() {
        let mut now = Instant::now();
        let mut pace = Pace::new(100, now);
        assert_eq!(calls(&mut pace, &mut now, 1, Heard::Answered), 299, "a burst of two seconds, and a second");
        let throttled = calls(&mut pace, &mut now, 20, Heard::Throttled);
        assert!((20..=30).contains(&throttled), "{throttled} calls in 20 s");
        assert_eq!((pace.weather(), pace.rate(now)), (Weather::Throttling, 1.0));
        let seconds: Vec<u32> = (0..22).map(|_| calls(&mut pace, &mut now, 1, Heard::Answered)).collect();
        assert!(seconds.windows(2).all(|pair| pair[0] <= pair[1] + 1), "it never falls: {seconds:?}");
        assert!((1..=4).contains(&seconds[0]) && (99..=101).contains(&seconds[21]), "{seconds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_together_halve_the_rate_once() {
        let began = Instant::now();
        let mut pace = Pace::new(64, began);
        for _ in 0..32 {
            pace.learn(Heard::Throttled, began, began + SECOND / 10);
        }
        assert!((pace.rate(began + SECOND / 10) - 32.0).abs() < 0.01);
        pace.learn(Heard::Throttled, began + SECOND / 5, began + SECOND);
        assert!((pace.rate(began + SECOND) - 16.0).abs() < 0.01, "a later one halves it again");
    }

    #[tokio::test(start_paused = true)]
    async fn five_calls_without_answer_close_the_way_and_a_probe_opens_it() {
        let start = Instant::now();
        let mut pace = Pace::new(100, start);
        for _ in 0..4 {
            pace.learn(Heard::Unreachable, start, start);
        }
        pace.learn(Heard::Answered, start, start);
        for _ in 0..5 {
            assert_eq!(pace.weather(), Weather::Fair, "an answer in between begins the count anew");
            pace.learn(Heard::Unreachable, start, start);
        }
        assert_eq!((pace.weather(), pace.rate(start)), (Weather::OutOfReach, 0.0));
        let mut now = start;
        let mut waits = vec![];
        for _ in 0..5 {
            let next = pace.next_call_at(now);
            waits.push((next - now).as_secs());
            assert!(!pace.may_call(0, next - SECOND / 2) && pace.may_call(0, next));
            assert!(!pace.may_call(1, next), "one at a time");
            now = next;
            pace.learn(Heard::Unreachable, now, now);
            pace.learn(Heard::Unreachable, start, now);
        }
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert!(pace.learn(Heard::Answered, now, now), "it serves again");
        assert!((pace.rate(now) - 1.0).abs() < 0.01, "slowly at first: {}", pace.rate(now));
        assert!((pace.rate(now + 10 * SECOND) - 51.0).abs() < 0.1);
    }
}
