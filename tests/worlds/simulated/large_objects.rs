//! Objects with large foreign labels and annotations. The views keep only the parts that keyturn
//! reads, and this changes nothing of what keyturn does with the objects.

use super::{
    dataiku,
    world::{Cost, World},
};
use crate::fixtures::{SCORING, config, personal_key};
use keyturn::api::{AwsConfigSpec, Target, TargetValue};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Foreign labels and annotations of 100 kB and more, and a finalizer of another controller.
fn foreign() -> Value {
    let entries = |count: usize, value: usize| -> BTreeMap<String, String> {
        (0..count).map(|at| (format!("corp.example/k{at}"), "v".repeat(value))).collect()
    };
    let mut annotations = entries(90, 1_000);
    annotations.insert("kubectl.kubernetes.io/last-applied-configuration".to_owned(), "x".repeat(20_000));
    json!({"labels": entries(300, 63), "annotations": annotations, "finalizers": ["corp.example/hold"]})
}

/// A config with a target that asks for a label and an annotation, and with a personal API key.
fn spec(spec: &mut AwsConfigSpec) {
    personal_key(spec);
    let asks = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), TargetValue(value.to_owned()))]);
    spec.target = Some(Target { labels: asks("team", "ds"), annotations: asks("note", "hello"), ..Target::default() });
}

/// The foreign parts of an object as they are now.
fn foreign_parts(world: &World, kind: &str, name: &str) -> Value {
    let metadata = world.api.get(kind, SCORING, name).unwrap()["metadata"].take();
    let mut parts = foreign();
    for (field, before) in parts.as_object_mut().unwrap() {
        let now = &metadata[field];
        match before {
            Value::Object(before) => before.iter_mut().for_each(|(key, value)| *value = now[key].clone()),
            other => {
                let held = now.as_array().unwrap().iter().filter(|it| *it == "corp.example/hold");
                *other = json!(held.collect::<Vec<_>>());
            }
        }
    }
    parts
}

/// The config `alice` with large foreign metadata, ready.
async fn world() -> World {
    let mut world = dataiku::world();
    world.start();
    let mut alice = serde_json::to_value(config("alice", spec)).unwrap();
    let names = json!({"name": "alice", "namespace": SCORING});
    alice["metadata"] = foreign();
    alice["metadata"].as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
    world.api.put(alice);
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    world.count_from_here();
    world
}

/// The label and the annotation that the target asks for, as the Secret has them.
fn asked(world: &World) -> (Option<String>, Option<String>) {
    let metadata = world.secret("alice").unwrap().metadata;
    (metadata.labels.unwrap_or_default().remove("team"), metadata.annotations.unwrap_or_default().remove("note"))
}

fn as_asked() -> (Option<String>, Option<String>) {
    (Some("ds".to_owned()), Some("hello".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_config_with_large_metadata_is_issued_renewed_repaired_and_cleaned_up() {
    let world = world().await;
    let issued = world.record("alice").unwrap();
    assert_eq!(foreign_parts(&world, "AwsConfig", "alice"), foreign(), "after the issue");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING, "at rest: {}", world.picture());

    world.pass_until_due("alice").await;
    world
        .at_once("it is renewed", |world| {
            world.record("alice").is_some_and(|record| record.access_key_id != issued.access_key_id)
        })
        .await;
    world.settle().await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| secret["data"] = json!({}));
    world.at_once("it is repaired", |world| world.holds_a_valid_session("alice")).await;
    world.settle().await;
    assert_eq!(foreign_parts(&world, "AwsConfig", "alice"), foreign(), "after the repair");

    assert!(!world.dss.personal_keys().is_empty());
    world.api.delete("AwsConfig", SCORING, "alice");
    world.until("the key is deleted", |world| world.dss.personal_keys().is_empty()).await;
    world.settle().await;
    let left = world.config("alice").expect("the other controller holds it").metadata.finalizers;
    assert_eq!(left, Some(vec!["corp.example/hold".to_owned()]));
    assert_eq!(foreign_parts(&world, "AwsConfig", "alice"), foreign(), "after the clean-up");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_a_long_role_is_written_once_and_whole() {
    let mut world = World::empty();
    let role = |letter: &str| format!("arn:aws:iam::123456789012:role/{}/analyst", letter.repeat(510));
    world.apply(&config("alice", |spec| spec.role = Some(role("a"))));
    world.start();
    let names = |world: &World, role: &str| {
        let types = ["Accepted", "Issued", "Ready"];
        types.iter().all(|type_| world.condition("alice", type_).is_some_and(|(.., message)| message.contains(role)))
    };
    world.until("the refusal names the role", |world| names(world, &role("a"))).await;
    world.settle().await;
    world.count_from_here();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING, "at rest: {}", world.picture());
    world.stop().await;
    world.start();
    world.settle().await;
    world.pass(Duration::from_secs(60)).await;
    assert!(world.api.writes().is_empty(), "after a restart: {}", world.picture());

    world.change("alice", |spec| spec.role = Some(role("b")));
    world.until("the refusal names the other role", |world| names(world, &role("b"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_with_large_metadata_is_left_alone_and_repaired() {
    let world = world().await;
    let large = foreign();
    world.api.edit("Secret", SCORING, "alice-aws", |secret| {
        for field in ["labels", "annotations"] {
            let more = large[field].as_object().unwrap().clone();
            secret["metadata"][field].as_object_mut().unwrap().extend(more);
        }
    });
    world.settle().await;
    world.pass(Duration::from_secs(60)).await;
    let cost = world.cost();
    assert_eq!((cost.sts, cost.writes), (0, 0), "foreign metadata is no drift: {cost:?}\n{}", world.picture());

    for (field, key) in [("labels", "team"), ("annotations", "note")] {
        world.api.edit("Secret", SCORING, "alice-aws", |secret| {
            drop(secret["metadata"][field].as_object_mut().unwrap().remove(key));
        });
        world.until(&format!("{key} is there again"), |world| asked(world) == as_asked()).await;
        world.settle().await;
    }
    assert_eq!(world.cost().sts, 0, "a label costs no session");
    world.pass_until_due("alice").await;
    world.settle().await;
    assert_eq!(world.cost().sts, 1, "it is renewed");
    assert_eq!(asked(&world), as_asked());
    let labels = world.secret("alice").unwrap().metadata.labels.unwrap_or_default();
    assert_eq!(labels.keys().filter(|key| key.starts_with("corp.example/")).count(), 300, "the foreign ones stay");
}
