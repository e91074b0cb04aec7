//! The delivery by an endpoint: a container beside those of the pod's author that answers the SDKs
//! in the pod (the program `keyturn-endpoint`). Pure.
//!
//! The container is a native sidecar (KEP-753): an init container that goes on running, and that
//! ends after the pod's own containers. It is the first, so that the other init containers find it.

use super::{
    choose::Wanted,
    pod_view::{Container, Pod, Spec},
};
use crate::api::{
    Delivery,
    names::{ENDPOINT_PATH, ENDPOINT_PORT, MOUNT_PATH, POD_DELIVERY, POD_ENDPOINT_PORT},
};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container as FullContainer, ExecAction, Probe, ResourceRequirements, SeccompProfile,
        SecurityContext, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

/// The container's name, and that of the volume with its files. If the author uses this name, a
/// number is appended.
pub(super) const NAME: &str = "keyturn-endpoint";
/// The name of the empty volume.
pub(super) const NOTHING: &str = "keyturn-nothing";

/// The annotation with the containers that Amazon's webhook leaves alone (README.md of
/// aws/amazon-eks-pod-identity-webhook). The endpoint has no use for the identity of the pod.
/// keyturn sets it if the author did not.
pub(super) const AMAZON_SKIPS: &str = "eks.amazonaws.com/skip-containers";

/// The path at which Kubernetes mounts the token of the pod's ServiceAccount into each container,
/// except into one that mounts something else there (`mountServiceAccountToken` in
/// plugin/pkg/admission/serviceaccount of Kubernetes).
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The program in keyturn's image.
const PROGRAM: &str = "/keyturn-endpoint";
/// The command of keyturn's main program that earlier builds gave to the container. A pod that they
/// injected may still run, and a controller may copy it.
const FORMER_COMMAND: &str = "serve";
/// The user of keyturn's image.
const USER: i64 = 65_532;
/// The requests and limits of the container.
const RESOURCES: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "32Mi")];

/// The settings of the cluster for injected pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The delivery for pods if neither the pod nor its `AwsConfig` chooses.
    pub delivery: Delivery,
    /// keyturn's image. Without it there is no delivery by an endpoint.
    pub image: Option<String>,
    /// The pull policy of the image: `Always`, `IfNotPresent` or `Never`. Default: that of
    /// Kubernetes.
    pub pull_policy: Option<String>,
}

/// The endpoint that a pod gets or has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub port: u16,
    /// The volume with the token.
    pub volume: String,
    /// Whether the pod has the container already.
    pub is_there: bool,
}

/// Whether a container is keyturn's endpoint.
pub(super) fn is_endpoint(container: &Container) -> bool {
    port_of(container).is_some()
}

/// The port of keyturn's endpoint; `None` if the container is another.
fn port_of(container: &Container) -> Option<u16> {
    let port = match (container.command(), container.args()) {
        ([program], [port]) if program == PROGRAM => port,
        ([], [command, port]) if command == FORMER_COMMAND => port,
        _ => return None,
    };
    port.strip_prefix("--port=").filter(|_| container.name.starts_with(NAME))?.parse().ok()
}

/// The endpoint of a pod that has one already.
pub(super) fn present(spec: &Spec) -> Option<Endpoint> {
    let [(_, init), _] = spec.at_creation();
    init.iter().find_map(|container| {
        let port = port_of(container)?;
        let shared = container.mounts().iter().find(|mount| mount.mount_path == ENDPOINT_PATH)?;
        Some(Endpoint { port, volume: shared.name.clone(), is_there: true })
    })
}

/// The endpoint that a new pod gets, if it gets one, and the warnings for the pod's author. Without
/// an endpoint, the pod gets the files.
pub(super) fn endpoint(
    pod: &Pod,
    spec: &Spec,
    wanted: &Wanted,
    settings: &Settings,
) -> (Option<Endpoint>, Vec<String>) {
    if let Some(present) = present(spec) {
        return (Some(present), vec![]);
    }
    let annotations = pod.metadata.annotations();
    let mut warnings = Vec::new();
    let chosen = annotations.get(POD_DELIVERY).and_then(|text| {
        let chosen = Delivery::named(text);
        if chosen.is_none() {
            warnings.push(format!("the annotation {POD_DELIVERY} is neither files nor endpoint: it is not used"));
        }
        chosen
    });
    let delivery = chosen.or(wanted.delivery).unwrap_or(settings.delivery);
    if delivery == Delivery::Files || !wanted.files {
        return (None, warnings);
    }
    match port(annotations.get(POD_ENDPOINT_PORT).map(String::as_str), spec, settings) {
        Ok(port) => {
            let volume = spec.free_volume(NAME);
            (Some(Endpoint { port, volume, is_there: false }), warnings)
        }
        Err(why) => {
            warnings.push(format!("{why}: the pod gets no endpoint, and the files of AwsConfig \"{}\"", wanted.config));
            (None, warnings)
        }
    }
}

/// The port of the endpoint, or the reason why the pod can have none.
fn port(asked: Option<&str>, spec: &Spec, settings: &Settings) -> Result<u16, String> {
    if settings.image.is_none() {
        return Err("the webhook has no image for endpoints (--endpoint-image)".to_owned());
    }
    if spec.is_in_host_network() {
        return Err("with hostNetwork the endpoint would be open to all programs of the node".to_owned());
    }
    let port = match asked {
        None => ENDPOINT_PORT,
        Some(text) => match text.parse() {
            Ok(port @ 1024..) => port,
            _ => return Err(format!("the annotation {POD_ENDPOINT_PORT} is no port from 1024 to 65535")),
        },
    };
    let containers = || spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
    match containers().find(|container| container.takes(port)) {
        Some(container) => Err(format!(
            "container \"{}\" has port {port} itself, choose another for the endpoint by the annotation {POD_ENDPOINT_PORT}",
            container.name
        )),
        None => Ok(port),
    }
}

/// The container, with the Secret from `secret` and the volume without files `nothing`.
pub(super) fn container(
    endpoint: &Endpoint,
    spec: &Spec,
    settings: &Settings,
    secret: &str,
    nothing: &str,
) -> FullContainer {
    let port = format!("--port={}", endpoint.port);
    let mount = |volume: &str, path: &str, read_only: bool| VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let asked = [PROGRAM, "--probe", &port].map(str::to_owned);
    FullContainer {
        name: spec.free_container(NAME),
        image: settings.image.clone(),
        image_pull_policy: settings.pull_policy.clone(),
        command: Some(vec![PROGRAM.to_owned()]),
        args: Some(vec![port]),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(Probe {
            exec: Some(ExecAction { command: Some(asked.into()) }),
            period_seconds: Some(1),
            timeout_seconds: Some(5),
            failure_threshold: Some(60),
            ..Probe::default()
        }),
        resources: resources(spec),
        security_context: Some(security(spec)),
        volume_mounts: Some(vec![
            mount(secret, MOUNT_PATH, true),
            mount(&endpoint.volume, ENDPOINT_PATH, false),
            mount(nothing, API_TOKEN, true),
        ]),
        ..FullContainer::default()
    }
}

/// The resources of the container. A pod whose containers name none stays `BestEffort`, and a
/// `Guaranteed` pod stays `Guaranteed` ("Pod Quality of Service Classes" in the Kubernetes
/// documentation). If the pod as a whole names resources, these decide.
fn resources(spec: &Spec) -> Option<ResourceRequirements> {
    let mut containers = spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
    if spec.has_resources() || !containers.any(Container::has_resources) {
        return None;
    }
    let each = RESOURCES.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    let each = Some(each.into());
    Some(ResourceRequirements { requests: each.clone(), limits: each, ..ResourceRequirements::default() })
}

/// The rights of the container: none. It runs as the user of the image, which is not root. If the
/// pod names root for all its containers, the container names the image's user; another user of the
/// pod's is left, because some clusters allow no user but their own.
fn security(spec: &Spec) -> SecurityContext {
    SecurityContext {
        run_as_non_root: Some(true),
        run_as_user: (spec.user() == Some(0)).then_some(USER),
        read_only_root_filesystem: Some(true),
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..SecurityContext::default()
    }
}

#[cfg(test)]
mod tests;
