//! The additions to a pod, as a JSON patch (RFC 6902). Pure.

use super::{
    choose::{Wanted, choose},
    chosen::Chosen,
    container::{Addition, Way, addition},
    endpoint::{AMAZON_SKIPS, NOTHING, Settings, container, endpoint, is_endpoint, present},
    home::{self, folders},
    patch::{Element, Operation, annotate, append, prepend, replace},
    pod_view::{Container, Pod, Spec, Volume},
    variables::CONFIG_FILE,
};
use crate::api::{
    AwsConfig,
    names::{MOUNT_PATH, POD_INJECTED, POD_NOT_INJECTED, POD_SECRET},
};
use k8s_openapi::api::core::v1::EnvVar;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The volume's name. If the author uses this name for another volume, a number is appended.
const VOLUME: &str = "keyturn";

/// The result of injecting into a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Injection {
    /// The config whose Secret the pod gets, if any.
    pub config: Option<String>,
    /// Whether a container has the Secret afterwards, either from keyturn or from its author.
    pub given: bool,
    /// The additions. Empty if nothing is added.
    pub patch: Vec<Operation>,
    /// The warnings for the pod's author.
    pub warnings: Vec<String>,
    /// The reason why the pod, or a container of it, ends without the Secret that it asks for.
    pub lacking: Option<String>,
}

/// Returns the additions to a pod that is created in a namespace with these configs.
pub(super) fn new_pod(pod: &Pod, configs: &[Arc<AwsConfig>], settings: &Settings) -> Injection {
    let metadata = &pod.metadata;
    let choice = choose(metadata.labels(), metadata.annotations(), configs);
    let (Some(wanted), Some(spec)) = (choice.wanted, &pod.spec) else {
        return Injection { warnings: choice.warnings, lacking: choice.lacking, ..Injection::default() };
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
    let volume = there.map_or_else(|| spec.free_volume(VOLUME), str::to_owned);
    let blocked = choice.blocked.or_else(|| Some(other_system(spec.other_system()?, &wanted)));
    let (endpoint, warnings) = if blocked.is_none() { endpoint(pod, spec, &wanted, settings) } else { (None, vec![]) };
    draft.warnings.extend(warnings);
    draft.lacks(blocked.clone());
    let (home, warnings) =
        if blocked.is_none() { folders(metadata.annotations(), spec, &wanted) } else { (vec![], vec![]) };
    draft.warnings.extend(warnings);
    let chosen = Chosen::by(metadata.annotations());
    draft.warnings.extend(chosen.unknown(spec));
    draft.lacks(chosen.leaves_out_all(spec));
    let is_chosen = |container: &Container| !is_endpoint(container) && chosen.has(&container.name);
    let way = Way {
        wanted: &wanted,
        volume: &volume,
        volumes,
        endpoint: endpoint.as_ref(),
        home: &home,
        blocked: blocked.as_deref(),
    };
    for (kind, containers) in spec.at_creation() {
        for (index, container) in containers.iter().enumerate().filter(|(_, container)| is_chosen(container)) {
            draft.container(kind, index, container, &way);
        }
    }
    let mut sidecar = None;
    let endpoint = endpoint.filter(|endpoint| draft.given && !endpoint.is_there);
    let mut added = Vec::new();
    if there.is_none() && (draft.mounted.contains(&volume) || endpoint.is_some()) {
        added.push(Volume::of_secret(&volume, &wanted.secret));
    }
    if let Some(endpoint) = endpoint {
        let nothing = spec.free_volume(NOTHING);
        let [(init, there), _] = spec.at_creation();
        // The patch of the other containers names their places before this one.
        let first = container(&endpoint, spec, settings, &volume, &nothing);
        sidecar = Some(first.name.clone());
        prepend(&mut draft.patch, &format!("/spec/{init}"), !there.is_empty(), Element::Container(Box::new(first)));
        added.extend([Volume::in_memory(&endpoint.volume), Volume::in_memory(&nothing)]);
    }
    let mounted = |volume: &Volume| draft.mounted.contains(&volume.name);
    added.extend(home.into_iter().filter_map(|folder| folder.missing.filter(mounted)));
    let added = added.into_iter().map(Element::Volume).collect();
    append(&mut draft.patch, "/spec/volumes", !volumes.is_empty(), added);
    let mut marks = marks(metadata.annotations(), &draft, &wanted);
    if let Some(sidecar) = sidecar.filter(|_| !metadata.annotations().contains_key(AMAZON_SKIPS)) {
        marks.insert(AMAZON_SKIPS, sidecar);
    }
    annotate(&mut draft.patch, marks, metadata.annotations.is_some());
    draft.injection(wanted.config)
}

/// The reason why a pod for another operating system cannot have the Secret: its `config` runs
/// `cat`, and keyturn's image is for Linux.
fn other_system(system: &str, wanted: &Wanted) -> String {
    format!(
        "the pod is for {system}, and keyturn delivers on Linux only: it cannot have the Secret of AwsConfig \"{}\", and AWS SDKs fail \
         in it",
        wanted.config
    )
}

/// The marks that the pod lacks, or that came with a copy of another pod and are wrong. The mark of
/// an injected pod is also set if the author had added everything by hand, because a pod without a
/// mark counts as missed.
fn marks(annotations: &BTreeMap<String, String>, draft: &Draft, wanted: &Wanted) -> BTreeMap<&'static str, String> {
    let mut marks = BTreeMap::new();
    if draft.given {
        marks.insert(POD_INJECTED, wanted.config.clone());
        marks.insert(POD_SECRET, wanted.secret.clone());
    }
    if !draft.without.is_empty() || annotations.contains_key(POD_NOT_INJECTED) {
        marks.insert(POD_NOT_INJECTED, draft.without.join(","));
    }
    marks.retain(|name, value| annotations.get(*name) != Some(value));
    marks
}

/// Returns the additions to the ephemeral containers with which a user debugs a running pod. The
/// volumes of a running pod are fixed, therefore only a pod that got the Secret at its creation has
/// it for the new containers.
pub(super) fn ephemeral_containers(pod: &Pod, before: Option<&Pod>) -> Injection {
    let Some((wanted, volume, spec)) = given_at_creation(pod) else { return Injection::default() };
    let known: BTreeSet<&str> = before.map(ephemeral).unwrap_or_default().iter().map(|it| it.name.as_str()).collect();
    let chosen = Chosen::by(pod.metadata.annotations());
    let mut draft = Draft::default();
    let is_new = |it: &Container| !known.contains(it.name.as_str()) && chosen.has(&it.name);
    let (endpoint, home) = (present(spec), home::present(spec, &wanted.secret));
    let way = Way {
        wanted: &wanted,
        volume,
        volumes: spec.volumes(),
        endpoint: endpoint.as_ref(),
        home: &home,
        blocked: None,
    };
    for (index, it) in ephemeral(pod).iter().enumerate().filter(|(_, it)| is_new(it)) {
        draft.container("ephemeralContainers", index, it, &way);
    }
    draft.injection(wanted.config)
}

fn ephemeral(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map(Spec::ephemeral).unwrap_or_default()
}

/// The config of a marked pod, the volume that holds its Secret, and its spec.
fn given_at_creation(pod: &Pod) -> Option<(Wanted, &str, &Spec)> {
    let config = pod.metadata.annotations().get(POD_INJECTED)?.clone();
    let spec = pod.spec.as_ref()?;
    let containers = || spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
    let mut mounts = containers().flat_map(Container::mounts);
    let volume = mounts.find(|mount| mount.mount_path == MOUNT_PATH)?.name.as_str();
    let named = spec.volumes().iter().find(|it| it.name == volume)?;
    let secret = named.secret.as_ref()?.secret_name.clone()?;
    // A container without the Secret may name a file of its own.
    let has_it = |it: &&Container| it.mounts().iter().any(|mount| mount.mount_path == MOUNT_PATH);
    let led = |it: &EnvVar| it.name == CONFIG_FILE;
    let files = containers().filter(has_it).any(|it| it.env().iter().any(led));
    Some((Wanted::unseen(config, secret, files), volume, spec))
}

/// The name of the volume that holds this whole Secret as keyturn would mount it.
fn volume_of<'a>(volumes: &'a [Volume], secret: &str) -> Option<&'a str> {
    volumes.iter().find(|volume| volume.is_of_secret(secret)).map(|volume| volume.name.as_str())
}

/// A patch under construction.
#[derive(Default)]
struct Draft {
    given: bool,
    /// The containers that cannot have the Secret.
    without: Vec<String>,
    /// The volumes that containers get mounts of.
    mounted: BTreeSet<String>,
    patch: Vec<Operation>,
    warnings: Vec<String>,
    lacking: Option<String>,
}

impl Draft {
    /// Notes the reason why the whole pod ends without the Secret, and warns of it.
    fn lacks(&mut self, why: Option<String>) {
        self.warnings.extend(why.clone());
        self.lacking = self.lacking.take().or(why);
    }

    fn container(&mut self, kind: &str, index: usize, container: &Container, way: &Way<'_>) {
        let Addition { lacking, mounts, env, replaced, warnings } = addition(container, way);
        self.mounted.extend(mounts.iter().map(|mount| mount.name.clone()));
        if let Some(why) = lacking {
            self.without.push(container.name.clone());
            // The reason of the whole pod is said once.
            self.lacks(Some(why).filter(|_| way.blocked.is_none()));
        } else {
            self.given = true;
        }
        self.warnings.extend(warnings);
        let mounts = mounts.into_iter().map(Element::Mount).collect();
        let at = format!("/spec/{kind}/{index}");
        append(&mut self.patch, &format!("{at}/volumeMounts"), !container.mounts().is_empty(), mounts);
        for (place, value) in replaced {
            replace(&mut self.patch, format!("{at}/env/{place}/value"), value);
        }
        let env = env.into_iter().map(Element::Variable).collect();
        append(&mut self.patch, &format!("{at}/env"), !container.env().is_empty(), env);
    }

    fn injection(self, config: String) -> Injection {
        let Self { given, patch, warnings, lacking, .. } = self;
        Injection { config: Some(config), given, patch, warnings, lacking }
    }
}

#[cfg(test)]
mod tests;
