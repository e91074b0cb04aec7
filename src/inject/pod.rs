//! What is added to a pod, as a JSON patch (RFC 6902). Pure.

use super::{
    choose::{Wanted, choose},
    container::{Addition, CONFIG_FILE, Container, addition},
};
use crate::api::{
    AwsConfig,
    names::{MOUNT_PATH, POD_INJECTED},
};
use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::{EnvVar, EphemeralContainer, Pod, SecretVolumeSource, Volume};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    pub patch: Patch,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// What is added to a pod that is created in a namespace with these configs.
pub(super) fn new_pod(pod: &Pod, configs: &[Arc<AwsConfig>]) -> Injection {
    let (none, metadata) = (BTreeMap::new(), &pod.metadata);
    let labels = metadata.labels.as_ref().unwrap_or(&none);
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    let choice = choose(labels, annotations, configs);
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
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let there = volume_of(volumes, &wanted.secret);
    let volume = there.map_or_else(|| free_name(volumes), str::to_owned);
    for (kind, containers) in
        [("initContainers", spec.init_containers.as_deref()), ("containers", Some(&*spec.containers))]
    {
        for (index, it) in containers.unwrap_or_default().iter().enumerate() {
            let (env, mounts) = (list(it.env.as_ref()), list(it.volume_mounts.as_ref()));
            let of = Container { name: &it.name, env, env_from: list(it.env_from.as_ref()), mounts };
            draft.container(kind, index, of, &wanted, &volume);
        }
    }
    if !draft.operations.is_empty() && there.is_none() {
        draft.append(&["spec", "volumes"], volumes.is_empty(), vec![secret_volume(&volume, &wanted.secret)]);
    }
    // Also where its author had added all of it: who bears no mark is looked for as one that was missed. A mark that came
    // with a copy of another pod is put right.
    if draft.given && annotations.get(POD_INJECTED) != Some(&wanted.config) {
        draft.mark(&wanted.config, metadata.annotations.is_none());
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
        let (env, mounts) = (list(it.env.as_ref()), list(it.volume_mounts.as_ref()));
        let of = Container { name: &it.name, env, env_from: list(it.env_from.as_ref()), mounts };
        draft.container("ephemeralContainers", index, of, &wanted, volume);
    }
    draft.injection(wanted.config)
}

fn list<T>(of: Option<&Vec<T>>) -> &[T] {
    of.map(Vec::as_slice).unwrap_or_default()
}

fn ephemeral(pod: &Pod) -> &[EphemeralContainer] {
    pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default()
}

/// What a marked pod got, and the volume that it got it in.
fn given_at_creation(pod: &Pod) -> Option<(Wanted, &str)> {
    let config = pod.metadata.annotations.as_ref()?.get(POD_INJECTED)?.clone();
    let spec = pod.spec.as_ref()?;
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut mounts = containers().flat_map(|it| it.volume_mounts.iter().flatten());
    let volume = mounts.find(|mount| mount.mount_path == MOUNT_PATH)?.name.as_str();
    let named = spec.volumes.iter().flatten().find(|it| it.name == volume)?;
    let secret = named.secret.as_ref()?.secret_name.clone()?;
    let led = |it: &EnvVar| it.name == CONFIG_FILE;
    let files = containers().any(|it| it.env.iter().flatten().any(led));
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
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}

/// A patch in the making.
#[derive(Default)]
struct Draft {
    given: bool,
    operations: Vec<PatchOperation>,
    warnings: Vec<String>,
}

impl Draft {
    fn container(&mut self, kind: &str, index: usize, of: Container<'_>, wanted: &Wanted, volume: &str) {
        let Addition { given, mount, env, warnings } = addition(&of, wanted, volume);
        self.given |= given;
        self.warnings.extend(warnings);
        let index = index.to_string();
        let at = |list: &'static str| ["spec", kind, &index, list].map(str::to_owned);
        self.append(&at("volumeMounts"), of.mounts.is_empty(), mount.into_iter().collect());
        self.append(&at("env"), of.env.is_empty(), env);
    }

    /// Adds to the end of a list: elements that are there keep their places.
    fn append<T: Serialize>(&mut self, list: &[impl AsRef<str>], empty: bool, elements: Vec<T>) {
        if elements.is_empty() {
            return;
        }
        let path = PointerBuf::from_tokens(list.iter().map(AsRef::as_ref));
        if empty {
            return self.add(path, json!(elements));
        }
        for element in elements {
            self.add(path.with_trailing_token("-"), json!(element));
        }
    }

    fn mark(&mut self, config: &str, empty: bool) {
        if empty {
            return self.add(PointerBuf::from_tokens(["metadata", "annotations"]), json!({POD_INJECTED: config}));
        }
        self.add(PointerBuf::from_tokens(["metadata", "annotations", POD_INJECTED]), json!(config));
    }

    fn injection(self, config: String) -> Injection {
        let (patch, warnings) = (Patch(self.operations), self.warnings);
        Injection { config: Some(config), given: self.given, patch, warnings }
    }

    fn add(&mut self, path: PointerBuf, value: Value) {
        self.operations.push(PatchOperation::Add(AddOperation { path, value }));
    }
}

#[cfg(test)]
mod tests;
