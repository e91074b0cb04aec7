//! What is added to a pod, as a JSON patch (RFC 6902). Pure.

use super::{
    choose::{Wanted, choose},
    container::{Addition, CONFIG_FILE, addition},
    patch::{Element, Operation, annotate, append},
    pod_view::{Container, Pod, Spec, Volume},
};
use crate::api::{
    AwsConfig,
    names::{MOUNT_PATH, POD_INJECTED},
};
use k8s_openapi::api::core::v1::{EnvVar, SecretVolumeSource};
use std::{collections::BTreeSet, sync::Arc};

/// The volume's name, unless the author has another of that name.
const VOLUME: &str = "keyturn";

/// What is done to a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Injection {
    /// The config whose Secret the pod gets, if any.
    pub config: Option<String>,
    /// Whether a container has the Secret then, by our doing or by its author's.
    pub given: bool,
    /// What is added; empty if nothing is.
    pub patch: Vec<Operation>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// What is added to a pod that is created in a namespace with these configs.
pub(super) fn new_pod(pod: &Pod, configs: &[Arc<AwsConfig>]) -> Injection {
    let metadata = &pod.metadata;
    let choice = choose(metadata.labels(), metadata.annotations(), configs);
    let (Some(wanted), Some(spec)) = (choice.wanted, &pod.spec) else {
        return Injection { warnings: choice.warnings, ..Injection::default() };
    };
    let mut draft = Draft { warnings: choice.warnings, ..Draft::default() };
    if !wanted.files {
        draft.warnings.push(format!(
            "the Secret of AwsConfig \"{}\" has no format Files: it is mounted, and no SDK is led to it",
            wanted.config
        ));
    }
    let volumes = spec.volumes();
    let there = volume_of(volumes, &wanted.secret);
    let volume = there.map_or_else(|| free_name(volumes), str::to_owned);
    for (kind, containers) in spec.at_creation() {
        for (index, container) in containers.iter().enumerate() {
            draft.container(kind, index, container, &wanted, &volume);
        }
    }
    if !draft.patch.is_empty() && there.is_none() {
        let volume = Element::Volume(secret_volume(&volume, &wanted.secret));
        append(&mut draft.patch, "/spec/volumes", !volumes.is_empty(), vec![volume]);
    }
    // Also where its author had added all of it: who bears no mark is looked for as one that was missed. A mark that came
    // with a copy of another pod is put right.
    if draft.given && metadata.annotations().get(POD_INJECTED) != Some(&wanted.config) {
        annotate(&mut draft.patch, POD_INJECTED, wanted.config.clone(), metadata.annotations.is_some());
    }
    draft.injection(wanted.config)
}

/// What is added to the containers with which a running pod is debugged. Its volumes are fixed, so only a pod that got
/// the Secret when it was created has it to give.
pub(super) fn ephemeral_containers(pod: &Pod, before: Option<&Pod>) -> Injection {
    let Some((wanted, volume)) = given_at_creation(pod) else { return Injection::default() };
    let known: BTreeSet<&str> = before.map(ephemeral).unwrap_or_default().iter().map(|it| it.name.as_str()).collect();
    let mut draft = Draft::default();
    for (index, it) in ephemeral(pod).iter().enumerate().filter(|(_, it)| !known.contains(it.name.as_str())) {
        draft.container("ephemeralContainers", index, it, &wanted, volume);
    }
    draft.injection(wanted.config)
}

fn ephemeral(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map(Spec::ephemeral).unwrap_or_default()
}

/// What a marked pod got, and the volume that it got it in.
fn given_at_creation(pod: &Pod) -> Option<(Wanted, &str)> {
    let config = pod.metadata.annotations().get(POD_INJECTED)?.clone();
    let spec = pod.spec.as_ref()?;
    let containers = || spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
    let mut mounts = containers().flat_map(Container::mounts);
    let volume = mounts.find(|mount| mount.mount_path == MOUNT_PATH)?.name.as_str();
    let named = spec.volumes().iter().find(|it| it.name == volume)?;
    let secret = named.secret.as_ref()?.secret_name.clone()?;
    let led = |it: &EnvVar| it.name == CONFIG_FILE;
    let files = containers().any(|it| it.env().iter().any(led));
    Some((Wanted::unseen(config, secret, files), volume))
}

/// The volume that is this Secret, and all of it.
fn volume_of<'a>(volumes: &'a [Volume], secret: &str) -> Option<&'a str> {
    let is_it = |source: &SecretVolumeSource| source.secret_name.as_deref() == Some(secret) && source.items.is_none();
    volumes.iter().find(|volume| volume.secret.as_ref().is_some_and(is_it)).map(|volume| volume.name.as_str())
}

fn free_name(volumes: &[Volume]) -> String {
    let taken = |name: &str| volumes.iter().any(|volume| volume.name == name);
    let numbered = (2..).map(|number| format!("{VOLUME}-{number}"));
    std::iter::once(VOLUME.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn secret_volume(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource { secret_name: Some(secret.to_owned()), ..SecretVolumeSource::default() };
    Volume { name: name.to_owned(), secret: Some(source) }
}

/// A patch in the making.
#[derive(Default)]
struct Draft {
    given: bool,
    patch: Vec<Operation>,
    warnings: Vec<String>,
}

impl Draft {
    fn container(&mut self, kind: &str, index: usize, container: &Container, wanted: &Wanted, volume: &str) {
        let Addition { given, mount, env, warnings } = addition(container, wanted, volume);
        self.given |= given;
        self.warnings.extend(warnings);
        let mounts = mount.into_iter().map(Element::Mount).collect();
        let at = format!("/spec/{kind}/{index}");
        append(&mut self.patch, &format!("{at}/volumeMounts"), !container.mounts().is_empty(), mounts);
        let env = env.into_iter().map(Element::Variable).collect();
        append(&mut self.patch, &format!("{at}/env"), !container.env().is_empty(), env);
    }

    fn injection(self, config: String) -> Injection {
        let Self { given, patch, warnings } = self;
        Injection { config: Some(config), given, patch, warnings }
    }
}

#[cfg(test)]
mod tests;
