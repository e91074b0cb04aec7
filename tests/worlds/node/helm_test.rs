//! `helm test`, by which an admin sees after an installation whether pods get the Secret.

use super::release::Release;
use crate::real::ground::{eventually, run, run_with_input};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn helm_test_proves_injection_or_says_why_there_is_none() {
    let release = Release::with_sessions_of(3_600, &[]).await;
    // The release watches one namespace, and the test takes it.
    let said = run(&mut helm_test(&release));
    assert!(said.contains("Succeeded"), "{said}");
    let test = ["get", "pods,secrets", "-l", "app.kubernetes.io/component=test", "-o", "name"];
    let (_, left) = release.kubectl(&release.install.namespace, &test);
    assert!(!left.contains("injection-test"), "nothing is left behind: {left}");

    let deployment = format!("deployment/{}", release.install.webhook_name());
    let (ok, said) = release.kubectl(&release.install.system, &["scale", &deployment, "--replicas=0"]);
    assert!(ok, "{said}");
    eventually("the webhook's pods have ended", async || match release.webhook_pods().await {
        0 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    let (ok, said) = run_with_input(&mut helm_test(&release), "");
    assert!(!ok && said.contains("failed calling webhook"), "{said}");
}

fn helm_test(release: &Release) -> Command {
    let mut helm = release.install.ground.helm();
    helm.args(["test", "keyturn", "--namespace", &release.install.system, "--timeout=120s"]);
    helm
}
