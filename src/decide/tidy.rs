//! Which API keys of DSS go. A key is ours by its label, which holds the config's UID; whatever is ours and is not to
//! stay is deleted, known to status or not: so a key that a crash left behind is found, and nobody else's is touched.

use super::{Accepted, ApiKeyRequest, Case, DssRequest, Next, Refusal, SecretAction};
use crate::api::DssKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What is to be tidied up in one DSS, once the Secret is as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tidy {
    /// The name of the instance.
    pub instance: String,
    /// Whether there is such an instance: without one nothing can be deleted.
    pub exists: bool,
    /// The IDs of the keys that stay.
    pub stay: Vec<String>,
    /// Whether no key is wanted there any more: then the finalizer goes too.
    pub leave: bool,
}

impl Case<'_> {
    pub(super) fn tidy(&self, accepted: &Result<Accepted, Refusal>, next: &Next) -> Vec<Tidy> {
        let places = self.seen.key_places.iter();
        let tidy = places.filter_map(|place| {
            let (stay, leave) = match accepted {
                // What is merely unknown takes nothing away.
                Err(refusal) if !refusal.withdraws => return None,
                Err(_) => (vec![], true),
                Ok(accepted) => match wanted(accepted, next, &place.instance) {
                    Some(ask) => (self.staying(ask), false),
                    None => (vec![], true),
                },
            };
            // A config that has a key needs no look at the list before it is shown anyway.
            let listed = place.keys.iter().flatten().map(|key| &key.id);
            let told = self.told(&place.instance).map(|key| &key.id);
            let needed = !place.exists || leave || listed.chain(told).any(|id| !stay.contains(id));
            needed.then(|| Tidy { instance: place.instance.clone(), exists: place.exists, stay, leave })
        });
        if matches!(next, Next::Read(_)) { vec![] } else { tidy.collect() }
    }

    /// The key in the Secret, and those that a rotation replaced a short time ago.
    fn staying(&self, ask: &DssRequest) -> Vec<String> {
        let record = self.record();
        if record.is_some_and(|record| record.withdrawn.is_some()) {
            return self.unwritten(ask);
        }
        let in_secret = record.filter(|record| ask.is_whose(&record.api_key)).map(|record| record.api_key.key.clone());
        let told = self.told(&ask.instance).filter(|key| key.login == ask.login && !self.is_over(key));
        let told = told.map(|key| key.id.clone());
        let mut stay: Vec<String> = in_secret.into_iter().chain(told).chain(self.unwritten(ask)).collect();
        stay.sort();
        stay.dedup();
        stay
    }

    /// The keys in an instance that status knows of.
    fn told<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a DssKey> {
        let told = self.seen.config.status.iter().filter_map(|status| status.dss.as_ref()).flat_map(|dss| &dss.keys);
        told.filter(move |key| key.instance == instance)
    }

    /// One that was created and could not be written yet.
    fn unwritten(&self, ask: &DssRequest) -> Vec<String> {
        let held = self.seen.remembered.api_key.iter();
        held.filter(|held| ask.is_answered_by(&held.record, None)).map(|held| held.record.key.clone()).collect()
    }

    fn is_over(&self, key: &DssKey) -> bool {
        key.delete_at.as_ref().is_some_and(|Time(at)| *at <= self.now)
    }
}

/// What is asked of this instance, if a key of ours is. One that is about to be withdrawn is not.
fn wanted<'a>(accepted: &'a Accepted, next: &Next, instance: &str) -> Option<&'a DssRequest> {
    let ask = accepted
        .dss
        .as_ref()
        .filter(|ask| ask.instance == instance && !matches!(next, Next::Do(SecretAction::Withdraw(_))))?;
    matches!(ask.api_key, ApiKeyRequest::Personal { .. }).then_some(ask)
}
