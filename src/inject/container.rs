//! The additions to one container: the mount, and the variables that are not set yet. Pure.

use super::{
    choose::Wanted,
    endpoint::Endpoint,
    home::Folder,
    pod_view::{Container, Volume},
    variables::{KEYS, elsewhere, leading, missing, no_keys, nowhere, replaced},
};
use crate::api::names::{ENDPOINT_PATH, MOUNT_PATH};
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, SecretKeySelector, VolumeMount};

/// The variables that the kubelet takes from the Secret when the container starts. Only those that
/// the Secret may hold are added, because each one costs the API server time before the pod exists.
///
/// If the author sets one variable of a group, keyturn adds none of that group. Tools that disagree
/// about the region are worse than no region, and a key must not go to another system.
const FROM_SECRET: [&[&str]; 6] = [
    &["AWS_REGION", "AWS_DEFAULT_REGION"],
    &["AWS_DEFAULT_BUCKET"],
    &["AWS_EXTRA_BUCKETS"],
    &["DKU_DSS_URL", "DKU_API_KEY", "DKU_CURRENT_PROJECT_KEY"],
    &["DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"],
    &["DATAROBOT_CREDENTIAL_ID"],
];

/// The way in which the containers of a pod get the Secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub wanted: &'a Wanted,
    /// The name of the volume with the Secret.
    pub volume: &'a str,
    /// The volumes of the pod, before keyturn adds any.
    pub volumes: &'a [Volume],
    /// The endpoint that the containers ask, if the pod gets one.
    pub endpoint: Option<&'a Endpoint>,
    /// The folders in the home folder that the containers get.
    pub home: &'a [Folder],
    /// The reason why no container of the pod can have the Secret.
    pub blocked: Option<&'a str>,
}

/// The additions to a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Addition {
    /// The reason why the container cannot have the Secret. Without a reason it has the Secret with
    /// these additions, either from keyturn or from its author.
    pub lacking: Option<String>,
    pub mounts: Vec<VolumeMount>,
    pub env: Vec<EnvVar>,
    /// The places of variables of Amazon's webhooks, and the values that replace theirs.
    pub replaced: Vec<(usize, String)>,
    pub warnings: Vec<String>,
}

/// Returns the additions to a container. A container that cannot have the Secret gets the variables
/// with which SDKs fail.
pub(super) fn addition(container: &Container, way: &Way<'_>) -> Addition {
    let wanted = way.wanted;
    if let Some(why) = way.blocked {
        return without(container, wanted, why.to_owned());
    }
    let mounts_whole = |mount: &VolumeMount| {
        let is_it = |volume: &Volume| volume.name == mount.name && volume.is_whole(&wanted.secret);
        way.volumes.iter().any(is_it) && is_all_at(mount, MOUNT_PATH)
    };
    // The author may mount the Secret with another mode, for a user that may read it.
    let own = container.mounts().iter().find(|mount| mounts_whole(mount));
    let places = [(MOUNT_PATH, own.map_or(way.volume, |mount| mount.name.as_str()))].into_iter();
    let places = places.chain(way.endpoint.map(|endpoint| (ENDPOINT_PATH, endpoint.volume.as_str())));
    let mut mounts = Vec::new();
    for (path, volume) in places {
        match place(container, path, volume, way.volumes) {
            Place::Free => mounts.push(read_only(volume, path)),
            Place::Ours => {}
            Place::Taken(what) => {
                let why = format!(
                    "container \"{}\" mounts {what}: it cannot have the Secret of AwsConfig \"{}\", and AWS SDKs fail in it",
                    container.name, wanted.config
                );
                return without(container, wanted, why);
            }
        }
    }
    let mut warnings = Vec::new();
    for folder in way.home {
        match place(container, &folder.path, &folder.volume, way.volumes) {
            Place::Free => mounts.push(read_only(&folder.volume, &folder.path)),
            Place::Ours => {}
            Place::Taken(what) => warnings.push(format!(
                "container \"{}\" mounts {what}: it gets no file of AwsConfig \"{}\" in {}",
                container.name, wanted.config, folder.path
            )),
        }
    }
    let mut leading = if wanted.files { leading(way.endpoint) } else { vec![] };
    leading.extend(against_env_from(container, wanted));
    warnings.extend(own_way(container, wanted, &leading).into_iter().chain(unseen(container, wanted)));
    let replaced = replaced(container.env(), &leading);
    Addition { lacking: None, mounts, env: variables(container.env(), wanted, &leading), replaced, warnings }
}

/// The additions to a container that cannot have the Secret. If the `AwsConfig` leads no SDK, there
/// are none.
fn without(container: &Container, wanted: &Wanted, why: String) -> Addition {
    let mut leading = if wanted.files { nowhere() } else { vec![] };
    leading.extend(against_env_from(container, wanted));
    let env = missing(container.env(), &leading).into_iter().map(|(name, value)| literal(name, value)).collect();
    let replaced = replaced(container.env(), &leading);
    let warnings = own_way(container, wanted, &leading).into_iter().collect();
    Addition { lacking: Some(why), mounts: vec![], env, replaced, warnings }
}

fn variables(set: &[EnvVar], wanted: &Wanted, leading: &[(&'static str, String)]) -> Vec<EnvVar> {
    let is_set = |name: &str| set.iter().any(|variable| variable.name == name);
    let mut added: Vec<EnvVar> = missing(set, leading).into_iter().map(|(name, value)| literal(name, value)).collect();
    // An earlier injection added whole groups, therefore such a group is skipped like the author's
    // own.
    for group in FROM_SECRET.into_iter().filter(|group| !group.iter().any(|name| is_set(name))) {
        let held = group.iter().filter(|name| wanted.variables.contains(name));
        added.extend(held.map(|name| from_secret(name, &wanted.secret)));
    }
    added
}

/// The warning about variables that the author set and that SDKs prefer to keyturn's.
fn own_way(container: &Container, wanted: &Wanted, leading: &[(&'static str, String)]) -> Option<String> {
    if !wanted.files {
        return None;
    }
    let names = elsewhere(container.env(), leading, &wanted.profiles);
    (!names.is_empty()).then(|| {
        format!(
            "container \"{}\" sets {} itself: SDKs follow that and may not use AwsConfig \"{}\"",
            container.name,
            names.join(", "),
            wanted.config
        )
    })
}

/// The variables against keys in objects that `envFrom` names. keyturn does not read these objects.
/// The keys in the Secret of the `AwsConfig` itself are the person's, and stay.
fn against_env_from(container: &Container, wanted: &Wanted) -> Vec<(&'static str, String)> {
    let may_hold_keys = |from: &EnvFromSource| {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        !is_the_secret(from, wanted) && KEYS.iter().any(|key| key.starts_with(prefix))
    };
    let is_needed = wanted.files && container.env_from().iter().any(may_hold_keys);
    if is_needed { no_keys(container.env()) } else { vec![] }
}

/// Whether `envFrom` names the Secret of the `AwsConfig`, whose keys are those of the person.
fn is_the_secret(from: &EnvFromSource, wanted: &Wanted) -> bool {
    let is_it = from.secret_ref.as_ref().is_some_and(|of| of.name == wanted.secret);
    is_it && from.prefix.as_deref().unwrap_or_default().is_empty()
}

/// The warning about `envFrom`. keyturn does not read the objects that it names. Kubernetes prefers
/// `env` to `envFrom`, therefore the injected variables win.
fn unseen(container: &Container, wanted: &Wanted) -> Option<String> {
    let (name, env_from, config) = (&container.name, container.env_from(), &wanted.config);
    let without_keys = !against_env_from(container, wanted).is_empty();
    if wanted.files && !without_keys && env_from.iter().any(|from| is_the_secret(from, wanted)) {
        return Some(format!(
            "container \"{name}\" has the whole Secret \"{}\" by envFrom: SDKs prefer the keys in it, which are never read again, to the \
             file of AwsConfig \"{config}\"",
            wanted.secret
        ));
    }
    (!env_from.is_empty()).then(|| {
        format!(
            "container \"{name}\" has envFrom, which is not looked into: variables of AwsConfig \"{config}\" replace those of the same \
             name{}",
            if without_keys { ", and AWS keys in it do not count" } else { "" }
        )
    })
}

fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn literal(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn from_secret(name: &str, secret: &str) -> EnvVar {
    let key = SecretKeySelector { name: secret.to_owned(), key: name.to_owned(), optional: Some(true) };
    let source = EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// The state of the path at which a container is to get a volume.
enum Place {
    Free,
    /// The whole volume is mounted there.
    Ours,
    /// The author's mount that is in the way, in words that follow "mounts".
    Taken(String),
}

/// Looks at the path at which a container is to get this volume.
///
/// The runtime creates the folder of a mount inside the mount above it. In a read-only volume it
/// cannot, and the container never starts (kubernetes/kubernetes issue 65835).
fn place(container: &Container, path: &str, volume: &str, volumes: &[Volume]) -> Place {
    let ours = real(path);
    let mounts = || container.mounts().iter().map(|mount| (real(&mount.mount_path), mount));
    if let Some((_, mount)) = mounts().find(|(at, _)| is_at_or_below(at, &ours)) {
        return if mount.name == volume && is_all_at(mount, path) {
            Place::Ours
        } else {
            Place::Taken(format!("something else at {}", mount.mount_path))
        };
    }
    let above = || mounts().filter(|(at, _)| is_at_or_below(&ours, at) || at == "/var");
    let nearest = above().map(|(at, _)| at.len()).max();
    let is_read_only = |mount: &VolumeMount| {
        let of = volumes.iter().find(|volume| volume.name == mount.name);
        mount.read_only == Some(true) || of.is_some_and(Volume::is_read_only)
    };
    let closed = above().find(|(at, mount)| Some(at.len()) == nearest && is_read_only(mount));
    closed.map_or(Place::Free, |(_, mount)| Place::Taken(format!("a read-only volume at {}", mount.mount_path)))
}

/// Whether a mount has all of its volume at this path.
fn is_all_at(mount: &VolumeMount, path: &str) -> bool {
    let is_whole = mount.sub_path.is_none() && mount.sub_path_expr.is_none();
    is_whole && normal(&mount.mount_path) == normal(path)
}

/// Whether a path is another one, or lies below it.
pub(super) fn is_at_or_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path to which a path leads. In most images `/var/run` is a link to `/run`.
pub(super) fn real(path: &str) -> String {
    let path = normal(path);
    let below = path.strip_prefix("/var").filter(|rest| is_at_or_below(rest, "/run"));
    below.map(str::to_owned).unwrap_or(path)
}

/// The path without doubled slashes, trailing slashes and `.` segments.
pub(super) fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.fold(String::new(), |path, part| path + "/" + part)
}

#[cfg(test)]
mod tests;
