//! What the operator said in the conditions of a config, with the cause and the remedy of each
//! reason. Pure.

use crate::api::{AwsConfig, ConditionType, Reason, find_condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::fmt::Write as _;

/// Adds the operator's own words from status, as far as the verdict does not have them. Returns
/// whether the config is as the user wants it.
pub(super) fn said(config: &AwsConfig, verdict: &str, text: &mut String) -> bool {
    let Some(status) = config.seen_status() else {
        *text += "The operator has not said anything yet. Does it run, and does it serve this namespace? kubectl keyturn \
                  doctor looks.\n";
        return false;
    };
    let Some(ready) = find_condition(&status.conditions, ConditionType::Ready) else { return false };
    let is_current = status.observed_generation == config.metadata.generation;
    let of = if is_current { "" } else { " of a former spec" };
    let message = if verdict.contains(&ready.message) { "the same" } else { &ready.message };
    let _ = writeln!(text, "The operator said{of}: Ready={} {}: {message}", ready.status, ready.reason);
    let is_ready = ready.status == "True";
    if !is_ready {
        explain(ready, text);
    }
    if let Some(held) = &status.withdrawal_held {
        let Time(since) = held.since;
        let _ =
            writeln!(text, "keyturn has held the withdrawal back since {since}, until {} at the latest.", held.until.0);
    }
    let beside = [ConditionType::Verified, ConditionType::Pushed];
    let beside = beside.into_iter().filter_map(|type_| find_condition(&status.conditions, type_));
    for untrue in beside.filter(|condition| condition.status != "True") {
        let Condition { type_, status, reason, message, .. } = untrue;
        let _ = writeln!(text, "Trouble: {type_}={status}: {reason}: {message}");
        explain(untrue, text);
    }
    let aside = ConditionType::TROUBLES.into_iter().filter_map(|type_| find_condition(&status.conditions, type_));
    for condition in aside.filter(|condition| condition.status == "True") {
        let _ = writeln!(text, "Trouble: {}: {}: {}", condition.type_, condition.reason, condition.message);
        explain(condition, text);
    }
    is_ready && is_current || ready.reason == Reason::Suspended.as_str() && config.spec.suspend
}

/// Adds the cause and the remedy of a reason in general. A message has those of the one case.
fn explain(condition: &Condition, text: &mut String) {
    if let Some(reason) = Reason::named(&condition.reason) {
        let _ = writeln!(text, "  {reason} means: {}", reason.cause());
        let _ = writeln!(text, "  What to do: {}", reason.remedy());
    }
}
