//! The part of status about DSS: the login, the role that a template stands for, and the API keys.

use super::{ApiKeyOutcome, ApiKeyRequest, DssRequest};
use crate::{
    api::{DssKey, DssStatus, ResolvedRole},
    clock::whole_seconds,
    secret::Record,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The time for which a key still works after a rotation replaced it. keyturn keeps it that long,
/// because a DSS client keeps the key that it was built with.
pub const KEY_OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// The state of DSS for one config, as far as keyturn knows it after a reconcile.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The request of the config to a DSS, if the config may make it.
    pub request: Option<&'a DssRequest>,
    /// Whether the request is merely unknown yet.
    pub unknown: bool,
    /// The record of the Secret now.
    pub record: Option<&'a Record>,
    /// The record of the Secret before keyturn wrote it; `None` if keyturn did not write it.
    pub replaced: Option<&'a Record>,
    /// Whether finalizers say that any DSS may hold keys of the config.
    pub may_have_keys: bool,
    /// The outcome for the API keys.
    pub outcome: &'a ApiKeyOutcome,
    /// The time of the report.
    pub now: Timestamp,
}

impl Known<'_> {
    /// The part of status that replaces `before`; `None` if it is empty. `resolved` is the role
    /// that the template in `spec.role` stands for.
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
        let is_of_request = |record: &&Record| self.request.is_none_or(|request| request.is_whose(&record.api_key));
        Some(DssStatus {
            whoami: self.record.filter(|record| has_key(record)).filter(is_of_request).map(|_| login.clone()),
            resolved_role: resolved.or_else(|| before.resolved_role.filter(|_| same && self.unknown)),
            instance: if instance.is_empty() { before.instance } else { instance },
            login: if login.is_empty() { before.login } else { login },
            keys,
        })
    }

    /// The keys for status. First comes the key in the Secret. Then come the keys that a rotation
    /// replaced, with the time of their deletion, and the surplus keys that DSS has not let keyturn
    /// delete yet.
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
        // keyturn removes a key from status only after DSS has confirmed the deletion, because a
        // listing may lack a key that exists.
        let deleted = |key: &DssKey| self.outcome.deleted.iter().any(|deleted| is(key, &deleted.instance, &deleted.id));
        // If keyturn was killed after it delivered a key, status may lack the key. The Secret names
        // the key until another key takes its place.
        let replaced = self.replaced.filter(|_| current.is_some()).and_then(entry);
        let is_recorded = |key: &DssKey| before.iter().any(|recorded| is(recorded, &key.instance, &key.id));
        let unrecorded = replaced.filter(|key| !is_recorded(key) && !is_current(key) && !deleted(key)).into_iter();
        let recorded = before.iter().filter(|key| self.may_have_keys && !deleted(key)).cloned();
        let others = unrecorded.chain(recorded.filter(|key| !is_current(key))).map(|key| {
            // An administrator's former keys have left the Secret, and get no time to live on.
            let forbidden = self.outcome.is_of_administrator();
            let rotated = request.is_some_and(|request| request.login == key.login && request.instance == key.instance);
            let wait = if rotated && !forbidden { KEY_OVERLAP } else { SignedDuration::ZERO };
            let at = || Time(whole_seconds(self.now.saturating_add(wait).unwrap_or(self.now)));
            let delete_at = if self.unknown {
                key.delete_at.clone()
            } else {
                Some(key.delete_at.clone().filter(|_| !forbidden).unwrap_or_else(at))
            };
            DssKey { delete_at, ..key }
        });
        let others: Vec<DssKey> = others.collect();
        current.into_iter().chain(others).take(16).collect()
    }
}

fn has_key(record: &Record) -> bool {
    record.withdrawn.is_none() && !record.api_key.key.is_empty()
}
