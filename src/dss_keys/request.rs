//! The request of a config to a DSS, and whether a key answers it.

use crate::{api::ApiKeySecretRef, digest::Digest, secret::ApiKeyRecord};
use secrecy::{ExposeSecret as _, SecretString};

/// A request to a DSS that the config may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DssRequest {
    /// The name of the `DssInstance`.
    pub instance: String,
    /// The login of the person in DSS.
    pub login: String,
    /// The API key that the Secret is to hold.
    pub api_key: ApiKeyRequest,
    /// Whether the API key may be an administrator's of DSS.
    pub admin_keys: bool,
}

/// The API key that the Secret is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyRequest {
    /// No API key.
    None,
    /// A personal key, which keyturn creates. Another rotation means another key.
    Personal {
        /// The value of `spec.dss.apiKeyRotation`.
        rotation: String,
    },
    /// A key that a user offers.
    Offered {
        /// The Secret that holds the key, and the key in it.
        named: ApiKeySecretRef,
        /// The resourceVersion of that Secret. A change of it makes another attempt, because the
        /// new key may be right where the old one failed.
        version: Option<String>,
    },
}

/// Separates the two halves of the digest: the owner of the key, and the key itself.
const WHICH_FOLLOWS: char = '.';

impl DssRequest {
    /// The first half of the digest of a key: a digest of the instance, the login and the kind of
    /// key that the config asks for, and of whether it may be an administrator's. If a cluster
    /// admin changes the latter, keyturn therefore obtains and checks the key anew. Empty if the
    /// config asks for none.
    #[must_use]
    pub fn whose(&self) -> String {
        let digest = Digest::default().with(&self.instance).with(&self.login);
        let digest = if self.admin_keys { digest.with("admin keys") } else { digest };
        match &self.api_key {
            ApiKeyRequest::None => String::new(),
            ApiKeyRequest::Personal { .. } => digest.with("personal").short(),
            ApiKeyRequest::Offered { named, .. } => digest.with("offered").with(&named.name).with(&named.key).short(),
        }
    }

    /// The record of a personal key, or of the offered key with this value. `key` is the ID of a
    /// personal key, or the source of an offered one.
    #[must_use]
    pub fn record(&self, key: String, value: &SecretString) -> ApiKeyRecord {
        let which = match &self.api_key {
            ApiKeyRequest::None => return ApiKeyRecord::default(),
            ApiKeyRequest::Personal { rotation } => Digest::default().with(rotation).short(),
            ApiKeyRequest::Offered { .. } => Digest::default().with(value.expose_secret()).short(),
        };
        ApiKeyRecord { key, digest: format!("{}{WHICH_FOLLOWS}{which}", self.whose()) }
    }

    /// Whether a record is of any key of this login, from this instance and of this kind.
    #[must_use]
    pub fn is_whose(&self, record: &ApiKeyRecord) -> bool {
        !record.digest.is_empty() && record.digest.split(WHICH_FOLLOWS).next() == Some(self.whose().as_str())
    }

    /// Whether a record is of the key that the config asks for. `offered` is the value of the
    /// offered key; `None` says that the offered key has not changed since keyturn delivered it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_may_be_an_administrator_s_answers_no_other_request() {
        let offered = ApiKeySecretRef { name: "my-key".into(), key: "apiKey".into() };
        for api_key in [
            ApiKeyRequest::Personal { rotation: "1".into() },
            ApiKeyRequest::Offered { named: offered, version: Some("7".into()) },
        ] {
            let request = |admin_keys| DssRequest {
                instance: "design".into(),
                login: "alice".into(),
                api_key: api_key.clone(),
                admin_keys,
            };
            let record = |admin_keys| request(admin_keys).record("id".into(), &"value".into());
            for (allowed, delivered, answered) in
                [(false, false, true), (true, true, true), (false, true, false), (true, false, false)]
            {
                let (request, record) = (request(allowed), record(delivered));
                assert_eq!(request.is_whose(&record), answered, "{allowed} {delivered} {api_key:?}");
                assert_eq!(request.is_answered_by(&record, None), answered, "{allowed} {delivered} {api_key:?}");
            }
        }
    }
}
