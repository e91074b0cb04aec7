//! Which API keys of DSS are deleted. A key is ours by its label, which holds the config's UID. Every key of ours that
//! is not to stay is deleted, whether status has recorded it or not. So a key that a crash left behind is found, and
//! nobody else's is touched.

use super::{DssRequest, Input, KeyPlace};
use crate::api::DssKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The keys in one DSS that are deleted, once the Secret is as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurplusKeys {
    /// The name of the instance.
    pub instance: String,
    /// Whether there is such an instance: without one nothing can be deleted.
    pub exists: bool,
    /// The IDs of the keys that stay.
    pub stay: Vec<String>,
    /// Whether no key is wanted there any more. Then the finalizer is removed too.
    pub leave: bool,
}

impl SurplusKeys {
    /// What is to be deleted in one place; `None` if nothing is. `stay` are the IDs of the keys that are wanted there;
    /// `None` if none is wanted.
    #[must_use]
    pub fn of(place: &KeyPlace, recorded: &[DssKey], stay: Option<Vec<String>>) -> Option<Self> {
        let leave = stay.is_none();
        let stay = stay.unwrap_or_default();
        // A config that has a key needs no listing before one is shown anyway.
        let listed = place.keys.iter().flatten().map(|key| &key.id);
        let recorded = recorded.iter().filter(|key| key.instance == place.instance).map(|key| &key.id);
        let needed = !place.exists || leave || listed.chain(recorded).any(|id| !stay.contains(id));
        needed.then(|| Self { instance: place.instance.clone(), exists: place.exists, stay, leave })
    }
}

impl Input<'_> {
    /// The IDs of the keys that stay: the key in the Secret, and those that a rotation replaced a short time ago.
    #[must_use]
    pub fn staying(&self) -> Vec<String> {
        let request = self.request;
        if self.record.is_some_and(|record| record.withdrawn.is_some()) {
            return self.unwritten().into_iter().collect();
        }
        let in_secret = self.record.filter(|record| request.is_whose(&record.api_key));
        let in_secret = in_secret.map(|record| record.api_key.key.clone());
        let recorded = self.recorded.iter().filter(|key| is_of(key, request) && !self.is_over(key));
        let recorded = recorded.map(|key| key.id.clone());
        let mut stay: Vec<String> = in_secret.into_iter().chain(recorded).chain(self.unwritten()).collect();
        stay.sort();
        stay.dedup();
        stay
    }

    /// A key that was created and could not be written yet.
    fn unwritten(&self) -> Option<String> {
        let answers = self.remembered.filter(|held| self.request.is_answered_by(&held.record, None));
        answers.map(|held| held.record.key.clone())
    }

    fn is_over(&self, key: &DssKey) -> bool {
        key.delete_at.as_ref().is_some_and(|Time(at)| *at <= self.now)
    }
}

fn is_of(key: &DssKey, request: &DssRequest) -> bool {
    key.instance == request.instance && key.login == request.login
}
