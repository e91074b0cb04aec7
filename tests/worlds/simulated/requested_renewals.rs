//! Renewals that a user asks for by an annotation.

use super::world::{Cost, World};
use crate::{
    doubles::{apiserver::Fault, rules::Times, sts::Behaviour},
    fixtures::{SCORING, alice, config, delivers_key, grant},
};
use keyturn::api::CredentialProvider;
use std::time::Duration;

/// Asks for a new session of alice's by this text.
fn ask(world: &World, text: &str) {
    world.api.edit("AwsConfig", SCORING, "alice", |config| {
        config["metadata"]["annotations"]["keyturn.dev/renew"] = text.into();
    });
}

fn session(world: &World) -> String {
    world.value("alice", "AWS_ACCESS_KEY_ID")
}

#[tokio::test(start_paused = true)]
async fn each_new_text_brings_a_new_session_without_a_gap() {
    let world = World::with(&[alice()]).await;
    let mut former = session(&world);
    for text in ["now", "again", "2026-01-01T00:00:00Z"] {
        world.count_from_here();
        ask(&world, text);
        world
            .at_once("there is a new session", |world| {
                assert!(world.holds_a_valid_session("alice"), "{text}: never without a session");
                session(world) != former
            })
            .await;
        world.settle().await;
        // The write of status shows the annotation's text, and the Event tells of it.
        assert_eq!(world.cost(), Cost { sts: 1, reads: 0, writes: 3 }, "{text}: {}", world.picture());
        assert_eq!(world.status("alice").renewed.as_deref(), Some(text));
        assert_eq!(world.api.count("delete", "secrets"), 0, "{text}");
        former = session(&world);
        world.pass(Duration::from_secs(30)).await;
    }
    assert_eq!(world.event_reasons(), ["Issued", "Renewed", "Renewed", "Renewed"]);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_was_answered_asks_for_nothing_after_a_restart() {
    let mut world = World::with(&[alice()]).await;
    ask(&world, &"ä".repeat(300));
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sts.count(), 1);
    world.kill().await;
    world.count_from_here();
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING, "{}", world.picture());
    world.api.edit("AwsConfig", SCORING, "alice", |config| config["metadata"]["annotations"] = serde_json::json!({}));
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING, "a text that is taken away asks for nothing");
}

#[tokio::test(start_paused = true)]
async fn texts_that_change_all_the_time_wait_for_the_floor_between_issues() {
    let world = World::with(&[alice()]).await;
    for n in 0..600 {
        ask(&world, &n.to_string());
        world.pass(Duration::from_millis(100)).await;
    }
    // Five at once, and then one in ten seconds.
    assert!((9..=12).contains(&world.sts.count()), "{} calls", world.sts.count());
    assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_requested_renewal_that_fails_is_reported_and_retried() {
    let world = World::with(&[alice()]).await;
    let former = session(&world);
    world.sts.always(Behaviour::Throttling);
    ask(&world, "now");
    world.pass(Duration::from_secs(20)).await;
    assert!(world.is_ready("alice") && session(&world) == former);
    assert_eq!(world.condition("alice", "RenewalFailing").unwrap().1, "Throttled");
    world.sts.behave_well();
    world.until("there is a new session", |world| session(world) != former).await;
    world.settle().await;
    assert!(world.condition("alice", "RenewalFailing").is_none(), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_once_while_status_cannot_be_written() {
    let world = World::with(&[alice()]).await;
    let rule = world.api.fault_on(Times::UntilCleared, "patch", "awsconfigs/status", Fault::forbidden());
    ask(&world, "now");
    world.pass(Duration::from_secs(300)).await;
    assert_eq!(world.sts.count(), 1, "{}", world.picture());
    world.api.forgive(rule);
    world.until("status says so", |world| world.status("alice").renewed.as_deref() == Some("now")).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_reads_a_key_again_and_calls_nobody() {
    let world = World::started();
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "secret");
    world.apply(&config("alice", delivers_key("mine")));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    world.count_from_here();
    ask(&world, "now");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.status("alice").renewed.as_deref(), Some("now"));
    assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (0, 0));
    let before = world.cost();
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.cost(), before, "{}", world.picture());
}
