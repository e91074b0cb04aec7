//! A workload that reads its credential from its environment only. The kubelet fills the
//! environment once, when a container starts.

use super::{loops, release::Release};
use crate::real::ground::within;
use serde_json::{Value, from_value, json};
use std::time::Duration;

/// The lifetime of a session in this test, in seconds. A session is renewed a minute before its
/// expiry. A workload is restarted half a minute after the renewal, in the second half of that
/// minute.
const LIFETIME: i64 = 110;
/// Three keys are two restarts, the second of them after the end of the first session.
const KEYS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn only_a_restarted_workload_outlives_the_session_in_its_variables() {
    let release = Release::with_sessions_of(LIFETIME, &[]).await;
    release.install.may_restart();
    release.install.apply_grant(|_| {}).await;
    let apply = release.install.apply_config("alice", |spec| {
        spec.renew_before = Some("1m".parse().unwrap());
        spec.restart = from_value(json!([{"kind": "Deployment", "name": "restarted"}])).unwrap();
    });
    apply.await;
    release.install.until_ready_is("alice", "True/Issued").await;
    for name in ["restarted", "left-alone"] {
        release.create(&deployment(&release, name));
    }

    let long = Duration::from_secs(240);
    release.until_keys_used("restarted", KEYS, long).await;
    // The first session ends. The workload that was left alone fails, and the restarted one does
    // not.
    release.until_last_call("deployment/left-alone", long, |said| !said.ok).await;
    let calls = release.s3.calls("restarted").len();
    within(long, "the restarted workload lists its bucket again", async || match release.s3.calls("restarted").len() {
        more if more > calls + 1 => Ok(()),
        seen => Err(seen),
    })
    .await;
    let refused = |name: &str| release.s3.calls(name).into_iter().find_map(|call| call.refused);
    assert_eq!(refused("restarted"), None, "{:?}", release.results("deployment/restarted").last());
    assert_eq!(refused("left-alone"), Some("ExpiredToken"));
    assert_eq!(release.s3.keys("left-alone").len(), 1);
    let events = release.install.events("alice").await;
    assert!(events.iter().any(|event| event.starts_with("Restarted: ")), "{events:#?}");
}

/// A Deployment of one pod that lists the bucket of its own name, with variables from alice's
/// Secret.
fn deployment(release: &Release, name: &str) -> Value {
    let pod = release.plain_pod(name, &release.node().images.python, &loops::boto3(name));
    let pod = loops::by_variables(pod);
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod["spec"]});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}
