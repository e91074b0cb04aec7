//! An API key of an administrator of DSS, which may act as every user: keyturn delivers it only if
//! the instance allows it.

use super::{
    api_keys::{key, offered_key, put_api_key},
    *,
};
use crate::{
    doubles::{
        dss::{ADMINISTRATORS, Behaviour, Call, KEY_MARKER},
        rules::Times,
    },
    fixtures::{instance, personal_key},
};

const REFUSED: &str = "False/DssAdminKey";

fn allows_admin_keys(world: &World, allows: bool) {
    world.apply(&instance("design", URL, |spec| spec.allow[0].admin_keys = allows));
}

fn rotate(world: &World, to: &str) {
    let to = to.to_owned();
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some(to));
}

/// Whether the call asks, with the key to deliver, for what only administrators may read.
fn is_probe(call: &Call) -> bool {
    call.path == "/admin/users/alice" && call.proxy_user.is_none() && call.caller.starts_with("personal-")
}

/// alice is an administrator and asks for a key. keyturn has refused it.
async fn refused_admin() -> World {
    let mut world = world();
    world.dss.set_groups("alice", &[ADMINISTRATORS]);
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("it is refused", |world| world.ready("alice") == REFUSED).await;
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_administrator_s_key_is_delivered_only_if_allow_says_so() {
    let world = refused_admin().await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    for part in ["\"alice\"", "GET admin/users/alice", "adminKeys: true", "no API key of DSS"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains(KEY_MARKER), "the key is never quoted: {message}");
    assert!(world.holds_a_valid_session("alice"), "the AWS credential does not depend on it");
    assert_eq!((key(&world).as_str(), world.status("alice").dss.unwrap().whoami), ("", None));
    assert!(world.dss.personal_keys().is_empty(), "keyturn deletes what it does not deliver");
    world.pass(Duration::from_hours(2)).await;
    assert_eq!(world.dss.keys_ever(), 1, "no key is made only to be deleted");
    assert!(world.holds_a_valid_session("alice"));

    allows_admin_keys(&world, true);
    world.at_once("it is delivered", |world| world.is_ready("alice")).await;
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
    world.settle().await;
    allows_admin_keys(&world, false);
    world.at_once("it is out of the Secret", |world| key(world).is_empty()).await;
    world.pass(Duration::from_mins(2)).await;
    assert!(world.dss.personal_keys().is_empty(), "the key does not live on");
    assert_eq!(world.ready("alice"), REFUSED);
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_person_who_ceases_to_be_an_administrator_gets_a_key() {
    let world = refused_admin().await;
    world.dss.set_groups("alice", &["analysts"]);
    world.until("it is delivered", |world| world.is_ready("alice")).await;
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_person_who_became_an_administrator_loses_the_key_at_rotation() {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    rotate(&world, "2");
    world.until("it is rotated", |world| world.dss.personal_keys().len() == 2 && world.is_ready("alice")).await;
    world.settle().await;
    let delivered = key(&world);
    world.dss.set_groups("alice", &[ADMINISTRATORS]);
    world.pass(REFRESH * 3).await;
    assert_eq!((key(&world), world.is_ready("alice")), (delivered, true), "keyturn does not notice it before");
    rotate(&world, "3");
    world.until("it is refused", |world| world.ready("alice") == REFUSED).await;
    assert_eq!(key(&world), "", "the former key is an administrator's too");
    assert!(world.holds_a_valid_session("alice"));
    world.pass(Duration::from_mins(2)).await;
    assert!(world.dss.personal_keys().is_empty(), "no former key lives on: {:?}", world.status("alice").dss);
}

#[tokio::test(start_paused = true)]
async fn an_offered_key_of_an_administrator_is_not_delivered() {
    let mut world = world();
    world.dss.set_groups("alice", &[ADMINISTRATORS]);
    let alices = world.dss.add_personal_key("alice", "mine").key;
    put_api_key(&world, &alices);
    world.start();
    world.apply(&config("alice", offered_key));
    world.until("it is refused", |world| world.ready("alice") == REFUSED).await;
    world.settle().await;
    assert!(key(&world).is_empty() && world.holds_a_valid_session("alice"));
    allows_admin_keys(&world, true);
    world.at_once("it is delivered", |world| world.is_ready("alice") && key(world) == alices).await;
    world.settle().await;
    allows_admin_keys(&world, false);
    world.at_once("it is out of the Secret", |world| key(world).is_empty()).await;
    assert_eq!(world.dss.personal_keys().len(), 1, "users' own keys are never deleted");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_asks_once_about_admin_rights_and_a_renewal_never() {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    rotate(&world, "2");
    world.until("it is rotated", |world| world.dss.personal_keys().len() == 2 && world.is_ready("alice")).await;
    assert_eq!(world.dss.count_where(is_probe), 1);
    world.pass_until_due("alice").await;
    world.pass(REFRESH * 3).await;
    assert_eq!(world.dss.count_where(is_probe), 1);
}

#[tokio::test(start_paused = true)]
async fn no_key_is_delivered_while_its_admin_rights_are_unknown() {
    let mut world = world();
    world.dss.behave_if(Times::UntilCleared, is_probe, Behaviour::BadGateway);
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("it is reported", |world| world.ready("alice") == "False/DssUnreachable").await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains("not known whether it is an administrator's"), "{message}");
    assert!(key(&world).is_empty() && world.holds_a_valid_session("alice"));
    world.dss.behave_well();
    world.until("it is delivered", |world| world.is_ready("alice")).await;
    world.pass(REFRESH).await;
    assert_eq!(world.dss.personal_keys().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_own_key_of_an_administrator_ends_the_doubt_about_its_owner() {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    world.dss.gives_keys_to(Some("bob"));
    rotate(&world, "2");
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.dss.gives_keys_to(None);
    world.dss.set_groups("alice", &[ADMINISTRATORS]);
    world.until("the credential is back", |world| world.holds_a_valid_session("alice")).await;
    world.settle().await;
    assert_eq!((world.ready("alice").as_str(), key(&world).as_str()), (REFUSED, ""));
}
