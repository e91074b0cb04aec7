//! The objects, their history, and the consequences of a change.
//!
//! One counter numbers all changes, as etcd's revision does. Every change is kept with the object
//! before and after it. A watch can therefore start anywhere in the past and see which objects
//! entered or left its selection. If that past is compacted, the watch is refused.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ownership::Ownership;
use super::resource::ResourceKind;

/// The number of changes that are kept for each resource.
const HISTORY: usize = 20_000;

/// An object and the owners of its fields.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object: Arc<Value>,
    pub(super) ownership: Ownership,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
    pub(super) at: Instant,
}

/// The objects of one resource.
#[derive(Debug, Default)]
pub(super) struct Table {
    objects: BTreeMap<(String, String), Stored>,
    pub(super) history: VecDeque<Change>,
    /// A watch that wants to start before this version is refused as too old.
    pub(super) oldest: u64,
    /// The last change that is no longer in the history.
    pub(super) last_dropped: u64,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    uids: u64,
    alive: HashSet<String>,
    tables: BTreeMap<String, Table>,
    pub(super) collects_garbage: bool,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { version: 1, uids: 0, alive: HashSet::new(), tables: BTreeMap::new(), collects_garbage: true }
    }

    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:0>12x}", self.uids)
    }

    pub(super) fn table(&mut self, id: &str) -> &mut Table {
        self.tables.entry(id.to_owned()).or_default()
    }

    pub(super) fn get(&self, id: &str, namespace: &str, name: &str) -> Option<&Stored> {
        let key = (namespace.to_owned(), name.to_owned());
        self.tables.get(id)?.objects.get(&key)
    }

    /// The objects of a resource, by namespace and name.
    pub(super) fn list<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let tables = self.tables.get(id).into_iter();
        let objects = tables.flat_map(|table| table.objects.values());
        objects.map(|stored| &stored.object)
    }

    /// Puts an object in place and numbers the change.
    pub(super) fn put(&mut self, id: &str, mut object: Value, ownership: Ownership) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let stored = Stored { object: Arc::clone(&object), ownership };
        self.alive.insert(text(&object, "uid"));
        let key = (text(&object, "namespace"), text(&object, "name"));
        let before = self.table(id).objects.insert(key, stored);
        let before = before.map(|stored| stored.object);
        self.record(id, before, Some(Arc::clone(&object)));
        object
    }

    /// Removes an object and its dependents.
    pub(super) fn remove(&mut self, id: &str, namespace: &str, name: &str, now: Timestamp) {
        self.take_out(id, namespace, name, now);
        self.collect_garbage(now);
    }

    /// Removes an object. If it is a namespace, also the dependents in it; otherwise none.
    fn take_out(&mut self, id: &str, namespace: &str, name: &str, now: Timestamp) {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(stored) = self.table(id).objects.remove(&key) else {
            return;
        };
        self.alive.remove(&text(&stored.object, "uid"));
        self.version += 1;
        let mut last = Value::clone(&stored.object);
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.record(id, Some(Arc::new(last)), None);
        if id == "namespaces" {
            for (id, namespace, name) in self.find(|object| text(object, "namespace") == name) {
                self.begin_deletion(&id, &namespace, &name, now);
            }
        }
    }

    /// Deletes an object: at once, or when its last finalizer is removed. Returns whether it is
    /// gone.
    pub(super) fn delete(&mut self, id: &str, namespace: &str, name: &str, now: Timestamp) -> bool {
        let is_gone = self.begin_deletion(id, namespace, name, now);
        self.collect_garbage(now);
        is_gone
    }

    fn begin_deletion(&mut self, id: &str, namespace: &str, name: &str, now: Timestamp) -> bool {
        let Some(stored) = self.get(id, namespace, name).cloned() else {
            return true;
        };
        if !has_finalizers(&stored.object) {
            self.take_out(id, namespace, name, now);
            return true;
        }
        if stored.object["metadata"]["deletionTimestamp"].is_null() {
            let mut object = Value::clone(&stored.object);
            let metadata = &mut object["metadata"];
            metadata["deletionTimestamp"] = seconds(now);
            metadata["deletionGracePeriodSeconds"] = json!(0);
            if let Some(generation) = metadata["generation"].as_i64() {
                metadata["generation"] = json!(generation + 1);
            }
            self.put(id, object, stored.ownership);
        }
        false
    }

    /// Deletes every object whose owners no longer exist, and so on down the chain.
    pub(super) fn collect_garbage(&mut self, now: Timestamp) {
        while self.collects_garbage {
            let orphans = self.find(|object| self.is_orphan(object));
            if orphans.is_empty() {
                return;
            }
            for (id, namespace, name) in orphans {
                self.begin_deletion(&id, &namespace, &name, now);
            }
        }
    }

    /// Whether an object has owners of which none exists, and is not being deleted yet.
    pub(super) fn is_orphan(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let owners = metadata["ownerReferences"].as_array();
        metadata["deletionTimestamp"].is_null()
            && owners.is_some_and(|owners| {
                let mut uids = owners.iter().filter_map(|owner| owner["uid"].as_str());
                !owners.is_empty() && !uids.any(|uid| self.alive.contains(uid))
            })
    }

    /// Compacts the history: watches that have not seen it yet are refused.
    pub(super) fn compact(&mut self) {
        for table in self.tables.values_mut() {
            if let Some(last) = table.history.back() {
                table.last_dropped = last.version;
            }
            table.history.clear();
            table.oldest = self.version;
        }
    }

    /// Forgets all objects of a resource that nobody watches, and their history.
    pub(super) fn forget(&mut self, id: &str) {
        let version = self.version;
        let table = self.table(id);
        let uids: Vec<String> = table.objects.values().map(|stored| text(&stored.object, "uid")).collect();
        *table = Table { oldest: version, last_dropped: version, ..Table::default() };
        for uid in uids {
            self.alive.remove(&uid);
        }
    }

    fn find(&self, wanted: impl Fn(&Value) -> bool) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for (id, table) in &self.tables {
            for ((namespace, name), stored) in &table.objects {
                if wanted(&stored.object) {
                    found.push((id.clone(), namespace.clone(), name.clone()));
                }
            }
        }
        found
    }

    fn record(&mut self, id: &str, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        let change = Change { version: self.version, before, after, at: Instant::now() };
        let table = self.table(id);
        table.history.push_back(change);
        if table.history.len() > HISTORY
            && let Some(dropped) = table.history.pop_front()
        {
            table.oldest = dropped.version;
            table.last_dropped = dropped.version;
        }
    }
}

impl Table {
    /// The first change after this version.
    pub(super) fn after(&self, version: u64) -> Option<&Change> {
        let next = self.history.partition_point(|change| change.version <= version);
        self.history.get(next)
    }
}

/// A text of an object's metadata; empty if it has none.
pub(super) fn text(object: &Value, field: &str) -> String {
    let text = object["metadata"][field].as_str();
    text.unwrap_or_default().to_owned()
}

/// A time in the form of the API: whole seconds.
pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

pub(super) fn has_finalizers(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

/// Whether two objects are equal except for their versions and the owners of their fields.
pub(super) fn same_content(one: &Value, other: &Value) -> bool {
    let same = |one: &Value, other: &Value, except: &[&str]| {
        let both = [one, other].into_iter().filter_map(Value::as_object);
        let mut names = both.flat_map(serde_json::Map::keys);
        names.all(|name| except.contains(&name.as_str()) || one.get(name) == other.get(name))
    };
    let (metadata, other_metadata) = (&one["metadata"], &other["metadata"]);
    same(metadata, other_metadata, &["resourceVersion", "managedFields"]) && same(one, other, &["metadata"])
}

/// The resource of an API version and kind.
pub(super) fn kind_of(kinds: &[Arc<ResourceKind>], object: &Value) -> Option<Arc<ResourceKind>> {
    let mut kinds = kinds.iter();
    let of_kind = |kind: &&Arc<ResourceKind>| object["kind"] == kind.kind && object["apiVersion"] == kind.api_version();
    kinds.find(of_kind).cloned()
}
