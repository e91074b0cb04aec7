//! The API key of DSS in the Secret.

use super::*;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        dss::{Behaviour, PersonalKey},
        rules::Times,
    },
    fixtures::{instance, personal_key},
};
use keyturn::api::Format;
use serde_json::Value;

async fn alice_with_key() -> World {
    world_with(&[("alice", Box::new(personal_key))]).await
}

/// The API key in alice's Secret.
pub(super) fn key(world: &World) -> String {
    world.value("alice", "DKU_API_KEY")
}

/// The config asks for the key in the user's Secret ([`put_api_key`]).
pub(super) fn offered_key(spec: &mut AwsConfigSpec) {
    personal_key(spec);
    let dss = spec.dss.as_mut().unwrap();
    dss.api_key = ApiKey::None;
    dss.api_key_secret_ref = serde_json::from_value(json!({"name": "my-key"})).unwrap();
}

fn finalizers(world: &World) -> Vec<String> {
    world.config("alice").and_then(|config| config.metadata.finalizers).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_stays_is_not_taken_for_a_credential_that_stays() {
    let world = world_with(&[("alice", Box::new(personal_key))]).await;
    let is_of_finalizer = |request: &Request| request.is("patch", "awsconfigs");
    world.api.fault(Times::UntilCleared, is_of_finalizer, Fault::forbidden());
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.pass(Duration::from_mins(5)).await;
    let (_, reason, message) = world.condition("alice", "Ready").unwrap();
    assert_eq!(reason, "Suspended");
    assert!(!message.contains("cannot withdraw it"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_personal_key_belongs_to_the_person_and_is_in_every_format() {
    let world = world_with(&[(
        "alice",
        Box::new(|spec| {
            personal_key(spec);
            spec.target.get_or_insert_default().formats = Some(vec![Format::Env, Format::Files, Format::Dataiku]);
        }),
    )])
    .await;
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
    assert_eq!(world.value("alice", "DKU_DSS_URL"), URL);
    assert_eq!(world.value("alice", "DKU_CURRENT_PROJECT_KEY"), "FRAUD");
    let file: Value = serde_json::from_str(&world.value("alice", "dataiku-config.json")).unwrap();
    assert_eq!(file["dss_instances"][file["default_instance"].as_str().unwrap()]["api_key"], key(&world));
    let aws: Value = serde_json::from_str(&world.value("alice", "aws-credential.json")).unwrap();
    assert_eq!(aws["sessionToken"], world.value("alice", "AWS_SESSION_TOKEN"));
    let dss = world.status("alice").dss.unwrap();
    assert_eq!((dss.whoami.as_deref(), dss.keys.len()), (Some("alice"), 1));
    assert_eq!(dss.keys[0].id, world.dss.personal_keys()[0].id);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_configs_at_once_cost_one_key_and_one_call_each() {
    let mut world = world();
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.dss.add_user(name, &[]);
        world.apply(&config(name, personal_key));
    }
    world.start();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.pass(REFRESH).await;
    assert_eq!((world.dss.keys_ever(), world.dss.personal_keys().len(), world.sts.count()), (200, 200, 200));
    let conflicts = world.api.count_where(|request| request.is_write() && request.status == Some(409));
    assert_eq!(conflicts, 0, "nobody writes the instance's finalizer over somebody else's");
    for path in ["/admin/users/", "/admin/personal-api-keys/"] {
        let listings = world.dss.count_where(|call| call.method == "GET" && call.path == path);
        assert!(listings <= 3, "{path}: {listings} listings");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_keeps_the_api_key_without_a_call_to_dss() {
    let mut world = alice_with_key().await;
    let before = key(&world);
    world.pass_until_due("alice").await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!((key(&world), world.reads() - of_admin_key(&world)), (before.clone(), 0));
    assert_eq!((world.dss.keys_ever(), world.sts.count()), (1, 1));

    // A process without memory reads it once.
    world.kill().await;
    world.start();
    world.settle().await;
    world.count_from_here();
    world.pass_until_due("alice").await;
    assert_eq!((key(&world), world.dss.keys_ever(), world.sts.count()), (before, 1, 1));
    assert_eq!(world.reads() - of_admin_key(&world), 1);
}

/// Reads of the admin key's Secret. There is one for each refresh.
fn of_admin_key(world: &World) -> usize {
    world.api.count_where(|request| request.verb == "get" && request.path.contains("dss-admin"))
}

#[tokio::test(start_paused = true)]
async fn an_api_key_is_created_with_the_credential_and_deleted_with_it() {
    let world = alice_with_key().await;
    for (what, disturb, restore) in [
        (
            "suspended",
            Box::new(|world: &World| world.change("alice", |spec| spec.suspend = true)) as Box<dyn Fn(&World)>,
            Box::new(|world: &World| world.change("alice", |spec| spec.suspend = false)) as Box<dyn Fn(&World)>,
        ),
        (
            "no grant",
            Box::new(|world: &World| world.change_grant("analysts", |grant| grant.persons = vec!["bob".to_owned()])),
            Box::new(|world: &World| world.change_grant("analysts", |grant| grant.persons = vec!["*".to_owned()])),
        ),
        (
            "no allowance",
            Box::new(|world: &World| world.apply(&instance("design", URL, |spec| spec.allow.clear()))),
            Box::new(|world: &World| world.apply(&design(URL))),
        ),
    ] {
        disturb(&world);
        world.at_once(what, |world| world.is_withdrawn("alice") && world.dss.personal_keys().is_empty()).await;
        assert_eq!(key(&world), "WITHDRAWN", "{what}");
        world.settle().await;
        assert!(finalizers(&world).is_empty(), "{what}: {:?}", finalizers(&world));
        restore(&world);
        world.until("it is ready again", |world| world.is_ready("alice")).await;
        assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_key_is_deleted_when_unwanted_and_with_its_config() {
    let world = alice_with_key().await;
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key = ApiKey::None);
    world.until("it is gone", |world| world.dss.personal_keys().is_empty() && key(world).is_empty()).await;
    assert_eq!((world.sts.count(), world.is_ready("alice")), (0, true), "the credential stays as it is");
    world.settle().await;
    assert!(finalizers(&world).is_empty());

    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key = ApiKey::Personal);
    world.until("there is one again", |world| owner_of(world, &key(world)).is_some()).await;
    assert_eq!(world.sts.count(), 0);
    world.settle().await;
    world.api.delete("AwsConfig", "scoring", "alice");
    world.until("all of it is gone", |world| world.config("alice").is_none()).await;
    assert!(world.dss.personal_keys().is_empty() && world.secret("alice").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_api_key_is_not_delivered_again() {
    let world = alice_with_key().await;
    let former = key(&world);
    world.api.fault(Times::Once, |request| request.is("patch", "secrets"), Fault::LoseAnswer);
    world.change("alice", |spec| spec.dss = None);
    world.until("it is gone", |world| world.dss.personal_keys().is_empty()).await;
    world.settle().await;
    world.change("alice", personal_key);
    world.until("there is another", |world| owner_of(world, &key(world)).is_some()).await;
    assert_ne!(key(&world), former);
}

#[tokio::test(start_paused = true)]
async fn a_removed_finalizer_is_added_again_and_the_key_stays() {
    let world = alice_with_key().await;
    let before = key(&world);
    world.api.edit("AwsConfig", "scoring", "alice", |config| config["metadata"]["finalizers"] = json!([]));
    world.until("it is back", |world| finalizers(world) == ["keyturn.dev/dss.design"]).await;
    world.settle().await;
    assert_eq!((key(&world), world.dss.keys_ever(), world.sts.count()), (before, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_person_gets_another_key_and_the_former_is_deleted() {
    let world = alice_with_key().await;
    let former = key(&world);
    world.change("alice", |spec| spec.person = Some("bob".to_owned()));
    world.until("it is bob's", |world| owner_of(world, &key(world)).as_deref() == Some("bob")).await;
    assert!(owner_of(&world, &former).is_none(), "alice's is deleted");
    assert_eq!(world.dss.personal_keys().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_key_is_deleted_with_its_login() {
    let changes: [(&str, fn(&World)); 3] = [
        ("removed", |world| world.dss.remove_user("alice")),
        ("renamed", |world| world.dss.rename_user("alice", "alice2")),
        ("disabled", |world| world.dss.set_enabled("alice", false)),
    ];
    for (what, change) in changes {
        let world = alice_with_key().await;
        world.dss.add_personal_key("bob", "mine");
        change(&world);
        world.pass(REFRESH).await;
        assert_eq!(world.ready("alice"), "False/DssUserMissing", "{what}");
        assert!(world.is_withdrawn("alice") && key(&world) == "WITHDRAWN", "{what}");
        let left: Vec<String> = world.dss.personal_keys().into_iter().map(|key| key.user).collect();
        assert_eq!(left, ["bob"], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_made_for_one_config_enqueues_all_it_concerns() {
    let world = world_with(&[("alice", Box::new(personal_key)), ("bob", Box::new(personal_key))]).await;
    let of_alice = |key: &PersonalKey| key.user == "alice";
    let id = world.dss.personal_keys().into_iter().find(of_alice).unwrap().id;
    world.dss.delete_personal_key(&id);
    world.change("bob", |spec| spec.suspend = true);
    world.until("the keys are listed for bob", |world| world.dss.personal_keys().is_empty()).await;
    world.pass(REFRESH).await;
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_keeps_the_former_key_for_a_day() {
    let world = alice_with_key().await;
    let former = key(&world);
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some("2026-01".to_owned()));
    world.until("it is another", |world| key(world) != former).await;
    world.settle().await;
    assert_eq!((world.sts.count(), world.is_ready("alice")), (0, true));
    assert_eq!(world.dss.personal_keys().len(), 2, "a client keeps the key that it was built with");
    let recorded = world.status("alice").dss.unwrap().keys;
    assert_eq!(recorded.len(), 2);
    world.pass(Duration::from_hours(23)).await;
    assert_eq!(world.dss.personal_keys().len(), 2);
    world.pass(Duration::from_hours(2)).await;
    assert_eq!(world.dss.personal_keys().len(), 1);
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
    world.settle().await;
    assert_eq!(world.status("alice").dss.unwrap().keys.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_former_key_deleted_early_in_dss_is_forgotten() {
    let world = alice_with_key().await;
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some("2".to_owned()));
    world.until("it is rotated", |world| world.dss.personal_keys().len() == 2 && world.is_ready("alice")).await;
    world.settle().await;
    let former = world.status("alice").dss.unwrap().keys.pop().unwrap();
    assert!(former.delete_at.is_some());
    world.dss.delete_personal_key(&former.id);
    world.count_from_here();
    world.pass(Duration::from_hours(25)).await;
    assert_eq!(world.status("alice").dss.unwrap().keys.len(), 1);
    let calls = world.dss.count_where(|call| call.path.contains("personal-api-keys"));
    assert!(calls <= 25 * 12 + 2, "one listing for each refresh, one more, and one deletion as its owner: {calls}");
}

#[tokio::test(start_paused = true)]
async fn a_key_deleted_in_dss_is_replaced() {
    let world = alice_with_key().await;
    let former = key(&world);
    world.pass(REFRESH).await;
    world.dss.delete_personal_key(&world.status("alice").dss.unwrap().keys[0].id);
    world.pass(REFRESH).await;
    assert_ne!(key(&world), former);
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
    assert!(world.is_ready("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_dss_outage_delays_the_api_key_but_not_the_credential() {
    let mut world = world();
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.dss.behave_if(Times::UntilCleared, |call| call.path.contains("personal-api-keys"), Behaviour::BadGateway);
    world.apply(&config("alice", personal_key));
    world.until("the credential is there", |world| world.holds_a_valid_session("alice")).await;
    assert_eq!(world.ready("alice"), "False/DssUnreachable");
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains("POST /admin/personal-api-keys/") && message.contains("no API key"), "{message}");
    assert_eq!(key(&world), "");
    world.dss.behave_well();
    world.until("all of it is there", |world| world.is_ready("alice")).await;
    assert_eq!((owner_of(&world, &key(&world)).as_deref(), world.sts.count()), (Some("alice"), 1));

    let delivered = key(&world);
    world.dss.always(Behaviour::ConnectionFailure);
    world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some("2".to_owned()));
    world.pass(Duration::from_hours(8)).await;
    assert!(world.holds_a_valid_session("alice"), "renewals go on");
    assert_eq!(key(&world), delivered, "the former key stays until there is another");
    assert_eq!(world.ready("alice"), "False/DssUnreachable");
    world.dss.behave_well();
    world.until("it is rotated", |world| world.is_ready("alice") && key(world) != delivered).await;
}

#[tokio::test(start_paused = true)]
async fn an_offered_api_key_is_delivered_only_if_its_login_owns_it() {
    let mut world = world();
    let alices = world.dss.add_personal_key("alice", "mine").key;
    let bobs = world.dss.add_personal_key("bob", "mine").key;
    put_api_key(&world, &bobs);
    world.start();
    world.apply(&config("alice", offered_key));
    world.until("it is refused", |world| world.ready("alice") == "False/DssUserMismatch").await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains("\"bob\"'s") && message.contains("\"alice\"'s"), "{message}");
    world.settle().await;
    assert!(world.secret("alice").is_none(), "who offers somebody else's key has nothing");

    put_api_key(&world, &alices);
    world.at_once("it is delivered", |world| world.is_ready("alice")).await;
    assert_eq!((key(&world), world.sts.count()), (alices.clone(), 1));
    assert_eq!(world.status("alice").dss.unwrap().whoami.as_deref(), Some("alice"));
    world.settle().await;
    world.count_from_here();
    world.pass_until_due("alice").await;
    assert_eq!(key(&world), alices);
    assert_eq!(world.dss.count_where(|call| call.path == "/auth/info"), 0);

    put_api_key(&world, &bobs);
    world.at_once("it is refused again", |world| world.ready("alice") == "False/DssUserMismatch").await;
    assert!(world.is_withdrawn("alice") && key(&world) == "WITHDRAWN", "and what there was is withdrawn");
    assert!(world.value("alice", "dataiku-config.json").contains("WITHDRAWN"));
    world.count_from_here();
    world.pass(Duration::from_hours(3)).await;
    assert_eq!((world.sts.count(), world.ready("alice").as_str()), (0, "False/DssUserMismatch"));
    put_api_key(&world, &alices);
    world.at_once("it is all back", |world| world.is_ready("alice") && key(world) == alices).await;
    put_api_key(&world, &bobs);
    world.at_once("it is refused again", |world| world.ready("alice") == "False/DssUserMismatch").await;
    world.api.edit("Secret", "scoring", "my-key", |secret| secret["metadata"]["labels"] = json!({}));
    world.until("it is taken back", |world| world.ready("alice") == "False/SecretNotOffered").await;
    assert!(world.is_withdrawn("alice"));
    assert_eq!(world.dss.personal_keys().len(), 2, "users' own keys are never deleted");
}

pub(super) fn put_api_key(world: &World, key: &str) {
    use k8s_openapi::ByteString;
    let data = json!({"apiKey": ByteString(format!("{key}\n").into_bytes())});
    if world.api.get("Secret", "scoring", "my-key").is_some() {
        world.api.edit("Secret", "scoring", "my-key", |secret| secret["data"] = data);
    } else {
        let metadata = json!({"name": "my-key", "namespace": "scoring", "labels": {"keyturn.dev/source": "true"}});
        world.api.put(json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": metadata}));
    }
}

#[tokio::test(start_paused = true)]
async fn another_project_or_instance_setting_keeps_session_and_key() {
    let world = alice_with_key().await;
    let before = key(&world);
    world.apply(&instance("design", URL, |spec| spec.insecure_skip_verify = true));
    world.change("alice", |spec| spec.dss.as_mut().unwrap().project = Some("OTHER".to_owned()));
    let config = |world: &World| serde_json::from_str::<Value>(&world.value("alice", "dataiku-config.json")).unwrap();
    world
        .until("it is written", |world| config(world)["dss_instances"]["default"]["no_check_certificate"] == true)
        .await;
    world.until("so is the project", |world| world.value("alice", "DKU_CURRENT_PROJECT_KEY") == "OTHER").await;
    assert_eq!((key(&world), world.sts.count(), world.dss.keys_ever()), (before, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_relabelled_key_stays_and_is_verified_once() {
    let mut world = world_with(&[("alice", Box::new(personal_key)), ("bob", Box::new(personal_key))]).await;
    let (before, id) = (key(&world), world.status("alice").dss.unwrap().keys[0].id.clone());
    world.dss.relabel_personal_key(&id, "mine");
    let proofs = |world: &World| world.dss.count_where(|call| call.path == "/auth/info");
    world.pass(REFRESH * 3).await;
    assert_eq!((key(&world), world.dss.keys_ever(), proofs(&world)), (before.clone(), 2, 0));
    // A process without memory asks DSS once.
    world.kill().await;
    world.start();
    world.pass(REFRESH * 3).await;
    assert_eq!((key(&world), world.dss.keys_ever(), proofs(&world)), (before.clone(), 2, 1), "{}", world.picture());
    assert_eq!((world.sts.count(), world.is_ready("alice")), (0, true));

    // keyturn knows the key by its ID. If the key is deleted in DSS, keyturn notices. If it is no
    // longer wanted, keyturn deletes it.
    world.dss.delete_personal_key(&id);
    world.pass(REFRESH).await;
    assert_ne!(key(&world), before);
    assert_eq!(owner_of(&world, &key(&world)).as_deref(), Some("alice"));
    world.settle().await;
    world.dss.relabel_personal_key(&world.status("alice").dss.unwrap().keys[0].id, "mine");
    world.pass(REFRESH).await;
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is gone", |world| world.dss.personal_keys().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_to_create_keys_for_others_is_reported() {
    let mut world = world();
    world.dss.keys_are_their_owners_only(true);
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("it is refused", |world| world.ready("alice") == "False/DssDenied").await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(
        message.contains("POST /admin/personal-api-keys/") && message.contains("create personal API keys for others"),
        "{message}"
    );
    assert!(world.holds_a_valid_session("alice"));
}
