//! An index of the objects of one kind. With it, a change of one object finds the objects that it
//! concerns without a scan of all.

use super::name::Name;
use std::collections::{BTreeSet, HashMap, hash_map::Entry};

/// The names of objects by the hash of a key. Most keys belong to one object.
#[derive(Debug, Default)]
pub(super) struct Index(HashMap<u64, Names>);

#[derive(Debug)]
enum Names {
    One(Name),
    Several(BTreeSet<Name>),
}

impl Index {
    /// The names of the objects that have a key with this hash, in order.
    pub(super) fn find(&self, key: u64) -> Vec<Name> {
        match self.0.get(&key) {
            None => vec![],
            Some(Names::One(name)) => vec![name.clone()],
            Some(Names::Several(names)) => names.iter().cloned().collect(),
        }
    }

    /// The number of the objects that have a key with this hash.
    pub(super) fn count(&self, key: u64) -> usize {
        match self.0.get(&key) {
            None => 0,
            Some(Names::One(_)) => 1,
            Some(Names::Several(names)) => names.len(),
        }
    }

    /// Adds the object to each of these keys.
    pub(super) fn add(&mut self, name: &Name, keys: &[u64]) {
        for key in keys {
            match self.0.entry(*key) {
                Entry::Vacant(vacant) => drop(vacant.insert(Names::One(name.clone()))),
                Entry::Occupied(mut found) => found.get_mut().add(name),
            }
        }
    }

    /// Removes the object from each of these keys.
    pub(super) fn remove(&mut self, name: &Name, keys: &[u64]) {
        for key in keys {
            if let Entry::Occupied(mut found) = self.0.entry(*key)
                && found.get_mut().is_empty_without(name)
            {
                found.remove();
            }
        }
    }
}

impl Names {
    fn add(&mut self, name: &Name) {
        match self {
            Self::One(present) if present == name => {}
            Self::One(present) => {
                *self = Self::Several([present.clone(), name.clone()].into());
            }
            Self::Several(names) => drop(names.insert(name.clone())),
        }
    }

    /// Removes a name, and returns whether none is left.
    fn is_empty_without(&mut self, name: &Name) -> bool {
        match self {
            Self::One(present) => present == name,
            Self::Several(names) => {
                names.remove(name);
                names.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_holds_one_name_or_several_and_nothing_that_was_removed() {
        let [a, b] = ["a", "b"].map(|name| Name::new("lab", name));
        let mut index = Index::default();
        index.add(&b, &[1, 2]);
        index.add(&b, &[1]);
        assert_eq!((index.find(1), index.count(1)), (vec![b.clone()], 1));
        index.add(&a, &[1]);
        assert_eq!((index.find(1), index.count(1)), (vec![a.clone(), b.clone()], 2), "in order");
        index.remove(&a, &[2]);
        assert_eq!(index.find(2), std::slice::from_ref(&b), "it is of another object");
        index.remove(&b, &[1, 2, 3]);
        assert_eq!((index.find(1), index.count(2)), (vec![a.clone()], 0));
        index.remove(&a, &[1]);
        assert!(index.0.is_empty(), "nothing is kept");
    }
}
