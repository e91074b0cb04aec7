//! Persons and namespaces: several configs of one person, the shared credential of a namespace, and
//! changes of mode.

use super::world::World;
use crate::fixtures::{alice, config, grant, role};
use keyturn::api::{AwsConfigSpec, Mode, Target};

fn system(spec: &mut AwsConfigSpec) {
    spec.mode = Mode::System;
    spec.person = None;
}

fn allow_system(world: &World) {
    world.apply(&grant("shared", |spec| spec.persons = vec!["system:scoring".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_s_shared_credential_needs_a_grant_that_names_it() {
    let world = World::started();
    world.apply(&config("batch", system));
    world.until("any person is not the namespace", |world| world.ready("batch") == "False/NotGranted").await;
    assert!(world.condition("batch", "Ready").unwrap().2.contains("\"system:scoring\""));
    allow_system(&world);
    world.at_once("it is issued", |world| world.is_ready("batch")).await;
    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    assert_eq!(call.session_name.as_deref(), Some("scoring,batch"), "no person's name holds a comma");
    assert_eq!(world.record("batch").unwrap().person, "system:scoring");
    assert_eq!(world.status("batch").person.as_deref(), Some("system:scoring"));
    assert_eq!(world.roles()[0].spec.person, None);
    world.settle().await;
    assert_eq!(world.roles()[0].status.as_ref().and_then(|status| status.active), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_session_name_that_is_too_long_is_shortened_and_stays_unique() {
    let world = World::started();
    allow_system(&world);
    let names: Vec<String> = ["a", "b"].iter().map(|end| format!("{}-{end}", "x".repeat(56))).collect();
    for name in &names {
        world.apply(&config(name, system));
    }
    world.until("both are issued", |world| names.iter().all(|name| world.is_ready(name))).await;
    let mut sessions: Vec<String> = world.sts.calls().into_iter().filter_map(|call| call.session_name).collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|name| name.len() <= 64 && name.starts_with("scoring,xxx")), "{sessions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_mode_withdraws_the_former_credential_first() {
    let world = World::with(&[alice()]).await;
    world.change("alice", system);
    world.at_once("it is refused", |world| world.ready("alice") == "False/NotGranted").await;
    assert!(world.is_withdrawn("alice"));
    allow_system(&world);
    world.at_once("it is the namespace's", |world| world.is_ready("alice")).await;
    assert_eq!(world.record("alice").unwrap().person, "system:scoring");
    world.change("alice", |spec| {
        spec.mode = Mode::User;
        spec.person = Some("alice".into());
    });
    world
        .at_once("it is alice's again", |world| {
            world.is_ready("alice") && world.record("alice").is_some_and(|record| record.person == "alice")
        })
        .await;
    assert_eq!(world.sts.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_have_several_configs() {
    let second = |spec: &mut AwsConfigSpec| {
        spec.person = Some("alice".into());
        spec.role = Some(role("ds-fraud"));
    };
    let world = World::with(&[alice(), config("alice-fraud", second)]).await;
    assert!(world.holds_a_valid_session("alice") && world.holds_a_valid_session("alice-fraud"));
    let roles = ["alice", "alice-fraud"].map(|name| world.record(name).unwrap().role);
    assert_eq!(roles, [role("ds-analyst"), role("ds-fraud")]);
}

#[tokio::test(start_paused = true)]
async fn the_second_config_of_a_target_waits_until_the_first_is_deleted() {
    let world = World::with(&[alice()]).await;
    world.apply(&config("late", |spec| {
        spec.target = Some(Target { name: Some("alice-aws".into()), ..Target::default() });
    }));
    world.until("the second is refused", |world| world.ready("late") == "False/ForeignTarget").await;
    assert!(world.condition("late", "Ready").unwrap().2.contains("AwsConfig \"alice\""));
    assert_eq!(world.sts.count(), 0);
    assert!(world.holds_a_valid_session("alice"));

    world.api.delete("AwsConfig", "scoring", "alice");
    world.at_once("the second has it", |world| world.is_ready("late")).await;
    let record = world.record("alice").expect("the Secret is called alice-aws");
    assert_eq!(record.person, "late");
}
