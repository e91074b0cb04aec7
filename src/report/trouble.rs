//! The trouble of a config in one word, which a person should see first in a list of many, and
//! whether nothing but another spec can help.

use super::{push::push_trouble, verification::refusal};
use crate::{
    api::{ConditionType, Reason, RoleArn, Trouble, find_condition},
    decide::{Plan, input::Observed},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The reasons of an unready config that are no trouble: keyturn waits for a moment, or the user
/// wants it so.
const NO_TROUBLE: [Reason; 2] = [Reason::Pending, Reason::Suspended];

/// The trouble that these conditions tell of.
pub(super) fn trouble(conditions: &[Condition]) -> Option<Trouble> {
    let is_trouble = |reason: &str| NO_TROUBLE.iter().all(|none| none.as_str() != reason);
    let unready = find_condition(conditions, ConditionType::Ready).filter(|ready| ready.status == "False");
    if let Some(ready) = unready.filter(|ready| is_trouble(&ready.reason)) {
        return Some(Trouble { word: ready.reason.clone(), message: ready.message.clone() });
    }
    let profiles = find_condition(conditions, ConditionType::ProfilesReady).filter(|ready| ready.status == "False");
    if let Some(ready) = profiles.filter(|ready| is_trouble(&ready.reason)) {
        return Some(Trouble { word: ready.reason.clone(), message: ready.message.clone() });
    }
    if let Some(urgent) = ConditionType::TROUBLES.into_iter().find_map(|type_| find_condition(conditions, type_)) {
        return Some(Trouble { word: urgent.type_.clone(), message: urgent.message.clone() });
    }
    let refused = refusal(conditions).or_else(|| push_trouble(conditions))?;
    Some(Trouble { word: refused.reason.clone(), message: refused.message.clone() })
}

/// Whether only another spec of the config itself can make it ready, if it is not ready for this
/// reason.
///
/// A refusal that withdraws nothing is about keyturn's identity or a route, and not about the spec
/// alone. An invalid ARN may be that of the `AwsRole` that the config names.
pub(super) fn is_stalled(reason: Reason, seen: &Observed, plan: &Plan) -> bool {
    let is_about_others = plan.accepted.as_ref().is_err_and(|refusal| !refusal.withdraws);
    let names_a_role = seen.config.spec.active_role_ref.is_some();
    let named_role = seen.role.there().filter(|_| names_a_role);
    let role_is_invalid = named_role.is_some_and(|role| role.spec.role.parse::<RoleArn>().is_err());
    reason.needs_another_spec() && !is_about_others && !role_is_invalid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Statement, condition};
    use jiff::Timestamp;

    type Held = (ConditionType, bool, Reason);

    #[test]
    fn the_most_urgent_trouble_is_one_word() {
        use ConditionType::{ConfirmationDue, PodsMissed, Ready, RenewalFailing, RestartFailing, Verified};
        let rows: [(&str, &[Held], Option<&str>); 11] = [
            ("nothing is known", &[], None),
            ("all is well", &[(Ready, true, Reason::Issued)], None),
            ("a first issue", &[(Ready, false, Reason::Pending)], None),
            ("the user wants it so", &[(Ready, false, Reason::Suspended)], None),
            ("refused", &[(Ready, false, Reason::NotGranted)], Some("NotGranted")),
            (
                "refused, and pods wait",
                &[(Ready, false, Reason::Expired), (PodsMissed, true, Reason::NotInjected)],
                Some("Expired"),
            ),
            (
                "pods are missed during a first issue",
                &[(Ready, false, Reason::Pending), (PodsMissed, true, Reason::NotInjected)],
                Some("PodsMissed"),
            ),
            ("all is verified", &[(Ready, true, Reason::Issued), (Verified, true, Reason::Verified)], None),
            (
                "AWS refuses a bucket",
                &[(Ready, true, Reason::Issued), (Verified, false, Reason::BucketRefused)],
                Some("BucketRefused"),
            ),
            (
                "AWS refuses a bucket, and pods wait",
                &[(Verified, false, Reason::BucketRefused), (PodsMissed, true, Reason::NotInjected)],
                Some("PodsMissed"),
            ),
            (
                "several at once",
                &[
                    (Ready, true, Reason::Issued),
                    (ConfirmationDue, true, Reason::NotConfirmed),
                    (PodsMissed, true, Reason::NotInjected),
                    (RestartFailing, true, Reason::RestartDenied),
                    (RenewalFailing, true, Reason::Throttled),
                ],
                Some("RenewalFailing"),
            ),
        ];
        for (row, conditions, word) in rows {
            let make = |&(type_, truth, reason): &Held| {
                let why = Statement::new(reason, format!("says {}", type_.as_str()));
                condition(type_, truth, &why, Some(1), Timestamp::UNIX_EPOCH)
            };
            let conditions: Vec<Condition> = conditions.iter().map(make).collect();
            assert_eq!(trouble(&conditions).map(|trouble| trouble.word).as_deref(), word, "{row}");
        }
    }
}
