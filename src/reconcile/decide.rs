//! The decision: what is seen and `now` in, a [`Plan`] out. Pure.
//!
//! It asks two questions, each a chain of named checks that is read from top to bottom; the first check that does not
//! pass decides.
//!
//! 1. *May this config have what it asks for?* ([`Case::accept`]). If not, what it has is taken away, except where
//!    that would be a decision on half a view.
//! 2. *Does the Secret hold exactly that?* ([`Case::deliver`]). If not, the plan is the smallest step that makes it so:
//!    a look, a rendering, or an issue.
//!
//! A failure changes neither answer: it only holds an issue back until its time has come ([`Case::pace`]).

use super::{
    grants::{Ask, granted},
    observed::{Look, Observed, Ours, Target, generated_role_name, is_controlled_by, rendering},
    schedule,
};
use crate::{
    api::{Reason, RoleArn},
    credentials::Request,
    secret::{Record, metadata_is_as_desired},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

/// What is to be done about one `AwsConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whether the config may have what it asks for.
    pub accepted: Result<Accepted, Refusal>,
    /// What is to be done about the Secret.
    pub step: Step,
}

/// A request that a grant allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// What STS is to be asked for.
    pub request: Request,
    /// The name of the `AwsRole` in use.
    pub role_name: String,
    /// The name of the grant.
    pub grant: String,
    /// A digest of the request and of the grant as it stands: a failure holds back this attempt only, so that
    /// changing either tries again at once.
    pub attempt: String,
}

/// Why a config may not have what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// For the conditions.
    pub reason: Reason,
    /// For the person who reads them.
    pub message: String,
    /// Whether what it has is taken away. Not so where something is merely unknown.
    pub withdraws: bool,
}

/// What is to be done about the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the Secret's metadata, then decide again.
    LookForTarget,
    /// Read the Secret, then decide again.
    LookInside,
    /// Nothing.
    Keep,
    /// Nothing before `until`: an attempt failed.
    Hold {
        /// When it is time.
        until: Timestamp,
    },
    /// Nothing may be done: the Secret is somebody else's.
    Blocked {
        /// Who else it belongs to, in words.
        owner: String,
    },
    /// Obtain a new credential and write it.
    Issue(Why),
    /// Write the credential that is there in the form that is asked for.
    Render(Why),
    /// Take the credential out of the Secret.
    Withdraw {
        /// Why.
        reason: Reason,
        /// For the person.
        message: String,
    },
}

/// Why a credential is obtained or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is none yet.
    First,
    /// The one that there was has been withdrawn.
    Restored,
    /// Something else is asked for now.
    Changed,
    /// Somebody edited or deleted the Secret.
    Drifted,
    /// It is time.
    Due,
}

/// Decides. Looks are answered by gathering more and deciding again.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case { seen, now };
    let accepted = case.accept();
    let step = match &accepted {
        Ok(accepted) => case.pace(accepted, case.deliver(accepted)),
        Err(refusal) => case.take_away(refusal),
    };
    Plan { accepted, step }
}

struct Case<'a> {
    seen: &'a Observed,
    now: Timestamp,
}

// ---- 1. May this config have what it asks for? ---------------------------------------------------------------------

impl Case<'_> {
    fn accept(&self) -> Result<Accepted, Refusal> {
        self.is_not_suspended()?;
        let role = self.names_a_role()?;
        self.namespace_is_known()?;
        self.generated_role_is_ours(&role)?;
        self.is_granted(&role)
    }

    fn is_not_suspended(&self) -> Result<(), Refusal> {
        if self.seen.config.spec.suspend {
            return refuse(Reason::Suspended, "spec.suspend is true; set it to false to get a credential again");
        }
        Ok(())
    }

    fn names_a_role(&self) -> Result<RoleArn, Refusal> {
        match self.seen.config.spec.role_arn() {
            Ok(Some(role)) => Ok(role),
            Ok(None) => refuse(Reason::RolePending, "no role is named yet; set spec.role to the ARN of an IAM role"),
            Err(error) => refuse(Reason::InvalidSpec, format!("spec.role: {error}")),
        }
    }

    fn namespace_is_known(&self) -> Result<(), Refusal> {
        if self.seen.namespace_labels.is_some() {
            return Ok(());
        }
        let message = format!("namespace \"{}\" has not been seen yet; it is waited for", self.namespace());
        Err(Refusal { reason: Reason::Pending, message, withdraws: false })
    }

    fn generated_role_is_ours(&self, role: &RoleArn) -> Result<(), Refusal> {
        match &self.seen.role {
            Some(taken) if !is_controlled_by(&taken.metadata, &self.seen.config) => {
                let message = format!(
                    "the AwsRole \"{}\", which would be created for {role}, exists and does not belong to this AwsConfig; \
                     delete or rename it",
                    taken.name_any()
                );
                Err(Refusal { reason: Reason::RoleNotOfThisConfig, message, withdraws: false })
            }
            _ => Ok(()),
        }
    }

    fn is_granted(&self, role: &RoleArn) -> Result<Accepted, Refusal> {
        let spec = &self.seen.config.spec;
        let Some(person) = spec.person.as_deref() else {
            return refuse(Reason::InvalidSpec, "spec.person is required in User mode");
        };
        let (duration, none) = (spec.duration(), std::collections::BTreeMap::new());
        let ask = Ask {
            namespace: &self.namespace(),
            namespace_labels: self.seen.namespace_labels.as_ref().unwrap_or(&none),
            person,
            role,
            duration: &duration,
        };
        let grant = match granted(&self.seen.grants, ask) {
            Ok(grant) => grant,
            Err(missing) => {
                // A process that has never seen a grant issues nothing, but takes nothing away either: an empty list
                // is what a restored or half-restored cluster shows, and what is live ends by itself.
                let withdraws = self.seen.grants_seen;
                return Err(Refusal { reason: Reason::NotGranted, message: missing, withdraws });
            }
        };
        let seconds = duration.length().ok().and_then(|length| i32::try_from(length.as_secs()).ok());
        let Some(duration_seconds) = seconds else {
            return refuse(Reason::InvalidSpec, format!("spec.session.duration: {duration} is no duration"));
        };
        let external_id = grant.spec.external_id.clone();
        let request = Request {
            role: role.clone(),
            session_name: person.to_owned(),
            external_id: external_id.unwrap_or_else(|| default_external_id(self.seen)),
            duration_seconds,
        };
        let attempt = Sha256::new()
            .chain_update(request.digest())
            .chain_update(grant.uid().unwrap_or_default())
            .chain_update(grant.metadata.generation.unwrap_or_default().to_be_bytes())
            .finalize();
        Ok(Accepted {
            role_name: generated_role_name(&self.seen.config, role),
            grant: grant.name_any(),
            attempt: format!("{attempt:x}")[..32].to_owned(),
            request,
        })
    }

    fn namespace(&self) -> String {
        self.seen.config.namespace().unwrap_or_default()
    }
}

/// `<cluster>/<namespace>`: set by the operator and not by the user, so that a trust policy can name the namespace.
#[must_use]
pub fn default_external_id(seen: &Observed) -> String {
    format!("{}/{}", seen.cluster, seen.config.namespace().unwrap_or_default())
}

fn refuse<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason, message: message.into(), withdraws: true })
}

// ---- 2. Does the Secret hold exactly that? --------------------------------------------------------------------------

impl Case<'_> {
    /// Each check either passes (`Ok`, with what it learnt) or names the step that would make it pass.
    fn deliver(&self, accepted: &Accepted) -> Step {
        self.checks(accepted).err().unwrap_or(Step::Keep)
    }

    fn checks(&self, accepted: &Accepted) -> Result<(), Step> {
        let ours = self.target_is_ours()?;
        let record = self.has_its_annotations(ours)?;
        self.is_of_this_person(record)?;
        content_is_known(ours)?;
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
    fn is_of_this_person(&self, record: &Record) -> Result<(), Step> {
        let person = self.seen.config.spec.person.as_deref().unwrap_or_default();
        if record.person == person || record.withdrawn.is_some() {
            return Ok(());
        }
        let message = format!("the person changed from \"{}\" to \"{person}\"", record.person);
        Err(Step::Withdraw { reason: Reason::Pending, message })
    }

    fn is_not_due(&self, record: &Record) -> Result<(), Step> {
        if self.now < self.renew_at(record) { Ok(()) } else { Err(Step::Issue(Why::Due)) }
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

    /// When the credential of `record` is renewed.
    pub(super) fn renew_at(&self, record: &Record) -> Timestamp {
        renew_at(self.seen, record)
    }

    /// Whether status says that there is a credential: then its Secret was there.
    fn claims_a_credential(&self) -> bool {
        self.seen.config.status.as_ref().is_some_and(|status| status.access_key_id.is_some())
    }
}

fn content_is_known(ours: &Ours) -> Result<(), Step> {
    if ours.content == Look::Needed { Err(Step::LookInside) } else { Ok(()) }
}

fn content_is_intact(ours: &Ours) -> Result<(), Step> {
    match &ours.content {
        Look::Taken(taken) if !taken.intact => Err(Step::Issue(Why::Drifted)),
        _ => Ok(()),
    }
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

// ---- Taking away ----------------------------------------------------------------------------------------------------

impl Case<'_> {
    fn take_away(&self, refusal: &Refusal) -> Step {
        let ours = match &self.seen.target {
            _ if !refusal.withdraws => return self.expired().unwrap_or(Step::Keep),
            Target::Ours(ours) => ours,
            // Somebody may have taken our label off. A Secret that never held a credential is not looked for.
            Target::NotWatched if self.claims_a_credential() => return Step::LookForTarget,
            Target::NotWatched | Target::Absent | Target::Foreign { .. } => return Step::Keep,
        };
        let done =
            ours.record.as_ref().is_some_and(|record| record.withdrawn.as_deref() == Some(refusal.reason.as_str()));
        match &ours.content {
            Look::Needed if done => Step::LookInside,
            Look::NotNeeded if done => Step::Keep,
            Look::Taken(taken) if done && taken.intact => Step::Keep,
            Look::Taken(_) if done => {
                self.after_repairs(Step::Withdraw { reason: refusal.reason, message: refusal.message.clone() })
            }
            _ => Step::Withdraw { reason: refusal.reason, message: refusal.message.clone() },
        }
    }
}

// ---- Not before its time --------------------------------------------------------------------------------------------

impl Case<'_> {
    fn pace(&self, accepted: &Accepted, step: Step) -> Step {
        let step = match step {
            Step::Issue(Why::Drifted) | Step::Render(Why::Drifted) => self.after_repairs(step),
            other => other,
        };
        match (&step, self.backing_off(accepted)) {
            (Step::Issue(_) | Step::LookForTarget, Some(until)) => self.expired().unwrap_or(Step::Hold { until }),
            _ => step,
        }
    }

    /// A credential is never taken away because a renewal failed. One that has expired is none.
    fn expired(&self) -> Option<Step> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let record = ours.record.as_ref()?;
        if record.withdrawn.is_some() || record.expires_at > self.now {
            return None;
        }
        let message = format!("the credential expired at {} and could not be renewed", record.expires_at);
        Some(Step::Withdraw { reason: Reason::Expired, message })
    }

    fn backing_off(&self, accepted: &Accepted) -> Option<Timestamp> {
        let passing = self.seen.remembered.passing.as_ref();
        let passing =
            passing.filter(|passing| passing.attempt == accepted.attempt).map(|passing| passing.next_attempt_at);
        let status = self.seen.config.status.as_ref();
        let same_spec = |observed: Option<i64>| observed == self.seen.config.metadata.generation;
        let stored =
            status.filter(|status| same_spec(status.observed_generation)).and_then(|status| status.failure.as_ref());
        let stored = stored.filter(|failure| failure.attempt == accepted.attempt).map(|failure| {
            let Time(next) = failure.next_attempt_at;
            next
        });
        passing.max(stored).filter(|next| *next > self.now)
    }

    /// The first repairs are at once; a war with another writer is fought slowly.
    fn after_repairs(&self, step: Step) -> Step {
        let remembered = &self.seen.remembered;
        let Some(last) = remembered.repaired_at else { return step };
        let next = last.saturating_add(schedule::repair_delay(remembered.repairs)).unwrap_or(last);
        let calm = self.now.duration_since(last) > schedule::CALM;
        if calm || next <= self.now { step } else { Step::Hold { until: next } }
    }
}

#[cfg(test)]
mod tests;
