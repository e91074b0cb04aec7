//! The memory of the process about each object. All of it may be lost: a restart of the process
//! then costs a read or an early retry.

use crate::{
    api::{ConditionType, Statement, Verify},
    credentials::{Issued, Request},
    decide::{
        Next, Plan, RoleStep, SecretAction, Tried, Trigger,
        backoff::{Failures, transient_after},
        input::{Observed, Remembered, SeenRole},
        target::{SecretData, Target},
    },
    dss_keys::{ApiKeyPlan, HeldKey},
    report::{Outcome, ProfileOutcome, failed},
    schedule,
    secret::{SeenKey, Source},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};

/// The memory of the process, by UID of the object.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<HashMap<String, Remembered>>,
    unwritten: Mutex<HashMap<String, Unwritten>>,
    failed_calls: Mutex<HashMap<String, i32>>,
    /// Findings that hold for every object and need no search.
    settled: BTreeMap<ConditionType, Option<Statement>>,
}

/// A session that STS issued and that could not be written to the Secret. keyturn writes it at the
/// next attempt, and does not ask STS for another.
#[derive(Debug)]
struct Unwritten {
    request: String,
    issued: Issued,
}

impl Memory {
    /// Makes the memory of an operator that has no webhook. No pod is missed then, whatever a
    /// former operator recorded.
    #[must_use]
    pub fn without_webhook() -> Self {
        Self { settled: [(ConditionType::PodsMissed, None)].into(), ..Self::default() }
    }

    /// Returns what the process remembers of the object with this UID.
    #[must_use]
    pub fn recall(&self, uid: &str) -> Remembered {
        let mut remembered = self.objects().get(uid).cloned().unwrap_or_default();
        remembered.findings.extend(self.settled.clone());
        remembered
    }

    /// Records the finding of another room about this object; `None` if it found no fault. Returns
    /// whether the finding is new.
    pub fn record_finding(&self, uid: &str, type_: ConditionType, finding: Option<Statement>) -> bool {
        let mut objects = self.objects();
        let findings = &mut objects.entry(uid.to_owned()).or_default().findings;
        findings.insert(type_, finding.clone()) != Some(finding)
    }

    /// Forgets an object that no longer exists.
    pub fn forget(&self, uid: &str) {
        self.objects().remove(uid);
        self.unwritten().retain(|place, _| place.split('/').next() != Some(uid));
        self.failed_calls().retain(|key, _| key.split('/').next() != Some(uid));
    }

    /// The Event of the first issue of this object has been written.
    pub fn told(&self, uid: &str) {
        if let Some(remembered) = self.objects().get_mut(uid) {
            remembered.told = true;
        }
    }

    /// keyturn has tried to write the generated `AwsRole` of this object, and has written it if
    /// `is_written`. The first write of a role is no repair. A repair counts even if it failed,
    /// because the role may be about to be deleted, and then every attempt fails.
    pub fn wrote_role(&self, uid: &str, repairs: bool, is_written: bool, now: Timestamp) {
        let mut objects = self.objects();
        // An object that is gone meanwhile stays forgotten.
        let Some(remembered) = objects.get_mut(uid) else { return };
        if repairs && remembered.had_role {
            count_repair(remembered, now);
        }
        remembered.had_role |= is_written;
    }

    /// Whether the object waits for its turn in the budget of STS, for its credential or for that
    /// of a profile.
    #[must_use]
    pub fn waits_for_turn(&self, uid: &str) -> bool {
        let objects = self.objects();
        let Some(remembered) = objects.get(uid) else { return false };
        remembered.transient.iter().chain(remembered.profiles.values()).any(|backoff| backoff.in_turn)
    }

    /// Counts a failed call to the API server, and returns the time until the retry.
    pub fn call_failed(&self, uid: &str) -> SignedDuration {
        let mut failed = self.failed_calls();
        let count = failed.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        schedule::transient_delay(uid, *count)
    }

    /// The number of reconciles of this object in a row in which a call failed.
    #[must_use]
    pub fn failed_calls_of(&self, uid: &str) -> i32 {
        self.failed_calls().get(uid).copied().unwrap_or_default()
    }

    /// Resets the count of failed calls of this object.
    pub fn call_succeeded(&self, uid: &str) {
        self.failed_calls().remove(uid);
    }

    /// Keeps a session that could not be written. The place is the UID of the config, for a profile
    /// followed by `/` and the name of the profile.
    pub fn keep(&self, place: &str, request: &Request, issued: Issued) {
        self.unwritten().insert(place.to_owned(), Unwritten { request: request.digest(), issued });
    }

    /// Takes the session for this very request that could not be written before, if more than half
    /// of its lifetime remains.
    pub fn take_kept(&self, place: &str, request: &Request, now: Timestamp) -> Option<Issued> {
        let Unwritten { request: kept, issued } = self.unwritten().remove(place)?;
        let expires_at = issued.expires_at?;
        let lifetime = expires_at.duration_since(issued.issued_at);
        let remaining = expires_at.duration_since(now);
        (kept == request.digest() && remaining + remaining > lifetime).then_some(issued)
    }

    /// Records what an outcome shows: the versions that were written or read, the API key, the time
    /// of a check, the repairs, and a transient failure.
    pub fn learn(&self, seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) {
        let uid = seen.config.uid().unwrap_or_default();
        let mut objects = self.objects();
        let remembered = objects.entry(uid.clone()).or_default();
        remembered.looked_at = seen.remembered.looked_at;
        if outcome.attempted.is_some() {
            remembered.attempted.clone_from(&outcome.attempted);
        }
        if let Some(written) = &outcome.written {
            remembered.known_version.clone_from(&written.version);
            remembered.attempted = None;
            remembered.transient = None;
        } else if let Target::Ours(ours) = &seen.target
            && matches!(&ours.content, SecretData::Read(taken) if taken.is_as_written())
        {
            remembered.known_version.clone_from(&ours.metadata.resource_version);
        }
        let as_planned = outcome.written.is_some() || plan.next == Next::Do(SecretAction::Keep);
        if let Source::Offered { version, key: SeenKey::Read(_) } = &seen.source
            && as_planned
        {
            remembered.known_source.clone_from(version);
        }
        if let Source::Offered { version, key: SeenKey::Read(_) } = &seen.api_key_source
            && as_planned
            && outcome.api_key.failed.is_none()
            && !matches!(plan.api_key, ApiKeyPlan::Hold { .. })
        {
            remembered.known_api_key_source.clone_from(version);
        }
        learn_api_key(remembered, seen, outcome);
        if outcome.asked {
            remembered.used_until = Some(schedule::used_until(remembered.used_until, now));
        }
        if outcome.checked || outcome.written.is_some() {
            remembered.checked_at = Some(now);
        }
        if outcome.has_issued(plan) {
            remembered.renewed = seen.config.renewal_request();
        }
        let is_withdrawn = outcome.written.as_ref().is_some_and(|written| written.record.withdrawn.is_some());
        if is_withdrawn || outcome.deleted || seen.config.spec.verify == Verify::None {
            remembered.tried = None;
        }
        if let Some(trial) = &outcome.trial {
            remembered.tried = Some(Box::new(Tried::after(trial, remembered.tried.as_deref(), now)));
        }
        if is_repair(seen, plan) && outcome.issue_failed.is_none() {
            count_repair(remembered, now);
        }
        match (&seen.role, &plan.roles.step) {
            (SeenRole::Shown(_), _) => remembered.had_role = true,
            // The config asks for another role now.
            (_, RoleStep::Write { repairs: false, .. }) => remembered.had_role = false,
            _ => {}
        }
        learn_profiles(remembered, seen, plan, outcome, now);
        for (slot, tried) in &outcome.pushes {
            match tried.failed(remembered.pushes.get(slot), &uid, now) {
                Some(failed) => remembered.pushes.insert(*slot, failed),
                None => remembered.pushes.remove(slot),
            };
        }
        match (failed(plan, outcome), &plan.accepted) {
            (Some((error, attempt)), _) => {
                let failures = Failures::of(&seen.config, remembered.transient.as_ref());
                remembered.transient = transient_after(failures, error, &attempt, &uid, now);
            }
            (None, Err(_)) => remembered.transient = None,
            (None, Ok(_)) => {}
        }
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.objects.lock()
    }

    fn failed_calls(&self) -> MutexGuard<'_, HashMap<String, i32>> {
        self.failed_calls.lock()
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<String, Unwritten>> {
        self.unwritten.lock()
    }
}

/// Counts the transient failures of the profiles. A profile that has its session, or that the
/// config no longer has, has none.
fn learn_profiles(remembered: &mut Remembered, seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) {
    let may_fail = |name: &str| plan.profiles.iter().any(|profile| profile.name == name && profile.accepted.is_ok());
    remembered.profiles.retain(|name, _| may_fail(name));
    for ProfileOutcome { name, attempt, failed } in &outcome.profiles {
        let former = remembered.profiles.remove(name);
        let Some(error) = failed else { continue };
        let failures = Failures::of_profile(&seen.config, name, former.as_ref());
        let uid = seen.config.uid().unwrap_or_default();
        if let Some(backoff) = transient_after(failures, error, attempt, &uid, now) {
            remembered.profiles.insert(name.clone(), backoff);
        }
    }
}

/// Records the API key. A key that was created is remembered even if it could not be written to the
/// Secret. A key that was withdrawn or deleted is forgotten.
fn learn_api_key(remembered: &mut Remembered, seen: &Observed, outcome: &Outcome) {
    // If two instances gave the same ID, the key that still exists is forgotten together with the
    // deleted one. That costs a read.
    let is_deleted = |id: &str| outcome.api_key.deleted.iter().any(|deleted| deleted.id == id);
    remembered.api_key.take_if(|held| is_deleted(&held.record.key));
    if let Some(held) = &outcome.api_key.held {
        remembered.api_key = Some(held.clone());
    } else if let Some(written) = &outcome.written {
        if written.record.api_key.key.is_empty() {
            remembered.api_key = None;
        }
    } else if let Target::Ours(ours) = &seen.target
        && let SecretData::Read(taken) = &ours.content
        && taken.is_as_written()
        && let (Some(record), Some(key)) = (&ours.record, &taken.api_key)
        && remembered.api_key.is_none()
        && !is_deleted(&record.api_key.key)
    {
        remembered.api_key = Some(HeldKey { record: record.api_key.clone(), key: key.clone() });
    }
}

/// Counts a repair. After a time without any, the count begins anew.
fn count_repair(remembered: &mut Remembered, now: Timestamp) {
    let calm = remembered.repaired_at.is_none_or(|last| now.duration_since(last) > schedule::CALM);
    remembered.repairs = if calm { 1 } else { remembered.repairs.saturating_add(1) };
    remembered.repaired_at = Some(now);
}

/// Whether the plan repairs the Secret that another writer changed. It counts even if the write
/// failed, because the object may be about to be deleted, and then every attempt fails.
fn is_repair(seen: &Observed, plan: &Plan) -> bool {
    let ours = if let Target::Ours(ours) = &seen.target { Some(ours) } else { None };
    let edited = ours.is_some_and(|ours| ours.is_edited());
    let record = ours.and_then(|ours| ours.record.as_ref());
    match plan.action() {
        Some(SecretAction::Issue(Trigger::Drifted) | SecretAction::Render(Trigger::Drifted)) => true,
        Some(SecretAction::Withdraw(why)) => edited || record.is_some_and(|record| record.is_withdrawn_for(why.reason)),
        Some(SecretAction::Issue(_) | SecretAction::Render(_)) => edited,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
