//! Shards that choose their namespaces by label, and namespaces whose labels change.

use super::{LAB, MINUTE, Running, SCORING, SECOND, apply, is_ready, leads, shard, start, world, written_by};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    simulated::world::World,
};
use keyturn::operator::Operator;
use serde_json::json;

/// A replica of the shard `name` for the namespaces with these labels.
fn by_label(world: &World, name: &str, selector: &str, owns_cluster: bool) -> Operator {
    Operator { namespace_selector: Some(selector.parse().unwrap()), ..shard(world, name, &[], owns_cluster) }
}

/// Waits until two shards serve: "a" the namespace [`SCORING`], "b" the namespace [`LAB`], and that
/// one config is ready in each.
async fn two_shards(world: &World) -> (Running, Running) {
    label(world, SCORING, "a");
    label(world, LAB, "b");
    let a = start(by_label(world, "a", "shard=a", true));
    let b = start(by_label(world, "b", "shard=b", false));
    world.until("both serve", |world| leads(world, "keyturn-a") && leads(world, "keyturn-b")).await;
    apply(world, SCORING, &["alice"]);
    apply(world, LAB, &["bob"]);
    world.until("both are ready", |world| is_ready(world, SCORING, "alice") && is_ready(world, LAB, "bob")).await;
    world.settle().await;
    (a, b)
}

fn label(world: &World, namespace: &str, shard: &str) {
    world.api.edit("Namespace", "", namespace, |it| it["metadata"]["labels"]["shard"] = json!(shard));
}

/// The number of writes of a replica in a namespace.
fn writes(world: &World, name: &str, namespace: &str) -> usize {
    let part = format!("/namespaces/{namespace}/");
    written_by(world, name).iter().filter(|path| path.contains(&part)).count()
}

#[tokio::test(start_paused = true)]
async fn two_shards_by_label_never_write_an_object_of_the_other() {
    let world = world();
    let (_a, _b) = two_shards(&world).await;
    world.api.namespace("nobodys", &[("team", "x")]);
    apply(&world, "nobodys", &["carol"]);
    world.pass(3 * 60 * MINUTE).await;
    assert!(writes(&world, "a", SCORING) > 4 && writes(&world, "b", LAB) > 4, "{}", world.picture());
    assert_eq!((writes(&world, "a", LAB), writes(&world, "b", SCORING)), (0, 0), "{}", world.picture());
    assert_eq!((writes(&world, "a", "nobodys"), writes(&world, "b", "nobodys")), (0, 0), "no shard serves it");
    let refusal = start(by_label(&world, "c", "team=x", false)).refusal().await;
    assert!(refusal.contains("\"team in (x)\", does not start beside the shard \"a\""), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_comes_in_is_served_within_a_second() {
    let world = world();
    let (_a, _b) = two_shards(&world).await;
    world.api.namespace("new", &[("shard", "b")]);
    world.change_grant("analysts", |grant| grant.namespaces.as_mut().unwrap().names.push("new".to_owned()));
    apply(&world, "new", &["dora"]);
    world.at_once("dora is ready", |world| is_ready(world, "new", "dora")).await;
    world.api.namespace("later", &[]);
    world.change_grant("analysts", |grant| grant.namespaces.as_mut().unwrap().names.push("later".to_owned()));
    apply(&world, "later", &["erin"]);
    world.pass(MINUTE).await;
    assert!(!is_ready(&world, "later", "erin"));
    label(&world, "later", "a");
    world.at_once("erin is ready", |world| is_ready(world, "later", "erin")).await;
}

#[tokio::test(start_paused = true)]
async fn a_relabelled_namespace_moves_without_a_session_or_a_write() {
    let world = world();
    let (_a, _b) = two_shards(&world).await;
    let before = world.api.get("Secret", SCORING, "alice-aws").unwrap();
    world.count_from_here();
    label(&world, SCORING, "b");
    world.pass(10 * MINUTE).await;
    assert_eq!(world.sts.count(), 0, "{}", world.picture());
    assert_eq!((writes(&world, "a", SCORING), writes(&world, "b", SCORING)), (0, 0), "{}", world.picture());
    assert_eq!(world.api.get("Secret", SCORING, "alice-aws").unwrap(), before, "nothing is withdrawn or deleted");

    // A change of the spec, and the next renewals, are the second shard's.
    world.api.edit("AwsConfig", SCORING, "alice", |config| config["spec"]["defaultBucket"] = json!("team-b"));
    world.at_once("b writes the Secret", |world| writes(world, "b", SCORING) > 0).await;
    world.pass(2 * 60 * MINUTE).await;
    assert_eq!(writes(&world, "a", SCORING), 0, "{}", world.picture());
    let (calls, renewed) = (world.sts.count(), writes(&world, "b", SCORING));
    assert!((4..=8).contains(&calls) && renewed >= 6, "alice and bob: {calls} calls, {renewed} writes");

    // And back, several times in a moment.
    world.count_from_here();
    for to in ["a", "b", "a", "b", "a"] {
        label(&world, SCORING, to);
        world.pass(SECOND / 10).await;
    }
    world.pass(10 * MINUTE).await;
    world.api.edit("AwsConfig", SCORING, "alice", |config| config["spec"]["defaultBucket"] = json!("team-c"));
    world.at_once("a writes the Secret", |world| writes(world, "a", SCORING) > 0).await;
    assert_eq!(writes(&world, "b", SCORING), 0, "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_in_flight_ends_before_the_next_shard_begins() {
    let world = world();
    let (_a, _b) = two_shards(&world).await;
    let is_slow = |request: &Request| request.is("patch", "secrets") && request.user_agent.as_deref() == Some("a");
    world.api.fault(Times::UntilCleared, is_slow, Fault::Delay(10 * SECOND));
    world.count_from_here();
    // A change of the role has a asked for another session, which it writes 10 s later.
    world.api.edit("AwsConfig", SCORING, "alice", |config| {
        config["spec"]["role"] = json!(crate::fixtures::role("ds-lead"));
    });
    world.at_once("a asks STS", |world| world.sts.count() == 1).await;
    label(&world, SCORING, "b");
    world.pass(5 * MINUTE).await;
    let of = |name: &str| -> Vec<_> {
        let is_its = |request: &Request| {
            request.is_write() && request.path.contains("/scoring/") && request.user_agent.as_deref() == Some(name)
        };
        world.api.requests().iter().filter(|request| is_its(request)).map(|request| request.at).collect()
    };
    assert!(is_ready(&world, SCORING, "alice") && world.sts.count() == 1, "{}", world.picture());
    let (last, first) = (of("a").into_iter().max(), of("b").into_iter().min());
    assert!(last.is_some() && first.is_none_or(|first| Some(first) > last), "{last:?} {first:?}: {}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_leaves_takes_its_objects_out_of_memory() {
    let world = world();
    let (_a, b) = two_shards(&world).await;
    apply(&world, LAB, &["carol"]);
    world.until("carol is ready", |world| is_ready(world, LAB, "carol")).await;
    label(&world, LAB, "nobody");
    world.pass(MINUTE).await;
    world.count_from_here();
    world.api.edit("AwsConfig", LAB, "carol", |config| config["spec"]["suspend"] = json!(true));
    world.api.delete("AwsConfig", LAB, "bob");
    world.pass(2 * 60 * MINUTE).await;
    assert_eq!((writes(&world, "a", LAB), writes(&world, "b", LAB)), (0, 0), "nobody serves it: {}", world.picture());
    assert!(!b.task.is_finished());
    label(&world, LAB, "b");
    world.until("carol is suspended", |world| writes(world, "b", LAB) > 0).await;
}
