//! Upgrades: the CRDs change, and every object stays as it was.

use super::{
    ground::{Ground, eventually, run, within},
    install::Install,
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;
use std::{fs, path::Path, time::Duration};

/// The chart with the CRDs of a former release, in a temporary folder.
fn chart_with_former_definitions() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let chart = dir.path().join("keyturn");
    copy(&root.join("charts/keyturn"), &chart);
    // The kinds of later releases are installed from the beginning, because an operator does not
    // start without its kinds.
    copy(&root.join("tests/worlds/real/former-crds"), &chart.join("files/crds"));
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_upgrade_of_the_crds_keeps_every_object_and_session() {
    let ground = Ground::without_definitions();
    let former = chart_with_former_definitions();
    let definitions = |verb: &str, chart: &Path| {
        let mut helm = ground.helm();
        helm.args([verb, "definitions"]).arg(chart).args(["--namespace", "definitions", "--create-namespace"]);
        run(helm.args(["--set", "clusterName=x,aws.region=eu-west-1,fullnameOverride=definitions,crds.install=true"]));
    };
    definitions("install", &former.path().join("keyturn"));
    let install = Install::cluster_wide(&ground).await;
    // Objects as an older client would write them, without the fields of later releases.
    let (name, namespace) = (&install.namespace, &install.namespace);
    let objects = [
        json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRoleGrant", "metadata": {"name": name},
            "spec": {"roles": [install.role("ds-*")], "namespaces": {"names": [namespace]}, "persons": ["*"]}}),
        json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "metadata": {"name": "alice", "namespace": namespace},
            "spec": {"person": "alice", "role": install.role("ds-analyst"), "session": {"duration": "1h"}}}),
    ];
    for object in &objects {
        let (ok, said) =
            super::ground::run_with_input(ground.kubectl().args(["apply", "-f", "-"]), &object.to_string());
        assert!(ok, "{said}");
    }
    let operator = install.start().await;
    let before = install.until_ready_is("alice", "True/Issued").await;
    let issued = install.record("alice").await.unwrap();
    let role = install.until_its_role().await;
    assert!(operator.stop().await.success());

    definitions("upgrade", Path::new("charts/keyturn"));
    let operator = install.start().await;
    install.apply_config("witness", |spec| spec.role = None).await;
    install.until_ready_is("witness", "False/RolePending").await;
    let after = install.until_ready_is("alice", "True/Issued").await;
    assert_eq!((after.uid(), &after.spec.person), (before.uid(), &before.spec.person));
    assert_eq!(install.roles().get(&role.name_any()).await.unwrap().uid(), role.uid());
    assert_eq!(install.record("alice").await.unwrap(), issued, "the same session");
    let tagged = |spec: &mut keyturn::api::AwsConfigSpec| spec.extra_buckets = ["new-bucket"].into_iter().collect();
    install.apply_config("alice", tagged).await;
    install.until_ready_is("alice", "True/Issued").await;

    run(ground.helm().args(["uninstall", "definitions", "--namespace", "definitions"]));
    assert_eq!(
        install.configs().get("alice").await.unwrap().uid(),
        before.uid(),
        "without the chart they are kept, too"
    );
    assert!(install.record("alice").await.is_some(), "and so are their Secrets");
    assert!(operator.stop().await.success());

    // With crds.keep=false everything is deleted.
    until_the_garbage_collector_watches(&install).await;
    let mut helm = ground.helm();
    helm.args(["install", "definitions", "charts/keyturn", "--namespace", "definitions", "--take-ownership"]);
    helm.args(["--set", "clusterName=x,aws.region=eu-west-1,fullnameOverride=definitions,crds.keep=false"]);
    run(&mut helm);
    run(ground.helm().args(["uninstall", "definitions", "--namespace", "definitions"]));
    eventually("the Secret went with its AwsConfig", async || {
        if install.secret("alice").await.is_none() { Ok(()) } else { Err("it is there") }
    })
    .await;
}

/// Waits until the garbage collector watches `AwsConfig`s. The garbage collector reads the list of
/// kinds every 30 s. If a CRD is deleted before that, it never sees the objects go, and leaves what
/// they owned. Only the CRDs of a test are that young. The garbage collector also ends deletions in
/// the foreground, and does so only for objects that it watches.
async fn until_the_garbage_collector_watches(install: &Install<'_>) {
    install.configs().delete("witness", &DeleteParams::foreground()).await.unwrap();
    within(Duration::from_secs(100), "the garbage collector watches AwsConfigs", async || {
        match install.configs().get_opt("witness").await.unwrap() {
            None => Ok(()),
            Some(left) => Err(format!("\"witness\" waits for {:?}", left.finalizers())),
        }
    })
    .await;
}
