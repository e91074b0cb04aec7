//! What status says of DSS: as whom, what the role stood for, and which API keys there are.

use super::{ApiKeyOutcome, ApiKeyRequest, DssRequest};
use crate::{
    api::{DssKey, DssStatus, ResolvedRole},
    clock::whole_seconds,
    secret::Record,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The time for which a key still works after a rotation replaced it. A DSS client keeps the key that it was built with.
pub const KEY_OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// What is known of DSS after a reconcile.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the config asks of a DSS, if it may.
    pub request: Option<&'a DssRequest>,
    /// Whether what it asks for is merely unknown yet.
    pub unknown: bool,
    /// What the Secret says of itself now.
    pub record: Option<&'a Record>,
    /// What the Secret said of itself before, if it was written.
    pub replaced: Option<&'a Record>,
    /// Whether finalizers say that there may be keys anywhere.
    pub may_have_keys: bool,
    /// What came of the API keys.
    pub outcome: &'a ApiKeyOutcome,
    /// The time of the report.
    pub now: Timestamp,
}

impl Known<'_> {
    /// The status, which replaces `before`; `None` if there is nothing to say. `resolved` is what the role with variables
    /// stands for.
    #[must_use]
    pub fn status(&self, before: Option<DssStatus>, resolved: Option<ResolvedRole>) -> Option<DssStatus> {
        let before = before.unwrap_or_default();
        let (instance, login) = match self.request {
            Some(request) => (request.instance.clone(), request.login.clone()),
            None if self.unknown => (before.instance.clone(), before.login.clone()),
            None => (String::new(), String::new()),
        };
        let keys = self.keys(&before.keys);
        if instance.is_empty() && keys.is_empty() {
            return None;
        }
        let same = before.instance == instance && before.login == login;
        let theirs = |record: &&Record| self.request.is_none_or(|request| request.is_whose(&record.api_key));
        Some(DssStatus {
            whoami: self.record.filter(|record| has_key(record)).filter(theirs).map(|_| login.clone()),
            resolved_role: resolved.or_else(|| before.resolved_role.filter(|_| same && self.unknown)),
            instance: if instance.is_empty() { before.instance } else { instance },
            login: if login.is_empty() { before.login } else { login },
            keys,
        })
    }

    /// The key in the Secret; the keys that a rotation replaced, with the end of their time; and the keys that are to be
    /// deleted and are still there, because DSS did not let keyturn delete them yet.
    fn keys(&self, before: &[DssKey]) -> Vec<DssKey> {
        let personal = |request: &&DssRequest| matches!(request.api_key, ApiKeyRequest::Personal { .. });
        let request = self.request.filter(personal);
        let entry = |record: &Record| {
            let request = request.filter(|request| has_key(record) && request.is_whose(&record.api_key))?;
            Some(DssKey {
                instance: request.instance.clone(),
                id: record.api_key.key.clone(),
                login: request.login.clone(),
                delete_at: None,
            })
        };
        let current = self.record.and_then(entry);
        let is = |key: &DssKey, instance: &str, id: &str| key.instance == instance && key.id == id;
        let is_current = |key: &DssKey| current.as_ref().is_some_and(|current| is(key, &current.instance, &current.id));
        // Only DSS's own word at its deletion strikes a key out, because a list may be shorter than the truth.
        let deleted = |key: &DssKey| self.outcome.deleted.iter().any(|deleted| is(key, &deleted.instance, &deleted.id));
        // A key that was delivered before keyturn was killed may be in no status. The Secret names it until another
        // key takes its place.
        let replaced = self.replaced.filter(|_| current.is_some()).and_then(entry);
        let is_noted = |key: &DssKey| before.iter().any(|noted| is(noted, &key.instance, &key.id));
        let unnoted = replaced.filter(|key| !is_noted(key) && !is_current(key) && !deleted(key)).into_iter();
        let noted = before.iter().filter(|key| self.may_have_keys && !deleted(key)).cloned();
        let others = unnoted.chain(noted.filter(|key| !is_current(key))).map(|key| {
            let rotated = request.is_some_and(|request| request.login == key.login && request.instance == key.instance);
            let wait = if rotated { KEY_OVERLAP } else { SignedDuration::ZERO };
            let at = || Time(whole_seconds(self.now.saturating_add(wait).unwrap_or(self.now)));
            let delete_at =
                if self.unknown { key.delete_at.clone() } else { Some(key.delete_at.clone().unwrap_or_else(at)) };
            DssKey { delete_at, ..key }
        });
        let others: Vec<DssKey> = others.collect();
        current.into_iter().chain(others).take(16).collect()
    }
}

fn has_key(record: &Record) -> bool {
    record.withdrawn.is_none() && !record.api_key.key.is_empty()
}
