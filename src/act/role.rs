//! The writes of generated `AwsRole`s.

use crate::{
    act::Context,
    api::AwsRole,
    cluster::{CallError, Failed, Preconditions},
    decide::{GeneratedRoles, RoleStep},
};
use kube::ResourceExt as _;
use std::sync::Arc;

/// Creates or restores the generated role, and deletes the roles that the config no longer uses, as
/// the decision says.
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer.
pub async fn write_roles(context: &Context, roles: &GeneratedRoles) -> Result<(), CallError> {
    write_role(context, &roles.step).await?;
    prune(context, &roles.prune).await
}

/// A role without a UID does not exist yet.
async fn write_role(context: &Context, step: &RoleStep) -> Result<(), CallError> {
    let RoleStep::Write { role, .. } = step else { return Ok(()) };
    let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
    let roles = context.views.roles.own_writes();
    let written = if role.metadata.uid.is_none() {
        roles.write(&namespace, &name, context.calls.create_role(role)).await
    } else {
        roles.write(&namespace, &name, context.calls.apply_role(role)).await
    };
    written.map(|_| ())
}

/// Deletes the generated roles that the config no longer uses. A role that is already gone is no
/// error.
async fn prune(context: &Context, roles: &[Arc<AwsRole>]) -> Result<(), CallError> {
    for role in roles {
        let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
        let seen = Preconditions { uid: role.uid(), resource_version: None };
        match context.calls.delete_role(&namespace, &name, seen).await {
            Err(error) if error.failed != Failed::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
