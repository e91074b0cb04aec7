//! Reasons for the state of an object: one closed list for conditions, Events and metric labels.

mod explained;

use super::ConditionType;
use std::fmt;

/// A reason. The list is closed, because dashboards and alerts have to name every value. The
/// message beside the reason holds the sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A valid credential is in the Secret.
    Issued,
    /// A later credential replaced an earlier one. A metric label, and the Event at the end of
    /// failing renewals. A routine renewal makes no Event.
    Renewed,
    /// A grant allows the request.
    Granted,
    /// keyturn waits for something that it has to know first.
    Pending,
    /// The `AwsConfig` names no role yet.
    RolePending,
    /// The `AwsRole` that was in use has been deleted.
    ActiveRoleMissing,
    /// An `AwsRole` names another config or another person; or another owner's `AwsRole` has the
    /// name of the one to generate.
    RoleNotOfThisConfig,
    /// The Secret that `spec.keySecretRef` or `spec.dss.apiKeySecretRef` names does not exist.
    KeySecretMissing,
    /// The Secret that `spec.keySecretRef` or `spec.dss.apiKeySecretRef` names holds no key.
    KeySecretInvalid,
    /// The Secret that `spec.keySecretRef` or `spec.dss.apiKeySecretRef` names exists, but its
    /// owner has not offered it.
    SecretNotOffered,
    /// No `AwsRoleGrant` allows all of the request, or the `DssInstance` does not allow it.
    NotGranted,
    /// An `AwsRoleGrant` with effect Deny denies the request.
    Denied,
    /// No `AwsRoleGrant` denies the request any more. Used in Events only.
    DenialEnded,
    /// No grant allows the request any more, and keyturn holds the withdrawal back, because many
    /// credentials would go at once.
    WithdrawalHeld,
    /// Many credentials went within a minute for want of a grant. Used in Events only.
    ManyWithdrawn,
    /// Nobody who is entitled has confirmed the `AwsConfig` for longer than the operator allows.
    NotConfirmed,
    /// The namespace has as many older `AwsConfig`s as the operator serves there.
    TooManyConfigs,
    /// The spec holds a value that is invalid and that the schema could not refuse.
    InvalidSpec,
    /// A Secret of the target's name exists and does not belong to this `AwsConfig`.
    ForeignTarget,
    /// Somebody edited or deleted the Secret, and keyturn repaired it.
    Drifted,
    /// keyturn has not asked STS or DSS yet, because it asks at a bounded rate.
    HeldBack,
    /// `spec.suspend` is true.
    Suspended,
    /// The credential expired before keyturn could renew it.
    Expired,
    /// IAM refused `AssumeRole`, because of the role's trust policy or of the rights of keyturn's
    /// own identity.
    AssumeRoleDenied,
    /// The role's `MaxSessionDuration` (or role chaining) allows less than the requested duration.
    DurationTooLong,
    /// The session policy and the tags are larger than STS allows.
    PolicyTooLarge,
    /// keyturn itself has no AWS credentials, or STS does not accept them.
    BaseCredentialsMissing,
    /// STS is not activated for this account in keyturn's region.
    RegionDisabled,
    /// STS refuses the time of the request, because the clock of keyturn's node is wrong.
    ClockSkewed,
    /// STS limits the rate of requests.
    Throttled,
    /// STS cannot be reached, or reports an internal error.
    Unreachable,
    /// No `DssInstance` has the name in `spec.dss.instance`.
    DssInstanceMissing,
    /// DSS cannot be reached, or the server that answers is not DSS.
    DssUnreachable,
    /// DSS does not accept keyturn's admin key, or denies it a right that keyturn needs.
    DssDenied,
    /// DSS has no user with the person's login, or the user is disabled.
    DssUserMissing,
    /// The user lacks the admin property that `spec.role` names, or its value is not a role.
    DssPropertyMissing,
    /// DSS gives the person no AWS credential for the connection.
    DssConnectionDenied,
    /// DSS reports that the API key belongs to another user.
    DssUserMismatch,
    /// DSS does not report that the API key is a personal key of the login.
    DssKeyNotPersonal,
    /// The API key is an administrator's of DSS, and the `DssInstance` does not allow such keys.
    DssAdminKey,
    /// No `DataRobotInstance` has the name that the config asks for, or it is being deleted.
    DataRobotInstanceMissing,
    /// DataRobot cannot be reached, or another server answers at its URL.
    DataRobotUnreachable,
    /// DataRobot does not take the API token, or denies it a right.
    DataRobotDenied,
    /// Pods ask for the Secret of an `AwsConfig` and do not have it mounted.
    NotInjected,
    /// The podSelector of an older `AwsConfig` matches pods that the one of this `AwsConfig`
    /// matches.
    SelectorOverlaps,
    /// keyturn restarts a workload of `spec.restart`. Used in Events only.
    Restarted,
    /// A workload of `spec.restart` does not exist.
    WorkloadMissing,
    /// keyturn lacks the right to restart a workload of `spec.restart`.
    RestartDenied,
    /// A workload of `spec.restart` is paused, restarts only by hand, or does not finish its
    /// rollout.
    RestartBlocked,
    /// AWS takes the credential as the one that was issued, and S3 answers it for the buckets.
    Verified,
    /// AWS takes the credential as that of somebody else.
    IdentityMismatch,
    /// AWS does not accept the credential.
    CredentialRefused,
    /// S3 refuses the credential a bucket, or there is no such bucket.
    BucketRefused,
    /// AWS has not said anything about the credential yet.
    NotVerified,
    /// The places of `spec.push` hold the credential.
    Pushed,
    /// keyturn has not written the credential into a place of `spec.push` yet.
    NotPushed,
    /// A place of `spec.push` exists already, and is not this config's.
    PushNameTaken,
    /// The store refuses what keyturn wants to write or to remove.
    PushRefused,
    /// The API server refuses a call that keyturn needs, or does not answer.
    ApiCallFailed,
    /// An error without a reason of its own.
    Internal,
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 60] = [
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
        Self::Denied,
        Self::DenialEnded,
        Self::WithdrawalHeld,
        Self::ManyWithdrawn,
        Self::NotConfirmed,
        Self::TooManyConfigs,
        Self::InvalidSpec,
        Self::ForeignTarget,
        Self::Drifted,
        Self::HeldBack,
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
        Self::DssKeyNotPersonal,
        Self::DssAdminKey,
        Self::DataRobotInstanceMissing,
        Self::DataRobotUnreachable,
        Self::DataRobotDenied,
        Self::NotInjected,
        Self::SelectorOverlaps,
        Self::Restarted,
        Self::WorkloadMissing,
        Self::RestartDenied,
        Self::RestartBlocked,
        Self::Verified,
        Self::IdentityMismatch,
        Self::CredentialRefused,
        Self::BucketRefused,
        Self::NotVerified,
        Self::Pushed,
        Self::NotPushed,
        Self::PushNameTaken,
        Self::PushRefused,
        Self::ApiCallFailed,
        Self::Internal,
    ];

    /// The reason of this name; `None` if the closed list has none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name of the reason in conditions, Events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.explained().name
    }

    /// The conditions that this reason stands in. Empty for a reason of Events and metrics only. A
    /// condition that only repeats the reason of another one, such as `Ready`, is not listed.
    #[must_use]
    pub fn conditions(self) -> &'static [ConditionType] {
        self.explained().conditions
    }

    /// Whether only another spec of the object itself can help an object that is not ready for this
    /// reason. Another object, another program or time may help with every other reason.
    #[must_use]
    pub fn needs_another_spec(self) -> bool {
        matches!(self, Self::InvalidSpec | Self::PolicyTooLarge)
    }

    /// The cause, as Markdown for the user.
    #[must_use]
    pub fn cause(self) -> &'static str {
        self.explained().cause
    }

    /// The remedy, as Markdown for the user.
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
            // A new reason does not compile until it is named here. The assertion below then counts
            // it.
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
                | Reason::Denied
                | Reason::DenialEnded
                | Reason::WithdrawalHeld
                | Reason::ManyWithdrawn
                | Reason::NotConfirmed
                | Reason::TooManyConfigs
                | Reason::InvalidSpec
                | Reason::ForeignTarget
                | Reason::Drifted
                | Reason::HeldBack
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
                | Reason::DssKeyNotPersonal
                | Reason::DssAdminKey
                | Reason::DataRobotInstanceMissing
                | Reason::DataRobotUnreachable
                | Reason::DataRobotDenied
                | Reason::NotInjected
                | Reason::SelectorOverlaps
                | Reason::Restarted
                | Reason::WorkloadMissing
                | Reason::RestartDenied
                | Reason::RestartBlocked
                | Reason::Verified
                | Reason::IdentityMismatch
                | Reason::CredentialRefused
                | Reason::BucketRefused
                | Reason::NotVerified
                | Reason::Pushed
                | Reason::NotPushed
                | Reason::PushNameTaken
                | Reason::PushRefused
                | Reason::ApiCallFailed
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
