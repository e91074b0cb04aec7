//! The `AwsRole`s that keyturn generates for `spec.role`. keyturn creates an `AwsRole` once,
//! repairs it if somebody edits or deletes it, and never touches one of another owner. If
//! `spec.roleRetention` is `Prune`, keyturn deletes the generated ones that are no longer active.

use super::{
    Case,
    input::{Observed, SeenRole, generated_role_name},
    target::is_controlled_by,
};
use crate::api::{AwsConfigRef, AwsRole, AwsRoleSpec, RoleRetention, names};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::sync::Arc;

/// The step for the generated `AwsRole`.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleStep {
    /// Leave the role as it is.
    Keep,
    /// Create the role, or, if `role` has a UID, apply it to the object with that UID.
    Write {
        /// The role as it should be.
        role: Box<AwsRole>,
        /// Whether the role existed before, and somebody edited or deleted it.
        repairs: bool,
    },
    /// Do nothing before `until`, because another writer fights over the role.
    Hold {
        /// The time of the next repair.
        until: Timestamp,
    },
}

/// The steps for the generated `AwsRole`s of one config.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedRoles {
    /// The step for the `AwsRole` that the config asks for.
    pub step: RoleStep,
    /// The generated `AwsRole`s to delete.
    pub prune: Vec<Arc<AwsRole>>,
}

impl GeneratedRoles {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn are_in_order(&self) -> bool {
        self.step == RoleStep::Keep && self.prune.is_empty()
    }
}

/// Decides about the generated `AwsRole`s of the config in `seen` at the time `now`. Nothing is to
/// be read for it.
#[must_use]
pub fn generated_roles(seen: &Observed, now: Timestamp) -> GeneratedRoles {
    Case::new(seen, now).generated_roles()
}

impl Case<'_> {
    pub(super) fn generated_roles(&self) -> GeneratedRoles {
        GeneratedRoles { step: self.role_step(), prune: self.roles_to_prune() }
    }

    fn role_step(&self) -> RoleStep {
        let Some(mut wanted) = wanted_role(self.seen) else { return RoleStep::Keep };
        let repairs = match &self.seen.role {
            SeenRole::NotShown | SeenRole::Absent => self.former_active_role() == wanted.metadata.name.as_deref(),
            SeenRole::Shown(role) if role.metadata.deletion_timestamp.is_some() => return RoleStep::Keep,
            SeenRole::Shown(role)
                if !is_controlled_by(&role.metadata, &self.seen.config) || is_as_wanted(role, &wanted) =>
            {
                return RoleStep::Keep;
            }
            SeenRole::Shown(role) => {
                wanted.metadata.uid = role.uid();
                true
            }
        };
        match self.fought_over_until().filter(|_| repairs) {
            Some(until) => RoleStep::Hold { until },
            None => RoleStep::Write { role: Box::new(wanted), repairs },
        }
    }

    /// The name of the active role that status last recorded.
    pub(super) fn former_active_role(&self) -> Option<&str> {
        let status = self.seen.config.status.as_ref()?;
        status.active_role.as_ref().map(|active| active.name.as_str())
    }

    /// The generated roles to delete.
    fn roles_to_prune(&self) -> Vec<Arc<AwsRole>> {
        let config = &self.seen.config;
        let unknown = self.seen.namespace_labels.is_none()
            || self.seen.asked_role.as_ref().is_err_and(|refusal| !refusal.withdraws);
        if config.spec.role_retention == RoleRetention::Retain || unknown {
            return vec![];
        }
        let is_named = |role: &AwsRole| self.seen.profile_roles.contains_key(&role.name_any());
        let is_generated = |role: &&Arc<AwsRole>| {
            role.labels().get(names::CREATED_FROM).is_some_and(|from| from == names::CREATED_FROM_CONFIG)
                && is_controlled_by(&role.metadata, config)
                && role.metadata.deletion_timestamp.is_none()
                && !is_named(role)
        };
        self.seen.other_roles.iter().filter(is_generated).cloned().collect()
    }
}

fn is_as_wanted(role: &AwsRole, wanted: &AwsRole) -> bool {
    // AwsRoles of former releases lack the label for backups. That is no reason for a write.
    let mut labels = wanted.labels().iter().filter(|(key, _)| *key != names::EXCLUDE_FROM_BACKUP);
    let has_labels = labels.all(|(key, value)| role.labels().get(key) == Some(value));
    role.spec == wanted.spec && has_labels
}

/// The generated role as it should be; `None` if `spec.role` gives no role, and while the namespace
/// has not been seen.
fn wanted_role(seen: &Observed) -> Option<AwsRole> {
    let config = &seen.config;
    let role = seen.asked_role.as_ref().ok()?.as_ref()?;
    seen.namespace_labels.as_ref()?;
    let spec = AwsRoleSpec {
        aws_config_ref: AwsConfigRef { name: config.name_any() },
        person: config.spec.person.clone(),
        role: role.to_string(),
    };
    let mut wanted = AwsRole::new(&generated_role_name(config, role), spec);
    wanted.metadata.namespace = config.namespace();
    wanted.metadata.labels = Some(
        [
            (names::MANAGED_BY, names::MANAGER.to_owned()),
            (names::AWS_CONFIG_LABEL, config.name_any()),
            (names::CREATED_FROM, names::CREATED_FROM_CONFIG.to_owned()),
            (names::EXCLUDE_FROM_BACKUP, "true".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
    );
    wanted.metadata.owner_references = Some(vec![config.owner_reference()]);
    Some(wanted)
}
