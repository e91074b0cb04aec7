//! The variables that lead SDKs to the person's credential and to no other. Pure.

use super::endpoint::Endpoint;
use crate::api::names::{ENDPOINT_PATH, MOUNT_PATH};
use k8s_openapi::api::core::v1::EnvVar;

pub(super) const CONFIG_FILE: &str = "AWS_CONFIG_FILE";
const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const CREDENTIALS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
const NO_METADATA: &str = "AWS_EC2_METADATA_DISABLED";
const LOAD_CONFIG: &str = "AWS_SDK_LOAD_CONFIG";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// An address at which nobody listens. With the files, SDKs that prefer the credential of a
/// container fail there and go on to the file. SDKs that know no `credential_process` end there
/// with an error, and do not find the identity of the pod or of the node. By its source, Amazon's
/// webhook leaves a container alone that has any address.
const NOBODY: &str = "http://127.0.0.1:1/keyturn-delivers-files";

/// The same for a container that cannot have the Secret. SDKs that quote the address say why.
const NO_SECRET: &str = "http://127.0.0.1:1/keyturn-could-not-mount-the-secret";

/// An empty file. `object_store` of Rust asks these addresses only if it has a token file, too.
/// Otherwise it asks the node, whatever `AWS_EC2_METADATA_DISABLED` says (`AmazonS3Builder::build`
/// in src/aws/builder.rs). The file has to exist, because the SDK for JavaScript v2 otherwise ends
/// its process.
const EMPTY: &str = "/dev/null";
/// An empty file for a program at a workstation.
const EMPTY_HERE: &str = if cfg!(windows) { "NUL" } else { EMPTY };

/// The variables by which an author points SDKs to another credential than keyturn's ("Standardized
/// credential providers" in the AWS SDKs and Tools Reference Guide).
const LEAD_ELSEWHERE: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    CREDENTIALS_FILE,
    "AWS_CREDENTIAL_FILE",
    CONFIG_FILE,
    WEB_IDENTITY,
    FULL_URI,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    TOKEN_FILE,
];

/// The variables by which an author chooses a profile.
const PROFILE: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// The variables with a key. All clients prefer them to every other credential.
pub(super) const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The beginnings of the values that Amazon's webhooks give these variables: Pod Identity by its
/// address on the node (pkg/config and `pkg/handler/handler.go` of
/// aws/amazon-eks-pod-identity-webhook), and IAM roles for service accounts. They are not the
/// author's.
const AMAZONS: [(&str, &str); 4] = [
    (FULL_URI, "http://169.254.170.23/"),
    (FULL_URI, "http://[fd00:ec2::23]/"),
    (TOKEN_FILE, "/var/run/secrets/pods.eks.amazonaws.com/"),
    (WEB_IDENTITY, "/var/run/secrets/eks.amazonaws.com/"),
];

/// The variables with their values, for files or for an endpoint.
///
/// * An empty web identity: SDKs prefer the token of IAM roles for service accounts to
///   `credential_process` and to the endpoint.
/// * No metadata: SDKs do not go on to the identity of the node after an error.
/// * An empty credentials file: the keys in a home folder would win over `credential_process`.
/// * `AWS_SDK_LOAD_CONFIG`: the SDK for JavaScript v2 and that for Go v1 otherwise do not read
///   `AWS_CONFIG_FILE`. JavaScript v2 then reads the keys in a home folder, too, because it reads
///   `AWS_SHARED_CREDENTIALS_FILE` only with this variable (`getProfilesFromSharedConfig` in
///   lib/util.js of aws-sdk-js).
pub(super) fn leading(endpoint: Option<&Endpoint>) -> Vec<(&'static str, String)> {
    let mut all = vec![(WEB_IDENTITY, String::new()), (NO_METADATA, "true".to_owned()), (LOAD_CONFIG, "1".to_owned())];
    match endpoint {
        Some(endpoint) => all.extend([
            (CONFIG_FILE, format!("{ENDPOINT_PATH}/config")),
            (CREDENTIALS_FILE, format!("{ENDPOINT_PATH}/credentials")),
            (FULL_URI, format!("http://127.0.0.1:{}/v1/credentials", endpoint.port)),
            (TOKEN_FILE, format!("{ENDPOINT_PATH}/token")),
        ]),
        None => all.extend([
            (CONFIG_FILE, format!("{MOUNT_PATH}/config")),
            (CREDENTIALS_FILE, EMPTY.to_owned()),
            (FULL_URI, NOBODY.to_owned()),
            (TOKEN_FILE, EMPTY.to_owned()),
        ]),
    }
    all
}

/// The environment of a process outside a pod whose credential comes from an endpoint on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfProcess {
    /// The variables that the process must not inherit.
    pub removed: Vec<&'static str>,
    /// The variables with their values.
    pub set: Vec<(&'static str, String)>,
}

/// The environment of a process whose credential comes from the endpoint at `url`, with this token.
/// As in a pod, no SDK finds another identity: neither a key or a profile of the user's, nor the
/// token of a pod, nor the node. The token is in a variable, because nothing is written to a file.
#[must_use]
pub fn of_process(url: &str, token: &str) -> OfProcess {
    let others = ["AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"];
    let removed = LEAD_ELSEWHERE.into_iter().chain(KEYS).chain(others).collect();
    let set = vec![
        (NO_METADATA, "true".to_owned()),
        (LOAD_CONFIG, "1".to_owned()),
        (CONFIG_FILE, EMPTY_HERE.to_owned()),
        (CREDENTIALS_FILE, EMPTY_HERE.to_owned()),
        (FULL_URI, url.to_owned()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.to_owned()),
    ];
    OfProcess { removed, set }
}

/// The variables with their values for a container that cannot have the Secret: SDKs fail there,
/// and do not take the identity of the pod, of the node or of the image for the person's. The file
/// of the config is empty, because the container may have files of another person at the usual
/// path.
pub(super) fn nowhere() -> Vec<(&'static str, String)> {
    let mut all = leading(None);
    for (name, value) in &mut all {
        match *name {
            CONFIG_FILE => EMPTY.clone_into(value),
            FULL_URI => NO_SECRET.clone_into(value),
            _ => {}
        }
    }
    all
}

/// Empty variables in the place of keys that `envFrom` may bring, because Kubernetes prefers `env`
/// to `envFrom`. SDKs read an empty key as none, and `object_store` of Rust fails with it. If the
/// author names a key in `env`, there are none.
pub(super) fn no_keys(set: &[EnvVar]) -> Vec<(&'static str, String)> {
    let is_key = |variable: &EnvVar| {
        let is_empty = variable.value_from.is_none() && variable.value.as_deref().unwrap_or_default().is_empty();
        KEYS.contains(&variable.name.as_str()) && !is_empty
    };
    if set.iter().any(is_key) { vec![] } else { KEYS.map(|name| (name, String::new())).into() }
}

/// Whether Amazon's webhook wrote the variable, and not the pod's author.
fn is_amazons(variable: &EnvVar) -> bool {
    let value = variable.value.as_deref().unwrap_or_default();
    AMAZONS.iter().any(|(name, start)| variable.name == *name && value.starts_with(start))
}

/// The variables of `leading` that a container with these variables lacks.
pub(super) fn missing(set: &[EnvVar], leading: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let is_set = |name: &str| set.iter().any(|variable| variable.name == name);
    // The token of the pod's endpoint goes to no other address.
    let other_address = set.iter().any(|variable| {
        [FULL_URI, TOKEN_FILE].contains(&variable.name.as_str())
            && !is_amazons(variable)
            && !leading.iter().any(|(name, value)| is_equal(variable, name, value))
    });
    let is_kept_out = |name: &str| is_set(name) || (other_address && [FULL_URI, TOKEN_FILE].contains(&name));
    leading.iter().filter(|(name, _)| !is_kept_out(name)).cloned().collect()
}

/// The variables of Amazon's webhooks that get another value: their places, and the values.
pub(super) fn replaced(set: &[EnvVar], leading: &[(&'static str, String)]) -> Vec<(usize, String)> {
    let value = |name: &str| leading.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
    let amazons = set.iter().enumerate().filter(|(_, variable)| is_amazons(variable));
    amazons.filter_map(|(at, variable)| Some((at, value(&variable.name)?))).collect()
}

fn is_equal(variable: &EnvVar, name: &str, value: &str) -> bool {
    let set = variable.value.as_deref().unwrap_or_default();
    let is_same = set == value || (name == CONFIG_FILE && super::container::normal(set) == value);
    variable.name == name && variable.value_from.is_none() && is_same
}

/// The names of the author's variables that lead SDKs to another credential. The profiles of the
/// `AwsConfig` are none.
pub(super) fn elsewhere<'a>(
    set: &'a [EnvVar],
    leading: &[(&'static str, String)],
    profiles: &[String],
) -> Vec<&'a str> {
    let names_ours = |variable: &EnvVar| {
        let is_ours = variable.value.as_ref().is_some_and(|value| profiles.contains(value));
        PROFILE.contains(&variable.name.as_str()) && is_ours
    };
    let ours = |variable: &EnvVar| leading.iter().any(|(name, value)| is_equal(variable, name, value));
    let leads = |variable: &&EnvVar| {
        LEAD_ELSEWHERE.contains(&variable.name.as_str())
            && !is_amazons(variable)
            && !ours(variable)
            && !names_ours(variable)
    };
    set.iter().filter(leads).map(|variable| variable.name.as_str()).collect()
}
