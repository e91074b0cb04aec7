//! The reads of `doctor`. Objects that the caller may not read are absent.

use super::shards;
use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, DataRobotInstance, DssInstance, names},
    plugin::{
        Caller, Failed,
        connect::{listed, listed_metadata, readable},
        operators::{self, PART_OF_KEYTURN, Running},
    },
};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    coordination::v1::Lease,
    core::v1::{Namespace, Secret},
};
use kube::{Api, Resource, core::PartialObjectMeta};
use serde::de::DeserializeOwned;
use std::{collections::BTreeSet, fmt::Debug};

/// Everything that was read; `None` for objects that the caller may not read.
#[derive(Default)]
pub(super) struct Facts {
    /// The plurals of the resources of `keyturn.dev/v1alpha1` that the API server serves.
    pub served: BTreeSet<String>,
    /// The namespaces that `configs`, `roles` and `secrets` are of, in words.
    pub scope: String,
    pub running: Option<Vec<Running>>,
    /// The Lease of each operator.
    pub leases: Vec<(Running, Option<Lease>)>,
    /// The metadata of all namespaces, if the operators do not serve every namespace.
    pub namespaces: Option<Vec<PartialObjectMeta<Namespace>>>,
    pub webhooks: Option<Vec<MutatingWebhookConfiguration>>,
    pub configs: Option<Vec<AwsConfig>>,
    pub roles: Option<Vec<AwsRole>>,
    /// The metadata of the Secrets with keyturn's label.
    pub secrets: Option<Vec<PartialObjectMeta<Secret>>>,
    pub grants: Option<Vec<AwsRoleGrant>>,
    pub instances: Option<Vec<DssInstance>>,
    pub data_robots: Option<Vec<DataRobotInstance>>,
}

impl Facts {
    pub fn serves(&self, plural: &str) -> bool {
        self.served.contains(plural)
    }
}

/// Reads everything.
///
/// # Errors
/// [`Failed`] if the API server does not answer.
pub(super) async fn gather(caller: &Caller) -> Result<Facts, Failed> {
    let client = &caller.client;
    let mut facts = Facts { served: served(caller).await?, ..Facts::default() };
    facts.running = operators::running(client).await?;
    for operator in facts.running.iter().flatten().filter(|it| it.is_operator()) {
        let name = operator.variable("KEYTURN_LEASE_NAME").unwrap_or(&operator.name);
        let leases: Api<Lease> = Api::namespaced(client.clone(), &operator.namespace);
        let lease = match leases.get_opt(name).await {
            Ok(Some(lease)) => Some(Some(lease)),
            // A Lease that does not exist is one that nobody holds.
            Ok(None) => Some(Some(Lease::default())),
            other => readable("cannot read the Lease of keyturn", other)?,
        };
        facts.leases.push((operator.clone(), lease.flatten()));
    }
    if shards::of_leases(&facts).iter().any(|shard| !shard.namespaces.is_everything()) {
        let namespaces = listed_metadata(&Api::<Namespace>::all(client.clone()), None).await;
        facts.namespaces = readable("cannot list the metadata of namespaces", namespaces)?;
    }
    facts.webhooks = list(&Api::all(client.clone()), "MutatingWebhookConfigurations", Some(PART_OF_KEYTURN)).await?;
    facts.scope = caller.scope(true);
    let all =
        if facts.serves("awsconfigs") { list(&Api::all(client.clone()), "AwsConfigs", None).await? } else { None };
    let is_all = all.is_some();
    facts.configs = all;
    if !is_all && facts.serves("awsconfigs") {
        facts.scope = caller.scope(false);
        facts.configs = list(&Api::namespaced(client.clone(), &caller.namespace), "AwsConfigs", None).await?;
    }
    let secrets: Api<Secret> =
        if is_all { Api::all(client.clone()) } else { Api::namespaced(client.clone(), &caller.namespace) };
    let labelled = listed_metadata(&secrets, Some(names::AWS_CONFIG_LABEL)).await;
    facts.secrets = readable("cannot list the metadata of Secrets", labelled)?;
    if facts.serves("awsroles") {
        let roles = if is_all { Api::all(client.clone()) } else { Api::namespaced(client.clone(), &caller.namespace) };
        facts.roles = list(&roles, "AwsRoles", None).await?;
    }
    if facts.serves("awsrolegrants") {
        facts.grants = list(&Api::all(client.clone()), "AwsRoleGrants", None).await?;
    }
    if facts.serves("dssinstances") {
        facts.instances = list(&Api::all(client.clone()), "DssInstances", None).await?;
    }
    if facts.serves("datarobotinstances") {
        facts.data_robots = list(&Api::all(client.clone()), "DataRobotInstances", None).await?;
    }
    Ok(facts)
}

/// The resources of keyturn. Every user may read this (`system:discovery`).
async fn served(caller: &Caller) -> Result<BTreeSet<String>, Failed> {
    let version = format!("{}/{}", names::GROUP, names::VERSION);
    match caller.client.list_api_group_resources(&version).await {
        Ok(list) => Ok(list.resources.into_iter().map(|it| it.name).filter(|name| !name.contains('/')).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(BTreeSet::new()),
        Err(error) => Err(Failed::of_call("cannot list the resources of keyturn.dev", &error)),
    }
}

async fn list<K>(api: &Api<K>, what: &str, selector: Option<&str>) -> Result<Option<Vec<K>>, Failed>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    readable(&format!("cannot list {what}"), listed(api, selector).await)
}
