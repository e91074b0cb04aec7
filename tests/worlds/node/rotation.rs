//! The purpose of keyturn: a pod runs across renewals and never sees an expired credential. The
//! test also records how each SDK behaves.

use super::{
    loops::{self, CallResult},
    release::Release,
};
use serde_json::json;
use std::time::Duration;

/// The lifetime of a session in this test, in seconds. It is long enough for a pod to start before
/// the session in its variables ends. The kubelet syncs every two seconds.
const LIFETIME: i64 = 40;
/// Six keys are five rotations.
const KEYS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn pods_run_across_five_renewals_and_an_upgrade_as_the_docs_say() {
    let release = Release::with_sessions_of(LIFETIME, &[]).await;
    release.install.apply_grant(|_| {}).await;
    release.install.apply_config("alice", |_| {}).await;
    release.install.until_ready_is("alice", "True/Issued").await;

    let images = &release.node().images;
    release.create(&release.pod("boto3", &images.python, &loops::boto3("boto3")));
    release.create(&release.pod("cli", &images.python, &loops::cli("cli")));
    release.create(&release.pod("sdk-go", &images.python, &loops::go("sdk-go")));
    release.create(&release.pod("go-no-shell", &images.sdk_go, &loops::go("go-no-shell")));
    release.create(&release.pod("no-cat", &images.python_only, &loops::boto3("no-cat")));
    let mut keys_file = release.pod("keys-file", &images.python_only, &loops::boto3("keys-file"));
    let at = json!({"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/var/run/secrets/keyturn/credentials"});
    keys_file["spec"]["containers"][0]["env"].as_array_mut().unwrap().push(at);
    release.create(&keys_file);
    release.create(&loops::by_variables(release.plain_pod("variables", &images.python, &loops::boto3("variables"))));

    // Renewals go on while every replica of the operator is replaced.
    let long = Duration::from_secs(400);
    release.until_keys_used("boto3", 2, long).await;
    release.upgrade().await.unwrap();
    for pod in ["boto3", "cli", "sdk-go"] {
        release.until_keys_used(pod, KEYS, long).await;
    }
    let rows = [
        ("boto3 (Python), one client", "`sh`, `cat`", "boto3"),
        ("AWS CLI, a process for each call", "`sh`, `cat`", "cli"),
        ("AWS SDK for Go v2, one client", "`sh`, `cat`", "sdk-go"),
        ("AWS SDK for Go v2, one client", "`cat`, no `sh`", "go-no-shell"),
        ("boto3, one client", "neither", "no-cat"),
        ("boto3, one client, `AWS_SHARED_CREDENTIALS_FILE`", "any", "keys-file"),
        ("boto3, one client, variables from the Secret", "any", "variables"),
    ];
    let row = |(sdk, image, pod)| format!("| {sdk} | {image} | {} |", summary(&release.results(pod)));
    let table = rows.map(row).join("\n");
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pods.md")).unwrap();
    assert!(
        docs.contains(&table),
        "docs/pods.md says something else than was seen:\n{table}\n{}",
        release.operator_log()
    );
    for pod in ["boto3", "cli", "sdk-go"] {
        let refused = release.s3.calls(pod).into_iter().find(|call| call.refused.is_some());
        assert_eq!(refused, None, "{pod}");
    }
}

/// The behaviour of a workload over all renewals, in the words of docs/pods.md.
fn summary(results: &[CallResult]) -> String {
    let Some(first) = results.iter().find(|result| !result.ok) else {
        return "follows every renewal: no call failed".to_owned();
    };
    let code = [
        "ExpiredToken",
        "CredentialRetrievalError",
        "executable file not found",
        "FileNotFoundError",
        "NoCredentialsError",
    ];
    let code = code.into_iter().find(|code| first.error.contains(code)).unwrap_or(&first.error);
    let (well, after) = results.split_at(results.iter().position(|result| !result.ok).unwrap_or_default());
    assert!(after.iter().all(|result| !result.ok), "it works, and does not, and works: {results:?}");
    match well {
        // AWS knows an expired session, so the program had one. On a busy machine a session of 40 s
        // may end before the first call.
        [] if code != "ExpiredToken" => format!("gets no credential, and takes no other: `{code}`"),
        _ => format!("works until the session that it started with ends: `{code}`"),
    }
}
