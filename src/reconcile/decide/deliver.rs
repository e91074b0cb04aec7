//! The second question: does the Secret hold exactly what the config may have? Each check either passes or names the
//! step that would make it pass.

use super::{Accepted, Case, Step, Why};
use crate::{
    api::Reason,
    reconcile::{
        observed::{Look, Observed, Ours, Target, rendering},
        schedule,
    },
    secret::{Record, metadata_is_as_desired},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

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
        is_what_is_asked_for(record, accepted)?;
        self.is_not_due(record)?;
        self.is_rendered_as_asked(ours, record)
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

    fn drifted_or_first(&self) -> Why {
        if self.claims_a_credential() { Why::Drifted } else { Why::First }
    }

    /// Somebody else's credential goes before anything new is issued, even if the new one is then refused.
    /// Where the Secret was edited, its word for whose credential it is counts for nothing, and status is asked.
    pub(super) fn is_of_this_person(&self, ours: &Ours, record: &Record) -> Result<(), Step> {
        let person = self.seen.config.spec.person.as_deref().unwrap_or_default();
        let told = self.seen.config.status.as_ref().and_then(|status| status.person.as_deref());
        let former = if ours.is_edited() { told.unwrap_or(person) } else { &record.person };
        if former == person || record.withdrawn.is_some() {
            return Ok(());
        }
        let message = format!("the person changed from \"{former}\" to \"{person}\"");
        Err(Step::Withdraw { reason: Reason::Pending, message })
    }

    fn is_not_due(&self, record: &Record) -> Result<(), Step> {
        if self.now < renew_at(self.seen, record) { Ok(()) } else { Err(Step::Issue(Why::Due)) }
    }

    fn is_rendered_as_asked(&self, ours: &Ours, record: &Record) -> Result<(), Step> {
        let rendering = rendering(&self.seen.config);
        let immutable = matches!(&ours.content, Look::Taken(taken) if taken.immutable);
        let why = if record.render_digest != rendering.digest() {
            Why::Changed
        } else if immutable || !metadata_is_as_desired(&self.seen.config, &rendering, &ours.metadata) {
            Why::Drifted
        } else {
            return Ok(());
        };
        match &ours.content {
            Look::Taken(taken) if taken.credentials.is_none() => Err(Step::Issue(Why::Drifted)),
            Look::Taken(_) => Err(Step::Render(why)),
            Look::Needed | Look::NotNeeded => Err(Step::LookInside),
        }
    }

    /// Whether status says that there is a credential: then its Secret was there.
    pub(super) fn claims_a_credential(&self) -> bool {
        self.seen.config.status.as_ref().is_some_and(|status| status.access_key_id.is_some())
    }
}

fn content_is_known(ours: &Ours) -> Result<(), Step> {
    if ours.content == Look::Needed { Err(Step::LookInside) } else { Ok(()) }
}

fn content_is_intact(ours: &Ours) -> Result<(), Step> {
    if ours.is_edited() { Err(Step::Issue(Why::Drifted)) } else { Ok(()) }
}

fn is_not_withdrawn(record: &Record) -> Result<(), Step> {
    if record.withdrawn.is_none() { Ok(()) } else { Err(Step::Issue(Why::Restored)) }
}

fn is_what_is_asked_for(record: &Record, accepted: &Accepted) -> Result<(), Step> {
    if record.issue_digest == accepted.request.digest() { Ok(()) } else { Err(Step::Issue(Why::Changed)) }
}

/// When the credential of `record` is renewed.
#[must_use]
pub fn renew_at(seen: &Observed, record: &Record) -> Timestamp {
    let margin = seen.config.spec.renew_before.as_ref().and_then(|margin| margin.length().ok());
    schedule::renew_at(&seen.config.uid().unwrap_or_default(), record.issued_at, record.expires_at, margin)
}
