//! The parts of a pod that keyturn reads. The rest of a review is skipped, because the creation of
//! every pod in the cluster waits for the webhook. Pure.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, SecretVolumeSource, VolumeMount};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pod.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    #[serde(default)]
    pub metadata: Metadata,
    pub spec: Option<Spec>,
}

/// The metadata of a pod.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The spec of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    volumes: Option<Vec<Volume>>,
    init_containers: Option<Vec<Container>>,
    containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

/// A volume. Only Secret volumes matter here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Volume {
    #[serde(default)]
    pub name: String,
    pub secret: Option<SecretVolumeSource>,
}

/// A container of any kind: init, main or ephemeral.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(default)]
    pub name: String,
    env: Option<Vec<EnvVar>>,
    env_from: Option<Vec<EnvFromSource>>,
    volume_mounts: Option<Vec<VolumeMount>>,
}

/// The labels or annotations of a pod that has none.
static NONE: BTreeMap<String, String> = BTreeMap::new();

impl Metadata {
    /// The pod's labels.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.as_ref().unwrap_or(&NONE)
    }

    /// The pod's annotations.
    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        self.annotations.as_ref().unwrap_or(&NONE)
    }
}

impl Spec {
    /// The pod's volumes.
    pub(super) fn volumes(&self) -> &[Volume] {
        list(self.volumes.as_ref())
    }

    /// The containers that a pod has at its creation, with the names of their lists.
    pub(super) fn at_creation(&self) -> [(&'static str, &[Container]); 2] {
        let [init, main] = [&self.init_containers, &self.containers].map(|it| list(it.as_ref()));
        [("initContainers", init), ("containers", main)]
    }

    /// The ephemeral containers, with which a user debugs the pod.
    pub(super) fn ephemeral(&self) -> &[Container] {
        list(self.ephemeral_containers.as_ref())
    }
}

impl Container {
    /// The container's variables.
    pub(super) fn env(&self) -> &[EnvVar] {
        list(self.env.as_ref())
    }

    /// The objects from which the container takes further variables.
    pub(super) fn env_from(&self) -> &[EnvFromSource] {
        list(self.env_from.as_ref())
    }

    /// The container's mounts.
    pub(super) fn mounts(&self) -> &[VolumeMount] {
        list(self.volume_mounts.as_ref())
    }
}

fn list<T>(of: Option<&Vec<T>>) -> &[T] {
    of.map(Vec::as_slice).unwrap_or_default()
}
