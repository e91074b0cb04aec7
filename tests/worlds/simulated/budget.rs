//! The budget of all calls to STS: outages, throttling, and what waits for neither.

use super::world::World;
use crate::{
    doubles::sts::{Behaviour, Call},
    fixtures::{SCORING, alice, analysts, config, config_in, grant, role},
};
use jiff::SignedDuration;
use keyturn::{
    api::{AwsConfig, Namespaces},
    limit::{Rate, RateLimits, StsLimits},
    operator::Operator,
};
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LAB: &str = "lab";
/// Rates of requests that bound nothing here.
const NO_RATE: Rate = Rate { per_second: 10_000, burst: 100_000 };

/// A world with two namespaces. Nothing but the budget bounds the calls to STS.
fn world(per_second: u32) -> World {
    let mut world = World::empty();
    world.api.namespace(LAB, &[]);
    world.apply(&analysts());
    world.apply(&grant(LAB, |spec| {
        spec.namespaces = Some(Namespaces { names: vec![LAB.to_owned()], selector: None });
    }));
    start(&mut world, per_second);
    world
}

fn start(world: &mut World, per_second: u32) {
    world.start_as(Operator {
        rate_limits: RateLimits { namespace: NO_RATE, all: NO_RATE },
        sts_limits: StsLimits { per_second, ..StsLimits::DEFAULT },
        ..world.operator()
    });
}

fn people(count: usize) -> Vec<AwsConfig> {
    (0..count).map(|n| config(&format!("person-{n}"), |_| {})).collect()
}

fn names(configs: &[AwsConfig]) -> Vec<String> {
    configs.iter().filter_map(|config| config.metadata.name.clone()).collect()
}

fn apply(world: &World, configs: &[AwsConfig]) {
    for config in configs {
        world.apply(config);
    }
}

/// Applies these configs and waits until all of them are ready.
async fn with(world: &World, configs: &[AwsConfig]) -> Vec<String> {
    let names = names(configs);
    apply(world, configs);
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.settle().await;
    world.count_from_here();
    names
}

fn is_issued(world: &World, name: &str) -> bool {
    let secret = world.api.get("Secret", SCORING, &format!("{name}-aws"));
    secret.is_some_and(|secret| secret["data"]["AWS_ACCESS_KEY_ID"].is_string())
}

/// The time until all of these configs have a credential.
async fn until_issued(world: &World, names: &[String]) -> Duration {
    let begin = world.now();
    world.until("all are issued", |world| names.iter().all(|name| is_issued(world, name))).await;
    world.now().duration_since(begin).unsigned_abs()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_lost_secrets_cost_a_throttling_sts_few_calls() {
    for (row, per_second, most) in [("the default rate", 100, 30), ("without a limit", 10_000, 10)] {
        let world = world(per_second);
        let names = with(&world, &people(1000)).await;
        world.sts.always(Behaviour::Throttling);
        for name in &names {
            assert!(world.api.delete("Secret", SCORING, &format!("{name}-aws")));
        }
        world.pass(20 * SECOND).await;
        let calls = world.sts.count();
        assert!((10..=150).contains(&calls), "{row}: {calls} calls in 20 s");
        world.sts.behave_well();
        let took = until_issued(&world, &names).await;
        assert!(took <= most * SECOND, "{row}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_sts_cost_no_renewal() {
    for (row, behaviour, count) in
        [("no connection", Behaviour::ConnectionFailure, 1000), ("no answer", Behaviour::Hang, 300)]
    {
        let world = world(100);
        let names = with(&world, &people(count)).await;
        // All are due within 9 min: from 33 to 42 min after their issue.
        world.pass(32 * MINUTE).await;
        world.sts.always(behaviour);
        world.pass(10 * MINUTE).await;
        let calls = world.sts.count();
        assert!(calls <= 200, "{row}: {calls} calls in 10 min");
        assert!(names.iter().all(|name| world.is_ready(name)), "{row}: nobody loses a credential");
        let failing = world.condition(&names[0], "RenewalFailing").unwrap();
        assert_eq!((failing.0.as_str(), failing.1.as_str()), ("True", "Unreachable"), "{row}: {}", failing.2);

        world.sts.behave_well();
        let back = world.now();
        let is_renewed = |world: &World, name: &str| world.record(name).is_some_and(|record| record.issued_at >= back);
        let all_due = |world: &World| {
            names.iter().all(|name| is_renewed(world, name) || world.status(name).renew_at.unwrap().0 > world.now())
        };
        world.until("what is due is renewed", all_due).await;
        let took = world.now().duration_since(back);
        assert!(took <= SignedDuration::from_secs(60), "{row}: {took:?}");
        world.settle().await;
        assert!(names.iter().all(|name| world.condition(name, "RenewalFailing").is_none()), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_does_not_wait_for_5_000_issues() {
    for (row, behaviour) in [("no answer", Behaviour::Hang), ("throttling", Behaviour::Throttling)] {
        let world = world(100);
        with(&world, &[alice()]).await;
        world.sts.always(behaviour);
        for some in people(5000).chunks(500) {
            apply(&world, some);
            world.pass(SECOND / 10).await;
        }
        world.change("alice", |spec| spec.suspend = true);
        world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
        assert!(world.sts.count() <= 100, "{row}: {} calls", world.sts.count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_does_not_wait_for_the_session_of_a_profile() {
    let world = world(100);
    with(&world, &[alice()]).await;
    world.sts.always(Behaviour::Hang);
    world.change("alice", |spec| {
        spec.role = Some(role("finance"));
        spec.profiles = serde_json::from_value(json!([{"name": "lake", "role": role("ds-lake")}])).unwrap();
    });
    let is_withdrawn = |world: &World| world.record("alice").is_some_and(|record| record.withdrawn.is_some());
    world.at_once("it is withdrawn", is_withdrawn).await;
    world.pass(MINUTE).await;
    world.sts.behave_well();
    let is_served =
        |world: &World| world.status("alice").profile("lake").is_some_and(|profile| profile.access_key_id.is_some());
    world.until("the profile has its session", is_served).await;
    assert!(is_withdrawn(&world), "the role of the config is still not granted");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_goes_while_a_config_waits_leaves_nothing_to_ask() {
    let world = world(1);
    world.sts.always(Behaviour::Throttling);
    let waiting = people(20);
    apply(&world, &waiting);
    world.apply(&config_in(LAB, "erin", |_| {}));
    world.pass(5 * SECOND).await;
    assert!(world.api.delete("AwsRoleGrant", "", "analysts"));
    world.settle().await;
    world.sts.behave_well();
    world.count_from_here();
    world.pass(2 * MINUTE).await;
    let of_scoring = |call: &Call| call.external_id.as_deref() == Some("prod/scoring");
    assert_eq!(world.sts.count_where(of_scoring), 0, "no call without a grant");
    assert!(world.api.get("Secret", LAB, "erin-aws").is_some(), "the other namespace is served");
    assert!(names(&waiting).iter().all(|name| world.ready(name) == "False/NotGranted"));
}

#[tokio::test(start_paused = true)]
async fn one_namespace_waits_for_no_other_that_asks_for_more() {
    let world = world(2);
    apply(&world, &people(200));
    world.pass(3 * SECOND).await;
    world.apply(&config_in(LAB, "erin", |_| {}));
    let is_served = |world: &World| world.api.get("Secret", LAB, "erin-aws").is_some();
    let begin = world.now();
    world.until("the other namespace is served", is_served).await;
    let took = world.now().duration_since(begin);
    assert!(took <= SignedDuration::from_secs(2), "{took:?}");
    let names = names(&people(200));
    let waiting: Vec<&String> = names.iter().filter(|name| world.ready(name) == "False/HeldBack").collect();
    assert!(waiting.len() > 100, "{} say so", waiting.len());
    let (_, _, message) = world.condition(waiting[0], "Ready").unwrap();
    assert!(message.contains("2 times a second") && message.contains("limits.stsPerSecond"), "{message}");
    world.until("all are issued in the end", |world| names.iter().all(|name| world.is_ready(name))).await;
    assert_eq!(world.sts.count(), 201, "nobody is asked twice");
}

#[tokio::test(start_paused = true)]
async fn one_denied_role_costs_twelve_calls_in_its_first_hour_across_restarts() {
    let mut world = world(100);
    world.sts.behave_for(&role("ds-analyst"), crate::doubles::rules::Times::UntilCleared, Behaviour::AccessDenied);
    world.apply(&alice());
    for minute in 1..=60 {
        world.pass(MINUTE).await;
        if minute == 5 {
            assert!(world.sts.count() <= 4, "{} calls in 5 min", world.sts.count());
        }
        if minute % 7 == 0 {
            world.kill().await;
            start(&mut world, 100);
        } else if minute % 3 == 0 {
            world.stop().await;
            start(&mut world, 100);
        }
    }
    let calls = world.sts.count();
    assert!((8..=12).contains(&calls), "{calls} calls in the first hour");
}
