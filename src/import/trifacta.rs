//! `import trifacta`: people, awsConfigs and awsRoles as the API of Trifacta (Designer Cloud)
//! answers them.
//!
//! Both documented shapes of the API are read: that of release 6.0, whose configs have a role, and
//! that of 6.4 and later, whose configs name an awsRole and whose people name their config
//! (docs.trifacta.com, "API `AWSConfigs`", "API `AWSRoles`" and "API People", r060, r064 and r068).
//! Pure.

mod answers;
mod elements;
mod spec;

pub use answers::Answers;

use super::{
    grants::object,
    manifest::{Document, Manifests},
    names::Names,
};
use crate::{
    api::{RoleArn, is_person},
    import::Wrong,
};
use answers::{Config, Person, Role};
use serde_json::json;
use spec::{Specified, key_secret, specified};
use std::collections::BTreeMap;

/// The manifests of all configs that somebody has.
///
/// # Errors
/// [`Wrong`] if two answers disagree about whose config one is.
pub fn manifests(answers: &Answers, namespace: &str, with_keys: bool) -> Result<Manifests, Wrong> {
    let owners = owners(answers)?;
    let mut manifests = Manifests::default();
    let (mut names, mut role_names) = (Names::default(), Names::default());
    for config in answers.configs.values() {
        let from = format!("from {} (awsConfig {})", config.at, config.id);
        let person = owners.get(&config.id).copied();
        let is_of_nobody = person.is_none() && config.provider != "instance" && !config.is_system;
        if is_of_nobody {
            manifests.leave_out(format!("{from}: nobody has it any more"));
            continue;
        }
        if let Some(person) = person.filter(|person| !is_person(&person.email)) {
            manifests.leave_out(format!(
                "{from}: \"{}\" cannot be a person's name in AWS, which has 2 to 64 letters, digits and _+=.@-",
                person.email
            ));
            continue;
        }
        let subject = person.map_or_else(|| format!("system:{namespace}"), |person| person.email.clone());
        let name = names.take(person.map_or("system", |person| &person.email));
        let roles: Vec<&Role> =
            answers.roles.values().filter(|role| role.config == config.id && !role.is_deleted).collect();
        let Specified { spec, role, mut comments } = specified(config, person, &roles, answers);
        comments
            .insert(0, person.map_or(from.clone(), |person| format!("{from}, {} (person {})", person.at, person.id)));
        let mut spec = spec;
        if config.provider == "default" {
            let secret = format!("{name}-key");
            spec["keySecretRef"] = json!({"name": secret});
            manifests.add(key_secret(config, &secret, namespace, &from, with_keys));
            manifests.grants.need_keys(namespace, &subject);
        }
        if let Some(role) = &role {
            manifests.grants.need_role(namespace, role, &subject);
        }
        let object_of = object("AwsConfig", &json!({"name": name, "namespace": namespace}), &spec);
        manifests.add(Document { comments, object: object_of });
        for other in roles.iter().filter(|other| Some(&other.arn) != role.as_ref()) {
            if let Err(error) = other.arn.parse::<RoleArn>() {
                manifests.leave_out(format!("from {} (awsRole {}): {error}", other.at, other.id));
                continue;
            }
            let mut spec = json!({"awsConfigRef": {"name": name}, "role": other.arn});
            if let Some(person) = person {
                spec["person"] = json!(person.email);
            }
            let short = other.arn.rsplit('/').next().unwrap_or_default();
            let metadata = json!({"name": role_names.take(&format!("{name} {short}")), "namespace": namespace});
            let about =
                format!("from {} (awsRole {}): another role of the same config; not in use", other.at, other.id);
            manifests.add(Document::new(about, object("AwsRole", &metadata, &spec)));
            manifests.grants.need_role(namespace, &other.arn, &subject);
        }
    }
    for role in answers.roles.values().filter(|role| !answers.configs.contains_key(&role.config)) {
        manifests
            .leave_out(format!("from {} (awsRole {}): its awsConfig {} is in no file", role.at, role.id, role.config));
    }
    for person in answers
        .people
        .values()
        .filter(|person| person.config.is_none() && !owners.values().any(|it| it.id == person.id))
    {
        manifests.leave_out(format!("from {} (person {}): {} has no awsConfig", person.at, person.id, person.email));
    }
    Ok(manifests)
}

/// The person of each config: the people say it, or the configs do.
fn owners(answers: &Answers) -> Result<BTreeMap<u64, &Person>, Wrong> {
    let mut owners: BTreeMap<u64, &Person> = BTreeMap::new();
    for person in answers.people.values() {
        let Some(config) = person.config else { continue };
        if let Some(other) = owners.insert(config, person) {
            return Err(Wrong::new(format!(
                "{}: person {} has awsConfig {config}, and so has person {} ({}); one person has a config",
                person.at, person.id, other.id, other.at
            )));
        }
    }
    for config in answers.configs.values() {
        if let Some(person) = config.person.and_then(|id| answers.people.get(&id)) {
            // A person who names another config has replaced this one.
            if person.config.is_none_or(|named| named == config.id) {
                owners.entry(config.id).or_insert(person);
            }
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests;
