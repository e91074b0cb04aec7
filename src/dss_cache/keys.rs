//! The personal API keys that are ours, in every DSS.

use super::DssCache;
use crate::dss::{Dss, DssError, PersonalKey};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What is known of the keys in one DSS.
#[derive(Default)]
pub(super) struct Keys {
    /// By label and ID: each config looks for those with its own label.
    all: Option<BTreeMap<(String, String), PersonalKey>>,
    /// Held while the keys are listed, so that who asks at the same time waits for the same listing.
    listing: Arc<tokio::sync::Mutex<()>>,
    /// Something else was learnt of keys, and only one of those whom it concerns knows.
    untold: bool,
    /// What came and went since the last listing of keys began.
    since: Vec<Change>,
    /// The labels of keys that were entered one by one, by their IDs, as long as DSS lists them. By its ID a key is ours
    /// still when somebody has labelled it otherwise.
    entered: HashMap<String, String>,
}

/// A key that came, or went.
enum Change {
    Created(PersonalKey),
    Deleted(PersonalKey),
}

impl Change {
    fn enter(&self, keys: &mut BTreeMap<(String, String), PersonalKey>) {
        match self {
            Self::Created(key) => drop(keys.insert(place_of(key), key.clone())),
            Self::Deleted(key) => drop(keys.remove(&place_of(key))),
        }
    }
}

fn place_of(key: &PersonalKey) -> (String, String) {
    (key.label.clone(), key.id.clone())
}

impl DssCache {
    /// A listing of keys begins: what comes and goes from here on counts more than what it will show.
    pub(super) fn listing_keys(&self, instance: &str) {
        self.lock().entry(instance.to_owned()).or_default().keys.since.clear();
    }

    /// Learns a listing of the keys that are ours. Returns whether something else is known now.
    pub(super) fn learn_keys(&self, instance: &str, keys: Vec<PersonalKey>) -> bool {
        let mut instances = self.lock();
        let known = &mut instances.entry(instance.to_owned()).or_default().keys;
        let mut keys = keys.into_iter().map(|key| (place_of(&key), key)).collect();
        for change in known.since.drain(..) {
            change.enter(&mut keys);
        }
        known.entered.retain(|id, label| keys.contains_key(&(label.clone(), id.clone())));
        let changed = known.all.as_ref() != Some(&keys);
        known.all = Some(keys);
        changed
    }

    /// Enters a key that was just created, or that DSS said is there though no listing showed it under its label.
    pub fn created(&self, instance: &str, key: PersonalKey) {
        self.note(instance, Change::Created(key));
    }

    /// Forgets which keys there are: there may be one more.
    pub fn unsure_of_keys(&self, instance: &str) {
        if let Some(known) = self.lock().get_mut(instance) {
            known.keys.all = None;
        }
    }

    /// Strikes out a key that was just deleted.
    pub fn deleted(&self, instance: &str, key: PersonalKey) {
        self.note(instance, Change::Deleted(key));
    }

    /// The keys with this label, from the last listing or, if there is none, from one that is made now. Many who ask at
    /// once wait for the same listing. Only keys whose label begins with `prefix` are kept.
    ///
    /// # Errors
    /// If DSS does not list them.
    pub async fn keys_or_list(
        &self,
        instance: &str,
        dss: &Dss,
        prefix: &str,
        label: &str,
    ) -> Result<Vec<PersonalKey>, DssError> {
        let alone = self.listing(instance);
        let _alone = alone.lock().await;
        if let Some(keys) = self.keys(instance, label) {
            return Ok(keys);
        }
        if self.list_keys(instance, dss, prefix).await? {
            // Whom else that concerns is told with the next listing of all.
            self.lock().entry(instance.to_owned()).or_default().keys.untold = true;
        }
        Ok(self.keys(instance, label).unwrap_or_default())
    }

    /// Lists the keys that are ours, whatever is known of them. Returns whether something else is known now.
    ///
    /// # Errors
    /// If DSS does not list them.
    pub async fn list_keys_anew(&self, instance: &str, dss: &Dss, prefix: &str) -> Result<bool, DssError> {
        let alone = self.listing(instance);
        let _alone = alone.lock().await;
        let changed = self.list_keys(instance, dss, prefix).await?;
        let untold = self.lock().get_mut(instance).is_some_and(|known| std::mem::take(&mut known.keys.untold));
        Ok(changed || untold)
    }

    fn listing(&self, instance: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().entry(instance.to_owned()).or_default().keys.listing.clone()
    }

    async fn list_keys(&self, instance: &str, dss: &Dss, prefix: &str) -> Result<bool, DssError> {
        self.listing_keys(instance);
        let keys = dss.personal_keys().await?;
        let keys = self.under_our_labels(instance, keys).filter(|key| key.label.starts_with(prefix)).collect();
        Ok(self.learn_keys(instance, keys))
    }

    fn under_our_labels(&self, instance: &str, keys: Vec<PersonalKey>) -> impl Iterator<Item = PersonalKey> {
        let entered = self.lock().get(instance).map(|known| known.keys.entered.clone()).unwrap_or_default();
        keys.into_iter().map(move |key| match entered.get(&key.id) {
            Some(label) => PersonalKey { label: label.clone(), ..key },
            None => key,
        })
    }

    fn note(&self, instance: &str, change: Change) {
        let mut instances = self.lock();
        let known = &mut instances.entry(instance.to_owned()).or_default().keys;
        if let Some(keys) = known.all.as_mut() {
            change.enter(keys);
        }
        match &change {
            Change::Created(key) => drop(known.entered.insert(key.id.clone(), key.label.clone())),
            Change::Deleted(key) => drop(known.entered.remove(&key.id)),
        }
        known.since.push(change);
    }

    /// The keys with this label; `None` if the keys have not been listed since the process started.
    #[must_use]
    pub fn keys(&self, instance: &str, label: &str) -> Option<Vec<PersonalKey>> {
        let instances = self.lock();
        let keys = instances.get(instance)?.keys.all.as_ref()?;
        let from = (label.to_owned(), String::new());
        let with_label = keys.range(from..).take_while(|((its, _), _)| its == label);
        let keys = with_label.map(|(_, key)| key.clone()).collect();
        Some(keys)
    }
}
