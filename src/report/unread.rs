//! The report of what keyturn could not read or delete. It changes conditions only, because keyturn
//! has decided nothing: everything else in status stays as it was.

use super::{
    Outcome,
    conditions::{allows, holds, with_present_state},
    findings::is_finding,
    profiles::profiles_ready,
    trouble::trouble,
};
use crate::{
    api::{AwsConfig, AwsConfigStatus, ConditionType, Reason, Statement, condition, find_condition, set_conditions},
    cluster::CallError,
    decide::{Plan, RoleStep, input::Observed},
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The status, if keyturn could not make a read that the decision needs. A credential that is valid
/// stays `Ready`, because nothing says that it is no longer allowed.
///
/// The messages of conditions that stay are made anew, because the view keeps only a digest of a
/// long one.
pub(super) fn unread(
    seen: &Observed,
    plan: &Plan,
    record: Option<&Record>,
    error: &CallError,
    now: Timestamp,
) -> AwsConfigStatus {
    let before = without_messages_of_profiles(seen.config.status.clone().unwrap_or_default());
    let generation = seen.config.metadata.generation;
    let why = with_present_state(error.statement(), record, now);
    let make = |type_, truth, why: &Statement| condition(type_, truth, why, generation, now);
    let is_true = |type_| find_condition(&before.conditions, type_).is_some_and(|condition| condition.status == "True");
    let mut new = Vec::new();
    if is_true(ConditionType::Accepted) {
        let allowed = plan.accepted.as_ref().map_or_else(|_| allowed_before(), allows);
        new.push(make(ConditionType::Accepted, true, &allowed));
    } else {
        new.push(make(ConditionType::Accepted, false, &why));
    }
    let live = record.filter(|record| record.is_live(now)).filter(|_| is_true(ConditionType::Ready));
    let observed_generation = if let Some(record) = live {
        let holds = holds(seen, record);
        new.extend([ConditionType::Issued, ConditionType::Ready].map(|type_| make(type_, true, &holds)));
        new.push(make(ConditionType::RenewalFailing, true, &why));
        before.observed_generation
    } else {
        new.extend([ConditionType::Issued, ConditionType::Ready].map(|type_| make(type_, false, &why)));
        generation
    };
    if let Some(profiles) = &before.profiles {
        let (truth, statement) = profiles_ready(seen, profiles);
        new.push(make(ConditionType::ProfilesReady, truth, &statement));
    }
    let conditions = beside_findings(&before, new);
    AwsConfigStatus { trouble: trouble(&conditions), conditions, observed_generation, ..before }
}

/// The status with a sentence in place of each message of a profile, because the view keeps only a
/// digest of a long one. The reasons stay.
fn without_messages_of_profiles(mut status: AwsConfigStatus) -> AwsConfigStatus {
    for message in status.profiles.iter_mut().flatten().filter_map(|profile| profile.message.as_mut()) {
        "the reason is that of keyturn's last decision; keyturn cannot decide anew".clone_into(message);
    }
    status
}

/// The statement of `Accepted`, while keyturn cannot read what a new decision needs.
fn allowed_before() -> Statement {
    Statement::new(Reason::Granted, "an AwsRoleGrant allowed it when keyturn could last decide")
}

/// The status of a config that is being deleted, if something keeps keyturn from finishing.
#[must_use]
pub fn deleting(config: &AwsConfig, why: &Statement, now: Timestamp) -> AwsConfigStatus {
    let before = without_messages_of_profiles(config.status.clone().unwrap_or_default());
    let message = format!("the AwsConfig is being deleted, and its finalizer waits: {}", why.message);
    let why = Statement { message, ..why.clone() };
    let ready = condition(ConditionType::Ready, false, &why, config.metadata.generation, now);
    let conditions = beside_findings(&before, vec![ready]);
    AwsConfigStatus { trouble: trouble(&conditions), conditions, ..before }
}

/// A new finding about an object: what is wrong with it; `None` if nothing is wrong any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding(pub Option<Statement>);

/// The new finding about the writes and deletions of generated `AwsRole`s; `None` if what is
/// recorded stays true. `failed_before` is the number of attempts in a row before this one that
/// failed.
#[must_use]
pub fn role_finding(
    seen: &Observed,
    step: &RoleStep,
    failed: Option<&CallError>,
    failed_before: i32,
) -> Option<Finding> {
    let type_ = ConditionType::AwsRoleFailing;
    if let Some(error) = failed.filter(|error| error.is_persistent(failed_before)) {
        let message = format!("{error}; the credential does not depend on it; keyturn tries again within a minute");
        return Some(Finding(Some(Statement::new(Reason::ApiCallFailed, message))));
    }
    let has_ended = failed.is_none() && !matches!(step, RoleStep::Hold { .. });
    (is_said(seen, type_) && has_ended).then_some(Finding(None))
}

/// The new finding about the deletions of surplus API keys in DSS; `None` if what is recorded stays
/// true.
#[must_use]
pub fn key_finding(seen: &Observed, outcome: &Outcome) -> Option<Finding> {
    let failed = outcome.api_key.surplus_failed.as_ref();
    if let Some(error) = failed.filter(|error| error.retry.is_of_a_call()) {
        let message = format!(
            "API keys that are no longer wanted are left in DSS, and work there: {}; the credential does not depend on it",
            error.why.message
        );
        return Some(Finding(Some(Statement { message, ..error.why.clone() })));
    }
    // keyturn deletes no key while it cannot write the Secret without it.
    let has_ended = failed.is_none() && outcome.call_failed.is_none() && !outcome.blocked;
    (is_said(seen, ConditionType::DssKeysFailing) && has_ended).then_some(Finding(None))
}

/// Whether a finding of this type is recorded, or was by another process.
fn is_said(seen: &Observed, type_: ConditionType) -> bool {
    let in_status = seen.config.status.as_ref().and_then(|status| find_condition(&status.conditions, type_)).is_some();
    in_status || matches!(seen.remembered.findings.get(&type_), Some(Some(_)))
}

/// These conditions, beside the findings of other rooms.
fn beside_findings(before: &AwsConfigStatus, mut new: Vec<Condition>) -> Vec<Condition> {
    new.extend(before.conditions.iter().filter(|condition| is_finding(condition)).cloned());
    set_conditions(&before.conditions, new)
}
