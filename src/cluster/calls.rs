//! The calls to the API server. They are few, and each is bounded in time. The error of a failed
//! call is one line that names the object.

use super::{CallError, Failed, Failing, Mandate, Write};
use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, DataRobotInstance, DssInstance, names},
    spans::{Described, traced},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Pod, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
    core::{ObjectList, PartialObjectMeta},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, future::poll_fn, task::Poll, time::Duration};

pub use kube::api::Preconditions;

/// The longest time that a call may take, in seconds. The client's own retries of 429 and 503 count
/// towards it.
const TIMEOUT_SECONDS: u64 = 15;
/// The number of pods in a page of a list. Only their metadata is listed.
const PODS_PAGE: u32 = 50;
/// The number of configs in a page of metadata.
const CONFIGS_PAGE: u32 = 500;
/// The field selector for pods that have not finished. A pod's phase is not a part of its metadata,
/// but the API server can select by it.
const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The reason why a process that no longer leads makes no call that may change something.
pub const NOT_LEADING: &str = "this process no longer holds the Lease; the replica that leads decides anew";

/// Returns the data of a Secret.
#[must_use]
pub fn data_of(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// Makes the calls. A clone is cheap and uses the same client.
#[derive(Clone)]
pub struct Calls {
    client: Client,
    mandate: Mandate,
    failing: Failing,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

type Metadata = PartialObjectMeta<Secret>;

impl Calls {
    /// Makes calls through `client`, and writes only while `mandate` holds. `failing` counts the
    /// writes that fail.
    #[must_use]
    pub fn new(client: Client, mandate: Mandate, failing: Failing) -> Self {
        Self { client, mandate, failing }
    }

    /// Reads the metadata of a Secret; `None` if there is no such Secret. This call is for Secrets
    /// that may belong to somebody else, because it reads no data.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn secret_metadata(&self, namespace: &str, name: &str) -> Result<Option<Metadata>, CallError> {
        let api = self.secrets(namespace);
        bounded(|| format!("get Secret {namespace}/{name}"), api.get_metadata_opt(name)).await
    }

    /// Reads the metadata of a Secret from the API server's watch cache (`resourceVersion=0`),
    /// which costs the API server half as much and etcd nothing. `None` if the cache shows no such
    /// Secret. The cache may be a moment behind.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn cached_secret_metadata(&self, namespace: &str, name: &str) -> Result<Option<Metadata>, CallError> {
        let api = self.secrets(namespace);
        let cached = GetParams::any();
        let call = api.get_metadata_with(name, &cached);
        match bounded(|| format!("get Secret {namespace}/{name}"), call).await {
            Err(error) if error.failed == Failed::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads a Secret of keyturn's own, with its data; `None` if there is no such Secret.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, CallError> {
        let api = self.secrets(namespace);
        bounded(|| format!("get Secret {namespace}/{name}"), api.get_opt(name)).await
    }

    /// Creates a Secret and returns its metadata.
    ///
    /// # Errors
    /// [`Failed::AlreadyExists`] if there is a Secret of this name already; any other [`CallError`]
    /// if the API server refuses the call or does not answer within 15 s.
    pub async fn create_secret(&self, secret: &Secret) -> Result<Metadata, CallError> {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let api = self.secrets(&namespace);
        let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        let created = self
            .write(Write::Secret, || format!("create Secret {namespace}/{name}"), api.create(&parameters, secret))
            .await?;
        let mut metadata = created.metadata;
        metadata.managed_fields = None;
        Ok(PartialObjectMeta { types: None, metadata, _phantom: std::marker::PhantomData })
    }

    /// Merges `patch` into a Secret, and returns its metadata. The patch names the UID of the
    /// Secret to change.
    ///
    /// # Errors
    /// [`Failed::Invalid`] if the Secret has another UID; any other [`CallError`] if the API server
    /// refuses the call or does not answer within 15 s.
    pub async fn patch_secret(&self, namespace: &str, name: &str, patch: &Value) -> Result<Metadata, CallError> {
        let api = self.secrets(namespace);
        let (parameters, patch) = (merge(), Patch::Merge(patch));
        let call = api.patch_metadata(name, &parameters, &patch);
        let mut patched = self.write(Write::Secret, || format!("patch Secret {namespace}/{name}"), call).await?;
        patched.metadata.managed_fields = None;
        Ok(patched)
    }

    /// Deletes a Secret if it still has the UID of `seen`, and its version if `seen` has one.
    ///
    /// # Errors
    /// [`Failed::Conflict`] if the Secret has another UID or another version; any other
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn delete_secret(&self, namespace: &str, name: &str, seen: Preconditions) -> Result<(), CallError> {
        let api = self.secrets(namespace);
        let parameters = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        self.write(Write::Secret, || format!("delete Secret {namespace}/{name}"), api.delete(name, &parameters))
            .await
            .map(|_| ())
    }

    /// Reads an `AwsRole`; `None` if there is no such role.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn role(&self, namespace: &str, name: &str) -> Result<Option<AwsRole>, CallError> {
        let api: Api<AwsRole> = Api::namespaced(self.client.clone(), namespace);
        bounded(|| format!("get AwsRole {namespace}/{name}"), api.get_opt(name)).await
    }

    /// Deletes an `AwsRole` if it still has the UID of `seen`, and its version if `seen` has one.
    ///
    /// # Errors
    /// [`Failed::Conflict`] if the role has another UID or another version; any other [`CallError`]
    /// if the API server refuses the call or does not answer within 15 s.
    pub async fn delete_role(&self, namespace: &str, name: &str, seen: Preconditions) -> Result<(), CallError> {
        let api: Api<AwsRole> = Api::namespaced(self.client.clone(), namespace);
        let parameters = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        self.write(Write::Role, || format!("delete AwsRole {namespace}/{name}"), api.delete(name, &parameters))
            .await
            .map(|_| ())
    }

    /// Creates an `AwsRole`.
    ///
    /// # Errors
    /// [`Failed::AlreadyExists`] if there is a role of this name already; any other [`CallError`]
    /// if the API server refuses the call or does not answer within 15 s.
    pub async fn create_role(&self, role: &AwsRole) -> Result<AwsRole, CallError> {
        let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
        let api: Api<AwsRole> = Api::namespaced(self.client.clone(), &namespace);
        let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        stripped(
            self.write(Write::Role, || format!("create AwsRole {namespace}/{name}"), api.create(&parameters, role))
                .await,
        )
    }

    /// Applies an `AwsRole` that carries the UID of the role to change.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn apply_role(&self, role: &AwsRole) -> Result<AwsRole, CallError> {
        let (namespace, name) = (role.namespace().unwrap_or_default(), role.name_any());
        let api: Api<AwsRole> = Api::namespaced(self.client.clone(), &namespace);
        let (parameters, patch) = (apply(), Patch::Apply(role));
        let call = api.patch(&name, &parameters, &patch);
        stripped(self.write(Write::Role, || format!("apply AwsRole {namespace}/{name}"), call).await)
    }

    /// Merges `status` into the status of an `AwsRole`.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn role_status(
        &self,
        namespace: &str,
        name: &str,
        status: &impl Serialize,
    ) -> Result<AwsRole, CallError> {
        self.status(Write::RoleStatus, Api::namespaced(self.client.clone(), namespace), name, status).await
    }

    /// Merges `status` into the status of an `AwsConfig`. Absent values are sent as null, and null
    /// removes a field.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn config_status(
        &self,
        namespace: &str,
        name: &str,
        status: &impl Serialize,
    ) -> Result<AwsConfig, CallError> {
        self.status(Write::ConfigStatus, Api::namespaced(self.client.clone(), namespace), name, status).await
    }

    /// Writes the finalizers of an object if the object is still in the version that was seen.
    ///
    /// # Errors
    /// [`Failed::Conflict`] if the object is in another version; any other [`CallError`] if the API
    /// server refuses the call or does not answer within 15 s.
    pub async fn finalizers<K>(&self, seen: &K, finalizers: &[String]) -> Result<K, CallError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let meta = seen.meta();
        let (kind, name) = (K::kind(&()), seen.name_any());
        let patch = Patch::Merge(serde_json::json!({"metadata": {
            "uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers,
        }}));
        let namespace = meta.namespace.as_deref();
        let url = K::url_path(&(), namespace);
        let request = kube::core::Request::new(url).patch(&name, &merge(), &patch);
        let request = request.map_err(|error| {
            CallError::of(format!("write finalizers of {kind} {name}"), &kube::Error::BuildRequest(error))
        })?;
        let call = self.client.request(request);
        stripped(self.write(Write::Finalizers, || format!("write finalizers of {kind} {name}"), call).await)
    }

    /// Merges `status` into the status of a `DssInstance`.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn instance_status(&self, name: &str, status: &impl Serialize) -> Result<DssInstance, CallError> {
        self.status(Write::InstanceStatus, Api::all(self.client.clone()), name, status).await
    }

    /// Merges `status` into the status of a `DataRobotInstance`.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn data_robot_status(&self, name: &str, status: &impl Serialize) -> Result<DataRobotInstance, CallError> {
        self.status(Write::InstanceStatus, Api::all(self.client.clone()), name, status).await
    }

    /// Merges `status` into the status of an `AwsRoleGrant`.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn grant_status(&self, name: &str, status: &impl Serialize) -> Result<AwsRoleGrant, CallError> {
        self.status(Write::GrantStatus, Api::all(self.client.clone()), name, status).await
    }

    async fn status<K>(&self, write: Write, api: Api<K>, name: &str, status: &impl Serialize) -> Result<K, CallError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        let parameters = merge();
        let call = api.patch_status(name, &parameters, &patch);
        let object = api.namespace().map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let kind = K::kind(&());
        stripped(self.write(write, || format!("write status of {kind} {object}"), call).await)
    }

    /// Reads one page of the metadata of the pods of a namespace that have not finished, at most
    /// 50 pods. `after` is the token with which the previous page ended.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn unfinished_pods(
        &self,
        namespace: &str,
        after: Option<&str>,
    ) -> Result<ObjectList<PartialObjectMeta<Pod>>, CallError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut parameters = ListParams::default().fields(UNFINISHED).limit(PODS_PAGE);
        parameters.continue_token = after.map(str::to_owned);
        bounded(|| format!("list pods of {namespace}"), api.list_metadata(&parameters)).await
    }

    /// Reads one page of the metadata of the configs of all namespaces, at most 500 configs.
    /// `after` is the token with which the previous page ended.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn configs_metadata(
        &self,
        after: Option<&str>,
    ) -> Result<ObjectList<PartialObjectMeta<AwsConfig>>, CallError> {
        let api: Api<AwsConfig> = Api::all(self.client.clone());
        let mut parameters = ListParams::default().limit(CONFIGS_PAGE);
        parameters.continue_token = after.map(str::to_owned);
        bounded(|| "list awsconfigs of all namespaces".to_owned(), api.list_metadata(&parameters)).await
    }

    /// Reads the metadata of a `ConfigMap`; `None` if there is no such `ConfigMap`.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn config_map_metadata(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<ConfigMap>>, CallError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        bounded(|| format!("get ConfigMap {namespace}/{name}"), api.get_metadata_opt(name)).await
    }

    /// Creates an Event.
    ///
    /// # Errors
    /// [`CallError`] if the API server refuses the call or does not answer within 15 s.
    pub async fn create_event(&self, event: &Event) -> Result<(), CallError> {
        let namespace = event.namespace().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let parameters = PostParams::default();
        let call = api.create(&parameters, event);
        self.write(Write::Event, || format!("create Event {namespace}/{}", event.name_any()), call).await.map(|_| ())
    }

    /// Makes a write to the API server: [`Calls::while_leading`].
    pub(super) async fn write<T>(
        &self,
        kind: Write,
        tried: impl Fn() -> String,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        let written = self
            .while_leading(bounded(&tried, call))
            .await
            .unwrap_or_else(|| Err(CallError::new(tried(), NOT_LEADING, Failed::NotLeading)));
        self.failing.record(kind, &written);
        written
    }

    /// Makes a call that may change something. Each of its steps asks first whether this process
    /// may still write, because the process may have stood still before any of them. `None` if it
    /// may not; the call is then dropped at the point that it has reached.
    pub fn while_leading<T>(&self, call: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        let mut call = Box::pin(call);
        poll_fn(
            move |context| {
                if self.mandate.holds() { call.as_mut().poll(context).map(Some) } else { Poll::Ready(None) }
            },
        )
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

pub(super) fn apply() -> PatchParams {
    PatchParams::apply(names::MANAGER).force()
}

pub(super) fn merge() -> PatchParams {
    PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() }
}

/// Removes the managed fields. They are a third of an object, and keyturn does not use them.
fn stripped<K: Resource>(result: Result<K, CallError>) -> Result<K, CallError> {
    result.map(|mut object| {
        object.meta_mut().managed_fields = None;
        object
    })
}

pub(super) async fn bounded<T>(
    tried: impl Fn() -> String,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    let called = Box::pin(async {
        match tokio::time::timeout(Duration::from_secs(TIMEOUT_SECONDS), call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(CallError::of(tried(), &error)),
            Err(_) => {
                let why = format!("the API server did not answer within {TIMEOUT_SECONDS} s");
                Err(CallError::new(tried(), why, Failed::Otherwise))
            }
        }
    });
    let described = || Described::with_object_last(&tried());
    traced("kubernetes", described, |error| format!("{:?}", error.failed), called).await
}
