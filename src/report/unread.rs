//! The report of what keyturn could not read or delete. It changes conditions only, because keyturn
//! has decided nothing: everything else in status stays as it was.

use super::conditions::{call_failed, with_present_state};
use crate::{
    api::{AwsConfig, AwsConfigStatus, ConditionType, Statement, condition, find_condition, set_conditions},
    cluster::CallError,
    decide::input::Observed,
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The status, if keyturn could not make a read that the decision needs. A credential that is valid
/// stays `Ready`, because nothing says that it is no longer allowed.
pub(super) fn unread(
    seen: &Observed,
    before: AwsConfigStatus,
    record: Option<&Record>,
    error: &CallError,
    now: Timestamp,
) -> AwsConfigStatus {
    let generation = seen.config.metadata.generation;
    let why = with_present_state(call_failed(error), record, now);
    let make = |type_, truth| condition(type_, truth, &why, generation, now);
    let is_true = |type_| find_condition(&before.conditions, type_).is_some_and(|condition| condition.status == "True");
    let is_valid = is_true(ConditionType::Ready) && record.is_some_and(|record| record.is_live(now));
    if is_valid {
        let failing = make(ConditionType::RenewalFailing, true);
        return AwsConfigStatus { conditions: replaced(&before, vec![failing]), ..before };
    }
    let mut new = vec![make(ConditionType::Issued, false), make(ConditionType::Ready, false)];
    if !is_true(ConditionType::Accepted) {
        new.push(make(ConditionType::Accepted, false));
    }
    let mut conditions = replaced(&before, new);
    conditions.retain(|condition| condition.type_ != ConditionType::RenewalFailing.as_str());
    AwsConfigStatus { conditions, observed_generation: generation, ..before }
}

/// The status of a config that is being deleted, if something keeps keyturn from finishing.
#[must_use]
pub fn deleting(config: &AwsConfig, why: &Statement, now: Timestamp) -> AwsConfigStatus {
    let before = config.status.clone().unwrap_or_default();
    let message = format!("the AwsConfig is being deleted, and its finalizer waits: {}", why.message);
    let why = Statement { message, ..why.clone() };
    let ready = condition(ConditionType::Ready, false, &why, config.metadata.generation, now);
    AwsConfigStatus { conditions: replaced(&before, vec![ready]), ..before }
}

/// The conditions, with these in the place of the former ones of their types.
fn replaced(before: &AwsConfigStatus, new: Vec<Condition>) -> Vec<Condition> {
    let is_replaced = |former: &&Condition| new.iter().any(|condition| condition.type_ == former.type_);
    let kept: Vec<Condition> = before.conditions.iter().filter(|former| !is_replaced(former)).cloned().collect();
    set_conditions(&before.conditions, kept.into_iter().chain(new).collect())
}
