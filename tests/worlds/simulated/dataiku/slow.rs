//! A DSS that answers late, or never: configs that do not need it are not delayed.

use super::*;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        dss::{ADMINISTRATORS, Behaviour, Call, Connection},
        rules::Times,
    },
    fixtures::{from_connection, personal_key},
    simulated::replicas::{Replica, holder},
};
use jiff::SignedDuration;
use keyturn::api::AwsConfig;

const MINUTE: Duration = Duration::from_mins(1);

fn is_connection(call: &Call) -> bool {
    call.path.starts_with("/connections/")
}

fn is_creation(call: &Call) -> bool {
    call.method == "POST"
}

/// Configs with a credential of a connection, each for a person of its own.
fn of_connection(world: &World, count: usize) -> Vec<AwsConfig> {
    world.dss.add_connection("s3", Connection::assume_role("ds-analyst").readable_by(&["analysts"]));
    let named = |n| {
        let name = format!("user-{n}");
        world.dss.add_user(&name, &["analysts"]);
        config(&name, from_connection("s3"))
    };
    (0..count).map(named).collect()
}

/// The seconds between the due time of a renewal and the renewal.
async fn delay_of_renewal(world: &World, name: &str) -> i64 {
    let due = world.status(name).renew_at.expect("it has a credential").0;
    world.pass_until_due(name).await;
    world.until("it is renewed", |world| world.status(name).issued_at.is_some_and(|at| at.0 >= due)).await;
    world.status(name).issued_at.unwrap().0.duration_since(due).as_secs()
}

#[tokio::test(start_paused = true)]
async fn renewals_from_sts_are_in_time_while_dss_hangs_for_300_configs() {
    let mut world = world();
    let others = of_connection(&world, 300);
    world.start();
    for config in others.iter().chain(&[config("alice", |_| {}), config("bob", personal_key)]) {
        world.apply(config);
    }
    let names: Vec<String> = others.iter().filter_map(|config| config.metadata.name.clone()).collect();
    let all_ready = |world: &World| names.iter().all(|name| world.is_ready(name)) && world.is_ready("bob");
    world.until("all are ready", all_ready).await;
    let mut due = ["alice", "bob"].map(|name| (world.status(name).renew_at.unwrap().0, name));
    due.sort();
    // Sessions of connections are renewed after ten minutes at the latest. By then all of them wait
    // for DSS.
    let until = due[0].0.duration_since(world.now()) - SignedDuration::from_mins(20);
    world.pass(until.unsigned_abs()).await;
    world.dss.always(Behaviour::Hang);
    for (_, name) in due {
        let delay = delay_of_renewal(&world, name).await;
        assert!(delay <= 5, "{name} was renewed {delay} s late");
    }
    assert!(!world.is_ready("user-0"), "DSS does hang");
    world.dss.behave_well();
    world.until("all are ready again", all_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_credential_does_not_wait_for_an_api_key_that_dss_delays() {
    let mut world = world();
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.settle().await;
    world.dss.behave_if(Times::UntilCleared, is_creation, Behaviour::Hang);
    let begun = world.now();
    world.apply(&config("alice", personal_key));
    world.until("the credential is there", |world| world.holds_a_valid_session("alice")).await;
    assert!(world.now().duration_since(begun).as_secs() <= 6, "{}", world.picture());
    world.until("it says what it waits for", |world| world.ready("alice") == "False/DssUnreachable").await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains("\"design\"") && message.contains("no API key"), "{message}");

    world.dss.behave_well();
    world.until("so is the key", |world| world.is_ready("alice")).await;
    world.pass(REFRESH).await;
    assert_eq!((world.sts.count(), world.dss.personal_keys().len()), (1, 1));
    assert_eq!(owner_of(&world, &world.value("alice", "DKU_API_KEY")).as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_takes_ten_seconds_is_created_once() {
    let mut world = world();
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.dss.behave_if(Times::UntilCleared, is_creation, Behaviour::Latency(Duration::from_secs(10)));
    world.apply(&config("alice", personal_key));
    world.until("all of it is there", |world| world.is_ready("alice")).await;
    world.pass(REFRESH).await;
    assert_eq!((world.sts.count(), world.dss.personal_keys().len()), (1, 1));
    assert_eq!(owner_of(&world, &world.value("alice", "DKU_API_KEY")).as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_config_that_waits_for_a_permit_is_pending_and_never_failing() {
    let mut world = world();
    let all = of_connection(&world, 100);
    world.dss.behave_if(Times::UntilCleared, is_connection, Behaviour::Latency(Duration::from_millis(300)));
    world.start();
    for config in &all {
        world.apply(config);
    }
    let names: Vec<String> = all.iter().filter_map(|config| config.metadata.name.clone()).collect();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.settle().await;
    world.count_from_here();
    for _ in 0..30 {
        world.pass(MINUTE).await;
        let failing =
            names.iter().find(|name| !world.is_ready(name) || world.condition(name, "RenewalFailing").is_some());
        assert_eq!(failing, None, "{}", world.picture());
    }
    let asked = world.dss.count_where(is_connection);
    assert!((200..=600).contains(&asked), "two or three renewals each: {asked}");
    let warned: Vec<String> = world.event_reasons().into_iter().filter(|reason| reason != "Issued").collect();
    assert!(warned.iter().all(|reason| reason == "Pending"), "{warned:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_stopped_while_dss_hangs_releases_the_lease_in_time() {
    let world = world();
    let all = of_connection(&world, 5);
    world.dss.behave_if(Times::UntilCleared, is_connection, Behaviour::Hang);
    let first = Replica::start(&world, "first");
    world.until("the first leads", |world| first.leads(world)).await;
    for config in &all {
        world.apply(config);
    }
    world.until("DSS is asked", |world| world.dss.count_where(is_connection) == 5).await;
    let asked = world.now();
    first.stop().await;
    let took = world.now().duration_since(asked).as_secs();
    assert!(took <= 16, "{took} s");
    assert_eq!(holder(&world), "", "another may lead at once");
}

#[tokio::test(start_paused = true)]
async fn a_thawed_leader_creates_no_api_key_after_a_takeover() {
    let world = world();
    world.dss.set_groups("alice", &[ADMINISTRATORS]);
    let first = Replica::start(&world, "first");
    world.until("the first leads", |world| first.leads(world)).await;
    world.apply(&config("alice", personal_key));
    world.until("alice's key is refused", |world| world.ready("alice") == "False/DssAdminKey").await;
    let second = Replica::start(&world, "second");
    world.settle().await;
    let made = world.dss.keys_ever();

    // Before keyturn creates a key, it asks whether alice is an administrator still. DSS answers
    // after the lease has run out.
    let asks = |call: &Call| call.path == "/admin/users/alice" && call.proxy_user.as_deref() == Some("alice");
    let asked = world.dss.count_where(asks);
    world.dss.behave_if(Times::Once, asks, Behaviour::Latency(Duration::from_secs(18)));
    world.dss.set_groups("alice", &["analysts"]);
    world.until("DSS is asked", |world| world.dss.count_where(asks) > asked).await;
    let is_its_lease =
        |request: &Request| request.resource == "leases" && request.user_agent.as_deref() == Some("first");
    world.api.fault(Times::UntilCleared, is_its_lease, Fault::Hang);
    first.freeze();
    world.until("the second leads and delivers", |world| second.leads(world) && world.is_ready("alice")).await;
    world.pass(MINUTE).await;
    assert_eq!(world.dss.keys_ever(), made + 1, "{}", world.picture());
    assert_eq!(world.dss.personal_keys().len(), 1);
}
