//! The calls for restarts: workloads are read when they are needed, and one annotation is written.

use super::{CallError, Calls, Write, calls};
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
    /// Reads a workload; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`super::Failed::Forbidden`] if keyturn has no right to read it; any other [`CallError`] if
    /// the API server refuses the call or does not answer within 15 s.
    pub async fn workload<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, CallError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let tried = || format!("get {} {namespace}/{name}", K::kind(&()));
        calls::bounded(tried, api.get_opt(name)).await
    }

    /// Lists the workloads of a namespace that match the label selector `labels`.
    ///
    /// # Errors
    /// [`super::Failed::Forbidden`] if keyturn has no right to list them; any other [`CallError`]
    /// if the API server refuses the call or does not answer within 15 s.
    pub async fn workloads<K>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, CallError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let (kind, chosen) = (K::kind(&()), ListParams::default().labels(labels));
        let tried = || format!("list {kind}s of {namespace} with {labels}");
        calls::bounded(tried, api.list(&chosen)).await.map(|list| list.items)
    }

    /// Restarts a workload as `kubectl rollout restart` does, if the workload still has the UID and
    /// the version that were seen.
    ///
    /// # Errors
    /// [`super::Failed::Conflict`] if the workload has another UID or another version;
    /// [`super::Failed::Forbidden`] if keyturn has no right to change it; any other [`CallError`]
    /// if the API server refuses the call or does not answer within 15 s.
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
        self.write(Write::Restart, tried, api.patch(name, &parameters, &patch)).await
    }
}
