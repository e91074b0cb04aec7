//! The effect of a refusal on the Secret.

use super::{
    Case, Next, Read, Refusal, SecretAction,
    target::{SecretData, Target},
};

impl Case<'_> {
    /// The withdrawal that is due even while something is unknown: of a credential that has
    /// expired, or that is another person's.
    fn due_anyway(&self) -> Option<SecretAction> {
        let Target::Ours(ours) = &self.seen.target else { return None };
        let of_another = ours.record.as_ref().and_then(|record| self.of_another_person(ours, record));
        of_another.or_else(|| self.expired())
    }

    /// Whether status says that the Secret exists.
    fn claims_a_secret(&self) -> bool {
        let target = self.seen.config.status.as_ref().and_then(|status| status.target.as_ref());
        self.claims_a_credential() || target.is_some_and(|target| target.resource_version.is_some())
    }

    /// The step for the Secret after a refusal.
    pub(super) fn withdrawal(&self, refusal: &Refusal) -> Next {
        if let Some(needs) = refusal.needs {
            return needs.into();
        }
        if let Some(next) = self.braked(refusal) {
            return next;
        }
        let withdraws = refusal.withdraws || self.is_held(refusal);
        let ours = match &self.seen.target {
            // keyturn would forget a Secret without its label, and the Secret would still exist
            // when more is known.
            Target::NotWatched if !withdraws && self.claims_a_secret() => return Read::Target.into(),
            _ if !withdraws => return self.due_anyway().unwrap_or(SecretAction::Keep).into(),
            Target::Ours(ours) => ours,
            // Somebody may have removed keyturn's label. keyturn does not read a Secret that never
            // held a credential.
            Target::NotWatched if self.claims_a_secret() => return Read::Target.into(),
            Target::NotWatched | Target::Absent | Target::Foreign { .. } => return SecretAction::Keep.into(),
        };
        let withdraw = SecretAction::Withdraw(refusal.why.clone());
        let done = ours.record.as_ref().filter(|record| record.is_withdrawn_for(refusal.why.reason));
        let Some(record) = done else { return withdraw.into() };
        match &ours.content {
            SecretData::Unknown => Read::TargetData.into(),
            SecretData::Known | SecretData::Read(_)
                if !ours.is_edited() && self.metadata_drift(ours, record).is_none() =>
            {
                SecretAction::Keep.into()
            }
            SecretData::Known | SecretData::Read(_) if self.profile_is_to_go() => withdraw.into(),
            SecretData::Known | SecretData::Read(_) => self.after_repairs(withdraw).into(),
        }
    }
}
