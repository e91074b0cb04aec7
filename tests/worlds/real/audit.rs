//! The query of the documentation about the author of a call joins keyturn's audit line, the audit
//! log of the API server and CloudTrail.

use super::{
    ground::{eventually, run},
    install::Install,
    people::operator_with_alice,
};
use serde_json::json;
use std::{fs, path::Path, process::Command};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_query_finds_the_user_who_wrote_the_spec_of_a_call() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let role = install.role("ds-analyst");

    let folder = tempfile::tempdir().unwrap();
    // The AWS stand-in has no CloudTrail. The fields are those of "CloudTrail record contents" in
    // the AWS CloudTrail User Guide.
    let key = install.values("alice").await["AWS_ACCESS_KEY_ID"].clone();
    let call = |key: &str| {
        json!({"eventTime": "2026-01-01T00:00:00Z", "eventName": "ListObjects", "eventSource": "s3.amazonaws.com",
               "userIdentity": {"type": "AssumedRole", "accessKeyId": key}})
    };
    let trail = json!({"Records": [call(&key), call("ASIAOFSOMEBODYELSE00")]});
    let (keyturn, cloudtrail) = (folder.path().join("keyturn.log"), folder.path().join("cloudtrail.json"));
    fs::write(&keyturn, operator.log()).unwrap();
    fs::write(&cloudtrail, trail.to_string()).unwrap();

    let query = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/audit/who.jq");
    let wanted = ["2026-01-01T00:00:00Z", "ListObjects", &role, "alice", "alice", &install.namespace].join("\t");
    eventually("the query names the user", async || {
        let mut jq = Command::new("jq");
        jq.args(["--null-input", "--raw-output", "--rawfile", "keyturn"]).arg(&keyturn);
        jq.args(["--rawfile", "apiserver"]).arg(install.ground.audit_log());
        jq.args(["--slurpfile", "cloudtrail"]).arg(&cloudtrail).arg("--from-file").arg(&query);
        let said = run(&mut jq);
        if said.trim() == wanted { Ok(()) } else { Err(said) }
    })
    .await;
    operator.stop().await;
}
