//! The findings of other rooms about a config: a condition and an Event for each type of finding.

use super::EventNote;
use crate::{
    api::{AwsConfig, ConditionType, condition, find_condition},
    decide::input::Observed,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A type of condition that another room determines.
struct Kind {
    type_: ConditionType,
    /// The verb of its Events.
    action: &'static str,
    /// Whether each new message is worth an Event, or only the first.
    repeats: bool,
    /// Whether the config asks for anything that the finding could be about.
    concerns: fn(&AwsConfig) -> bool,
}

const KINDS: [Kind; 4] = [
    Kind { type_: ConditionType::PodsMissed, action: "Inject", repeats: false, concerns: |_| true },
    Kind {
        type_: ConditionType::RestartFailing,
        action: "Restart",
        repeats: true,
        concerns: |config| !config.spec.restart.is_empty(),
    },
    Kind { type_: ConditionType::AwsRoleFailing, action: "Write", repeats: false, concerns: |_| true },
    Kind { type_: ConditionType::DssKeysFailing, action: "Delete", repeats: false, concerns: |_| true },
];

/// The conditions of the findings. If no room has examined the config since this replica became
/// leader, the former condition stays.
pub(super) fn findings(seen: &Observed, before: &[Condition], now: Timestamp) -> Vec<Condition> {
    let kinds = KINDS.iter().filter(|kind| (kind.concerns)(&seen.config));
    let found = kinds.filter_map(|kind| match seen.remembered.findings.get(&kind.type_) {
        None => find_condition(before, kind.type_).cloned(),
        Some(finding) => {
            let generation = seen.config.metadata.generation;
            finding.as_ref().map(|why| condition(kind.type_, true, why, generation, now))
        }
    });
    found.collect()
}

/// Whether a condition is the finding of another room, or the one about confirmations, or what AWS
/// or a store said of the credential. The view keeps its whole message.
pub(super) fn is_finding(condition: &Condition) -> bool {
    let types = KINDS.iter().map(|kind| kind.type_).chain([
        ConditionType::ConfirmationDue,
        ConditionType::Verified,
        ConditionType::Pushed,
    ]);
    types.into_iter().any(|type_| type_.as_str() == condition.type_)
}

/// The event notes of new findings.
pub(super) fn finding_notes(before: &[Condition], after: &[Condition]) -> impl Iterator<Item = EventNote> {
    KINDS.iter().filter_map(|kind| {
        let found = find_condition(after, kind.type_)?;
        let is_new = find_condition(before, kind.type_)
            .is_none_or(|former| kind.repeats && (&former.reason, &former.message) != (&found.reason, &found.message));
        is_new.then(|| EventNote {
            warning: true,
            reason: found.reason.clone(),
            action: kind.action,
            note: found.message.clone(),
        })
    })
}
