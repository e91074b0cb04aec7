//! The `AssumeRole` request to STS, made from the spec and the subject.

use super::{Refusal, action::refuse};
use crate::{
    api::{AwsConfig, Reason, RoleArn, Scope, Session, Subject},
    credentials::{Extras, PolicyError, SessionRequest, Via, session_policy},
    digest::Digest,
};
use kube::ResourceExt as _;
use std::collections::BTreeSet;

/// The request to STS for a session of `role`.
pub(super) fn session_request(
    config: &AwsConfig,
    subject: &Subject,
    role: &RoleArn,
    external_id: String,
) -> Result<SessionRequest, Refusal> {
    let duration = config.spec.duration();
    let seconds = duration.length().ok().and_then(|length| i32::try_from(length.as_secs()).ok());
    let Some(duration_seconds) = seconds else {
        return refuse(Reason::InvalidSpec, format!("spec.session.duration: {duration} is no duration"));
    };
    let session_name = session_name(config, subject);
    let extras = match &config.spec.session {
        Some(session) => extras(config, session, role, &session_name)?,
        None => Extras::default(),
    };
    Ok(SessionRequest { role: role.clone(), session_name, external_id, duration_seconds, extras, via: Via::default() })
}

fn extras(config: &AwsConfig, session: &Session, role: &RoleArn, session_name: &str) -> Result<Extras, Refusal> {
    let buckets: Vec<&str> = config.spec.buckets().collect();
    let buckets = match session.scope {
        Scope::Role => None,
        Scope::Buckets if buckets.is_empty() => {
            return refuse(Reason::InvalidSpec, "session.scope Buckets needs spec.defaultBucket");
        }
        Scope::Buckets => Some(&buckets[..]),
    };
    let policy = session_policy(role.partition(), session.policy.as_deref(), buckets);
    let policy = policy.or_else(|error| match error {
        PolicyError::TooLong(_) => refuse(Reason::PolicyTooLarge, error.to_string()),
        PolicyError::Unreadable(_) => refuse(Reason::InvalidSpec, error.to_string()),
    })?;
    let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    Ok(Extras {
        source_identity: session.source_identity.then(|| session_name.to_owned()),
        tags: session.tags.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
        transitive_tags: sorted(&session.transitive_tags),
        policy,
        policy_arns: sorted(&session.policy_arns),
    })
}

/// The `RoleSessionName`. For a person it is the person's name, unchanged. For a namespace it is
/// `<namespace>,<config>`, which cannot be mistaken for a person's name. If that is longer than the
/// 64 characters that AWS allows, it is cut and ends in a digest.
#[must_use]
pub fn session_name(config: &AwsConfig, subject: &Subject) -> String {
    if let Some(person) = subject.as_person() {
        return person.to_owned();
    }
    let name = format!("{},{}", config.namespace().unwrap_or_default(), config.name_any());
    if name.len() <= LONGEST_SESSION_NAME {
        return name;
    }
    let digest = Digest::default().with(&name).short();
    format!("{},{}", &name[..LONGEST_SESSION_NAME - 1 - SHORTENED], &digest[..SHORTENED])
}

/// The longest `RoleSessionName`, in characters (STS API reference, `AssumeRole`).
const LONGEST_SESSION_NAME: usize = 64;
/// The number of hex digits of the digest that distinguishes two names with the same beginning.
const SHORTENED: usize = 12;
