//! A first issue: the Secret and the status come first, and the rest trails behind and is not lost.

use super::world::{Cost, World};
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, aws_role, config, role, uses},
};
use serde_json::json;
use std::time::Duration;

type Fits = fn(&Request) -> bool;

const MINUTE: Duration = Duration::from_secs(60);

/// The writes of the trail, in order.
const TRAIL: [(&str, Fits); 3] = [
    ("create the Event", |r| r.is("create", "events")),
    ("create the AwsRole", |r| r.is("create", "awsroles")),
    ("the status of the AwsRole", |r| r.is("patch", "awsroles/status")),
];

/// The reads of single objects and the writes so far, in order.
fn calls(world: &World) -> Vec<String> {
    let requests = world.api.requests();
    let of_objects =
        requests.iter().filter(|request| !matches!(request.verb, "list" | "watch") && !request.resource.is_empty());
    let named = of_objects.map(|request| {
        let Request { verb, resource, subresource, query, .. } = request;
        let cached = if query.get("resourceVersion").is_some_and(|it| it == "0") { " from the cache" } else { "" };
        let subresource = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        format!("{verb} {resource}{subresource}{cached}")
    });
    named.collect()
}

fn issued_events(world: &World) -> usize {
    world.event_reasons().iter().filter(|reason| *reason == "Issued").count()
}

/// Whether the trail of alice is complete.
fn is_trail_complete(world: &World) -> bool {
    let roles = world.roles();
    let active = roles.iter().filter_map(|role| role.status.as_ref()?.active);
    roles.len() == 1 && active.collect::<Vec<_>>() == [true] && issued_events(world) == 1
}

#[tokio::test(start_paused = true)]
async fn the_secret_and_the_status_come_before_event_and_role() {
    let world = World::started();
    world.settle().await;
    world.count_from_here();
    world.apply(&alice());
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    world.pass(10 * MINUTE).await;
    let expected = [
        "get secrets from the cache",
        "create secrets",
        "patch awsconfigs/status",
        "create events",
        "create awsroles",
        "patch awsroles/status",
    ];
    assert_eq!(calls(&world), expected);
    assert_eq!(world.cost(), Cost { sts: 1, reads: 1, writes: 5 });
    assert!(is_trail_complete(&world), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_config_with_a_role_of_its_user_has_its_event_and_no_trail() {
    let world = World::started();
    world.apply(&aws_role("own", "alice", &role("ds-analyst")));
    world.settle().await;
    world.count_from_here();
    world.apply(&config("alice", uses("own")));
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    assert_eq!(issued_events(&world), 1);
    assert_eq!(world.api.count("create", "awsroles"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_of_the_trail_leaves_one_event_and_one_role() {
    for (call, fits) in TRAIL {
        for (when, fault) in [("before", Fault::Hang), ("after", Fault::HangAfter)] {
            let case = format!("{when} {call}");
            let mut world = World::started();
            let rule = world.api.fault(Times::UntilCleared, fits, fault);
            world.apply(&alice());
            world.at_once("alice is ready", |world| world.is_ready("alice")).await;
            world.settle().await;
            world.kill().await;
            world.api.forgive(rule);
            world.start();
            world.pass(MINUTE).await;
            assert!(is_trail_complete(&world), "{case}: {}", world.picture());
            assert_eq!(world.sts.count(), 1, "{case}");
            let before = world.cost();
            world.pass(10 * MINUTE).await;
            assert_eq!(world.cost(), before, "{case}: at rest");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_deleted_comes_back_without_another_event() {
    for (case, restarts) in [("while keyturn runs", false), ("while keyturn does not run", true)] {
        let mut world = World::with(&[alice()]).await;
        let name = world.roles()[0].metadata.name.clone().unwrap();
        if restarts {
            world.stop().await;
        }
        world.api.delete("AwsRole", SCORING, &name);
        if restarts {
            world.start();
        }
        world.pass(MINUTE).await;
        assert!(is_trail_complete(&world), "{case}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_that_is_deleted_before_its_trail_leaves_nothing() {
    let world = World::started();
    let rule = world.api.fault(Times::UntilCleared, TRAIL[0].1, Fault::Hang);
    world.apply(&alice());
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    world.api.delete("AwsConfig", SCORING, "alice");
    world.api.forgive(rule);
    world.pass(MINUTE).await;
    assert!(world.secret("alice").is_none() && world.roles().is_empty(), "{}", world.picture());
    let before = world.cost();
    world.pass(10 * MINUTE).await;
    assert_eq!(world.cost(), before, "at rest");
}

#[tokio::test(start_paused = true)]
async fn trails_that_hang_delay_neither_first_issues_nor_renewals() {
    for (call, fits) in TRAIL {
        let world = World::started();
        let rule = world.api.fault(Times::UntilCleared, fits, Fault::Hang);
        // More than there are workers of any kind.
        let names: Vec<String> = (0..110).map(|n| format!("person-{n}")).collect();
        for name in &names {
            world.apply(&config(name, |_| {}));
        }
        world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
        world.apply(&config("late", |_| {}));
        world.at_once(call, |world| world.is_ready("late")).await;
        world.pass_until_due("late").await;
        world.settle().await;
        assert!(world.status("late").renew_at.unwrap().0 > world.now(), "{call}: it is renewed at once");
        world.api.forgive(rule);
        world.pass(5 * MINUTE).await;
        let active = |role: &keyturn::api::AwsRole| role.status.as_ref().and_then(|status| status.active);
        let roles = world.roles();
        assert_eq!(roles.iter().filter(|role| active(role) == Some(true)).count(), 111, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_refused_is_in_a_condition_and_heals() {
    let world = World::started();
    let refused = Fault::Refuse(Failure::new(403, "exceeded quota: roles"));
    let rule = world.api.fault(Times::UntilCleared, TRAIL[1].1, refused);
    world.apply(&alice());
    world.at_once("it is said", |world| world.condition("alice", "AwsRoleFailing").is_some()).await;
    assert!(world.is_ready("alice"));
    world.pass(10 * MINUTE).await;
    assert_eq!(world.event_reasons(), ["Issued", "ApiCallFailed"], "each once");
    assert!(world.condition("alice", "AwsRoleFailing").is_some(), "a reconcile of the config does not take it back");
    world.api.forgive(rule);
    world.pass(2 * MINUTE).await;
    assert_eq!(world.condition("alice", "AwsRoleFailing"), None);
    assert!(is_trail_complete(&world), "{}", world.picture());
}

// ---- A stranger's Secret ------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_stranger_s_secret_that_the_cache_hides_costs_one_session() {
    let world = World::started();
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "data": {"theirs": "eA=="},
        "metadata": {"namespace": SCORING, "name": "alice-aws"}});
    let cached = |r: &Request| r.is("get", "secrets") && r.query.get("resourceVersion").is_some_and(|it| it == "0");
    world.api.fault(Times::UntilCleared, cached, Fault::status(404));
    world.api.put(theirs);
    world.apply(&alice());
    world.at_once("it is said", |world| world.ready("alice") == "False/ForeignTarget").await;
    for _ in 0..10 {
        world.pass(MINUTE).await;
        world.change("alice", |spec| spec.region = Some("eu-west-2".to_owned()));
        world.change("alice", |spec| spec.region = None);
    }
    assert_eq!(world.sts.count(), 1, "{}", world.picture());
    assert_eq!(world.ready("alice"), "False/ForeignTarget");
    assert_eq!(world.api.count("create", "secrets"), 1, "nobody tries to create it again");
    let data = world.secret("alice").unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["theirs"]);

    world.api.delete("Secret", SCORING, "alice-aws");
    world.pass(10 * MINUTE).await;
    assert!(world.holds_a_valid_session("alice"), "{}", world.picture());
    assert_eq!(world.sts.count(), 1, "the session was kept");
}
