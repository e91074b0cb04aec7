//! The role that the config asks for: the role of `spec.role`, or of the `AwsRole` that
//! `spec.activeRoleRef` names.

use super::{
    Case, Read, Refusal,
    action::{cannot, refuse},
    input::{SeenRole, generated_role_name},
    target::{Target, is_controlled_by},
};
use crate::api::{ActiveRole, ActiveRoleRef, AwsRole, Reason, RoleArn, Statement, Subject};
use kube::ResourceExt as _;

impl Case<'_> {
    pub(super) fn names_a_role(&self) -> Result<RoleArn, Refusal> {
        let spec = &self.seen.config.spec;
        match (self.seen.asked_role.clone(), &spec.active_role_ref) {
            (Ok(Some(_)), Some(_)) => {
                refuse(Reason::InvalidSpec, "spec.role and spec.activeRoleRef exclude each other")
            }
            (Ok(Some(role)), None) => Ok(role),
            (Ok(None), Some(named)) => self.named_role(named),
            (Ok(None), None) => refuse(
                Reason::RolePending,
                "no role is named yet; set spec.role to the ARN of an IAM role, or spec.activeRoleRef to an AwsRole",
            ),
            (Err(refusal), _) => Err(refusal),
        }
    }

    fn named_role(&self, named: &ActiveRoleRef) -> Result<RoleArn, Refusal> {
        let Some(role) = self.seen.role.there() else { return Err(self.named_role_missing(&named.name)) };
        self.role_is_of_this_config(role)?;
        role.spec
            .role
            .parse()
            .or_else(|error| refuse(Reason::InvalidSpec, format!("AwsRole \"{}\": {error}", named.name)))
    }

    /// The refusal of a named role that is missing. keyturn never uses another role instead.
    /// keyturn reads the `AwsRole` before it withdraws anything, because the user may have created
    /// it a moment ago, or the watch may not show an `AwsRole` that exists.
    fn named_role_missing(&self, name: &str) -> Refusal {
        let has_something_to_lose = self.claims_a_credential() || matches!(self.seen.target, Target::Ours(_));
        let unread = self.seen.role == SeenRole::NotShown && has_something_to_lose;
        let (reason, message) = if self.former_active_role() == Some(name) {
            let message =
                format!("AwsRole \"{name}\", the active one, has been deleted; create it again, or name another");
            (Reason::ActiveRoleMissing, message)
        } else {
            (Reason::RolePending, format!("AwsRole \"{name}\", which spec.activeRoleRef names, does not exist yet"))
        };
        Refusal { why: Statement::new(reason, message), withdraws: true, needs: unread.then_some(Read::Role) }
    }

    /// Passes if the `AwsRole` names this config and this config's person.
    pub(super) fn role_is_of_this_config(&self, role: &AwsRole) -> Result<(), Refusal> {
        let config = &self.seen.config;
        let (name, of) = (role.name_any(), &role.spec.aws_config_ref.name);
        if *of != config.name_any() {
            let message =
                format!("AwsRole \"{name}\" belongs to AwsConfig \"{of}\"; only roles of its own can be used");
            return refuse(Reason::RoleNotOfThisConfig, message);
        }
        let subject = config.subject();
        let person = subject.as_ref().and_then(Subject::as_person);
        if role.spec.person.as_deref() != person {
            let show = |person: Option<&str>| person.map_or("nobody (System mode)".to_owned(), |p| format!("\"{p}\""));
            let message = format!(
                "AwsRole \"{name}\" is for {} and this AwsConfig for {}; write an AwsRole with the same person",
                show(role.spec.person.as_deref()),
                show(person)
            );
            return refuse(Reason::RoleNotOfThisConfig, message);
        }
        Ok(())
    }

    pub(super) fn generated_role_is_ours(&self, role: &RoleArn) -> Result<(), Refusal> {
        let config = &self.seen.config;
        if config.spec.active_role_ref.is_some() {
            return Ok(());
        }
        match &self.seen.role {
            SeenRole::Shown(taken) if !is_controlled_by(&taken.metadata, config) => {
                let (name, namespace) = (taken.name_any(), config.namespace().unwrap_or_default());
                let message = format!(
                    "the AwsRole \"{name}\", which would be created for {role}, exists and does not belong to this AwsConfig: it \
                     was restored from a backup, or somebody else created it. Delete it, and keyturn creates its own: kubectl -n \
                     {namespace} delete awsrole {name}"
                );
                cannot(Reason::RoleNotOfThisConfig, message)
            }
            _ => Ok(()),
        }
    }

    /// The `AwsRole` in use. If a named one is missing, status keeps its name, because keyturn has
    /// to distinguish a role that was deleted from a role that nobody has created yet.
    pub(super) fn active_role(&self) -> Option<ActiveRole> {
        let config = &self.seen.config;
        if let Some(named) = &config.spec.active_role_ref {
            let former = config.status.as_ref().and_then(|status| status.active_role.clone());
            return match self.seen.role.there() {
                Some(role) if self.role_is_of_this_config(role).is_ok() => {
                    Some(ActiveRole { name: named.name.clone(), role: role.spec.role.clone() })
                }
                Some(_) => None,
                None => former.filter(|former| former.name == named.name),
            };
        }
        let former = || config.status.as_ref().and_then(|status| status.active_role.clone());
        match &self.seen.asked_role {
            Ok(role) => {
                let role = role.as_ref()?;
                Some(ActiveRole { name: generated_role_name(config, role), role: role.to_string() })
            }
            // A role that is merely unknown changes nothing.
            Err(refusal) if !refusal.withdraws => former(),
            Err(_) => None,
        }
    }
}
