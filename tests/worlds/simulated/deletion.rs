//! Deletion: garbage collection deletes keyturn's objects, and keyturn creates none of them again.

use super::world::World;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, config, role},
};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn deleting_a_config_deletes_its_secret_and_its_roles_for_good() {
    let world = World::with(&[alice(), config("bob", |_| {})]).await;
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.at_once("alice has two roles", |world| world.is_ready("alice") && world.roles().len() == 3).await;
    world.settle().await;
    world.count_from_here();
    assert!(world.api.delete("AwsConfig", SCORING, "alice"));
    world.settle().await;
    assert!(world.secret("alice").is_none());
    let left: Vec<_> = world.roles().into_iter().map(|aws_role| aws_role.spec.person.unwrap()).collect();
    assert_eq!(left, ["bob"]);
    world.pass(Duration::from_secs(1800)).await;
    assert!(world.secret("alice").is_none() && world.config("alice").is_none());
    assert_eq!(world.sts.count_where(|call| call.session_name.as_deref() == Some("alice")), 0);
    assert_eq!(world.api.writes().len(), 0, "{}", world.picture());
    assert!(world.holds_a_valid_session("bob"));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_the_watch_shows_late_costs_few_writes() {
    let world = World::with(&[alice()]).await;
    world.api.lag("awsconfigs", Duration::from_millis(500));
    // Garbage collection is immediate, and a write takes a moment.
    world.api.fault(Times::UntilCleared, Request::is_write, Fault::Delay(Duration::from_millis(2)));
    world.api.delete("AwsConfig", SCORING, "alice");
    world.pass(Duration::from_secs(60)).await;
    assert!(world.secret("alice").is_none() && world.roles().is_empty(), "{}", world.picture());
    let (roles, secrets) = (world.api.count("create", "awsroles"), world.api.count("create", "secrets"));
    assert!(
        roles <= 8 && secrets <= 4 && world.sts.count() <= secrets,
        "{roles} AwsRoles, {secrets} Secrets, {} calls",
        world.sts.count()
    );
}

#[tokio::test(start_paused = true)]
async fn a_config_that_is_being_deleted_is_not_written() {
    let world = World::with(&[alice()]).await;
    world.api.edit("AwsConfig", SCORING, "alice", |config| {
        config["metadata"]["finalizers"] = serde_json::json!(["example.com/somebody-s"]);
    });
    world.settle().await;
    world.count_from_here();
    world.api.delete("AwsConfig", SCORING, "alice");
    world.api.delete("Secret", SCORING, "alice-aws");
    world.pass(Duration::from_secs(4 * 3600)).await;
    assert_eq!((world.sts.count(), world.api.writes().len()), (0, 0), "{}", world.picture());
    world.api.edit("AwsConfig", SCORING, "alice", |config| config["metadata"]["finalizers"] = serde_json::json!([]));
    world.settle().await;
    assert!(world.config("alice").is_none() && world.roles().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_recreated_config_of_the_same_name_gets_a_new_session() {
    let world = World::with(&[alice()]).await;
    let before = world.record("alice").unwrap();
    world.api.recreate("AwsConfig", SCORING, "alice");
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    assert_eq!(world.sts.count(), 1);
    assert_ne!(world.record("alice").unwrap().access_key_id, before.access_key_id);
    let owner = world.secret("alice").unwrap().metadata.owner_references.unwrap().remove(0);
    assert_eq!(Some(owner.uid), world.config("alice").unwrap().metadata.uid);
    assert_eq!(world.roles().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recreated_config_waits_for_the_garbage_collection() {
    let world = World::with(&[alice()]).await;
    world.api.collect_garbage(false);
    world.api.recreate("AwsConfig", SCORING, "alice");
    world.until("the Secret is another's", |world| world.ready("alice").starts_with("False/")).await;
    assert_eq!(world.sts.count(), 0, "{}", world.picture());
    world.api.collect_garbage(true);
    for aws_role in world.roles() {
        world.api.delete("AwsRole", SCORING, &aws_role.metadata.name.unwrap());
    }
    world.api.delete("Secret", SCORING, "alice-aws");
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_namespace_of_configs_costs_no_call() {
    let names: Vec<String> = (0..20).map(|n| format!("person-{n}")).collect();
    let configs: Vec<_> = names.iter().map(|name| config(name, |_| {})).collect();
    let world = World::with(&configs).await;
    for name in &names {
        world.api.delete("AwsConfig", SCORING, name);
    }
    world.api.delete("Namespace", "", SCORING);
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!((world.sts.count(), world.api.writes().len()), (0, 0), "{}", world.picture());
    assert!(world.api.list("secrets").is_empty() && world.roles().is_empty());
}
