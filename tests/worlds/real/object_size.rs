//! The metadata that an `AwsConfig` may have: the chart's policy, as the API server enforces it.

use super::{
    ground::eventually,
    install::Install,
    operator_policies::client_with_operator_token,
    people::{People, Person, refusal},
};
use keyturn::api::AwsConfig;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Labels or annotations: `count` keys with values of this length.
fn entries(count: usize, value: usize) -> Value {
    json!((0..count).map(|at| (format!("k{at}"), "v".repeat(value))).collect::<BTreeMap<_, _>>())
}

/// Creates an `AwsConfig` of alice's with this metadata.
async fn creates(alice: &Person, name: &str, metadata: &Value, dry_run: bool) -> kube::Result<AwsConfig> {
    let mut config = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
        "metadata": {"name": name}, "spec": {"person": "alice"}});
    json_patch::merge(&mut config, &json!({"metadata": metadata}));
    let parameters = PostParams { dry_run, ..PostParams::default() };
    alice.configs().create(&parameters, &serde_json::from_value(config).unwrap()).await
}

async fn until_in_force(alice: &Person) {
    eventually("the policy is in force", async || {
        creates(alice, "probe", &json!({"labels": entries(65, 1)}), true).await.map_or_else(|_| Ok(()), |_| Err(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn metadata_beyond_the_bounds_is_refused_whatever_the_person_policy() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let alice = people.person("alice").await;
    until_in_force(&alice).await;
    for person_policy in [true, false] {
        if !person_policy {
            people.change_policy(&json!({"enabled": false}), "bob", "alice", true).await;
        }
        for (row, metadata, words) in [
            ("65 labels", json!({"labels": entries(65, 1)}), "the object has 65 labels"),
            ("4,000 labels", json!({"labels": entries(4_000, 63)}), "the object has 4000 labels"),
            (
                "annotations of 17,000 characters",
                json!({"annotations": entries(17, 1_000)}),
                "labels and annotations of the object have",
            ),
            (
                "65 finalizers",
                json!({"finalizers": (0..65).map(|at| format!("example.com/{at}")).collect::<Vec<_>>()}),
                "the object has 65 finalizers",
            ),
        ] {
            let status = refusal(creates(&alice, "large", &metadata, false).await);
            assert_eq!(status.code, 403, "{row}: {status:?}");
            for words in [words, &format!("the policy {}-object-size of keyturn allows", install.fullname())] {
                assert!(status.message.contains(words), "{row}: {}", status.message);
            }
        }
        let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(100_000)});
        let most = json!({"labels": entries(64, 63), "annotations": applied});
        creates(&alice, &format!("most-{person_policy}"), &most, false)
            .await
            .expect("64 labels, and a copy by kubectl");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_spec_beyond_the_bounds_is_refused_in_each_of_its_large_parts() {
    let install = Install::scoped().await;
    let values: Vec<String> = (0..32).map(|at| format!("{at:063}")).collect();
    let listed = |count: usize| -> Vec<Value> {
        (0..count).map(|at| json!({"key": format!("{at:0300}"), "operator": "In", "values": values})).collect()
    };
    let policy = |at: usize| format!("arn:aws:iam::123456789012:policy/{}{at}", "p".repeat(1_900));
    let policies: Vec<String> = (0..9).map(policy).collect();
    let tags: BTreeMap<String, String> = (0..50).map(|at| (format!("{at:0128}"), "v".repeat(256))).collect();
    let buckets: Vec<String> = (0..50).map(|at| format!("{at:063}")).collect();
    let profile = |at: usize| json!({"name": format!("p{at}"), "role": format!("arn:aws:iam::123456789012:role/{}/r", "p".repeat(510))});
    let profiles: Vec<Value> = (0..8).map(profile).collect();
    let small: Vec<Value> =
        (0..8).map(|at| json!({"name": format!("p{at}"), "role": "arn:aws:iam::123456789012:role/r"})).collect();
    let restart = json!({"kind": "Deployment", "selector": {"matchExpressions": listed(2)}});
    let creates = async |spec: Value| {
        let mut config = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
            "metadata": {"name": "large"}, "spec": {"person": "alice"}});
        json_patch::merge(&mut config, &json!({"spec": spec}));
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        install.configs().create(&parameters, &serde_json::from_value(config).unwrap()).await
    };
    let pods = |count: usize| json!({"inject": {"podSelector": {"matchExpressions": listed(count)}}});
    eventually("the policy is in force", async || creates(pods(4)).await.map_or_else(|_| Ok(()), |_| Err(()))).await;
    for (row, spec) in [
        ("a selector of pods", pods(4)),
        ("selectors of workloads", json!({"restart": vec![restart; 2]})),
        ("annotations of the target", json!({"target": {"annotations": entries(9, 1_000)}})),
        ("tags", json!({"session": {"tags": tags}})),
        ("policies", json!({"session": {"policyArns": policies}})),
        ("a policy", json!({"session": {"policy": "p".repeat(2_000), "policyArns": policies[..4]}})),
        ("profiles", json!({"profiles": profiles})),
        (
            "small profiles beside something large",
            json!({"profiles": small, "session": {"policy": "p".repeat(2_000)}, "extraBuckets": buckets[..30]}),
        ),
        ("buckets", json!({"extraBuckets": buckets, "inject": {"podSelector": {"matchExpressions": listed(3)}}})),
        (
            "parts that are small alone",
            json!({"session": {"tags": entries(20, 250)}, "target": {"annotations": entries(4, 1_000)}}),
        ),
    ] {
        let status = refusal(creates(spec).await);
        let words = format!("characters, and the policy {}-object-size of keyturn allows 6144", install.fullname());
        assert!(status.code == 403 && status.message.contains(&words), "{row}: {status:?}");
    }
    let labels = json!({"inject": {"podSelector": {"matchLabels": {"k".repeat(318): "v"}}}});
    let status = refusal(creates(labels).await);
    assert!(status.code == 422 && status.message.contains("at most 317 characters"), "{status:?}");
    creates(pods(2)).await.expect("a selector that is large, and within the bound");
    creates(json!({"profiles": small})).await.expect("8 profiles");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_object_beyond_the_bounds_may_shrink_and_get_a_finalizer() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let alice = people.person("alice").await;
    until_in_force(&alice).await;
    creates(&alice, "alice", &json!({"labels": entries(64, 1)}), false).await.unwrap();
    let grown = json!({"labels": {"more": "x"}});
    let said = refusal(alice.marks("alice", grown).await).message;
    assert!(said.contains("the object has 65 labels"), "growth: {said}");
    alice.marks("alice", json!({"labels": {"k0": "other"}})).await.expect("a change of a value");
    alice.marks("alice", json!({"labels": {"k0": null}})).await.expect("a label less");

    let own: Vec<String> = (0..70).map(|at| format!("keyturn.dev/dss.{at}")).collect();
    let operator: Api<AwsConfig> = Api::namespaced(client_with_operator_token(&install).await, &install.namespace);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": own}}));
    operator.patch("alice", &PatchParams::default(), &patch).await.expect("the operator adds finalizers");
    alice.marks("alice", json!({"annotations": {"note": "x"}})).await.expect("a change that adds no finalizer");
    let more: Vec<&str> = own.iter().map(String::as_str).chain(["example.com/hold"]).collect();
    let said = refusal(alice.marks("alice", json!({"finalizers": more})).await).message;
    assert!(said.contains("the object has 71 finalizers"), "growth: {said}");
    alice.marks("alice", json!({"finalizers": own[..69]})).await.expect("a finalizer less, still beyond the bound");
    alice.marks("alice", json!({"finalizers": null})).await.expect("no finalizer");
}
