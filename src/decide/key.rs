//! The key of provider `default`: whether its owner offers it, and when keyturn has to read it.

use super::{Accepted, Case, Next, Read, Refusal, SecretAction, action::refuse, input::key_request, target::Target};
use crate::{
    api::{Reason, Statement, names},
    credentials::{KeyRequest, Request},
    secret::{Record, SeenKey, Source},
};

impl Case<'_> {
    pub(super) fn names_a_key(&self) -> Result<KeyRequest, Refusal> {
        key_request(&self.seen.config)
            .map_or_else(|| refuse(Reason::InvalidSpec, "credentialProvider default needs spec.keySecretRef"), Ok)
    }

    pub(super) fn key_is_offered(&self, request: &KeyRequest) -> Result<(), Refusal> {
        is_offered(&self.seen.source, &request.secret, "spec.keySecretRef", Read::KeySource)
    }

    /// keyturn reads the data of the key only for a config that may have the key, and only if
    /// somebody has written the Secret since keyturn delivered the key.
    pub(super) fn key_is_known(&self, request: &KeyRequest) -> Result<(), Refusal> {
        is_known(&self.seen.source, &request.secret, "AWS key", Read::Key)
    }

    /// The record of the target, if the target holds a credential that never expires.
    pub(super) fn key_at_hand(&self) -> Option<&Record> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        ours.record.as_ref().filter(|record| record.withdrawn.is_none() && record.expires_at.is_none())
    }

    /// If the key has to be delivered again, keyturn reads it first. While it stays delivered,
    /// keyturn knows it without a read.
    pub(super) fn with_key_in_hand(&self, accepted: &Accepted, next: Next) -> Next {
        match (&accepted.request, &next) {
            (Request::Key(_), Next::Do(SecretAction::Issue(_))) if self.seen.source.key().is_none() => Read::Key.into(),
            _ => next,
        }
    }
}

fn unknown_yet(needs: Read, message: String) -> Result<(), Refusal> {
    Err(Refusal { why: Statement::new(Reason::Pending, message), withdraws: false, needs: Some(needs) })
}

/// Whether the owner offers a Secret. The owner consents by the label, and removes the consent with
/// the label. keyturn reads the Secret before it withdraws anything, because the watch may not show
/// a Secret that exists.
pub(super) fn is_offered<K>(source: &Source<K>, name: &str, field: &str, needs: Read) -> Result<(), Refusal> {
    match source {
        Source::NotShown => unknown_yet(needs, format!("Secret \"{name}\" is being looked for")),
        Source::Absent => refuse(
            Reason::KeySecretMissing,
            format!(
                "Secret \"{name}\", which {field} names, does not exist; create it, with the label {}={}",
                names::SOURCE,
                names::SOURCE_OFFERED
            ),
        ),
        Source::NotOffered => refuse(
            Reason::SecretNotOffered,
            format!(
                "Secret \"{name}\" exists and its owner does not offer it; who may label it can do so: kubectl label \
                 secret {name} {}={}",
                names::SOURCE,
                names::SOURCE_OFFERED
            ),
        ),
        Source::Offered { .. } => Ok(()),
    }
}

/// Whether keyturn knows the content of a user's Secret, and the content is a valid key.
pub(super) fn is_known<K>(source: &Source<K>, name: &str, what: &str, needs: Read) -> Result<(), Refusal> {
    match source {
        Source::Offered { key: SeenKey::Unknown, .. } => unknown_yet(needs, format!("Secret \"{name}\" is being read")),
        Source::Offered { key: SeenKey::Unreadable(why), .. } => {
            refuse(Reason::KeySecretInvalid, format!("Secret \"{name}\" holds no {what}: {why}"))
        }
        _ => Ok(()),
    }
}
