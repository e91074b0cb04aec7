//! What status says of DSS: as whom, what the role stood for, and which API keys there are.

use super::{Outcome, attempt::former_record};
use crate::{
    api::{AskedRole, DssKey, DssStatus, ResolvedRole},
    clock::whole_seconds,
    decide::{ApiKeyRequest, DssRequest, Plan, input::Observed, schedule},
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) fn dss(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    before: Option<DssStatus>,
    record: Option<&Record>,
    now: Timestamp,
) -> Option<DssStatus> {
    let before = before.unwrap_or_default();
    let ask = plan.accepted.as_ref().ok().and_then(|accepted| accepted.dss.as_ref());
    let unknown = plan.accepted.as_ref().is_err_and(|refusal| !refusal.withdraws);
    let (instance, login) = match ask {
        Some(ask) => (ask.instance.clone(), ask.login.clone()),
        None if unknown => (before.instance.clone(), before.login.clone()),
        None => (String::new(), String::new()),
    };
    let record = record.filter(|record| record.withdrawn.is_none() && !record.api_key.key.is_empty());
    let keys = keys(seen, outcome, &before, ask, record, unknown, now);
    if instance.is_empty() && keys.is_empty() {
        return None;
    }
    let same = before.instance == instance && before.login == login;
    Some(DssStatus {
        whoami: record.filter(|record| ask.is_none_or(|ask| ask.is_whose(&record.api_key))).map(|_| login.clone()),
        resolved_role: resolved(seen).or_else(|| before.resolved_role.filter(|_| same && unknown)),
        instance: if instance.is_empty() { before.instance } else { instance },
        login: if login.is_empty() { before.login } else { login },
        keys,
    })
}

fn resolved(seen: &Observed) -> Option<ResolvedRole> {
    let Ok(Some(AskedRole::Template(template))) = seen.config.spec.asked_role() else { return None };
    let role = seen.asked_role.as_ref().ok()?.as_ref()?;
    Some(ResolvedRole { from: template.to_string(), role: role.to_string() })
}

/// The key in the Secret; those that a rotation replaced, with the end of their time; and those that are to go and are
/// there still, since DSS did not let us delete them yet.
fn keys(
    seen: &Observed,
    outcome: &Outcome,
    before: &DssStatus,
    ask: Option<&DssRequest>,
    record: Option<&Record>,
    unknown: bool,
    now: Timestamp,
) -> Vec<DssKey> {
    let personal = |ask: &&DssRequest| matches!(ask.api_key, ApiKeyRequest::Personal { .. });
    let ask = ask.filter(personal);
    let current = record.filter(|record| ask.is_some_and(|ask| ask.is_whose(&record.api_key)));
    let entry = |record: &Record| DssKey {
        instance: ask.map(|ask| ask.instance.clone()).unwrap_or_default(),
        id: record.api_key.key.clone(),
        login: ask.map(|ask| ask.login.clone()).unwrap_or_default(),
        delete_at: None,
    };
    let current = current.map(entry);
    let is = |key: &DssKey, instance: &str, id: &str| key.instance == instance && key.id == id;
    let is_current = |key: &DssKey| current.as_ref().is_some_and(|current| is(key, &current.instance, &current.id));
    // Only DSS's own word at its deletion strikes a key out: a list may be shorter than the truth.
    let deleted = |key: &DssKey| outcome.deleted.iter().any(|deleted| is(key, &deleted.instance, &deleted.id));
    let gone = |key: &DssKey| deleted(key) || seen.key_places.is_empty();
    // One that was delivered before we were killed may be in no status. The Secret says which, until another takes its place.
    let taken_out = former_record(seen).filter(|_| outcome.written.is_some() && current.is_some());
    let taken_out = taken_out.filter(|record| record.withdrawn.is_none() && !record.api_key.key.is_empty());
    let taken_out = taken_out.filter(|record| ask.is_some_and(|ask| ask.is_whose(&record.api_key))).map(entry);
    let is_noted = |key: &DssKey| before.keys.iter().any(|noted| is(noted, &key.instance, &key.id));
    let unnoted = taken_out.filter(|key| !is_noted(key) && !is_current(key) && !deleted(key)).into_iter();
    let noted = before.keys.iter().filter(|key| !gone(key)).cloned();
    let others = unnoted.chain(noted.filter(|key| !is_current(key))).map(|key| {
        let replaced = ask.is_some_and(|ask| ask.login == key.login && ask.instance == key.instance);
        let wait = if replaced { schedule::KEY_OVERLAP } else { jiff::SignedDuration::ZERO };
        let at = || Time(whole_seconds(now.saturating_add(wait).unwrap_or(now)));
        let delete_at = if unknown { key.delete_at.clone() } else { Some(key.delete_at.clone().unwrap_or_else(at)) };
        DssKey { delete_at, ..key }
    });
    let others: Vec<DssKey> = others.collect();
    current.into_iter().chain(others).take(16).collect()
}
