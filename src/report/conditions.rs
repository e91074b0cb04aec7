//! The conditions. Each either holds, or has the reason and the message of the obstacle.

use super::{
    Outcome,
    attempt::{current_record, failed, failure},
    confirmation::confirmation_due,
    findings::findings,
    profiles::{profiles_ready, renewal_failing},
    trouble::is_stalled,
};
use crate::{
    api::{ConditionType, ProfileStatus, Reason, Statement, WithdrawalHeld, condition, set_conditions, stalled},
    clock::whole_seconds,
    cluster::CallError,
    decide::{Accepted, Blocker, HoldCause, Plan, SecretAction, api_key_attempt, hold, input::Observed},
    dss_keys::ApiKeyPlan,
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
    profiles: Option<&[ProfileStatus]>,
    further: Vec<Condition>,
    now: Timestamp,
) -> Vec<Condition> {
    let before = seen.config.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let generation = seen.config.metadata.generation;
    let make = |type_, truth: bool, statement: &Statement| condition(type_, truth, statement, generation, now);
    let accepted = match &plan.accepted {
        Ok(accepted) => Ok(allows(accepted)),
        Err(refusal) => Err(match withdrawal_held(seen, plan, outcome, record, now) {
            Some(hold) => seen.brake.statement(&refusal.why, &hold, now),
            None => still_usable(not_withdrawn(refusal.why.clone(), seen, plan, outcome), record, now),
        }),
    };
    let live = record.filter(|record| record.is_live(now));
    let obstacle = obstacle(seen, plan, outcome, record, now);
    let issued = match (live, &plan.accepted) {
        (Some(record), Ok(accepted)) if answers(seen, outcome, accepted, record) => {
            if api_key_missing(seen, outcome, accepted, record) {
                Err(holds_no_key(seen, record, obstacle.clone()))
            } else {
                Ok(holds(seen, record))
            }
        }
        (Some(record), Ok(_)) => Err(holds_another(record, obstacle.clone())),
        (Some(record), Err(_)) => Ok(holds(seen, record)),
        (None, Err(refusal)) => Err(refusal.why.clone()),
        (None, Ok(_)) => {
            Err(obstacle.clone().unwrap_or_else(|| Statement::new(Reason::Pending, "a credential is being issued")))
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
    if ready.as_ref().is_err_and(|why| is_stalled(why.reason, seen, plan)) {
        let unready = wanted.last().map(stalled);
        wanted.extend(unready);
    }
    if let Some(profiles) = profiles {
        let (truth, statement) = profiles_ready(seen, profiles);
        wanted.push(make(ConditionType::ProfilesReady, truth, &statement));
    }
    if let (Ok(_), Ok(_), Some(obstacle)) = (&accepted, &issued, &obstacle) {
        wanted.push(make(ConditionType::RenewalFailing, true, obstacle));
    } else if let Some(failing) = renewal_failing(seen, plan, outcome, profiles.unwrap_or_default()) {
        wanted.push(make(ConditionType::RenewalFailing, true, &failing));
    }
    let due = confirmation_due(seen, plan, now);
    wanted.extend(due.map(|why| make(ConditionType::ConfirmationDue, true, &why)));
    wanted.extend(findings(seen, &before, now));
    wanted.extend(further);
    set_conditions(&before, wanted)
}

/// The hold of a withdrawal, while keyturn holds it back. A hold goes on while the Secret still has
/// the credential and no grant allows it, because a withdrawal may fail, and a new process may not
/// have seen the grants yet.
pub(super) fn withdrawal_held(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    record: Option<&Record>,
    now: Timestamp,
) -> Option<WithdrawalHeld> {
    let record = record.filter(|record| record.is_live(now) && !outcome.deleted)?;
    let before = seen.config.status.as_ref().and_then(|status| status.withdrawal_held.clone());
    let is_refused = plan.accepted.as_ref().is_err_and(|refusal| refusal.why.reason == Reason::NotGranted);
    if plan.is_held() { Some(hold(seen, record, now)) } else { before.filter(|_| is_refused) }
}

/// The statement that a grant allows the request.
pub(super) fn allows(accepted: &Accepted) -> Statement {
    Statement::new(Reason::Granted, format!("AwsRoleGrant \"{}\" allows it", accepted.grant))
}

/// Whether the Secret holds the credential that the config asks for.
fn answers(seen: &Observed, outcome: &Outcome, accepted: &Accepted, record: &Record) -> bool {
    let current = seen.source.key().filter(|_| outcome.written.is_none()).map(Arc::as_ref);
    accepted.request.is_answered_by(&record.issue_digest, current)
}

/// Whether the Secret lacks the API key of DSS that the config asks for.
fn api_key_missing(seen: &Observed, outcome: &Outcome, accepted: &Accepted, record: &Record) -> bool {
    let offered = seen.api_key_source.key().filter(|_| outcome.written.is_none()).map(Arc::as_ref);
    accepted.dss.as_ref().is_some_and(|ask| !ask.is_answered_by(&record.api_key, offered))
}

fn holds_no_key(seen: &Observed, record: &Record, obstacle: Option<Statement>) -> Statement {
    let cause = obstacle.unwrap_or_else(|| Statement::new(Reason::Pending, "the API key of DSS is being obtained"));
    let which = if record.api_key.key.is_empty() { "no API key of DSS" } else { "the former API key of DSS" };
    let held = holds(seen, record).message;
    Statement { message: format!("{}. Until then {held} and {which}", cause.message), ..cause }
}

pub(super) fn holds(seen: &Observed, record: &Record) -> Statement {
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

fn holds_another(record: &Record, obstacle: Option<Statement>) -> Statement {
    let cause = obstacle.unwrap_or_else(|| Statement::new(Reason::Pending, "what was asked for is being issued"));
    let until = record.expires_at.map_or("Until then".to_owned(), |at| format!("Until {at}"));
    Statement { message: format!("{}. {until} the Secret holds {}", cause.message, contents(record)), ..cause }
}

/// The statement, with the consequence for a credential that keyturn handed out: a withdrawn
/// session stays usable until it expires.
fn still_usable(why: Statement, record: Option<&Record>, now: Timestamp) -> Statement {
    let Some(record) = record.filter(|record| !record.has_expired(now) && !record.access_key_id.is_empty()) else {
        return why;
    };
    let (key, cause) = (&record.access_key_id, &why.message);
    let message = match record.expires_at {
        Some(at) => format!("{cause}. The session {key} that was handed out stays usable until {at}"),
        None => format!("{cause}. The key {key} that was handed out stays usable until it is deactivated in IAM"),
    };
    Statement { message, ..why }
}

/// The obstacle to an issue, if there is one.
fn obstacle(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    record: Option<&Record>,
    now: Timestamp,
) -> Option<Statement> {
    let name = seen.config.target_name();
    let foreign = |owner: &str| {
        let message = format!(
            "Secret \"{name}\" exists and is {owner}, not this AwsConfig's; delete it, or set spec.target.name in a new AwsConfig"
        );
        Some(Statement::new(Reason::ForeignTarget, message))
    };
    let marked = |owner: &str| {
        let namespace = seen.config.metadata.namespace.as_deref().unwrap_or_default();
        let message = format!(
            "Secret \"{name}\" bears keyturn's marks and is {owner}, not this AwsConfig's: it was restored from a backup, or copied. \
             keyturn adopts no such Secret, because everybody who may write Secrets can write these marks. Delete it, and keyturn \
             issues a new credential: kubectl -n {namespace} delete secret {name}"
        );
        Some(Statement::new(Reason::ForeignTarget, message))
    };
    let of_older = |config: &str| {
        let message = format!(
            "the name of Secret \"{name}\" belongs to AwsConfig \"{config}\", which has the same target and is older; delete that \
             AwsConfig, or set spec.target.name in a new one"
        );
        Some(Statement::new(Reason::ForeignTarget, message))
    };
    let last_failure = || last_failure(seen, plan).map(|why| with_present_state(why, record, now));
    if let Some(error) = persistent(outcome) {
        return Some(with_present_state(error.statement(), record, now));
    }
    if let Some((error, attempt)) = failed(plan, outcome) {
        if !seen.failures().is_news(error, &attempt) {
            return last_failure();
        }
        return Some(with_present_state(error.why.clone(), record, now));
    }
    match plan.action() {
        _ if outcome.blocked => foreign("somebody else's"),
        Some(SecretAction::Blocked(Blocker::Secret { owner, is_marked: true })) => marked(owner),
        Some(SecretAction::Blocked(Blocker::Secret { owner, .. })) => foreign(owner),
        Some(SecretAction::Blocked(Blocker::OlderConfig(config))) => of_older(config),
        Some(SecretAction::Withdraw(why)) if why.reason == Reason::Expired => {
            let cause = self::last_failure(seen, plan).map(|why| format!(": {}", why.message)).unwrap_or_default();
            Some(Statement::new(Reason::Expired, format!("{}{cause}", why.message)))
        }
        // While an attempt is held back, its failure is the obstacle, and not the withdrawal.
        Some(SecretAction::Withdraw(_)) if failure(seen, plan, outcome, now).is_some() => last_failure(),
        Some(SecretAction::Withdraw(why)) => Some(still_usable(why.clone(), record, now)),
        Some(SecretAction::Hold { until, cause: HoldCause::FoughtOver }) if current_record(seen, outcome).is_none() => {
            let again = format!("Secret \"{name}\" is changed or deleted by somebody else again and again");
            let until = whole_seconds(*until);
            let fought_over = || format!("{again}; it is put right at {until} at the earliest");
            last_failure().or_else(|| Some(Statement::new(Reason::Drifted, fought_over())))
        }
        Some(
            SecretAction::Hold { cause: HoldCause::AskedTooOften, .. }
            | SecretAction::Profiles { held: Some((_, HoldCause::AskedTooOften)) },
        ) => {
            let message = "this AwsConfig or its Secret changes again and again, and keyturn asks STS or DSS for one AwsConfig five times \
                           at once and then once in 10 s; if nobody is trying things out, look for the program that makes the changes \
                           (managedFields)";
            last_failure().or_else(|| Some(Statement::new(Reason::HeldBack, message)))
        }
        Some(SecretAction::Hold { .. } | SecretAction::Profiles { held: Some(_) }) => last_failure(),
        _ if matches!(plan.api_key, ApiKeyPlan::Hold { .. }) => last_failure(),
        _ => None,
    }
}

fn persistent(outcome: &Outcome) -> Option<&CallError> {
    outcome.call_failed.as_ref().filter(|error| error.is_persistent(outcome.failed_before))
}

/// The refusal of a request, with the consequence if keyturn could not withdraw the credential.
fn not_withdrawn(why: Statement, seen: &Observed, plan: &Plan, outcome: &Outcome) -> Statement {
    let withdraws = matches!(plan.action(), Some(SecretAction::Withdraw(_)));
    let failed = persistent(outcome).filter(|_| withdraws && outcome.written.is_none() && !outcome.deleted);
    let Some(error) = failed else { return why };
    let target = seen.config.target_name();
    let message = format!(
        "{}. Secret \"{target}\" still holds the credential, because keyturn cannot withdraw it: {error}; keyturn tries again \
         within a minute",
        why.message
    );
    Statement { message, ..why }
}

/// The last failure of the attempt that is held back: that of the credential, or that of its API
/// key.
fn last_failure(seen: &Observed, plan: &Plan) -> Option<Statement> {
    let accepted = plan.accepted.as_ref().ok()?;
    let failures = seen.failures();
    let of_api_key = || failures.why(&api_key_attempt(accepted)).or_else(|| failures.wrong_owner());
    failures.why(&accepted.attempt).or_else(of_api_key)
}

/// The failure, with the present state of the credential.
pub(super) fn with_present_state(why: Statement, record: Option<&Record>, now: Timestamp) -> Statement {
    match record {
        Some(record)
            if record.is_withdrawn_for(Reason::Expired) || (record.withdrawn.is_none() && record.has_expired(now)) =>
        {
            let at = record.expires_at.map(|at| at.to_string()).unwrap_or_default();
            let message = format!("the credential expired at {at} and could not be renewed: {}", why.message);
            Statement::new(Reason::Expired, message)
        }
        Some(_) if why.reason == Reason::DssUserMismatch => still_usable(why, record, now),
        _ => why,
    }
}
