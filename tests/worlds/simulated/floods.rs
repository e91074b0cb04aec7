//! Floods: users that change their configs as fast as the API server takes it, and the rates at
//! which keyturn asks STS all the same.

use super::world::World;
use crate::{
    doubles::{rules::Times, sts::Behaviour},
    fixtures::{SCORING, analysts, config, config_in, grant},
};
use jiff::SignedDuration;
use keyturn::{
    api::Namespaces,
    limit::{Rate, RateLimits},
    operator::Operator,
};
use std::time::Duration;

const LAB: &str = "lab";

/// A world whose operator asks so often in a second, and so often at once, for one namespace.
fn world(per_second: u32, burst: u32) -> World {
    let mut world = World::empty();
    world.api.namespace(LAB, &[]);
    world.apply(&analysts());
    world.apply(&grant(LAB, |spec| {
        spec.namespaces = Some(Namespaces { names: vec![LAB.to_owned()], selector: None });
    }));
    let rate_limits = RateLimits { namespace: Rate { per_second, burst }, ..RateLimits::default() };
    world.start_as(Operator { rate_limits, ..world.operator() });
    world
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}")).collect()
}

async fn with_configs(world: &World, names: &[String]) {
    for name in names {
        world.apply(&config(name, |_| {}));
    }
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    // The namespace has not asked for anything for so long that its burst is full again.
    world.pass(Duration::from_secs(60)).await;
    world.count_from_here();
}

/// Changes what each of these configs asks STS for.
fn flip(world: &World, names: &[String], round: usize) {
    let duration = ["15m", "16m"][round % 2];
    for name in names {
        world.change(name, |spec| {
            spec.session.get_or_insert_default().duration = Some(serde_json::from_value(duration.into()).unwrap());
        });
    }
}

fn is_issued_in_lab(world: &World, name: &str) -> bool {
    let secret = world.api.get("Secret", LAB, &format!("{name}-aws"));
    secret.is_some_and(|secret| secret["data"]["AWS_ACCESS_KEY_ID"].is_string())
}

fn calls_for(world: &World, namespace: &str) -> usize {
    let external_id = format!("prod/{namespace}");
    world.sts.count_where(|call| call.external_id.as_ref() == Some(&external_id))
}

#[tokio::test(start_paused = true)]
async fn sixty_four_flipped_configs_cost_the_rate_and_delay_no_other_namespace() {
    let (per_second, burst) = (5, 50);
    let world = world(per_second, burst);
    let names = names(64);
    with_configs(&world, &names).await;
    world.sts.always(Behaviour::Latency(Duration::from_millis(300)));
    for round in 0..120 {
        flip(&world, &names, round);
        if round % 24 == 0 {
            let newcomer = format!("newcomer-{round}");
            world.apply(&config_in(LAB, &newcomer, |_| {}));
            world.at_once("the other namespace has its Secret", |world| is_issued_in_lab(world, &newcomer)).await;
        }
        world.pass(Duration::from_millis(500)).await;
    }
    // Each of the five rounds with a newcomer may have taken a second more.
    let most = usize::try_from(burst + per_second * 65).unwrap();
    let calls = calls_for(&world, SCORING);
    assert!(calls <= most && calls >= most - 75, "{calls} calls, and {most} are allowed");

    world.until("the last change is issued", |world| names.iter().all(|name| world.is_ready(name))).await;
    assert!(names.iter().all(|name| world.holds_a_valid_session(name)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_due_is_not_delayed_by_a_flood_of_changes() {
    let world = world(1, 10);
    let flipped = names(64);
    with_configs(&world, &[flipped.as_slice(), &["alice".to_owned()]].concat()).await;
    let before = world.record("alice").unwrap();
    let before_due = world.status("alice").renew_at.unwrap().0 - SignedDuration::from_secs(5);
    world.pass(Duration::try_from(before_due.duration_since(world.now())).unwrap()).await;
    for round in 0..10 {
        flip(&world, &flipped, round);
        world.pass(Duration::from_millis(500)).await;
    }
    world.pass_until_due("alice").await;
    world
        .at_once("it is renewed", |world| {
            world.record("alice").is_some_and(|record| record.access_key_id != before.access_key_id)
        })
        .await;
    assert!(!flipped.iter().all(|name| world.is_ready(name)), "the flood goes on");
}

#[tokio::test(start_paused = true)]
async fn a_slow_sts_for_one_namespace_delays_no_first_issue_in_another() {
    let world = world(1000, 1000);
    let slow = Behaviour::Latency(Duration::from_secs(8));
    world.sts.behave_if(Times::UntilCleared, |call| call.external_id.as_deref() == Some("prod/scoring"), slow);
    let names = names(300);
    for name in &names {
        world.apply(&config(name, |_| {}));
    }
    world.settle().await;
    let waiting = calls_for(&world, SCORING);
    assert!((16..=24).contains(&waiting), "{waiting} of 32 calls");
    for newcomer in ["erin", "frank"] {
        world.apply(&config_in(LAB, newcomer, |_| {}));
        world.at_once("the other namespace has its Secret", |world| is_issued_in_lab(world, newcomer)).await;
    }
    world.until("all are issued in the end", |world| names.iter().all(|name| world.is_ready(name))).await;
    assert_eq!(calls_for(&world, SCORING), 300, "nobody is asked twice");
}

#[tokio::test(start_paused = true)]
async fn a_config_that_changes_again_and_again_is_issued_five_times_at_once() {
    let world = world(100, 100);
    let names = names(1);
    with_configs(&world, &names).await;
    for round in 0..10 {
        flip(&world, &names, round);
        world.pass(Duration::from_millis(100)).await;
    }
    assert_eq!(world.sts.count(), 5);
    let (_, reason, message) = world.condition(&names[0], "Issued").unwrap();
    assert_eq!(reason, "HeldBack");
    assert!(message.contains("once in 10 s") && message.contains("managedFields"), "{message}");
    assert!(world.holds_a_valid_session(&names[0]), "it keeps what it has");

    world.pass(Duration::from_secs(10)).await;
    assert!(world.is_ready(&names[0]), "the last change is issued");
    assert_eq!(world.sts.count(), 6);
    assert!(world.api.delete("Secret", SCORING, &format!("{}-aws", names[0])));
    world.pass(Duration::from_secs(10)).await;
    assert!(world.holds_a_valid_session(&names[0]), "a deleted Secret waits for its turn, too");
    assert_eq!(world.sts.count(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_config_that_waits_long_for_its_turn_says_why_and_is_issued_in_turn() {
    let world = world(1, 10);
    let names = names(40);
    for name in &names {
        world.apply(&config(name, |_| {}));
    }
    world.settle().await;
    let waiting: Vec<&String> = names.iter().filter(|name| world.ready(name) == "False/HeldBack").collect();
    assert!((15..=20).contains(&waiting.len()), "the waits are 1 to 30 s: {}", waiting.len());
    let (_, _, message) = world.condition(waiting[0], "Ready").unwrap();
    for part in ["namespace \"scoring\" is used up (1 a second, 10 at once)", "limits.requests"] {
        assert!(message.contains(part), "{message}");
    }
    world.pass(Duration::from_secs(32)).await;
    assert!(names.iter().all(|name| world.is_ready(name)), "{}", world.picture());
    assert_eq!(world.sts.count(), 40, "nobody is asked twice");
}
