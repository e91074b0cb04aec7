//! The parts of a pod that keyturn reads. The rest of a review is skipped, because the creation of
//! every pod in the cluster waits for the webhook. Pure.

use k8s_openapi::{
    api::core::v1::{
        ContainerPort, EmptyDirVolumeSource, EnvFromSource, EnvVar, KeyToPath, ResourceRequirements,
        SecretVolumeSource, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
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
    host_network: Option<bool>,
    os: Option<Os>,
    node_selector: Option<BTreeMap<String, String>>,
    security_context: Option<PodSecurity>,
    resources: Option<IgnoredAny>,
}

/// The operating system of a pod.
#[derive(Debug, Deserialize)]
struct Os {
    #[serde(default)]
    name: String,
}

/// The rights of all containers of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSecurity {
    run_as_user: Option<i64>,
}

/// A volume. Only Secret volumes matter here, and those that keyturn adds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    #[serde(default)]
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    empty_dir: Option<EmptyDirVolumeSource>,
    /// The source of a volume of another kind, by the name of its kind.
    #[serde(flatten, skip_serializing)]
    other: BTreeMap<String, Value>,
}

/// The bits of a file's mode with which every user may read it.
const FOR_ALL: i32 = 0o444;

/// The kinds of volume that the kubelet always mounts read-only, besides Secrets ("Volumes" in the
/// Kubernetes documentation).
const READ_ONLY: [&str; 4] = ["configMap", "downwardAPI", "projected", "image"];

impl Volume {
    /// A volume with a whole Secret. It is not optional, so that the pod waits for the Secret.
    pub(super) fn of_secret(name: &str, secret: &str) -> Self {
        let source = SecretVolumeSource { secret_name: Some(secret.to_owned()), ..SecretVolumeSource::default() };
        Self { name: name.to_owned(), secret: Some(source), ..Self::default() }
    }

    /// A volume with one file of a Secret. It is optional, because the pod waits for the Secret by
    /// the volume with the whole of it, and a Secret may have no such file.
    pub(super) fn of_file(name: &str, secret: &str, key: &str, file: &str) -> Self {
        let item = KeyToPath { key: key.to_owned(), path: file.to_owned(), mode: None };
        let source = SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(vec![item]),
            optional: Some(true),
            ..SecretVolumeSource::default()
        };
        Self { name: name.to_owned(), secret: Some(source), ..Self::default() }
    }

    /// Whether the volume holds this whole Secret.
    pub(super) fn is_whole(&self, secret: &str) -> bool {
        self.secret.as_ref().is_some_and(|of| of.secret_name.as_deref() == Some(secret) && of.items.is_none())
    }

    /// Whether the volume holds this whole Secret in the way of [`Volume::of_secret`]: the pod
    /// waits for the Secret, and every user may read the files.
    pub(super) fn is_of_secret(&self, secret: &str) -> bool {
        let source = self.secret.iter().find(|_| self.is_whole(secret));
        source
            .is_some_and(|of| of.optional != Some(true) && of.default_mode.is_none_or(|mode| mode & FOR_ALL == FOR_ALL))
    }

    /// Whether the volume is one with this file of the Secret.
    pub(super) fn is_file(&self, secret: &str, key: &str, file: &str) -> bool {
        self.secret == Self::of_file(&self.name, secret, key, file).secret
    }

    /// A small empty volume that is never on a disk.
    pub(super) fn in_memory(name: &str) -> Self {
        let source =
            EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: Some(Quantity("1Mi".to_owned())) };
        Self { name: name.to_owned(), empty_dir: Some(source), ..Self::default() }
    }
}

impl Volume {
    /// Whether nothing can be written into the volume.
    pub(super) fn is_read_only(&self) -> bool {
        let is = |(kind, source): (&String, &Value)| READ_ONLY.contains(&kind.as_str()) || source["readOnly"] == true;
        self.secret.is_some() || self.other.iter().any(is)
    }
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
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
    ports: Option<Vec<ContainerPort>>,
    resources: Option<ResourceRequirements>,
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

    /// The operating system of the pod's nodes, if the pod names one and it is not Linux.
    pub(super) fn other_system(&self) -> Option<&str> {
        let label = |name: &str| self.node_selector.as_ref().and_then(|labels| labels.get(name));
        let named = self.os.as_ref().map(|os| &os.name).filter(|name| !name.is_empty());
        let system = named.or_else(|| label("kubernetes.io/os")).or_else(|| label("beta.kubernetes.io/os"))?;
        (system != "linux").then_some(system)
    }

    /// Whether the pod has the network of its node.
    pub(super) fn is_in_host_network(&self) -> bool {
        self.host_network.unwrap_or_default()
    }

    /// The user that the pod names for all its containers.
    pub(super) fn user(&self) -> Option<i64> {
        self.security_context.as_ref().and_then(|security| security.run_as_user)
    }

    /// Whether the pod names resources for all its containers together.
    pub(super) fn has_resources(&self) -> bool {
        self.resources.is_some()
    }

    /// This name for a volume, with a number if it is taken.
    pub(super) fn free_volume(&self, name: &str) -> String {
        free(name, |name| self.volumes().iter().any(|volume| volume.name == name))
    }

    /// This name for a container, with a number if it is taken.
    pub(super) fn free_container(&self, name: &str) -> String {
        let containers = || self.at_creation().into_iter().flat_map(|(_, containers)| containers);
        free(name, |name| containers().any(|container| container.name == name))
    }

    /// The ephemeral containers, with which a user debugs the pod.
    pub(super) fn ephemeral(&self) -> &[Container] {
        list(self.ephemeral_containers.as_ref())
    }
}

impl Container {
    /// The container's program, in place of that of its image.
    pub(super) fn command(&self) -> &[String] {
        list(self.command.as_ref())
    }

    /// The container's arguments.
    pub(super) fn args(&self) -> &[String] {
        list(self.args.as_ref())
    }

    /// Whether the container says that it listens on this port (TCP, which is the default).
    pub(super) fn takes(&self, port: u16) -> bool {
        let is_tcp = |of: &ContainerPort| of.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        list(self.ports.as_ref()).iter().any(|of| of.container_port == i32::from(port) && is_tcp(of))
    }

    /// Whether the container names CPU or memory, which decide about the pod's class of service.
    pub(super) fn has_resources(&self) -> bool {
        let named = self.resources.iter().flat_map(|of| [&of.requests, &of.limits]).flatten();
        named.into_iter().any(|amounts| amounts.contains_key("cpu") || amounts.contains_key("memory"))
    }

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

fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn list<T>(of: Option<&Vec<T>>) -> &[T] {
    of.map(Vec::as_slice).unwrap_or_default()
}
