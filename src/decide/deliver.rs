//! The second question: does the Secret hold exactly what the config may have? Each check either
//! passes or names the step that would make it pass.

use super::{
    Accepted, Blocker, Case, Check, Next, Read, SecretAction, Trigger,
    input::{Observed, rendering},
    target::{Ours, SecretData, Target},
};
use crate::{
    api::{Reason, Statement, Subject},
    schedule,
    secret::{Record, metadata_is_as_desired},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::sync::Arc;

impl Case<'_> {
    /// The step that makes the Secret hold exactly the accepted request; `Keep` if the Secret holds
    /// it.
    pub(super) fn deliver(&self, accepted: &Accepted) -> Next {
        self.checks(accepted).err().unwrap_or(SecretAction::Keep.into())
    }

    /// Makes the checks in order. Each check either passes, or names the step that would make it
    /// pass. A check that passes may return a value that later checks use.
    fn checks(&self, accepted: &Accepted) -> Result<(), Next> {
        let ours = self.check(Check::TargetIsOurs, self.target_is_ours())?;
        let record = self.check(Check::TargetHasRecord, self.has_its_annotations(ours))?;
        self.check(Check::DataIsKnown, content_is_known(ours))?;
        self.check(Check::CredentialIsThisPersons, self.is_of_this_person(ours, record))?;
        self.check(Check::DataIsIntact, content_is_intact(ours))?;
        self.check(Check::NotWithdrawn, is_not_withdrawn(record))?;
        self.check(Check::AnswersRequest, self.is_what_is_asked_for(record, accepted))?;
        self.check(Check::NotDue, self.is_not_due(record))?;
        self.check(Check::RenderedAsAsked, self.is_rendered_as_asked(ours, record))?;
        if self.seen.config.spec.profiles.is_empty() && record.profiles.is_empty() {
            return Ok(());
        }
        self.check(Check::HoldsProfiles, self.holds_the_profiles(ours, record))
    }

    fn target_is_ours(&self) -> Result<&Ours, Next> {
        match &self.seen.target {
            Target::NotWatched => Err(Read::Target.into()),
            Target::Foreign { owner, is_marked } => {
                let blocker = Blocker::Secret { owner: owner.clone(), is_marked: *is_marked };
                Err(SecretAction::Blocked(blocker).into())
            }
            Target::Absent => Err(match &self.seen.older_claim {
                Some(config) => SecretAction::Blocked(Blocker::OlderConfig(config.clone())),
                None => SecretAction::Issue(self.drifted_or_first()),
            }
            .into()),
            Target::Ours(ours) => Ok(ours),
        }
    }

    /// Passes if the Secret has keyturn's annotations. Without them, the Secret was never filled,
    /// or somebody removed them.
    fn has_its_annotations<'b>(&self, ours: &'b Ours) -> Result<&'b Record, Next> {
        ours.record.as_ref().ok_or_else(|| SecretAction::Issue(self.drifted_or_first()).into())
    }

    fn drifted_or_first(&self) -> Trigger {
        if self.claims_a_credential() { Trigger::Drifted } else { Trigger::First }
    }

    fn is_of_this_person(&self, ours: &Ours, record: &Record) -> Result<(), Next> {
        self.of_another_person(ours, record).map_or(Ok(()), |withdraw| Err(withdraw.into()))
    }

    /// The withdrawal of another person's credential. keyturn withdraws it before it issues
    /// anything new, even if it then refuses the new request. If somebody edited the Secret, status
    /// says whose credential it was, because keyturn does not trust the annotations of an edited
    /// Secret.
    pub(super) fn of_another_person(&self, ours: &Ours, record: &Record) -> Option<SecretAction> {
        let why = self.former_person(ours, record).filter(|_| record.withdrawn.is_none())?;
        Some(SecretAction::Withdraw(why))
    }

    /// The statement that the Secret is another person's; `None` if it is this person's.
    pub(super) fn former_person(&self, ours: &Ours, record: &Record) -> Option<Statement> {
        let subject = self.seen.config.subject();
        let subject = subject.as_ref().map_or("", Subject::as_str);
        let recorded = self.seen.config.status.as_ref().and_then(|status| status.person.as_deref());
        let former = if ours.is_edited() { recorded.unwrap_or(subject) } else { &record.person };
        let message = || format!("the credential was \"{former}\"'s and the AwsConfig is now for \"{subject}\"");
        (former != subject).then(|| Statement::new(Reason::Pending, message()))
    }

    fn is_what_is_asked_for(&self, record: &Record, accepted: &Accepted) -> Result<(), Next> {
        let current = self.seen.source.key().map(Arc::as_ref);
        if accepted.request.is_answered_by(&record.issue_digest, current) {
            Ok(())
        } else {
            Err(SecretAction::Issue(Trigger::Changed).into())
        }
    }

    fn is_not_due(&self, record: &Record) -> Result<(), Next> {
        // DSS may give another key now, or deny the person the connection.
        if check_at(self.seen, record).is_some_and(|at| at <= self.now) {
            return Err(SecretAction::Issue(Trigger::Due).into());
        }
        match renew_at(self.seen, record) {
            Some(at) if at <= self.now => Err(SecretAction::Issue(Trigger::Due).into()),
            _ if self.is_renewal_requested() => Err(SecretAction::Issue(Trigger::Requested).into()),
            // Sessions that expire together are renewed in one write.
            _ if self.profile_is_due() && self.may_renew(record) => Err(SecretAction::Issue(Trigger::Due).into()),
            _ => Ok(()),
        }
    }

    /// Whether enough of the lifetime has passed to renew the credential along with a profile.
    fn may_renew(&self, record: &Record) -> bool {
        record.expires_at.is_some_and(|expires_at| schedule::may_renew(record.issued_at, expires_at, self.now))
    }

    /// Whether a user asks for a new session since the last issue.
    fn is_renewal_requested(&self) -> bool {
        let request = self.seen.config.renewal_request();
        let recorded = self.seen.config.status.as_ref().and_then(|status| status.renewed.as_ref());
        request.is_some() && request.as_ref() != recorded && request != self.seen.remembered.renewed
    }

    fn is_rendered_as_asked(&self, ours: &Ours, record: &Record) -> Result<(), Next> {
        let immutable = matches!(&ours.content, SecretData::Read(read) if read.immutable);
        let Some(why) = self.metadata_drift(ours, record).or(immutable.then_some(Trigger::Drifted)) else {
            return Ok(());
        };
        match &ours.content {
            SecretData::Read(read) if read.credentials.is_none() => Err(SecretAction::Issue(Trigger::Drifted).into()),
            SecretData::Read(_) => Err(SecretAction::Render(why).into()),
            SecretData::Unknown | SecretData::Known => Err(Read::TargetData.into()),
        }
    }

    /// The trigger of a rendering, if the formats, labels or annotations of the Secret are not as
    /// the config asks; `None` if they are. The data does not matter.
    pub(super) fn metadata_drift(&self, ours: &Ours, record: &Record) -> Option<Trigger> {
        let rendering = rendering(self.seen);
        if record.render_digest != rendering.digest() {
            return Some(Trigger::Changed);
        }
        let as_desired = metadata_is_as_desired(&self.seen.config, &rendering, &ours.metadata);
        (!as_desired).then_some(Trigger::Drifted)
    }

    /// Whether status says that a profile has a session.
    pub(super) fn claims_a_profile(&self) -> bool {
        let profiles = self.seen.config.status.iter().flat_map(|status| status.profiles.iter().flatten());
        profiles.into_iter().any(|profile| profile.access_key_id.is_some())
    }

    /// Whether status says that the config has a credential. Its Secret existed at that time.
    pub(super) fn claims_a_credential(&self) -> bool {
        self.seen.config.status.as_ref().is_some_and(|status| status.access_key_id.is_some())
    }
}

fn content_is_known(ours: &Ours) -> Result<(), Next> {
    if ours.content == SecretData::Unknown { Err(Read::TargetData.into()) } else { Ok(()) }
}

fn content_is_intact(ours: &Ours) -> Result<(), Next> {
    if ours.is_edited() { Err(SecretAction::Issue(Trigger::Drifted).into()) } else { Ok(()) }
}

fn is_not_withdrawn(record: &Record) -> Result<(), Next> {
    if record.withdrawn.is_none() { Ok(()) } else { Err(SecretAction::Issue(Trigger::Restored).into()) }
}

/// The time at which keyturn renews the credential of `record`; `None` for a key, which never
/// expires.
#[must_use]
pub fn renew_at(seen: &Observed, record: &Record) -> Option<Timestamp> {
    let margin = seen.config.spec.renew_before.as_ref().and_then(|margin| margin.length().ok());
    let uid = seen.config.uid().unwrap_or_default();
    record.expires_at.map(|expires_at| schedule::renew_at(&uid, record.issued_at, expires_at, margin))
}

/// The time at which keyturn asks DSS again for a key that came from a connection and never
/// expires; `None` for any other credential. A hash of the UID adds a part of `refresh`, because
/// configs must not all ask at the same time.
#[must_use]
pub fn check_at(seen: &Observed, record: &Record) -> Option<Timestamp> {
    let connected = seen.config.spec.connection.is_some() && record.expires_at.is_none() && record.withdrawn.is_none();
    let instance = seen.dss.as_ref().and_then(|dss| dss.instance.as_ref()).filter(|_| connected)?;
    let since = seen.remembered.checked_at.unwrap_or_else(|| record.issued_at.max(seen.started_at));
    let refresh = instance.spec.refresh.length().unwrap_or_default();
    let uid = seen.config.uid().unwrap_or_default();
    since.saturating_add(refresh + schedule::part_of(refresh, &uid)).ok()
}
