//! The API server as the caller sees it.

use super::{Failed, cli::Connection};
use crate::{
    api::{AwsConfig, AwsRoleGrant},
    network::{NamedCluster, Proxies, api_server},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, ObjectList},
    core::PartialObjectMeta,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// The objects of one page of a list.
const PAGE: u32 = 500;

/// The caller, with the namespace that is asked about.
pub struct Caller {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Caller {
    /// The caller of a client, for one namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Reads the kubeconfig. Nothing is asked yet.
    pub(super) async fn connect(asked: &Connection) -> Result<Self, Failed> {
        let proxies = Proxies::from_env().map_err(|error| Failed::new(error.to_string()))?;
        let cluster = NamedCluster { kubeconfig: asked.kubeconfig.clone(), context: asked.context.clone() };
        let mut config = api_server(&proxies, &cluster).await.map_err(|error| {
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
    pub(super) fn scope(&self, all: bool) -> String {
        if all { "the cluster".to_owned() } else { format!("namespace \"{}\"", self.namespace) }
    }

    /// One config of the namespace.
    pub(super) async fn config(&self, name: &str) -> Result<AwsConfig, Failed> {
        let api: Api<AwsConfig> = Api::namespaced(self.client.clone(), &self.namespace);
        let tried = format!("cannot read AwsConfig \"{name}\" in namespace \"{}\"", self.namespace);
        api.get(name).await.map_err(|error| Failed::of_call(&tried, &error))
    }

    /// The API of the configs of the namespace, or of all.
    pub(super) fn api_of_configs(&self, all: bool) -> Api<AwsConfig> {
        if all { Api::all(self.client.clone()) } else { Api::namespaced(self.client.clone(), &self.namespace) }
    }

    /// The configs of the namespace, or of all.
    pub(super) async fn configs(&self, all: bool, selector: Option<&str>) -> Result<Vec<AwsConfig>, Failed> {
        let api = self.api_of_configs(all);
        let tried = format!("cannot list the AwsConfigs of {}", self.scope(all));
        listed(&api, selector).await.map_err(|error| Failed::of_call(&tried, &error))
    }

    /// All grants.
    pub(super) async fn grants(&self) -> Result<Vec<Arc<AwsRoleGrant>>, Failed> {
        let found: Result<Vec<AwsRoleGrant>, _> = listed(&Api::all(self.client.clone()), None).await;
        let found = found.map_err(|error| Failed::of_call("cannot list AwsRoleGrants", &error))?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// All grants; `None` if the caller may not list them.
    pub(super) async fn grants_if_allowed(&self) -> Result<Option<Vec<Arc<AwsRoleGrant>>>, Failed> {
        let found: Result<Vec<AwsRoleGrant>, _> = listed(&Api::all(self.client.clone()), None).await;
        let found = allowed("cannot list AwsRoleGrants", found)?;
        Ok(found.map(|found| found.into_iter().map(Arc::new).collect()))
    }

    /// The labels of the namespace.
    pub(super) async fn namespace_labels(&self) -> Result<BTreeMap<String, String>, Failed> {
        let found: Result<Namespace, _> = Api::all(self.client.clone()).get(&self.namespace).await;
        let tried = format!("cannot read namespace \"{}\"", self.namespace);
        Ok(found.map_err(|error| Failed::of_call(&tried, &error))?.labels().clone())
    }
}

/// The answer to a call; `None` if the caller has no right to it.
///
/// # Errors
/// [`Failed`] if the call failed otherwise.
pub(super) fn allowed<T>(tried: &str, answered: Result<T, kube::Error>) -> Result<Option<T>, Failed> {
    match answered {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(Failed::of_call(tried, &error)),
    }
}

/// The same; `None` also if the cluster has no such resource.
///
/// # Errors
/// As for [`allowed`].
pub(super) fn readable<T>(tried: &str, answered: Result<T, kube::Error>) -> Result<Option<T>, Failed> {
    match answered {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        answered => allowed(tried, answered),
    }
}

/// Lists objects in pages.
pub(super) async fn listed<K>(api: &Api<K>, selector: Option<&str>) -> Result<Vec<K>, kube::Error>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    paged(selector, async |parameters| api.list(&parameters).await).await
}

/// Lists the metadata of objects in pages.
pub(super) async fn listed_metadata<K>(
    api: &Api<K>,
    selector: Option<&str>,
) -> Result<Vec<PartialObjectMeta<K>>, kube::Error>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    paged(selector, async |parameters| api.list_metadata(&parameters).await).await
}

async fn paged<T: Clone>(
    selector: Option<&str>,
    page: impl AsyncFn(ListParams) -> Result<ObjectList<T>, kube::Error>,
) -> Result<Vec<T>, kube::Error> {
    let mut parameters = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        parameters = parameters.labels(selector);
    }
    let mut found = Vec::new();
    loop {
        let page = page(parameters.clone()).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(found),
        }
    }
}
