//! The report on the profiles: their part of status, the condition `ProfilesReady`, the event
//! notes, and the time of the next attempt.

use super::{EventNote, Outcome, attempt::current_record, status::is_unknown};
use crate::{
    api::{AwsConfigStatus, ConditionType, Failure, ProfileStatus, Reason, Statement, find_condition},
    credentials::IssueError,
    decide::{
        HoldCause, Plan, ProfilePlan, ProfileStep, SecretAction,
        backoff::{Attempted, durable_after},
        input::{Observed, Remembered},
        profile_renew_at,
    },
    schedule,
    secret::{ProfileRecord, Record},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The outcome of an attempt to obtain the session of a profile.
#[derive(Debug)]
pub struct ProfileOutcome {
    /// The name of the profile.
    pub name: String,
    /// The digest of the attempt.
    pub attempt: String,
    /// The error, if keyturn obtained no session.
    pub failed: Option<IssueError>,
}

/// The part of status about the profiles; `None` if the config has none.
pub(super) fn profiles(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Vec<ProfileStatus>> {
    let record = current_record(seen, outcome);
    let all = plan.profiles.iter().map(|profile| status_of(seen, profile, outcome, record, now));
    Some(all.collect()).filter(|all: &Vec<ProfileStatus>| !all.is_empty())
}

fn status_of(
    seen: &Observed,
    plan: &ProfilePlan,
    outcome: &Outcome,
    record: Option<&Record>,
    now: Timestamp,
) -> ProfileStatus {
    let record = record.and_then(|record| record.profile(&plan.name));
    let live = record.filter(|record| record.is_live(now));
    let role = plan.accepted.as_ref().ok().and_then(|accepted| accepted.request.role()).map(ToString::to_string);
    let (reason, message) = match &plan.accepted {
        Err(refusal) => (refusal.why.reason, Some(still_usable(&refusal.why.message, record, now))),
        Ok(accepted) => {
            let failed = failed(seen, plan, outcome);
            match (live, failed) {
                (Some(live), failed) if accepted.request.is_answered_by(&live.digest, None) => {
                    (Reason::Issued, failed.map(|why| why.message))
                }
                (live, failed) => {
                    let pending = || Statement::new(Reason::Pending, "a session is being issued");
                    let why = failed.unwrap_or_else(pending);
                    let message = match live {
                        Some(live) => format!("{}. {}", why.message, holds_another(live)),
                        None => expired(&why.message, record, now),
                    };
                    (why.reason, Some(message))
                }
            }
        }
    };
    let before = seen.config.status.as_ref().and_then(|status| status.profile(&plan.name));
    let status = ProfileStatus {
        name: plan.name.clone(),
        role: role.or_else(|| before.and_then(|before| before.role.clone())),
        access_key_id: live.map(|live| live.access_key_id.clone()),
        issued_at: live.and_then(|live| live.issued_at).map(Time),
        expires_at: live.and_then(|live| live.expires_at).map(Time),
        reason: reason.to_string(),
        message: message.map(shortened),
        failure: failure(seen, plan, outcome, now),
    };
    match before {
        // The annotations of a Secret whose data is unknown may be anybody's.
        Some(before) if is_unknown(seen, outcome) => ProfileStatus {
            access_key_id: before.access_key_id.clone(),
            issued_at: before.issued_at.clone(),
            expires_at: before.expires_at.clone(),
            ..status
        },
        _ => status,
    }
}

/// The message, cut at its longest.
fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The most characters of the message of a profile.
const LONGEST_MESSAGE: usize = 1_024;

/// The statement with the consequence for a session that keyturn handed out.
fn still_usable(why: &str, record: Option<&ProfileRecord>, now: Timestamp) -> String {
    let handed_out = record.filter(|record| !record.has_expired(now) && !record.access_key_id.is_empty());
    match handed_out.and_then(|record| Some((&record.access_key_id, record.expires_at?))) {
        Some((key, at)) => format!("{why}. The session {key} that was handed out stays usable until {at}"),
        None => why.to_owned(),
    }
}

fn holds_another(live: &ProfileRecord) -> String {
    let until = live.expires_at.map(|at| at.to_string()).unwrap_or_default();
    format!("Until {until} the Secret holds a session of {}", live.role)
}

fn expired(why: &str, record: Option<&ProfileRecord>, now: Timestamp) -> String {
    let at = record.filter(|record| record.has_expired(now)).and_then(|record| record.expires_at);
    match at {
        Some(at) => format!("the session expired at {at} and could not be renewed: {why}"),
        None => why.to_owned(),
    }
}

/// The reason why the last attempt failed, if the attempt that the plan asks for failed or is held
/// back.
fn failed(seen: &Observed, plan: &ProfilePlan, outcome: &Outcome) -> Option<Statement> {
    let accepted = plan.accepted.as_ref().ok()?;
    let failures = seen.failures_of(&plan.name);
    let known = || failures.why(&accepted.attempt);
    let made = outcome.profiles.iter().find(|made| made.name == plan.name);
    match (made, &plan.step) {
        (Some(made), _) => {
            let error = made.failed.as_ref()?;
            if failures.is_news(error, &accepted.attempt) { Some(error.why.clone()) } else { known() }
        }
        (None, ProfileStep::Hold { cause: HoldCause::AskedTooOften, .. }) => known().or_else(|| {
            let message = "this AwsConfig changes again and again, and keyturn asks STS for one AwsConfig five times at once and \
                           then once in 10 s";
            Some(Statement::new(Reason::HeldBack, message))
        }),
        (None, ProfileStep::Keep) => None,
        (None, _) => known(),
    }
}

/// The durable failures of a profile after the attempt; `None` if there are none.
fn failure(seen: &Observed, plan: &ProfilePlan, outcome: &Outcome, now: Timestamp) -> Option<Failure> {
    let accepted = plan.accepted.as_ref().ok()?;
    let attempt = accepted.attempt.as_str();
    let made = outcome.profiles.iter().find(|made| made.name == plan.name);
    let attempted = match (made.map(|made| &made.failed), &plan.step) {
        (Some(Some(error)), _) => Attempted::Failed(error, attempt),
        (Some(None), _) if outcome.written.is_some() => Attempted::Succeeded,
        (None, ProfileStep::Keep) => Attempted::Succeeded,
        _ => Attempted::NotMade,
    };
    durable_after(seen.failures_of(&plan.name), [attempt, attempt], attempted, now)
}

/// The statement of the condition `ProfilesReady`, and whether it is true.
pub(super) fn profiles_ready(seen: &Observed, profiles: &[ProfileStatus]) -> (bool, Statement) {
    let mut obstacles = profiles.iter().filter(|profile| !profile.is_ready()).filter_map(ProfileStatus::obstacle);
    let Some(first) = obstacles.next() else {
        let (target, count) = (seen.config.target_name(), profiles.len());
        let message = format!("Secret \"{target}\" holds a session of every profile ({count})");
        return (true, Statement::new(Reason::Issued, message));
    };
    let messages: Vec<String> = obstacles.map(|obstacle| obstacle.message).collect();
    let message = [first.message].into_iter().chain(messages).collect::<Vec<_>>().join("; ");
    (false, Statement { message, ..first })
}

/// The failure to renew the session of a profile that is still valid.
pub(super) fn renewal_failing(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    profiles: &[ProfileStatus],
) -> Option<Statement> {
    plan.profiles.iter().zip(profiles).filter(|(_, status)| status.is_ready()).find_map(|(plan, status)| {
        let why = failed(seen, plan, outcome)?;
        let until = status.expires_at.as_ref().map(|Time(at)| at.to_string()).unwrap_or_default();
        let message = format!("profile \"{}\": {}. Its session stays valid until {until}", plan.name, why.message);
        Some(Statement { message, ..why })
    })
}

/// The event notes: a profile has got its first session, or has lost it. What is said of the whole
/// config is not repeated for each profile.
pub(super) fn profile_notes(before: &AwsConfigStatus, after: &AwsConfigStatus) -> Vec<EventNote> {
    let accepted = find_condition(&after.conditions, ConditionType::Accepted);
    let of_all = accepted.filter(|accepted| accepted.status != "True").map(|accepted| accepted.reason.as_str());
    let note = |profile: &ProfileStatus| {
        let former = before.profile(&profile.name);
        if former.is_some_and(|former| former.reason == profile.reason) {
            return None;
        }
        if profile.is_ready() {
            let role = profile.role.as_deref().unwrap_or_default();
            let until = profile.expires_at.as_ref().map(|Time(at)| format!(", valid until {at}")).unwrap_or_default();
            let note = format!("profile \"{}\": the Secret holds a session of {role}{until}", profile.name);
            return Some(EventNote { warning: false, reason: profile.reason.clone(), action: "Issue", note });
        }
        let is_silent = profile.reason == Reason::Pending.as_str() || of_all == Some(profile.reason.as_str());
        let obstacle = profile.obstacle().filter(|_| !is_silent)?;
        let was_ready = former.is_some_and(ProfileStatus::is_ready);
        let action = if was_ready { "Withdraw" } else { "Issue" };
        Some(EventNote { warning: true, reason: profile.reason.clone(), action, note: obstacle.message })
    };
    after.profiles.iter().flatten().filter_map(note).collect()
}

/// The reasons for which keyturn took sessions of profiles out of the Secret.
#[must_use]
pub fn withdrawn_profiles(seen: &Observed, outcome: &Outcome) -> Vec<Reason> {
    let former = seen.target.record().map(|record| record.profiles.as_slice()).unwrap_or_default();
    let held = former.iter().filter(|held| held.withdrawn.is_none());
    let written = outcome.written.as_ref().map(|written| &written.record);
    let reason = |held: &ProfileRecord| {
        let now = written?.profile(&held.name)?;
        now.withdrawn.as_deref().and_then(Reason::named)
    };
    held.filter_map(reason).collect()
}

/// The time at which the profiles next need a reconcile; `None` if they need none.
pub(super) fn next_of_profiles(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    remembered: &Remembered,
    now: Timestamp,
) -> Option<Timestamp> {
    // A withdrawal does not wait for the sessions of profiles. They are next.
    let is_withdrawal = matches!(plan.action(), Some(SecretAction::Withdraw(_))) && outcome.written.is_some();
    if is_withdrawal && plan.profiles.iter().any(|plan| matches!(plan.step, ProfileStep::Issue(_))) {
        return Some(now);
    }
    let record = current_record(seen, outcome);
    let of = |plan: &ProfilePlan| {
        let record = record.and_then(|record| record.profile(&plan.name));
        let live = record.filter(|record| record.withdrawn.is_none());
        let expiry = live.and_then(|live| live.expires_at);
        let soon = || now.saturating_add(schedule::PENDING).ok();
        let made = outcome.profiles.iter().find(|made| made.name == plan.name);
        // keyturn obtained no credential for the config, and wrote nothing. The profiles are next.
        if plan.step.writes() && made.is_none() && outcome.issue_failed.is_some() {
            return Some(now);
        }
        let accepted = match &plan.accepted {
            Ok(accepted) => accepted,
            Err(refusal) if refusal.why.reason == Reason::Pending => return soon(),
            Err(_) => return expiry,
        };
        let again = match (made.map(|made| &made.failed), &plan.step) {
            (Some(Some(_)), _) => {
                let transient = remembered.profiles.get(&plan.name).filter(|it| it.attempt == accepted.attempt);
                let durable = || failure(seen, plan, outcome, now).map(|failure| failure.next_attempt_at.0);
                transient.map(|backoff| backoff.next_attempt_at).or_else(durable).or_else(soon)
            }
            (None, ProfileStep::Hold { until, .. }) => Some(*until),
            (None, ProfileStep::Issue(_)) => None,
            _ => return live.and_then(|live| profile_renew_at(seen, live)).or_else(soon),
        };
        match (again, expiry) {
            (Some(again), Some(expiry)) if expiry > now => Some(again.min(expiry)),
            (again, _) => again,
        }
    };
    // What could not be done now, because the Secret is held back or another's, is no reason to
    // decide again at once.
    let next = plan.profiles.iter().filter_map(of).min()?;
    if next > now || outcome.issue_failed.is_some() { Some(next) } else { now.saturating_add(schedule::RESYNC).ok() }
}
