//! Forged key IDs: another writer puts them where keyturn records its own.

use super::*;
use crate::fixtures::{SCORING, personal_key};
use keyturn::secret::{ApiKeyRecord, Content};

/// A world in which alice has a key of keyturn's and bob one of his own. Returns the ID of bob's
/// key.
async fn alice_s_and_bob_s() -> (World, String) {
    let mut world = world();
    world.dss.add_user("bob", &[]);
    let bob_s = world.dss.add_personal_key("bob", "bob's own").id;
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    (world, bob_s)
}

fn owners(world: &World) -> Vec<String> {
    world.dss.personal_keys().into_iter().map(|key| key.user).collect()
}

#[tokio::test(start_paused = true)]
async fn a_forged_key_id_in_status_deletes_no_other_user_s_key() {
    let (world, bob_s) = alice_s_and_bob_s().await;
    assert_eq!(owners(&world), ["bob", "alice"]);
    world.api.edit("awsconfigs", SCORING, "alice", |config| {
        let keys = config["status"]["dss"]["keys"].as_array_mut().unwrap();
        let mut forged = keys[0].clone();
        forged["id"] = json!(bob_s);
        keys.push(forged);
    });
    world.change("alice", |spec| spec.suspend = true);
    world.until("alice's is deleted", |world| !owners(world).contains(&"alice".to_owned())).await;
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(owners(&world), ["bob"]);
    assert!(world.config("alice").unwrap().metadata.finalizers.unwrap_or_default().is_empty(), "nothing is left to do");
}

/// A writer of the Secret can change its annotations such that no drift is seen.
#[tokio::test(start_paused = true)]
async fn a_forged_key_id_in_the_secret_deletes_no_other_user_s_key() {
    let (world, bob_s) = alice_s_and_bob_s().await;
    let (record, secret) = (world.record("alice").unwrap(), world.secret("alice").unwrap());
    let content = Content(secret.data.unwrap().into_iter().map(|(key, value)| (key, value.0)).collect());
    let api_key = ApiKeyRecord { key: bob_s, ..record.api_key.clone() };
    let forged = record.rendered_again(record.render_digest.clone(), api_key, &content);
    world.api.edit("secrets", SCORING, "alice-aws", |secret| {
        for (name, value) in forged.annotations() {
            secret["metadata"]["annotations"][name] = json!(value);
        }
    });
    // Listings are made, and keyturn asks DSS about the key in the Secret.
    world.pass(Duration::from_mins(30)).await;
    world.change("alice", |spec| spec.suspend = true);
    world.until("alice's are deleted", |world| !owners(world).contains(&"alice".to_owned())).await;
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(owners(&world), ["bob"]);
}
