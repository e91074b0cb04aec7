//! The objects of one kind as the API server shows them: a store that a watch keeps up to date,
//! keyturn's own newer writes over it, and whether the store is complete.

use super::{
    OwnWrites,
    name::{Name, Object},
    store::{Kept, Store},
};
use crate::network::WATCH_SECONDS;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::watch;

/// The number of objects in a page of a list. An object may have 1.5 MiB, and a page is in memory
/// three times over while it is read.
const PAGE: u32 = 20;

/// The objects of one kind. Clones share everything.
pub struct Watched<K> {
    store: Arc<Store<K>>,
    slim: fn(&mut K),
    own_writes: Arc<OwnWrites<K>>,
    sync_state: SyncState,
    shown: Arc<AtomicBool>,
    lists: Lists,
}

impl<K> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            slim: self.slim,
            own_writes: self.own_writes.clone(),
            sync_state: self.sync_state.clone(),
            shown: self.shown.clone(),
            lists: self.lists.clone(),
        }
    }
}

impl<K: Object> Watched<K> {
    /// Makes an empty view, for [`follow`] to fill. `what` is the plural of the resource, for logs
    /// and messages. [`Self::find`] finds objects by the keys that `keys_of` derives. `slim`
    /// removes the parts that keyturn does not read before an object is stored.
    #[must_use]
    pub fn new(what: &'static str, kept: Kept, keys_of: fn(&K) -> Vec<String>, slim: fn(&mut K)) -> Self {
        Self {
            store: Arc::new(Store::new(keys_of, kept)),
            slim,
            own_writes: Arc::new(OwnWrites::new(slim)),
            sync_state: SyncState::new(what),
            shown: Arc::default(),
            lists: Lists::default(),
        }
    }

    /// Returns the object, never older than keyturn's own last write of it. Objects that are not
    /// namespaced have an empty `namespace`.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.own_writes.get(namespace, name).or_else(|| self.store.get(namespace, name))
    }

    /// Whether the watch shows this object.
    #[must_use]
    pub fn shows(&self, namespace: &str, name: &str) -> bool {
        self.store.contains(namespace, name)
    }

    /// Returns the objects that have this key, in the order of their names. An object that keyturn
    /// wrote and the watch has not shown yet is not among them.
    pub fn find(&self, key: impl Into<String>) -> impl Iterator<Item = Arc<K>> {
        self.find_beside(key, |_| false)
    }

    /// Returns what [`Self::find`] returns, apart from the objects whose name is `known`. They are
    /// not read.
    pub fn find_beside(&self, key: impl Into<String>, known: impl Fn(&Name) -> bool) -> impl Iterator<Item = Arc<K>> {
        let key = key.into();
        self.store.find(&key).into_iter().filter(move |name| !known(name)).filter_map(move |name| {
            let own = self.own_writes.get(name.namespace(), name.name());
            let stored = || self.store.get(name.namespace(), name.name());
            own.or_else(|| stored().filter(|object| self.store.has_key(object, &key)))
        })
    }

    /// The names of the objects that have this key, in order. No object is read for it, therefore
    /// an object of another key may be among them if the hashes of the keys are equal.
    #[must_use]
    pub fn find_names(&self, key: &str) -> Vec<Name> {
        self.store.find(key)
    }

    /// The number of the names that [`Self::find_names`] returns.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        self.store.count(key)
    }

    /// The names of all objects that the watch has shown, in no order.
    #[must_use]
    pub fn names(&self) -> Vec<Name> {
        self.store.names()
    }

    /// All objects that the watch has shown, in no order, one after the other.
    pub fn all(&self) -> impl Iterator<Item = Arc<K>> {
        self.names().into_iter().filter_map(|name| self.store.get(name.namespace(), name.name()))
    }

    /// Whether the watch has shown any object of the kind since the process started.
    #[must_use]
    pub fn has_shown_any(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// The own writes of this kind. Every write of such an object goes through
    /// [`OwnWrites::write`].
    #[must_use]
    pub fn own_writes(&self) -> &OwnWrites<K> {
        &self.own_writes
    }

    /// Whether the objects of this kind are synced.
    #[must_use]
    pub fn sync_state(&self) -> &SyncState {
        &self.sync_state
    }

    /// Relists the objects. The future ends when a list is complete that began after this call. The
    /// objects are then no older than the call, even if the watch was late, or had died unnoticed.
    pub fn relist(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut number = 0;
        self.lists.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        let mut done = self.lists.done.subscribe();
        async move {
            // The sender lives as long as the stream of `follow`.
            let _ = done.wait_for(|done| *done >= number).await;
        }
    }
}

/// The number of relists that were asked for, and of those that are done.
#[derive(Clone, Debug, Default)]
struct Lists {
    asked: Arc<watch::Sender<u64>>,
    /// The value of `asked` when the list began that is shown now.
    done: Arc<watch::Sender<u64>>,
}

/// Whether the objects of one kind are synced, that is, have all been listed.
#[derive(Clone, Debug)]
pub struct SyncState {
    what: &'static str,
    listed: Arc<watch::Sender<bool>>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl SyncState {
    fn new(what: &'static str) -> Self {
        Self { what, listed: Arc::new(watch::Sender::new(false)), trouble: Arc::default() }
    }

    /// Waits until the objects are synced.
    pub async fn wait(&self) {
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Waits until the objects are unsynced.
    pub async fn wait_until_unsynced(&self) {
        let _ = self.listed.subscribe().wait_for(|listed| !*listed).await;
    }

    /// Says in words why the objects are unsynced; `None` if they are synced.
    #[must_use]
    pub fn unsynced(&self) -> Option<String> {
        if *self.listed.borrow() {
            return None;
        }
        let trouble = self.trouble.lock().clone();
        Some(format!("{}: {}", self.what, trouble.unwrap_or_else(|| "not listed yet".to_owned())))
    }

    fn saw<K>(&self, event: &Result<Event<K>, watcher::Error>) {
        match event {
            Ok(Event::InitDone) => {
                let recovered = self.trouble.lock().take().is_some();
                self.listed.send_replace(true);
                if recovered {
                    tracing::info!(resource = self.what, "listed again; decisions go on");
                }
            }
            Ok(_) => {}
            Err(error) => self.failed(error),
        }
    }

    /// Records a failure of the watch. After a list that failed, or a watch that is forbidden, the
    /// known objects may be incomplete or out of date. A watch that merely broke continues where it
    /// ended.
    fn failed(&self, error: &watcher::Error) {
        let (incomplete, cause) = match error {
            watcher::Error::InitialListFailed(cause) => (true, cause.to_string()),
            other => (is_forbidden(other), other.to_string()),
        };
        if incomplete {
            *self.trouble.lock() = Some(cause.clone());
            self.listed.send_replace(false);
            tracing::error!(resource = self.what, cause, "cannot list; nothing is decided until it can");
        } else {
            tracing::warn!(resource = self.what, cause, "the watch broke and is taken up again");
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 403)
}

/// A change in the watched objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K> {
    /// One object changed.
    One(K),
    /// Any object may have changed, because all were listed again.
    All,
}

/// The objects of a scope: a namespace, or all namespaces as `None`.
#[must_use]
pub fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Keeps `watched` up to date for as long as the stream is polled. The stream yields the changes. A
/// view is followed once. Objects are listed in small pages ([`PAGE`]).
pub fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    watched: &Watched<K>,
) -> impl Stream<Item = Change<K>> + Send + 'static
where
    K: Object,
{
    follow_in(api, config, watched, |_| true)
}

/// The same, but only objects are stored whose namespace satisfies `keeps` when they are shown. If
/// `keeps` changes, the objects have to be relisted.
pub fn follow_in<K>(
    api: Api<K>,
    config: watcher::Config,
    watched: &Watched<K>,
    keeps: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> impl Stream<Item = Change<K>> + Send + 'static
where
    K: Object,
{
    let is_kept = move |event: &Result<Event<K>, watcher::Error>| match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            keeps(object.meta().namespace.as_deref().unwrap_or_default())
        }
        Ok(Event::Delete(_) | Event::Init | Event::InitDone) | Err(_) => true,
    };
    let Watched { store, slim, own_writes, sync_state, shown, lists } = watched.clone();
    let config = config.page_size(PAGE).timeout(WATCH_SECONDS);
    let (asked, begun) = (lists.asked.clone(), Arc::new(AtomicU64::new(0)));
    let begins = begun.clone();
    // A forbidden watch is not retried but replaced by a new one, because only a new list proves
    // that the view is complete.
    let watching = move || {
        let mut asked = asked.subscribe();
        let number = *asked.borrow_and_update();
        begins.store(number, Ordering::Relaxed);
        let anew = async move {
            let _ = asked.wait_for(|asked| *asked > number).await;
        };
        watcher(api.clone(), config.clone())
            .default_backoff()
            .flat_map(|event| {
                let over = matches!(&event, Err(error) if is_forbidden(error));
                stream::iter([Some(event)].into_iter().chain(over.then_some(None)))
            })
            .take_while(|event| std::future::ready(event.is_some()))
            .filter_map(std::future::ready)
            .take_until(anew.boxed())
    };
    let watched = stream::repeat_with(watching).flatten().filter(move |event| std::future::ready(is_kept(event)));
    watched.modify(slim).filter_map(move |event| {
        // The store is the first, because until it has recorded the event, keyturn's own writes
        // are newer. The sync state is the last, because readers of a synced view must find
        // everything.
        if let Ok(event) = &event {
            store.saw(event);
            own_writes.saw(event);
            if matches!(event, Event::InitDone) {
                lists.done.send_replace(begun.load(Ordering::Relaxed));
            }
            if !matches!(event, Event::Init | Event::InitDone) {
                shown.store(true, Ordering::Relaxed);
            }
        }
        sync_state.saw(&event);
        let change = match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => Some(Change::One(object)),
            Ok(Event::InitDone) => Some(Change::All),
            Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
        };
        std::future::ready(change)
    })
}

#[cfg(test)]
impl<K: Object> Watched<K> {
    /// Shows these objects and no others, as after a list.
    pub(crate) fn show(&self, objects: impl IntoIterator<Item = K>) {
        let slimmed = objects.into_iter().map(|mut object| {
            (self.slim)(&mut object);
            object
        });
        let listed = slimmed.map(Event::InitApply);
        for event in [Event::Init].into_iter().chain(listed).chain([Event::InitDone]) {
            self.store.saw(&event);
        }
    }
}
