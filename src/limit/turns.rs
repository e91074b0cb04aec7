//! The turn of a reconcile to ask an outside system: a place of its namespace, and requests of both
//! rates.

use super::{
    places::{Place, Places},
    rates::{RateLimits, Rates, TooSoon, UsedUp},
};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use tokio::time::Instant;

/// The turns of all reconciles. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    limits: RateLimits,
    rates: Arc<Mutex<Rates>>,
    places: Places,
}

/// The reason why it is not the turn of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// The namespace has its share of the places.
    Places,
    /// A rate is used up.
    Rate(TooSoon),
}

impl NotYet {
    /// The label of metrics: what is used up.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Rate(TooSoon { used_up: UsedUp::Namespace, .. }) => "namespace",
            Self::Rate(TooSoon { used_up: UsedUp::All, .. }) => "all",
        }
    }
}

impl Turns {
    /// Turns within these rates. `places` is the number of reconciles that run at the same time.
    #[must_use]
    pub fn new(limits: RateLimits, places: usize) -> Self {
        let rates = Arc::new(Mutex::new(Rates::new(limits, Instant::now())));
        Self { limits, rates, places: Places::new(places) }
    }

    /// Turns with places of their own, within the same rates.
    #[must_use]
    pub fn with_places(&self, places: usize) -> Self {
        Self { places: Places::new(places), ..self.clone() }
    }

    /// The rates.
    #[must_use]
    pub fn limits(&self) -> RateLimits {
        self.limits
    }

    /// A turn for this many requests of a namespace. The reconcile keeps the place until it has
    /// its answers.
    ///
    /// # Errors
    /// [`NotYet`] if others come first. Nothing was taken.
    pub fn take(&self, namespace: &str, requests: u32) -> Result<Place, NotYet> {
        let place = self.places.take(namespace).ok_or(NotYet::Places)?;
        self.rates().take(namespace, requests, Instant::now()).map_err(NotYet::Rate)?;
        Ok(place)
    }

    /// Takes this many requests of a namespace from the rates. They need no place.
    ///
    /// # Errors
    /// [`NotYet`] if others come first. Nothing was taken.
    pub fn pay(&self, namespace: &str, requests: u32) -> Result<(), NotYet> {
        self.rates().take(namespace, requests, Instant::now()).map_err(NotYet::Rate)
    }

    /// A turn for a renewal that is due. It never waits, and takes nothing from the rates.
    #[must_use]
    pub fn take_due(&self, namespace: &str) -> Place {
        self.places.take_anyway(namespace)
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Rate, UsedUp};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_is_due_has_its_turn_whatever_else_is_asked() {
        let few = Rate { per_second: 1, burst: 2 };
        let turns = Turns::new(RateLimits { namespace: few, all: Rate { per_second: 100, burst: 200 } }, 4);
        let due: Vec<Place> = (0..10).map(|_| turns.take_due("a")).collect();
        assert_eq!(turns.take("a", 1).unwrap_err(), NotYet::Places);
        drop(due);
        let _first = turns.take("a", 2).unwrap();
        let NotYet::Rate(refused) = turns.take("a", 1).unwrap_err() else { panic!("there are places") };
        assert_eq!(refused, TooSoon { used_up: UsedUp::Namespace, wait: Duration::from_secs(1) });
        drop(turns.take_due("a"));
        tokio::time::advance(refused.wait).await;
        assert!(turns.take("a", 1).is_ok(), "what was due took nothing");
    }
}
