//! The status of an `AwsConfig`.

use super::{
    Outcome,
    attempt::{current_record, failure},
    conditions::{conditions, withdrawal_held},
    confirmation::early_confirmation,
    dss::dss,
    profiles::profiles,
    push::{push_condition, pushed},
    trouble::trouble,
    unread::unread,
    verification::verification,
};
use crate::{
    api::{AwsConfigStatus, Former, SourceStatus, TargetStatus},
    credentials::Request,
    decide::{
        Plan, default_external_id,
        input::Observed,
        renew_at,
        target::{SecretData, Target},
    },
    secret::{Record, SeenKey, Source},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The status that reports a plan and its outcome at the time `now`.
#[must_use]
pub fn status(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> AwsConfigStatus {
    let before = seen.config.status.clone().unwrap_or_default();
    let record = current_record(seen, outcome);
    if let (true, Some(error)) = (outcome.unread, &outcome.call_failed) {
        return unread(seen, plan, record, error, now);
    }
    let live = record.filter(|record| record.is_live(now));
    let credential = Reported::of(seen, outcome, &before, record, now);
    let generation = seen.config.metadata.generation;
    let profiles = profiles(seen, plan, outcome, now);
    let verified = verification(seen, plan, outcome, now);
    let push = pushed(seen, plan, outcome, now);
    let push_said = push_condition(seen, plan, outcome, push.as_deref(), now);
    let further = verified.condition.into_iter().chain(push_said).collect();
    let conditions = conditions(seen, plan, outcome, record, profiles.as_deref(), further, now);
    AwsConfigStatus {
        observed_generation: generation,
        trouble: trouble(&conditions),
        conditions,
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
            resource_version: known_version(seen, outcome, &before, record),
            content_digest: content_digest(seen, outcome, &before),
        }),
        source: source(seen, outcome, &before),
        dss: dss(seen, plan, outcome, now),
        access_key_id: credential.access_key_id,
        person: credential.person,
        issued_at: credential.issued_at,
        expires_at: credential.expires_at,
        former: credential.former,
        renew_at: live.filter(|_| plan.accepted.is_ok()).and_then(|record| renew_at(seen, record)).map(Time),
        early_confirmation: early_confirmation(seen, before.early_confirmation.as_ref(), now),
        renewed: if outcome.has_issued(plan) {
            seen.config.renewal_request()
        } else {
            seen.remembered.renewed.clone().or(before.renewed)
        },
        verified_request: verified.request,
        withdrawal_held: withdrawal_held(seen, plan, outcome, record, now),
        failure: failure(seen, plan, outcome, now),
        profiles,
        push,
    }
}

/// The fields of status about the credential in the Secret.
struct Reported {
    access_key_id: Option<String>,
    person: Option<String>,
    issued_at: Option<Time>,
    expires_at: Option<Time>,
    former: Option<Former>,
}

impl Reported {
    /// The fields for the credential of `record`, if it is live. While the data of the Secret is
    /// unknown, its annotations may be anybody's, and the fields stay as they were.
    fn of(
        seen: &Observed,
        outcome: &Outcome,
        before: &AwsConfigStatus,
        record: Option<&Record>,
        now: Timestamp,
    ) -> Self {
        let has_expired = before.expires_at.as_ref().is_some_and(|Time(at)| *at <= now);
        if is_unknown(seen, outcome) && !has_expired {
            return Self {
                access_key_id: before.access_key_id.clone(),
                person: before.person.clone(),
                issued_at: before.issued_at.clone(),
                expires_at: before.expires_at.clone(),
                former: before.former.clone(),
            };
        }
        let record = record.filter(|_| !is_unknown(seen, outcome));
        let live = record.filter(|record| record.is_live(now));
        let holds_any = |record: &&Record| record.profiles.iter().any(|profile| profile.is_live(now));
        let of_a_person = live.or_else(|| record.filter(holds_any));
        Self {
            access_key_id: live.map(|record| record.access_key_id.clone()),
            person: of_a_person.map(|record| record.person.clone()),
            issued_at: live.map(|record| Time(record.issued_at)),
            expires_at: live.and_then(|record| record.expires_at).map(Time),
            former: former(before, live),
        }
    }
}

/// Whether somebody has written the Secret since keyturn last read or wrote it.
pub(super) fn is_unknown(seen: &Observed, outcome: &Outcome) -> bool {
    let is_unknown = matches!(&seen.target, Target::Ours(ours) if ours.content == SecretData::Unknown);
    is_unknown && outcome.written.is_none() && !outcome.deleted
}

/// The digest of what keyturn wrote last. A digest that keyturn reads in the Secret is recorded
/// only if it is that of a write of this process that got no answer. Any other may be the work of
/// anybody who may patch the Secret.
fn content_digest(seen: &Observed, outcome: &Outcome, before: &AwsConfigStatus) -> Option<String> {
    match (&outcome.written, &seen.target) {
        (Some(written), _) => Some(written.record.content_digest.clone()),
        (None, Target::Ours(ours)) if !outcome.deleted => {
            let attempted = seen.remembered.attempted.as_ref();
            let is_read = matches!(&ours.content, SecretData::Read(read) if read.is_as_written());
            let written = ours.record.as_ref().map(|record| &record.content_digest);
            if is_read && attempted.is_some() && attempted == written {
                return attempted.cloned();
            }
            before.target.as_ref().and_then(|target| target.content_digest.clone())
        }
        _ => None,
    }
}

/// The credential before the present one, which a program may still have in its environment.
fn former(before: &AwsConfigStatus, live: Option<&Record>) -> Option<Former> {
    // The time alone does not distinguish two credentials, because keyturn may issue both within
    // one second.
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

/// The Secret that keyturn took the AWS key from, with its resourceVersion at that time.
fn source(seen: &Observed, outcome: &Outcome, before: &AwsConfigStatus) -> Option<SourceStatus> {
    let name = seen.config.spec.key_secret_ref.as_ref()?.name.clone();
    match &seen.source {
        Source::Offered { version, key: SeenKey::Read(_) } if outcome.written.is_some() => {
            Some(SourceStatus { name, resource_version: version.clone() })
        }
        _ => before.source.clone().filter(|source| source.name == name),
    }
}

/// The resourceVersion of the Secret at which its content is known. If somebody adds a label, the
/// Secret has a new resourceVersion. keyturn does not write status for that alone. The older
/// resourceVersion stays in status, and costs one read after a restart.
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
    if ours.is_edited() || outcome.deleted {
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
