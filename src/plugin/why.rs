//! `kubectl keyturn why`: the operator's own chain of checks, on the objects as they are now. Pure.

mod known;
mod said;
mod verdict;

use super::{Answer, Paint, live::Live, screen::harmless};
use crate::decide::{Check, decide};
use jiff::Timestamp;
use known::Known;
use kube::ResourceExt as _;
use std::fmt::Write as _;
use verdict::{Tone, Verdict};

/// The lines about one config.
pub(super) fn answer(live: &Live, now: Timestamp, paint: Paint) -> Answer {
    let plan = decide(&live.seen, now);
    let config = &live.seen.config;
    let known = Known::of(config, &plan);
    let mut text = String::new();
    let subject = config.subject().map_or_else(|| "nobody".to_owned(), |subject| subject.to_string());
    let namespace = config.namespace().unwrap_or_default();
    let _ = writeln!(text, "AwsConfig {} in namespace {namespace}, for {subject}", config.name_any());
    let mut is_decided = true;
    for (check, passed) in known.checks(&plan.trace) {
        let unreadable = live.unreadable.iter().find(|resource| rests_on(check, resource));
        let line = |mark: char, note: &str| format!("  {mark} {}{note}\n", check.text());
        text += &match (passed, unreadable) {
            // The operator could read everything.
            _ if known.is_about(check) => paint.bad(&line('-', " (the operator said so)")),
            (_, Some(resource)) => {
                is_decided = false;
                let note = format!(" (you may not read {resource}; a cluster admin may)");
                paint.unsure(&line('?', &note))
            }
            (true, None) => line('+', ""),
            (false, None) => paint.bad(&line('-', "")),
        };
    }
    let verdict = if is_decided {
        Verdict::of(live, &plan, &known, now)
    } else {
        Verdict { tone: Tone::Unsure, text: "What you may read does not decide it.".to_owned() }
    };
    let said_so = harmless(&verdict.text);
    text += &match verdict.tone {
        Tone::Good => paint.good(&said_so),
        Tone::Bad => paint.bad(&said_so),
        Tone::Unsure => paint.unsure(&said_so),
    };
    text.push('\n');
    if is_decided {
        for profile in &plan.profiles {
            let (said, is_allowed) = match &profile.accepted {
                Ok(accepted) => (format!("AwsRoleGrant \"{}\" allows it", accepted.grant), true),
                Err(refusal) => (format!("{}: {}", refusal.why.reason, refusal.why.message), false),
            };
            let line = harmless(&format!("=> profile \"{}\": {said}\n", profile.name));
            text += &if is_allowed { paint.good(&line) } else { paint.bad(&line) };
        }
    }
    let mut said = String::new();
    let is_fine = said::said(config, &verdict.text, &mut said);
    Answer::of(text + &harmless(&said), is_fine)
}

/// Whether a check needs objects of this resource.
fn rests_on(check: Check, resource: &str) -> bool {
    match check {
        Check::SubjectIsNotDenied | Check::GrantAllows => resource == "awsrolegrants",
        Check::NamespaceIsKnown => resource == "namespaces",
        Check::DssAllowsLogin => resource == "dssinstances",
        Check::RenderedAsAsked => resource == "datarobotinstances",
        Check::GeneratedRoleIsOurs | Check::RoleIsNamed => resource == "awsroles",
        Check::KeyIsOffered | Check::ApiKeyIsOffered | Check::TargetIsOurs => resource == "secrets",
        _ => false,
    }
}

#[cfg(test)]
mod reasons;
#[cfg(test)]
mod tests;
