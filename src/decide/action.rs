//! The results of a decision: a read that keyturn has to make first, an action, or a refusal with
//! its reason.

use crate::api::{Reason, Statement};
use jiff::Timestamp;

/// The refusal of what a config asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The reason and the message for the user.
    pub why: Statement,
    /// Whether keyturn withdraws the credential that the config has. Something that is merely
    /// unknown withdraws nothing.
    pub withdraws: bool,
    /// The read without which the refusal is not certain; `None` if the refusal is certain.
    pub needs: Option<Read>,
}

/// The next step for the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Read something, then decide again.
    Read(Read),
    /// Perform an action.
    Do(SecretAction),
}

/// A read that a decision can ask for. The watches show nearly everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The `AwsRole` that is named, if the watch does not show it.
    Role,
    /// The `AwsRole`s that profiles name, if the watch does not show them.
    ProfileRoles,
    /// The metadata of the Secret that the AWS key is in, if the watch of offered Secrets does not
    /// show it.
    KeySource,
    /// The AWS key, in a Secret that its owner offers.
    Key,
    /// The person's user in DSS, by name, if the listing does not show it.
    DssUser,
    /// The metadata of the Secret that the API key of DSS is in, if the watch of offered Secrets
    /// does not show it.
    ApiKeySource,
    /// The API key of DSS, in a Secret that its owner offers.
    ApiKey,
    /// Whether the brake lets another credential go now. keyturn asks nobody but itself, and the
    /// answer counts.
    Turn,
    /// The metadata of the target, if the watch of keyturn's own Secrets does not show it.
    Target,
    /// The data of the target.
    TargetData,
}

/// An action on the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretAction {
    /// Leave the Secret as it is.
    Keep,
    /// Do nothing before `until`.
    Hold {
        /// The time of the next attempt.
        until: Timestamp,
        /// What the Secret is held back for.
        cause: HoldCause,
    },
    /// Do nothing, because the name of the Secret belongs to another owner.
    Blocked(Blocker),
    /// Obtain a new credential and write it.
    Issue(Trigger),
    /// Write the present credential again, with the formats and metadata that the config asks for.
    Render(Trigger),
    /// Take the credential out of the Secret, for this reason.
    Withdraw(Statement),
    /// Write the profiles, and leave the credential of the config in the Secret as it is.
    Profiles {
        /// The time before which keyturn does nothing about the credential of the config, and the
        /// reason; `None` if nothing is to be done about it.
        held: Option<(Timestamp, HoldCause)>,
    },
}

/// The other owner of the name of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// A Secret of this name exists and is another's.
    Secret {
        /// The owner, in words.
        owner: String,
        /// Whether the Secret bears keyturn's marks for this config.
        is_marked: bool,
    },
    /// No Secret of this name exists. The config of this name is older and has the same target.
    OlderConfig(String),
}

/// The reason why keyturn issues or renders a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The config has no credential yet.
    First,
    /// The previous credential was withdrawn.
    Restored,
    /// The config asks for something else now.
    Changed,
    /// Somebody edited or deleted the Secret.
    Drifted,
    /// The credential is due for renewal.
    Due,
    /// A user asks for a new session.
    Requested,
    /// The config asks for another API key of DSS.
    ApiKey,
}

impl Trigger {
    /// Whether a session of the same request replaces one that is in order.
    #[must_use]
    pub fn is_renewal(self) -> bool {
        matches!(self, Self::Due | Self::Requested)
    }
}

/// Why nothing is done about a Secret for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldCause {
    /// The same attempt failed, or was not made because others were served first.
    Backoff,
    /// Another writer changes or deletes the Secret again and again.
    FoughtOver,
    /// keyturn has asked an outside system for this config too often in a short time.
    AskedTooOften,
    /// Many credentials would go at once, and keyturn holds this withdrawal back.
    Brake,
}

impl SecretAction {
    /// Whether the brake holds a withdrawal back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(
            self,
            Self::Hold { cause: HoldCause::Brake, .. } | Self::Profiles { held: Some((_, HoldCause::Brake)) }
        )
    }
}

impl From<SecretAction> for Next {
    fn from(action: SecretAction) -> Self {
        Self::Do(action)
    }
}

impl From<Read> for Next {
    fn from(read: Read) -> Self {
        Self::Read(read)
    }
}

/// A refusal that withdraws nothing, because its cause is not a missing permission. A live
/// credential stays until it expires.
///
/// # Errors
/// Always, with the refusal.
pub fn cannot<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: Statement::new(reason, message), withdraws: false, needs: None })
}

/// A refusal that withdraws the credential that the config has.
///
/// # Errors
/// Always, with the refusal.
pub fn refuse<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: Statement::new(reason, message), withdraws: true, needs: None })
}
