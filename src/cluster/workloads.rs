//! What a restart asks of the API server: workloads read at the time of need, and one annotation written.

use super::{CallError, Calls, calls};
use jiff::Timestamp;
use kube::{
    Api, Resource,
    api::{ListParams, Patch},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

impl Calls {
    /// A workload, or that there is none.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn workload<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, CallError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let tried = || format!("get {} {namespace}/{name}", K::kind(&()));
        calls::bounded(tried, api.get_opt(name)).await
    }

    /// The workloads with these labels.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn workloads<K>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, CallError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let (kind, chosen) = (K::kind(&()), ListParams::default().labels(labels));
        let tried = || format!("list {kind}s of {namespace} with {labels}");
        calls::bounded(tried, api.list(&chosen)).await.map(|list| list.items)
    }

    /// Restarts a workload as `kubectl rollout restart` does, if it is still the version that was seen.
    ///
    /// # Errors
    /// If the call fails; [`super::Failed::Conflict`] if it is another one or another version.
    pub async fn restart_workload<K>(
        &self,
        namespace: &str,
        name: &str,
        seen: (Option<&str>, Option<&str>),
        (annotation, at): (&str, Timestamp),
    ) -> Result<K, CallError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let (uid, version) = seen;
        let patch = Patch::Merge(json!({
            "metadata": {"uid": uid, "resourceVersion": version},
            "spec": {"template": {"metadata": {"annotations": {annotation: at.to_string()}}}},
        }));
        let (tried, parameters) = (|| format!("restart {} {namespace}/{name}", K::kind(&())), calls::merge());
        calls::bounded(tried, api.patch(name, &parameters, &patch)).await
    }
}
