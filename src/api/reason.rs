//! Why an object is in the state that it is in: one closed list for conditions, Events and metric labels.

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
    /// An error that has no better name.
    Internal,
}

impl Reason {
    /// The name as it stands in conditions, Events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "Issued",
            Self::Renewed => "Renewed",
            Self::Granted => "Granted",
            Self::Pending => "Pending",
            Self::RolePending => "RolePending",
            Self::ActiveRoleMissing => "ActiveRoleMissing",
            Self::RoleNotOfThisConfig => "RoleNotOfThisConfig",
            Self::KeySecretMissing => "KeySecretMissing",
            Self::KeySecretInvalid => "KeySecretInvalid",
            Self::SecretNotOffered => "SecretNotOffered",
            Self::NotGranted => "NotGranted",
            Self::InvalidSpec => "InvalidSpec",
            Self::ForeignTarget => "ForeignTarget",
            Self::Drifted => "Drifted",
            Self::Suspended => "Suspended",
            Self::Expired => "Expired",
            Self::AssumeRoleDenied => "AssumeRoleDenied",
            Self::DurationTooLong => "DurationTooLong",
            Self::PolicyTooLarge => "PolicyTooLarge",
            Self::BaseCredentialsMissing => "BaseCredentialsMissing",
            Self::RegionDisabled => "RegionDisabled",
            Self::ClockSkewed => "ClockSkewed",
            Self::Throttled => "Throttled",
            Self::Unreachable => "Unreachable",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
