//! The rate of requests to outside systems: so many in a second for each namespace, and for all
//! together. These are functions of values and an instant; they read no clock.
//!
//! Each rate is a token bucket, counted by what is used of it: every request adds one, and what is
//! used shrinks by the rate. Of the bucket of all, each namespace has its share, as of the
//! [places](super::places::Places).

use super::places::SHARE;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The longest wait that a refusal names. A request that has to wait for longer asks again then.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Less than this part of a request is none. It makes up for the rounding of waits.
const NONE: f64 = 1e-6;

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a second, from 1.
    pub per_second: u32,
    /// The most requests at once, after a time without any; from 1.
    pub burst: u32,
}

/// The rates of the requests that are not for a renewal that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// The rate of each namespace.
    pub namespace: Rate,
    /// The rate of all namespaces together.
    pub all: Rate,
}

impl RateLimits {
    /// The defaults of the command line. STS allows an account 600 requests a second in a Region
    /// (IAM User Guide, "IAM and AWS STS quotas"). All namespaces together use a sixth of that, and
    /// half of it at most in any one second. One namespace uses a sixtieth, once it has used its
    /// burst. The burst is for a thousand objects that are issued at the same time, for example
    /// after somebody deleted their Secrets.
    pub const DEFAULT: Self =
        Self { namespace: Rate { per_second: 10, burst: 1000 }, all: Rate { per_second: 100, burst: 200 } };
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The rate that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedUp {
    /// The rate of the namespace.
    Namespace,
    /// The rate of all namespaces together, or the share of the namespace in it.
    All,
}

/// The refusal of requests that would come too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSoon {
    /// The rate that is used up.
    pub used_up: UsedUp,
    /// The wait after which these requests ask again.
    pub wait: Duration,
}

/// The requests so far, as far as they still count.
#[derive(Debug)]
pub struct Rates {
    limits: RateLimits,
    /// The time until which the use has shrunk.
    at: Instant,
    namespaces: HashMap<String, Used>,
}

/// The use of a namespace, in requests.
#[derive(Debug)]
struct Used {
    of_its_own: f64,
    of_all: f64,
    queue: Queue,
}

/// The latest time that was named to a refused request of a namespace. The next one is named a
/// later time, because not all should ask again at once. Each namespace has its own, because the
/// refused requests of one must not delay those of another.
#[derive(Clone, Copy, Debug)]
struct Queue(Instant);

impl Queue {
    /// The wait of a request that would have to wait for `shortest` if it were alone.
    fn wait(&mut self, shortest: f64, rate: Rate, now: Instant) -> Duration {
        let own_turn = self.0 + Duration::from_secs(1) / rate.per_second.max(1);
        self.0 = own_turn.max(now + Duration::from_secs_f64(shortest)).min(now + LONGEST_WAIT);
        self.0.saturating_duration_since(now)
    }
}

impl Rates {
    /// Nothing has been asked yet.
    #[must_use]
    pub fn new(limits: RateLimits, now: Instant) -> Self {
        Self { limits, at: now, namespaces: HashMap::new() }
    }

    /// Takes this many requests of a namespace from both rates, or from none. More requests than a
    /// burst count as the burst, because they would never have their turn otherwise.
    ///
    /// # Errors
    /// [`TooSoon`] if a rate is used up.
    pub fn take(&mut self, namespace: &str, requests: u32, now: Instant) -> Result<(), TooSoon> {
        self.shrink(now);
        let RateLimits { namespace: each, all } = self.limits;
        let burst = |rate: Rate| f64::from(rate.burst);
        let requests = f64::from(requests).min(burst(each)).min(burst(all));
        let used_of_all: f64 = self.namespaces.values().map(|used| used.of_all).sum();
        let unused = || Used { of_its_own: 0.0, of_all: 0.0, queue: Queue(now) };
        let used = self.namespaces.entry(namespace.to_owned()).or_insert_with(unused);

        let missing = used.of_its_own + requests - burst(each);
        if missing > NONE {
            let wait = used.queue.wait(missing / f64::from(each.per_second), each, now);
            return Err(TooSoon { used_up: UsedUp::Namespace, wait });
        }
        let needed = requests.max(used.of_all / f64::from(SHARE));
        let missing = needed - (burst(all) - used_of_all);
        if missing > NONE {
            let wait = used.queue.wait(missing / f64::from(all.per_second), all, now);
            return Err(TooSoon { used_up: UsedUp::All, wait });
        }
        used.of_its_own += requests;
        used.of_all += requests;
        Ok(())
    }

    /// Lets the use shrink until `now`. What is used of the rate of all shrinks by the same part
    /// for every namespace. A namespace that has used nothing is forgotten.
    fn shrink(&mut self, now: Instant) {
        if now <= self.at {
            return;
        }
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        let used_of_all: f64 = self.namespaces.values().map(|used| used.of_all).sum();
        let left = (1.0 - seconds * f64::from(self.limits.all.per_second) / used_of_all.max(NONE)).max(0.0);
        let shrunk_by = seconds * f64::from(self.limits.namespace.per_second);
        self.namespaces.retain(|_, used| {
            used.of_its_own = (used.of_its_own - shrunk_by).max(0.0);
            used.of_all *= left;
            used.of_its_own > NONE || used.of_all > NONE || used.queue.0 > now
        });
    }
}

#[cfg(test)]
mod tests;
