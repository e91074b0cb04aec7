//! The spec of an `AwsConfig` that stands for an awsConfig, and what the user has to know of it.
//! Pure.

use super::{Answers, Config, Document, Person, Role};
use crate::{
    api::RoleArn,
    import::offered::{self, TO_FILL_IN},
};
use serde_json::{Value, json};

/// The spec, and the role that it asks for.
pub(super) struct Specified {
    pub spec: Value,
    pub role: Option<String>,
    pub comments: Vec<String>,
}

/// The spec of a config.
pub(super) fn specified(config: &Config, person: Option<&Person>, roles: &[&Role], answers: &Answers) -> Specified {
    let mut comments = Vec::new();
    let mut spec = json!({});
    if let Some(person) = person {
        spec["person"] = json!(person.email);
    } else {
        spec["mode"] = json!("System");
        let shared = "the whole platform shared it: everybody in the namespace shares the credential of mode System";
        comments.push(shared.to_owned());
    }
    if let Some(person) = person.filter(|person| person.is_disabled) {
        spec["suspend"] = json!(true);
        comments.push(format!(
            "{} is disabled: Trifacta went on with their schedules, and keyturn gives them nothing",
            person.email
        ));
    }
    let buckets: Vec<&String> =
        config.extra_buckets.iter().filter(|it| Some(*it) != config.default_bucket.as_ref()).collect();
    if let Some(bucket) = &config.default_bucket {
        spec["defaultBucket"] = json!(bucket);
    }
    if !buckets.is_empty() {
        spec["extraBuckets"] = json!(buckets);
    }
    if config.provider == "default" {
        spec["credentialProvider"] = json!("default");
        return Specified { spec, role: None, comments };
    }
    if config.provider == "instance" {
        comments.push(
            "the role of Trifacta's own machine has no equivalent: name a role in spec.role that trusts keyturn"
                .to_owned(),
        );
    }
    let active = active(config, roles, answers, &mut comments).filter(|arn| match arn.parse::<RoleArn>() {
        Ok(_) => true,
        Err(error) => {
            comments.push(format!("its role is left out: {error}"));
            false
        }
    });
    match &active {
        Some(role) => spec["role"] = json!(role),
        None if config.provider == "temporary" => {
            comments.push("it has no role yet: keyturn waits for spec.role".to_owned());
        }
        None => {}
    }
    if let (Some(id), Some(role)) = (&config.external_id, &active) {
        comments.push(format!(
            "the trust policy of {role} expects the external ID {id}: change it to the one of status.externalId (kubectl keyturn \
             trust-policy), or set externalId of the grant"
        ));
    }
    Specified { spec, role: active, comments }
}

/// The ARN of the role in use.
fn active(config: &Config, roles: &[&Role], answers: &Answers, comments: &mut Vec<String>) -> Option<String> {
    if let Some(id) = config.active_role {
        match answers.roles.get(&id) {
            Some(role) if role.is_deleted => {
                comments.push(format!("its active awsRole {id} was deleted ({})", role.at));
                return None;
            }
            Some(role) => {
                if role.created_from.as_deref() == Some("idp") {
                    comments.push(format!("the identity provider had set awsRole {id}; keyturn does not follow it"));
                }
                return Some(role.arn.clone());
            }
            None => comments.push(format!("its active awsRole {id} is in no file")),
        }
    }
    if config.role.is_some() {
        return config.role.clone();
    }
    match roles {
        [only] if config.active_role.is_none() => {
            comments.push(format!("no role was active; awsRole {} is its only one", only.id));
            Some(only.arn.clone())
        }
        _ => None,
    }
}

/// The Secret with the key of a config. The API never answers keys, and without `with_keys` a key
/// from a recorded request is left out as well.
pub(super) fn key_secret(config: &Config, name: &str, namespace: &str, from: &str, with_keys: bool) -> Document {
    let key = config.key.as_ref().filter(|_| with_keys);
    let shown = key.map_or((TO_FILL_IN, TO_FILL_IN), |(id, secret)| (id.as_str(), secret.as_str()));
    let mut comments = vec![format!("{from}: its key")];
    if key.is_none() {
        comments.push(
            "fill in the key: Trifacta does not answer it; better, create a new one and delete the old one".to_owned(),
        );
    }
    comments.push(offered::consent());
    Document { comments, object: offered::key_secret(name, namespace, shown) }
}
