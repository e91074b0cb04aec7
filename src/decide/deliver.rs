//! The second question: does the Secret hold exactly what the config may have? Each check either passes or names the
//! step that would make it pass.

use super::{
    Accepted, Case, Step, Trigger,
    input::{Observed, Ours, SecretData, Target, rendering},
    schedule,
};
use crate::{
    api::{Reason, Subject},
    secret::{Record, metadata_is_as_desired},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::sync::Arc;

impl Case<'_> {
    /// Each check either passes (`Ok`, with what it learnt) or names the step that would make it pass.
    pub(super) fn deliver(&self, accepted: &Accepted) -> Step {
        self.checks(accepted).err().unwrap_or(Step::Keep)
    }

    fn checks(&self, accepted: &Accepted) -> Result<(), Step> {
        let ours = self.target_is_ours()?;
        let record = self.has_its_annotations(ours)?;
        content_is_known(ours)?;
        self.is_of_this_person(ours, record)?;
        content_is_intact(ours)?;
        is_not_withdrawn(record)?;
        self.is_what_is_asked_for(record, accepted)?;
        self.is_not_due(record)?;
        self.is_rendered_as_asked(ours, record)?;
        self.holds_the_api_key(ours, record, accepted)
    }

    fn target_is_ours(&self) -> Result<&Ours, Step> {
        match &self.seen.target {
            Target::NotWatched => Err(Step::LookForTarget),
            Target::Foreign { owner } => Err(Step::Blocked { owner: owner.clone() }),
            Target::Absent => Err(Step::Issue(self.drifted_or_first())),
            Target::Ours(ours) => Ok(ours),
        }
    }

    /// Without them it is a shell that was never filled, or somebody took them off.
    fn has_its_annotations<'a>(&self, ours: &'a Ours) -> Result<&'a Record, Step> {
        ours.record.as_ref().ok_or_else(|| Step::Issue(self.drifted_or_first()))
    }

    fn drifted_or_first(&self) -> Trigger {
        if self.claims_a_credential() { Trigger::Drifted } else { Trigger::First }
    }

    /// Somebody else's credential goes before anything new is issued, even if the new one is then refused.
    /// Where the Secret was edited, its word for whose credential it is counts for nothing, and status is asked.
    pub(super) fn is_of_this_person(&self, ours: &Ours, record: &Record) -> Result<(), Step> {
        let subject = self.seen.config.subject();
        let subject = subject.as_ref().map_or("", Subject::as_str);
        let told = self.seen.config.status.as_ref().and_then(|status| status.person.as_deref());
        let former = if ours.is_edited() { told.unwrap_or(subject) } else { &record.person };
        if former == subject || record.withdrawn.is_some() {
            return Ok(());
        }
        let message = format!("the credential was \"{former}\"'s and the AwsConfig is now for \"{subject}\"");
        Err(Step::Withdraw { reason: Reason::Pending, message })
    }

    fn is_what_is_asked_for(&self, record: &Record, accepted: &Accepted) -> Result<(), Step> {
        let current = self.seen.source.key().map(Arc::as_ref);
        if accepted.request.is_answered_by(&record.issue_digest, current) {
            Ok(())
        } else {
            Err(Step::Issue(Trigger::Changed))
        }
    }

    fn is_not_due(&self, record: &Record) -> Result<(), Step> {
        if self.is_to_be_checked(record) {
            return Err(Step::Issue(Trigger::Due));
        }
        match renew_at(self.seen, record) {
            Some(at) if at <= self.now => Err(Step::Issue(Trigger::Due)),
            _ => Ok(()),
        }
    }

    fn is_rendered_as_asked(&self, ours: &Ours, record: &Record) -> Result<(), Step> {
        let immutable = matches!(&ours.content, SecretData::Read(taken) if taken.immutable);
        let Some(why) = self.metadata_drift(ours, record).or(immutable.then_some(Trigger::Drifted)) else {
            return Ok(());
        };
        match &ours.content {
            SecretData::Read(taken) if taken.credentials.is_none() => Err(Step::Issue(Trigger::Drifted)),
            SecretData::Read(_) => Err(Step::Render(why)),
            SecretData::Unknown | SecretData::Known => Err(Step::LookInside),
        }
    }

    /// Trigger a Secret does not look as asked for (formats, labels, annotations), whatever is in it; `None` if it does.
    pub(super) fn metadata_drift(&self, ours: &Ours, record: &Record) -> Option<Trigger> {
        let rendering = rendering(self.seen);
        if record.render_digest != rendering.digest() {
            return Some(Trigger::Changed);
        }
        let dressed = metadata_is_as_desired(&self.seen.config, &rendering, &ours.metadata);
        (!dressed).then_some(Trigger::Drifted)
    }

    /// Whether status says that there is a credential: then its Secret was there.
    pub(super) fn claims_a_credential(&self) -> bool {
        self.seen.config.status.as_ref().is_some_and(|status| status.access_key_id.is_some())
    }
}

fn content_is_known(ours: &Ours) -> Result<(), Step> {
    if ours.content == SecretData::Unknown { Err(Step::LookInside) } else { Ok(()) }
}

fn content_is_intact(ours: &Ours) -> Result<(), Step> {
    if ours.is_edited() { Err(Step::Issue(Trigger::Drifted)) } else { Ok(()) }
}

fn is_not_withdrawn(record: &Record) -> Result<(), Step> {
    if record.withdrawn.is_none() { Ok(()) } else { Err(Step::Issue(Trigger::Restored)) }
}

/// When the credential of `record` is renewed; a key is not.
#[must_use]
pub fn renew_at(seen: &Observed, record: &Record) -> Option<Timestamp> {
    let margin = seen.config.spec.renew_before.as_ref().and_then(|margin| margin.length().ok());
    let uid = seen.config.uid().unwrap_or_default();
    record.expires_at.map(|expires_at| schedule::renew_at(&uid, record.issued_at, expires_at, margin))
}
