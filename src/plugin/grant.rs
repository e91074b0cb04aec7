//! `kubectl keyturn grant` and `uses`: the manifest of a grant, its effect on the `AwsConfig`s that
//! exist, and their use of the grants that exist.

mod effect;
mod uses;

pub(super) use uses::uses;

use super::{
    Answer, Caller, Failed,
    cli::Grant,
    connect::{allowed, listed},
};
use crate::{
    api::{AwsConfig, AwsRoleGrant, ConditionType, find_condition},
    grants::grant_status,
};
use effect::{Effect, effect};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, from_value, json};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The labels of namespaces, by name.
type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// The manifest, after comments that say its effect.
///
/// # Errors
/// [`Failed`] if the flags make no grant that is in order, or the API server refuses the grant.
pub(super) async fn grant(caller: &Caller, asked: &Grant) -> Result<Answer, Failed> {
    let text = manifest(asked, &caller.namespace)?;
    let grant = object(asked, &caller.namespace)?;
    let mut comments = String::new();
    check(caller, &grant, &mut comments).await?;
    match (caller.grants_if_allowed().await?, configs(caller).await?, labels(caller).await?) {
        (Some(grants), Some(configs), Some(labels)) => {
            let found = effect(&configs, &labels, &grants, &grant);
            comment(&found, &mut comments);
            if asked.diff {
                let without = effect::without(&configs, &labels, &grants, &grant);
                comment_without(&grant.name_any(), &without, &mut comments);
            }
        }
        _ => comments.push_str(
            "# You may not list AwsRoleGrants, AwsConfigs and namespaces, so that the effect is not known.\n",
        ),
    }
    Ok(Answer::fine(comments + &text))
}

/// The manifest alone. Without a namespace in the flags, the grant is about `namespace`.
///
/// # Errors
/// [`Failed`] if the flags make no grant that is in order.
pub(super) fn manifest(asked: &Grant, namespace: &str) -> Result<String, Failed> {
    object(asked, namespace)?;
    let manifest = json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRoleGrant", "metadata": {"name": asked.name},
        "spec": spec(asked, namespace)?,
    });
    serde_saphyr::to_string(&manifest).map_err(|error| Failed::new(error.to_string()))
}

fn object(asked: &Grant, namespace: &str) -> Result<AwsRoleGrant, Failed> {
    let spec = from_value(spec(asked, namespace)?).map_err(|error| Failed::usage(error.to_string()))?;
    let mut grant = AwsRoleGrant::new(&asked.name, spec);
    grant.metadata.generation = Some(1);
    let status = grant_status(&grant, Timestamp::UNIX_EPOCH).unwrap_or_default();
    match find_condition(&status.conditions, ConditionType::Ready).filter(|ready| ready.status == "False") {
        Some(ready) => Err(Failed::usage(ready.message.clone())),
        None => Ok(grant),
    }
}

fn spec(asked: &Grant, namespace: &str) -> Result<Value, Failed> {
    let mut spec = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
        if !is_empty && !value.is_null() {
            spec.insert(name.to_owned(), value);
        }
    };
    if asked.deny {
        set("effect", json!("Deny"));
    }
    if !asked.deny
        && asked.roles.is_empty()
        && (asked.providers.is_empty() || asked.providers.iter().any(|it| it == "temporary"))
    {
        return Err(Failed::usage("name a role by --role, or another source of credentials by --provider"));
    }
    set("roles", json!(asked.roles));
    set("persons", json!(asked.persons));
    set("exceptPersons", json!(asked.except_persons));
    set("providers", json!(asked.providers));
    set("via", json!(asked.via));
    let pairs = |text: &str, flag: &str| {
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
        let pair = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failed::usage(format!("{flag} {text}: write KEY=VALUE")))
    };
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for tag in &asked.tags {
        let (key, pattern) = pairs(tag, "--tag")?;
        tags.entry(key).or_default().push(pattern);
    }
    set("tags", json!(tags));
    let mut namespaces = Map::new();
    if let Some(selector) = &asked.selector {
        let labels = selector.split(',').map(|label| pairs(label, "--in-selector"));
        let labels: BTreeMap<String, String> = labels.collect::<Result<_, _>>()?;
        namespaces.insert("selector".to_owned(), json!({"matchLabels": labels}));
    }
    let own = [namespace.to_owned()];
    let is_own = asked.namespaces.is_empty() && asked.selector.is_none() && !asked.everywhere && !namespace.is_empty();
    let names = if is_own { &own[..] } else { &asked.namespaces[..] };
    if !names.is_empty() {
        namespaces.insert("names".to_owned(), json!(names));
    }
    set("namespaces", Value::Object(namespaces));
    let mut ceilings = Map::new();
    if let Some(duration) = &asked.max_duration {
        ceilings.insert("maxDuration".to_owned(), json!(duration));
    }
    if !asked.buckets.is_empty() {
        ceilings.insert("buckets".to_owned(), json!(asked.buckets));
    }
    for (name, is_set) in
        [("requireScopeBuckets", asked.require_scope_buckets), ("requireSourceIdentity", asked.require_source_identity)]
    {
        if is_set {
            ceilings.insert(name.to_owned(), json!(true));
        }
    }
    set("ceilings", Value::Object(ceilings));
    Ok(Value::Object(spec))
}

/// Lets the API server check the grant against its schema, without writing it. A caller who may not
/// write grants is told that nobody checked.
async fn check(caller: &Caller, grant: &AwsRoleGrant, comments: &mut String) -> Result<(), Failed> {
    let api: Api<AwsRoleGrant> = Api::all(caller.client.clone());
    let parameters = PatchParams::apply("kubectl-keyturn").force().dry_run();
    let mut applied = grant.clone();
    applied.metadata.generation = None;
    match api.patch(&grant.name_any(), &parameters, &Patch::Apply(&applied)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            *comments += "# You may not write AwsRoleGrants, so that the API server has not checked this one.\n";
            Ok(())
        }
        Err(error) => Err(Failed::of_call("the API server does not take the grant", &error)),
    }
}

/// The configs of all namespaces; `None` if the caller may not list them.
async fn configs(caller: &Caller) -> Result<Option<Vec<AwsConfig>>, Failed> {
    allowed("cannot list AwsConfigs", listed(&Api::all(caller.client.clone()), None).await)
}

async fn labels(caller: &Caller) -> Result<Option<Labels>, Failed> {
    let found: Result<Vec<Namespace>, _> = listed(&Api::all(caller.client.clone()), None).await;
    let found = allowed("cannot list namespaces", found)?;
    Ok(found.map(|found| found.iter().map(|it| (it.name_any(), it.labels().clone())).collect()))
}

/// Says what the grant changes if it is applied.
fn comment(found: &Effect, comments: &mut String) {
    if found.allowed.is_empty() && found.withdrawn.is_empty() {
        *comments += "# It changes nothing for the AwsConfigs that exist.\n";
    }
    for line in &found.allowed {
        let _ = writeln!(comments, "# It newly allows {line}");
    }
    for line in &found.withdrawn {
        let _ = writeln!(comments, "# It takes away from {line}");
    }
}

fn comment_without(name: &str, lines: &[String], comments: &mut String) {
    if lines.is_empty() {
        let _ = writeln!(comments, "# A deletion of AwsRoleGrant \"{name}\" would withdraw nothing.");
    }
    for line in lines {
        let _ = writeln!(comments, "# A deletion of AwsRoleGrant \"{name}\" would withdraw {line}");
    }
}

/// Grants as the decision takes them, with another one in the place of that of its name.
fn replaced(grants: &[Arc<AwsRoleGrant>], by: &AwsRoleGrant) -> Vec<Arc<AwsRoleGrant>> {
    let mut all = others(grants, &by.name_any());
    all.push(Arc::new(by.clone()));
    all
}

/// The grants without the one of this name.
fn others(grants: &[Arc<AwsRoleGrant>], name: &str) -> Vec<Arc<AwsRoleGrant>> {
    grants.iter().filter(|grant| grant.name_any() != name).cloned().collect()
}

#[cfg(test)]
mod tests;
