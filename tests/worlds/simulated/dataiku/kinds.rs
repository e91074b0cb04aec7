//! The kind of an API key: keyturn delivers a personal key of the login and no other.

use super::{
    api_keys::{key, offered_key, put_api_key},
    *,
};
use crate::{
    doubles::{
        dss::{Behaviour, KEY_MARKER},
        rules::Times,
    },
    fixtures::personal_key,
};

/// Waits until the key is refused, and returns the message.
async fn refused(world: &mut World) -> String {
    world.until("it is refused", |world| world.ready("alice") == "False/DssKeyNotPersonal").await;
    world.settle().await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(!message.contains(KEY_MARKER), "the key is never quoted: {message}");
    assert!(world.holds_a_valid_session("alice"), "the AWS credential does not depend on it");
    message
}

#[tokio::test(start_paused = true)]
async fn a_global_key_that_acts_as_the_person_is_not_delivered() {
    for (what, admin) in [("an ordinary key", false), ("an administrator's key", true)] {
        let mut world = world();
        let global = format!("dkuaps-{KEY_MARKER}-global");
        world.dss.add_global_key_for("global-1", &global, "alice", admin);
        let alices = world.dss.add_personal_key("alice", "mine").key;
        put_api_key(&world, &global);
        world.start();
        world.apply(&config("alice", offered_key));
        let message = refused(&mut world).await;
        for part in ["GET auth/info", "CONFIGURABLE_API_KEY", "\"alice\"", "Profile > API keys", "no API key"] {
            assert!(message.contains(part), "{what}: {message}");
        }
        assert_eq!((key(&world).as_str(), world.status("alice").dss.unwrap().whoami), ("", None), "{what}");

        put_api_key(&world, &alices);
        world.at_once("her own is delivered", |world| world.is_ready("alice") && key(world) == alices).await;
        put_api_key(&world, &global);
        refused(&mut world).await;
        assert_eq!(key(&world), alices, "{what}: the former key stays");
        assert_eq!(world.sts.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_offered_key_of_unsaid_kind_is_not_delivered() {
    let mut world = world();
    world.dss.hides_kinds(true);
    let alices = world.dss.add_personal_key("alice", "mine").key;
    put_api_key(&world, &alices);
    world.start();
    world.apply(&config("alice", offered_key));
    let message = refused(&mut world).await;
    assert!(message.contains("no authSource") && message.contains("spec.dss.apiKey Personal"), "{message}");
    assert_eq!(key(&world), "");
    world.dss.hides_kinds(false);
    world.until("it is delivered", |world| world.is_ready("alice") && key(world) == alices).await;
}

#[tokio::test(start_paused = true)]
async fn a_created_key_of_unsaid_kind_has_to_be_in_the_list() {
    let mut world = world();
    world.dss.hides_kinds(true);
    let of_keys = |call: &crate::doubles::dss::Call| call.method == "GET" && call.path == "/admin/personal-api-keys/";
    world.dss.behave_if(Times::UntilCleared, of_keys, Behaviour::EmptyListing);
    world.start();
    world.apply(&config("alice", personal_key));
    refused(&mut world).await;
    assert_eq!(key(&world), "");
    assert!(world.dss.personal_keys().is_empty(), "keyturn deletes what it does not deliver");
    world.dss.behave_well();
    world.until("it is delivered", |world| world.is_ready("alice")).await;
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
}
