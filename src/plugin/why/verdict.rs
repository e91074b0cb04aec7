//! The verdict about a config: what the chain of checks comes to. Pure.

use super::{Known, Live};
use crate::{
    api::{ConditionType, Failure, Statement, find_condition},
    decide::{Blocker, HoldCause, Next, Plan, Read, SecretAction, Trigger, target::Target},
    plugin::status::in_words,
};
use jiff::Timestamp;

/// Whether a verdict is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Unsure,
}

/// The verdict, in one line.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Verdict {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    fn no(why: &Statement) -> Self {
        Self::new(Tone::Bad, format!("=> no: {}: {}", why.reason, why.message))
    }

    /// The verdict of a plan, and of the obstacle that only the operator sees.
    pub(super) fn of(live: &Live, plan: &Plan, known: &Known, now: Timestamp) -> Self {
        if let Some(why) = &known.why {
            // A live credential stays in the Secret while its renewal fails.
            return if is_ready(live) { renewal_fails(live, why, now) } else { Self::no(why) };
        }
        if let Err(refusal) = &plan.accepted {
            return match &plan.next {
                Next::Do(SecretAction::Hold { until, cause: HoldCause::Brake }) => Self::new(
                    Tone::Bad,
                    format!(
                        "=> no: {}: {}; keyturn holds the withdrawal back, and the Secret keeps the credential until {until}",
                        refusal.why.reason, refusal.why.message
                    ),
                ),
                _ if refusal.withdraws => Self::no(&refusal.why),
                _ => Self::new(Tone::Unsure, format!("=> not yet: {}: {}", refusal.why.reason, refusal.why.message)),
            };
        }
        of_next(live, &plan.next, now)
    }
}

fn is_ready(live: &Live) -> bool {
    let status = live.seen.config.status.as_ref();
    let ready = status.and_then(|status| find_condition(&status.conditions, ConditionType::Ready));
    let is_current = status.and_then(|status| status.observed_generation) == live.seen.config.metadata.generation;
    is_current && ready.is_some_and(|ready| ready.status == "True")
}

fn left(live: &Live, now: Timestamp) -> String {
    let expires_at = live.seen.target.record().and_then(|record| record.expires_at);
    let left = expires_at.map(|at| in_words(at.duration_since(now).as_secs()));
    left.map_or("it never expires".to_owned(), |left| if left == "expired" { left } else { format!("{left} left") })
}

fn renewal_fails(live: &Live, why: &Statement, now: Timestamp) -> Verdict {
    let text = format!(
        "=> yes: Secret \"{}\" holds the credential ({}), and its renewal fails: {}: {}",
        live.seen.config.target_name(),
        left(live, now),
        why.reason,
        why.message
    );
    Verdict::new(Tone::Unsure, text)
}

fn of_next(live: &Live, next: &Next, now: Timestamp) -> Verdict {
    let config = &live.seen.config;
    let secret = config.target_name();
    let status = config.status.as_ref();
    let failing = status.and_then(|status| find_condition(&status.conditions, ConditionType::RenewalFailing));
    let (tone, text) = match next {
        // The credential of the config itself stays. The profiles have lines of their own.
        Next::Do(SecretAction::Keep | SecretAction::Profiles { held: None }) => {
            (Tone::Good, format!("=> yes: Secret \"{secret}\" holds the credential ({})", left(live, now)))
        }
        Next::Do(_) if failing.is_some() && is_ready(live) => {
            let (reason, message) = failing.map(|it| (it.reason.clone(), it.message.clone())).unwrap_or_default();
            let held = format!("=> yes: Secret \"{secret}\" holds the credential ({})", left(live, now));
            (Tone::Unsure, format!("{held}, and its renewal fails: {reason}: {message}"))
        }
        Next::Do(SecretAction::Issue(trigger)) => {
            (Tone::Unsure, format!("=> keyturn obtains a credential: {}", cause(*trigger)))
        }
        Next::Do(SecretAction::Render(trigger)) => {
            (Tone::Unsure, format!("=> keyturn writes the Secret again: {}", cause(*trigger)))
        }
        Next::Do(SecretAction::Hold { until, .. } | SecretAction::Profiles { held: Some((until, _)) }) => {
            let why = status.and_then(|status| status.failure.as_ref()).and_then(Failure::why);
            let why = why.map(|why| format!("{}: {}; ", why.reason, why.message)).unwrap_or_default();
            (Tone::Bad, format!("=> no: {why}keyturn tries again at {until}"))
        }
        Next::Do(SecretAction::Withdraw(why)) => {
            (Tone::Bad, format!("=> keyturn withdraws the credential: {}: {}", why.reason, why.message))
        }
        Next::Do(SecretAction::Blocked(Blocker::Secret { owner, .. })) => {
            let text = format!("Secret \"{secret}\" is {owner}; delete it, or choose another spec.target.name");
            (Tone::Bad, format!("=> no: ForeignTarget: {text}"))
        }
        Next::Do(SecretAction::Blocked(Blocker::OlderConfig(other))) => {
            let text = format!(
                "AwsConfig \"{other}\" is older and asks for Secret \"{secret}\", too; choose another spec.target.name"
            );
            (Tone::Bad, format!("=> no: ForeignTarget: {text}"))
        }
        Next::Read(Read::Target) if matches!(live.seen.target, Target::NotWatched) => {
            (Tone::Unsure, format!("=> allowed; whether Secret \"{secret}\" holds it, you may not read"))
        }
        Next::Read(_) => (Tone::Unsure, "=> allowed; the operator reads what is in its memory only".to_owned()),
    };
    Verdict::new(tone, text)
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
