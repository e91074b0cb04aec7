//! A DSS that never answers again: keyturn releases deleted objects in the end.

use super::*;
use crate::{doubles::dss::Behaviour, fixtures::personal_key};

/// alice with a key in a DSS that no longer answers.
async fn alice_and_no_dss() -> World {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    world.dss.always(Behaviour::Maintenance);
    world
}

/// Whether a condition holds within 25 hours, in which no leader lives longer than 50 minutes.
async fn comes_with_short_lived_leaders(world: &mut World, holds: impl Fn(&World) -> bool) -> bool {
    for _ in 0..30 {
        world.pass(Duration::from_mins(50)).await;
        if holds(world) {
            return true;
        }
        world.kill().await;
        world.start();
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_deleted_config_is_released_after_a_day_of_many_leaders() {
    let mut world = alice_and_no_dss().await;
    world.api.delete("AwsConfig", "scoring", "alice");
    let deleted = world.now();
    assert!(comes_with_short_lived_leaders(&mut world, |world| world.config("alice").is_none()).await);
    assert!(world.now().duration_since(deleted).as_hours() >= 24, "not before");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_is_released_after_a_day_of_many_leaders() {
    let mut world = alice_and_no_dss().await;
    world.api.delete("DssInstance", "", "design");
    let deleted = world.now();
    assert!(comes_with_short_lived_leaders(&mut world, |world| world.instance("design").is_none()).await);
    assert!(world.now().duration_since(deleted).as_hours() >= 24, "not before");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_is_released_after_an_hour_of_one_leader() {
    let world = alice_and_no_dss().await;
    world.api.delete("DssInstance", "", "design");
    world.pass(Duration::from_mins(55)).await;
    assert!(world.instance("design").is_some(), "it waits");
    world.until("it is given up", |world| world.instance("design").is_none()).await;
    assert_eq!(world.ready("alice"), "False/DssInstanceMissing");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_starts_days_later_tries_before_it_gives_up() {
    let mut world = world_with(&[("alice", Box::new(personal_key))]).await;
    world.kill().await;
    world.api.delete("AwsConfig", "scoring", "alice");
    world.pass(Duration::from_hours(48)).await;
    world.start();
    world.until("it is gone", |world| world.config("alice").is_none()).await;
    assert!(world.dss.personal_keys().is_empty());
}
