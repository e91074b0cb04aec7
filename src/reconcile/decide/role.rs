//! The `AwsRole` that `spec.role` stands for: created once, put right if it was edited or deleted, never somebody else's.

use super::Case;
use crate::{
    api::{AwsConfigRef, AwsRole, AwsRoleSpec, names},
    reconcile::observed::{Observed, generated_role_name, is_controlled_by},
};
use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};

/// What is to be done about the generated `AwsRole`.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleStep {
    /// Nothing.
    Keep,
    /// Write it: create it, or, if it has a UID, apply it to the one of that UID.
    Write {
        /// As it should be.
        role: Box<AwsRole>,
        /// It was there before: somebody edited or deleted it.
        repairs: bool,
    },
    /// It is fought over: nothing before `until`.
    Hold {
        /// When it is time.
        until: Timestamp,
    },
}

impl Case<'_> {
    pub(super) fn role_step(&self) -> RoleStep {
        let Some(mut wanted) = wanted_role(self.seen) else { return RoleStep::Keep };
        let status = self.seen.config.status.as_ref();
        let known = status.and_then(|status| status.active_role.as_ref()).map(|active| active.name.clone());
        let repairs = match &self.seen.role {
            None => known == wanted.metadata.name,
            Some(role) if !is_controlled_by(&role.metadata, &self.seen.config) || is_as(role, &wanted) => {
                return RoleStep::Keep;
            }
            Some(role) => {
                wanted.metadata.uid = role.uid();
                true
            }
        };
        match self.fought_over_until().filter(|_| repairs) {
            Some(until) => RoleStep::Hold { until },
            None => RoleStep::Write { role: Box::new(wanted), repairs },
        }
    }
}

fn is_as(role: &AwsRole, wanted: &AwsRole) -> bool {
    let has_labels = wanted.labels().iter().all(|(key, value)| role.labels().get(key) == Some(value));
    role.spec == wanted.spec && has_labels
}

/// As it should be; `None` without a role, and while the namespace has not been seen.
fn wanted_role(seen: &Observed) -> Option<AwsRole> {
    let config = &seen.config;
    let role = config.spec.role_arn().ok().flatten()?;
    seen.namespace_labels.as_ref()?;
    let spec = AwsRoleSpec {
        aws_config_ref: AwsConfigRef { name: config.name_any() },
        person: config.spec.person.clone(),
        role: role.to_string(),
    };
    let mut wanted = AwsRole::new(&generated_role_name(config, &role), spec);
    wanted.metadata.namespace = config.namespace();
    wanted.metadata.labels = Some(
        [
            (names::MANAGED_BY, names::MANAGER.to_owned()),
            (names::AWS_CONFIG_LABEL, config.name_any()),
            (names::CREATED_FROM, names::CREATED_FROM_CONFIG.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
    );
    wanted.metadata.owner_references = config.controller_owner_ref(&()).map(|mut owner| {
        owner.block_owner_deletion = None;
        vec![owner]
    });
    Some(wanted)
}
