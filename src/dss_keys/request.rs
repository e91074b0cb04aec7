//! What a config asks of a DSS, and whether a key answers that.

use crate::{api::ApiKeySecretRef, digest::Digest, secret::ApiKeyRecord};
use secrecy::{ExposeSecret as _, SecretString};

/// What is asked of a DSS that the config may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DssRequest {
    /// The name of the instance.
    pub instance: String,
    /// The person's login.
    pub login: String,
    /// The API key that the Secret is to hold.
    pub api_key: ApiKeyRequest,
}

/// Which API key the Secret is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyRequest {
    /// None.
    None,
    /// A personal one, which is created. Another rotation means another one.
    Personal {
        /// The rotation.
        rotation: String,
    },
    /// One that a user offers.
    Offered {
        /// Where it is.
        named: ApiKeySecretRef,
        /// The resourceVersion of that Secret: what failed with one may go well with another.
        version: Option<String>,
    },
}

/// Separates the two halves of the digest: the owner of the key, and the key itself.
const WHICH_FOLLOWS: char = '.';

impl DssRequest {
    /// Whose key is asked for, by instance, login and kind; empty if none is.
    #[must_use]
    pub fn whose(&self) -> String {
        let digest = Digest::default().with(&self.instance).with(&self.login);
        match &self.api_key {
            ApiKeyRequest::None => String::new(),
            ApiKeyRequest::Personal { .. } => digest.with("personal").short(),
            ApiKeyRequest::Offered { named, .. } => digest.with("offered").with(&named.name).with(&named.key).short(),
        }
    }

    /// The record of a personal key, or of the offered key with this value, that came from `key`.
    #[must_use]
    pub fn record(&self, key: String, value: &SecretString) -> ApiKeyRecord {
        let which = match &self.api_key {
            ApiKeyRequest::None => return ApiKeyRecord::default(),
            ApiKeyRequest::Personal { rotation } => Digest::default().with(rotation).short(),
            ApiKeyRequest::Offered { .. } => Digest::default().with(value.expose_secret()).short(),
        };
        ApiKeyRecord { key, digest: format!("{}{WHICH_FOLLOWS}{which}", self.whose()) }
    }

    /// Whether a record is of a key of this login, from this instance, of this kind, whichever it is.
    #[must_use]
    pub fn is_whose(&self, record: &ApiKeyRecord) -> bool {
        !record.digest.is_empty() && record.digest.split(WHICH_FOLLOWS).next() == Some(self.whose().as_str())
    }

    /// Whether a record is of what is asked for. Of an offered key that is so while it has not changed.
    #[must_use]
    pub fn is_answered_by(&self, record: &ApiKeyRecord, offered: Option<&SecretString>) -> bool {
        match (&self.api_key, offered) {
            (ApiKeyRequest::None, _) => *record == ApiKeyRecord::default(),
            (ApiKeyRequest::Personal { .. }, _) => {
                record.digest == self.record(String::new(), &SecretString::default()).digest
            }
            (ApiKeyRequest::Offered { .. }, Some(value)) => record.digest == self.record(String::new(), value).digest,
            (ApiKeyRequest::Offered { .. }, None) => self.is_whose(record),
        }
    }
}
