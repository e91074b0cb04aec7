//! `helm test`, by which an admin sees after an installation whether pods get the Secret, and the
//! ways in which an API server reaches the webhook.

use super::release::{Release, ground};
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn the_webhook_answers_on_the_network_of_its_node_and_at_a_url() {
    if tokio::task::spawn_blocking(ground).await.unwrap().at.adopted.is_some() {
        eprintln!("left out: an adopted cluster may have several nodes, and not these ports");
        return;
    }
    // One replica, because a port of the node is there once.
    let network =
        ["webhook.replicaCount=1", "webhook.hostNetwork=true", "webhook.port=19443", "webhook.adminPort=19080"];
    let release = Release::with_sessions_of(3_600, &network).await;

    // The new pod takes the port of the old one.
    release.upgrade().await.unwrap();
    release.until_available().await;
    release.until_pods_are_injected().await;

    let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    let (ok, address) = release.kubectl("default", &["get", "nodes", "-o", path]);
    assert!(ok && !address.is_empty(), "{address}");
    release.install.set(&format!("webhook.url=https://{address}:19443"));
    release.until_available().await;
    let called = [
        "get",
        "mutatingwebhookconfiguration",
        &release.install.fullname(),
        "-o",
        "jsonpath={.webhooks[*].clientConfig.url}",
    ];
    let (_, urls) = release.kubectl("default", &called);
    assert_eq!(urls.matches(address.as_str()).count(), 3, "{urls}");
    release.until_pods_are_injected().await;
}

fn helm_test(release: &Release) -> Command {
    let mut helm = release.install.ground.helm();
    helm.args(["test", "keyturn", "--namespace", &release.install.system, "--timeout=120s"]);
    helm
}
