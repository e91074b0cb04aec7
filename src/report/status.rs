//! The status that says what is true now.

use super::{
    Outcome,
    attempt::{current_record, failure},
    conditions::conditions,
    dss::dss,
};
use crate::{
    api::{AwsConfigStatus, Former, SourceStatus, TargetStatus},
    credentials::Request,
    decide::{
        Plan, default_external_id,
        input::{Observed, SecretData, Target},
        renew_at,
    },
    secret::{Record, SeenKey, Source},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The status that says what is true now.
#[must_use]
pub fn status(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> AwsConfigStatus {
    let before = seen.config.status.clone().unwrap_or_default();
    let record = current_record(seen, outcome);
    let live = record.as_ref().filter(|record| record.is_live(now));
    let former = former(&before, live);
    let generation = seen.config.metadata.generation;
    AwsConfigStatus {
        observed_generation: generation,
        conditions: conditions(seen, plan, outcome, record.as_ref(), now),
        active_role: plan.active_role.clone(),
        external_id: match &plan.accepted {
            Ok(accepted) => match &accepted.request {
                Request::Session(request) => Some(request.external_id.clone()),
                Request::Key(_) | Request::Connection(_) => None,
            },
            Err(_) => plan.active_role.as_ref().map(|_| default_external_id(seen)),
        },
        target: Some(TargetStatus {
            name: seen.config.target_name(),
            resource_version: known_version(seen, outcome, &before, record.as_ref()),
        }),
        source: source(seen, outcome, &before),
        dss: dss(seen, plan, outcome, now),
        access_key_id: live.map(|record| record.access_key_id.clone()),
        person: live.map(|record| record.person.clone()),
        issued_at: live.map(|record| Time(record.issued_at)),
        expires_at: live.and_then(|record| record.expires_at).map(Time),
        former,
        renew_at: live.filter(|_| plan.accepted.is_ok()).and_then(|record| renew_at(seen, record)).map(Time),
        failure: failure(seen, plan, outcome, now),
    }
}

/// What a program may still have in its environment: the credential that was there before this one.
fn former(before: &AwsConfigStatus, live: Option<&Record>) -> Option<Former> {
    // Two may be issued within one second, so that their time alone does not tell them apart.
    let is_same = |issued_at: &Time| {
        live.is_some_and(|record| {
            record.issued_at == issued_at.0 && before.access_key_id.as_ref() == Some(&record.access_key_id)
        })
    };
    match &before.issued_at {
        Some(issued_at) if !is_same(issued_at) => {
            Some(Former { issued_at: issued_at.clone(), expires_at: before.expires_at.clone() })
        }
        _ => before.former.clone(),
    }
}

/// The Secret that the key was taken from, at the version at which that was.
fn source(seen: &Observed, outcome: &Outcome, before: &AwsConfigStatus) -> Option<SourceStatus> {
    let name = seen.config.spec.key_secret_ref.as_ref()?.name.clone();
    match &seen.source {
        Source::Offered { version, key: SeenKey::Read(_) } if outcome.written.is_some() => {
            Some(SourceStatus { name, resource_version: version.clone() })
        }
        _ => before.source.clone().filter(|source| source.name == name),
    }
}

/// The version of the Secret at which its content is known. Somebody's label moves it; that alone is no reason to
/// write status, so the older one stays and costs one look after a restart.
fn known_version(
    seen: &Observed,
    outcome: &Outcome,
    before: &AwsConfigStatus,
    record: Option<&Record>,
) -> Option<String> {
    if let Some(written) = &outcome.written {
        return written.version.clone();
    }
    let Target::Ours(ours) = &seen.target else { return None };
    if ours.is_edited() {
        return None;
    }
    let stored = before.target.as_ref().and_then(|target| target.resource_version.clone());
    let same_session = before.issued_at.as_ref().map(|Time(at)| *at) == record.map(|record| record.issued_at);
    match (&ours.content, stored) {
        (_, Some(stored)) if same_session => Some(stored),
        (SecretData::Unknown, _) => None,
        _ => ours.metadata.resource_version.clone(),
    }
}
