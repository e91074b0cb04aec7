//! An API key that belongs to another user: keyturn withdraws the whole Secret until there is a
//! right key.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Call},
        rules::Times,
    },
    fixtures::personal_key,
};
use keyturn::api::{ApiKey, Format};

fn is_creation(call: &Call) -> bool {
    call.method == "POST"
}

/// alice with all formats and a key of hers.
async fn alice_with_key() -> World {
    world_with(&[(
        "alice",
        Box::new(|spec| {
            personal_key(spec);
            spec.target.get_or_insert_default().formats = Some(vec![Format::Env, Format::Files, Format::Dataiku]);
        }),
    )])
    .await
}

fn keys_of_data(world: &World) -> Vec<String> {
    world.secret("alice").and_then(|secret| secret.data).unwrap_or_default().into_keys().collect()
}

fn rotate(world: &World, to: &str) {
    let to = to.to_owned();
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some(to));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_user_withdraws_the_whole_secret() {
    let mut world = alice_with_key().await;
    let all = keys_of_data(&world);
    let session = world.value("alice", "AWS_ACCESS_KEY_ID");
    world.dss.gives_keys_to(Some("bob"));
    rotate(&world, "2");
    world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.at_once("both keys are gone", |world| world.dss.personal_keys().is_empty()).await;
    world.settle().await;
    assert_eq!(keys_of_data(&world), all, "every key stays");
    assert_eq!(world.value("alice", "DKU_API_KEY"), "WITHDRAWN");
    assert!(world.value("alice", "dataiku-config.json").contains("WITHDRAWN"));
    let (status, reason, message) = world.condition("alice", "Ready").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "DssUserMismatch"));
    assert!(
        message.contains("\"bob\"'s") && message.contains("\"alice\"'s") && message.contains(&session),
        "{message}"
    );
    let events = world.events().into_iter().filter(|(reason, _)| reason == "DssUserMismatch").count();
    assert_eq!(events, 1);
    let dss = world.status("alice").dss.unwrap();
    assert_eq!((dss.whoami, dss.keys), (None, vec![]));

    world.count_from_here();
    world.pass(Duration::from_hours(1)).await;
    world.kill().await;
    world.start();
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.sts.count(), 0, "nothing is renewed while it lasts");
    let tried = world.dss.count_where(is_creation);
    assert!((8..=16).contains(&tried), "after 30 s, doubling to 10 min, in two hours: {tried}");
    assert!(world.dss.personal_keys().is_empty() && world.is_withdrawn("alice"));

    world.dss.gives_keys_to(None);
    world.until("all of it is back", |world| world.is_ready("alice")).await;
    assert_eq!(owner_of(&world, &world.value("alice", "DKU_API_KEY")).as_deref(), Some("alice"));
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!((world.sts.count(), world.dss.personal_keys().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_first_key_of_another_user_prevents_every_write() {
    let mut world = world();
    world.dss.gives_keys_to(Some("bob"));
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("it is reported", |world| world.ready("alice") == "False/DssUserMismatch").await;
    world.pass(Duration::from_hours(2)).await;
    assert!(world.secret("alice").is_none(), "a Secret that never held a credential is not created");
    assert_eq!((world.ready("alice").as_str(), world.sts.count()), ("False/DssUserMismatch", 1));
    assert!(world.dss.keys_ever() <= 17 && world.dss.personal_keys().is_empty(), "{}", world.dss.keys_ever());
    // A config that asks for no key has no doubtful key.
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key = ApiKey::None);
    world.at_once("the credential is there", |world| world.is_ready("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_until_dss_names_the_owner_of_the_next_key() {
    let world = alice_with_key().await;
    world.dss.gives_keys_to(Some("bob"));
    rotate(&world, "2");
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.dss.gives_keys_to(None);
    world.dss.behave_if(Times::UntilCleared, |call| call.path == "/auth/info", Behaviour::BadGateway);
    world.count_from_here();
    world.pass(Duration::from_hours(1)).await;
    assert!(world.is_withdrawn("alice"));
    assert_eq!((world.ready("alice").as_str(), world.sts.count()), ("False/DssUserMismatch", 0));
    world.dss.behave_well();
    world.until("all of it is back", |world| world.is_ready("alice")).await;
    world.pass(REFRESH).await;
    assert_eq!(world.dss.personal_keys().len(), 1);
}

/// Status records the time of the next attempt. If status cannot be written, the process remembers
/// it.
#[tokio::test(start_paused = true)]
async fn keys_are_not_created_faster_while_status_cannot_be_written() {
    use crate::doubles::apiserver::Fault;
    let world = alice_with_key().await;
    world.dss.gives_keys_to(Some("bob"));
    let status = |request: &crate::doubles::apiserver::Request| request.is_write() && request.subresource == "status";
    world.api.fault(Times::UntilCleared, status, Fault::status(500));
    rotate(&world, "2");
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.count_from_here();
    world.pass(Duration::from_hours(1)).await;
    let tried = world.dss.count_where(is_creation);
    assert!(tried <= 11, "{tried} in an hour");
}
