//! Pods whose SDKs ask the endpoint that keyturn adds to them: images without `cat` and `sh` follow
//! renewals, learn of a withdrawal, and a Job with the endpoint ends.

use super::{loops, release::Release};
use crate::real::ground::within;
use serde_json::{Value, json};
use std::time::Duration;

/// The lifetime of a session in this test, in seconds. The kubelet syncs every two seconds.
const LIFETIME: i64 = 40;
/// Six keys are five renewals.
const KEYS: usize = 6;
/// Prints the provider that boto3 takes its credential from.
const ONCE: &str = "import boto3; print(boto3.Session().get_credentials().method)";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn pods_with_an_endpoint_follow_renewals_and_a_withdrawal_and_jobs_end() {
    let release = Release::with_sessions_of(LIFETIME, &[]).await;
    release.install.apply_grant(|_| {}).await;
    release.install.apply_config("alice", |_| {}).await;
    release.install.until_ready_is("alice", "True/Issued").await;

    let images = &release.node().images;
    // Neither image has a shell; the first has no `cat` either.
    release.create(&asking(release.pod("no-cat", &images.python_only, &loops::boto3("no-cat"))));
    release.create(&asking(release.pod("static", &images.sdk_go, &loops::go("static"))));
    release.create(&job(&release));

    let long = Duration::from_secs(400);
    for pod in ["no-cat", "static"] {
        release.until_keys_used(pod, KEYS, long).await;
        let refused = release.s3.calls(pod).into_iter().find(|call| call.refused.is_some());
        assert_eq!(refused, None, "{pod}");
    }
    within(long, "the Job ends although its endpoint went on running", async || {
        let succeeded = ["get", "job", "once", "-o", "jsonpath={.status.succeeded}"];
        match release.kubectl(&release.install.namespace, &succeeded) {
            (true, said) if said.trim() == "1" => Ok(()),
            (_, said) => Err(said),
        }
    })
    .await;
    let (_, said) = release.kubectl(&release.install.namespace, &["logs", "job/once", "-c", "app"]);
    assert_eq!(said.trim(), "container-role", "the provider by its name in botocore");

    release.install.apply_config("alice", |spec| spec.suspend = true).await;
    for pod in ["no-cat", "static"] {
        release
            .until_last_call(pod, long, |said| !said.ok && said.error.contains("WITHDRAWN by keyturn: Suspended"))
            .await;
    }
}

/// The same pod, which asks for an endpoint.
fn asking(mut pod: Value) -> Value {
    pod["metadata"]["annotations"]["keyturn.dev/delivery"] = json!("endpoint");
    pod
}

/// A Job that ends once it has taken its credential from the endpoint.
fn job(release: &Release) -> Value {
    let command = ["python3", "-c", ONCE];
    let mut template = asking(release.pod("once", &release.node().images.python_only, &command));
    template["spec"]["restartPolicy"] = json!("Never");
    let template = json!({"metadata": template["metadata"], "spec": template["spec"]});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {
        "backoffLimit": 0, "template": template,
    }})
}
