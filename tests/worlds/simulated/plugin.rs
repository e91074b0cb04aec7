//! `kubectl keyturn` on the in-process API server, beside a running operator.

mod importing;
mod snapshots;

use super::world::World;
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{SCORING, alice, role},
};
use keyturn::{
    clock::Clock,
    plugin::{self, Answer, Caller, Failed, Screen},
};
use serde_json::json;
use std::{ffi::OsString, time::Duration};

/// The answer of the plugin in a namespace, with all rights.
pub async fn asks(world: &World, namespace: &str, arguments: &[&str]) -> Result<Answer, Failed> {
    asks_as(&Caller::new(world.api.client(), namespace), world, arguments).await
}

async fn asks_as(caller: &Caller, world: &World, arguments: &[&str]) -> Result<Answer, Failed> {
    let arguments = [plugin::FILE_NAME].iter().chain(arguments).map(OsString::from);
    let command = plugin::parse(arguments).unwrap().command;
    let mut out = Vec::new();
    let mut screen = Screen::plain(&mut out);
    plugin::answer(&command, caller, &Clock::simulated(world.now()), &mut screen).await
}

/// The line with the verdict of `why`.
pub async fn verdict(world: &World, name: &str) -> String {
    let said = asks(world, SCORING, &["why", name]).await.unwrap().text;
    said.lines().find(|line| line.starts_with("=> ")).unwrap_or(&said).to_owned()
}

/// The API server refuses to list grants, as RBAC refuses a tenant. The operator watches them
/// already.
fn forbid_grants(world: &World) {
    world.api.fault(Times::UntilCleared, |request| request.is("list", "awsrolegrants"), Fault::forbidden());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_grants_is_answered_by_keyturn_itself() {
    let world = World::with(&[alice()]).await;
    forbid_grants(&world);
    let rows = [
        ("her own role", role("ds-analyst"), 0, "yes: keyturn says of AwsConfig \"alice\""),
        ("another granted role", role("ds-other"), 0, "yes: keyturn says of AwsConfig \"alice\""),
        ("a role that no grant names", role("admin"), 1, "no AwsRoleGrant allows namespace \"scoring\""),
    ];
    for (row, role, code, part) in rows {
        let said = asks(&world, SCORING, &["can", "--person", "alice", "--role", &role]).await.unwrap();
        assert!(said.code == code && said.text.contains(part), "{row}: {said:?}");
    }
    let left: Vec<_> = world.roles().into_iter().filter(|role| role.spec.role != self::role("ds-analyst")).collect();
    assert!(left.is_empty(), "a question is deleted: {left:?}");
    let nobody = asks(&world, SCORING, &["can", "--person", "bob", "--role", &role("ds-analyst")]).await.unwrap_err();
    assert!(nobody.message.contains("has no AwsConfig of person \"bob\""), "{nobody}");
    let roles = asks(&world, SCORING, &["roles", "--person", "alice"]).await.unwrap();
    assert!(roles.is_fine() && roles.text.contains("role/ds-analyst"), "{roles:?}");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_keyturn_does_not_answer_is_deleted_in_the_end() {
    let mut world = World::with(&[alice()]).await;
    world.stop().await;
    forbid_grants(&world);
    let asked = ["can", "--person", "alice", "--role", &role("ds-other")];
    let failed = asks(&world, SCORING, &asked).await.unwrap_err();
    assert!(failed.code == 3 && failed.message.contains("did not answer within 10 s"), "{failed}");
    assert_eq!(world.roles().len(), 1, "only the generated one is left");
}

#[tokio::test(start_paused = true)]
async fn the_answers_about_a_config_follow_its_objects() {
    let world = World::with(&[alice()]).await;
    assert!(verdict(&world, "alice").await.starts_with("=> yes: Secret \"alice-aws\" holds the credential (59m left)"));
    world.api.edit("AwsConfig", SCORING, "alice", |config| config["spec"]["suspend"] = json!(true));
    world.settle().await;
    assert!(verdict(&world, "alice").await.starts_with("=> no: Suspended: "));
    let status = asks(&world, SCORING, &["status", "-o", "json"]).await.unwrap().text;
    assert!(status.contains("\"ready\": false"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn the_doctor_finds_a_config_in_trouble_and_nothing_else() {
    let world = World::with(&[alice()]).await;
    let said = asks(&world, SCORING, &["doctor"]).await.unwrap();
    assert!(said.text.contains("+ AwsConfigs: 1 in the cluster, none in trouble"), "{}", said.text);
    assert!(said.text.contains("+ orphans: every Secret"), "{}", said.text);
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.settle().await;
    let said = asks(&world, SCORING, &["doctor"]).await.unwrap();
    assert!(
        !said.is_fine() && said.text.contains("- AwsConfigs: of 1 in the cluster: NotGranted: scoring/alice"),
        "{}",
        said.text
    );
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_told_with_the_configs_that_it_allows() {
    let mut world = World::empty();
    world.apply(&alice());
    world.start();
    world.settle().await;
    let role = role("ds-*");
    let asked = ["grant", "analysts", "--role", &role, "--person", "*", "--diff"];
    let said = asks(&world, SCORING, &asked).await.unwrap();
    let config = format!("AwsConfig scoring/alice (alice): {}", self::role("ds-analyst"));
    for part in [
        format!("# It newly allows {config}\n"),
        format!("# A deletion of AwsRoleGrant \"analysts\" would withdraw {config}\n"),
        "kind: AwsRoleGrant\n".to_owned(),
    ] {
        assert!(said.text.contains(&part), "{part:?}: {}", said.text);
    }
    assert!(world.api.list("AwsRoleGrant").is_empty(), "nothing is applied");
}

#[tokio::test(start_paused = true)]
async fn a_watched_list_is_shown_again_when_it_changes_and_not_otherwise() {
    let world = World::with(&[alice()]).await;
    let caller = Caller::new(world.api.client(), SCORING);
    let arguments = [plugin::FILE_NAME, "status", "-w"].map(OsString::from);
    let command = plugin::parse(arguments).unwrap().command;
    let mut out = Vec::new();
    let mut screen = Screen::plain(&mut out);
    let clock = Clock::simulated(world.now());
    tokio::select! {
        ended = plugin::answer(&command, &caller, &clock, &mut screen) => panic!("{ended:?}"),
        () = async {
            world.pass(Duration::from_secs(90)).await;
            world.api.edit("AwsConfig", SCORING, "alice", |config| config["spec"]["suspend"] = json!(true));
            world.settle().await;
        } => {}
    }
    let shown = String::from_utf8(out).unwrap();
    let lists: Vec<&str> = shown.split("\n\n").collect();
    assert!(lists[0].contains("True") && lists[lists.len() - 1].contains("False"), "{shown}");
    assert!(lists.len() <= 3, "the time alone is no news: {shown}");
    let wrong = asks(&world, SCORING, &["status", "-w", "-o", "json"]).await.unwrap_err();
    assert_eq!(wrong.code, 2, "{wrong}");
}
