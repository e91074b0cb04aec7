//! The calls for the webhook's certificate: one Secret and one webhook configuration, each read and
//! written by its name.

use super::{CallError, Calls, Write, calls};
use crate::network::WATCH_SECONDS;
use futures::{Stream, StreamExt as _};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::Patch,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Debug};

/// Streams an object's state now and after each change; `None` while the object does not exist. The
/// stream never ends.
pub fn changes_of<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let object = format!("{} {name}", K::kind(&K::DynamicType::default()));
    // The watcher of `kube` for one object has no length of its own.
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS);
    let mut listed = None;
    watcher::watcher(api, config).default_backoff().filter_map(move |event| {
        std::future::ready(match event {
            Ok(Event::Init) => {
                listed = None;
                None
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(object);
                None
            }
            Ok(Event::InitDone) => Some(listed.take()),
            Ok(Event::Apply(object)) => Some(Some(object)),
            Ok(Event::Delete(_)) => Some(None),
            Err(error) => {
                let why = why(&error);
                tracing::warn!(object, why, "cannot be watched; it will be tried again");
                None
            }
        })
    })
}

/// Returns the API server's message. For other failures the text is fixed, because their own text
/// may quote an object that could not be read.
fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.message.clone(),
        _ => "the connection failed, or an answer could not be read".to_owned(),
    }
}

impl Calls {
    /// Reads a webhook configuration; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn webhook_configuration(&self, name: &str) -> Result<Option<MutatingWebhookConfiguration>, CallError> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        calls::bounded(|| format!("get MutatingWebhookConfiguration {name}"), api.get_opt(name)).await
    }

    /// Writes the authorities (PEM) with which the API server verifies the certificates of these
    /// webhooks.
    ///
    /// # Errors
    /// [`super::Failed::Conflict`] if there is no configuration of this name now;
    /// [`super::Failed::Invalid`] if there is another one, because a UID cannot be changed; any
    /// other [`CallError`] if the API server refuses the call or does not answer within 15 s.
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
        self.write(Write::Authority, || format!("apply MutatingWebhookConfiguration {name}"), call).await.map(|_| ())
    }

    /// Writes data into a Secret if the Secret still has the UID and the version of `seen`.
    ///
    /// # Errors
    /// [`super::Failed::Conflict`] if the Secret has another UID or another version; any other
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
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
        self.write(Write::Certificate, || format!("apply Secret {namespace}/{name}"), call).await.map(|_| ())
    }
}
