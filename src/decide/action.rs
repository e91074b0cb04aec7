//! What a decision can come to: a step, or a refusal that says why not.

use crate::api::Reason;
use jiff::Timestamp;

/// Trigger a config may not have what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// For the conditions.
    pub reason: Reason,
    /// For the person who reads them.
    pub message: String,
    /// Whether what it has is taken away. Not so where something is merely unknown.
    pub withdraws: bool,
    /// What has to be looked at before that is certain.
    pub look: Option<Step>,
}

/// What is to be done about the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the Secret's metadata, then decide again.
    LookForTarget,
    /// Read the Secret, then decide again.
    LookInside,
    /// Read the `AwsRole` that is named and not shown, then decide again.
    LookForRole,
    /// Read the metadata of the Secret that the key is in and that is not shown, then decide again.
    LookForSource,
    /// Read the Secret that the key is in, which its owner offers, then decide again.
    LookAtSource,
    /// Ask DSS for the person's user by name, then decide again.
    LookForUser,
    /// Read the metadata of the Secret that the API key of DSS is in and that is not shown, then decide again.
    LookForApiKey,
    /// Read the Secret that the API key of DSS is in, which its owner offers, then decide again.
    LookAtApiKey,
    /// Nothing.
    Keep,
    /// Nothing before `until`: an attempt failed.
    Hold {
        /// When it is time.
        until: Timestamp,
    },
    /// Nothing may be done: the Secret is somebody else's.
    Blocked {
        /// Who else it belongs to, in words.
        owner: String,
    },
    /// Obtain a new credential and write it.
    Issue(Trigger),
    /// Write the credential that is there in the form that is asked for.
    Render(Trigger),
    /// Take the credential out of the Secret.
    Withdraw {
        /// Trigger.
        reason: Reason,
        /// For the person.
        message: String,
    },
}

/// Trigger a credential is obtained or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// There is none yet.
    First,
    /// The one that there was has been withdrawn.
    Restored,
    /// Something else is asked for now.
    Changed,
    /// Somebody edited or deleted the Secret.
    Drifted,
    /// It is time.
    Due,
    /// Another API key of DSS is asked for.
    ApiKey,
}

/// A refusal that is no question of authority: what is live stays until it expires.
pub fn cannot<T>(reason: Reason, message: String) -> Result<T, Refusal> {
    Err(Refusal { reason, message, withdraws: false, look: None })
}

/// A refusal that takes away what there is.
pub fn refuse<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason, message: message.into(), withdraws: true, look: None })
}

/// Whether a step only asks for more to be known.
pub fn is_look(step: &Step) -> bool {
    matches!(
        step,
        Step::LookForTarget
            | Step::LookInside
            | Step::LookForRole
            | Step::LookForSource
            | Step::LookAtSource
            | Step::LookForUser
            | Step::LookForApiKey
            | Step::LookAtApiKey
    )
}
