//! Accounts of DataRobot: which entries are whose, how often keyturn lists an account, and what
//! keyturn does about an entry that DataRobot or somebody else does not leave alone.

use super::*;
use keyturn::api::AwsConfigSpec;

/// A second instance of the same URL, whose token is in this Secret.
fn add_instance(world: &World, name: &str, secret: &str) {
    world.apply(&robot(name, URL, |spec| {
        let token = spec.token_secret_ref.as_mut().unwrap();
        secret.clone_into(&mut token.name);
    }));
}

fn pushes_to(instance: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let instance = instance.to_owned();
    move |spec| {
        pushes_to_datarobot(NAME)(spec);
        spec.push.as_mut().unwrap().data_robot.as_mut().unwrap().instance = instance;
    }
}

#[tokio::test(start_paused = true)]
async fn two_instances_of_one_url_have_an_account_each() {
    let world = alice_pushed().await;
    put_token(&world, OPERATORS, "team-token", &world.datarobot.add_account("team"));
    add_instance(&world, "team", "team-token");
    world.apply(&config("second", pushes_to("team")));
    world.until("both have the name", |world| pushed(world, "second") == "True/Pushed").await;
    world.pass_until_due("alice").await;
    world.until("the first is renewed", |world| holds_the_same(world, SHARED)).await;
    assert_eq!((pushed(&world, "alice"), pushed(&world, "second")), ("True/Pushed".into(), "True/Pushed".into()));
    world.change("alice", |spec| spec.suspend = true);
    world.until("the first is unusable", holds_nothing).await;
    let of_team = world.datarobot.credential("team", NAME).unwrap().triplet().unwrap();
    assert!(!of_team.access_key_id.contains("WITHDRAWN"), "{of_team:?}");
}

#[tokio::test(start_paused = true)]
async fn two_instances_of_one_account_do_not_share_an_entry() {
    let world = alice_pushed().await;
    add_instance(&world, "team", "datarobot-token");
    world.pass(Duration::from_mins(20)).await;
    world.apply(&config("second", pushes_to("team")));
    world.until("the name is taken", |world| pushed(world, "second") == "False/PushNameTaken").await;
    world.change("alice", |spec| spec.suspend = true);
    world.until("the withdrawal goes on", holds_nothing).await;
    world.change("alice", |spec| spec.push = None);
    world.until("it is free", |world| pushed(world, "second") == "True/Pushed").await;
}

#[tokio::test(start_paused = true)]
async fn configs_that_come_together_share_the_listings_of_an_account() {
    let mut world = world();
    for number in 0..150 {
        let values = [("user", "u"), ("password", "p")];
        world.datarobot.add_credential(SHARED, &format!("of-others-{number}"), "basic", &values);
    }
    world.start();
    world.until("the instance is ready", |world| instance_condition(world, "Ready").0 == "True").await;
    world.settle().await;
    world.datarobot.clear();
    let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    for name in &names {
        world.apply(&config(name, pushes_to_datarobot(name)));
    }
    for name in &names {
        world.until(name, |world| pushed(world, name) == "True/Pushed").await;
    }
    let pages = world.datarobot.count_where(|call| call.method == "GET");
    assert!(pages <= 8, "{pages} pages for 8 configs: two pages make one listing");
    world.datarobot.clear();
    for name in &names {
        world.change(name, |spec| spec.push = None);
    }
    world.until("all are deleted", |world| world.datarobot.credentials(SHARED).len() == 152).await;
    let pages = world.datarobot.count_where(|call| call.method == "GET");
    assert_eq!(pages, 0, "an entry with a known ID is deleted without a listing");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_deleted_if_datarobot_takes_no_unusable_values() {
    let world = alice_pushed().await;
    let refused = Behaviour::Error { status: 422, error_type: "Invalid".into(), message: "awsAccessKeyId".into() };
    let refuses = world.datarobot.behave_if(Times::UntilCleared, |call| call.method == "PATCH", refused);
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is deleted", |world| entry(world).is_none()).await;
    world.until("it is said", |world| pushed(world, "alice") == "Unknown/NotPushed").await;
    others_are_as_before(&world);
    world.datarobot.forgive(refuses);
    world.change("alice", |spec| spec.suspend = false);
    world.until("another entry works", |world| holds_the_same(world, SHARED)).await;
    world.until("pods have its ID", |world| id_in_secret(world) == entry(world).map(|it| it.id)).await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_entry_is_not_left_behind_when_a_key_follows_a_session() {
    let world = alice_pushed().await;
    let id = entry(&world).unwrap().id;
    world.datarobot.change_credential(SHARED, &id, |it| it.name = "renamed".to_owned());
    world.apply(&crate::fixtures::grant("keys", |grant| {
        grant.providers = vec![keyturn::api::CredentialProvider::Default];
        grant.roles.clear();
    }));
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "the/secret+key");
    world.change("alice", |spec| delivers_key("mine")(spec));
    world.until("the key is there", |world| entry(world).is_some()).await;
    others_are_as_before(&world);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_keyturn_writes_is_no_source_of_a_token() {
    let mut world = world();
    world.apply(&robot("prod", URL, |spec| spec.allow[0].own_tokens = true));
    world.start();
    world.apply(&config("alice", |spec| {
        pushes_to_datarobot(NAME)(spec);
        let place = spec.push.as_mut().unwrap().data_robot.as_mut().unwrap();
        let token = json!({"name": "alice-aws", "key": "AWS_SECRET_ACCESS_KEY"});
        (place.token_secret_ref, place.deliver_token) = (serde_json::from_value(token).unwrap(), true);
    }));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| {
        secret["metadata"]["labels"][names::SOURCE] = json!(names::SOURCE_OFFERED);
    });
    world.pass(Duration::from_secs(30)).await;
    world.count_from_here();
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(world.cost().writes, 0, "{}", world.picture());
    assert_eq!(pushed(&world, "alice"), "False/SecretNotOffered");
}
