//! A rotated key has its day, wherever the operator is killed, and then it goes.

use super::*;
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::personal_key,
};
use jiff::SignedDuration;

fn key(world: &World) -> String {
    world.value("alice", "DKU_API_KEY")
}

fn rotate(world: &World, rotation: &str) {
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some(rotation.to_owned()));
}

/// How long after `at` status says that a key goes.
fn days_of(world: &World, key: &str, at: jiff::Timestamp) -> Option<SignedDuration> {
    let id = world.dss.personal_keys().into_iter().find(|personal| personal.key == key)?.id;
    let told = world.status("alice").dss?.keys.into_iter().find(|told| told.id == id)?;
    Some(told.delete_at?.0.duration_since(at))
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_delivered_and_not_noted_in_status_has_its_day_when_it_is_rotated_after_a_restart() {
    for delivered_by_a_rotation in [false, true] {
        let mut world = if delivered_by_a_rotation {
            world_with(&[("alice", Box::new(personal_key))]).await
        } else {
            world_with(&[]).await
        };
        let first = if delivered_by_a_rotation { key(&world) } else { String::new() };
        let status = |request: &crate::doubles::apiserver::Request| request.is("patch", "awsconfigs/status");
        let rule = world.api.fault(Times::UntilCleared, status, Fault::Hang);
        if delivered_by_a_rotation {
            rotate(&world, "2");
        } else {
            world.apply(&config("alice", personal_key));
        }
        world.until("a key is delivered", |world| !key(world).is_empty() && key(world) != first).await;
        let delivered = key(&world);
        world.settle().await;
        world.kill().await;
        world.api.forgive(rule);
        rotate(&world, "3");
        world.start();
        world.until("it is rotated", |world| key(world) != delivered && world.is_ready("alice")).await;
        world.settle().await;
        let left = days_of(&world, &delivered, world.now()).expect("status says when it goes");
        assert!(SignedDuration::from_hours(23) < left && left <= SignedDuration::from_hours(24), "{left}");
        world.pass(Duration::from_hours(23)).await;
        assert_eq!(owner_of(&world, &delivered).as_deref(), Some("alice"), "by rotation: {delivered_by_a_rotation}");
        world.pass(Duration::from_hours(2)).await;
        let left: Vec<String> = world.dss.personal_keys().into_iter().map(|personal| personal.key).collect();
        assert_eq!(left, [key(&world)]);
        world.kill().await;
    }
}
