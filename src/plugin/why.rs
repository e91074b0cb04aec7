//! `kubectl keyturn why`: the operator's own chain of checks, on the objects as they are now. Pure.

use super::{Answer, live::Live, status::in_words};
use crate::{
    api::{AwsConfig, ConditionType, Reason, find_condition},
    decide::{Blocker, Check, Next, Plan, Read, SecretAction, Trigger, decide, target::Target},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::fmt::Write as _;

/// The lines about one config.
pub(super) fn answer(live: &Live, now: Timestamp) -> Answer {
    let plan = decide(&live.seen, now);
    let config = &live.seen.config;
    let mut text = String::new();
    let subject = config.subject().map_or_else(|| "nobody".to_owned(), |subject| subject.to_string());
    let _ = writeln!(text, "AwsConfig {} in namespace {}, for {subject}", config.name_any(), namespace(config));
    let mut is_known = true;
    for checked in &plan.trace {
        let unreadable = live.unreadable.iter().find(|resource| rests_on(checked.check, resource));
        let mark = match (checked.passed, unreadable) {
            (_, Some(_)) => "?",
            (true, None) => "+",
            (false, None) => "-",
        };
        let _ = write!(text, "  {mark} {}", checked.check.text());
        if let Some(resource) = unreadable {
            let _ = write!(text, " (you may not read {resource}; a cluster admin may)");
            is_known = false;
        }
        text.push('\n');
    }
    if is_known {
        let _ = writeln!(text, "{}", verdict(live, &plan, now));
        for profile in &plan.profiles {
            let verdict = match &profile.accepted {
                Ok(accepted) => format!("AwsRoleGrant \"{}\" allows it", accepted.grant),
                Err(refusal) => format!("{}: {}", refusal.why.reason, refusal.why.message),
            };
            let _ = writeln!(text, "=> profile \"{}\": {verdict}", profile.name);
        }
    } else {
        let _ = writeln!(text, "What you may read does not decide it.");
    }
    let is_fine = said(config, &mut text);
    Answer { text, is_fine }
}

/// Whether a check needs objects of this resource.
fn rests_on(check: Check, resource: &str) -> bool {
    match check {
        Check::SubjectIsNotDenied | Check::GrantAllows => resource == "awsrolegrants",
        Check::NamespaceIsKnown => resource == "namespaces",
        Check::DssAllowsLogin => resource == "dssinstances",
        Check::GeneratedRoleIsOurs | Check::RoleIsNamed => resource == "awsroles",
        Check::KeyIsOffered | Check::ApiKeyIsOffered | Check::TargetIsOurs => resource == "secrets",
        _ => false,
    }
}

fn verdict(live: &Live, plan: &Plan, now: Timestamp) -> String {
    let config = &live.seen.config;
    if let Err(refusal) = &plan.accepted {
        let is_withdrawn = if refusal.withdraws { "no" } else { "not yet" };
        return format!("=> {is_withdrawn}: {}: {}", refusal.why.reason, refusal.why.message);
    }
    let secret = config.target_name();
    match &plan.next {
        Next::Do(SecretAction::Keep) => {
            let expires_at = live.seen.target.record().and_then(|record| record.expires_at);
            let left = expires_at.map(|at| in_words(at.duration_since(now).as_secs()));
            let left = left.map_or("it never expires".to_owned(), |left| format!("{left} left"));
            format!("=> yes: Secret \"{secret}\" holds the credential ({left})")
        }
        Next::Do(SecretAction::Issue(trigger)) => format!("=> keyturn obtains a credential: {}", cause(*trigger)),
        Next::Do(SecretAction::Render(trigger)) => format!("=> keyturn writes the Secret again: {}", cause(*trigger)),
        Next::Do(SecretAction::Hold { until, .. }) => format!("=> keyturn tries again at {until}"),
        Next::Do(SecretAction::Profiles { .. }) => "=> keyturn writes the profiles into the Secret".to_owned(),
        Next::Do(SecretAction::Withdraw(why)) => format!("=> keyturn withdraws the credential: {}", why.message),
        Next::Do(SecretAction::Blocked(Blocker::Secret { owner, .. })) => {
            format!("=> no: Secret \"{secret}\" belongs to {owner}; delete it, or choose another spec.target.name")
        }
        Next::Do(SecretAction::Blocked(Blocker::OlderConfig(other))) => {
            format!(
                "=> no: AwsConfig \"{other}\" is older and asks for Secret \"{secret}\"; choose another spec.target.name"
            )
        }
        Next::Read(Read::Target) if matches!(live.seen.target, Target::NotWatched) => {
            format!("=> allowed; whether Secret \"{secret}\" holds it, you may not read")
        }
        Next::Read(_) => "=> allowed; the operator reads what is in its memory only".to_owned(),
    }
}

fn cause(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::First => "it is the first one",
        Trigger::Restored => "the former one was withdrawn",
        Trigger::Changed => "the request has changed",
        Trigger::Drifted => "somebody edited or deleted the Secret",
        Trigger::Due => "the present one is due for renewal",
        Trigger::Requested => "a new session was requested",
        Trigger::ApiKey => "the API key of DSS has changed",
    }
}

/// Adds the operator's own words from status. Returns whether the config is ready.
fn said(config: &AwsConfig, text: &mut String) -> bool {
    let Some(status) = &config.status else {
        let _ =
            writeln!(text, "The operator has not said anything yet. Does it run, and does it serve this namespace?");
        return false;
    };
    let Some(ready) = find_condition(&status.conditions, ConditionType::Ready) else { return false };
    let is_current = status.observed_generation == config.metadata.generation;
    let of = if is_current { "" } else { " of a former spec" };
    let _ = writeln!(text, "The operator said{of}: Ready={} {}: {}", ready.status, ready.reason, ready.message);
    if let Some(trouble) = status.trouble.as_ref().filter(|trouble| trouble.word != ready.reason) {
        let _ = writeln!(text, "Trouble: {}: {}", trouble.word, trouble.message);
    }
    ready.status == "True" && is_current || ready.reason == Reason::Suspended.as_str() && config.spec.suspend
}

fn namespace(config: &AwsConfig) -> String {
    config.namespace().unwrap_or_default()
}

#[cfg(test)]
mod tests;
