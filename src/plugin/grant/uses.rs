//! `kubectl keyturn uses`: which grants the `AwsConfig`s use, and what a deletion would change.

use super::{Labels, configs, effect::Asked, labels, others};
use crate::{
    api::{AwsConfig, AwsRoleGrant, Effect},
    plugin::{Answer, Caller, Failed, cli::Uses, table::table},
};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// All grants with the number of requests that use them, or the requests that use one grant.
///
/// # Errors
/// [`Failed`] if there is no such grant, or the caller may not list what the answer rests on.
pub(in crate::plugin) async fn uses(caller: &Caller, asked: &Uses) -> Result<Answer, Failed> {
    let grants = caller.grants().await?;
    let (Some(configs), Some(labels)) = (configs(caller).await?, labels(caller).await?) else {
        let message = "you may not list AwsConfigs and namespaces of the cluster; without them a grant may seem unused";
        return Err(Failed::new(message));
    };
    let uses = of(&configs, &labels, &grants);
    match &asked.grant {
        None => Ok(Answer::fine(listed(&grants, &uses))),
        Some(name) if grants.iter().any(|grant| grant.name_any() == *name) => {
            Ok(Answer::fine(one(name, uses.get(name).map(Vec::as_slice).unwrap_or_default())))
        }
        Some(name) => Err(Failed::new(format!("there is no AwsRoleGrant \"{name}\""))),
    }
}

/// The use of a grant by one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The config, whom it is for and what it asks for.
    pub request: String,
    /// The fate of the request without the grant.
    pub without: Without,
}

/// The fate of a request if the grant is deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// keyturn withdraws the credential.
    Withdrawn,
    /// This grant allows it, too.
    AllowedBy(String),
    /// The grant denies it, and this one would allow it.
    NoLongerDenied(String),
}

/// The uses of each grant, by its name. A request uses the grant that allows it. It uses a grant
/// that denies it, if it would be allowed without it.
pub(super) fn of(configs: &[AwsConfig], labels: &Labels, grants: &[Arc<AwsRoleGrant>]) -> BTreeMap<String, Vec<Use>> {
    let denials: Vec<_> = grants.iter().filter(|grant| grant.spec.effect == Effect::Deny).collect();
    let mut uses: BTreeMap<String, Vec<Use>> = BTreeMap::new();
    for asked in configs.iter().flat_map(Asked::by) {
        let mut put = |name: String, without| {
            uses.entry(name).or_default().push(Use { request: asked.in_words(), without });
        };
        if let Some(name) = asked.grant(labels, grants) {
            let other = asked.grant(labels, &others(grants, &name));
            put(name, other.map_or(Without::Withdrawn, Without::AllowedBy));
            continue;
        }
        for name in denials.iter().map(|grant| grant.name_any()) {
            if let Some(other) = asked.grant(labels, &others(grants, &name)) {
                put(name, Without::NoLongerDenied(other));
            }
        }
    }
    uses
}

pub(super) fn listed(grants: &[Arc<AwsRoleGrant>], uses: &BTreeMap<String, Vec<Use>>) -> String {
    let mut rows: Vec<_> = grants
        .iter()
        .map(|grant| {
            let name = grant.name_any();
            let used = uses.get(&name).map(Vec::as_slice).unwrap_or_default();
            let withdrawn = used.iter().filter(|it| it.without == Without::Withdrawn).count();
            let effect = if grant.spec.effect == Effect::Deny { "Deny" } else { "Allow" };
            vec![name, effect.to_owned(), used.len().to_string(), withdrawn.to_string()]
        })
        .collect();
    rows.sort();
    table(&["GRANT", "EFFECT", "USED BY", "DELETION WITHDRAWS"], &rows)
}

pub(super) fn one(name: &str, uses: &[Use]) -> String {
    if uses.is_empty() {
        return format!("No AwsConfig uses AwsRoleGrant \"{name}\": its deletion would change nothing for them.\n");
    }
    let rows = uses.iter().map(|used| {
        let without = match &used.without {
            Without::Withdrawn => "withdrawn".to_owned(),
            Without::AllowedBy(other) => format!("allowed by \"{other}\""),
            Without::NoLongerDenied(other) => format!("no longer denied, and allowed by \"{other}\""),
        };
        vec![without, used.request.clone()]
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    table(&["WITHOUT IT", "REQUEST"], &rows)
}
