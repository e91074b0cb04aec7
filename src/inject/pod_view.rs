//! As much of a pod as is looked at; the rest of a review is passed over, because every pod of a cluster waits for this.
//! Pure.

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

/// What a pod says of itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What a pod consists of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    volumes: Option<Vec<Volume>>,
    init_containers: Option<Vec<Container>>,
    containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

/// A volume, of which only Secrets matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Volume {
    #[serde(default)]
    pub name: String,
    pub secret: Option<SecretVolumeSource>,
}

/// A container of any kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(default)]
    pub name: String,
    env: Option<Vec<EnvVar>>,
    env_from: Option<Vec<EnvFromSource>>,
    volume_mounts: Option<Vec<VolumeMount>>,
}

/// What there is of labels or annotations where there are none.
static NONE: BTreeMap<String, String> = BTreeMap::new();

impl Metadata {
    /// Its labels.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.as_ref().unwrap_or(&NONE)
    }

    /// Its annotations.
    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        self.annotations.as_ref().unwrap_or(&NONE)
    }
}

impl Spec {
    /// Its volumes.
    pub(super) fn volumes(&self) -> &[Volume] {
        list(self.volumes.as_ref())
    }

    /// The containers that are there when a pod is created, with their lists' names.
    pub(super) fn at_creation(&self) -> [(&'static str, &[Container]); 2] {
        let [init, main] = [&self.init_containers, &self.containers].map(|it| list(it.as_ref()));
        [("initContainers", init), ("containers", main)]
    }

    /// The containers with which it is debugged.
    pub(super) fn ephemeral(&self) -> &[Container] {
        list(self.ephemeral_containers.as_ref())
    }
}

impl Container {
    /// Its variables.
    pub(super) fn env(&self) -> &[EnvVar] {
        list(self.env.as_ref())
    }

    /// Where more of its variables come from.
    pub(super) fn env_from(&self) -> &[EnvFromSource] {
        list(self.env_from.as_ref())
    }

    /// What it mounts.
    pub(super) fn mounts(&self) -> &[VolumeMount] {
        list(self.volume_mounts.as_ref())
    }
}

fn list<T>(of: Option<&Vec<T>>) -> &[T] {
    of.map(Vec::as_slice).unwrap_or_default()
}
