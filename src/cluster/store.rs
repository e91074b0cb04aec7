//! The objects of one kind that a watch has shown, in little memory.
//!
//! A typed object takes several times the memory of its JSON, because each of its many optional
//! parts takes its place whether it is there or not, and each map of one entry has room for eleven.
//! Of the kinds of which there are as many as persons, the store therefore keeps each object as
//! JSON, and parses it when it is needed. A reconcile needs a few objects of its own, while
//! thousands rest.

use super::{
    index::Index,
    name::{Name, Object, text},
};
use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

/// How the objects of a kind are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As they are. For kinds of which there are few, and that every reconcile reads.
    Whole,
    /// As JSON. For kinds of which there are as many as persons.
    Packed,
}

/// The objects of one kind, by name and by the keys that `keys_of` derives.
#[derive(Debug)]
pub(super) struct Store<K> {
    keys_of: fn(&K) -> Vec<String>,
    kept: Kept,
    /// It is random, so that nobody can choose two keys of the same hash.
    hasher: RandomState,
    tables: RwLock<Tables<K>>,
}

#[derive(Debug)]
struct Tables<K> {
    present: Table<K>,
    /// The objects of the list that is being received. When the list is whole, it replaces
    /// `present`.
    listing: Table<K>,
}

#[derive(Debug)]
struct Table<K> {
    objects: HashMap<Name, Stored<K>>,
    index: Index,
}

#[derive(Debug)]
struct Stored<K> {
    object: Form<K>,
    /// The hashes of its keys.
    keys: Box<[u64]>,
}

#[derive(Debug)]
enum Form<K> {
    Whole(Arc<K>),
    Packed(Box<[u8]>),
}

impl<K: Object> Store<K> {
    /// Makes an empty store.
    pub(super) fn new(keys_of: fn(&K) -> Vec<String>, kept: Kept) -> Self {
        let tables = Tables { present: Table::new(), listing: Table::new() };
        Self { keys_of, kept, hasher: RandomState::new(), tables: RwLock::new(tables) }
    }

    /// The object of this name.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let tables = self.tables.read();
        tables.present.objects.get(&*text(namespace, name))?.object.unpack()
    }

    /// Whether there is an object of this name.
    pub(super) fn contains(&self, namespace: &str, name: &str) -> bool {
        self.tables.read().present.objects.contains_key(&*text(namespace, name))
    }

    /// The names of all objects, in no order.
    pub(super) fn names(&self) -> Vec<Name> {
        self.tables.read().present.objects.keys().cloned().collect()
    }

    /// The names of the objects that may have this key, in order. Another key may have the same
    /// hash: [`Self::has_key`] decides.
    pub(super) fn find(&self, key: &str) -> Vec<Name> {
        self.tables.read().present.index.find(self.hash(key))
    }

    /// The number of the names that [`Self::find`] returns.
    pub(super) fn count(&self, key: &str) -> usize {
        self.tables.read().present.index.count(self.hash(key))
    }

    /// Whether the object has this key.
    pub(super) fn has_key(&self, object: &K, key: &str) -> bool {
        (self.keys_of)(object).iter().any(|own| own == key)
    }

    /// Records an event of the watch.
    pub(super) fn saw(&self, event: &Event<K>) {
        match event {
            Event::Apply(object) => {
                let stored = self.stored(object);
                self.tables.write().present.put(Name::of(object), stored);
            }
            Event::Delete(object) => self.tables.write().present.remove(&Name::of(object)),
            Event::Init => self.tables.write().listing = Table::new(),
            Event::InitApply(object) => {
                let stored = self.stored(object);
                self.tables.write().listing.put(Name::of(object), stored);
            }
            Event::InitDone => {
                let tables = &mut *self.tables.write();
                tables.present = std::mem::replace(&mut tables.listing, Table::new());
            }
        }
    }

    fn stored(&self, object: &K) -> Stored<K> {
        let keys = (self.keys_of)(object).iter().map(|key| self.hash(key)).collect();
        Stored { object: Form::of(object, self.kept), keys }
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}

impl<K> Table<K> {
    fn new() -> Self {
        Self { objects: HashMap::new(), index: Index::default() }
    }

    fn put(&mut self, name: Name, stored: Stored<K>) {
        if let Some(former) = self.objects.get(&name) {
            self.index.remove(&name, &former.keys);
        }
        self.index.add(&name, &stored.keys);
        self.objects.insert(name, stored);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(former) = self.objects.remove(name) {
            self.index.remove(name, &former.keys);
        }
    }
}

impl<K: Object> Form<K> {
    fn of(object: &K, kept: Kept) -> Self {
        let packed = (kept == Kept::Packed).then(|| serde_json::to_vec(object).ok()).flatten();
        packed.map_or_else(|| Self::Whole(Arc::new(object.clone())), |json| Self::Packed(json.into()))
    }

    fn unpack(&self) -> Option<Arc<K>> {
        match self {
            Self::Whole(object) => Some(object.clone()),
            Self::Packed(json) => match serde_json::from_slice(json) {
                Ok(object) => Some(Arc::new(object)),
                Err(error) => {
                    // The JSON is keyturn's own. Its content does not go into the log.
                    tracing::error!(line = error.line(), column = error.column(), "a stored object cannot be read");
                    None
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{ResourceExt as _, api::ObjectMeta};

    fn object(name: &str, labels: &[&str]) -> ConfigMap {
        let labels = labels.iter().map(|label| ((*label).to_owned(), String::new())).collect();
        let metadata = ObjectMeta { name: Some(name.into()), labels: Some(labels), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn store(kept: Kept) -> Store<ConfigMap> {
        Store::new(|object| object.labels().keys().cloned().collect(), kept)
    }

    fn found(store: &Store<ConfigMap>, key: &str) -> Vec<String> {
        store.find(key).iter().map(|name| name.name().to_owned()).collect()
    }

    #[test]
    fn an_object_is_found_under_the_keys_that_it_has_now() {
        for kept in [Kept::Whole, Kept::Packed] {
            let store = store(kept);
            store.saw(&Event::Apply(object("a", &["x", "y"])));
            store.saw(&Event::Apply(object("b", &["y"])));
            assert_eq!((found(&store, "y"), store.count("y")), (vec!["a".to_owned(), "b".to_owned()], 2));
            store.saw(&Event::Apply(object("a", &["z"])));
            assert_eq!(found(&store, "x"), [""; 0]);
            assert_eq!((found(&store, "y"), found(&store, "z")), (vec!["b".to_owned()], vec!["a".to_owned()]));
            let a = store.get("", "a").unwrap();
            assert_eq!(*a, object("a", &["z"]), "{kept:?}");
            assert!(store.has_key(&a, "z") && !store.has_key(&a, "x"));
            assert!(store.contains("", "b") && !store.contains("lab", "b"));
            store.saw(&Event::Delete(object("b", &["y"])));
            assert_eq!((store.get("", "b"), store.names()), (None, vec![Name::new("", "a")]));
            store.saw(&Event::Delete(object("a", &["z"])));
            assert_eq!((store.count("z"), store.names().len()), (0, 0), "nothing is kept");
        }
    }

    #[test]
    fn a_list_replaces_everything_once_it_is_whole() {
        let store = store(Kept::Packed);
        store.saw(&Event::Apply(object("gone", &["x"])));
        store.saw(&Event::Init);
        store.saw(&Event::InitApply(object("half", &["x"])));
        store.saw(&Event::Init);
        store.saw(&Event::InitApply(object("new", &["x"])));
        assert_eq!(found(&store, "x"), ["gone"], "half a list is no list");
        store.saw(&Event::InitDone);
        assert_eq!(found(&store, "x"), ["new"], "a list that was broken off left nothing");
        assert!(!store.contains("", "gone"));
    }
}
