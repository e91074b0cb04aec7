//! The key of provider `default`: whether its owner offers it, and when it has to be read.

use super::{
    Accepted, Case, Next, Read, Refusal, SecretAction,
    action::refuse,
    input::{Target, key_request},
};
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

    /// Its data is read only for who may have it, and only if it was written since it was delivered.
    pub(super) fn key_is_known(&self, request: &KeyRequest) -> Result<(), Refusal> {
        is_known(&self.seen.source, &request.secret, "AWS key", Read::Key)
    }

    /// What the Secret says of a credential that never expires, if it holds one.
    pub(super) fn key_at_hand(&self) -> Option<&Record> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        ours.record.as_ref().filter(|record| record.withdrawn.is_none() && record.expires_at.is_none())
    }

    /// A key that was delivered is known without being read; to deliver it again it has to be.
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

/// Offering a Secret is its owner's consent, and taking the offer back ends it. Before anything is taken away the Secret
/// is looked for: a list may be shorter than the truth.
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

/// Whether what a Secret of a user's holds is known, and is what is looked for.
pub(super) fn is_known<K>(source: &Source<K>, name: &str, what: &str, needs: Read) -> Result<(), Refusal> {
    match source {
        Source::Offered { key: SeenKey::Unknown, .. } => unknown_yet(needs, format!("Secret \"{name}\" is being read")),
        Source::Offered { key: SeenKey::Unreadable(why), .. } => {
            refuse(Reason::KeySecretInvalid, format!("Secret \"{name}\" holds no {what}: {why}"))
        }
        _ => Ok(()),
    }
}
