//! The API key of DSS: whose it has to be, whether the Secret holds it, and where one comes from.
//!
//! It is second to the AWS credential, and neither waits for the other: a renewal carries the key that is there, and a
//! key that cannot be had yet does not hold back a credential. One that proves to be somebody else's takes the credential along.

use super::{
    Accepted, Case, Check, Next, Read, Refusal, SecretAction, Trigger,
    backoff::Failures,
    input::{HeldKey, Observed, Ours, SecretData, SeenKey, Source, Target},
    key::{is_known, is_offered},
    schedule,
};
use crate::{
    api::{ApiKey, ApiKeySecretRef, Reason, Statement},
    digest::Digest,
    secret::{ApiKeyRecord, Record},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use secrecy::{ExposeSecret as _, SecretString};

/// What is asked of a DSS that the config may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DssRequest {
    /// The name of the instance.
    pub instance: String,
    /// The person's login.
    pub login: String,
    /// The API key that the Secret is to hold.
    pub api_key: ApiKeyRequest,
}

/// Which API key the Secret is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyRequest {
    /// None.
    None,
    /// A personal one, which is created. Another rotation means another one.
    Personal {
        /// The rotation.
        rotation: String,
    },
    /// One that a user offers.
    Offered {
        /// Where it is.
        named: ApiKeySecretRef,
        /// The resourceVersion of that Secret: what failed with one may go well with another.
        version: Option<String>,
    },
}

/// Parts whose key is asked for from which.
const WHICH_FOLLOWS: char = '.';

impl DssRequest {
    /// Whose key is asked for, by instance, login and kind; empty if none is.
    #[must_use]
    pub fn whose(&self) -> String {
        let digest = Digest::default().with(&self.instance).with(&self.login);
        match &self.api_key {
            ApiKeyRequest::None => String::new(),
            ApiKeyRequest::Personal { .. } => digest.with("personal").short(),
            ApiKeyRequest::Offered { named, .. } => digest.with("offered").with(&named.name).with(&named.key).short(),
        }
    }

    /// The record of a personal key, or of the offered key with this value, that came from `key`.
    #[must_use]
    pub fn record(&self, key: String, value: &SecretString) -> ApiKeyRecord {
        let which = match &self.api_key {
            ApiKeyRequest::None => return ApiKeyRecord::default(),
            ApiKeyRequest::Personal { rotation } => Digest::default().with(rotation).short(),
            ApiKeyRequest::Offered { .. } => Digest::default().with(value.expose_secret()).short(),
        };
        ApiKeyRecord { key, digest: format!("{}{WHICH_FOLLOWS}{which}", self.whose()) }
    }

    /// Whether a record is of a key of this login, from this instance, of this kind, whichever it is.
    #[must_use]
    pub fn is_whose(&self, record: &ApiKeyRecord) -> bool {
        !record.digest.is_empty() && record.digest.split(WHICH_FOLLOWS).next() == Some(self.whose().as_str())
    }

    /// Whether a record is of what is asked for. Of an offered key that is so while it has not changed.
    #[must_use]
    pub fn is_answered_by(&self, record: &ApiKeyRecord, offered: Option<&SecretString>) -> bool {
        match (&self.api_key, offered) {
            (ApiKeyRequest::None, _) => *record == ApiKeyRecord::default(),
            (ApiKeyRequest::Personal { .. }, _) => {
                record.digest == self.record(String::new(), &SecretString::default()).digest
            }
            (ApiKeyRequest::Offered { .. }, Some(value)) => record.digest == self.record(String::new(), value).digest,
            (ApiKeyRequest::Offered { .. }, None) => self.is_whose(record),
        }
    }
}

/// Which API key goes into the Secret when it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyStep {
    /// None.
    None,
    /// This one.
    Keep(HeldKey),
    /// One that is to be created; if that fails, the former one of the same login. Where that one is what is asked for, it
    /// is missing from a list only, and is taken if DSS still knows it.
    Create {
        /// The former one.
        former: Option<HeldKey>,
    },
    /// The one that a user offers, which was read, if DSS says that it is this login's; while DSS cannot say so, the
    /// former one.
    Deliver {
        /// The one that is offered.
        offered: HeldKey,
        /// The former one.
        former: Option<HeldKey>,
    },
    /// Not before `until`, since an attempt failed; meanwhile the former one.
    Hold {
        /// When it is time.
        until: Timestamp,
        /// The former one.
        former: Option<HeldKey>,
    },
}

impl Case<'_> {
    /// What the config asks of DSS; `None` if nothing.
    pub(super) fn asks_of_dss(&self) -> Result<Option<DssRequest>, Refusal> {
        let (Some(spec), Some(dss)) = (&self.seen.config.spec.dss, &self.seen.dss) else { return Ok(None) };
        let (instance, login) = self.check(Check::DssAllowsLogin, dss.usable(&self.seen.config))?;
        let api_key = match (&spec.api_key_secret_ref, spec.api_key) {
            (Some(named), _) => {
                let shown =
                    if let Source::Offered { version, .. } = &self.seen.api_key_source { version } else { &None };
                ApiKeyRequest::Offered { named: named.clone(), version: shown.clone() }
            }
            (None, ApiKey::Personal) => {
                ApiKeyRequest::Personal { rotation: spec.api_key_rotation.clone().unwrap_or_default() }
            }
            (None, ApiKey::None) => ApiKeyRequest::None,
        };
        Ok(Some(DssRequest { instance: instance.name_any(), login: login.to_owned(), api_key }))
    }

    /// Whether the API key that a user offers is known, or none is asked for.
    pub(super) fn api_key_is_known(&self) -> Result<(), Refusal> {
        let named = self.seen.config.spec.dss.as_ref().and_then(|dss| dss.api_key_secret_ref.as_ref());
        let Some(ApiKeySecretRef { name, .. }) = named else { return Ok(()) };
        let source = &self.seen.api_key_source;
        let offered = is_offered(source, name, "spec.dss.apiKeySecretRef", Read::ApiKeySource);
        self.check(Check::ApiKeyIsOffered, offered)?;
        self.check(Check::ApiKeyIsKnown, is_known(source, name, "API key", Read::ApiKey))
    }

    /// An API key that is another user's withdraws everything, until it is time to try another or another is offered.
    pub(super) fn is_somebody_elses(&self, accepted: &Accepted) -> Option<(Timestamp, Refusal)> {
        accepted.dss.as_ref().filter(|ask| ask.api_key != ApiKeyRequest::None)?;
        let until = self.backing_off(&api_key_attempt(accepted)).filter(|_| awaits_own_key(self.seen));
        let passed = if until.is_some() { Err(()) } else { Ok(()) };
        let _ = self.check(Check::ApiKeyIsTheirs, passed);
        let unsaid = || Statement::new(Reason::DssUserMismatch, "DSS says that the last API key was somebody else's");
        let why = self.failures().wrong_owner().unwrap_or_else(unsaid);
        Some((until?, Refusal { why, withdraws: true, needs: None }))
    }

    pub(super) fn holds_the_api_key(
        &self,
        ours: &Ours,
        record: &Record,
        accepted: &Accepted,
        ask: &DssRequest,
    ) -> Result<(), Next> {
        let offered = self.seen.api_key_source.key().map(AsRef::as_ref);
        let as_asked = ask.is_answered_by(&record.api_key, offered) && !self.is_gone(ask, &record.api_key);
        if as_asked || self.backing_off(&api_key_attempt(accepted)).is_some() {
            return Ok(());
        }
        match &ours.content {
            SecretData::Read(read) if read.credentials.is_none() => Err(SecretAction::Issue(Trigger::Drifted).into()),
            SecretData::Read(_) => Err(SecretAction::Render(Trigger::ApiKey).into()),
            SecretData::Unknown | SecretData::Known => Err(Read::TargetData.into()),
        }
    }

    /// Whether DSS, which lists the keys that are ours, does not list this one, or nothing says any more that there is one:
    /// the finalizer comes before every key and goes after it.
    fn is_gone(&self, ask: &DssRequest, record: &ApiKeyRecord) -> bool {
        if record.key.is_empty() || !matches!(ask.api_key, ApiKeyRequest::Personal { .. }) {
            return false;
        }
        let Some(place) = self.seen.key_places.iter().find(|place| place.instance == ask.instance) else { return true };
        let there = |key: &crate::dss::PersonalKey| key.id == record.key && key.user == ask.login;
        place.keys.as_ref().is_some_and(|keys| !keys.iter().any(there))
    }

    /// The step, with the API key that goes along. A look comes first if the key that is to stay is not at hand.
    pub(super) fn with_api_key(&self, accepted: &Accepted, next: Next) -> (Next, KeyStep) {
        let Some(ask) = &accepted.dss else { return (next, KeyStep::None) };
        let until = self.backing_off(&api_key_attempt(accepted));
        if !matches!(next, Next::Do(SecretAction::Issue(_) | SecretAction::Render(_))) {
            let offered = self.seen.api_key_source.key().map(AsRef::as_ref);
            let missing = self
                .record()
                .is_some_and(|record| record.withdrawn.is_none() && !ask.is_answered_by(&record.api_key, offered));
            // Nothing is written now; what is still missing is not forgotten.
            return match until.filter(|_| missing && next == Next::Do(SecretAction::Keep)) {
                Some(until) => (next, KeyStep::Hold { until, former: None }),
                None => (next, KeyStep::None),
            };
        }
        match &ask.api_key {
            ApiKeyRequest::None => (next, KeyStep::None),
            ApiKeyRequest::Offered { named, .. } => self.with_offered_key(ask, &named.name, next, until),
            ApiKeyRequest::Personal { .. } => self.with_personal_key(ask, next, until),
        }
    }

    fn with_offered_key(&self, ask: &DssRequest, name: &str, next: Next, until: Option<Timestamp>) -> (Next, KeyStep) {
        if let Source::Offered { version, key: SeenKey::Read(key) } = &self.seen.api_key_source {
            let record = ask.record(format!("{name}@{}", version.as_deref().unwrap_or_default()), key);
            let held = HeldKey { record, key: SecretString::clone(key) };
            let delivered = self.record().is_some_and(|record| record.api_key.digest == held.record.digest);
            return match until {
                _ if delivered => (next, KeyStep::Keep(held)),
                Some(until) => (next, KeyStep::Hold { until, former: self.held(ask) }),
                None => (next, KeyStep::Deliver { offered: held, former: self.held(ask) }),
            };
        }
        match self.held(ask) {
            Some(held) => (next, KeyStep::Keep(held)),
            None => (Read::ApiKey.into(), KeyStep::None),
        }
    }

    fn with_personal_key(&self, ask: &DssRequest, next: Next, until: Option<Timestamp>) -> (Next, KeyStep) {
        let held = self.held(ask);
        let is_good = |held: &HeldKey| ask.is_answered_by(&held.record, None) && !self.is_gone(ask, &held.record);
        if let Some(held) = held.clone().filter(is_good) {
            return (next, KeyStep::Keep(held));
        }
        let record = self.record().filter(|record| record.withdrawn.is_none());
        let stands_there = record.is_some_and(|record| ask.is_whose(&record.api_key));
        let unread = matches!(&self.seen.target, Target::Ours(ours) if !matches!(ours.content, SecretData::Read(_)));
        match until {
            _ if held.is_none() && stands_there && unread => (Read::TargetData.into(), KeyStep::None),
            Some(until) => (next, KeyStep::Hold { until, former: held }),
            None => (next, KeyStep::Create { former: held }),
        }
    }

    /// A key of this login that is at hand: remembered, or read from the Secret.
    fn held(&self, ask: &DssRequest) -> Option<HeldKey> {
        let remembered = self.seen.remembered.api_key.clone();
        let read = if let Target::Ours(ours) = &self.seen.target
            && let SecretData::Read(taken) = &ours.content
            && taken.intact
            && let (Some(record), Some(key)) = (&ours.record, &taken.api_key)
        {
            Some(HeldKey { record: record.api_key.clone(), key: key.clone() })
        } else {
            None
        };
        let is_good = |held: &HeldKey| ask.is_whose(&held.record);
        [remembered, read]
            .into_iter()
            .flatten()
            .filter(is_good)
            .max_by_key(|held| ask.is_answered_by(&held.record, None))
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.seen.target.record()
    }

    /// A key without an end that DSS gives is asked for again from time to time: it may be another one now, or denied.
    pub(super) fn is_to_be_checked(&self, record: &Record) -> bool {
        check_at(self.seen, record).is_some_and(|at| at <= self.now)
    }
}

/// Whether the last API key proved to be another user's. Then there has to be a right one before anything is issued.
#[must_use]
pub fn awaits_own_key(seen: &Observed) -> bool {
    let withdrawn = seen.target.record().is_some_and(|record| record.is_withdrawn_for(Reason::DssUserMismatch));
    let failures = Failures::of(&seen.config, seen.remembered.transient.as_ref());
    withdrawn || failures.wrong_owner().is_some()
}

/// Failures of the API key are counted apart from those of the credential.
#[must_use]
pub fn api_key_attempt(accepted: &Accepted) -> String {
    let whose = accepted.dss.as_ref().map(|ask| format!("{:?}", ask.api_key)).unwrap_or_default();
    Digest::default().with("api key").with(&accepted.attempt).with(whose).short()
}

/// When a key without an end that came from DSS is asked for again; spread over `refresh`.
#[must_use]
pub fn check_at(seen: &Observed, record: &Record) -> Option<Timestamp> {
    let from_dss = seen.config.spec.connection.is_some() && record.expires_at.is_none() && record.withdrawn.is_none();
    let instance = seen.dss.as_ref().and_then(|dss| dss.instance.as_ref()).filter(|_| from_dss)?;
    let since = seen.remembered.checked_at.unwrap_or_else(|| record.issued_at.max(seen.started_at));
    let refresh = instance.spec.refresh.length().unwrap_or_default();
    let uid = seen.config.uid().unwrap_or_default();
    since.saturating_add(refresh + schedule::part_of(refresh, &uid)).ok()
}
