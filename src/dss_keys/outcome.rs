//! What came of a plan for API keys.

use crate::{api::Reason, credentials::IssueError, secret::ApiKeyRecord};
use secrecy::SecretString;

/// What came of the API keys of one config.
#[derive(Debug, Default)]
pub struct ApiKeyOutcome {
    /// The key that was created or delivered, whether or not the Secret was written.
    pub held: Option<HeldKey>,
    /// Why no key was obtained.
    pub failed: Option<IssueError>,
    /// The keys that were deleted in DSS.
    pub deleted: Vec<DeletedKey>,
    /// Why surplus keys could not be deleted in DSS.
    pub surplus_failed: Option<String>,
}

impl ApiKeyOutcome {
    /// Whether the key that was obtained proved to be another user's, or no key could be proven to be right after that.
    #[must_use]
    pub fn is_of_wrong_owner(&self) -> bool {
        self.failed.as_ref().is_some_and(|error| error.why.reason == Reason::DssUserMismatch)
    }
}

/// An API key that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedKey {
    /// The instance of DSS that it was in.
    pub instance: String,
    /// Its ID there.
    pub id: String,
}

/// An API key of DSS, at hand.
#[derive(Clone, Debug)]
pub struct HeldKey {
    /// What the Secret says of it.
    pub record: ApiKeyRecord,
    /// The key.
    pub key: SecretString,
}

impl PartialEq for HeldKey {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}
