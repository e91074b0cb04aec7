//! `kubectl keyturn can`, `who-can` and `roles`: what the grants allow, before anything is applied.
//! Pure.

use super::{Answer, Failed, cli::Can, table::table};
use crate::{
    api::{AwsConfig, AwsRoleGrant, Effect, Mode, RoleArn, Subject},
    grants::{GrantRequest, Requested, granted, is_about_namespace, may_name, names},
};
use kube::ResourceExt as _;
use serde_json::{from_value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Whether the grants allow a session of a role with the default settings.
///
/// # Errors
/// [`Failed`] if the role is no ARN of an IAM role.
pub(super) fn can(
    grants: &[Arc<AwsRoleGrant>],
    namespace_labels: &BTreeMap<String, String>,
    namespace: &str,
    asked: &Can,
) -> Result<Answer, Failed> {
    let role: RoleArn = asked.role.parse().map_err(|error| Failed::new(format!("--role: {error}")))?;
    let mode = if asked.system { Mode::System } else { Mode::User };
    let config = json!({
        "metadata": {"name": "asked", "namespace": namespace},
        "spec": {"mode": mode, "person": asked.person},
    });
    let config: AwsConfig = from_value(config).map_err(|error| Failed::new(error.to_string()))?;
    let Some(subject) = config.subject() else { return Err(Failed::new("name a person by --person, or use --system")) };
    let request =
        GrantRequest { config: &config, namespace_labels, subject: &subject, what: Requested::Role(role.as_str()) };
    Ok(match granted(grants, request) {
        Ok(grant) => Answer::fine(format!(
            "yes: AwsRoleGrant \"{}\" allows {} {role} in namespace \"{namespace}\"\n",
            grant.name_any(),
            whom(&subject)
        )),
        Err(why) => Answer::of(format!("no: {}\n", why.message), false),
    })
}

fn whom(subject: &Subject) -> String {
    subject.as_person().map_or_else(|| format!("\"{subject}\""), |person| format!("person \"{person}\""))
}

/// The grants that are about a role, those that deny it first.
pub(super) fn who_can(grants: &[Arc<AwsRoleGrant>], role: &str) -> Answer {
    let about: Vec<_> = grants.iter().filter(|grant| may_name(grant, role)).collect();
    if about.is_empty() {
        return Answer::of(format!("No AwsRoleGrant is about {role}.\n"), false);
    }
    listed(about)
}

/// The roles that the grants about a namespace allow, of one person or of all, and what they deny.
pub(super) fn roles(
    grants: &[Arc<AwsRoleGrant>],
    namespace_labels: &BTreeMap<String, String>,
    namespace: &str,
    person: Option<&str>,
) -> Answer {
    let is_about = |grant: &&Arc<AwsRoleGrant>| {
        let subject = person.map(Subject::person);
        let names_them = |patterns: &[String]| subject.as_ref().is_none_or(|it| patterns.iter().any(|p| names(p, it)));
        let excepts =
            subject.is_some() && !grant.spec.except_persons.is_empty() && names_them(&grant.spec.except_persons);
        is_about_namespace(grant, namespace, namespace_labels) && names_them(&grant.spec.persons) && !excepts
    };
    let about: Vec<_> = grants.iter().filter(is_about).collect();
    if about.iter().all(|grant| grant.spec.effect == Effect::Deny) {
        let whom = person.map(|person| format!(" person \"{person}\"")).unwrap_or_default();
        let text = format!("No AwsRoleGrant allows{whom} a role in namespace \"{namespace}\".\n");
        return Answer::of(text, false);
    }
    listed(about)
}

/// The grants in a table, those that deny first.
fn listed(mut grants: Vec<&Arc<AwsRoleGrant>>) -> Answer {
    grants.sort_by_key(|grant| (grant.spec.effect != Effect::Deny, grant.name_any()));
    let rows: Vec<_> = grants.iter().map(|grant| row(grant)).collect();
    Answer::fine(table(&["GRANT", "EFFECT", "NAMESPACES", "PERSONS", "EXCEPT", "ROLES"], &rows))
}

fn row(grant: &AwsRoleGrant) -> Vec<String> {
    let spec = &grant.spec;
    let namespaces = if spec.is_about_every_namespace() {
        "*".to_owned()
    } else {
        let about = spec.namespaces.as_ref();
        let names = about.map(|about| about.names.join(",")).unwrap_or_default();
        let selector = about.and_then(|about| about.selector.as_ref()).and_then(|selector| selector.query().ok());
        let selector = selector.map(|query| if query.is_empty() { "*".to_owned() } else { format!("-l {query}") });
        [names, selector.unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
    };
    let roles =
        if spec.roles.is_empty() && spec.effect == Effect::Deny { "*".to_owned() } else { spec.roles.join(",") };
    let effect = if spec.effect == Effect::Deny { "Deny" } else { "Allow" };
    vec![grant.name_any(), effect.to_owned(), namespaces, spec.persons.join(","), spec.except_persons.join(","), roles]
}

#[cfg(test)]
mod tests;
