//! `import aws`: the profiles of the AWS CLI (`~/.aws/config`, `~/.aws/credentials`) and the files
//! with access keys that AWS's console offers. Pure.

mod profiles;

pub use profiles::Profiles;

use super::{
    grants::object,
    manifest::{Document, Manifests},
    names::{Names, duration},
    offered::{self, TO_FILL_IN},
};
use crate::api::{RoleArn, is_person};
use profiles::Profile;
use serde_json::{Value, json};

/// The beginning of the ID of a temporary key (IAM user guide, "IAM identifiers").
const TEMPORARY: &str = "ASIA";

/// Settings of a profile without an equivalent, and the reason.
const WITHOUT_EQUIVALENT: [(&str, &str); 5] = [
    ("credential_process", "keyturn runs no programs"),
    ("sso_session", "keyturn assumes roles by STS, and not by IAM Identity Center"),
    ("sso_account_id", "keyturn assumes roles by STS, and not by IAM Identity Center"),
    ("web_identity_token_file", "keyturn assumes roles with its own identity"),
    ("credential_source", "keyturn assumes roles with its own identity"),
];

/// The manifests of all profiles, and the Secrets with their keys for a file of their own. Without
/// `with_keys`, the keys are nowhere, and the Secrets are among the manifests. `person` is the
/// person of the profiles that name none.
#[must_use]
pub fn manifests(
    profiles: &Profiles,
    namespace: &str,
    person: Option<&str>,
    with_keys: bool,
) -> (Manifests, Vec<Document>) {
    let (mut manifests, mut keys, mut names) = (Manifests::default(), Vec::new(), Names::default());
    for profile in profiles.all() {
        let from = format!("from {} (profile {})", profile.at, profile.name);
        let Some(person) = person_of(profile, person) else {
            manifests.leave_out(format!("{from}: it names no person; name one by --person"));
            continue;
        };
        if profile.get("role_arn").is_some() {
            of_role(profile, &person, namespace, &from, &mut names, &mut manifests);
        } else if let Some((id, secret)) = profile.key() {
            if id.starts_with(TEMPORARY) || profile.get("aws_session_token").is_some() {
                manifests.leave_out(format!("{from}: its key is a temporary one, which ends by itself"));
                continue;
            }
            let name = names.take(&profile.name);
            let secret_name = format!("{name}-key");
            let with_key = key_secret(&secret_name, namespace, &from, (id, secret));
            if with_keys {
                keys.push(with_key);
            } else {
                let mut empty = key_secret(&secret_name, namespace, &from, (TO_FILL_IN, TO_FILL_IN));
                empty.comments.push("fill in the key, or let it be written into a file by --keys-to".to_owned());
                manifests.add(empty);
            }
            let mut spec =
                json!({"person": person, "credentialProvider": "default", "keySecretRef": {"name": secret_name}});
            set(&mut spec, "region", profile.get("region"));
            manifests
                .add(Document::new(from, object("AwsConfig", &json!({"name": name, "namespace": namespace}), &spec)));
            manifests.grants.need_keys(namespace, &person);
        } else {
            let found = WITHOUT_EQUIVALENT.iter().find(|(setting, _)| profile.get(setting).is_some());
            let why = found.map_or("it has no credential".to_owned(), |(setting, why)| format!("{setting}: {why}"));
            manifests.leave_out(format!("{from}: {why}"));
        }
    }
    (manifests, keys)
}

/// The person: the name of the role session, that of the command line, or the user of the console.
fn person_of(profile: &Profile, person: Option<&str>) -> Option<String> {
    let named = [profile.get("role_session_name"), person, profile.get("user name")];
    named.into_iter().flatten().find(|name| is_person(name)).map(str::to_owned)
}

fn of_role(profile: &Profile, person: &str, namespace: &str, from: &str, names: &mut Names, manifests: &mut Manifests) {
    let role: RoleArn = match profile.get("role_arn").unwrap_or_default().parse() {
        Ok(role) => role,
        Err(error) => return manifests.leave_out(format!("{from}: role_arn: {error}")),
    };
    let mut comments = vec![from.to_owned()];
    if let Some(source) = profile.get("source_profile") {
        comments.push(format!("source_profile {source}: keyturn's own identity assumes the role, so that its trust policy has to allow that"));
    }
    if let Some(id) = profile.get("external_id") {
        comments.push(format!(
            "external_id {id}: keyturn sends <cluster>/{namespace}, if externalId of the grant is not set"
        ));
    }
    if profile.get("mfa_serial").is_some() {
        comments.push("mfa_serial: keyturn has no MFA; the trust policy must not ask for it".to_owned());
    }
    for (setting, why) in WITHOUT_EQUIVALENT.iter().filter(|(setting, _)| profile.get(setting).is_some()) {
        comments.push(format!("{setting}: {why}"));
    }
    let mut spec = json!({"person": person, "role": role.as_str()});
    set(&mut spec, "region", profile.get("region"));
    if let Some(seconds) = profile.get("duration_seconds") {
        match seconds.parse().ok().and_then(duration) {
            Some(length) => spec["session"] = json!({"duration": length}),
            None => comments.push(format!("duration_seconds {seconds}: keyturn takes whole minutes from 15m to 12h")),
        }
    }
    let metadata = json!({"name": names.take(&profile.name), "namespace": namespace});
    manifests.add(Document { comments, object: object("AwsConfig", &metadata, &spec) });
    manifests.grants.need_role(namespace, role.as_str(), person);
}

fn set(spec: &mut Value, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        spec[field] = json!(value);
    }
}

fn key_secret(name: &str, namespace: &str, from: &str, key: (&str, &str)) -> Document {
    let comments = vec![format!("{from}: its key"), offered::consent()];
    Document { comments, object: offered::key_secret(name, namespace, key) }
}

#[cfg(test)]
mod tests;
