//! The age of a config (`ceilings.maxAge`): it ends unless somebody confirms it. The rules of the
//! API server say who may do that (`real::confirmation`); here everybody may.

use super::{assert_withdrawn, is_refused};
use crate::{
    fixtures::{SCORING, alice, analysts},
    simulated::world::World,
};
use jiff::{SignedDuration, Timestamp};
use keyturn::{api::AwsConfig, operator::Operator};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const CONFIRMED: &str = "keyturn.dev/confirmed";

/// A world whose operator wants a confirmation every 20 days, with alice's config ready.
async fn world() -> World {
    let mut world = World::empty();
    world.apply(&analysts());
    world.apply(&alice());
    start(&mut world);
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world
}

fn start(world: &mut World) {
    let max_age = Some(SignedDuration::from_hours(20 * 24));
    world.start_as(Operator { max_age, ..world.operator() });
}

fn annotate(world: &World, text: &str) {
    world
        .api
        .edit("AwsConfig", SCORING, "alice", |config| config["metadata"]["annotations"] = json!({CONFIRMED: text}));
}

fn created(world: &World) -> Timestamp {
    world.config("alice").unwrap().metadata.creation_timestamp.unwrap().0
}

/// Lets time pass until this many days after the creation, less or more a second.
async fn pass_until_day(world: &World, day: i64, seconds: i64) {
    let at = created(world) + SignedDuration::from_hours(24 * day) + SignedDuration::from_secs(seconds);
    world.pass(Duration::try_from(at.duration_since(world.now())).unwrap()).await;
}

fn warning(world: &World) -> Option<String> {
    world.condition("alice", "ConfirmationDue").map(|(_, _, message)| message)
}

#[tokio::test(start_paused = true)]
async fn a_config_that_nobody_confirms_is_warned_and_withdrawn_to_the_second() {
    let world = world().await;
    pass_until_day(&world, 6, -1).await;
    assert_eq!(warning(&world), None);
    pass_until_day(&world, 6, 1).await;
    let message = warning(&world).expect("14 days before the end");
    assert!(message.contains("annotate --overwrite awsconfig alice keyturn.dev/confirmed="), "{message}");
    assert!(world.is_ready("alice"), "it is a warning only");
    pass_until_day(&world, 20, -1).await;
    assert!(world.holds_a_valid_session("alice"), "{}", world.picture());
    pass_until_day(&world, 20, 1).await;
    assert!(is_refused(&world, "alice", "NotConfirmed"), "{}", world.picture());
    assert_withdrawn(&world, "alice", "NotConfirmed");
    assert_eq!(warning(&world), None, "the refusal says it now");
    assert_eq!(world.event_reasons(), ["Issued", "NotConfirmed", "NotConfirmed"], "a warning, and the withdrawal");

    world.count_from_here();
    world.pass(2 * DAY).await;
    assert_eq!(world.sts.count(), 0, "nothing is issued");
    annotate(&world, &world.now().to_string());
    world.at_once("alice is issued again", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
    world.pass(5 * DAY).await;
    assert_eq!(warning(&world), None);
    world.pass(16 * DAY).await;
    assert!(is_refused(&world, "alice", "NotConfirmed"), "the confirmation counts as long as the creation");
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_for_a_future_time_never_counts() {
    let mut world = world().await;
    pass_until_day(&world, 1, 0).await;
    let future = created(&world) + SignedDuration::from_hours(21 * 24);
    annotate(&world, &future.to_string());
    world.settle().await;
    let message = warning(&world).expect("it says so at once");
    assert!(message.contains("was in the future when it was written"), "{message}");
    assert!(world.is_ready("alice"), "the creation still counts");
    assert_eq!(world.status("alice").early_confirmation.map(|time| time.0), Some(future));

    pass_until_day(&world, 20, 1).await;
    assert_withdrawn(&world, "alice", "NotConfirmed");
    // Another process does not know more than status says.
    world.stop().await;
    start(&mut world);
    pass_until_day(&world, 22, 0).await;
    assert!(is_refused(&world, "alice", "NotConfirmed"), "its time has come: {}", world.picture());

    annotate(&world, &world.now().to_string());
    world.at_once("alice is issued again", |world| world.is_ready("alice")).await;
    assert_eq!(world.status("alice").early_confirmation, None);
}

#[tokio::test(start_paused = true)]
async fn a_git_ops_writer_takes_no_confirmation_back() {
    let world = world().await;
    pass_until_day(&world, 19, 0).await;
    let configs: Api<AwsConfig> = Api::namespaced(world.api.client(), SCORING);
    let git_ops = PatchParams::apply("argocd-controller").force();
    configs.patch("alice", &git_ops, &Patch::Apply(alice())).await.unwrap();
    let confirmation = json!({"metadata": {"annotations": {CONFIRMED: world.now().to_string()}}});
    configs.patch("alice", &PatchParams::default(), &Patch::Merge(confirmation)).await.unwrap();
    for _ in 0..20 {
        configs.patch("alice", &git_ops, &Patch::Apply(alice())).await.unwrap();
        world.pass(DAY / 2).await;
    }
    assert!(world.is_ready("alice"), "it heals itself, and the confirmation stays: {}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_config_without_a_limit_notes_nothing_about_its_age() {
    let world = World::with(&[alice()]).await;
    annotate(&world, "2036-01-01T00:00:00Z");
    world.pass(30 * DAY).await;
    assert!(world.is_ready("alice") && warning(&world).is_none(), "{}", world.picture());
    assert_eq!(world.status("alice").early_confirmation, None);
}
