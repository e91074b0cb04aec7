//! `spec.push`: the credential in the account of the person's login in DSS, beside the Secret.

use super::*;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        dss::Behaviour,
        rules::Times,
    },
    fixtures::{SCORING, delivers_key, instance, pushes_secrets},
    simulated::world::Cost,
};
use keyturn::api::PushStatus;
use std::collections::BTreeMap;

const BULK: &str = "/admin/users/actions/bulk";

/// A world whose `design` allows pushes. alice and bob have a secret of their own in DSS.
fn allowing() -> World {
    let world = allowing_pushes();
    for login in ["alice", "bob"] {
        world.dss.set_secret(login, "MINE", "my own");
    }
    world
}

/// alice, whose credential is pushed, at rest. Nothing is counted yet.
async fn alice_pushed() -> World {
    let mut world = allowing();
    world.start();
    world.apply(&config("alice", pushes_secrets("AWS_")));
    world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
    // The status of the instance says that keyturn reads the API keys too, once there is a
    // finalizer.
    world.pass(REFRESH).await;
    world.count_from_here();
    world
}

fn message(world: &World, name: &str) -> String {
    world.condition(name, "Pushed").map(|(_, _, message)| message).unwrap_or_default()
}

fn recorded(world: &World) -> PushStatus {
    world.status("alice").push.map(|push| *push).unwrap_or_default()
}

/// The secrets of a login that are not its own.
fn ours(world: &World, login: &str) -> BTreeMap<String, String> {
    let mut secrets = world.dss.secrets(login);
    assert_eq!(secrets.remove("MINE").as_deref(), Some("my own"), "{login}: what others wrote is left alone");
    secrets
}

/// Whether DSS holds what the Secret of `alice` holds.
fn holds_the_same(world: &World) -> bool {
    let names = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"];
    let secrets = ours(world, "alice");
    names.iter().all(|name| secrets.get(&format!("AWS_{name}")) == Some(&world.value("alice", &format!("AWS_{name}"))))
}

fn finalizers(world: &World) -> Vec<String> {
    world.config("alice").and_then(|config| config.metadata.finalizers).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn secrets_hold_what_the_secret_holds_and_a_renewal_is_one_write() {
    let world = alice_pushed().await;
    assert!(holds_the_same(&world), "{:?}", ours(&world, "alice"));
    let status = recorded(&world).dss_secrets.unwrap();
    assert_eq!(ours(&world, "alice")["AWS_EXPIRATION"], world.status("alice").expires_at.unwrap().0.to_string());
    assert_eq!((status.instance.as_str(), status.login.as_str(), status.name.as_str()), ("design", "alice", "AWS_"));
    assert_eq!(status.access_key_id, world.status("alice").access_key_id);
    assert_eq!(
        message(&world, "alice"),
        "the credential is in the user secrets \"AWS_…\" of \"alice\" in DssInstance \"design\""
    );
    assert_eq!(finalizers(&world), ["keyturn.dev/dss.design"]);

    world.pass_until_due("alice").await;
    world.settle().await;
    assert!(holds_the_same(&world));
    let admin_key = world.api.count_where(|request| request.verb == "get" && request.path.contains("dss-admin"));
    let Cost { sts, reads, writes } = world.cost();
    assert_eq!((sts, reads - admin_key, writes), (1, 0, 2), "{}", world.picture());
    assert_eq!(world.dss.count_where(is_write), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_a_pushed_credential_writes_nothing() {
    let mut world = alice_pushed().await;
    world.kill().await;
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!((world.cost().sts, world.cost().writes, world.dss.count_where(is_write)), (0, 0, 0));
    assert_eq!(pushed(&world, "alice"), "True/Pushed");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_no_longer_wanted_is_emptied() {
    type Change = fn(&World);
    let rows: [(&str, Change); 8] = [
        ("suspended", |world| world.change("alice", |spec| spec.suspend = true)),
        ("the grant is gone", |world| assert!(world.api.delete("AwsRoleGrant", "", "analysts"))),
        ("taken out of the spec", |world| world.change("alice", |spec| spec.push = None)),
        ("another person", |world| world.change("alice", |spec| spec.person = Some("bob".into()))),
        ("another prefix", |world| {
            world.change("alice", |spec| {
                spec.push.as_mut().unwrap().dss_secrets.as_mut().unwrap().prefix = "S3_".into();
            });
        }),
        ("no longer allowed", |world| world.apply(&instance("design", URL, |_| {}))),
        ("the instance is deleted", |world| assert!(world.api.delete("DssInstance", "", "design"))),
        ("the config is deleted", |world| assert!(world.api.delete("AwsConfig", SCORING, "alice"))),
    ];
    for (row, change) in rows {
        let world = alice_pushed().await;
        change(&world);
        let is_gone = |world: &World| ours(world, "alice").keys().all(|name| !name.starts_with("AWS_"));
        world.until(row, is_gone).await;
        world.pass(Duration::from_secs(30)).await;
        let elsewhere = match row {
            "another person" => ours(&world, "bob").len(),
            "another prefix" => ours(&world, "alice").len(),
            _ => 0,
        };
        assert_eq!(elsewhere, if row.starts_with("another") { 4 } else { 0 }, "{row}: {}", world.picture());
        let stays = row.starts_with("another");
        assert_eq!(!finalizers(&world).is_empty(), stays, "{row}: {:?}", finalizers(&world));
        assert_eq!(world.instance("design").is_none(), row == "the instance is deleted", "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_the_person_s_own_is_never_overwritten() {
    let mut world = allowing();
    world.dss.set_secret("alice", "AWS_SESSION_TOKEN", "by hand");
    world.start();
    world.apply(&config("alice", pushes_secrets("AWS_")));
    world.until("it is refused", |world| pushed(world, "alice") == "False/PushNameTaken").await;
    assert!(world.is_ready("alice"), "the Secret does not depend on it");
    assert_eq!(world.status("alice").trouble.unwrap().word, "PushNameTaken");
    assert!(finalizers(&world).is_empty(), "nothing of ours is there");
    world.pass(Duration::from_hours(2)).await;
    assert_eq!((ours(&world, "alice")["AWS_SESSION_TOKEN"].as_str(), world.dss.count_where(is_write)), ("by hand", 0));
    let told = world.event_reasons().into_iter().filter(|reason| reason == "PushNameTaken").count();
    assert_eq!(told, 1, "one Event, however often it is tried");

    world.dss.remove_secret("alice", "AWS_SESSION_TOKEN");
    world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
    assert!(holds_the_same(&world));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_allow_it_gets_no_call() {
    let mut world = world();
    world.start();
    world.apply(&config("alice", pushes_secrets("AWS_")));
    world.until("it is refused", |world| pushed(world, "alice") == "False/PushRefused").await;
    assert!(message(&world, "alice").contains("push: true"), "{}", message(&world, "alice"));
    assert!(world.dss.secrets("alice").is_empty() && world.is_ready("alice"));
}

#[tokio::test(start_paused = true)]
async fn changes_of_an_admin_between_read_and_write_stay() {
    let world = alice_pushed().await;
    world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::Latency(Duration::from_secs(3)));
    world.pass_until_due("alice").await;
    world.until("the write is under way", |world| world.dss.count_where(is_write) == 1).await;
    world.dss.set_enabled("alice", false);
    world.dss.set_groups("alice", &["nobodies"]);
    world.pass(Duration::from_secs(5)).await;
    let written = world.dss.calls().into_iter().find(|call| call.path == BULK && call.status == Some(200));
    assert!(written.is_some(), "DSS has carried the write out");
    assert_eq!(world.dss.standing("alice"), Some((false, vec!["nobodies".to_owned()])));
    world.until("the credential is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.until("and removed", |world| ours(world, "alice").is_empty()).await;
    assert_eq!(world.dss.standing("alice"), Some((false, vec!["nobodies".to_owned()])));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_delays_no_renewal_and_gets_the_newest() {
    let world = alice_pushed().await;
    let away = world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::Hang);
    for _ in 0..4 {
        world.pass_until_due("alice").await;
        world.pass(Duration::from_secs(15)).await;
        assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{}", world.picture());
    }
    assert_eq!(world.sts.count(), 4);
    assert_eq!(pushed(&world, "alice"), "False/DssUnreachable");
    assert!(!holds_the_same(&world), "DSS still has the first");
    let tried = world.dss.count_where(is_write);
    assert!((8..=60).contains(&tried), "{tried} tries in two hours and a half");

    world.dss.forgive(away);
    world.count_from_here();
    world.until("DSS has the newest", holds_the_same).await;
    world.until("it is said", |world| pushed(world, "alice") == "True/Pushed").await;
    assert_eq!((world.dss.count_where(is_write), world.sts.count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_a_store_does_not_take_is_said_with_its_end() {
    let world = alice_pushed().await;
    let until = world.status("alice").expires_at.unwrap().0.to_string();
    let away = world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::ServerError);
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is said", |world| pushed(world, "alice") == "False/DssUnreachable").await;
    assert!(world.is_withdrawn("alice"));
    let is_left = "is still in the user secrets \"AWS_…\" of \"alice\" in DssInstance \"design\", which works until";
    assert!(message(&world, "alice").contains(&format!("{is_left} {until}")), "{}", message(&world, "alice"));
    world.dss.forgive(away);
    world.until("it is removed", |world| ours(world, "alice").is_empty()).await;
    world.until("nothing is left to say", |world| recorded(world) == PushStatus::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_config_waits_for_a_store_and_not_for_ever() {
    let world = alice_pushed().await;
    world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::Hang);
    world.api.delete("AwsConfig", SCORING, "alice");
    world.pass(Duration::from_mins(30)).await;
    let (_, reason, message) = world.condition("alice", "Ready").unwrap();
    assert!(reason == "DssUnreachable" && message.contains("finalizer waits"), "{reason}: {message}");
    assert!(world.secret("alice").is_none(), "the Secret does not wait");
    world.pass(Duration::from_mins(45)).await;
    assert!(world.config("alice").is_none(), "{}", world.picture());
    let left = world.events().into_iter().find(|(_, note)| note.contains("may be left there"));
    assert!(left.is_some_and(|(_, note)| note.contains("user secrets \"AWS_…\" of \"alice\"")), "{:?}", world.events());
}

#[tokio::test(start_paused = true)]
async fn keys_are_pushed_as_credentials_of_a_connection_and_a_plugin() {
    let mut world = allowing();
    world.dss.set_credential("alice", "warehouse", "alice", "her password");
    world.start();
    world.put_key("mine", true, KEY, "the/secret+key");
    world.apply(&config("alice", |spec| {
        delivers_key("mine")(spec);
        spec.dss = serde_json::from_value(json!({"instance": "design"})).unwrap();
        let plugin = json!({"plugin": "s3-tools", "paramSet": "keys", "preset": "main", "param": "key"});
        let push =
            json!({"dssSecrets": {"prefix": "AWS_"}, "dssConnection": {"connection": "lake"}, "dssPlugin": plugin});
        spec.push = serde_json::from_value(push).unwrap();
    }));
    world.until("all are pushed", |world| pushed(world, "alice") == "True/Pushed").await;
    let plugin = r#""PLUGIN", "s3-tools", "keys", "main", "key""#;
    let first = Some((KEY.to_owned(), "the/secret+key".to_owned()));
    assert_eq!((world.dss.credential("alice", "lake"), world.dss.credential("alice", plugin)), (first.clone(), first));
    let secrets = ours(&world, "alice");
    assert_eq!(
        secrets.keys().collect::<Vec<_>>(),
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        "no token, no expiry"
    );

    world.put_key("mine", true, KEY, "another/secret+key");
    let second = Some((KEY.to_owned(), "another/secret+key".to_owned()));
    world.until("the new key is there", |world| world.dss.credential("alice", plugin) == second).await;
    world.until("and in the connection", |world| world.dss.credential("alice", "lake") == second).await;

    world.change("alice", |spec| spec.suspend = true);
    world
        .until("all are gone", |world| {
            let left = ["lake", plugin].map(|key| world.dss.credential("alice", key));
            left == [None, None] && ours(world, "alice").is_empty()
        })
        .await;
    let hers = Some(("alice".to_owned(), "her password".to_owned()));
    assert_eq!(world.dss.credential("alice", "warehouse"), hers, "what others wrote is left alone");
}

#[tokio::test(start_paused = true)]
async fn of_two_configs_with_one_place_the_first_has_it() {
    let world = alice_pushed().await;
    world.apply(&config("second", |spec| {
        pushes_secrets("AWS_")(spec);
        spec.person = Some("alice".into());
    }));
    world.until("it is refused", |world| pushed(world, "second") == "False/PushNameTaken").await;
    assert!(message(&world, "second").contains("AwsConfig scoring/alice"), "{}", message(&world, "second"));
    assert!(holds_the_same(&world));
    world.api.delete("AwsConfig", SCORING, "alice");
    world.until("the other has it", |world| pushed(world, "second") == "True/Pushed").await;
    assert_eq!(ours(&world, "alice")["AWS_ACCESS_KEY_ID"], world.value("second", "AWS_ACCESS_KEY_ID"));
}

#[tokio::test(start_paused = true)]
async fn a_release_without_the_route_is_told_and_the_user_is_not_written() {
    let mut world = allowing();
    world.dss.behave_if(Times::UntilCleared, |call| call.path == BULK, Behaviour::NoSuchRoute);
    world.start();
    world.apply(&config("alice", pushes_secrets("AWS_")));
    world.until("it is refused", |world| pushed(world, "alice") == "False/PushRefused").await;
    assert!(message(&world, "alice").contains("lack a route"), "{}", message(&world, "alice"));
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.dss.count_where(|call| is_write(call) && call.path != BULK), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_line_leaves_nothing_and_repeats_nothing_for_others() {
    let of_status = |request: &Request| request.path.ends_with("/status");
    let of_config = |request: &Request| request.is("patch", "awsconfigs");
    for row in ["after the claim", "before the finalizer", "after the write", "the answer to the write is lost"] {
        let mut world = allowing();
        world.start();
        world.apply(&config("alice", |spec| pushes_secrets("AWS_")(spec)));
        let fault = match row {
            "before the finalizer" => Some(world.api.fault(Times::UntilCleared, of_config, Fault::status(500))),
            "after the claim" | "after the write" => None,
            _ => {
                world.dss.behave_if(Times::Once, is_write, Behaviour::AnswerLost);
                None
            }
        };
        match row {
            "after the claim" => world.until(row, |world| !finalizers(world).is_empty()).await,
            "before the finalizer" => world.pass(Duration::from_secs(5)).await,
            _ => world.until(row, |world| world.dss.count_where(is_write) > 0).await,
        }
        let statuses =
            (row == "after the write").then(|| world.api.fault(Times::UntilCleared, of_status, Fault::status(500)));
        world.kill().await;
        for fault in fault.into_iter().chain(statuses) {
            world.api.forgive(fault);
        }
        world.start();
        world.until("it is pushed", |world| pushed(world, "alice") == "True/Pushed").await;
        assert!(holds_the_same(&world), "{row}");
        world.change("alice", |spec| spec.push = None);
        world.until("it is gone", |world| ours(world, "alice").is_empty()).await;
        world.until("its finalizer too", |world| finalizers(world).is_empty()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_configs_share_what_dss_can_bear() {
    let mut world = allowing();
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.dss.add_user(name, &[]);
        world.apply(&config(name, |spec| {
            pushes_secrets("AWS_")(spec);
            spec.person = Some(name.clone());
        }));
    }
    let away = world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::BadGateway);
    world.start();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.pass(Duration::from_mins(10)).await;
    let tried = world.dss.count_where(is_write);
    assert!(tried <= 40, "{tried} tries in ten minutes, for all together");
    world.dss.forgive(away);
    world.until("all are pushed", |world| names.iter().all(|name| pushed(world, name) == "True/Pushed")).await;
    assert_eq!(world.sts.count(), 200);
}
