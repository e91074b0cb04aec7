//! The files of the Secret in the home folder of a container, where samples and IDEs look. Pure.
//!
//! Each folder is a volume of its own with one file of the Secret. keyturn mounts whole folders,
//! because the kubelet never updates a mount with `subPath` ("Secret" in the Kubernetes
//! documentation).

use super::{
    choose::Wanted,
    container::{is_at_or_below, normal, real},
    pod_view::{Container, Spec, Volume},
};
use crate::api::names::POD_HOME;
use std::collections::BTreeMap;

/// A folder of the home folder.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// The name of the folder.
    folder: &'static str,
    /// The name of the volume. If the author uses this name, a number is appended.
    volume: &'static str,
    /// The key of the Secret, and the name of the file.
    key: &'static str,
    file: &'static str,
}

const AWS: Kind = Kind { folder: ".aws", volume: "keyturn-home-aws", key: "config", file: "config" };
const DATAIKU: Kind =
    Kind { folder: ".dataiku", volume: "keyturn-home-dataiku", key: DATAIKU_KEY, file: "config.json" };

/// The key of the Secret with the settings of Dataiku's client.
pub(super) const DATAIKU_KEY: &str = "dataiku-config.json";

/// The longest home folder, in bytes.
const LENGTH: usize = 256;
/// The folders in which a runtime makes no mount, or in which keyturn has its own.
const CLOSED: [&str; 4] = ["/run/secrets", "/proc", "/sys", "/dev"];

/// A folder that the containers of a pod get.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folder {
    /// The path of the mount.
    pub path: String,
    /// The name of the volume.
    pub volume: String,
    /// The volume, if the pod does not have it yet.
    pub missing: Option<Volume>,
}

/// The folders that a new pod gets, and the warnings for its author.
pub(super) fn folders(
    annotations: &BTreeMap<String, String>,
    spec: &Spec,
    wanted: &Wanted,
) -> (Vec<Folder>, Vec<String>) {
    let asked = annotations.get(POD_HOME);
    let Some(home) = asked.or(wanted.home.as_ref()).filter(|home| !home.is_empty() && wanted.files) else {
        return (vec![], vec![]);
    };
    if !is_home(home) {
        let by = if asked.is_some() { format!("the annotation {POD_HOME}") } else { "inject.home".to_owned() };
        let warning = format!("{by} is no absolute path of a home folder: the files are at their usual place only");
        return (vec![], vec![warning]);
    }
    let dataiku = wanted.dataiku.then_some(DATAIKU);
    let folders = [AWS].into_iter().chain(dataiku).map(|kind| {
        let path = format!("{}/{}", normal(home), kind.folder);
        let there = spec.volumes().iter().find(|volume| volume.is_file(&wanted.secret, kind.key, kind.file));
        let volume = there.map_or_else(|| spec.free_volume(kind.volume), |volume| volume.name.clone());
        let missing = there.is_none().then(|| Volume::of_file(&volume, &wanted.secret, kind.key, kind.file));
        Folder { path, volume, missing }
    });
    (folders.collect(), vec![])
}

/// The folders that a pod got at its creation.
pub(super) fn present(spec: &Spec, secret: &str) -> Vec<Folder> {
    let containers = || spec.at_creation().into_iter().flat_map(|(_, containers)| containers);
    let of = |kind: Kind| {
        let is_it = |volume: &&Volume| volume.is_file(secret, kind.key, kind.file);
        let volume = spec.volumes().iter().find(is_it)?.name.clone();
        let mount = containers().flat_map(Container::mounts).find(|mount| mount.name == volume)?;
        Some(Folder { path: mount.mount_path.clone(), volume, missing: None })
    };
    [AWS, DATAIKU].into_iter().filter_map(of).collect()
}

/// Whether a text can be a home folder in which keyturn mounts folders.
fn is_home(path: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/._-@+".contains(c);
    let at = real(path);
    path.starts_with('/')
        && path.len() <= LENGTH
        && path.chars().all(is_allowed)
        && path.split('/').all(|part| part != "..")
        && !CLOSED.iter().any(|closed| is_at_or_below(&at, closed))
}

#[cfg(test)]
mod tests;
