//! Leftovers: no key is left behind wherever the operator is killed, and no foreign key is deleted.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Call},
        rules::Times,
    },
    fixtures::personal_key,
    simulated::restart::kill_at_write,
};
use std::sync::atomic::{AtomicUsize, Ordering};

fn asks_for_key() -> Vec<(&'static str, Box<dyn Fn(&mut AwsConfigSpec)>)> {
    vec![("alice", Box::new(personal_key))]
}

/// The keys in DSS that keyturn created.
fn ours(world: &World) -> Vec<String> {
    let keys = world.dss.personal_keys().into_iter().filter(|key| key.label.starts_with("keyturn "));
    keys.map(|key| key.key).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_created_key_leaves_one_key() {
    let mut world = world();
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.dss.behave_if(Times::N(3), |call| call.method == "POST", Behaviour::AnswerLost);
    world.apply(&config("alice", personal_key));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    assert_eq!(world.dss.keys_ever(), 4);
    world.pass(REFRESH).await;
    assert_eq!(ours(&world), [world.value("alice", "DKU_API_KEY")]);
}

/// A world in which alice has no config yet.
async fn before_alice() -> World {
    let mut world = world();
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.settle().await;
    world
}

/// Creates keys whose labels are similar to that of alice's config. All of them have to stay.
pub(super) fn others(world: &World) -> Vec<String> {
    let uid = world.config("alice").and_then(|config| config.metadata.uid).expect("there is alice's config");
    let labels = [
        "alice's own".to_owned(),
        format!("keyturn prod/scoring/alice {}", uid.chars().rev().collect::<String>()),
        format!("keyturn prod/scoring/alice {uid}0"),
        format!("keyturn prod/scoring/alice2 {uid}"),
        format!("keyturn prod2/scoring/alice {uid}"),
    ];
    labels.iter().map(|label| world.dss.add_personal_key("alice", label).key).collect()
}

/// Kills the operator at its `k`th call to DSS from now, before or after the call's effect, and
/// starts another operator. Returns whether there was such a call.
async fn kill_at_call(world: &mut World, k: usize, after: bool) -> bool {
    let seen = AtomicUsize::new(0);
    let fits = move |call: &Call| call.path != "/instance-info" && seen.fetch_add(1, Ordering::Relaxed) + 1 == k;
    let fault = if after { Behaviour::AnswerLost } else { Behaviour::Hang };
    world.dss.behave_if(Times::Once, fits, fault);
    let count = || world.dss.count_where(|call| call.path != "/instance-info");
    let begun = count();
    let mut reached = false;
    for _ in 0..100 {
        reached = reached || count() >= begun + k;
        if reached {
            break;
        }
        world.pass(Duration::from_millis(10)).await;
    }
    world.kill().await;
    world.dss.behave_well();
    world.start();
    reached
}

/// Kills the operator at its `k`th call to DSS, or write to the API server, from now. Returns
/// whether there was one.
pub(super) async fn kill_at(world: &mut World, at_call: bool, k: usize, after: bool) -> bool {
    if at_call {
        return kill_at_call(world, k, after).await;
    }
    kill_at_write(world, k, after, Duration::from_mins(1)).await.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_suspension_leave_no_key() {
    let mut world = before_alice().await;
    world.apply(&config("bob", personal_key));
    world.until("it is ready", |world| world.is_ready("bob")).await;
    world.pass(REFRESH).await;
    world.dss.behave_if(Times::Once, |call| call.method == "POST", Behaviour::AnswerLost);
    world.apply(&config("alice", personal_key));
    world.until("a key was created", |world| world.dss.keys_ever() == 2).await;
    world.change("alice", |spec| spec.suspend = true);
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(ours(&world), [world.value("bob", "DKU_API_KEY")]);
    world.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_point_of_a_first_issue_leaves_one_delivered_key() {
    for after in [false, true] {
        let mut cases = 0;
        for at_call in [false, true] {
            for k in 1..20 {
                let mut world = before_alice().await;
                world.apply(&config("alice", personal_key));
                if !kill_at(&mut world, at_call, k, after).await {
                    break;
                }
                world.until("it is ready", |world| world.is_ready("alice")).await;
                world.pass(REFRESH * 2).await;
                assert_eq!(
                    ours(&world),
                    [world.value("alice", "DKU_API_KEY")],
                    "killed at {k}, call: {at_call}, after: {after}"
                );
                assert!(world.is_ready("alice"));
                cases += 1;
            }
        }
        assert!(cases >= 10, "{cases}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_point_of_a_deletion_leaves_only_other_users_keys() {
    for after in [false, true] {
        let mut cases = 0;
        for at_call in [false, true] {
            for k in 1..20 {
                let mut world = world_with(&asks_for_key()).await;
                let others = others(&world);
                world.api.delete("AwsConfig", "scoring", "alice");
                if !kill_at(&mut world, at_call, k, after).await {
                    break;
                }
                world.until("it is gone", |world| world.config("alice").is_none()).await;
                let left: Vec<String> = world.dss.personal_keys().into_iter().map(|key| key.key).collect();
                assert_eq!(left, others, "killed at {k}, call: {at_call}, after: {after}");
                assert!(world.secret("alice").is_none());
                cases += 1;
            }
        }
        assert!(cases >= 3, "{cases}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_deleted_in_an_outage_waits_an_hour_and_names_its_key() {
    let world = world_with(&asks_for_key()).await;
    world.dss.always(Behaviour::Maintenance);
    world.api.delete("AwsConfig", "scoring", "alice");
    world.until("its Secret is gone at once", |world| world.secret("alice").is_none()).await;
    world.pass(Duration::from_mins(55)).await;
    assert!(world.config("alice").is_some(), "it waits");
    world.until("it is given up", |world| world.config("alice").is_none()).await;
    let events = world.api.list("events.events.k8s.io");
    let notes: Vec<String> = events.iter().filter_map(|event| event["note"].as_str().map(str::to_owned)).collect();
    assert!(
        notes.iter().any(|note| note.contains("keyturn prod/scoring/alice") && note.contains("\"design\"")),
        "{notes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_config_deleted_during_downtime_has_its_key_deleted() {
    let mut world = world_with(&asks_for_key()).await;
    world.kill().await;
    world.api.delete("AwsConfig", "scoring", "alice");
    world.pass(Duration::from_hours(5)).await;
    world.start();
    world.until("it is gone", |world| world.config("alice").is_none()).await;
    assert!(ours(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_config_deleted_in_a_short_outage_has_its_key_deleted_later() {
    let world = world_with(&asks_for_key()).await;
    world.dss.always(Behaviour::Maintenance);
    world.api.delete("AwsConfig", "scoring", "alice");
    world.pass(Duration::from_mins(20)).await;
    world.dss.behave_well();
    world.until("it is gone", |world| world.config("alice").is_none()).await;
    assert!(ours(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn deleting_an_instance_deletes_the_keys_in_it() {
    let world = world_with(&asks_for_key()).await;
    let finalizers = |world: &World| world.instance("design").and_then(|found| found.metadata.finalizers);
    assert_eq!(finalizers(&world).unwrap(), ["keyturn.dev/dss-keys"]);
    world.api.delete("DssInstance", "", "design");
    world.until("it is gone", |world| world.instance("design").is_none()).await;
    assert!(ours(&world).is_empty());
    assert_eq!(world.ready("alice"), "False/DssInstanceMissing");
    assert!(world.config("alice").unwrap().metadata.finalizers.unwrap_or_default().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_deleted_during_downtime_has_its_keys_deleted() {
    let mut world = world_with(&asks_for_key()).await;
    world.kill().await;
    world.api.delete("DssInstance", "", "design");
    assert!(world.instance("design").is_some(), "it waits");
    world.start();
    world.until("it is gone", |world| world.instance("design").is_none()).await;
    assert!(ours(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_has_its_finalizer_only_while_it_holds_a_key() {
    let world = world_with(&asks_for_key()).await;
    world.api.delete("AwsConfig", "scoring", "alice");
    world.until("it is gone", |world| world.config("alice").is_none()).await;
    world.pass(REFRESH).await;
    assert!(world.instance("design").unwrap().metadata.finalizers.unwrap_or_default().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_outlives_a_withdrawal_is_deleted_later() {
    let world = world_with(&asks_for_key()).await;
    world.dss.behave_if(Times::UntilCleared, |call| call.method == "DELETE", Behaviour::ServerError);
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(ours(&world).len(), 1);
    assert_eq!(world.status("alice").dss.unwrap().keys.len(), 1, "status records the leftover");
    world.dss.behave_well();
    world.until("it is deleted", |world| ours(world).is_empty()).await;
    world.settle().await;
    assert!(world.status("alice").dss.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_only_its_owner_may_delete_is_deleted_as_its_owner() {
    let world = world_with(&[("alice", Box::new(personal_key)), ("bob", Box::new(personal_key))]).await;
    world.dss.keys_are_their_owners_only(true);
    world.api.delete("AwsConfig", "scoring", "alice");
    world.until("hers is gone", |world| world.config("alice").is_none() && ours(world).len() == 1).await;

    world.dss.remove_user("bob");
    world.api.delete("AwsConfig", "scoring", "bob");
    world.pass(Duration::from_mins(10)).await;
    assert!(world.config("bob").is_some(), "DSS says that there is no bob: his key is there all the same");
    world.dss.keys_are_their_owners_only(false);
    world.until("his is gone, too", |world| world.config("bob").is_none()).await;
    assert!(ours(&world).is_empty());
}
