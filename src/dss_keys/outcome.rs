//! The outcome of a plan for API keys.

use crate::{
    api::Reason,
    credentials::{IssueError, Retry},
    secret::ApiKeyRecord,
};
use secrecy::SecretString;

/// The outcome for the API keys of one config.
#[derive(Debug, Default)]
pub struct ApiKeyOutcome {
    /// The key for the Secret, whether or not keyturn wrote the Secret; `None` if there is none.
    pub held: Option<HeldKey>,
    /// The error, if keyturn obtained no key.
    pub failed: Option<IssueError>,
    /// The keys that keyturn deleted in DSS.
    pub deleted: Vec<DeletedKey>,
    /// The error, if keyturn could not delete surplus keys in DSS.
    pub surplus_failed: Option<IssueError>,
}

impl ApiKeyOutcome {
    /// Whether DSS said that the key belongs to another user, or no later key could be proven to be
    /// the person's own.
    #[must_use]
    pub fn is_of_wrong_owner(&self) -> bool {
        self.failed.as_ref().is_some_and(|error| error.why.reason == Reason::DssUserMismatch)
    }

    /// Whether the key is the person's own, and the person is an administrator of DSS, whose key
    /// the instance does not allow.
    #[must_use]
    pub fn is_of_administrator(&self) -> bool {
        self.failed.as_ref().is_some_and(|error| error.why.reason == Reason::DssAdminKey)
    }

    /// The outcome while the last API key is known to belong to another user: every failure to
    /// obtain one counts as `DssUserMismatch`, with its durable retry. If DSS was not asked,
    /// because others come first, the error stays as it is. It also stays if the key is the
    /// person's own and an administrator's.
    #[must_use]
    pub fn while_of_wrong_owner(self) -> Self {
        let failed = self.failed.map(|error| match (error.why.reason, error.retry) {
            (Reason::DssUserMismatch | Reason::DssAdminKey, _) | (_, Retry::Saturated | Retry::HeldBack(_)) => error,
            _ => {
                let message =
                    format!("the last API key was somebody else's, and another cannot be had: {}", error.why.message);
                IssueError::new(Reason::DssUserMismatch, Retry::Durable, message)
            }
        });
        Self { failed, ..self }
    }
}

/// An API key that keyturn deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedKey {
    /// The name of the `DssInstance` that the key was in.
    pub instance: String,
    /// The ID of the key in DSS.
    pub id: String,
}

/// An API key of DSS, with its value.
#[derive(Clone, Debug)]
pub struct HeldKey {
    /// The record of the key, as the annotations of the Secret have it.
    pub record: ApiKeyRecord,
    /// The value of the key.
    pub key: SecretString,
}

impl PartialEq for HeldKey {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}
