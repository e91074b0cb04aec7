//! How many calls to an outside system are under way at once, and how long one reconcile waits for it.
//!
//! All reconciles share a bounded number of workers. A system that hangs could occupy them all, and delay the renewals
//! that do not need it. So each system has a number of permits, and all systems together have less than there are
//! workers. A reconcile that gets no permit is requeued at once.

use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Permits for outside systems, by name. Clones share them.
#[derive(Clone, Debug)]
pub struct Limiter {
    each: usize,
    all: Arc<Semaphore>,
    systems: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// The right to wait for a system, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// The time that one reconcile may still wait for outside systems.
#[derive(Debug)]
pub struct Budget(Mutex<Duration>);

/// Why a call came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Enough others wait for this system. The call was not made.
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

    /// The right to wait for this system; `None` while enough others do.
    #[must_use]
    pub fn permit(&self, system: &str) -> Option<Permit> {
        let of_one =
            self.systems().entry(system.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone();
        Some(Permit { _of_one: of_one.try_acquire_owned().ok()?, _of_all: self.all.clone().try_acquire_owned().ok()? })
    }

    /// Makes a call to this system, for no longer than `most` and what is left of `budget`.
    ///
    /// # Errors
    /// If there is no permit, or the call does not finish in time. It is then dropped where it stands.
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
    /// A budget of this time.
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
