//! Rotations: a former key lives for one day, wherever the operator is killed, and is then deleted.

use super::{
    leftovers::{kill_at, others},
    *,
};
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

/// The time from `at` until the deletion of a key that status announces.
fn time_left(world: &World, key: &str, at: jiff::Timestamp) -> Option<SignedDuration> {
    let id = world.dss.personal_keys().into_iter().find(|personal| personal.key == key)?.id;
    let recorded = world.status("alice").dss?.keys.into_iter().find(|key| key.id == id)?;
    Some(recorded.delete_at?.0.duration_since(at))
}

#[tokio::test(start_paused = true)]
async fn a_former_key_missing_from_status_still_lives_for_a_day() {
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
        let left = time_left(&world, &delivered, world.now()).expect("status announces its deletion");
        assert!(SignedDuration::from_hours(23) < left && left <= SignedDuration::from_hours(24), "{left}");
        world.pass(Duration::from_hours(23)).await;
        assert_eq!(owner_of(&world, &delivered).as_deref(), Some("alice"), "by rotation: {delivered_by_a_rotation}");
        world.pass(Duration::from_hours(2)).await;
        let left: Vec<String> = world.dss.personal_keys().into_iter().map(|personal| personal.key).collect();
        assert_eq!(left, [key(&world)]);
        world.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_changes_again_and_again_creates_few_keys() {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    let others = others(&world).len();
    world.pass(Duration::from_secs(60)).await;
    let keys = |world: &World| world.dss.personal_keys().len() - others;
    for n in 0..60 {
        rotate(&world, &format!("fast {n}"));
        world.pass(Duration::from_millis(500)).await;
    }
    assert!((7..=9).contains(&keys(&world)), "the first key, five at once, and one in 10 s: {}", keys(&world));
    for n in 0..60 {
        rotate(&world, &format!("slow {n}"));
        world.pass(Duration::from_secs(5)).await;
    }
    assert!(keys(&world) <= 16, "of the keys that were replaced, status names no more: {}", keys(&world));
    world.pass(Duration::from_secs(20)).await;
    assert!(world.is_ready("alice"), "the last rotation is delivered: {}", world.picture());
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
}

fn assert_keys(world: &World, expected: &[&[String]], case: &str) {
    let mut there: Vec<String> = world.dss.personal_keys().into_iter().map(|personal| personal.key).collect();
    let mut expected = expected.concat();
    there.sort();
    expected.sort();
    assert_eq!(there, expected, "{case}\n{}", world.picture());
}

/// Rotates alice's key repeatedly and kills the operator at another point each time. Returns the
/// delivered keys, the first one first.
async fn rotated_and_killed_everywhere(world: &mut World, after: bool, others: &[String]) -> Vec<String> {
    let mut delivered = vec![key(world)];
    let mut cases = 0;
    for at_call in [true, false] {
        for k in 1..20 {
            let case = format!("killed at {k}, call: {at_call}, after: {after}");
            let former = key(world);
            rotate(world, &case);
            let reached = kill_at(world, at_call, k, after).await;
            world.until(&case, |world| key(world) != former && world.is_ready("alice")).await;
            world.pass(REFRESH * 2).await;
            delivered.push(key(world));
            assert_keys(world, &[&delivered, others], &case);
            let left = time_left(world, &former, world.now()).expect("status announces its deletion");
            assert!(SignedDuration::from_hours(23) < left, "{case}: {left}");
            if !reached {
                break;
            }
            cases += 1;
        }
    }
    assert!(cases >= 4, "{cases}");
    delivered
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_point_of_a_rotation_gives_former_keys_one_day() {
    for after in [false, true] {
        let mut world = world_with(&[("alice", Box::new(personal_key))]).await;
        let others = others(&world);
        let mut delivered = rotated_and_killed_everywhere(&mut world, after, &others).await;
        let mut reached = [0, 0];
        for n in 1.. {
            let [former, _, ..] = &delivered[..] else { break };
            let left = time_left(&world, former, world.now()).expect("status announces its deletion");
            world.pass(Duration::try_from(left - SignedDuration::from_millis(100)).unwrap()).await;
            let at_call = n % 2 == 1;
            let case = format!("killed at {n} of the ends, call: {at_call}, after: {after}");
            assert_keys(&world, &[&delivered, &others], &case);
            // The deletion of a key is one call and one write. A second one, if any, is killed as
            // well.
            let k = if n % 4 < 3 { 1 } else { 2 };
            reached[usize::from(at_call)] += usize::from(kill_at(&mut world, at_call, k, after).await);
            world.pass(Duration::from_mins(2)).await;
            delivered.remove(0);
            assert_keys(&world, &[&delivered, &others], &case);
            let recorded = world.status("alice").dss.unwrap().keys.len();
            assert_eq!(recorded, delivered.len(), "{case}: status names the existing keys");
        }
        assert!(reached.iter().all(|&reached| reached >= 2), "{reached:?}");
        assert_keys(&world, &[&[key(&world)], &others], "at the end");
        world.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_point_of_a_withdrawal_leaves_only_other_users_keys() {
    for after in [false, true] {
        let mut cases = 0;
        for at_call in [false, true] {
            for k in 1..20 {
                let mut world = world_with(&[("alice", Box::new(personal_key))]).await;
                let (others, former) = (others(&world), key(&world));
                rotate(&world, "2");
                world.until("it is rotated", |world| key(world) != former && world.is_ready("alice")).await;
                world.settle().await;
                assert_keys(&world, &[&[former, key(&world)], &others], "two keys to delete");
                world.change("alice", |spec| spec.suspend = true);
                let reached = kill_at(&mut world, at_call, k, after).await;
                let case = format!("killed at {k}, call: {at_call}, after: {after}");
                world.until(&case, |world| world.is_withdrawn("alice")).await;
                world.pass(REFRESH * 2).await;
                assert_keys(&world, &[&others], &case);
                assert!(world.status("alice").dss.is_none(), "{case}");
                assert!(world.config("alice").unwrap().metadata.finalizers.unwrap_or_default().is_empty(), "{case}");
                world.kill().await;
                if !reached {
                    break;
                }
                cases += 1;
            }
        }
        assert!(cases >= 5, "{cases}");
    }
}
