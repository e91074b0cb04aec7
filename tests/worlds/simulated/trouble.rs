//! The columns of a list: the trouble of a config in one word, and `Ready` and `Stalled` of every
//! kind, by which `kubectl wait` and `flux --wait` decide.

use super::world::{Cost, World};
use crate::{
    doubles::sts::Behaviour,
    fixtures::{SCORING, alice, analysts, aws_role, grant, role, uses},
};
use keyturn::api::AwsConfigSpec;
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Status and reason of a condition of an object, as `True/Issued`; empty if it has none.
fn condition(world: &World, kind: &str, namespace: &str, name: &str, type_: &str) -> String {
    let object = world.api.get(kind, namespace, name).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == type_);
    found.map(|c| format!("{}/{}", text(&c["status"]), text(&c["reason"]))).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn of_grant(world: &World, name: &str, type_: &str) -> String {
    condition(world, "AwsRoleGrant", "", name, type_)
}

fn of_role(world: &World, name: &str, type_: &str) -> String {
    condition(world, "AwsRole", SCORING, name, type_)
}

fn trouble(world: &World) -> Option<(String, String)> {
    world.status("alice").trouble.map(|trouble| (trouble.word, trouble.message))
}

#[tokio::test(start_paused = true)]
async fn the_trouble_of_a_config_is_one_word_from_refusal_to_expiry() {
    let mut world = World::empty();
    world.start();
    world.apply(&grant("others", |spec| spec.persons = vec!["bob".to_owned()]));
    world.apply(&alice());
    world.until("alice is refused", |world| trouble(world).is_some()).await;
    let (word, message) = trouble(&world).unwrap();
    assert!(word == "NotGranted" && message.contains("no AwsRoleGrant"), "{word}: {message}");

    world.apply(&analysts());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(trouble(&world), None);

    world.sts.always(Behaviour::ConnectionFailure);
    world.pass_until_due("alice").await;
    world.pass(2 * MINUTE).await;
    let (word, message) = trouble(&world).unwrap();
    assert_eq!((world.ready("alice").as_str(), word.as_str()), ("True/Issued", "RenewalFailing"), "{message}");

    world.pass(60 * MINUTE).await;
    assert_eq!(trouble(&world).unwrap().0, "Expired");
    assert_eq!(condition(&world, "AwsConfig", SCORING, "alice", "Stalled"), "", "time can help");

    world.sts.behave_well();
    world.until("alice is ready again", |world| world.is_ready("alice")).await;
    assert_eq!(trouble(&world), None);
    world.change("alice", |spec| spec.suspend = true);
    world.until("alice is suspended", |world| world.ready("alice") == "False/Suspended").await;
    assert_eq!(trouble(&world), None, "the user wants it so");
}

#[tokio::test(start_paused = true)]
async fn only_a_spec_that_nobody_else_can_mend_is_stalled() {
    let world = World::started();
    let stalled = |world: &World| condition(world, "AwsConfig", SCORING, "alice", "Stalled");
    let mut config = alice();
    config.spec = serde_json::from_value({
        let mut spec = serde_json::to_value(&config.spec).unwrap();
        spec["session"] = serde_json::json!({"policy": "no policy"});
        spec
    })
    .unwrap();
    world.apply(&config);
    world.until("the policy is refused", |world| world.ready("alice") == "False/InvalidSpec").await;
    assert_eq!(stalled(&world), "True/InvalidSpec");

    world.change("alice", |spec| spec.session = None);
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(stalled(&world), "");

    // A role and a grant that come later end these refusals.
    let changes: [(&str, fn(&mut AwsConfigSpec)); 2] = [
        ("RolePending", |spec| uses("later")(spec)),
        ("NotGranted", |spec| (spec.role, spec.active_role_ref) = (Some(role("other")), None)),
    ];
    for (refusal, change) in changes {
        world.change("alice", change);
        let ready = format!("False/{refusal}");
        world.until(refusal, |world| world.ready("alice") == ready).await;
        assert_eq!(stalled(&world), "", "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_inactive_role_that_is_in_order_is_ready() {
    let world = World::with(&[alice()]).await;
    world.apply(&aws_role("lead", "alice", &role("ds-lead")));
    world.apply(&aws_role("admin", "alice", &role("admin")));
    world.apply(&aws_role("orphan", "nobody", &role("ds-lead")));
    world.settle().await;
    for (name, ready) in [("lead", "True/Granted"), ("admin", "False/NotGranted"), ("orphan", "False/Pending")] {
        assert_eq!(of_role(&world, name, "Ready"), ready, "{name}");
        assert_eq!(of_role(&world, name, "Stalled"), "", "{name}: another object can help");
        let role = world.roles().into_iter().find(|role| role.metadata.name.as_deref() == Some(name)).unwrap();
        let status = role.status.unwrap();
        assert_eq!((status.active, status.observed_generation), (Some(false), role.metadata.generation), "{name}");
    }
    world.change_grant("analysts", |spec| spec.roles.push(role("admin")));
    world.at_once("the grant helps", |world| of_role(world, "admin", "Ready") == "True/Granted").await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_says_once_for_each_spec_whether_it_is_in_order() {
    let mut world = World::with(&[alice()]).await;
    assert_eq!(of_grant(&world, "analysts", "Ready"), "True/Granted");
    let written = |world: &World| world.api.count("patch", "awsrolegrants/status");

    world.apply(&grant("nobody", |spec| spec.persons = vec![]));
    world.at_once("it is not in order", |world| of_grant(world, "nobody", "Ready") == "False/InvalidSpec").await;
    assert_eq!((of_grant(&world, "nobody", "Stalled").as_str(), written(&world)), ("True/InvalidSpec", 1));
    world.change_grant("nobody", |spec| spec.persons = vec!["bob".to_owned()]);
    world.at_once("it is in order", |world| of_grant(world, "nobody", "Ready") == "True/Granted").await;
    assert_eq!((of_grant(&world, "nobody", "Stalled").as_str(), written(&world)), ("", 2));

    world.settle().await;
    world.count_from_here();
    world.pass_until_due("alice").await;
    world.settle().await;
    assert_eq!((world.sts.count(), written(&world)), (1, 0), "a renewal says nothing of a grant");
    world.stop().await;
    world.count_from_here();
    world.start();
    world.settle().await;
    assert_eq!(world.cost(), Cost::NOTHING, "a restart over healthy objects: {}", world.picture());
}
