//! keyturn's personal API keys in every DSS.

use super::DssCache;
use crate::dss::{Dss, DssError, PersonalKey};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The cached state of the keys in one DSS.
#[derive(Default)]
pub(super) struct Keys {
    /// The keys by label and ID. Each config searches for those with its own label.
    all: Option<BTreeMap<(String, String), PersonalKey>>,
    /// Held while the keys are listed. Reconciles that need the keys meanwhile wait for the same
    /// listing.
    listing: Arc<tokio::sync::Mutex<()>>,
    /// A listing that was made for one config changed the known keys, and the other configs have
    /// not been enqueued yet.
    untold: bool,
    /// The keys created and deleted since the last listing of keys began.
    since: Vec<Change>,
    /// The labels of keys that were entered one by one, by the keys' IDs. An entry lives as long as
    /// DSS lists the key. By its ID a key is still known as keyturn's after somebody has changed
    /// its label.
    entered: HashMap<String, String>,
}

/// The creation or the deletion of a key.
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
    /// Marks the beginning of a listing. Keys that are created or deleted from here on override the
    /// listing.
    pub(super) fn listing_keys(&self, instance: &str) {
        self.lock().entry(instance.to_owned()).or_default().keys.since.clear();
    }

    /// Records a listing of keyturn's keys. Returns whether the cached keys have changed.
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

    /// Records a key that was just created, or a key of which DSS said that it exists although no
    /// listing showed it under its label.
    pub fn created(&self, instance: &str, key: PersonalKey) {
        self.note(instance, Change::Created(key));
    }

    /// Drops the cached keys, because DSS may hold one more than is known.
    pub fn unsure_of_keys(&self, instance: &str) {
        if let Some(known) = self.lock().get_mut(instance) {
            known.keys.all = None;
        }
    }

    /// Records that a key was just deleted.
    pub fn deleted(&self, instance: &str, key: PersonalKey) {
        self.note(instance, Change::Deleted(key));
    }

    /// Returns the keys with this label from the last listing. Without one, the call lists the
    /// keys. Concurrent callers wait for the same listing. Only keys whose label begins with
    /// `prefix` are cached.
    ///
    /// # Errors
    /// [`DssError`] if DSS does not list the keys.
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
            // The other configs are enqueued after the next listing for all.
            self.lock().entry(instance.to_owned()).or_default().keys.untold = true;
        }
        Ok(self.keys(instance, label).unwrap_or_default())
    }

    /// Lists keyturn's keys, even if they are cached. Returns whether the cached keys have changed
    /// since the last call.
    ///
    /// # Errors
    /// [`DssError`] if DSS does not list the keys.
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

    /// Returns the cached keys with this label; `None` if the keys have not been listed since the
    /// process started or since [`Self::unsure_of_keys`].
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
