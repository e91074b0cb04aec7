//! Trigger an object is in the state that it is in: one closed list for conditions, Events and metric labels.

mod explained;

use super::ConditionType;
use std::fmt;

/// A reason. The list is closed so that dashboards and alerts can name every value; the sentence for the person who
/// reads it stands in the message beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A valid credential is in the Secret.
    Issued,
    /// A later credential replaced an earlier one. A metric label, and the Event that ends a failure of renewals: a
    /// routine renewal is no news.
    Renewed,
    /// A grant allows the request.
    Granted,
    /// Something that has to be known first has not been seen yet.
    Pending,
    /// The `AwsConfig` names no role yet.
    RolePending,
    /// The `AwsRole` that was in use has been deleted.
    ActiveRoleMissing,
    /// An `AwsRole` names another config or another person, or the name of the one to generate is taken.
    RoleNotOfThisConfig,
    /// The Secret that `spec.keySecretRef` names does not exist.
    KeySecretMissing,
    /// The Secret that `spec.keySecretRef` names holds no key.
    KeySecretInvalid,
    /// The Secret that `spec.keySecretRef` names exists, and its owner has not offered it.
    SecretNotOffered,
    /// No `AwsRoleGrant` allows all of the request.
    NotGranted,
    /// The spec holds something that the schema could not refuse.
    InvalidSpec,
    /// A Secret of the target's name exists and does not belong to this `AwsConfig`.
    ForeignTarget,
    /// Somebody edited or deleted the Secret; it was put right.
    Drifted,
    /// `spec.suspend` is true.
    Suspended,
    /// The credential expired before it could be renewed.
    Expired,
    /// IAM refused `AssumeRole`: the role's trust policy, or the base identity's own rights.
    AssumeRoleDenied,
    /// The role's `MaxSessionDuration` (or role chaining) allows less than was asked for.
    DurationTooLong,
    /// Session policy and tags are larger than STS allows.
    PolicyTooLarge,
    /// The operator itself has no AWS credentials, or STS does not accept them.
    BaseCredentialsMissing,
    /// STS is not activated for this account in the operator's region.
    RegionDisabled,
    /// STS refuses the request's time: the node's clock is wrong.
    ClockSkewed,
    /// STS answers that there are too many requests.
    Throttled,
    /// STS cannot be reached, or answers with an error of its own.
    Unreachable,
    /// There is no `DssInstance` of the name in `spec.dss.instance`.
    DssInstanceMissing,
    /// DSS cannot be reached, or what answers is no DSS.
    DssUnreachable,
    /// DSS does not accept the operator's admin key, or does not let it do what is needed.
    DssDenied,
    /// DSS has no user of the person's login, or the user is disabled.
    DssUserMissing,
    /// The user has not the admin property that `spec.role` names, or what it holds is no role.
    DssPropertyMissing,
    /// DSS gives the person no AWS credential for the connection.
    DssConnectionDenied,
    /// DSS says that the API key is somebody else's.
    DssUserMismatch,
    /// Pods ask for the Secret of an `AwsConfig` and have not got it mounted.
    NotInjected,
    /// A workload of `spec.restart` is being restarted. Of Events only.
    Restarted,
    /// A workload of `spec.restart` does not exist.
    WorkloadMissing,
    /// keyturn may not restart a workload of `spec.restart`.
    RestartDenied,
    /// A workload of `spec.restart` is paused, restarts by hand only, or does not finish.
    RestartBlocked,
    /// An error that has no better name.
    Internal,
}

impl Reason {
    /// Every reason, in the order of the list above.
    pub const ALL: [Self; 37] = [
        Self::Issued,
        Self::Renewed,
        Self::Granted,
        Self::Pending,
        Self::RolePending,
        Self::ActiveRoleMissing,
        Self::RoleNotOfThisConfig,
        Self::KeySecretMissing,
        Self::KeySecretInvalid,
        Self::SecretNotOffered,
        Self::NotGranted,
        Self::InvalidSpec,
        Self::ForeignTarget,
        Self::Drifted,
        Self::Suspended,
        Self::Expired,
        Self::AssumeRoleDenied,
        Self::DurationTooLong,
        Self::PolicyTooLarge,
        Self::BaseCredentialsMissing,
        Self::RegionDisabled,
        Self::ClockSkewed,
        Self::Throttled,
        Self::Unreachable,
        Self::DssInstanceMissing,
        Self::DssUnreachable,
        Self::DssDenied,
        Self::DssUserMissing,
        Self::DssPropertyMissing,
        Self::DssConnectionDenied,
        Self::DssUserMismatch,
        Self::NotInjected,
        Self::Restarted,
        Self::WorkloadMissing,
        Self::RestartDenied,
        Self::RestartBlocked,
        Self::Internal,
    ];

    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name as it stands in conditions, Events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.explained().name
    }

    /// The conditions that it is a reason of; none if it is one of Events and metrics only. `Ready` and what else
    /// repeats another condition's reason is not counted.
    #[must_use]
    pub fn conditions(self) -> &'static [ConditionType] {
        self.explained().conditions
    }

    /// What has happened, for the person who reads it.
    #[must_use]
    pub fn cause(self) -> &'static str {
        self.explained().cause
    }

    /// What that person can do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.explained().remedy
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_of_all_reasons_is_whole() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            // A new reason does not compile here before it is named, and then counted below.
            let last = match reason {
                Reason::Issued
                | Reason::Renewed
                | Reason::Granted
                | Reason::Pending
                | Reason::RolePending
                | Reason::ActiveRoleMissing
                | Reason::RoleNotOfThisConfig
                | Reason::KeySecretMissing
                | Reason::KeySecretInvalid
                | Reason::SecretNotOffered
                | Reason::NotGranted
                | Reason::InvalidSpec
                | Reason::ForeignTarget
                | Reason::Drifted
                | Reason::Suspended
                | Reason::Expired
                | Reason::AssumeRoleDenied
                | Reason::DurationTooLong
                | Reason::PolicyTooLarge
                | Reason::BaseCredentialsMissing
                | Reason::RegionDisabled
                | Reason::ClockSkewed
                | Reason::Throttled
                | Reason::Unreachable
                | Reason::DssInstanceMissing
                | Reason::DssUnreachable
                | Reason::DssDenied
                | Reason::DssUserMissing
                | Reason::DssPropertyMissing
                | Reason::DssConnectionDenied
                | Reason::DssUserMismatch
                | Reason::NotInjected
                | Reason::Restarted
                | Reason::WorkloadMissing
                | Reason::RestartDenied
                | Reason::RestartBlocked
                | Reason::Internal => Reason::Internal,
            };
            assert_eq!((reason as usize, Reason::ALL.len()), (at, last as usize + 1));
        }
    }

    #[test]
    fn every_reason_has_a_name_of_its_own_a_cause_and_a_remedy() {
        let names: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"), "dashboards name it so");
            for text in [reason.cause(), reason.remedy()] {
                assert!(text.ends_with('.') && text.len() < 320, "{reason}: {text}");
                assert!(text.matches('`').count().is_multiple_of(2), "{reason}: {text}");
            }
        }
    }
}
