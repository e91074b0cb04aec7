//! The namespaces of an operator that chooses them by their labels: whose objects the views keep,
//! and whose objects are reconciled.
//!
//! A namespace that comes in is kept at once, and served after everything of it was listed: a
//! config without its Secret would look as if it had no credential. A namespace that goes out is
//! not served from that moment on. Its objects leave the views with the next list, and nothing is
//! done about them.

use crate::shards::{NAMESPACE_NAME, NamespaceSelector};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::watch;

/// The namespaces whose objects are kept and reconciled. Clones share everything.
#[derive(Clone, Debug)]
pub struct Served(Option<Arc<Chosen>>);

#[derive(Debug)]
struct Chosen {
    selector: NamespaceSelector,
    state: RwLock<State>,
    /// Whether the namespaces are known, and the number of changes since.
    changes: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct State {
    /// The namespaces that are kept, each with the number of the change with which it came.
    kept: HashMap<String, u64>,
    served: HashSet<String>,
    changes: u64,
}

/// The namespaces that are kept and not served yet, each with the number of the change with which
/// it came.
pub type Entered = Vec<(String, u64)>;

impl Served {
    /// Every namespace of a scope.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// The namespaces that a selector chooses. None is known yet.
    #[must_use]
    pub fn chosen_by(selector: NamespaceSelector) -> Self {
        Self(Some(Arc::new(Chosen { selector, state: RwLock::default(), changes: watch::Sender::new(None) })))
    }

    /// Whether the views keep objects of a namespace.
    #[must_use]
    pub fn keeps(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|chosen| chosen.state.read().kept.contains_key(namespace))
    }

    /// Whether objects of a namespace are reconciled.
    #[must_use]
    pub fn serves(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|chosen| chosen.state.read().served.contains(namespace))
    }

    /// Learns all namespaces with their labels, because they were listed.
    pub fn learn_all<'a>(&self, all: impl Iterator<Item = (String, &'a BTreeMap<String, String>)>) {
        let Some(chosen) = &self.0 else { return };
        let matching: HashSet<String> =
            all.filter(|(name, labels)| chosen.matches(name, labels)).map(|(name, _)| name).collect();
        let known: Vec<String> = chosen.state.read().kept.keys().cloned().collect();
        let mut has_changed = false;
        for name in known.iter().filter(|name| !matching.contains(*name)) {
            has_changed |= chosen.learn(name, false);
        }
        for name in &matching {
            has_changed |= chosen.learn(name, true);
        }
        chosen.tell(has_changed);
    }

    /// Learns the labels of one namespace; `None` if it is gone.
    pub fn learn(&self, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let Some(chosen) = &self.0 else { return };
        let is_in = labels.is_some_and(|labels| chosen.matches(name, labels));
        if chosen.learn(name, is_in) {
            chosen.tell(true);
        }
    }

    /// Waits until the namespaces are known.
    pub async fn known(&self) {
        if let Some(chosen) = &self.0 {
            let _ = chosen.changes.subscribe().wait_for(Option::is_some).await;
        }
    }

    /// A receiver of the changes; `None` if there are never any.
    #[must_use]
    pub fn changes(&self) -> Option<watch::Receiver<Option<u64>>> {
        self.0.as_ref().map(|chosen| chosen.changes.subscribe())
    }

    /// The namespaces that are kept and not served yet.
    #[must_use]
    pub fn entered(&self) -> Entered {
        let Some(chosen) = &self.0 else { return vec![] };
        let state = chosen.state.read();
        let waiting = state.kept.iter().filter(|(name, _)| !state.served.contains(*name));
        waiting.map(|(name, change)| (name.clone(), *change)).collect()
    }

    /// Serves these namespaces, unless one has left since. A namespace that left and came back has
    /// to be listed again.
    pub fn admit(&self, entered: &Entered) {
        let Some(chosen) = &self.0 else { return };
        let mut state = chosen.state.write();
        for (name, change) in entered {
            if state.kept.get(name) == Some(change) {
                state.served.insert(name.clone());
            }
        }
    }
}

impl Chosen {
    fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let mut labels = labels.clone();
        labels.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
        self.selector.matches(&labels)
    }

    /// Returns whether the namespace came in or went out.
    fn learn(&self, name: &str, is_in: bool) -> bool {
        let mut state = self.state.write();
        if state.kept.contains_key(name) == is_in {
            return false;
        }
        state.changes += 1;
        if is_in {
            let change = state.changes;
            state.kept.insert(name.to_owned(), change);
        } else {
            state.kept.remove(name);
            state.served.remove(name);
        }
        true
    }

    /// Wakes those who wait for changes. The first time, the namespaces become known.
    fn tell(&self, has_changed: bool) {
        let changes = self.state.read().changes;
        self.changes.send_if_modified(|told| {
            let is_new = has_changed || told.is_none();
            *told = Some(changes);
            is_new
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(team: &str) -> BTreeMap<String, String> {
        [("team".to_owned(), team.to_owned())].into()
    }

    #[test]
    fn a_namespace_is_kept_when_it_comes_in_and_served_when_it_is_listed() {
        let served = Served::chosen_by("team=a".parse().unwrap());
        let (a, b) = (labels("a"), labels("b"));
        served.learn_all([("one".to_owned(), &a), ("two".to_owned(), &b)].into_iter());
        assert!(served.keeps("one") && !served.serves("one") && !served.keeps("two"));
        let entered = served.entered();
        served.admit(&entered);
        assert!(served.serves("one") && served.entered().is_empty());
        served.learn("two", Some(&a));
        assert!(served.keeps("two") && !served.serves("two") && served.serves("one"));
        served.learn("one", Some(&b));
        assert!(!served.keeps("one") && !served.serves("one"));
        served.learn("two", None);
        assert!(!served.keeps("two"), "it is gone");
    }

    #[test]
    fn a_namespace_that_left_and_came_back_is_listed_again() {
        let served = Served::chosen_by("team=a".parse().unwrap());
        served.learn("one", Some(&labels("a")));
        let entered = served.entered();
        served.learn("one", Some(&labels("b")));
        served.learn("one", Some(&labels("a")));
        served.admit(&entered);
        assert!(served.keeps("one") && !served.serves("one"));
        served.admit(&served.entered());
        assert!(served.serves("one"));
    }

    #[test]
    fn a_change_is_told_and_a_change_of_other_labels_is_not() {
        let served = Served::chosen_by("team=a".parse().unwrap());
        let mut changes = served.changes().unwrap();
        let mut told = || {
            let is_new = changes.has_changed().unwrap();
            changes.mark_unchanged();
            is_new
        };
        assert!(!told());
        served.learn_all(std::iter::empty());
        assert!(told(), "the namespaces are known now: there are none");
        served.learn("one", Some(&labels("b")));
        assert!(!told());
        served.learn("one", Some(&labels("a")));
        assert!(told());
        served.learn("one", Some(&labels("a")));
        served.learn_all([("one".to_owned(), &labels("a"))].into_iter());
        assert!(!told());
        served.learn_all(std::iter::empty());
        assert!(told() && !served.keeps("one"));
    }

    #[test]
    fn everything_is_served_without_a_selector() {
        let served = Served::all();
        assert!(served.keeps("any") && served.serves("any") && served.changes().is_none());
    }
}
