//! The doctor, and grants that are written, on the real control plane.

use super::{Install, Plugin, WRITERS, operator_with_alice};
use crate::real::ground::{eventually, run_with_input};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_doctor_says_what_it_may_see_and_what_is_wrong() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let plugin = Plugin::of(&install);

    // The chart's Deployment has no pods here, and other tests have objects of their own.
    let (_, out, err) = plugin.says(None, &[], &["doctor"]);
    for part in ["+ custom resources: all are served", "operator: ", "AwsConfigs: ", "grants: "] {
        assert!(out.contains(part), "{part}: {out}{err}");
    }
    let (ended, out, err) = plugin.says(Some("alice"), &[WRITERS], &["doctor"]);
    for part in [
        "? operator: you may not list Deployments",
        "+ AwsConfigs: 1 in namespace",
        "? grants: you may not list AwsRoleGrants",
        "? orphans: you may not list Secrets",
    ] {
        assert!(out.contains(part), "{part}: {out}{err}");
    }
    assert_eq!(ended, Some(0), "{out}");
    let (ended, out, err) = plugin.says(None, &[], &["version"]);
    assert!(ended == Some(0) && out.starts_with("kubectl keyturn "), "{out}{err}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_grant_that_the_plugin_writes_allows_what_it_says() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    install.apply_config("alice", |spec| spec.role = Some(install.role("ds-analyst"))).await;
    install.until_ready_is("alice", "False/NotGranted").await;
    let plugin = Plugin::of(&install);

    let name = format!("written-{}", install.account);
    let role = install.role("ds-*");
    let written = ["grant", &name, "--role", &role, "--person", "alice", "--max-duration", "4h", "--diff"];
    let (ended, out, err) = plugin.says(None, &[], &written);
    let config = format!("AwsConfig {}/alice (alice): {}", install.namespace, install.role("ds-analyst"));
    assert!(ended == Some(0) && out.contains(&format!("# It newly allows {config}")), "{out}{err}");
    assert!(out.contains(&format!("would withdraw {config}")), "{out}");
    let (applied, said) = run_with_input(install.ground.kubectl().args(["apply", "-f", "-"]), &out);
    assert!(applied, "{said}");
    install.until_ready_is("alice", "True/Issued").await;

    let wrong = ["grant", &name, "--role", &role, "--person", "alice", "--max-duration", "13h"];
    let (ended, out, err) = plugin.says(None, &[], &wrong);
    let part = "the API server does not take the grant";
    assert!(ended == Some(1) && out.is_empty() && err.contains(part) && err.contains("maxDuration"), "{ended:?} {err}");
    let (ended, out, _) = plugin.says(Some("alice"), &[], &["grant", &name, "--role", &role, "--person", "alice"]);
    assert!(ended == Some(0) && out.contains("# You may not write AwsRoleGrants"), "{out}");
    install.grants().delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
    eventually("the grant is gone", async || {
        let left = install.grants().get_opt(&name).await.unwrap();
        if left.is_none() { Ok(()) } else { Err(left) }
    })
    .await;
    operator.stop().await;
}
