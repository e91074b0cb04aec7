//! The findings of `doctor` about shards: whether each namespace is served, and whether one shard
//! owns what belongs to the whole cluster. Pure.

use super::{Finding, Mark, facts::Facts};
use crate::{
    api::AwsConfig,
    shards::{NAMESPACE_NAME, Shard, announced},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{ResourceExt as _, core::PartialObjectMeta};
use std::collections::{BTreeMap, BTreeSet};

/// The namespaces that a finding names.
const NAMED: usize = 5;

/// The shards that the Leases announce.
pub(super) fn of_leases(facts: &Facts) -> Vec<Shard> {
    facts.leases.iter().filter_map(|(_, lease)| announced(lease.as_ref()?)).collect()
}

/// The findings about shards; none if the only operator serves every namespace, or if a Lease could
/// not be read.
pub(super) fn findings(facts: &Facts, configs: &[AwsConfig]) -> Vec<Finding> {
    let shards = of_leases(facts);
    if shards.len() < facts.leases.len() || shards.iter().all(|shard| shard.namespaces.is_everything()) {
        return vec![];
    }
    let mut found: Vec<Finding> = owner(&shards).into_iter().collect();
    found.push(served(&shards, configs, facts.namespaces.as_deref()));
    found
}

fn owner(shards: &[Shard]) -> Option<Finding> {
    let is_missing = shards.iter().any(Shard::is_named) && !shards.iter().any(|shard| shard.owns_cluster);
    let text = "no shard writes the status of grants and instances, and no webhook of theirs gets a certificate; set \
                shard.ownsCluster=true for one release";
    is_missing.then(|| Finding::new(Mark::Bad, "shards", text))
}

fn served(shards: &[Shard], configs: &[AwsConfig], namespaces: Option<&[PartialObjectMeta<Namespace>]>) -> Finding {
    let Some(namespaces) = namespaces else {
        return Finding::new(
            Mark::Unknown,
            "shards",
            "you may not list namespaces, whose labels say which shard serves them",
        );
    };
    let labels: BTreeMap<String, &BTreeMap<String, String>> =
        namespaces.iter().map(|namespace| (namespace.name_any(), namespace.labels())).collect();
    let is_served = |name: &str| {
        let mut labels = labels.get(name).map(|labels| (*labels).clone()).unwrap_or_default();
        labels.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
        shards.iter().any(|shard| shard.namespaces.matches(&labels))
    };
    let used: BTreeSet<String> = configs.iter().filter_map(AwsConfig::namespace).collect();
    let left: Vec<&str> = used.iter().map(String::as_str).filter(|name| !is_served(name)).collect();
    if left.is_empty() {
        let text = format!("{} serve every namespace that has AwsConfigs", shards.len());
        return Finding::new(Mark::Fine, "shards", text);
    }
    let more = if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
    let named = left.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let text = format!(
        "no shard serves the AwsConfigs of {} namespaces ({named}{more}): nothing is issued or renewed there; add them to the \
         namespaces of one shard",
        left.len()
    );
    Finding::new(Mark::Bad, "shards", text)
}
