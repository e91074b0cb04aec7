//! A fair share of the places in which reconciles wait for outside systems.

use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};

/// The most places of one namespace, as a multiple of the places that are free. A namespace that is
/// alone has three quarters of all places, and two have three sevenths each. Some places are always
/// free for a namespace that has none. Switches share their buffers by this rule (Choudhury and
/// Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
pub(super) const SHARE: u32 = 3;

/// The places of all namespaces. Clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    all: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// A place of a namespace. If it is dropped, the place is free again.
#[derive(Debug)]
pub struct Place {
    namespace: String,
    places: Places,
}

impl Places {
    /// As many places as reconciles run at the same time.
    #[must_use]
    pub fn new(all: usize) -> Self {
        Self { all, taken: Arc::default() }
    }

    /// A place for this namespace; `None` while the namespace has its share.
    #[must_use]
    pub fn take(&self, namespace: &str) -> Option<Place> {
        let mut taken = self.taken();
        let free = self.all.saturating_sub(taken.values().sum());
        let own = taken.get(namespace).copied().unwrap_or_default();
        (own < free.saturating_mul(SHARE as usize)).then(|| self.place(&mut taken, namespace))
    }

    /// A place for this namespace, whatever its share. It counts in the share.
    #[must_use]
    pub fn take_anyway(&self, namespace: &str) -> Place {
        self.place(&mut self.taken(), namespace)
    }

    fn place(&self, taken: &mut HashMap<String, usize>, namespace: &str) -> Place {
        *taken.entry(namespace.to_owned()).or_default() += 1;
        Place { namespace: namespace.to_owned(), places: self.clone() }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let left = taken.get(&self.namespace).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.namespace);
        } else {
            taken.insert(self.namespace.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every place that this namespace gets.
    fn all_of(places: &Places, namespace: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(namespace)).collect()
    }

    #[test]
    fn a_namespace_alone_has_three_quarters_and_others_find_the_rest() {
        let places = Places::new(64);
        let first = all_of(&places, "a");
        assert_eq!(first.len(), 48);
        assert_eq!(all_of(&places, "b").len(), 12, "three quarters of what is free");
        drop(first);
        assert!(places.taken().is_empty(), "nothing is left of a namespace without places");
    }

    #[test]
    fn a_namespace_that_waits_for_nothing_finds_a_place_beside_twenty() {
        let places = Places::new(64);
        let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
        let mut held = vec![];
        while let Some(taken) = names.iter().map(|name| places.take(name)).collect::<Option<Vec<_>>>() {
            held.push(taken);
        }
        assert!(places.take("another").is_some(), "{} each", held.len());
    }

    #[test]
    fn a_place_that_is_taken_anyway_counts_in_the_share() {
        let places = Places::new(8);
        let due: Vec<Place> = (0..8).map(|_| places.take_anyway("a")).collect();
        assert!(places.take("a").is_none() && places.take("b").is_none(), "none is free");
        drop(due);
        assert!(places.take("a").is_some());
    }
}
