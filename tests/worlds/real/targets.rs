//! The name and the metadata of the Secret that an `AwsConfig` may ask for: the chart's admission
//! policy, as the API server enforces it.

use super::{
    ground::eventually,
    install::Install,
    people::{People, refusal},
};
use keyturn::api::{AwsConfigSpec, Target};
use serde_json::{Value, from_value, json};

/// Sets `spec.target` to this value.
fn target(target: Value) -> impl FnOnce(&mut AwsConfigSpec) {
    move |spec| spec.target = Some(from_value::<Target>(target).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_target_is_the_default_or_needs_the_right_to_create_it() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let mallory = people.person("mallory").await;
    for (row, name, words) in [
        ("bob's default", "bob-aws", "target.name \"bob-aws\" is the default Secret of the AwsConfig \"bob\""),
        ("the end of a default", "-aws", "target"),
        (
            "any other name",
            "shared",
            "keyturn creates Secret \"shared\", and the verb \"create\" on that Secret is missing",
        ),
    ] {
        let said = refusal(mallory.creates_with("m", "mallory", target(json!({"name": name}))).await).message;
        assert!(said.contains(words), "{row}: {said}");
    }
    mallory.creates_with("m", "mallory", target(json!({"name": "m-aws"}))).await.expect("the default by its name");

    people.may_create_secret("mallory", "shared").await;
    eventually("the right is in force", async || {
        mallory.creates_with("n", "mallory", target(json!({"name": "shared"}))).await.map_err(|error| error.to_string())
    })
    .await;
    let said = refusal(mallory.creates_with("o", "mallory", target(json!({"name": "bob-aws"}))).await).message;
    assert!(said.contains("default Secret of the AwsConfig \"bob\""), "{said}");
    let said = refusal(mallory.creates_with("o", "mallory", target(json!({"name": "other"}))).await).message;
    assert!(said.contains("keyturn creates Secret \"other\""), "the right is to one name: {said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn metadata_that_other_controllers_act_on_needs_the_charts_consent() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let alice = people.person("alice").await;
    for (row, metadata, words) in [
        ("replicator", json!({"annotations": {"replicator.v1.mittwald.de/replicate-to": "x"}}), "target.annotations"),
        (
            "reflector",
            json!({"annotations": {"reflector.v1.k8s.emberstack.com/reflection-auto-enabled": "true"}}),
            "target.annotations",
        ),
        ("Argo CD", json!({"labels": {"argocd.argoproj.io/secret-type": "cluster"}}), "target.labels"),
        ("a prefix that begins alike", json!({"labels": {"app.kubernetes.io.evil/x": "y"}}), "target.labels"),
    ] {
        let said = refusal(alice.creates_with("alice", "alice", target(metadata)).await).message;
        assert!(said.contains(&format!("{words} has a key with a prefix that is not in")), "{row}: {said}");
    }
    let own = json!({"labels": {"team": "risk", "app.kubernetes.io/part-of": "scoring"}, "annotations": {"note": "x"}});
    alice.creates_with("alice", "alice", target(own)).await.unwrap();
    let more = json!({"target": {"labels": {"corp.example/team": "risk"}}});
    refusal(alice.edits("alice", more.clone()).await);

    install.set("personPolicy.targetMetadataPrefixes={corp.example}");
    eventually("the prefix is allowed", async || {
        alice.edits("alice", more.clone()).await.map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_older_config_that_breaks_the_rules_goes_on_working() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let alice = people.person("alice").await;
    people.change_policy(&json!({"enabled": false}), "bob", "alice", true).await;
    let wild = json!({"name": "team-aws", "annotations": {"replicator.v1.mittwald.de/replicate-to": "x"}});
    alice.creates_with("alice", "alice", target(wild)).await.unwrap();
    people.change_policy(&json!({"enabled": true}), "bob", "alice", false).await;

    let operator = install.start().await;
    install.apply_grant(|_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    alice.edits("alice", json!({"region": "eu-west-3"})).await.unwrap();
    let secrets = install.secrets();
    eventually("the Secret is written", async || {
        let secret = secrets.get("team-aws").await.map_err(|error| error.to_string())?;
        let region = secret.data.unwrap_or_default().remove("AWS_REGION").map(|region| region.0);
        if region.as_deref() == Some(b"eu-west-3") { Ok(()) } else { Err(format!("{region:?}")) }
    })
    .await;
    operator.stop().await;
}
