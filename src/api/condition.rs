//! Conditions: pure functions that set them. `lastTransitionTime` changes only if `status` changes.

use super::Statement;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The conditions of keyturn's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The spec, its references and the grant are in order.
    Accepted,
    /// A valid credential is in the Secret.
    Issued,
    /// Accepted and Issued: a pod that mounts the Secret works now.
    Ready,
    /// Accepted and Issued, of every profile of `spec.profiles`. Present only with profiles.
    ProfilesReady,
    /// Renewal fails while the credential is still valid. Present only while it is true.
    RenewalFailing,
    /// Pods that ask for the Secret do not have it mounted, or the selector of another config has
    /// them. Present only while there are such pods.
    PodsMissed,
    /// keyturn cannot restart a workload of `spec.restart`. Present only while it is true.
    RestartFailing,
    /// keyturn cannot write or delete an `AwsRole` that it generates. Present only while it is
    /// true.
    AwsRoleFailing,
    /// keyturn cannot delete an API key of DSS that the config no longer wants. Present only while
    /// it is true.
    DssKeysFailing,
    /// The config has to be confirmed soon, or its confirmation does not count. Present only while
    /// it is true.
    ConfirmationDue,
    /// AWS takes the credential in the Secret as the one that was issued, and S3 answers it for the
    /// buckets. Present only with `spec.verify`.
    Verified,
    /// The places of `spec.push` hold the credential that the Secret holds.
    Pushed,
    /// Of an `AwsRole`: its config could use it for its current request.
    Usable,
    /// Of a `DssInstance` or a `DataRobotInstance`: the system answers.
    Reachable,
    /// Of a `DssInstance`: the admin key has the rights that keyturn needs. Of a
    /// `DataRobotInstance`: DataRobot takes the API token.
    Authorized,
    /// Only a change of the object's own spec can make it ready. Present only while it is true.
    Stalled,
}

impl ConditionType {
    /// Every type, in the order of the enum.
    pub const ALL: [Self; 16] = [
        Self::Accepted,
        Self::Issued,
        Self::Ready,
        Self::ProfilesReady,
        Self::RenewalFailing,
        Self::PodsMissed,
        Self::RestartFailing,
        Self::AwsRoleFailing,
        Self::DssKeysFailing,
        Self::ConfirmationDue,
        Self::Verified,
        Self::Pushed,
        Self::Usable,
        Self::Reachable,
        Self::Authorized,
        Self::Stalled,
    ];

    /// The conditions of trouble beside `Ready`, the most urgent first. They are present only while
    /// they are true.
    pub const TROUBLES: [Self; 6] = [
        Self::RenewalFailing,
        Self::RestartFailing,
        Self::PodsMissed,
        Self::AwsRoleFailing,
        Self::DssKeysFailing,
        Self::ConfirmationDue,
    ];

    /// The name of the condition, as the object holds it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Issued => "Issued",
            Self::Ready => "Ready",
            Self::ProfilesReady => "ProfilesReady",
            Self::RenewalFailing => "RenewalFailing",
            Self::PodsMissed => "PodsMissed",
            Self::RestartFailing => "RestartFailing",
            Self::AwsRoleFailing => "AwsRoleFailing",
            Self::DssKeysFailing => "DssKeysFailing",
            Self::ConfirmationDue => "ConfirmationDue",
            Self::Verified => "Verified",
            Self::Pushed => "Pushed",
            Self::Usable => "Usable",
            Self::Reachable => "Reachable",
            Self::Authorized => "Authorized",
            Self::Stalled => "Stalled",
        }
    }

    /// The state in which the condition is true, as Markdown for the user.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Accepted => {
                "The spec is in order, the role or the key that it names exists, and a grant allows all of it."
            }
            Self::Issued => {
                "A valid credential is in the Secret. While the request is accepted, it is a \
                 credential for that request."
            }
            Self::Ready => {
                "On an AwsConfig, Accepted and Issued: a pod that mounts the Secret works. On an \
                 AwsRole, Usable. On a DssInstance or a DataRobotInstance, Reachable and Authorized. \
                 On an AwsRoleGrant: the grant is in order, and allows or denies what it names."
            }
            Self::ProfilesReady => {
                "A valid session of every profile of `spec.profiles` is in the Secret; otherwise the \
                 message names the profiles that lack one. Present only with profiles. `Ready` does not \
                 depend on it."
            }
            Self::RenewalFailing => {
                "Renewal fails while the credential, or the session of a profile, is still valid. Pods \
                 still work. Present only while it is true."
            }
            Self::PodsMissed => {
                "Pods that ask for the Secret do not have it mounted, or the selector of another \
                 AwsConfig has them; the message names them. Present only while it is true."
            }
            Self::RestartFailing => {
                "keyturn cannot restart a workload of `spec.restart`, whose environment holds a \
                 credential that will expire. Present only while it is true. `Ready` does not \
                 depend on it."
            }
            Self::AwsRoleFailing => {
                "keyturn cannot write or delete an AwsRole that it generates for `spec.role`. Present \
                 only while it is true. `Ready` does not depend on it."
            }
            Self::DssKeysFailing => {
                "keyturn cannot delete an API key in DSS that it created and that is no longer wanted, such \
                 as the former one a day after a rotation. The key still works. Present only while it is \
                 true. `Ready` does not depend on it."
            }
            Self::ConfirmationDue => {
                "With `ceilings.maxAge`: the confirmation of the AwsConfig ends within 14 days, or the \
                 annotation `keyturn.dev/confirmed` does not count. Present only while it is true. \
                 `Ready` does not depend on it."
            }
            Self::Verified => {
                "With `spec.verify`: AWS takes the credential in the Secret as the one that was \
                 issued, and S3 answers it for the buckets. keyturn tries once for each new request. \
                 `Unknown`: AWS has not answered. `Ready` does not depend on it."
            }
            Self::Pushed => {
                "With `spec.push`: its places hold the credential that the Secret holds. `Unknown`: \
                 keyturn is about to write them. Without `spec.push`, or after a withdrawal, `False`: \
                 keyturn could not remove what it wrote; the message says until when that works. \
                 `Ready` does not depend on it."
            }
            Self::Usable => {
                "The AwsConfig that this AwsRole names could use it for its current request. \
                 `status.active` says whether it does."
            }
            Self::Reachable => "DSS or DataRobot answers at the URL of this object.",
            Self::Authorized => {
                "On a DssInstance: the admin key exists, and DSS lets it read users and keys. On a \
                 DataRobotInstance: the API token exists, and DataRobot takes it. While the system \
                 cannot be reached, the condition keeps its last state."
            }
            Self::Stalled => {
                "The object is not ready, and nothing but a change of its own `spec` can make it \
                 ready. Present only while it is true."
            }
        }
    }

    /// The kinds of object that have this condition.
    #[must_use]
    pub fn kinds(self) -> &'static str {
        match self {
            Self::Accepted
            | Self::Issued
            | Self::ProfilesReady
            | Self::RenewalFailing
            | Self::PodsMissed
            | Self::RestartFailing
            | Self::AwsRoleFailing
            | Self::DssKeysFailing
            | Self::ConfirmationDue
            | Self::Verified
            | Self::Pushed => "AwsConfig",
            Self::Ready | Self::Stalled => "AwsConfig, AwsRole, AwsRoleGrant, DssInstance, DataRobotInstance",
            Self::Usable => "AwsRole",
            Self::Reachable | Self::Authorized => "DssInstance, DataRobotInstance",
        }
    }
}

/// The condition of this type, if the list holds one.
#[must_use]
pub fn find_condition(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// A condition with `now` as its `lastTransitionTime`; [`set_conditions`] corrects that time.
#[must_use]
pub fn condition(
    type_: ConditionType,
    status: bool,
    statement: &Statement,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    Condition {
        type_: type_.as_str().to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: statement.reason.as_str().to_owned(),
        message: statement.message.clone(),
        observed_generation: generation,
        last_transition_time: Time(now),
    }
}

/// The same condition with status `Unknown`, because keyturn does not know whether it is true.
#[must_use]
pub fn unknown(condition: Condition) -> Condition {
    Condition { status: "Unknown".to_owned(), ..condition }
}

/// The `wanted` conditions. A condition whose status is the same as in `current` keeps the
/// transition time that it has there.
#[must_use]
pub fn set_conditions(current: &[Condition], wanted: Vec<Condition>) -> Vec<Condition> {
    wanted
        .into_iter()
        .map(|mut condition| {
            let before = current.iter().find(|c| c.type_ == condition.type_ && c.status == condition.status);
            if let Some(before) = before {
                condition.last_transition_time = before.last_transition_time.clone();
            }
            condition
        })
        .collect()
}

/// The condition `Ready` of an object that repeats another of its conditions.
#[must_use]
pub fn ready_as(other: &Condition) -> Condition {
    Condition { type_: ConditionType::Ready.as_str().to_owned(), ..other.clone() }
}

/// The condition `Stalled` of an object that is not ready for the reason of `ready`, which only a
/// change of the object's own spec can mend.
#[must_use]
pub fn stalled(ready: &Condition) -> Condition {
    Condition { type_: ConditionType::Stalled.as_str().to_owned(), status: "True".to_owned(), ..ready.clone() }
}

/// Whether two lists of conditions are equal apart from their transition times.
#[must_use]
pub fn same_ignoring_times(left: &[Condition], right: &[Condition]) -> bool {
    let without_time = |c: &Condition| Condition { last_transition_time: Time(Timestamp::UNIX_EPOCH), ..c.clone() };
    left.iter().map(without_time).eq(right.iter().map(without_time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        AwsConfig, AwsConfigStatus, AwsRole, AwsRoleGrant, AwsRoleGrantStatus, AwsRoleStatus, DataRobotInstance,
        DataRobotInstanceStatus, DssInstance, DssInstanceStatus, Reason, UNSEEN, crds,
    };
    use jiff::ToSpan as _;
    use kube::CustomResourceExt as _;
    use serde_json::{Value, json};

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = start + 1.hour();
        let ready = |status, reason: Reason, now| {
            condition(ConditionType::Ready, status, &Statement::new(reason, ""), Some(1), now)
        };
        let first = set_conditions(&[], vec![ready(true, Reason::Issued, start)]);

        let renewed = set_conditions(&first, vec![ready(true, Reason::Renewed, later)]);
        assert_eq!(renewed[0].last_transition_time.0, start);
        let expired = set_conditions(&renewed, vec![ready(false, Reason::Expired, later)]);
        assert_eq!(expired[0].last_transition_time.0, later);
    }

    #[test]
    fn the_list_of_all_conditions_is_whole() {
        for (at, type_) in ConditionType::ALL.into_iter().enumerate() {
            // A new type does not compile until it is named here. The assertion below then counts
            // it.
            let last = match type_ {
                ConditionType::Accepted
                | ConditionType::Issued
                | ConditionType::Ready
                | ConditionType::ProfilesReady
                | ConditionType::RenewalFailing
                | ConditionType::PodsMissed
                | ConditionType::RestartFailing
                | ConditionType::AwsRoleFailing
                | ConditionType::DssKeysFailing
                | ConditionType::ConfirmationDue
                | ConditionType::Verified
                | ConditionType::Pushed
                | ConditionType::Usable
                | ConditionType::Reachable
                | ConditionType::Authorized
                | ConditionType::Stalled => ConditionType::Stalled,
            };
            assert_eq!((type_ as usize, ConditionType::ALL.len()), (at, last as usize + 1));
            assert!(type_.meaning().ends_with('.'));
        }
    }

    #[test]
    fn an_object_that_keyturn_has_not_seen_is_of_no_generation() {
        for crd in crds() {
            let kind = crd.spec.names.kind.clone();
            let crd = serde_json::to_value(crd).unwrap();
            let default = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/default").cloned();
            let default = default.unwrap_or_else(|| panic!("{kind} has no default of status"));
            assert_eq!(default, json!({"observedGeneration": UNSEEN}), "{kind}");
            let reads: fn(Value) -> bool = match kind.as_str() {
                "AwsConfig" => |status| serde_json::from_value::<AwsConfigStatus>(status).is_ok(),
                "AwsRole" => |status| serde_json::from_value::<AwsRoleStatus>(status).is_ok(),
                "AwsRoleGrant" => |status| serde_json::from_value::<AwsRoleGrantStatus>(status).is_ok(),
                "DssInstance" => |status| serde_json::from_value::<DssInstanceStatus>(status).is_ok(),
                "DataRobotInstance" => |status| serde_json::from_value::<DataRobotInstanceStatus>(status).is_ok(),
                other => panic!("{other} is not known here"),
            };
            assert!(reads(default), "{kind}");
        }
    }

    #[test]
    fn a_status_has_room_for_all_conditions_of_its_kind() {
        let crds =
            [AwsConfig::crd(), AwsRole::crd(), AwsRoleGrant::crd(), DssInstance::crd(), DataRobotInstance::crd()];
        for crd in crds {
            let kind = crd.spec.names.kind.clone();
            let crd = serde_json::to_value(crd).unwrap();
            let conditions = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/conditions/maxItems";
            let room = crd.pointer(conditions).and_then(serde_json::Value::as_u64).unwrap();
            let own = ConditionType::ALL.into_iter().filter(|type_| type_.kinds().split(", ").any(|it| it == kind));
            assert!(own.count() as u64 <= room, "{kind}");
        }
    }

    #[test]
    fn time_alone_makes_no_difference() {
        let at = |now| vec![condition(ConditionType::Ready, true, &Statement::new(Reason::Issued, "m"), Some(1), now)];
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(same_ignoring_times(&at(start), &at(start + 1.hour())));
        let other = vec![condition(ConditionType::Ready, true, &Statement::new(Reason::Issued, "n"), Some(1), start)];
        assert!(!same_ignoring_times(&at(start), &other));
    }
}
