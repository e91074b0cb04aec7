//! The first question: may this config have what it asks for? And if not, what is taken away.

use super::{Accepted, Case, Refusal, Step};
use crate::{
    api::{Reason, RoleArn},
    credentials::Request,
    reconcile::{
        grants::{Ask, granted},
        observed::{Look, Observed, Target, is_controlled_by},
    },
};
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

impl Case<'_> {
    pub(super) fn accept(&self) -> Result<Accepted, Refusal> {
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
        Ok(Accepted { grant: grant.name_any(), attempt: format!("{attempt:x}")[..32].to_owned(), request })
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

impl Case<'_> {
    /// What goes whether or not there is more to be known: what has expired, and what is another person's.
    fn over_anyway(&self) -> Option<Step> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let of_another = ours.record.as_ref().and_then(|record| self.is_of_this_person(ours, record).err());
        of_another.or_else(|| self.expired())
    }

    pub(super) fn take_away(&self, refusal: &Refusal) -> Step {
        let ours = match &self.seen.target {
            _ if !refusal.withdraws => return self.over_anyway().unwrap_or(Step::Keep),
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
