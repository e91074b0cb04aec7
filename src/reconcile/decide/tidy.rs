//! Which API keys of DSS go. A key is ours by its label, which holds the config's UID; whatever is ours and is not to
//! stay is deleted, known to status or not: so a key that a crash left behind is found, and nobody else's is touched.

use super::{Accepted, Case, KeyAsk, Refusal, Step};
use crate::api::DssKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What is to be tidied up in one DSS, once the Secret is as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tidy {
    /// The name of the instance.
    pub instance: String,
    /// Whether there is such an instance: without one nothing can be deleted.
    pub exists: bool,
    /// The IDs of the keys that stay. If none does, the finalizer goes too.
    pub stay: Vec<String>,
}

impl Case<'_> {
    pub(super) fn tidy(&self, accepted: &Result<Accepted, Refusal>, step: &Step) -> Vec<Tidy> {
        let places = self.seen.key_places.iter();
        let tidy = places.filter_map(|place| {
            let stay = match accepted {
                // What is merely unknown takes nothing away.
                Err(refusal) if !refusal.withdraws => return None,
                Err(_) => vec![],
                Ok(accepted) => self.staying(accepted, step, &place.instance),
            };
            let undue = |keys: &Vec<crate::dss::PersonalKey>| keys.iter().any(|key| !stay.contains(&key.id));
            // A config that has a key needs no look at the list before it is shown anyway.
            let needed = !place.exists || stay.is_empty() || place.keys.as_ref().is_some_and(undue);
            needed.then(|| Tidy { instance: place.instance.clone(), exists: place.exists, stay })
        });
        if is_look(step) { vec![] } else { tidy.collect() }
    }

    /// The key in the Secret, and those that a rotation replaced a short time ago.
    fn staying(&self, accepted: &Accepted, step: &Step, instance: &str) -> Vec<String> {
        let ask = accepted.dss.as_ref().filter(|ask| ask.instance == instance);
        let Some(ask) = ask.filter(|ask| matches!(ask.api_key, KeyAsk::Personal { .. })) else { return vec![] };
        if matches!(step, Step::Withdraw { .. }) {
            return vec![];
        }
        let record = self.record();
        if record.is_some_and(|record| record.withdrawn.is_some()) {
            return self.unwritten(ask);
        }
        let in_secret = record.filter(|record| ask.is_whose(&record.api_key)).map(|record| record.api_key.key.clone());
        let told = self.seen.config.status.as_ref().and_then(|status| status.dss.as_ref());
        let told = told.iter().flat_map(|dss| &dss.keys).filter(|key| key.login == ask.login && !self.is_over(key));
        let told = told.map(|key| key.id.clone());
        let mut stay: Vec<String> = in_secret.into_iter().chain(told).chain(self.unwritten(ask)).collect();
        stay.sort();
        stay.dedup();
        stay
    }

    /// One that was created and could not be written yet.
    fn unwritten(&self, ask: &super::DssAsk) -> Vec<String> {
        let held = self.seen.remembered.api_key.iter();
        held.filter(|held| ask.is_answered_by(&held.record, None)).map(|held| held.record.key.clone()).collect()
    }

    fn is_over(&self, key: &DssKey) -> bool {
        key.delete_at.as_ref().is_some_and(|Time(at)| *at <= self.now)
    }
}

/// Whether a step only asks for more to be known.
pub(in crate::reconcile) fn is_look(step: &Step) -> bool {
    matches!(
        step,
        Step::LookForTarget
            | Step::LookInside
            | Step::LookForRole
            | Step::LookForSource
            | Step::LookAtSource
            | Step::LookForUser
            | Step::LookForApiKey
            | Step::LookAtApiKey
    )
}
