//! `kubectl keyturn trust-policy` and `iam-policy`: the JSON to paste into IAM. Pure.

use super::{Answer, Failed};
use crate::api::{AwsConfig, AwsRoleGrant, CredentialProvider, Effect, PERSON_VARIABLE};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The actions that a session with tags and a source identity needs beside `AssumeRole` (IAM user
/// guide, "Passing session tags" and "Monitor and control actions taken with assumed roles").
fn actions(tags: bool, source_identity: bool) -> Vec<&'static str> {
    let all = [(true, "sts:AssumeRole"), (tags, "sts:TagSession"), (source_identity, "sts:SetSourceIdentity")];
    all.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, action)| action).collect()
}

/// The trust policy of the role of a config: `principal` may assume it under the external ID that
/// keyturn sends.
///
/// # Errors
/// [`Failed`] if keyturn has not recorded the external ID, or the config uses no role.
pub(super) fn trust_policy(config: &AwsConfig, principal: &str) -> Result<Answer, Failed> {
    let name = config.name_any();
    if config.spec.credential_provider != CredentialProvider::Temporary {
        return Err(Failed::new(format!(
            "AwsConfig \"{name}\" uses no role: its credential comes from another source"
        )));
    }
    let external_id = config.status.as_ref().and_then(|status| status.external_id.as_deref()).ok_or_else(|| {
        Failed::new(format!(
            "keyturn has not recorded the external ID of AwsConfig \"{name}\" yet; kubectl keyturn why {name} says why"
        ))
    })?;
    let session = config.spec.session.clone().unwrap_or_default();
    let statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": actions(!session.tags.is_empty(), session.source_identity),
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    });
    printed(&[statement])
}

/// The policy of keyturn's own identity: it may assume the roles that the grants name, and those on
/// the way to them.
///
/// # Errors
/// [`Failed`] if no grant allows a role.
pub(super) fn iam_policy(grants: &[Arc<AwsRoleGrant>]) -> Result<Answer, Failed> {
    let mut resources: BTreeMap<Vec<&'static str>, BTreeSet<String>> = BTreeMap::new();
    for grant in grants.iter().filter(|grant| grant.spec.effect == Effect::Allow) {
        let source_identity = grant.spec.ceilings.as_ref().is_some_and(|ceilings| ceilings.require_source_identity);
        let needed = actions(!grant.spec.tags.is_empty(), source_identity);
        // keyturn itself assumes the first role of a route, and that role the next one.
        let first = grant.spec.via.first();
        let assumed = first.map_or_else(|| grant.spec.roles.iter().collect(), |hop| vec![hop]);
        let roles = assumed.into_iter().map(|role| role.replace(PERSON_VARIABLE, "*"));
        resources.entry(needed).or_default().extend(roles);
    }
    resources.retain(|_, roles| !roles.is_empty());
    if resources.is_empty() {
        return Err(Failed::new("no AwsRoleGrant allows a role, so keyturn needs no right in IAM"));
    }
    let statements =
        resources.iter().map(|(actions, roles)| json!({"Effect": "Allow", "Action": actions, "Resource": roles}));
    printed(&statements.collect::<Vec<_>>())
}

fn printed(statements: &[Value]) -> Result<Answer, Failed> {
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    let text = serde_json::to_string_pretty(&policy).map_err(|error| Failed::new(error.to_string()))?;
    Ok(Answer::fine(text + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, from_value};

    fn config(spec: &Value, status: &Value) -> AwsConfig {
        let metadata = json!({"name": "alice", "namespace": "scoring"});
        from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn statements(answer: &Answer) -> Value {
        from_str::<Value>(&answer.text).unwrap()["Statement"].clone()
    }

    #[test]
    fn a_trust_policy_allows_what_the_session_of_the_config_needs() {
        let known = json!({"externalId": "prod/scoring"});
        let keyturn = "arn:aws:iam::123456789012:role/keyturn";
        let rows = [
            ("plain", json!({"person": "alice"}), json!(["sts:AssumeRole"])),
            (
                "with tags and a source identity",
                json!({"person": "alice", "session": {"tags": {"team": "fraud"}, "sourceIdentity": true}}),
                json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]),
            ),
        ];
        for (row, spec, actions) in rows {
            let found = statements(&trust_policy(&config(&spec, &known), keyturn).unwrap());
            assert_eq!(found[0]["Action"], actions, "{row}");
            assert_eq!(found[0]["Principal"], json!({"AWS": keyturn}), "{row}");
            assert_eq!(found[0]["Condition"], json!({"StringEquals": {"sts:ExternalId": "prod/scoring"}}), "{row}");
        }
        let refused = [
            ("not recorded", json!({"person": "alice"}), json!({}), "has not recorded the external ID"),
            ("a key", json!({"person": "alice", "credentialProvider": "default"}), known, "uses no role"),
        ];
        for (row, spec, status, part) in refused {
            let error = trust_policy(&config(&spec, &status), keyturn).unwrap_err();
            assert!(error.message.contains(part), "{row}: {error}");
        }
    }

    #[test]
    fn the_policy_of_keyturn_names_the_roles_of_the_grants_only() {
        let grant = |spec: Value| Arc::new(AwsRoleGrant::new("g", from_value(spec).unwrap()));
        let arn = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        let grants = [
            grant(json!({"roles": [arn("ds-*"), arn("p-${person}")], "persons": ["*"]})),
            grant(json!({"roles": [arn("far")], "persons": ["*"], "via": [arn("hub")], "tags": {"team": ["*"]}})),
            grant(json!({"roles": [arn("admin")], "persons": ["*"], "effect": "Deny"})),
        ];
        let found = statements(&iam_policy(&grants).unwrap());
        assert_eq!(
            found,
            json!([
                {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [arn("ds-*"), arn("p-*")]},
                {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": [arn("hub")]},
            ])
        );
        assert!(iam_policy(&grants[2..]).is_err());
    }
}
