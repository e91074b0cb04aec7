//! Running pods during trouble: a stopped operator, a withdrawn grant, a deleted pod of the
//! operator.

use super::{loops, release::Release};
use crate::real::{ground::eventually, install::Install};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

/// The lifetime of a session in these tests, in seconds.
const LIFETIME: i64 = 40;
const SOON: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn a_running_pod_loses_a_withdrawn_credential_and_takes_no_other() {
    let release = Release::with_sessions_of(LIFETIME, &[]).await;
    let install = &release.install;
    alice_runs(&release).await;

    suspend(install, true).await;
    let said = release.until_last_call("app", SOON, |result| !result.ok).await;
    assert!(said.error.contains("WITHDRAWN by keyturn: Suspended"), "{}", said.error);
    let (_, fresh) = release.kubectl(&install.namespace, &["exec", "app", "--", "aws", "s3", "ls", "s3://app"]);
    assert!(fresh.contains("WITHDRAWN by keyturn: Suspended"), "{fresh}");
    suspend(install, false).await;
    release.until_last_call("app", SOON, |result| result.ok).await;

    install.grants().delete(&install.namespace, &kube::api::DeleteParams::default()).await.unwrap();
    let said = release.until_last_call("app", SOON, |result| !result.ok).await;
    assert!(said.error.contains("WITHDRAWN by keyturn: NotGranted"), "{}", said.error);
    install.apply_grant(|_| {}).await;
    release.until_last_call("app", SOON, |result| result.ok).await;

    install.apply_grant(|spec| spec.persons = vec!["alice".to_owned()]).await;
    becomes(install, "mallory").await;
    let said = release.until_last_call("app", SOON, |result| !result.ok).await;
    assert!(said.error.contains("WITHDRAWN by keyturn: NotGranted"), "{}", said.error);
    becomes(install, "alice").await;
    release.until_last_call("app", SOON, |result| result.ok).await;

    // In a cluster that was adopted the node offers no role.
    let node_s = release.node().metadata.as_ref().map(|metadata| &metadata.access_key_id);
    let fell_back = release.s3.calls("app").into_iter().find(|call| Some(&call.access_key_id) == node_s);
    assert_eq!(fell_back, None, "the node's own role was there for the taking");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn pods_outlive_a_stopped_operator_for_one_session_and_recover() {
    let release = Release::with_sessions_of(LIFETIME, &[]).await;
    alice_runs(&release).await;
    let scale = |replicas: &str| {
        let deployment = format!("deployment/{}", release.install.fullname());
        let (ok, said) = release.kubectl(&release.install.system, &["scale", &deployment, replicas]);
        assert!(ok, "{said}");
    };
    scale("--replicas=0");
    let used = release.s3.keys("app").len();
    let said = release.until_last_call("app", SOON, |result| !result.ok).await;
    assert!(said.error.contains("expired"), "it worked until its session ended: {}", said.error);
    assert!(release.s3.keys("app").len() <= used + 1);
    scale("--replicas=2");
    release.until_last_call("app", SOON, |result| result.ok).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn an_upgrade_and_a_killed_leader_miss_no_pod_and_cost_no_session() {
    let release = Release::with_sessions_of(3_600, &[]).await;
    let install = &release.install;
    alice_runs(&release).await;
    assert_eq!(release.sts.count(), 1);

    let first = release.leader().await;
    let upgrading = release.upgrade();
    let mut probes = 0;
    while !upgrading.is_finished() {
        let said = release.probe();
        assert!(said.contains("AWS_CONFIG_FILE"), "a pod was missed: {said}");
        probes += 1;
    }
    upgrading.await.unwrap();
    assert!(probes > 3, "{probes} pods during the upgrade");
    release.until_available().await;
    let second = release.leader().await;
    assert_ne!(first, second);

    let (ok, said) = release.kubectl(&install.system, &["delete", "pod", &second, "--grace-period=0", "--force"]);
    assert!(ok, "{said}");
    eventually("another leads", async || {
        let leader = release.leader().await;
        if leader == second { Err(leader) } else { Ok(()) }
    })
    .await;
    install.apply_config("bob", |_| {}).await;
    install.until_ready_is("bob", "True/Issued").await;
    assert_eq!(release.sts.count(), 2, "alice's session is still the first");
}

/// Gives alice a credential and starts a pod `app` that uses it.
async fn alice_runs(release: &Release) {
    release.install.apply_grant(|_| {}).await;
    release.install.apply_config("alice", |_| {}).await;
    release.install.until_ready_is("alice", "True/Issued").await;
    release.create(&release.pod("app", &release.node().images.python, &loops::boto3("app")));
    release.until_keys_used("app", 1, SOON).await;
}

async fn suspend(install: &Install<'_>, suspend: bool) {
    edit(install, &json!({"suspend": suspend})).await;
}

async fn becomes(install: &Install<'_>, person: &str) {
    edit(install, &json!({"person": person})).await;
}

async fn edit(install: &Install<'_>, spec: &Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    install.configs().patch("alice", &PatchParams::default(), &patch).await.unwrap();
}
