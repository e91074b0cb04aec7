//! The additions to one container: the mount, and the variables that are not set yet. Pure.

use super::{
    choose::Wanted,
    endpoint::Endpoint,
    pod_view::Container,
    variables::{elsewhere, leading, missing, replaced},
};
use crate::api::names::{ENDPOINT_PATH, MOUNT_PATH};
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, SecretKeySelector, VolumeMount};

/// The variables that the kubelet takes from the Secret when the container starts. Only those that
/// the Secret may hold are added, because each one costs the API server time before the pod exists.
///
/// If the author sets one variable of a group, keyturn adds none of that group. Tools that disagree
/// about the region are worse than no region, and an API key must not go to another DSS.
const FROM_SECRET: [&[&str]; 4] = [
    &["AWS_REGION", "AWS_DEFAULT_REGION"],
    &["AWS_DEFAULT_BUCKET"],
    &["AWS_EXTRA_BUCKETS"],
    &["DKU_DSS_URL", "DKU_API_KEY", "DKU_CURRENT_PROJECT_KEY"],
];

/// The additions to a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Addition {
    /// Whether the container has the Secret with these additions, either from keyturn or from its
    /// author.
    pub given: bool,
    pub mounts: Vec<VolumeMount>,
    pub env: Vec<EnvVar>,
    /// The places of variables of Amazon's webhooks, and the values that replace theirs.
    pub replaced: Vec<(usize, String)>,
    pub warnings: Vec<String>,
}

/// Returns the additions to a container that gets the Secret in this volume, and that asks this
/// endpoint if there is one.
pub(super) fn addition(container: &Container, wanted: &Wanted, volume: &str, endpoint: Option<&Endpoint>) -> Addition {
    let places = [(MOUNT_PATH, volume)].into_iter();
    let places = places.chain(endpoint.map(|endpoint| (ENDPOINT_PATH, endpoint.volume.as_str())));
    let mut mounts = Vec::new();
    for (path, volume) in places {
        let mounted = container.mounts().iter().find(|mount| is_at_or_below(&mount.mount_path, path));
        let ours = |mount: &VolumeMount| {
            let whole = mount.sub_path.is_none() && mount.sub_path_expr.is_none();
            mount.name == volume && whole && normal(&mount.mount_path) == normal(path)
        };
        match mounted {
            None => mounts.push(VolumeMount {
                name: volume.to_owned(),
                mount_path: path.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            }),
            Some(mount) if ours(mount) => {}
            Some(other) => {
                let warning = format!(
                    "container \"{}\" mounts something else at {}: it gets nothing of AwsConfig \"{}\"",
                    container.name, other.mount_path, wanted.config
                );
                return Addition { warnings: vec![warning], ..Addition::default() };
            }
        }
    }
    let leading = if wanted.files { leading(endpoint) } else { vec![] };
    let warnings = own_way(container, wanted, &leading).into_iter().chain(unseen(container, wanted)).collect();
    let replaced = replaced(container.env(), &leading);
    Addition { given: true, mounts, env: variables(container.env(), wanted, &leading), replaced, warnings }
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
    let names = elsewhere(container.env(), leading);
    (!names.is_empty()).then(|| {
        format!(
            "container \"{}\" sets {} itself: SDKs follow that and may not use AwsConfig \"{}\"",
            container.name,
            names.join(", "),
            wanted.config
        )
    })
}

/// The warning about `envFrom`. keyturn does not read the objects that it names. Kubernetes prefers
/// `env` to `envFrom`, therefore the injected variables win.
fn unseen(container: &Container, wanted: &Wanted) -> Option<String> {
    let (name, env_from, config) = (&container.name, container.env_from(), &wanted.config);
    let is_the_secret = |from: &EnvFromSource| {
        from.secret_ref.as_ref().is_some_and(|of| of.name == wanted.secret)
            && from.prefix.as_deref().unwrap_or_default().is_empty()
    };
    if wanted.files && env_from.iter().any(is_the_secret) {
        return Some(format!(
            "container \"{name}\" has the whole Secret \"{}\" by envFrom: SDKs prefer the keys in it, which are never read again, to the \
             file of AwsConfig \"{config}\"",
            wanted.secret
        ));
    }
    (!env_from.is_empty()).then(|| {
        format!(
            "container \"{name}\" has envFrom, which is not looked into: variables of AwsConfig \"{config}\" replace those of the same \
             name, and keys of AWS in it would win over its credential"
        )
    })
}

fn literal(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn from_secret(name: &str, secret: &str) -> EnvVar {
    let key = SecretKeySelector { name: secret.to_owned(), key: name.to_owned(), optional: Some(true) };
    let source = EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// Whether the author's mount would hide keyturn's mount or lie inside it. In most images
/// `/var/run` is a link to `/run`.
fn is_at_or_below(path: &str, ours: &str) -> bool {
    let (path, ours) = (normal(path), normal(ours));
    path.strip_prefix(&ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || path.strip_prefix(&ours.replacen("/var", "", 1)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path without doubled slashes, trailing slashes and `.` segments.
pub(super) fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.fold(String::new(), |path, part| path + "/" + part)
}

#[cfg(test)]
mod tests;
