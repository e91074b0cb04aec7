//! The surplus API keys, which keyturn deletes in DSS. The label of a key holds the config's UID,
//! and shows that the key is ours. keyturn deletes every key of ours that is not to stay, whether
//! or not status has recorded it. keyturn finds the keys that a crash left behind, and touches
//! nobody else's.

use super::{DssRequest, Input, KeyPlace};
use crate::api::DssKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The surplus keys in one DSS, which keyturn deletes once the Secret is as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurplusKeys {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// Whether the `DssInstance` exists. Without it keyturn can delete nothing.
    pub exists: bool,
    /// The IDs of the keys that stay.
    pub stay: Vec<String>,
    /// Whether the config wants no key there any more. keyturn then removes the finalizer too.
    pub leave: bool,
}

impl SurplusKeys {
    /// The surplus keys in one place; `None` if there are none. `recorded` are the keys in status.
    /// `stay` are the IDs of the keys that the config wants there; `None` if it wants none.
    #[must_use]
    pub fn of(place: &KeyPlace, recorded: &[DssKey], stay: Option<Vec<String>>) -> Option<Self> {
        let leave = stay.is_none();
        let stay = stay.unwrap_or_default();
        // keyturn does not list the keys only for this. If a config has a key there, keyturn waits
        // for the next listing.
        let listed = place.keys.iter().flatten().map(|key| &key.id);
        let recorded = recorded.iter().filter(|key| key.instance == place.instance).map(|key| &key.id);
        let needed = !place.exists || leave || listed.chain(recorded).any(|id| !stay.contains(id));
        needed.then(|| Self { instance: place.instance.clone(), exists: place.exists, stay, leave })
    }
}

impl Input<'_> {
    /// The IDs of the keys that stay: the key in the Secret, the keys that a rotation replaced a
    /// short time ago ([`super::status::KEY_OVERLAP`]), and a key that is not yet in the Secret.
    #[must_use]
    pub fn staying(&self) -> Vec<String> {
        let request = self.request;
        if self.record.is_some_and(|record| record.withdrawn.is_some()) {
            return self.unwritten().into_iter().collect();
        }
        let in_secret = self.record.filter(|record| request.is_whose(&record.api_key));
        let in_secret = in_secret.map(|record| record.api_key.key.clone());
        let recorded = self.recorded.iter().filter(|key| is_of(key, request) && !self.is_past_its_time(key));
        let recorded = recorded.map(|key| key.id.clone());
        let mut stay: Vec<String> = in_secret.into_iter().chain(recorded).chain(self.unwritten()).collect();
        stay.sort();
        stay.dedup();
        stay
    }

    /// The ID of a key that keyturn created and could not write into the Secret yet.
    fn unwritten(&self) -> Option<String> {
        let answers = self.remembered.filter(|held| self.request.is_answered_by(&held.record, None));
        answers.map(|held| held.record.key.clone())
    }

    fn is_past_its_time(&self, key: &DssKey) -> bool {
        key.delete_at.as_ref().is_some_and(|Time(at)| *at <= self.now)
    }
}

fn is_of(key: &DssKey, request: &DssRequest) -> bool {
    key.instance == request.instance && key.login == request.login
}
