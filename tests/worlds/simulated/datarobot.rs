//! A world with a DataRobot in it: what keyturn keeps there, what it costs, and the behaviour when
//! DataRobot fails or is not allowed.

mod accounts;

use super::{
    dataiku::pushed,
    world::{Cost, World},
};
use crate::{
    doubles::{
        apiserver::Fault,
        datarobot::{Behaviour, Call, Credential, TOKEN_MARKER},
        rules::Times,
    },
    fixtures::{OPERATORS, SCORING, analysts, config, delivers_key, pushes_to_datarobot, robot},
};
use k8s_openapi::ByteString;
use keyturn::api::{DataRobotInstance, Pushed, names};
use serde_json::json;
use std::time::Duration;

const URL: &str = "https://robot.test";
/// The account of the token of the instance.
pub(super) const SHARED: &str = "svc";
const NAME: &str = "alice-s3";

/// A world whose DataRobot has a shared account, with a credential of somebody else in it.
pub(super) fn world() -> World {
    let world = World::empty();
    world.apply(&analysts());
    world.api.namespace(OPERATORS, &[]);
    put_token(&world, OPERATORS, "datarobot-token", &world.datarobot.add_account(SHARED));
    world.apply(&robot("prod", URL, |_| {}));
    world.datarobot.add_credential(SHARED, "database", "basic", &[("user", "u"), ("password", "p")]);
    world.datarobot.add_credential(
        SHARED,
        "bob-s3",
        "s3",
        &[("awsAccessKeyId", "AKIABOB"), ("awsSecretAccessKey", "b")],
    );
    world
}

/// The Secret with a token.
fn put_token(world: &World, namespace: &str, name: &str, token: &str) {
    let data = json!({"apiToken": ByteString(token.as_bytes().to_vec())});
    let labels = json!({names::SOURCE: names::SOURCE_OFFERED});
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
    if world.api.get("Secret", namespace, name).is_some() {
        world.api.edit("Secret", namespace, name, |secret| secret["data"] = data);
    } else {
        world.api.put(json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": metadata}));
    }
}

/// alice, whose credential is in DataRobot, at rest. Nothing is counted yet.
async fn alice_pushed() -> World {
    let mut world = world();
    world.start();
    world.apply(&config("alice", pushes_to_datarobot(NAME)));
    world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
    world.until("pods have the ID", |world| id_in_secret(world) == entry(world).map(|it| it.id)).await;
    world.settle().await;
    world.count_from_here();
    world.datarobot.clear();
    world
}

fn message(world: &World, name: &str) -> String {
    world.condition(name, "Pushed").map(|(_, _, message)| message).unwrap_or_default()
}

fn recorded(world: &World) -> Option<Pushed> {
    world.status("alice").push.and_then(|push| push.data_robot)
}

/// keyturn's credential in the shared account.
fn entry(world: &World) -> Option<Credential> {
    world.datarobot.credential(SHARED, NAME)
}

fn id_in_secret(world: &World) -> Option<String> {
    let secret = world.secret("alice")?;
    let value = secret.data?.get("DATAROBOT_CREDENTIAL_ID")?.0.clone();
    String::from_utf8(value).ok()
}

/// Whether an account holds what the Secret of `alice` holds.
fn holds_the_same(world: &World, account: &str) -> bool {
    let held = world.datarobot.credential(account, NAME).and_then(|it| it.triplet());
    held.is_some_and(|held| {
        let values = [held.access_key_id, held.secret_access_key, held.session_token.unwrap_or_default()];
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        values == names.map(|name| world.value("alice", name))
    })
}

/// Whether the shared account holds nothing of keyturn's that works.
fn holds_nothing(world: &World) -> bool {
    entry(world).is_none_or(|it| it.triplet().unwrap().access_key_id.contains("WITHDRAWN"))
}

/// What others keep in the shared account is as they left it.
fn others_are_as_before(world: &World) {
    let mut all = world.datarobot.credentials(SHARED);
    all.retain(|it| it.name != NAME);
    let values =
        all.iter().map(|it| (it.name.as_str(), it.kind.as_str(), it.values.values().map(String::as_str).collect()));
    let wanted: [(&str, &str, Vec<&str>); 2] =
        [("database", "basic", vec!["p", "u"]), ("bob-s3", "s3", vec!["AKIABOB", "b"])];
    assert_eq!(values.collect::<Vec<_>>(), wanted);
}

fn is_write(call: &Call) -> bool {
    call.method != "GET"
}

fn finalizers(world: &World) -> Vec<String> {
    world.config("alice").and_then(|config| config.metadata.finalizers).unwrap_or_default()
}

fn instance(world: &World) -> Option<DataRobotInstance> {
    world.data_robot("prod")
}

/// Status, reason and message of a condition of the instance.
fn instance_condition(world: &World, type_: &str) -> (String, String, String) {
    let status = instance(world).and_then(|instance| instance.status).unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == type_);
    found.map(|condition| (condition.status, condition.reason, condition.message)).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_one_write_and_the_id_stays() {
    let world = alice_pushed().await;
    assert!(holds_the_same(&world, SHARED));
    let before = recorded(&world).unwrap();
    assert_eq!((before.instance.as_str(), before.login.as_str(), before.name.as_str()), ("prod", "alice", NAME));
    assert_eq!(before.credential_id, entry(&world).map(|it| it.id));
    let wanted =
        format!("the credential is in the S3 credential \"{NAME}\" of \"alice\" in DataRobotInstance \"prod\"");
    assert_eq!(message(&world, "alice"), wanted);
    assert_eq!(finalizers(&world), ["keyturn.dev/datarobot.prod"]);

    world.pass_until_due("alice").await;
    world.settle().await;
    assert!(holds_the_same(&world, SHARED));
    assert_eq!(recorded(&world).unwrap().credential_id, before.credential_id);
    let token = world.api.count_where(|request| request.verb == "get" && request.path.contains("datarobot-token"));
    let Cost { sts, reads, writes } = world.cost();
    assert_eq!((sts, reads - token, writes), (1, 0, 2), "{}", world.picture());
    let writes: Vec<_> = world.datarobot.calls().into_iter().filter(is_write).map(|call| call.method).collect();
    assert_eq!(writes, ["PATCH"]);
    others_are_as_before(&world);
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_a_pushed_credential_writes_nothing() {
    let mut world = alice_pushed().await;
    world.kill().await;
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!((world.cost().sts, world.cost().writes, world.datarobot.count_where(is_write)), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_credential_is_unusable_and_keeps_its_id() {
    let mut suspended = alice_pushed().await;
    let id = entry(&suspended).unwrap().id;
    suspended.change("alice", |spec| spec.suspend = true);
    suspended.until("it is unusable", holds_nothing).await;
    suspended.until("it is said", |world| pushed(world, "alice") == "Unknown/NotPushed").await;
    suspended.pass(Duration::from_hours(3)).await;
    let values = entry(&suspended).unwrap();
    assert_eq!((values.id.as_str(), suspended.datarobot.count_where(is_write)), (id.as_str(), 1), "{values:?}");
    assert!(values.values.values().all(|value| value.contains("WITHDRAWN")), "{values:?}");
    suspended.kill().await;
    suspended.start();
    suspended.change("alice", |spec| spec.suspend = false);
    suspended.until("it works again", |world| holds_the_same(world, SHARED)).await;
    assert_eq!(entry(&suspended).unwrap().id, id);

    let world = alice_pushed().await;
    assert!(world.api.delete("AwsRoleGrant", "", "analysts"));
    world.until("without a grant it is unusable", holds_nothing).await;
    assert!(entry(&world).is_some(), "the entry stays");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_no_longer_wanted_is_deleted() {
    type Change = fn(&World);
    let rows: [(&str, Change); 6] = [
        ("taken out of the spec", |world| world.change("alice", |spec| spec.push = None)),
        ("no longer allowed", |world| world.apply(&robot("prod", URL, |spec| spec.allow.clear()))),
        ("the instance is deleted", |world| assert!(world.api.delete("DataRobotInstance", "", "prod"))),
        ("the config is deleted", |world| assert!(world.api.delete("AwsConfig", SCORING, "alice"))),
        ("another name", |world| {
            world.change("alice", |spec| {
                spec.push.as_mut().unwrap().data_robot.as_mut().unwrap().name = "other".into();
            });
        }),
        ("another person", |world| world.change("alice", |spec| spec.person = Some("bob".into()))),
    ];
    for (row, change) in rows {
        let world = alice_pushed().await;
        let id = entry(&world).unwrap().id;
        change(&world);
        let is_gone = |world: &World| world.datarobot.credentials(SHARED).iter().all(|it| it.id != id);
        world.until(row, is_gone).await;
        world.pass(Duration::from_secs(30)).await;
        others_are_as_before_but(&world, row);
        let stays = row.starts_with("another");
        assert_eq!(!finalizers(&world).is_empty(), stays, "{row}: {:?}", finalizers(&world));
        assert_eq!(instance(&world).is_none(), row == "the instance is deleted", "{row}");
        if row == "another person" {
            assert!(holds_the_same(&world, SHARED), "{}", world.picture());
            assert_eq!(id_in_secret(&world), entry(&world).map(|it| it.id), "the ID is not of two persons");
        }
    }
}

fn others_are_as_before_but(world: &World, row: &str) {
    if row == "another name" {
        let own = world.datarobot.credential(SHARED, "other").expect("keyturn's own, under its new name");
        world.datarobot.remove_credential(SHARED, &own.id);
    }
    others_are_as_before(world);
}

#[tokio::test(start_paused = true)]
async fn a_credential_of_others_is_never_touched() {
    type Taken = fn(&World);
    let rows: [(&str, Taken); 3] = [
        ("an S3 credential", |world| {
            world.datarobot.add_credential(
                SHARED,
                NAME,
                "s3",
                &[("awsAccessKeyId", "AKIA"), ("awsSecretAccessKey", "s")],
            );
        }),
        ("another type", |world| {
            world.datarobot.add_credential(SHARED, NAME, "basic", &[("user", "u"), ("password", "p")]);
        }),
        ("that of another config", |world| {
            world.apply(&config("older", pushes_to_datarobot(NAME)));
        }),
    ];
    for (row, take) in rows {
        let mut world = world();
        world.start();
        take(&world);
        if row == "that of another config" {
            world.until("the older has it", |world| pushed(world, "older") == "True/Pushed").await;
        }
        let before = entry(&world).unwrap();
        world.apply(&config("alice", pushes_to_datarobot(NAME)));
        world.until(row, |world| pushed(world, "alice") == "False/PushNameTaken").await;
        assert!(world.is_ready("alice"), "{row}: the Secret does not depend on it");
        world.pass(Duration::from_mins(30)).await;
        assert_eq!(entry(&world).unwrap(), before, "{row}");
        assert!(finalizers(&world).is_empty() && id_in_secret(&world).is_none(), "{row}");
        if row == "that of another config" {
            world.api.delete("AwsConfig", SCORING, "older");
        } else {
            world.datarobot.remove_credential(SHARED, &before.id);
        }
        world.until("it is free", |world| pushed(world, "alice") == "True/Pushed").await;
        assert!(holds_the_same(&world, SHARED), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_line_leaves_one_credential() {
    let rows = ["after the claim", "after the creation", "the answer is lost", "after an update", "after the deletion"];
    for row in rows {
        let mut world = world();
        world.start();
        world.apply(&config("alice", pushes_to_datarobot(NAME)));
        match row {
            "after the claim" => world.until(row, |world| !finalizers(world).is_empty()).await,
            "after the creation" => world.until(row, |world| entry(world).is_some()).await,
            "the answer is lost" => {
                world.datarobot.behave_if(Times::Once, |call| call.method == "POST", Behaviour::AnswerLost);
                world.until(row, |world| entry(world).is_some()).await;
            }
            _ => {
                world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
                let of_status = |request: &crate::doubles::apiserver::Request| request.path.ends_with("/status");
                let fault = world.api.fault(Times::UntilCleared, of_status, Fault::status(500));
                if row == "after an update" {
                    world.pass_until_due("alice").await;
                    world.until(row, |world| holds_the_same(world, SHARED)).await;
                } else {
                    world.change("alice", |spec| spec.push = None);
                    world.pass(Duration::from_secs(5)).await;
                }
                world.kill().await;
                world.api.forgive(fault);
                world.start();
            }
        }
        if row == "after the deletion" {
            world.until("it is gone", |world| entry(world).is_none()).await;
            world.until("nothing is left", |world| finalizers(world).is_empty()).await;
        } else {
            world.kill().await;
            world.start();
            world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
            world.until("it is the session", |world| holds_the_same(world, SHARED)).await;
            world.until("pods have the ID", |world| id_in_secret(world) == entry(world).map(|it| it.id)).await;
            assert_eq!(world.datarobot.credentials_ever(), 3, "{row}: two of others, and one");
        }
        others_are_as_before(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_datarobot_that_is_away_delays_no_renewal_and_gets_the_newest() {
    let world = alice_pushed().await;
    let away = world.datarobot.behave_if(Times::UntilCleared, is_write, Behaviour::Hang);
    for _ in 0..3 {
        world.pass_until_due("alice").await;
        world.pass(Duration::from_secs(15)).await;
        assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{}", world.picture());
    }
    assert_eq!(pushed(&world, "alice"), "False/DataRobotUnreachable");
    let tried = world.datarobot.count_where(is_write);
    assert!((6..=60).contains(&tried), "{tried} tries in two hours");
    world.datarobot.forgive(away);
    world.datarobot.clear();
    world.until("DataRobot has the newest", |world| holds_the_same(world, SHARED)).await;
    world.until("it is said", |world| pushed(world, "alice") == "True/Pushed").await;
    assert_eq!(world.datarobot.count_where(is_write), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_datarobot_refuses_leaves_nothing_that_works() {
    let world = alice_pushed().await;
    world.datarobot.set_in_use(SHARED, &entry(&world).unwrap().id, true);
    world.change("alice", |spec| spec.push = None);
    world.until("it is said", |world| pushed(world, "alice") == "False/PushRefused").await;
    assert!(holds_nothing(&world));
    let message = message(&world, "alice");
    assert!(message.contains("made it unusable") && !message.contains("is still in"), "{message}");
    world.datarobot.set_in_use(SHARED, &entry(&world).unwrap().id, false);
    world.until("it is gone", |world| entry(world).is_none()).await;
    world.until("nothing is left", |world| finalizers(world).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_of_ones_own_leads_to_ones_own_account() {
    let mut world = world();
    world.start();
    let token = world.datarobot.add_account("alice");
    put_token(&world, SCORING, "mine", &token);
    let with_token = |spec: &mut keyturn::api::AwsConfigSpec| {
        pushes_to_datarobot(NAME)(spec);
        let place = spec.push.as_mut().unwrap().data_robot.as_mut().unwrap();
        place.token_secret_ref = serde_json::from_value(json!({"name": "mine"})).unwrap();
        place.deliver_token = true;
    };
    world.apply(&config("alice", with_token));
    world.until("it is not allowed", |world| pushed(world, "alice") == "False/PushRefused").await;
    assert!(message(&world, "alice").contains("ownTokens: true"), "{}", message(&world, "alice"));
    assert!(!world.secret("alice").unwrap().data.unwrap().contains_key("DATAROBOT_API_TOKEN"));

    world.apply(&robot("prod", URL, |spec| spec.allow[0].own_tokens = true));
    world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
    assert!(holds_the_same(&world, "alice") && entry(&world).is_none());
    world.until("pods have the token", |world| world.value("alice", "DATAROBOT_API_TOKEN") == token).await;
    assert_eq!(world.value("alice", "DATAROBOT_ENDPOINT"), "https://robot.test/api/v2");

    let next = world.datarobot.rotate_token("alice");
    put_token(&world, SCORING, "mine", &next);
    world.until("pods have the next", |world| world.value("alice", "DATAROBOT_API_TOKEN") == next).await;
    world.pass_until_due("alice").await;
    world.until("a renewal uses it", |world| holds_the_same(world, "alice")).await;

    // The owner takes the offer back.
    world.api.edit("Secret", SCORING, "mine", |secret| secret["metadata"]["labels"] = json!({}));
    world.until("it is said", |world| pushed(world, "alice") == "False/SecretNotOffered").await;
    world
        .until("pods have it no more", |world| {
            !world.secret("alice").unwrap().data.unwrap().contains_key("DATAROBOT_API_TOKEN")
        })
        .await;
    assert!(world.is_ready("alice"), "the Secret does not depend on it");
}

#[tokio::test(start_paused = true)]
async fn a_key_never_stands_beside_a_token_of_a_session() {
    let world = alice_pushed().await;
    world.apply(&crate::fixtures::grant("keys", |grant| {
        grant.providers = vec![keyturn::api::CredentialProvider::Default];
        grant.roles.clear();
    }));
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "the/secret+key");
    world.change("alice", |spec| delivers_key("mine")(spec));
    let holds = |world: &World, secret: &str| {
        entry(world).and_then(|it| it.triplet()).is_some_and(|it| it.secret_access_key == secret)
    };
    world.until("the key is there", |world| holds(world, "the/secret+key")).await;
    assert_eq!(entry(&world).unwrap().triplet().unwrap().session_token, None);
    let id = entry(&world).unwrap().id;
    world.until("it is said", |world| recorded(world).is_some_and(|it| it.credential_id.as_ref() == Some(&id))).await;
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "the/next+key");
    world.until("the next key is there", |world| holds(world, "the/next+key")).await;
    assert_eq!(entry(&world).unwrap().id, id, "a key that follows a key keeps the ID");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_configs_share_what_datarobot_can_bear() {
    let mut world = world();
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.apply(&config(name, |spec| {
            pushes_to_datarobot(name)(spec);
            spec.person = Some(name.clone());
        }));
    }
    let away = world.datarobot.behave_if(Times::UntilCleared, |_| true, Behaviour::BadGateway);
    world.start();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.pass(Duration::from_mins(10)).await;
    // The instance's own reconcile asks for the version first.
    let tried = world.datarobot.count_where(|call| call.path.starts_with("/credentials"));
    assert!(tried <= 60, "{tried} calls in ten minutes, for all together");
    world.datarobot.forgive(away);
    world.datarobot.clear();
    world.until("all are pushed", |world| names.iter().all(|name| pushed(world, name) == "True/Pushed")).await;
    assert_eq!((world.sts.count(), world.datarobot.count_where(is_write)), (200, 200));
    others_are_as_before_beside(&world, &names);
}

fn others_are_as_before_beside(world: &World, names: &[String]) {
    for name in names {
        let own = world.datarobot.credential(SHARED, name).unwrap();
        world.datarobot.remove_credential(SHARED, &own.id);
    }
    others_are_as_before(world);
}

#[tokio::test(start_paused = true)]
async fn an_instance_says_whether_datarobot_answers_and_takes_the_token() {
    let mut world = world();
    world.start();
    world.until("it is ready", |world| instance_condition(world, "Ready").0 == "True").await;
    assert_eq!(instance(&world).unwrap().status.unwrap().version.as_deref(), Some("2.49.0"));
    let writes = world.api.count_where(|request| request.is("patch", "datarobotinstances"));
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.api.count_where(|request| request.is("patch", "datarobotinstances")), writes, "nothing is news");

    world.datarobot.revoke_token(SHARED);
    world.until("it is refused", |world| instance_condition(world, "Authorized").1 == "DataRobotDenied").await;
    assert_eq!(instance_condition(&world, "Reachable").0, "True");
    let token = world.datarobot.rotate_token(SHARED);
    put_token(&world, OPERATORS, "datarobot-token", &token);
    world.until("it is ready again", |world| instance_condition(world, "Ready").0 == "True").await;

    let away = world.datarobot.behave_if(Times::UntilCleared, |_| true, Behaviour::BadGateway);
    world.until("it is away", |world| instance_condition(world, "Reachable").1 == "DataRobotUnreachable").await;
    assert_eq!(instance_condition(&world, "Authorized").0, "True", "it keeps its last state");
    world.datarobot.forgive(away);

    assert!(world.api.delete("Secret", OPERATORS, "datarobot-token"));
    world.until("there is no token", |world| instance_condition(world, "Ready").1 == "DataRobotDenied").await;
    let message = instance_condition(&world, "Authorized").2;
    assert!(message.contains("keyturn-system/datarobot-token") && message.contains("does not exist"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_token_and_the_values_are_in_no_status_event_or_metric() {
    let world = alice_pushed().await;
    world.datarobot.behave_if(Times::UntilCleared, is_write, Behaviour::EchoedBody);
    world.pass_until_due("alice").await;
    world.until("it is refused", |world| pushed(world, "alice").starts_with("False/")).await;
    let picture = format!("{} {:?}", world.picture_of_status(), world.events());
    assert!(!picture.contains(TOKEN_MARKER), "{picture}");
    let secret = world.value("alice", "AWS_SECRET_ACCESS_KEY");
    assert!(!picture.contains(&secret), "{picture}");
}
