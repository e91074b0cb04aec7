//! The conditions: each either holds, or carries the reason and the sentence of what stands in its way.

use super::{
    Outcome, Statement,
    attempt::{current_record, failure},
    pods::pods_missed,
};
use crate::{
    api::{ConditionType, Reason, condition, find_condition, set_conditions},
    clock::whole_seconds,
    credentials::Retry,
    decide::{
        Accepted, KeyStep, Plan, Step,
        input::{Observed, Target},
    },
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::sync::Arc;

pub(super) fn conditions(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    record: Option<&Record>,
    now: Timestamp,
) -> Vec<Condition> {
    let before = seen.config.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let generation = seen.config.metadata.generation;
    let make = |type_, truth: bool, statement: &Statement| {
        condition(type_, truth, &statement.reason, &statement.message, generation, now)
    };
    let accepted = match &plan.accepted {
        Ok(accepted) => Ok(Statement::new(Reason::Granted, format!("AwsRoleGrant \"{}\" allows it", accepted.grant))),
        Err(refusal) => Err(Statement::new(refusal.reason, still_usable(refusal.message.clone(), record, now))),
    };
    let live = record.filter(|record| record.is_live(now));
    let trouble = trouble(seen, plan, outcome, &before, record, now);
    let issued = match (live, &plan.accepted) {
        (Some(record), Ok(accepted)) if answers(seen, outcome, accepted, record) => {
            if api_key_missing(seen, outcome, accepted, record) {
                Err(holds_no_key(seen, record, trouble.clone()))
            } else {
                Ok(holds(seen, record))
            }
        }
        (Some(record), Ok(_)) => Err(holds_another(record, trouble.clone())),
        (Some(record), Err(_)) => Ok(holds(seen, record)),
        (None, Err(refusal)) => Err(Statement::new(refusal.reason, refusal.message.clone())),
        (None, Ok(_)) => {
            Err(trouble.clone().unwrap_or_else(|| Statement::new(Reason::Pending, "a credential is being issued")))
        }
    };
    let ready = match (&accepted, &issued) {
        (Err(refusal), _) => Err(refusal.clone()),
        (Ok(_), other) => other.clone(),
    };
    let mut wanted: Vec<Condition> =
        [(ConditionType::Accepted, &accepted), (ConditionType::Issued, &issued), (ConditionType::Ready, &ready)]
            .map(|(type_, outcome)| match outcome {
                Ok(statement) => make(type_, true, statement),
                Err(statement) => make(type_, false, statement),
            })
            .into();
    if let (Ok(_), Ok(_), Some(trouble)) = (&accepted, &issued, &trouble) {
        wanted.push(make(ConditionType::RenewalFailing, true, trouble));
    }
    wanted.extend(pods_missed(seen, &before, now));
    if let Some(trouble) = restarts(seen, &before) {
        wanted.push(make(ConditionType::RestartFailing, true, &trouble));
    }
    set_conditions(&before, wanted)
}

/// What stands in the way of restarting workloads; until they have been looked at, what was last said of them.
fn restarts(seen: &Observed, before: &[Condition]) -> Option<Statement> {
    if seen.config.spec.restart.is_empty() {
        return None;
    }
    if let Some(restarts) = &seen.remembered.restarts {
        return restarts.as_ref().err().map(|trouble| Statement::new(trouble.reason, trouble.message.clone()));
    }
    find_condition(before, ConditionType::RestartFailing)
        .map(|said| Statement { reason: said.reason.clone(), message: said.message.clone() })
}

/// Whether what the Secret holds is what is asked for.
fn answers(seen: &Observed, outcome: &Outcome, accepted: &Accepted, record: &Record) -> bool {
    let current = seen.source.key().filter(|_| outcome.written.is_none()).map(Arc::as_ref);
    accepted.request.is_answered_by(&record.issue_digest, current)
}

/// Whether the Secret lacks the API key of DSS that is asked for.
fn api_key_missing(seen: &Observed, outcome: &Outcome, accepted: &Accepted, record: &Record) -> bool {
    let offered = seen.api_key_source.key().filter(|_| outcome.written.is_none()).map(Arc::as_ref);
    accepted.dss.as_ref().is_some_and(|ask| !ask.is_answered_by(&record.api_key, offered))
}

fn holds_no_key(seen: &Observed, record: &Record, trouble: Option<Statement>) -> Statement {
    let trouble = trouble.unwrap_or_else(|| Statement::new(Reason::Pending, "the API key of DSS is being obtained"));
    let which = if record.api_key.key.is_empty() { "no API key of DSS" } else { "the former API key of DSS" };
    let meanwhile = format!(". Until then {} and {which}", holds(seen, record).message);
    let cause = trouble.message.split(". Until then Secret").next().unwrap_or_default();
    Statement { message: format!("{cause}{meanwhile}"), reason: trouble.reason }
}

fn holds(seen: &Observed, record: &Record) -> Statement {
    let target = seen.config.target_name();
    Statement::new(Reason::Issued, format!("Secret \"{target}\" holds {}", contents(record)))
}

fn contents(record: &Record) -> String {
    let Record { role, person, access_key_id, .. } = record;
    match role.as_str() {
        "" => format!("the key {access_key_id} for \"{person}\""),
        role => format!("credentials of {role} for \"{person}\""),
    }
}

fn holds_another(record: &Record, trouble: Option<Statement>) -> Statement {
    let trouble = trouble.unwrap_or_else(|| Statement::new(Reason::Pending, "what was asked for is being issued"));
    let until = record.expires_at.map_or("Until then".to_owned(), |at| format!("Until {at}"));
    let meanwhile = format!(". {until} the Secret holds {}", contents(record));
    // What was told before may end with it already.
    let cause = trouble.message.strip_suffix(&meanwhile).unwrap_or(&trouble.message);
    Statement { message: format!("{cause}{meanwhile}"), reason: trouble.reason }
}

/// What a refusal says about a credential that was there: a session that was handed out lives on.
fn still_usable(message: String, record: Option<&Record>, now: Timestamp) -> String {
    let Some(record) = record.filter(|record| !record.has_expired(now) && !record.access_key_id.is_empty()) else {
        return message;
    };
    let key = &record.access_key_id;
    match record.expires_at {
        Some(at) => format!("{message}. The session {key} that was handed out stays usable until {at}"),
        None => format!("{message}. The key {key} that was handed out stays usable until it is deactivated in IAM"),
    }
}

/// What stands in the way of an issue, if anything does.
fn trouble(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    before: &[Condition],
    record: Option<&Record>,
    now: Timestamp,
) -> Option<Statement> {
    let failed = outcome.issue_failed.as_ref().or(outcome.api_key_failed.as_ref());
    if failed.is_some_and(|error| error.retry == Retry::Saturated) {
        return previous_trouble(before);
    }
    if let (None, Some(error)) = (&outcome.issue_failed, &outcome.api_key_failed) {
        let taken = record.filter(|_| error.reason == Reason::DssUserMismatch);
        return Some(Statement::new(error.reason, still_usable(error.message.clone(), taken, now)));
    }
    if let Some(error) = &outcome.issue_failed {
        let expired = record.filter(|record| record.is_withdrawn_for(Reason::Expired));
        return Some(match expired {
            Some(record) => Statement::new(Reason::Expired, format!("{}: {}", expiry(record), error.message)),
            None => Statement::new(error.reason, error.message.clone()),
        });
    }
    let name = seen.config.target_name();
    let foreign = |owner: &str| {
        let message = format!(
            "Secret \"{name}\" exists and is {owner}, not this AwsConfig's; delete it, or set spec.target.name in a new AwsConfig"
        );
        Some(Statement::new(Reason::ForeignTarget, message))
    };
    match &plan.step {
        _ if outcome.blocked => foreign("somebody else's"),
        Step::Blocked { owner } => foreign(owner),
        Step::Withdraw { reason, message } if *reason == Reason::Expired => {
            let why = previous_trouble(before).map(|statement| format!(": {}", statement.message)).unwrap_or_default();
            Some(Statement::new(*reason, format!("{message}{why}")))
        }
        // What was withdrawn while an attempt is held back: what failed stands in the way, and not the withdrawal.
        Step::Withdraw { .. } if failure(seen, plan, outcome, now).is_some() => previous_trouble(before),
        Step::Withdraw { reason, message } => Some(Statement::new(*reason, still_usable(message.clone(), record, now))),
        Step::Hold { until } if current_record(seen, outcome).is_none() && seen.target != Target::NotWatched => {
            let again = format!("Secret \"{name}\" is changed or deleted by somebody else again and again");
            let until = whole_seconds(*until);
            previous_trouble(before)
                .filter(|trouble| {
                    trouble.reason != Reason::Drifted.as_str() && trouble.reason != Reason::Pending.as_str()
                })
                .or_else(|| {
                    Some(Statement::new(
                        Reason::Drifted,
                        format!("{again}; it is put right at {until} at the earliest"),
                    ))
                })
        }
        Step::Hold { .. } => previous_trouble(before),
        _ if matches!(plan.api_key, KeyStep::Hold { .. }) => previous_trouble(before),
        _ => None,
    }
}

fn expiry(record: &Record) -> String {
    let at = record.expires_at.map(|at| at.to_string()).unwrap_or_default();
    format!("the credential expired at {at} and could not be renewed")
}

fn previous_trouble(before: &[Condition]) -> Option<Statement> {
    let is_trouble = |c: &&Condition| {
        c.type_ == ConditionType::RenewalFailing.as_str()
            || (c.type_ == ConditionType::Issued.as_str() && c.status == "False")
    };
    before.iter().rev().find(is_trouble).map(|c| Statement { reason: c.reason.clone(), message: c.message.clone() })
}
