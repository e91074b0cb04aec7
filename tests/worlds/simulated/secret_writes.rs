//! The writes of the Secret: whole from the beginning, and without what is no longer asked for.

use super::world::World;
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, config},
};
use keyturn::api::{AwsConfigSpec, Target};
use serde_json::{Value, from_value, json};
use std::time::Duration;

/// Sets `spec.target` to this value.
fn target(spec: &mut AwsConfigSpec, target: Value) {
    spec.target = Some(from_value::<Target>(target).unwrap());
}

/// Whether a request creates a Secret without the label `team`.
fn creates_without_a_team(request: &Request) -> bool {
    let labels = request.body.as_ref().map(|body| &body["metadata"]["labels"]["team"]);
    request.is("create", "secrets") && labels.is_none_or(Value::is_null)
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_created_by_one_write_with_its_labels() {
    let world = World::started();
    let denied = Fault::Refuse(Failure::new(422, "ValidatingAdmissionPolicy 'teams' denied request: no team"));
    world.api.fault(Times::UntilCleared, creates_without_a_team, denied);
    world.apply(&config("alice", |spec| target(spec, json!({"labels": {"team": "risk"}}))));
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!((world.api.count("create", "secrets"), world.api.count("patch", "secrets")), (1, 0));
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn labels_that_the_config_drops_are_removed_and_others_stay() {
    let wanted = json!({"labels": {"team": "risk", "cost": "x"}, "annotations": {"note": "x"}});
    let world = World::with(&[config("alice", |spec| target(spec, wanted))]).await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| secret["metadata"]["labels"]["backup"] = json!("yes"));
    let changes: [(&str, Value, &[&str]); 3] = [
        ("some", json!({"labels": {"cost": "x"}, "annotations": {"note": "x"}}), &["backup", "cost", "note"]),
        ("others", json!({"labels": {"note": "x"}}), &["backup", "note"]),
        ("none", json!({}), &["backup"]),
    ];
    for (case, wanted, there) in changes {
        world.change("alice", |spec| target(spec, wanted));
        world.pass(Duration::from_secs(601)).await;
        let metadata = world.secret("alice").unwrap().metadata;
        let labels = metadata.labels.unwrap_or_default().into_keys();
        let names = labels.chain(metadata.annotations.unwrap_or_default().into_keys());
        let mut names: Vec<String> = names.filter(|name| !name.contains('/')).collect();
        names.sort();
        assert_eq!(names, there, "{case}: {}", world.picture());
    }
    let annotations = world.secret("alice").unwrap().metadata.annotations.unwrap();
    assert!(!annotations.contains_key("keyturn.dev/metadata"), "{annotations:?}");
    assert_eq!(world.sts.count(), 0, "the session stays");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_leaves_one_secret_and_one_session() {
    let world = World::started();
    world.api.fault_on(Times::Once, "create", "secrets", Fault::LoseAnswer);
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!((world.sts.count(), world.api.count("create", "secrets")), (1, 1), "{}", world.picture());
    assert!(world.holds_a_valid_session("alice"));
}
