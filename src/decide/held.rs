//! The withdrawals that the brake may hold back: those for want of a grant or of a namespace's
//! label, and no others.
//!
//! A hold never outweighs somebody's will. A suspended config, a denial, another person, a change
//! of the config itself and an owner who takes an offer back withdraw at once.

use super::{
    Case, HoldCause, Next, Read, Refusal, SecretAction,
    input::{Observed, key_request},
    key::is_offered,
    target::{Ours, Target},
};
use crate::{
    api::{CredentialProvider, Reason, Subject, WithdrawalHeld},
    brake::{Braking, Turn},
    clock::whole_seconds,
    grants::{Denial, Requested, denial},
    secret::Record,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Case<'_> {
    /// The step in the place of a withdrawal that the brake holds back; `None` if the brake does
    /// not concern the withdrawal.
    pub(super) fn braked(&self, refusal: &Refusal) -> Option<Next> {
        self.seen.brake.settings.limit?;
        let Target::Ours(ours) = &self.seen.target else { return None };
        let record = ours.record.as_ref().filter(|record| record.is_live(self.now))?;
        let is_held = self.is_held(refusal);
        if refusal.why.reason != Reason::NotGranted || !(refusal.withdraws || is_held) {
            return None;
        }
        match self.is_exempt(ours, record) {
            Ok(false) => {}
            Ok(true) => return None,
            Err(read) => return Some(read.into()),
        }
        let since = match (held_since(self.seen), self.seen.brake.turn) {
            (Some(since), _) => since,
            (None, None) => return Some(Read::Turn.into()),
            (None, Some(Turn::Go)) => return None,
            (None, Some(Turn::Held)) => whole_seconds(self.now),
        };
        let hold = Braking::hold(since, record.expires_at);
        if self.seen.brake.has_ended(&hold, self.now) {
            return None;
        }
        Some(SecretAction::Hold { until: hold.until.0, cause: HoldCause::Brake }.into())
    }

    /// Whether keyturn has held this withdrawal back before. It then knows that a grant is missing,
    /// even if this process has not seen any grant.
    pub(super) fn is_held(&self, refusal: &Refusal) -> bool {
        refusal.why.reason == Reason::NotGranted && held_since(self.seen).is_some()
    }

    /// Whether the credential has to go at once, whatever the brake says. An error is the read
    /// without which keyturn cannot tell.
    fn is_exempt(&self, ours: &Ours, record: &Record) -> Result<bool, Read> {
        let is_another_request = self.is_of_former_person(ours, record)
            || self.has_changed()
            || self.active_role().is_some_and(|active| !record.role.is_empty() && active.role != record.role);
        if is_another_request || self.is_denied(record) {
            return Ok(true);
        }
        self.is_taken_back()
    }

    /// Whether the credential is not this person's. Status says it too, because somebody may have
    /// edited the annotations.
    fn is_of_former_person(&self, ours: &Ours, record: &Record) -> bool {
        let subject = self.seen.config.subject();
        let recorded = self.seen.config.status.as_ref().and_then(|status| status.person.as_deref());
        let is_another = recorded.is_some_and(|person| Some(person) != subject.as_ref().map(Subject::as_str));
        is_another || self.of_another_person(ours, record).is_some()
    }

    /// Whether the spec of the config has changed since keyturn last reported on it. The user who
    /// changed it gave up the former credential.
    fn has_changed(&self) -> bool {
        let config = &self.seen.config;
        let observed = config.status.as_ref().and_then(|status| status.observed_generation);
        observed != config.metadata.generation
    }

    /// Whether a grant denies the credential in the Secret. The request may have been refused
    /// before keyturn asked that.
    fn is_denied(&self, record: &Record) -> bool {
        let config = &self.seen.config;
        let (Some(subject), Some(labels)) = (config.subject(), &self.seen.namespace_labels) else { return false };
        let what = match config.spec.credential_provider {
            CredentialProvider::Temporary => Requested::Role(&record.role),
            CredentialProvider::Default => Requested::Key,
            CredentialProvider::Connection => Requested::Connection,
        };
        let namespace = config.metadata.namespace.as_deref().unwrap_or_default();
        denial(&self.seen.grants, namespace, labels, &subject, Denial::Of(what)).is_some()
    }

    /// Whether the owner of a Secret that the credential or the API key of DSS came from no longer
    /// offers it.
    fn is_taken_back(&self) -> Result<bool, Read> {
        let config = &self.seen.config;
        let key = key_request(config).filter(|_| config.spec.credential_provider == CredentialProvider::Default);
        let of_key = key.map(|key| is_offered(&self.seen.source, &key.secret, "spec.keySecretRef", Read::KeySource));
        let named = config.spec.dss.as_ref().and_then(|dss| dss.api_key_secret_ref.as_ref());
        let field = "spec.dss.apiKeySecretRef";
        let of_api_key =
            named.map(|named| is_offered(&self.seen.api_key_source, &named.name, field, Read::ApiKeySource));
        for offered in of_key.into_iter().chain(of_api_key) {
            match offered {
                Ok(()) => {}
                Err(Refusal { needs: Some(read), .. }) => return Err(read),
                Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// The time at which keyturn began to hold the withdrawal back: as status has it, or as the process
/// remembers it while status is not written yet. `None` if keyturn does not hold it back.
#[must_use]
pub fn held_since(seen: &Observed) -> Option<Timestamp> {
    let recorded = seen.config.status.as_ref().and_then(|status| status.withdrawal_held.as_ref());
    recorded.map(|WithdrawalHeld { since: Time(since), .. }| *since).or(seen.brake.held_since)
}

/// The hold for status, while the brake holds a withdrawal back. `record` is that of the Secret.
#[must_use]
pub fn hold(seen: &Observed, record: &Record, now: Timestamp) -> WithdrawalHeld {
    Braking::hold(held_since(seen).unwrap_or_else(|| whole_seconds(now)), record.expires_at)
}
