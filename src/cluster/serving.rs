//! What the webhook's certificate asks of the API server: one Secret and one webhook configuration, each by its name.

use super::{CallError, Calls, calls};
use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::Patch,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Debug};

/// An object, now and whenever it changes; `None` while there is none. Goes on for ever.
pub fn changes_of<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let object = format!("{} {name}", K::kind(&K::DynamicType::default()));
    watcher::watch_object(api, name).default_backoff().filter_map(move |seen| {
        let seen = seen.inspect_err(|error| {
            let why = why(error);
            tracing::warn!(object, why, "cannot be watched; it will be tried again");
        });
        std::future::ready(seen.ok())
    })
}

/// What the API server said; of other failures not their own words, which may quote an object that could not be read.
fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.message.clone(),
        _ => "the connection failed, or an answer could not be read".to_owned(),
    }
}

impl Calls {
    /// A webhook configuration, or that there is none.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn webhook_configuration(&self, name: &str) -> Result<Option<MutatingWebhookConfiguration>, CallError> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        calls::bounded(|| format!("get MutatingWebhookConfiguration {name}"), api.get_opt(name)).await
    }

    /// Writes the authorities (PEM) that the API server believes the certificates of these webhooks by.
    ///
    /// # Errors
    /// If the call fails; [`super::Failed::Conflict`] if another configuration stands there now.
    pub async fn publish_authority(
        &self,
        configuration: &MutatingWebhookConfiguration,
        authorities: &[u8],
    ) -> Result<(), CallError> {
        let name = configuration.name_any();
        let bundle = ByteString(authorities.to_vec());
        let webhooks: Vec<_> = configuration.webhooks.iter().flatten().map(|webhook| &webhook.name).collect();
        let webhooks: Vec<_> =
            webhooks.into_iter().map(|name| json!({"name": name, "clientConfig": {"caBundle": bundle}})).collect();
        let patch = Patch::Apply(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "uid": configuration.uid()}, "webhooks": webhooks,
        }));
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        let parameters = calls::apply();
        let call = api.patch_metadata(&name, &parameters, &patch);
        calls::bounded(|| format!("apply MutatingWebhookConfiguration {name}"), call).await.map(|_| ())
    }

    /// Writes data into a Secret that stays the one that was seen, in the version that was seen.
    ///
    /// # Errors
    /// If the call fails; [`super::Failed::Conflict`] if it is another one or another version.
    pub async fn apply_data(&self, seen: &Secret, data: BTreeMap<String, Vec<u8>>) -> Result<(), CallError> {
        let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
        let data: BTreeMap<String, ByteString> =
            data.into_iter().map(|(key, value)| (key, ByteString(value))).collect();
        let patch = Patch::Apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "uid": seen.uid(), "resourceVersion": seen.resource_version()}, "data": data,
        }));
        let api: Api<Secret> = Api::namespaced(self.client(), &namespace);
        let parameters = calls::apply();
        let call = api.patch_metadata(&name, &parameters, &patch);
        calls::bounded(|| format!("apply Secret {namespace}/{name}"), call).await.map(|_| ())
    }
}
