//! What people are told: status, Events, and when to look again. Pure; the writes are in `reconcile`.

use super::{
    decide::{Accepted, Plan, RoleStep, Step, Why, default_external_id, renew_at},
    observed::{Look, Observed, Remembered, SeenKey, Source, Target},
    schedule,
};
use crate::{
    api::{
        AwsConfig, AwsConfigStatus, ConditionType, Failure, Reason, SourceStatus, TargetStatus, condition, names,
        set_conditions,
    },
    clock::whole_seconds,
    cluster::CallError,
    credentials::{IssueError, Pace, Request},
    secret::Record,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta, Time},
};
use kube::{Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Done {
    /// The Secret was written.
    pub written: Option<Written>,
    /// STS gave no credential.
    pub issue_failed: Option<IssueError>,
    /// Somebody else created a Secret of that name first.
    pub blocked: bool,
    /// A call to the API server failed.
    pub call_failed: Option<CallError>,
}

/// The Secret as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says of itself.
    pub record: Record,
    /// Its resourceVersion.
    pub version: Option<String>,
}

/// A reason and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    reason: String,
    message: String,
}

impl Statement {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: reason.as_str().to_owned(), message: message.into() }
    }
}

// ---- Status ---------------------------------------------------------------------------------------------------------

/// The status that says what is true now.
#[must_use]
pub fn status(seen: &Observed, plan: &Plan, done: &Done, now: Timestamp) -> AwsConfigStatus {
    let before = seen.config.status.clone().unwrap_or_default();
    let record = current_record(seen, done);
    let live = record.as_ref().filter(|record| record.is_live(now));
    let generation = seen.config.metadata.generation;
    AwsConfigStatus {
        observed_generation: generation,
        conditions: conditions(seen, plan, done, record.as_ref(), now),
        active_role: plan.active_role.clone(),
        external_id: match &plan.accepted {
            Ok(accepted) => match &accepted.request {
                Request::Session(request) => Some(request.external_id.clone()),
                Request::Key(_) => None,
            },
            Err(_) => plan.active_role.as_ref().map(|_| default_external_id(seen)),
        },
        target: Some(TargetStatus {
            name: seen.config.target_name(),
            resource_version: known_version(seen, done, &before, record.as_ref()),
        }),
        source: source(seen, done, &before),
        access_key_id: live.map(|record| record.access_key_id.clone()),
        person: live.map(|record| record.person.clone()),
        issued_at: live.map(|record| Time(record.issued_at)),
        expires_at: live.and_then(|record| record.expires_at).map(Time),
        renew_at: live.filter(|_| plan.accepted.is_ok()).and_then(|record| renew_at(seen, record)).map(Time),
        failure: plan.accepted.as_ref().ok().and_then(|accepted| failure(seen, accepted, &plan.step, done, now)),
    }
}

/// The Secret that the key was taken from, at the version at which that was.
fn source(seen: &Observed, done: &Done, before: &AwsConfigStatus) -> Option<SourceStatus> {
    let name = seen.config.spec.key_secret_ref.as_ref()?.name.clone();
    match &seen.source {
        Source::Offered { version, key: SeenKey::Read(_) } if done.written.is_some() => {
            Some(SourceStatus { name, resource_version: version.clone() })
        }
        _ => before.source.clone().filter(|source| source.name == name),
    }
}

/// What the Secret says of itself, unless somebody edited it: then its word counts for nothing.
fn current_record(seen: &Observed, done: &Done) -> Option<Record> {
    match (&done.written, &seen.target) {
        (Some(written), _) => Some(written.record.clone()),
        (None, Target::Ours(ours)) if !ours.is_edited() => ours.record.clone(),
        _ => None,
    }
}

/// The version of the Secret at which its content is known. Somebody's label moves it; that alone is no reason to
/// write status, so the older one stays and costs one look after a restart.
fn known_version(seen: &Observed, done: &Done, before: &AwsConfigStatus, record: Option<&Record>) -> Option<String> {
    if let Some(written) = &done.written {
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
        (Look::Needed, _) => None,
        _ => ours.metadata.resource_version.clone(),
    }
}

/// A row of failures goes on while the same is tried for the same spec.
fn failure(seen: &Observed, accepted: &Accepted, step: &Step, done: &Done, now: Timestamp) -> Option<Failure> {
    let before = seen.config.status.as_ref();
    let same_spec = before.is_some_and(|status| status.observed_generation == seen.config.metadata.generation);
    let known = before.and_then(|status| status.failure.clone());
    let known = known.filter(|failure| same_spec && failure.attempt == accepted.attempt);
    match (&done.issue_failed, step) {
        (Some(error), _) if error.pace == Pace::Slow => {
            let count = known.as_ref().map_or(0, |failure| failure.count).saturating_add(1);
            let now = whole_seconds(now);
            Some(Failure {
                count,
                since: known.map_or(Time(now), |failure| failure.since),
                last_at: Time(now),
                next_attempt_at: Time(now.saturating_add(schedule::slow_delay(count)).unwrap_or(now)),
                attempt: accepted.attempt.clone(),
            })
        }
        (Some(_), _) | (None, Step::Hold { .. } | Step::Withdraw { .. }) => known,
        // A reconcile that did not get as far as an attempt ends no failure either.
        (None, _) if done.call_failed.is_some() || holds_nothing(seen, done) => known,
        _ => None,
    }
}

fn holds_nothing(seen: &Observed, done: &Done) -> bool {
    done.written.is_none() && matches!(seen.target, Target::NotWatched)
}

fn conditions(seen: &Observed, plan: &Plan, done: &Done, record: Option<&Record>, now: Timestamp) -> Vec<Condition> {
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
    let trouble = trouble(seen, plan, done, &before, record, now);
    let issued = match (live, &plan.accepted) {
        (Some(record), Ok(accepted)) if answers(seen, done, accepted, record) => Ok(holds(seen, record)),
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
    set_conditions(&before, wanted)
}

/// Whether what the Secret holds is what is asked for.
fn answers(seen: &Observed, done: &Done, accepted: &Accepted, record: &Record) -> bool {
    let current = seen.source.key().filter(|_| done.written.is_none()).map(Arc::as_ref);
    accepted.request.is_answered_by(&record.issue_digest, current)
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
    done: &Done,
    before: &[Condition],
    record: Option<&Record>,
    now: Timestamp,
) -> Option<Statement> {
    if let Some(error) = &done.issue_failed {
        let expired = record.filter(|record| record.withdrawn.as_deref() == Some(Reason::Expired.as_str()));
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
        _ if done.blocked => foreign("somebody else's"),
        Step::Blocked { owner } => foreign(owner),
        Step::Withdraw { reason, message } if *reason == Reason::Expired => {
            let why = previous_trouble(before).map(|statement| format!(": {}", statement.message)).unwrap_or_default();
            Some(Statement::new(*reason, format!("{message}{why}")))
        }
        // What was withdrawn while an attempt is held back: what failed stands in the way, and not the withdrawal.
        Step::Withdraw { .. }
            if plan
                .accepted
                .as_ref()
                .is_ok_and(|accepted| failure(seen, accepted, &plan.step, done, now).is_some()) =>
        {
            previous_trouble(before)
        }
        Step::Withdraw { reason, message } => Some(Statement::new(*reason, still_usable(message.clone(), record, now))),
        Step::Hold { until } if current_record(seen, done).is_none() && seen.target != Target::NotWatched => {
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

// ---- When to look again ----------------------------------------------------------------------------------------------

/// When to look at the object again, whatever else happens.
#[must_use]
pub fn next_look(seen: &Observed, plan: &Plan, done: &Done, remembered: &Remembered, now: Timestamp) -> Timestamp {
    let after = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let record = current_record(seen, done);
    let expiry = record.as_ref().filter(|record| record.withdrawn.is_none()).and_then(|record| record.expires_at);
    let or_expiry = |at: Timestamp| expiry.map_or(at, |expiry| at.min(expiry));
    if let RoleStep::Hold { until } = plan.role {
        return until;
    }
    match (&plan.accepted, &plan.step) {
        (_, Step::LookForTarget | Step::LookInside | Step::LookForRole | Step::LookForSource | Step::LookAtSource) => {
            after(schedule::PENDING)
        }
        (Err(refusal), _) if refusal.reason == Reason::Pending => after(schedule::PENDING),
        (Err(_), _) => or_expiry(after(schedule::RESYNC)),
        _ if done.blocked => after(schedule::FOREIGN_TARGET),
        (Ok(accepted), _) if done.issue_failed.is_some() => {
            or_expiry(next_attempt(seen, accepted, done, remembered, now))
        }
        (Ok(_), Step::Blocked { .. }) => after(schedule::FOREIGN_TARGET),
        (Ok(_), Step::Hold { until }) => or_expiry(*until),
        // Withdrawn for what has changed or for its age: what comes next is decided at once.
        (Ok(_), Step::Withdraw { .. }) => now,
        (Ok(_), _) => match record {
            Some(record) => renew_at(seen, &record).unwrap_or_else(|| after(schedule::RESYNC)),
            None => after(schedule::PENDING),
        },
    }
}

fn next_attempt(
    seen: &Observed,
    accepted: &Accepted,
    done: &Done,
    remembered: &Remembered,
    now: Timestamp,
) -> Timestamp {
    let passing = remembered.passing.as_ref().filter(|passing| passing.attempt == accepted.attempt);
    let slow = || failure(seen, accepted, &Step::Keep, done, now).map(|failure| failure.next_attempt_at.0);
    passing.map(|passing| passing.next_attempt_at).or_else(slow).unwrap_or(now)
}

// ---- Events ----------------------------------------------------------------------------------------------------------

/// Something that a person would want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether it is bad.
    pub warning: bool,
    /// The reason.
    pub reason: String,
    /// What was done, as a verb.
    pub action: &'static str,
    /// The sentence.
    pub note: String,
}

/// What is worth an Event: the first issue and every unusual one, a withdrawal, the beginning and the end of a
/// failure. A routine renewal is no news.
#[must_use]
pub fn news(seen: &Observed, plan: &Plan, done: &Done, before: &AwsConfigStatus, after: &AwsConfigStatus) -> Vec<News> {
    let find = |status: &AwsConfigStatus, type_: ConditionType| {
        status.conditions.iter().find(|condition| condition.type_ == type_.as_str()).cloned()
    };
    let (ready_before, ready) = (find(before, ConditionType::Ready), find(after, ConditionType::Ready));
    let failing = (find(before, ConditionType::RenewalFailing), find(after, ConditionType::RenewalFailing));
    let mut news = Vec::new();
    let repair = matches!(plan.step, Step::Issue(Why::Drifted) | Step::Render(Why::Drifted));
    let drifted = repair && done.written.is_some();
    if drifted {
        let note = format!(
            "Secret \"{}\" was changed or deleted by somebody else and has been put right",
            seen.config.target_name()
        );
        news.push(News { warning: true, reason: Reason::Drifted.to_string(), action: "Repair", note });
    }
    let Some(ready) = ready else { return news };
    let was_ready = ready_before.as_ref().is_some_and(|condition| condition.status == "True");
    if ready.status == "True" {
        let issued = done.written.as_ref().filter(|_| matches!(plan.step, Step::Issue(_)));
        let replaced = matches!(plan.step, Step::Issue(Why::Changed)) && issued.is_some();
        if !was_ready || replaced {
            let until = after.expires_at.as_ref().map(|Time(at)| format!(", valid until {at}")).unwrap_or_default();
            news.push(News {
                warning: false,
                reason: Reason::Issued.to_string(),
                action: "Issue",
                note: format!("{}{until}", ready.message),
            });
        } else if failing.0.is_some() && failing.1.is_none() {
            let note = "renewal works again".to_owned();
            news.push(News { warning: false, reason: Reason::Renewed.to_string(), action: "Renew", note });
        }
        if let (None, Some(failing)) = failing {
            news.push(News { warning: true, reason: failing.reason, action: "Renew", note: failing.message });
        }
    } else if was_ready || ready_before.is_none_or(|before| before.reason != ready.reason) {
        let action = if matches!(plan.step, Step::Withdraw { .. }) { "Withdraw" } else { "Issue" };
        news.push(News { warning: true, reason: ready.reason, action, note: ready.message });
    }
    news
}

impl News {
    /// The same, for the log.
    pub fn log(&self) {
        if self.warning {
            tracing::warn!(reason = self.reason, action = self.action, "{}", self.note);
        } else {
            tracing::info!(reason = self.reason, action = self.action, "{}", self.note);
        }
    }

    /// The Event about `config`, reported by `instance`. Notes are cut at 1,024 bytes (events.k8s.io/v1).
    #[must_use]
    pub fn manifest(&self, config: &AwsConfig, instance: &str, now: Timestamp) -> Event {
        let mut note = self.note.clone();
        while note.len() > 1_024 {
            note.pop();
        }
        // Two Events of one moment have names of their own.
        let hash = Sha256::new().chain_update(&self.reason).chain_update(&note).finalize();
        let unique = format!("{:x}{:02x}{:02x}", now.as_nanosecond(), hash[0], hash[1]);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{unique}", config.name_any())),
                namespace: config.namespace(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: Some(self.action.to_owned()),
            reason: Some(self.reason.clone()),
            note: Some(note),
            type_: Some(if self.warning { "Warning" } else { "Normal" }.to_owned()),
            regarding: Some(config.object_ref(&())),
            reporting_controller: Some(format!("{}/{}", names::GROUP, names::MANAGER)),
            reporting_instance: Some(instance.to_owned()),
            ..Event::default()
        }
    }
}
