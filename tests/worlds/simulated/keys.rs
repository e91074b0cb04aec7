//! Provider `default`: an access key from a user's Secret.

use super::world::{Cost, World};
use crate::{
    doubles::{apiserver::Fault, rules::Times, sts::Behaviour},
    fixtures::{SCORING, alice, config, delivers_key, grant, role},
};
use keyturn::api::CredentialProvider;
use serde_json::json;
use std::time::Duration;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const OTHER_ID: &str = "AKIAOTHEROTHEROTHER1";

/// A world with a grant for keys and without a key.
fn started() -> World {
    let world = World::started();
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world
}

/// alice's key, delivered and at rest.
async fn alice_with_a_key() -> World {
    let world = started();
    world.put_key("mine", true, ID, "the/secret+key");
    world.apply(&config("alice", delivers_key("mine")));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    world.count_from_here();
    world
}

fn delivered(world: &World) -> (String, String) {
    (world.value("alice", "AWS_ACCESS_KEY_ID"), world.value("alice", "AWS_SECRET_ACCESS_KEY"))
}

fn is_refused(world: &World, reason: &str) -> bool {
    world.ready("alice") == format!("False/{reason}")
}

#[tokio::test(start_paused = true)]
async fn a_key_is_delivered_without_sts_and_does_not_expire() {
    let world = started();
    world.put_key("mine", true, ID, "the/secret+key");
    let source = world.api.get("Secret", SCORING, "mine");
    world.apply(&config("alice", delivers_key("mine")));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(delivered(&world), (ID.to_owned(), "the/secret+key".to_owned()));
    assert_eq!(world.value("alice", "AWS_SESSION_TOKEN"), "");
    let status = world.status("alice");
    assert_eq!((status.expires_at, status.renew_at, status.external_id, status.active_role), (None, None, None, None));
    assert_eq!(status.access_key_id.as_deref(), Some(ID));
    world.count_from_here();
    world.pass(Duration::from_secs(24 * 3600)).await;
    assert_eq!(world.cost(), Cost::NOTHING);
    assert!(world.roles().is_empty());
    assert_eq!(world.api.get("Secret", SCORING, "mine"), source, "the user's own Secret is never written");
}

#[tokio::test(start_paused = true)]
async fn a_changed_key_is_delivered_in_a_second_and_a_label_costs_a_read() {
    let world = alice_with_a_key().await;
    world.put_key("mine", true, OTHER_ID, "another");
    world.at_once("the other key is there", |world| delivered(world) == (OTHER_ID.into(), "another".into())).await;
    world.settle().await;
    assert_eq!(world.cost(), Cost { sts: 0, reads: 1, writes: 3 }, "the target, the status, and the news");
    assert_eq!(world.status("alice").access_key_id.as_deref(), Some(OTHER_ID));

    world.count_from_here();
    world.api.edit("Secret", SCORING, "mine", |secret| secret["metadata"]["labels"]["team"] = json!("ds"));
    world.settle().await;
    assert_eq!(world.cost(), Cost { sts: 0, reads: 1, writes: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_missing_unoffered_or_invalid_key_has_its_own_reason() {
    let world = started();
    world.apply(&config("alice", delivers_key("mine")));
    world.until("missing", |world| is_refused(world, "KeySecretMissing")).await;
    world.put_key("mine", false, ID, "the/secret+key");
    world.pass(Duration::from_secs(700)).await;
    assert!(is_refused(&world, "SecretNotOffered"), "{}", world.ready("alice"));
    assert_eq!(
        world.api.count("get", "secrets"),
        world.api.count_where(|request| {
            request.is("get", "secrets") && request.accept.contains("PartialObjectMetadata")
        }),
        "its data is not read"
    );
    world.put_key("mine", true, "no key", "the/secret+key");
    world.at_once("invalid", |world| is_refused(world, "KeySecretInvalid")).await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(
        message.contains("\"mine\"") && message.contains("aws_access_key_id") && !message.contains("no key,"),
        "{message}"
    );
    assert!(world.secret("alice").is_none(), "a Secret that never held a credential is not created");
    world.put_key("mine", true, ID, "the/secret+key");
    world.at_once("delivered", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_no_longer_offered_is_withdrawn_from_the_target() {
    let changes: [(&str, fn(&World)); 3] = [
        ("SecretNotOffered", |world| world.put_key("mine", false, ID, "the/secret+key")),
        ("KeySecretMissing", |world| assert!(world.api.delete("Secret", SCORING, "mine"))),
        ("KeySecretInvalid", |world| world.put_key("mine", true, ID, "")),
    ];
    for (reason, change) in changes {
        let world = alice_with_a_key().await;
        change(&world);
        world.at_once(reason, |world| is_refused(world, reason)).await;
        assert!(world.is_withdrawn("alice"), "{reason}: {}", world.picture());
        let id = format!("WITHDRAWN_by_keyturn_{reason}");
        assert_eq!(delivered(&world), (id, "WITHDRAWN".to_owned()), "{reason}");
        let message = world.condition("alice", "Ready").unwrap().2;
        assert!(message.contains(ID) && message.contains("deactivated in IAM"), "{message}");
        world.put_key("mine", true, ID, "the/secret+key");
        world.at_once("it is back", |world| world.is_ready("alice")).await;
        assert_eq!(delivered(&world).0, ID, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_offered_secrets_withdraws_nothing() {
    let mut world = alice_with_a_key().await;
    world.stop().await;
    world.count_from_here();
    let offered = |request: &crate::doubles::apiserver::Request| {
        request.lists("secrets") && request.query.get("labelSelector").is_some_and(|s| s.contains("source"))
    };
    world.api.fault(Times::Once, offered, Fault::EmptyList);
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(delivered(&world).0, ID);
    assert_eq!(world.api.writes().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_s_secret_is_not_read_without_a_grant_for_its_provider() {
    let world = World::started();
    world.put_key("mine", true, ID, "the/secret+key");
    world.apply(&config("alice", delivers_key("mine")));
    world.until("it is refused", |world| is_refused(world, "NotGranted")).await;
    assert_eq!(world.reads(), 0);
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.at_once("it is delivered", |world| world.is_ready("alice")).await;
    world.api.delete("AwsRoleGrant", "", "keys");
    world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_costs_nothing_and_a_deleted_target_costs_one_read() {
    let mut world = alice_with_a_key().await;
    world.stop().await;
    world.count_from_here();
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING);
    world.api.delete("Secret", SCORING, "alice-aws");
    world.at_once("it is back", |world| delivered(world).0 == ID).await;
    assert_eq!(world.api.count_where(|request| request.is("get", "secrets") && request.name == "mine"), 1);
    assert_eq!(world.sts.count(), 0);
}

// ---- From one provider to the other -------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn changing_the_provider_is_one_write_of_the_target() {
    let world = World::with(&[alice()]).await;
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.put_key("mine", true, ID, "the/secret+key");
    world.settle().await;
    world.count_from_here();
    world.change("alice", delivers_key("mine"));
    world.at_once("the key is there", |world| world.is_ready("alice") && delivered(world).0 == ID).await;
    world.settle().await;
    assert_eq!(world.api.count("patch", "secrets"), 1);
    assert_eq!(world.value("alice", "AWS_SESSION_TOKEN"), "", "no part of the session is left");
    let [role_left] = &world.roles()[..] else { panic!("the AwsRole stays: {}", world.picture()) };
    assert_eq!(role_left.status.as_ref().and_then(|status| status.active), Some(false));

    world.count_from_here();
    world.change("alice", |spec| *spec = alice().spec);
    world.at_once("a session is there", |world| world.is_ready("alice") && world.holds_a_valid_session("alice")).await;
    assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (1, 1));
    assert!(world.api.get("Secret", SCORING, "mine").is_some(), "the user's own Secret stays");
}

#[tokio::test(start_paused = true)]
async fn a_key_no_longer_asked_for_is_withdrawn_though_sts_denies() {
    let world = alice_with_a_key().await;
    world.sts.always(Behaviour::AccessDenied);
    world.change("alice", |spec| *spec = alice().spec);
    world.at_once("it is refused", |world| is_refused(world, "AssumeRoleDenied")).await;
    world.at_once("the key is gone", |world| world.is_withdrawn("alice")).await;
    world.settle().await;
    assert!(is_refused(&world, "AssumeRoleDenied"), "{}", world.ready("alice"));
    world.pass(Duration::from_secs(25)).await;
    assert_eq!(world.sts.count(), 1, "it keeps to its pace");
    world.sts.behave_well();
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(world.record("alice").unwrap().role, role("ds-analyst"));
}
