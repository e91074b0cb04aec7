//! keyturn's own writes that the watch has not shown yet.
//!
//! The API server answers a write with the object's new state. The watch shows that state some
//! milliseconds or a second later. Until then the answer is newer than the store. Entries live only
//! until the watch has caught up, therefore this holds no more than the writes of the moment.
//!
//! Versions are compared as numbers. The API server has always counted them up in one sequence per
//! resource. It promises this since Kubernetes 1.35 (KEP-5504, comparable resource versions).

use super::name::{Name, text};
use kube::{Resource, runtime::watcher::Event};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};

/// Objects of one kind by namespace and name, in versions that are newer than those of the watch.
#[derive(Debug)]
pub struct OwnWrites<K> {
    entries: Mutex<HashMap<Name, Entry<K>>>,
    slim: fn(&mut K),
}

#[derive(Debug)]
struct Entry<K> {
    /// The number of writes of this object that have no answer yet.
    in_flight: usize,
    /// The newest version that the watch has shown since the first of these writes began.
    shown: u64,
    /// The newest answer; `None` once the watch has shown it.
    answer: Option<Arc<K>>,
    /// Whether the answer came before the current list began. Such a list cannot be older than the
    /// answer.
    before_list: bool,
}

impl<K: Resource> OwnWrites<K> {
    /// No writes yet. `slim` removes the parts of an answer that keyturn does not read.
    #[must_use]
    pub fn new(slim: fn(&mut K)) -> Self {
        Self { entries: Mutex::default(), slim }
    }

    /// Returns the object in the state of keyturn's last write; `None` once the watch has shown
    /// that state.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let entries = self.lock();
        if entries.is_empty() {
            return None;
        }
        entries.get(&*text(namespace, name)).and_then(|entry| entry.answer.clone())
    }

    /// Runs one write of an object, or a read of it. Until the watch has caught up, [`Self::get`]
    /// returns the answer.
    ///
    /// # Errors
    /// Those of `write`.
    pub async fn write<E>(
        &self,
        namespace: &str,
        name: &str,
        write: impl Future<Output = Result<K, E>>,
    ) -> Result<Arc<K>, E> {
        let key = Name::new(namespace, name);
        let in_flight = InFlight { own_writes: self, key: key.clone() };
        self.lock().entry(key).or_insert_with(Entry::new).in_flight += 1;
        let result = write.await.map(|mut answer| {
            (self.slim)(&mut answer);
            Arc::new(answer)
        });
        if let Ok(answer) = &result {
            in_flight.answered(answer);
        }
        drop(in_flight);
        result
    }

    /// Records an event of the watch. The caller calls this after the store has recorded the event,
    /// because the store must never be older than the entry that is dropped here.
    pub fn saw(&self, event: &Event<K>) {
        match event {
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) => {
                let mut entries = self.lock();
                if entries.is_empty() {
                    return;
                }
                let key = Name::of(object);
                let Some(entry) = entries.get_mut(&key) else { return };
                entry.shown = entry.shown.max(version(object));
                entry.forget_if(|entry, answer| version(answer) <= entry.shown);
                if entry.is_over() {
                    entries.remove(&key);
                }
            }
            Event::Init => self.lock().values_mut().for_each(|entry| entry.before_list = entry.answer.is_some()),
            Event::InitDone => self.lock().retain(|_, entry| {
                entry.forget_if(|entry, _| entry.before_list);
                !entry.is_over()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Entry<K>>> {
        self.entries.lock()
    }
}

impl<K: Resource> Entry<K> {
    fn new() -> Self {
        Self { in_flight: 0, shown: 0, answer: None, before_list: false }
    }

    fn forget_if(&mut self, caught_up: impl Fn(&Self, &K) -> bool) {
        if self.answer.as_ref().is_some_and(|answer| caught_up(self, answer)) {
            self.answer = None;
        }
    }

    fn is_over(&self) -> bool {
        self.in_flight == 0 && self.answer.is_none()
    }
}

/// Counts a write as in flight until it is dropped. A write that is cancelled is dropped, too.
struct InFlight<'a, K: Resource> {
    own_writes: &'a OwnWrites<K>,
    key: Name,
}

impl<K: Resource> InFlight<'_, K> {
    fn answered(&self, answer: &Arc<K>) {
        if let Some(entry) = self.own_writes.lock().get_mut(&self.key) {
            let newest = entry.answer.as_ref().map_or(0, |known| version(known.as_ref())).max(entry.shown);
            if version(answer.as_ref()) > newest {
                entry.answer = Some(answer.clone());
                entry.before_list = false;
            }
        }
    }
}

impl<K: Resource> Drop for InFlight<'_, K> {
    fn drop(&mut self) {
        let mut entries = self.own_writes.lock();
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.in_flight -= 1;
            if entry.is_over() {
                entries.remove(&self.key);
            }
        }
    }
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;
    use std::convert::Infallible;

    fn object(version: u64) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some("a".into()),
            namespace: Some("n".into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    async fn wrote(own_writes: &OwnWrites<ConfigMap>, version: u64) {
        let _ = own_writes.write("n", "a", async { Ok::<_, Infallible>(object(version)) }).await;
    }

    fn seen(own_writes: &OwnWrites<ConfigMap>) -> Option<u64> {
        own_writes.get("n", "a").map(|object| version(object.as_ref()))
    }

    #[tokio::test]
    async fn an_answer_is_ahead_until_the_watch_shows_it() {
        let own_writes = OwnWrites::new(|_| {});
        wrote(&own_writes, 5).await;
        own_writes.saw(&Event::Apply(object(4)));
        assert_eq!(seen(&own_writes), Some(5), "the watch is behind");
        own_writes.saw(&Event::Apply(object(5)));
        assert_eq!(seen(&own_writes), None, "the watch has caught up");
        assert!(own_writes.lock().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn an_answer_that_the_watch_overtook_is_not_ahead() {
        let own_writes = OwnWrites::new(|_| {});
        let write = own_writes.write("n", "a", async {
            own_writes.saw(&Event::Apply(object(5)));
            own_writes.saw(&Event::Delete(object(6)));
            Ok::<_, Infallible>(object(5))
        });
        let _ = write.await;
        assert_eq!(seen(&own_writes), None, "it has been deleted since");
        assert!(own_writes.lock().is_empty());
    }

    #[tokio::test]
    async fn a_deletion_from_before_the_write_does_not_undo_it() {
        let own_writes = OwnWrites::new(|_| {});
        wrote(&own_writes, 5).await;
        own_writes.saw(&Event::Delete(object(3)));
        assert_eq!(seen(&own_writes), Some(5));
        own_writes.saw(&Event::Delete(object(7)));
        assert_eq!(seen(&own_writes), None);
    }

    #[tokio::test]
    async fn a_list_replaces_an_answer_only_if_the_list_began_after_it() {
        let own_writes = OwnWrites::new(|_| {});
        wrote(&own_writes, 5).await;
        own_writes.saw(&Event::Init);
        own_writes.saw(&Event::InitDone);
        assert_eq!(seen(&own_writes), None, "deleted while the watch was away");

        own_writes.saw(&Event::Init);
        wrote(&own_writes, 9).await;
        own_writes.saw(&Event::InitDone);
        assert_eq!(seen(&own_writes), Some(9), "written while the list was on its way");
    }

    #[tokio::test]
    async fn a_failed_write_and_one_that_was_given_up_leave_nothing() {
        let own_writes: OwnWrites<ConfigMap> = OwnWrites::new(|_| {});
        let _ = own_writes.write("n", "a", async { Err::<ConfigMap, _>("refused") }).await;
        assert!(own_writes.lock().is_empty());
        let given_up = own_writes.write("n", "a", std::future::pending::<Result<ConfigMap, Infallible>>());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), given_up).await;
        assert!(own_writes.lock().is_empty());
    }
}
