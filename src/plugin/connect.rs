//! The API server as the caller sees it.

use super::{Failed, cli::Connection};
use crate::api::{AwsConfig, AwsRoleGrant};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// The objects of one page of a list.
const PAGE: u32 = 500;

/// The caller, with the namespace that is asked about.
pub(super) struct Caller {
    pub client: Client,
    pub namespace: String,
}

impl Caller {
    /// Reads the kubeconfig. Nothing is asked yet.
    pub async fn connect(asked: &Connection) -> Result<Self, Failed> {
        let kubeconfig = match &asked.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: asked.context.clone(), ..KubeConfigOptions::default() };
        let config = match kubeconfig {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        };
        let mut config = config.map_err(|error| {
            Failed::new(format!("no cluster: {error}; set KUBECONFIG, or name a kubeconfig by --kubeconfig"))
        })?;
        if asked.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&asked.as_user);
            config.auth_info.impersonate_groups =
                Some(asked.as_groups.clone()).filter(|groups: &Vec<String>| !groups.is_empty());
        }
        let namespace = asked.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Failed::new(format!("no cluster: {error}")))?;
        Ok(Self { client, namespace })
    }

    /// The namespaces that a list is about, in words.
    pub fn scope(&self, all: bool) -> String {
        if all { "the cluster".to_owned() } else { format!("namespace \"{}\"", self.namespace) }
    }

    /// One config of the namespace.
    pub async fn config(&self, name: &str) -> Result<AwsConfig, Failed> {
        let api: Api<AwsConfig> = Api::namespaced(self.client.clone(), &self.namespace);
        let tried = format!("cannot read AwsConfig \"{name}\" in namespace \"{}\"", self.namespace);
        api.get(name).await.map_err(|error| Failed::of_call(&tried, &error))
    }

    /// The configs of the namespace, or of all.
    pub async fn configs(&self, all: bool, selector: Option<&str>) -> Result<Vec<AwsConfig>, Failed> {
        let api: Api<AwsConfig> =
            if all { Api::all(self.client.clone()) } else { Api::namespaced(self.client.clone(), &self.namespace) };
        let tried = format!("cannot list the AwsConfigs of {}", self.scope(all));
        listed(&api, selector).await.map_err(|error| Failed::of_call(&tried, &error))
    }

    /// All grants.
    pub async fn grants(&self) -> Result<Vec<Arc<AwsRoleGrant>>, Failed> {
        let found: Result<Vec<AwsRoleGrant>, _> = listed(&Api::all(self.client.clone()), None).await;
        let found = found.map_err(|error| Failed::of_call("cannot list AwsRoleGrants", &error))?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// The labels of the namespace.
    pub async fn namespace_labels(&self) -> Result<BTreeMap<String, String>, Failed> {
        let found: Result<Namespace, _> = Api::all(self.client.clone()).get(&self.namespace).await;
        let tried = format!("cannot read namespace \"{}\"", self.namespace);
        Ok(found.map_err(|error| Failed::of_call(&tried, &error))?.labels().clone())
    }
}

/// Lists objects in pages.
pub(super) async fn listed<K>(api: &Api<K>, selector: Option<&str>) -> Result<Vec<K>, kube::Error>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    let mut parameters = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        parameters = parameters.labels(selector);
    }
    let mut found = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(found),
        }
    }
}
