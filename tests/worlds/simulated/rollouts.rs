//! `spec.restart`: after a renewal keyturn restarts workloads that read only their environment,
//! within a budget.

use super::world::{Cost, World};
use crate::{
    doubles::{
        apiserver::{Fault, ResourceKind},
        rules::Times,
    },
    fixtures::{SCORING, alice, config, role},
};
use jiff::{SignedDuration, Timestamp};
use keyturn::api::{AwsConfig, AwsConfigSpec};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

// ---- The namespace and its Deployments ----------------------------------------------------------

fn restarts(name: &str) -> AwsConfig {
    config(name, restarting(&json!([{"kind": "Deployment", "name": name}])))
}

fn restarting(workloads: &Value) -> impl FnOnce(&mut AwsConfigSpec) {
    let restart = serde_json::from_value(workloads.clone()).unwrap();
    move |spec| spec.restart = restart
}

/// A Deployment of two replicas whose rollout finished long ago.
fn deploy(world: &World, name: &str, labels: &Value) {
    world.api.put(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": SCORING, "labels": labels},
        "spec": {"replicas": 2, "selector": {}, "template": {"metadata": {"labels": {"app": name}}}},
    }));
    finish_rollout(world, name);
}

/// Acts as the Deployment controller: every pod has the current template.
fn finish_rollout(world: &World, name: &str) {
    world.api.edit("Deployment", SCORING, name, |deployment| {
        deployment["status"] = json!({"observedGeneration": deployment["metadata"]["generation"],
            "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
    });
}

fn restarted_at(world: &World, name: &str) -> Option<Timestamp> {
    let deployment = world.api.get("Deployment", SCORING, name)?;
    deployment["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT].as_str()?.parse().ok()
}

fn restarts_made(world: &World) -> usize {
    world.api.count("patch", "deployments")
}

/// A world in which these configs have their first credential and their Deployments are at rest.
async fn world_of(configs: &[AwsConfig]) -> World {
    let mut world = World::empty();
    world.api.register(ResourceKind::namespaced("apps/v1", "deployments", "Deployment").with_status().custom());
    world.apply(&crate::fixtures::analysts());
    for config in configs {
        deploy(&world, config.metadata.name.as_deref().unwrap(), &json!({"app": "scorer"}));
        world.apply(config);
    }
    world.pass(MINUTE).await;
    world.start();
    for config in configs {
        world.until("all are ready", |world| world.is_ready(config.metadata.name.as_deref().unwrap())).await;
    }
    world.settle().await;
    world.count_from_here();
    world
}

/// Lets time pass until the credential of a config is renewed.
async fn until_renewed(world: &World, name: &str) {
    let before = world.record(name).unwrap().issued_at;
    world.pass_until_due(name).await;
    world.until("it is renewed", |world| world.record(name).unwrap().issued_at > before).await;
}

async fn until_restarted(world: &World, name: &str) {
    let issued_at = world.record(name).unwrap().issued_at;
    world.until("it is restarted", |world| restarted_at(world, name).is_some_and(|at| at >= issued_at)).await;
}

fn restart_failing(world: &World, name: &str) -> Option<(String, String)> {
    world.condition(name, "RestartFailing").map(|(_, reason, message)| (reason, message))
}

// ---- When ---------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_workload_is_restarted_after_each_renewal_not_the_first_issue() {
    let world = world_of(&[restarts("alice")]).await;
    world.pass(20 * MINUTE).await;
    assert_eq!(world.cost(), Cost::NOTHING, "not at the first issue: {}", world.picture());

    for renewal in 1..=3 {
        let former_ends = world.record("alice").unwrap().expires_at.unwrap();
        until_renewed(&world, "alice").await;
        until_restarted(&world, "alice").await;
        let (issued_at, at) = (world.record("alice").unwrap().issued_at, restarted_at(&world, "alice").unwrap());
        assert!(at >= issued_at + SignedDuration::from_secs(30) && at < former_ends, "{at}");
        finish_rollout(&world, "alice");
        world.pass(10 * MINUTE).await;
        assert_eq!((restarts_made(&world), world.sts.count()), (renewal, renewal), "{}", world.picture());
    }
    assert_eq!(world.event_reasons(), ["Issued", "Restarted", "Restarted", "Restarted"]);
    assert_eq!(restart_failing(&world, "alice"), None);
    // A renewal is one call and two writes. A restart is one patch and one Event.
    assert_eq!(world.api.writes().len(), 3 * (2 + 2), "{}", world.picture());
    // One read to decide, and some to see the end of the rollout.
    let reads = world.api.count("get", "deployments");
    assert!((6..=12).contains(&reads), "{reads} reads: {}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_workload_restarted_by_hand_after_the_renewal_is_left_alone() {
    let world = world_of(&[restarts("alice")]).await;
    until_renewed(&world, "alice").await;
    // The spread ends half a minute and the rest of a tenth of the lifetime after the issue.
    let issued_at = world.record("alice").unwrap().issued_at;
    world.api.edit("Deployment", SCORING, "alice", |deployment| {
        let by_hand = (issued_at + SignedDuration::from_secs(30)).to_string();
        deployment["spec"]["template"]["metadata"]["annotations"] = json!({RESTARTED_AT: by_hand});
    });
    finish_rollout(&world, "alice");
    world.pass(15 * MINUTE).await;
    assert_eq!(restarts_made(&world), 0, "{}", world.picture());
    assert_eq!(world.api.count("get", "deployments"), 1, "one read shows it");
}

#[tokio::test(start_paused = true)]
async fn the_next_operator_repeats_no_restart_and_awaits_its_end() {
    let mut world = world_of(&[restarts("alice"), restarts("bob")]).await;
    until_renewed(&world, "alice").await;
    until_renewed(&world, "bob").await;
    world.until("one is restarted", |world| restarts_made(world) == 1).await;
    world.kill().await;
    world.start();
    world.pass(2 * MINUTE).await;
    assert_eq!(restarts_made(&world), 1, "the other waits for the one that is under way: {}", world.picture());
    let first = if restarted_at(&world, "alice").is_some() { "alice" } else { "bob" };
    finish_rollout(&world, first);
    world.until("then the other", |world| restarts_made(world) == 2).await;
    for name in ["alice", "bob"] {
        finish_rollout(&world, name);
    }
    world.pass(2 * MINUTE).await;
    world.stop().await;
    world.count_from_here();
    world.start();
    world.pass(2 * MINUTE).await;
    assert_eq!((restarts_made(&world), world.sts.count(), world.api.writes().len()), (0, 0, 0), "{}", world.picture());
    assert_eq!(world.api.count("get", "deployments"), 2, "one read of each");
}

#[tokio::test(start_paused = true)]
async fn two_workloads_of_a_namespace_are_restarted_one_after_the_other() {
    let world = world_of(&[restarts("alice"), restarts("bob")]).await;
    let another = |spec: &mut AwsConfigSpec| spec.role = Some(role("ds-lead"));
    world.change("alice", another);
    world.change("bob", another);
    world.until("one is restarted", |world| restarts_made(world) == 1).await;
    let (first, second) = if restarted_at(&world, "alice").is_some() { ("alice", "bob") } else { ("bob", "alice") };
    world.pass(6 * MINUTE).await;
    assert_eq!(restarts_made(&world), 1, "it has not finished: {}", world.picture());
    finish_rollout(&world, first);
    until_restarted(&world, second).await;
    assert_eq!(restarts_made(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_credential_replaced_in_the_second_of_its_issue_counts_as_former() {
    let mut world = World::empty();
    world.api.register(ResourceKind::namespaced("apps/v1", "deployments", "Deployment").with_status().custom());
    deploy(&world, "alice", &json!({}));
    world.apply(&crate::fixtures::analysts());
    world.apply(&restarts("alice"));
    world.start();
    world.until("it is ready", |world| world.is_ready("alice")).await;
    let first = world.record("alice").unwrap().issued_at;
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.until("it is issued again", |world| world.sts.count() == 2).await;
    assert_eq!(world.record("alice").unwrap().issued_at, first, "the same second");
    until_restarted(&world, "alice").await;
}

#[tokio::test(start_paused = true)]
async fn the_workloads_of_a_selector_are_restarted_one_after_the_other() {
    let chosen = json!([{"kind": "Deployment", "selector": {"matchLabels": {"of": "fraud"}}}]);
    let world = world_of(&[config("alice", restarting(&chosen))]).await;
    for name in ["fraud-1", "fraud-2"] {
        deploy(&world, name, &json!({"of": "fraud"}));
    }
    until_renewed(&world, "alice").await;
    for count in 1..=2 {
        world.until("one is restarted", |world| restarts_made(world) == count).await;
        for name in ["fraud-1", "fraud-2"] {
            finish_rollout(&world, name);
        }
    }
    world.pass(10 * MINUTE).await;
    assert_eq!(restarts_made(&world), 2);
    assert!(restarted_at(&world, "alice").is_none() && restarted_at(&world, "fraud-1").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_config_without_restarts_costs_no_read_of_workloads() {
    let world = world_of(&[alice()]).await;
    for _ in 0..3 {
        until_renewed(&world, "alice").await;
    }
    assert_eq!(world.api.count("*", "deployments"), 0);
    assert_eq!(world.cost(), Cost { sts: 3, reads: 0, writes: 6 }, "{}", world.picture());
}

// ---- When a restart is not possible -------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_paused_workload_is_reported_once_and_restarted_when_resumed() {
    let world = world_of(&[restarts("alice")]).await;
    world.api.edit("Deployment", SCORING, "alice", |deployment| deployment["spec"]["paused"] = json!(true));
    until_renewed(&world, "alice").await;
    world.until("it is reported", |world| restart_failing(world, "alice").is_some()).await;
    let (reason, message) = restart_failing(&world, "alice").unwrap();
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("RestartBlocked", "Deployment \"alice\" is paused, and its pods have an earlier credential")
    );
    world.pass(15 * MINUTE).await;
    assert_eq!(world.event_reasons(), ["Issued", "RestartBlocked"], "once");
    assert_eq!((restarts_made(&world), world.ready("alice").as_str()), (0, "True/Issued"));

    world.api.edit("Deployment", SCORING, "alice", |deployment| deployment["spec"]["paused"] = json!(false));
    finish_rollout(&world, "alice");
    until_restarted(&world, "alice").await;
    finish_rollout(&world, "alice");
    world.until("and that is over", |world| restart_failing(world, "alice").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_workload_in_a_rollout_is_waited_for() {
    let world = world_of(&[restarts("alice")]).await;
    until_renewed(&world, "alice").await;
    world.api.edit("Deployment", SCORING, "alice", |deployment| deployment["status"]["updatedReplicas"] = json!(1));
    world.pass(9 * MINUTE).await;
    assert_eq!((restarts_made(&world), restart_failing(&world, "alice")), (0, None), "{}", world.picture());
    finish_rollout(&world, "alice");
    until_restarted(&world, "alice").await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_reported_once_with_the_chart_s_value() {
    let world = world_of(&[restarts("alice")]).await;
    for verb in ["get", "patch"] {
        let denied = world.api.fault_on(Times::UntilCleared, verb, "deployments", Fault::forbidden());
        until_renewed(&world, "alice").await;
        let case = format!("{verb} is denied");
        world.until(&case, |world| restart_failing(world, "alice").is_some()).await;
        let (reason, message) = restart_failing(&world, "alice").unwrap();
        assert!(reason == "RestartDenied" && message.contains("restart.namespaces"), "{case}: {message}");
        let events = world.events().len();
        world.pass(5 * MINUTE).await;
        assert_eq!(world.events().len(), events, "{case}: once");
        world.api.forgive(denied);
        until_restarted(&world, "alice").await;
        finish_rollout(&world, "alice");
        world.until("and that is over", |world| restart_failing(world, "alice").is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_workload_is_reported_once_and_needs_no_restart_later() {
    let mut world = world_of(&[restarts("alice")]).await;
    world.api.delete("Deployment", SCORING, "alice");
    until_renewed(&world, "alice").await;
    world.until("it is reported", |world| restart_failing(world, "alice").is_some()).await;
    assert_eq!(
        restart_failing(&world, "alice").unwrap(),
        ("WorkloadMissing".to_owned(), "there is no Deployment \"alice\"".to_owned())
    );
    let events = world.events().len();
    world.stop().await;
    world.start();
    world.pass(5 * MINUTE).await;
    assert_eq!(world.events().len(), events, "once, whoever leads: {}", world.picture());

    deploy(&world, "alice", &json!({}));
    world.until("that is over", |world| restart_failing(world, "alice").is_none()).await;
    assert_eq!(restarts_made(&world), 0, "it started with the present credential");
}

#[tokio::test(start_paused = true)]
async fn a_workload_changed_between_read_and_patch_is_not_overwritten() {
    let world = world_of(&[restarts("alice")]).await;
    let theirs = Fault::before(|api| {
        api.edit("Deployment", SCORING, "alice", |deployment| deployment["spec"]["replicas"] = json!(3));
    });
    world.api.fault_on(Times::Once, "patch", "deployments", theirs);
    until_renewed(&world, "alice").await;
    world.until("it was tried", |world| restarts_made(world) == 1).await;
    assert_eq!(restarted_at(&world, "alice"), None, "another version than was seen");
    world.api.edit("Deployment", SCORING, "alice", |deployment| deployment["spec"]["replicas"] = json!(2));
    finish_rollout(&world, "alice");
    until_restarted(&world, "alice").await;
    assert_eq!(restarts_made(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_takes_restarts_back_is_fought_once_in_ten_minutes() {
    let world = world_of(&[config("alice", |spec| {
        restarting(&json!([{"kind": "Deployment", "name": "alice"}]))(spec);
        spec.session.get_or_insert_default().duration = serde_json::from_value("12h".into()).ok();
    })])
    .await;
    until_renewed(&world, "alice").await;
    world.count_from_here();
    let mut taken_back = 0;
    // A GitOps controller with self-heal takes every change back within a second.
    for _ in 0..40 * 60 {
        world.pass(Duration::from_secs(1)).await;
        if restarted_at(&world, "alice").is_some() {
            taken_back += 1;
            world.api.edit("Deployment", SCORING, "alice", |deployment| {
                deployment["spec"]["template"]["metadata"]["annotations"] = json!({});
            });
            finish_rollout(&world, "alice");
        }
    }
    assert!((2..=4).contains(&taken_back), "{taken_back} restarts in 40 minutes");
    let (reason, message) = restart_failing(&world, "alice").unwrap();
    assert_eq!(reason, "RestartBlocked");
    assert!(message.contains("took the restart"), "{message}");
    let writes = world.api.count("patch", "awsconfigs/status");
    assert!(
        writes <= 2 * taken_back + 1,
        "it is said once after each of {taken_back} restarts: {writes} writes of status"
    );
    assert!(world.is_ready("alice"));
}
