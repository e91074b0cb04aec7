//! How Argo CD and Flux read keyturn's objects: a table of objects as the operator left them, with
//! what both show of each.
//!
//! The objects are files in `gitops/`. [`crate::simulated`] plays the histories that end in them,
//! and holds the files to these. [`crate::real`] gives the files to Argo CD's interpreter of Lua
//! with the scripts of `examples/gitops`, and to Flux's kstatus (`tests/cluster/gitops`).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// An object, and how it is read.
pub struct Recorded {
    /// The name of its file, without `.json`.
    pub name: &'static str,
    /// The health in Argo CD.
    pub argo_cd: &'static str,
    /// A part of the message beside it.
    pub message: &'static str,
    /// The status by kstatus.
    pub flux: &'static str,
}

/// A row of the table.
const fn row(name: &'static str, argo_cd: &'static str, message: &'static str, flux: &'static str) -> Recorded {
    Recorded { name, argo_cd, message, flux }
}

const UNSEEN: &str = "keyturn has not seen this spec yet";

/// Every object, by kind.
pub const RECORDED: &[Recorded] = &[
    row("awsconfig-unseen", "Progressing", UNSEEN, "InProgress"),
    row("awsconfig-ready", "Healthy", "Issued: Secret \"alice-aws\" holds", "Current"),
    row("awsconfig-changed", "Progressing", UNSEEN, "InProgress"),
    row("awsconfig-renewal-fails", "Healthy", "RenewalFailing: ", "Current"),
    row("awsconfig-profile-not-granted", "Healthy", "NotGranted: ", "Current"),
    row("awsconfig-expired", "Degraded", "Expired: ", "InProgress"),
    row("awsconfig-role-pending", "Progressing", "RolePending: ", "InProgress"),
    row("awsconfig-not-granted", "Degraded", "NotGranted: no AwsRoleGrant allows", "InProgress"),
    row("awsconfig-invalid", "Degraded", "InvalidSpec: ", "Failed"),
    row("awsconfig-suspended", "Suspended", "Suspended: ", "InProgress"),
    row("awsconfig-being-deleted", "Progressing", "Pending deletion", "Terminating"),
    row("awsrole-unseen", "Progressing", UNSEEN, "InProgress"),
    row("awsrole-active", "Healthy", "Granted: ", "Current"),
    row("awsrole-inactive", "Healthy", "Granted: ", "Current"),
    row("awsrole-not-granted", "Degraded", "NotGranted: ", "InProgress"),
    row("awsrole-without-config", "Progressing", "Pending: there is no AwsConfig", "InProgress"),
    row("awsrole-invalid", "Degraded", "InvalidSpec: ", "Failed"),
    row("awsrolegrant-unseen", "Progressing", UNSEEN, "InProgress"),
    row("awsrolegrant-in-order", "Healthy", "Granted: the grant is in order", "Current"),
    row("awsrolegrant-invalid", "Degraded", "InvalidSpec: ", "Failed"),
    row("dssinstance-unseen", "Progressing", UNSEEN, "InProgress"),
    row("dssinstance-ready", "Healthy", "Granted: DSS answers", "Current"),
    row("dssinstance-unreachable", "Degraded", "DssUnreachable: ", "InProgress"),
    row("dssinstance-denied", "Degraded", "DssDenied: ", "InProgress"),
    row("dssinstance-invalid", "Degraded", "InvalidSpec: ", "Failed"),
    row("dssinstance-being-deleted", "Progressing", "Pending deletion", "Terminating"),
    row("datarobotinstance-unseen", "Progressing", UNSEEN, "InProgress"),
    row("datarobotinstance-ready", "Healthy", "Granted: DataRobot answers", "Current"),
    row("datarobotinstance-denied", "Degraded", "DataRobotDenied: ", "InProgress"),
];

impl Recorded {
    /// The file.
    pub fn path(&self) -> PathBuf {
        folder().join(self.name).with_extension("json")
    }
}

/// The folder of the files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/worlds/gitops")
}

#[test]
fn the_scripts_for_argo_cd_are_the_same_for_every_kind() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops/argocd-cm.yaml")).unwrap();
    let keys = text.split("\n  resource.customizations.health.keyturn.dev_").skip(1);
    let scripts: Vec<(&str, &str)> = keys.map(|entry| entry.split_once(": |\n").unwrap()).collect();
    let kinds: BTreeSet<&str> = scripts.iter().map(|(kind, _)| *kind).collect();
    let wanted: Vec<String> = keyturn::api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, wanted.iter().map(String::as_str).collect::<BTreeSet<_>>());
    let first = scripts[0].1.trim_end();
    assert!(scripts.iter().all(|(_, script)| script.trim_end() == first), "the scripts differ");
}
