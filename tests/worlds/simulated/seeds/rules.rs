//! The rules, written a second time from the contract, so that they do not share the operator's
//! mistakes. They say what each config may have, given the objects.

use super::history::dss::{FROM_PROPERTY, Model};
use crate::{fixtures::SCORING, simulated::world::World};
use keyturn::api::{AwsConfig, AwsRole, AwsRoleGrantSpec, CredentialProvider, Effect, Mode};
use serde_json::Value;

/// What a config should have.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// A session of this name and role.
    Session { name: String, role: String },
    /// The key with this ID.
    Key { id: String },
    /// Nothing.
    Nothing,
}

/// The person or namespace of a config, as grants and Secrets spell it.
pub fn subject(config: &AwsConfig) -> String {
    match config.spec.mode {
        Mode::User => config.spec.person.clone().unwrap(),
        Mode::System => format!("system:{SCORING}"),
    }
}

/// What a config should have now.
pub fn expected(world: &World, dss: &Model, config: &AwsConfig) -> Expected {
    let spec = &config.spec;
    let name = config.metadata.name.clone().unwrap();
    let login = dss.login(config);
    if spec.suspend || (spec.dss.is_some() && login.is_none()) {
        return Expected::Nothing;
    }
    let grants = world.api.list("awsrolegrants");
    let seconds = spec.duration().length().unwrap().as_secs();
    if spec.credential_provider == CredentialProvider::Default {
        let source = spec.key_secret_ref.as_ref().and_then(|source| world.api.get("Secret", SCORING, &source.name));
        let id = source.and_then(|source| key_in(&source));
        let allowed = allows(&grants, &subject(config), None, 0);
        return id.filter(|_| allowed).map_or(Expected::Nothing, |id| Expected::Key { id });
    }
    let role = match &spec.active_role_ref {
        None if spec.role.as_deref() == Some(FROM_PROPERTY) => login.and_then(|login| dss.role(&login)),
        None => spec.role.clone(),
        Some(named) => {
            world.roles().iter().find(|role| role.metadata.name.as_deref() == Some(&named.name)).and_then(|role| {
                let is_ours = role.spec.aws_config_ref.name == name && role.spec.person == spec.person;
                is_ours.then(|| role.spec.role.clone())
            })
        }
    };
    let role = role.filter(|role| allows(&grants, &subject(config), Some(role), seconds));
    let session = match spec.mode {
        Mode::User => spec.person.clone().unwrap(),
        Mode::System => format!("{SCORING},{name}"),
    };
    role.map_or(Expected::Nothing, |role| Expected::Session { name: session, role })
}

/// The ID of the key in an offered Secret.
fn key_in(source: &Value) -> Option<String> {
    let text = |key: &str| {
        let bytes: k8s_openapi::ByteString = serde_json::from_value(source["data"][key].clone()).unwrap();
        String::from_utf8(bytes.0).unwrap()
    };
    let is_offered = source["metadata"]["labels"]["keyturn.dev/source"] == "true";
    let id = text("aws_access_key_id");
    (is_offered && id.len() == 20).then_some(id)
}

/// Whether one grant allows the whole request and none denies it. A request without a role is about
/// a key.
pub fn allows(grants: &[Value], subject: &str, role: Option<&str>, seconds: i64) -> bool {
    let denied = grants.iter().map(spec).any(|spec| denies(&spec, subject, role));
    !denied
        && grants.iter().map(spec).filter(|spec| spec.effect == Effect::Allow).any(|spec| {
            let most = spec.ceilings.as_ref().and_then(|ceilings| ceilings.max_duration.clone());
            let short_enough = most.is_none_or(|most| seconds <= most.length().unwrap().as_secs() && role.is_some());
            let provider = match role {
                Some(_) => spec.providers.is_empty() || spec.providers.contains(&CredentialProvider::Temporary),
                None => spec.providers.contains(&CredentialProvider::Default),
            };
            short_enough && provider && is_for(&spec, subject) && role.is_none_or(|role| has_role(&spec, subject, role))
        })
}

/// Whether a grant denies this to a subject of [`SCORING`]. Without roles, a grant denies
/// everything.
fn denies(spec: &AwsRoleGrantSpec, subject: &str, role: Option<&str>) -> bool {
    let is_here = spec.namespaces.as_ref().is_none_or(|namespaces| namespaces.names.iter().any(|name| name == SCORING));
    let covers = spec.roles.is_empty() || role.is_some_and(|role| has_role(spec, subject, role));
    spec.effect == Effect::Deny && is_here && is_for(spec, subject) && covers
}

/// Whether a grant lists a role. `${person}` stands for the subject, if the subject is a person.
fn has_role(spec: &AwsRoleGrantSpec, subject: &str, role: &str) -> bool {
    let is_person = !subject.starts_with("system:");
    let patterns = spec.roles.iter().filter(|pattern| is_person || !pattern.contains("${person}"));
    fits(&patterns.map(|pattern| pattern.replace("${person}", subject)).collect::<Vec<_>>(), role)
}

/// Whether one grant has this hop for this subject.
pub fn leads_through(grants: &[Value], subject: &str, hop: &str) -> bool {
    let denied = grants.iter().map(spec).any(|spec| denies(&spec, subject, None));
    !denied && grants.iter().map(spec).any(|spec| is_for(&spec, subject) && spec.via.iter().any(|via| via == hop))
}

fn spec(grant: &Value) -> AwsRoleGrantSpec {
    serde_json::from_value(grant["spec"].clone()).unwrap()
}

fn is_for(spec: &AwsRoleGrantSpec, subject: &str) -> bool {
    let about = |pattern: &&String| pattern.starts_with("system:") == subject.starts_with("system:");
    let of = |patterns: &[String]| patterns.iter().filter(about).cloned().collect::<Vec<String>>();
    fits(&of(&spec.persons), subject) && !fits(&of(&spec.except_persons), subject)
}

fn fits(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|p| p == text || p.strip_suffix('*').is_some_and(|start| text.starts_with(start)))
}

/// Whether a role was generated for a config.
pub fn is_generated(role: &AwsRole) -> bool {
    role.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("keyturn.dev/created-from"))
}
