//! What a decision can come to: something to read first, something to do, or a refusal that says why not.

use crate::api::{Reason, Statement};
use jiff::Timestamp;

/// Why a config may not have what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What stands in the way.
    pub why: Statement,
    /// Whether the config loses the credential that it has. Something that is merely unknown takes nothing away.
    pub withdraws: bool,
    /// What has to be read before the refusal is certain.
    pub needs: Option<Read>,
}

/// What comes next for the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Read something, then decide again.
    Read(Read),
    /// Do something.
    Do(SecretAction),
}

/// What a decision may have to read: the watches show nearly everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The `AwsRole` that is named, if the watch does not show it.
    Role,
    /// The metadata of the Secret that the AWS key is in, if the watch of offered Secrets does not show it.
    KeySource,
    /// The AWS key, in a Secret that its owner offers.
    Key,
    /// The person's user in DSS, by name, if the listing does not show it.
    DssUser,
    /// The metadata of the Secret that the API key of DSS is in, if the watch of offered Secrets does not show it.
    ApiKeySource,
    /// The API key of DSS, in a Secret that its owner offers.
    ApiKey,
    /// The metadata of the target, if the watch of keyturn's own Secrets does not show it.
    Target,
    /// The data of the target.
    TargetData,
}

/// What is to be done about the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretAction {
    /// Nothing.
    Keep,
    /// Nothing before `until`, because an attempt failed or another writer fights over the Secret.
    Hold {
        /// The time from which on it is tried again.
        until: Timestamp,
    },
    /// Nothing, because the Secret belongs to somebody else.
    Blocked {
        /// The other owner, in words.
        owner: String,
    },
    /// Obtain a new credential and write it.
    Issue(Trigger),
    /// Write the credential that is there in the form that is asked for.
    Render(Trigger),
    /// Take the credential out of the Secret, for this reason.
    Withdraw(Statement),
}

/// Why a credential is obtained or written.
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
    /// The credential is due for renewal.
    Due,
    /// Another API key of DSS is asked for.
    ApiKey,
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

/// A refusal that is no question of authority: a live credential stays until it expires.
///
/// # Errors
/// Always.
pub fn cannot<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: Statement::new(reason, message), withdraws: false, needs: None })
}

/// A refusal that withdraws the credential that there is.
///
/// # Errors
/// Always.
pub fn refuse<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: Statement::new(reason, message), withdraws: true, needs: None })
}
