//! The status of an `AwsRole`: whether it is the one in use, and whether its config could use it.

use super::{Case, Refusal, action::refuse, input::Observed, target::is_controlled_by};
use crate::api::{
    AwsRole, AwsRoleStatus, ConditionType, Reason, RoleArn, Statement, condition, ready_as, set_conditions, stalled,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

/// The status of `role` at the time `now`; `None` while it is not known. `seen` is what keyturn has
/// observed of the config that the role names, if that config exists.
#[must_use]
pub fn role_status(role: &AwsRole, seen: Option<&Observed>, now: Timestamp) -> Option<AwsRoleStatus> {
    let (active, usable) = match seen {
        Some(seen) => {
            let case = Case::new(seen, now);
            (case.uses(role), case.could_use(role))
        }
        // The garbage collector deletes the role with its config.
        None if role.owner_references().iter().any(|owner| owner.controller == Some(true)) => return None,
        None => {
            (false, refuse(Reason::Pending, format!("there is no AwsConfig \"{}\"", role.spec.aws_config_ref.name)))
        }
    };
    let (truth, why) = match usable {
        Ok(grant) => (true, Statement::new(Reason::Granted, format!("AwsRoleGrant \"{grant}\" allows it"))),
        Err(refusal) if seen.is_some_and(|seen| is_unknown(&refusal, seen)) => return None,
        Err(refusal) => (false, refusal.why),
    };
    let generation = role.metadata.generation;
    let usable = condition(ConditionType::Usable, truth, &why, generation, now);
    let ready = ready_as(&usable);
    // Another spec of the config, or another grant, may help with every other refusal.
    let needs_another_role = role.spec.role.parse::<RoleArn>().is_err();
    let stalled = (!truth && needs_another_role).then(|| stalled(&ready));
    let before = role.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let wanted = [usable, ready].into_iter().chain(stalled).collect();
    Some(AwsRoleStatus {
        observed_generation: generation,
        active: Some(active),
        conditions: set_conditions(before, wanted),
    })
}

/// Whether a refusal says only that keyturn has not seen something yet.
fn is_unknown(refusal: &Refusal, seen: &Observed) -> bool {
    refusal.why.reason == Reason::Pending || (refusal.why.reason == Reason::NotGranted && !seen.grants_seen)
}

impl Case<'_> {
    fn uses(&self, role: &AwsRole) -> bool {
        let name = role.name_any();
        let is_named = self.active_role().is_some_and(|active| active.name == name);
        let is_ours =
            self.seen.config.spec.active_role_ref.is_some() || is_controlled_by(&role.metadata, &self.seen.config);
        let of_profile = self.seen.profile_roles.contains_key(&name);
        ((is_named && is_ours) || of_profile) && self.role_is_of_this_config(role).is_ok()
    }

    fn could_use(&self, role: &AwsRole) -> Result<String, Refusal> {
        self.role_is_of_this_config(role)?;
        let arn = role.spec.role.parse().or_else(|error| refuse(Reason::InvalidSpec, format!("spec.role: {error}")))?;
        self.namespace_is_known()?;
        self.may_use(&arn).map(|accepted| accepted.grant)
    }
}
