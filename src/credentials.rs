//! OBTAIN: what a credential is, what is asked for it, and why it was not given.
//!
//! Knows AWS and nothing of Kubernetes. Secret parts are [`SecretString`]s: their `Debug` shows nothing, and they are
//! exposed only where a Secret is rendered.

pub mod base;
mod refusal;
mod sts;

pub use refusal::{IssueError, Pace};
pub use sts::Sts;

use crate::api::RoleArn;
use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// The three values of an AWS session.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Names the session in CloudTrail; not a secret.
    pub access_key_id: String,
    /// Signs requests.
    pub secret_access_key: SecretString,
    /// Accompanies requests.
    pub session_token: SecretString,
}

/// A session as STS issued it. Times are whole seconds of the corrected clock.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The session.
    pub credentials: Credentials,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, as STS said.
    pub expires_at: Timestamp,
}

/// What STS is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The role to assume.
    pub role: RoleArn,
    /// `RoleSessionName`: the person.
    pub session_name: String,
    /// `ExternalId`: what the role's trust policy can require.
    pub external_id: String,
    /// `DurationSeconds`.
    pub duration_seconds: i32,
}

impl Request {
    /// A digest of all of it. Stored on the Secret, so that a changed request is noticed and an unchanged one is not
    /// asked again.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in
            ["v1", self.role.as_str(), &self.session_name, &self.external_id, &self.duration_seconds.to_string()]
        {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        format!("{:x}", hash.finalize())[..32].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            role: "arn:aws:iam::123456789012:role/analyst".parse().unwrap(),
            session_name: "alice".into(),
            external_id: "prod/scoring".into(),
            duration_seconds: 3600,
        }
    }

    #[test]
    fn every_part_of_a_request_counts_in_its_digest() {
        let digest = request().digest();
        assert_eq!(digest, request().digest());
        let others = [
            Request { role: "arn:aws:iam::123456789012:role/other".parse().unwrap(), ..request() },
            Request { session_name: "bob".into(), ..request() },
            Request { external_id: "prod/other".into(), ..request() },
            Request { duration_seconds: 900, ..request() },
        ];
        for other in others {
            assert_ne!(digest, other.digest(), "{other:?}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let credentials = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "the-secret-key".into(),
            session_token: "the-session-token".into(),
        };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("the-secret-key") && !shown.contains("the-session-token"), "{shown}");
    }
}
