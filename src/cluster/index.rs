//! An index of the objects of one kind. With it, a change of one object finds the objects that it
//! concerns without a scan of all.

use kube::{Resource, ResourceExt as _, runtime::watcher::Event};
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};

/// Namespace and name. The namespace is empty for objects that are not namespaced.
pub type Name = (String, String);

/// The names of objects by key. The function `keys_of` derives an object's keys.
#[derive(Debug)]
pub struct Index<K> {
    keys_of: fn(&K) -> Vec<String>,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    present: Tables,
    /// The objects of the list that is being received. When the list is whole, it replaces
    /// `present`.
    listing: Tables,
}

#[derive(Debug, Default)]
struct Tables {
    by_key: HashMap<String, BTreeSet<Name>>,
    keys: HashMap<Name, Vec<String>>,
}

impl<K: Resource> Index<K> {
    /// Makes an empty index. An object may have several keys, or none.
    #[must_use]
    pub fn new(keys_of: fn(&K) -> Vec<String>) -> Self {
        Self { keys_of, entries: RwLock::default() }
    }

    /// Returns the names of the objects with this key, in order.
    #[must_use]
    pub fn find(&self, key: &str) -> Vec<Name> {
        let entries = self.entries.read();
        entries.present.by_key.get(key).into_iter().flatten().cloned().collect()
    }

    /// Records an event of the watch. The caller calls this after the store has recorded the event.
    pub fn saw(&self, event: &Event<K>) {
        let mut entries = self.entries.write();
        match event {
            Event::Apply(object) => entries.present.put(&name(object), (self.keys_of)(object)),
            Event::Delete(object) => entries.present.put(&name(object), vec![]),
            Event::Init => entries.listing = Tables::default(),
            Event::InitApply(object) => entries.listing.put(&name(object), (self.keys_of)(object)),
            Event::InitDone => entries.present = std::mem::take(&mut entries.listing),
        }
    }
}

impl Tables {
    fn put(&mut self, name: &Name, keys: Vec<String>) {
        let former =
            if keys.is_empty() { self.keys.remove(name) } else { self.keys.insert(name.clone(), keys.clone()) };
        for key in former.into_iter().flatten() {
            if let Some(names) = self.by_key.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        for key in keys {
            self.by_key.entry(key).or_default().insert(name.clone());
        }
    }
}

fn name<K: Resource>(object: &K) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    fn object(name: &str, labels: &[&str]) -> ConfigMap {
        let labels = labels.iter().map(|label| ((*label).to_owned(), String::new())).collect();
        let metadata = ObjectMeta { name: Some(name.into()), labels: Some(labels), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn index() -> Index<ConfigMap> {
        Index::new(|object| object.labels().keys().cloned().collect())
    }

    fn found(index: &Index<ConfigMap>, key: &str) -> Vec<String> {
        index.find(key).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn an_object_is_found_under_the_keys_that_it_has_now() {
        let index = index();
        index.saw(&Event::Apply(object("a", &["x", "y"])));
        index.saw(&Event::Apply(object("b", &["y"])));
        assert_eq!(found(&index, "y"), ["a", "b"]);
        index.saw(&Event::Apply(object("a", &["z"])));
        assert_eq!(found(&index, "x"), [""; 0]);
        assert_eq!((found(&index, "y"), found(&index, "z")), (vec!["b".to_owned()], vec!["a".to_owned()]));
        index.saw(&Event::Delete(object("b", &["y"])));
        index.saw(&Event::Delete(object("a", &["z"])));
        let entries = index.entries.read();
        assert!(entries.present.by_key.is_empty() && entries.present.keys.is_empty(), "nothing is kept");
    }

    #[test]
    fn a_list_replaces_everything_once_it_is_whole() {
        let index = index();
        index.saw(&Event::Apply(object("gone", &["x"])));
        index.saw(&Event::Init);
        index.saw(&Event::InitApply(object("new", &["x"])));
        assert_eq!(found(&index, "x"), ["gone"], "half a list is no list");
        index.saw(&Event::InitDone);
        assert_eq!(found(&index, "x"), ["new"]);
    }
}
