//! OBTAIN: credentials, the requests for them, and the reasons why a request was refused.
//!
//! This room knows AWS and DSS, and nothing of Kubernetes. Secret parts are [`SecretString`]s.
//! Their `Debug` output shows nothing, and keyturn exposes them only where it renders a Secret.

pub mod base;
mod connection;
mod held_back;
mod hops;
mod identity;
mod key;
mod policy;
mod refusal;
mod s3;
mod sts;
mod trial;

pub use connection::ConnectionRequest;
pub use held_back::{held_back, not_your_turn};
pub use identity::Identity;
pub use key::{KeyRequest, read_api_key};
pub use policy::{PolicyError, session_policy};
pub use refusal::{IssueError, Retry, remedy_of_data_robot, remedy_of_dss};
pub use s3::{BucketAnswer, S3};
pub use sts::{Answered, Sts};
pub use trial::{Answers, CallerAnswer, Question, try_out};

use crate::{api::RoleArn, digest::Digest};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;

/// The values of an AWS session or of an access key.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key ID. It identifies the credential in CloudTrail and is not secret.
    pub access_key_id: String,
    /// The secret access key, which signs requests.
    pub secret_access_key: SecretString,
    /// The session token, which accompanies requests. An access key has none.
    pub session_token: Option<SecretString>,
}

/// A credential as keyturn obtained it. Times are whole seconds of the corrected clock.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The credential's values.
    pub credentials: Credentials,
    /// The time of the issue.
    pub issued_at: Timestamp,
    /// The time of the expiry, as an outside system reported it or as keyturn assumes it; `None`
    /// for an access key.
    pub expires_at: Option<Timestamp>,
}

/// A request for a credential, by provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A session of a role, from STS.
    Session(Box<SessionRequest>),
    /// An access key, from a Secret.
    Key(KeyRequest),
    /// The credential of a DSS connection.
    Connection(ConnectionRequest),
}

impl Request {
    /// The requested role; `None` if the request is not for a session of a role.
    #[must_use]
    pub fn role(&self) -> Option<&RoleArn> {
        match self {
            Self::Session(request) => Some(&request.role),
            Self::Key(_) | Self::Connection(_) => None,
        }
    }

    /// The digest of the whole request. For an access key it covers the key's place and not its
    /// value.
    #[must_use]
    pub fn digest(&self) -> String {
        match self {
            Self::Session(request) => request.digest(),
            Self::Key(KeyRequest { secret, access_key_id_key, secret_access_key_key }) => {
                Digest::default().with("key").with(secret).with(access_key_id_key).with(secret_access_key_key).short()
            }
            Self::Connection(ConnectionRequest { instance, connection, login, project }) => Digest::default()
                .with("connection")
                .with(instance)
                .with(connection)
                .with(login)
                .with(project.as_deref().unwrap_or_default())
                .short(),
        }
    }

    /// The digest that keyturn stores on the Secret beside the credential. If the digest differs
    /// later, keyturn obtains the credential again. For an access key it ends with a digest of the
    /// key itself, because another key under the same name has to be noticed.
    #[must_use]
    pub fn issue_digest(&self, obtained: &Credentials) -> String {
        match self {
            // A session is replaced before it expires, therefore its values are not in the digest.
            Self::Session(_) => self.digest(),
            Self::Connection(_) if obtained.session_token.is_some() => self.digest(),
            Self::Key(_) | Self::Connection(_) => {
                let secret = obtained.secret_access_key.expose_secret();
                let key = Digest::default().with(&obtained.access_key_id).with(secret).short();
                format!("{}{KEY_FOLLOWS}{key}", self.digest())
            }
        }
    }

    /// Whether a credential with this issue digest answers this request. `current` is the access
    /// key as it is now, if it is known. Without it, a change of the key under the same name is not
    /// noticed.
    #[must_use]
    pub fn is_answered_by(&self, issue_digest: &str, current: Option<&Credentials>) -> bool {
        match (self, current) {
            (Self::Key(_), Some(current)) => issue_digest == self.issue_digest(current),
            _ => issue_digest.split(KEY_FOLLOWS).next() == Some(self.digest().as_str()),
        }
    }
}

/// The character between the digest of a request and that of the key that answered it.
const KEY_FOLLOWS: char = '.';

/// A request to STS for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// The role to assume.
    pub role: RoleArn,
    /// `RoleSessionName`, which is the person.
    pub session_name: String,
    /// `ExternalId`, which the role's trust policy can require.
    pub external_id: String,
    /// `DurationSeconds`: the lifetime to ask for, in seconds.
    pub duration_seconds: i32,
    /// Further parameters. Usually there are none.
    pub extras: Extras,
    /// The roles that are assumed on the way, each from the session of the one before.
    pub via: Via,
}

/// The admin's route to a role. Usually it has no hops, and keyturn assumes the role from the
/// operator's own identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// The roles, in the order in which they are assumed.
    pub hops: Vec<RoleArn>,
    /// `ExternalId` at each hop.
    pub external_id: String,
}

/// Further parameters of `AssumeRole`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// `Tags`.
    pub tags: BTreeMap<String, String>,
    /// `TransitiveTagKeys`, sorted.
    pub transitive_tags: Vec<String>,
    /// `Policy`, as [`session_policy`] made it.
    pub policy: Option<String>,
    /// `PolicyArns`, sorted.
    pub policy_arns: Vec<String>,
}

impl SessionRequest {
    /// The digest of the whole request. It is stored on the Secret. keyturn notices a changed
    /// request by it, and does not send an unchanged one again.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for part in
            ["v1", self.role.as_str(), &self.session_name, &self.external_id, &self.duration_seconds.to_string()]
        {
            digest.part(part);
        }
        self.extras.add_to(&mut digest);
        if !self.via.hops.is_empty() {
            digest.part("via");
            digest.part(&self.via.external_id);
            self.via.hops.iter().for_each(|hop| digest.part(hop.as_str()));
        }
        digest.short()
    }
}

impl Extras {
    /// A parameter that is not set adds nothing. A parameter that a later release adds will
    /// therefore not change the digests of today.
    fn add_to(&self, digest: &mut Digest) {
        let mut extra = |name: &str, values: &[&str]| {
            if !values.is_empty() {
                digest.part(name);
                digest.part(values.len().to_string());
                for value in values {
                    digest.part(value);
                }
            }
        };
        extra("source-identity", self.source_identity.as_deref().as_slice());
        let tags: Vec<&str> = self.tags.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
        extra("tags", &tags);
        extra("transitive-tags", &strings(&self.transitive_tags));
        extra("policy", self.policy.as_deref().as_slice());
        extra("policy-arns", &strings(&self.policy_arns));
    }
}

fn strings(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

#[cfg(test)]
impl SessionRequest {
    /// A request for an hour as alice.
    pub(crate) fn example() -> Self {
        Self {
            role: "arn:aws:iam::123456789012:role/analyst".parse().unwrap(),
            session_name: "alice".into(),
            external_id: "prod/scoring".into(),
            duration_seconds: 3600,
            extras: Extras::default(),
            via: Via::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SessionRequest {
        SessionRequest::example()
    }

    #[test]
    fn every_part_of_a_request_counts_in_its_digest() {
        let digest = request().digest();
        assert_eq!(digest, request().digest());
        let others = [
            SessionRequest { role: "arn:aws:iam::123456789012:role/other".parse().unwrap(), ..request() },
            SessionRequest { session_name: "bob".into(), ..request() },
            SessionRequest { external_id: "prod/other".into(), ..request() },
            SessionRequest { duration_seconds: 900, ..request() },
            SessionRequest { via: Via { hops: vec![request().role], external_id: String::new() }, ..request() },
        ];
        let extras = [
            Extras { source_identity: Some("alice".into()), ..Extras::default() },
            Extras { tags: [("a".to_owned(), "b".to_owned())].into(), ..Extras::default() },
            Extras { transitive_tags: vec!["a".into()], ..Extras::default() },
            Extras { policy: Some("{}".into()), ..Extras::default() },
            Extras { policy_arns: vec!["arn".into()], ..Extras::default() },
        ];
        let others = others.into_iter().chain(extras.map(|extras| SessionRequest { extras, ..request() }));
        let digests: std::collections::BTreeSet<String> = others.map(|other| other.digest()).collect();
        assert_eq!(digests.len(), 10, "all differ");
        assert!(!digests.contains(&digest));
    }

    #[test]
    fn another_key_under_the_same_name_is_noticed_once_it_is_known() {
        let key = |secret: &str| Credentials {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: secret.into(),
            session_token: None,
        };
        let from = |secret: &str| {
            let (id, value) = ("id".to_owned(), "key".to_owned());
            Request::Key(KeyRequest { secret: secret.into(), access_key_id_key: id, secret_access_key_key: value })
        };
        let stored = from("mine").issue_digest(&key("one"));
        assert!(from("mine").is_answered_by(&stored, None) && from("mine").is_answered_by(&stored, Some(&key("one"))));
        assert!(!from("mine").is_answered_by(&stored, Some(&key("two"))), "the key was changed");
        assert!(!from("other").is_answered_by(&stored, None), "another Secret is named");
        assert!(!Request::Session(Box::new(request())).is_answered_by(&stored, None), "another provider");
        assert!(!stored.contains("one"));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let credentials = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "the-secret-key".into(),
            session_token: Some("the-session-token".into()),
        };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("the-secret-key") && !shown.contains("the-session-token"), "{shown}");
    }
}
