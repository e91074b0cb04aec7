//! The plan for the API key in the Secret. keyturn makes it beside the decision about the
//! credential, and never before it.

use super::{ApiKeyRequest, DssRequest, HeldKey, KeyPlace};
use crate::{
    api::DssKey,
    dss::PersonalKey,
    secret::{ApiKeyRecord, Record, SeenKey, Source},
};
use jiff::Timestamp;
use secrecy::SecretString;

/// Everything that the plan for one API key depends on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The request of the config to its DSS.
    pub request: &'a DssRequest,
    /// The Secret that a user offers, if the config names one.
    pub source: &'a Source<SecretString>,
    /// The record in the annotations of the target.
    pub record: Option<&'a Record>,
    /// The API key in the target, if keyturn has read its data and nobody edited it.
    pub in_target: Option<&'a SecretString>,
    /// Whether the target exists and keyturn has not read its data.
    pub target_is_unread: bool,
    /// Whether status confirms the record of the target. Otherwise keyturn uses the key in it only
    /// after DSS has said whose the key is.
    pub target_is_confirmed: bool,
    /// The key that the process remembers.
    pub remembered: Option<&'a HeldKey>,
    /// The instances of DSS that may hold keys of the config.
    pub places: &'a [KeyPlace],
    /// The keys that status records.
    pub recorded: &'a [DssKey],
    /// The time before which keyturn makes no attempt, because an attempt failed, or because
    /// keyturn has asked too often for this config.
    pub held_until: Option<Timestamp>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The API key that goes into the Secret when keyturn writes the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiKeyPlan {
    /// No API key.
    None,
    /// This key, which keyturn has.
    Keep(HeldKey),
    /// A key that keyturn creates. If that fails, the former key of the same login stays in the
    /// Secret. The former key may be the one that the config asks for, if only a listing of DSS
    /// lacks it. keyturn then keeps it, if DSS still knows it.
    Create {
        /// The former key, if there is one.
        former: Option<HeldKey>,
    },
    /// The key that a user offers, if DSS says that it belongs to this login. While DSS cannot say
    /// that, the former key stays in the Secret.
    Deliver {
        /// The key that the user offers.
        offered: HeldKey,
        /// The former key, if there is one.
        former: Option<HeldKey>,
    },
    /// No attempt before `until`, because an attempt failed, or because keyturn has asked too often
    /// for this config. The former key stays in the Secret.
    Hold {
        /// The time of the next attempt.
        until: Timestamp,
        /// The former key, if there is one.
        former: Option<HeldKey>,
    },
}

/// A read without which the plan is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The data of the target, which holds the key.
    TargetData,
    /// The key that a user offers.
    OfferedKey,
}

impl Input<'_> {
    /// Whether keyturn has nothing to do for the API key, because the target has the key that the
    /// config asks for, or an attempt is held back.
    #[must_use]
    pub fn is_settled(&self, record: &Record) -> bool {
        let as_asked = self.is_answered(&record.api_key) && !self.is_gone(&record.api_key);
        as_asked || self.held_until.is_some()
    }

    /// The plan if keyturn does not write the target now. A key that is held back stays held back.
    #[must_use]
    pub fn without_write(&self) -> ApiKeyPlan {
        let live = self.record.filter(|record| record.withdrawn.is_none());
        let missing = live.is_some_and(|record| !self.is_answered(&record.api_key));
        match self.held_until.filter(|_| missing) {
            Some(until) => ApiKeyPlan::Hold { until, former: None },
            None => ApiKeyPlan::None,
        }
    }

    /// The plan for a write of the target.
    ///
    /// # Errors
    /// The read that has to be made first.
    pub fn for_write(&self) -> Result<ApiKeyPlan, Needs> {
        match &self.request.api_key {
            ApiKeyRequest::None => Ok(ApiKeyPlan::None),
            ApiKeyRequest::Offered { named, .. } => self.offered(&named.name),
            ApiKeyRequest::Personal { .. } => self.personal(),
        }
    }

    fn offered(&self, name: &str) -> Result<ApiKeyPlan, Needs> {
        if let Source::Offered { version, key: SeenKey::Read(key) } = self.source {
            let record = self.request.record(format!("{name}@{}", version.as_deref().unwrap_or_default()), key);
            let offered = HeldKey { record, key: SecretString::clone(key) };
            let delivered = self.record.is_some_and(|record| record.api_key.digest == offered.record.digest);
            return Ok(match self.held_until {
                _ if delivered => ApiKeyPlan::Keep(offered),
                Some(until) => ApiKeyPlan::Hold { until, former: self.held() },
                None => ApiKeyPlan::Deliver { offered, former: self.held() },
            });
        }
        let trusted = self.held().filter(|held| self.is_trusted(held));
        trusted.map(ApiKeyPlan::Keep).ok_or(Needs::OfferedKey)
    }

    fn personal(&self) -> Result<ApiKeyPlan, Needs> {
        let held = self.held();
        let is_good = |held: &HeldKey| self.request.is_answered_by(&held.record, None) && !self.is_gone(&held.record);
        if let Some(held) = held.clone().filter(|held| is_good(held) && self.is_trusted(held)) {
            return Ok(ApiKeyPlan::Keep(held));
        }
        let live = self.record.filter(|record| record.withdrawn.is_none());
        let in_target = live.is_some_and(|record| self.request.is_whose(&record.api_key));
        match self.held_until {
            _ if held.is_none() && in_target && self.target_is_unread => Err(Needs::TargetData),
            Some(until) => Ok(ApiKeyPlan::Hold { until, former: held }),
            None => Ok(ApiKeyPlan::Create { former: held }),
        }
    }

    fn is_answered(&self, record: &ApiKeyRecord) -> bool {
        self.request.is_answered_by(record, self.source.key().map(AsRef::as_ref))
    }

    /// Whether the key no longer exists: the listing of DSS lacks it, or no finalizer says any more
    /// that there may be a key. keyturn writes the finalizer before every key, and removes it after
    /// the key.
    fn is_gone(&self, record: &ApiKeyRecord) -> bool {
        if record.key.is_empty() || !matches!(self.request.api_key, ApiKeyRequest::Personal { .. }) {
            return false;
        }
        let mut places = self.places.iter();
        let Some(place) = places.find(|place| place.instance == self.request.instance) else { return true };
        let there = |key: &PersonalKey| key.id == record.key && key.user == self.request.login;
        place.keys.as_ref().is_some_and(|keys| !keys.iter().any(there))
    }

    /// Whether keyturn may use the key without asking DSS whose it is. Somebody may have written an
    /// unconfirmed target.
    fn is_trusted(&self, held: &HeldKey) -> bool {
        self.target_is_confirmed || self.remembered.is_some_and(|remembered| remembered.record == held.record)
    }

    /// A key of this login that keyturn has: in memory, or read from the target.
    fn held(&self) -> Option<HeldKey> {
        let read = self.record.zip(self.in_target);
        let read = read.map(|(record, key)| HeldKey { record: record.api_key.clone(), key: key.clone() });
        let at_hand = self.remembered.cloned().into_iter().chain(read);
        let of_this_login = at_hand.filter(|held| self.request.is_whose(&held.record));
        of_this_login.max_by_key(|held| self.request.is_answered_by(&held.record, None))
    }
}
