//! Limits on the concurrent calls to an outside system, on the time for which one reconcile waits
//! for it, and on the rate of calls ([`Turns`]). Work that nobody waits for comes last
//! ([`Precedence`]).
//!
//! All reconciles share a bounded number of workers. A system that hangs could occupy all workers,
//! and delay the renewals that do not need it. Each system therefore has a number of permits, and
//! all systems together have fewer permits than there are workers. A reconcile that gets no permit
//! is requeued at once.

mod backoffs;
mod lanes;
mod pace;
mod places;
mod precedence;
mod queue;
mod rates;
mod sts;
mod turns;

pub use backoffs::Backoffs;
pub use lanes::{Ask, Lane};
pub use pace::{Heard, Weather};
pub use places::Place;
pub use precedence::{Precedence, Urgent, Way};
pub use queue::{Called, Snapshot, StsLimits};
pub use rates::{Rate, RateLimits, TooSoon, UsedUp};
pub use sts::{NotYourTurn, StsBudget, StsTurn, Waited};
pub use turns::{NotYet, Turns};

use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Permits for calls to outside systems, by the name of the system. Clones share the permits.
#[derive(Clone, Debug)]
pub struct Limiter {
    each: usize,
    all: Arc<Semaphore>,
    systems: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// The right to wait for a system. If it is dropped, the permit is free again.
#[derive(Debug)]
pub struct Permit {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The time for which one reconcile may still wait for outside systems.
#[derive(Debug)]
pub struct Budget(Mutex<Duration>);

/// The reason why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Enough other calls wait for this system. The call was not made.
    Saturated,
    /// The call was made and did not finish within this time. It may have had its effect.
    TimedOut(Duration),
}

impl Limiter {
    /// At most `each` calls to one system at the same time, and `all` to all systems together.
    #[must_use]
    pub fn new(each: usize, all: usize) -> Self {
        Self { each, all: Arc::new(Semaphore::new(all)), systems: Arc::default() }
    }

    /// A permit for this system; `None` while the system, or all systems together, are saturated.
    #[must_use]
    pub fn permit(&self, system: &str) -> Option<Permit> {
        let of_one =
            self.systems().entry(system.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone();
        Some(Permit { _of_one: of_one.try_acquire_owned().ok()?, _of_all: self.all.clone().try_acquire_owned().ok()? })
    }

    /// Makes a call to this system, for at most `most` and at most the rest of `budget`.
    ///
    /// # Errors
    /// [`Refused::Saturated`] if there is no permit; [`Refused::TimedOut`] if the call does not
    /// finish in time. The call is then dropped at the point that it has reached.
    pub async fn run<T>(
        &self,
        system: &str,
        most: Duration,
        budget: &Budget,
        call: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        let Some(_permit) = self.permit(system) else { return Err(Refused::Saturated) };
        let most = most.min(budget.left());
        let begun = Instant::now();
        let result = tokio::time::timeout(most, call).await;
        budget.spend(begun.elapsed());
        result.map_err(|_| Refused::TimedOut(most))
    }

    fn systems(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.systems.lock()
    }
}

impl Budget {
    /// A budget of this length.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        Self(Mutex::new(time))
    }

    fn left(&self) -> Duration {
        *self.0.lock()
    }

    fn spend(&self, time: Duration) {
        let mut left = self.0.lock();
        *left = left.saturating_sub(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn permits_are_counted_by_system_and_in_all() {
        let limiter = Limiter::new(2, 3);
        let held: Vec<_> = ["a", "a", "b"].into_iter().map(|system| limiter.permit(system).unwrap()).collect();
        assert!(limiter.permit("a").is_none(), "both of a are held");
        assert!(limiter.permit("b").is_none(), "all three are held");
        drop(held);
        assert!(limiter.permit("a").is_some(), "a dropped permit is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_own_limit_or_with_the_budget() {
        let (limiter, budget) = (Limiter::new(1, 1), Budget::of(3 * SECOND));
        let first = limiter.run("a", 2 * SECOND, &budget, pending::<()>()).await;
        assert_eq!(first, Err(Refused::TimedOut(2 * SECOND)));
        let second = limiter.run("a", 2 * SECOND, &budget, pending::<()>()).await;
        assert_eq!(second, Err(Refused::TimedOut(SECOND)), "one second of the budget is left");
        assert_eq!(limiter.run("a", SECOND, &budget, async { 1 }).await, Ok(1), "an answer at once needs no time");
        let _held = limiter.permit("a");
        assert_eq!(limiter.run("a", SECOND, &budget, async { 1 }).await, Err(Refused::Saturated));
    }
}
