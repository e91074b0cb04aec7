//! Conditions: pure functions that set them so that `lastTransitionTime` moves only with `status`.

use super::Statement;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The conditions of an `AwsConfig`, of an `AwsRole`, and of a `DssInstance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Spec, references and grant are in order.
    Accepted,
    /// A valid credential is in the Secret.
    Issued,
    /// Both: a pod that mounts the Secret now works.
    Ready,
    /// Renewal fails while the credential is still valid. Present only while it is so.
    RenewalFailing,
    /// Pods asked for the Secret and have not got it. Present only while there are such pods.
    PodsMissed,
    /// A workload that should be restarted is not. Present only while it is so.
    RestartFailing,
    /// An `AwsRole`: its config could use it as it now asks.
    Usable,
    /// A `DssInstance`: it answers.
    Reachable,
    /// A `DssInstance`: the admin key may do what is needed.
    Authorized,
}

impl ConditionType {
    /// Every type, in the order in which they stand in status.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Issued,
        Self::Ready,
        Self::RenewalFailing,
        Self::PodsMissed,
        Self::RestartFailing,
        Self::Usable,
        Self::Reachable,
        Self::Authorized,
    ];

    /// The name as it stands in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Issued => "Issued",
            Self::Ready => "Ready",
            Self::RenewalFailing => "RenewalFailing",
            Self::PodsMissed => "PodsMissed",
            Self::RestartFailing => "RestartFailing",
            Self::Usable => "Usable",
            Self::Reachable => "Reachable",
            Self::Authorized => "Authorized",
        }
    }

    /// When it is true, for the person who reads it.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Accepted => {
                "The spec is in order, the role or the key that it names is there, and a grant allows all of it."
            }
            Self::Issued => "A valid credential is in the Secret: while it is accepted, one for what is asked.",
            Self::Ready => "Both: a pod that mounts the Secret works.",
            Self::RenewalFailing => {
                "Renewal fails while the credential is still valid, so pods still work. Present only while it is so."
            }
            Self::PodsMissed => {
                "Pods ask for the Secret and have not got it mounted; the message names them. Present only while it is so."
            }
            Self::RestartFailing => {
                "A workload of `spec.restart` cannot be restarted, so that its environment holds a credential that ends. Present only while it is so; `Ready` does not depend on it."
            }
            Self::Usable => {
                "The AwsConfig that this AwsRole names could use it as it now asks, whether or not it does (`status.active`)."
            }
            Self::Reachable => "DSS answers at the URL of this DssInstance.",
            Self::Authorized => {
                "The admin key is there, and DSS lets it read users and keys. While DSS cannot be reached, what was last true."
            }
        }
    }

    /// The kind of object that has it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Accepted
            | Self::Issued
            | Self::Ready
            | Self::RenewalFailing
            | Self::PodsMissed
            | Self::RestartFailing => "AwsConfig",
            Self::Usable => "AwsRole",
            Self::Reachable | Self::Authorized => "DssInstance",
        }
    }
}

/// The condition of this type, if it is said.
#[must_use]
pub fn find_condition(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// A condition as of `now`; [`set_conditions`] gives it its true `lastTransitionTime`.
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

/// The `wanted` conditions, each with the transition time of its predecessor in `current` if its status is the same.
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

/// Whether two lists of conditions say the same, whatever their transition times.
#[must_use]
pub fn same_ignoring_times(left: &[Condition], right: &[Condition]) -> bool {
    let without_time = |c: &Condition| Condition { last_transition_time: Time(Timestamp::UNIX_EPOCH), ..c.clone() };
    left.iter().map(without_time).eq(right.iter().map(without_time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use jiff::ToSpan as _;

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
            // A new type does not compile here before it is named, and then counted below.
            let last = match type_ {
                ConditionType::Accepted
                | ConditionType::Issued
                | ConditionType::Ready
                | ConditionType::RenewalFailing
                | ConditionType::PodsMissed
                | ConditionType::RestartFailing
                | ConditionType::Usable
                | ConditionType::Reachable
                | ConditionType::Authorized => ConditionType::Authorized,
            };
            assert_eq!((type_ as usize, ConditionType::ALL.len()), (at, last as usize + 1));
            assert!(type_.meaning().ends_with('.'));
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
