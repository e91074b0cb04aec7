//! Pushes of several configs into the account of one login, and pushes beside other work.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Connection},
        rules::Times,
    },
    fixtures::{delivers_key, from_connection, pushes_secrets},
};
use std::collections::BTreeSet;

fn of_alice(change: impl FnOnce(&mut AwsConfigSpec)) -> impl FnOnce(&mut AwsConfigSpec) {
    move |spec| {
        change(spec);
        spec.person = Some("alice".into());
    }
}

fn push(spec: &mut AwsConfigSpec, push: serde_json::Value) {
    spec.dss = serde_json::from_value(json!({"instance": "design"})).unwrap();
    spec.push = serde_json::from_value(push).unwrap();
}

#[tokio::test(start_paused = true)]
async fn writes_to_one_account_do_not_undo_each_other() {
    let mut world = allowing_pushes();
    world.dss.set_secret("alice", "MINE", "my own");
    world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::Latency(Duration::from_secs(2)));
    world.put_key("mine", true, KEY, "the/secret+key");
    let prefixes: Vec<String> = (0..4).map(|n| format!("P{n}_")).collect();
    for prefix in &prefixes {
        let name = prefix.to_lowercase().replace('_', "");
        world.apply(&config(&name, of_alice(pushes_secrets(prefix))));
    }
    world.apply(&config("with-key", |spec| {
        of_alice(delivers_key("mine"))(spec);
        push(spec, json!({"dssConnection": {"connection": "lake"}}));
    }));
    world.start();
    let names = ["p0", "p1", "p2", "p3", "with-key"];
    world.until("all are pushed", |world| names.iter().all(|name| pushed(world, name) == "True/Pushed")).await;
    let there: BTreeSet<String> = world.dss.secrets("alice").into_keys().collect();
    for prefix in &prefixes {
        assert!(there.contains(&format!("{prefix}SESSION_TOKEN")), "{prefix} is lost: {there:?}");
    }
    assert!(there.contains("MINE"), "{there:?}");
    assert_eq!(world.dss.credential("alice", "lake"), Some((KEY.to_owned(), "the/secret+key".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_place_whose_first_write_may_have_arrived_is_not_given_up() {
    let mut world = allowing_pushes();
    world.start();
    world.apply(&config("alice", |_| {}));
    world.until("the older one is ready", |world| world.is_ready("alice")).await;
    world.pass(Duration::from_secs(2)).await;
    world.dss.behave_if(Times::Once, is_write, Behaviour::AnswerLost);
    world.apply(&config("second", of_alice(pushes_secrets("AWS_"))));
    world.until("the write arrived", |world| world.dss.secrets("alice").len() == 4).await;
    world.change("alice", pushes_secrets("AWS_"));
    world.until("the older one is refused", |world| pushed(world, "alice") == "False/PushNameTaken").await;
    let said = world.condition("alice", "Pushed").unwrap().2;
    assert!(said.contains("AwsConfig scoring/second"), "{said}");
    world.until("the other has it", |world| pushed(world, "second") == "True/Pushed").await;

    world.change("second", |spec| spec.push = None);
    world.until("the older one gets it", |world| pushed(world, "alice") == "True/Pushed").await;
    assert_eq!(world.dss.secrets("alice")["AWS_ACCESS_KEY_ID"], world.value("alice", "AWS_ACCESS_KEY_ID"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_from_dss_does_not_wait_for_pushes_that_hang() {
    let mut world = allowing_pushes();
    world.dss.add_connection("s3", Connection::assume_role("ds-analyst").readable_by(&["analysts"]));
    let names: Vec<String> = (0..30).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.dss.add_user(name, &[]);
        world.apply(&config(name, |spec| {
            pushes_secrets("AWS_")(spec);
            spec.person = Some(name.clone());
        }));
    }
    world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::Hang);
    world.start();
    world.until("pushes hang", |world| world.dss.count_where(is_write) >= 4).await;
    world.pass(Duration::from_secs(1)).await;
    world.apply(&config("bob", from_connection("s3")));
    let begun = world.now();
    world.until("bob has his credential", |world| world.is_ready("bob")).await;
    let waited = world.now().duration_since(begun).as_secs();
    assert!(waited < 3, "bob waited for {waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_dss_asks_for_is_kept_to_up_to_ten_minutes() {
    for (row, asked, least, most) in [("two minutes", 120, 120, 140), ("four months", 10_000_000, 600, 640)] {
        let mut world = allowing_pushes();
        let busy = Behaviour::TooManyRequests { retry_after_seconds: asked };
        world.dss.behave_if(Times::Once, is_write, busy);
        world.start();
        world.apply(&config("alice", pushes_secrets("AWS_")));
        world.until("it is said", |world| pushed(world, "alice") == "False/DssUnreachable").await;
        assert!(world.is_ready("alice"), "{row}");
        let begun = world.now();
        world.pass(Duration::from_secs(least - 5)).await;
        assert_eq!(world.dss.count_where(is_write), 1, "{row}: not before DSS wants it");
        world.until(row, |world| pushed(world, "alice") == "True/Pushed").await;
        let waited = world.now().duration_since(begun).as_secs();
        assert!(waited < most, "{row}: {waited} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_costs_no_write_of_status() {
    let mut world = allowing_pushes();
    let names: Vec<String> = (0..20).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.dss.add_user(name, &[]);
        world.apply(&config(name, |spec| {
            pushes_secrets("AWS_")(spec);
            spec.person = Some(name.clone());
        }));
    }
    world.dss.behave_if(Times::UntilCleared, is_write, Behaviour::BadGateway);
    world.start();
    world.until("it is said", |world| names.iter().all(|name| pushed(world, name) == "False/DssUnreachable")).await;
    world.pass(Duration::from_mins(1)).await;
    world.count_from_here();
    world.pass(Duration::from_mins(15)).await;
    let of_status = world.api.count_where(|request| request.path.ends_with("/status") && request.is_write());
    // One may say that others came first, before it has asked DSS itself.
    assert!(of_status <= names.len() + 4, "{of_status} writes of status in a quarter of an hour");
}
