//! Unsynced views: an operator that cannot list everything neither issues nor withdraws.

use super::{
    log::Log,
    world::{Cost, World},
};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, analysts, config, grant},
};
use std::time::Duration;

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// What the operator lists and watches.
const VIEWS: [&str; 7] =
    ["awsconfigs", "awsroles", "awsrolegrants", "secrets", "namespaces", "dssinstances", "datarobotinstances"];

fn person(n: usize) -> String {
    format!("person-{n}")
}

/// Ten healthy configs without an operator.
async fn ten_at_rest() -> World {
    let configs: Vec<_> = (0..10).map(|n| config(&person(n), |_| {})).collect();
    let mut world = World::with(&configs).await;
    world.stop().await;
    world.count_from_here();
    world
}

fn all_hold_a_session(world: &World) -> bool {
    (0..10).all(|n| world.holds_a_valid_session(&person(n)))
}

/// The first list of a watcher, and every watch that might begin instead of it.
fn opens(resource: &'static str) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    move |request| request.is("list", resource) || request.is("watch", resource)
}

// ---- The log ------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn an_unsynced_view_is_logged_every_half_minute() {
    let said = |log: Log| {
        let log = log.end();
        let waiting =
            |line: &&str| line.contains("until everything has been listed") && line.contains("awsroles.keyturn.dev");
        log.lines().filter(waiting).count()
    };
    let mut world = World::empty();
    for start in [true, false] {
        let log = Log::listen();
        let refusal = world.api.fault(Times::UntilCleared, opens("awsroles"), Fault::forbidden());
        if start {
            world.start();
        } else {
            world.api.break_watches();
        }
        world.pass(Duration::from_secs(130)).await;
        assert_eq!(said(log), 4, "at the start: {start}");

        world.api.forgive(refusal);
        world.pass(Duration::from_secs(120)).await;
        let log = Log::listen();
        world.pass(HALF_AN_HOUR).await;
        assert_eq!(said(log), 0, "all is there, at the start: {start}");
    }
}

// ---- At the start -------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn no_decision_is_made_before_a_slow_first_list() {
    for resource in VIEWS {
        let mut world = ten_at_rest().await;
        let held = world.api.hold(opens(resource));
        world.apply(&config("newcomer", |_| {}));
        world.start();
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.cost(), Cost::NOTHING, "{resource}: {}", world.picture());
        assert!(all_hold_a_session(&world), "{resource}");

        held.release();
        world.until("the newcomer is ready", |world| world.is_ready("newcomer")).await;
        world.settle().await;
        assert_eq!(world.sts.count(), 1, "{resource}: the newcomer's, and no other");
        assert!(all_hold_a_session(&world), "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_decision_is_made_while_a_first_list_is_refused() {
    for resource in VIEWS {
        let mut world = ten_at_rest().await;
        let refusal = world.api.fault(Times::UntilCleared, opens(resource), Fault::forbidden());
        world.apply(&config("newcomer", |_| {}));
        world.start();
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.cost(), Cost::NOTHING, "{resource}: {}", world.picture());
        assert!(all_hold_a_session(&world), "{resource}");

        world.api.forgive(refusal);
        world.until("the newcomer is ready", |world| world.is_ready("newcomer")).await;
        world.settle().await;
        assert_eq!(world.sts.count(), 1, "{resource}: the newcomer's, and no other");
        assert!(all_hold_a_session(&world), "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_list_withdraws_nothing() {
    for resource in ["awsconfigs", "awsroles", "secrets", "namespaces"] {
        let mut world = ten_at_rest().await;
        world.api.fault(Times::Once, move |request| request.lists(resource), Fault::EmptyList);
        world.start();
        // Before the first watches end: with their last bookmark, nothing would be listed again.
        world.pass(Duration::from_secs(40)).await;
        assert!(all_hold_a_session(&world), "{resource}");
        assert_eq!(world.sts.count(), 0, "{resource}: {}", world.picture());

        // The next list is complete.
        world.api.compact();
        world.api.break_watches();
        world.pass(HALF_AN_HOUR).await;
        assert!(all_hold_a_session(&world), "{resource}");
        assert!((0..10).all(|n| world.is_ready(&person(n))), "{resource}: {}", world.picture());
        assert_eq!(world.sts.count(), 0, "{resource}");
        assert_eq!(world.api.count("*", "secrets") - world.reads() - list_requests(&world), 0, "{resource}");
    }
}

fn list_requests(world: &World) -> usize {
    world.api.count_where(|request| request.is_on("secrets") && matches!(request.verb, "list" | "watch"))
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_list_of_grants_withdraws_nothing() {
    let mut world = ten_at_rest().await;
    world.api.fault(Times::Once, |request| request.lists("awsrolegrants"), Fault::EmptyList);
    world.start();
    world.pass(Duration::from_secs(5)).await;
    assert!(all_hold_a_session(&world), "ten credentials were taken away: {}", world.picture());
    assert_eq!(world.sts.count(), 0);

    // The next list shows the grants. Everything continues as if the empty list had never been.
    world.api.compact();
    world.api.break_watches();
    world.pass(Duration::from_secs(300)).await;
    assert!(all_hold_a_session(&world));
    assert!((0..10).all(|n| world.is_ready(&person(n))), "{}", world.picture());
    assert_eq!(world.sts.count(), 0, "and none was issued again");
}

#[tokio::test(start_paused = true)]
async fn credentials_expire_if_the_last_grant_was_deleted_during_downtime() {
    let mut world = ten_at_rest().await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.start();
    world.until("all are refused", |world| (0..10).all(|n| world.ready(&person(n)) == "False/NotGranted")).await;
    assert!(all_hold_a_session(&world), "an empty list may be half a view");
    world.pass(Duration::from_secs(3601)).await;
    assert!((0..10).all(|n| world.is_withdrawn(&person(n))), "{}", world.picture());
    assert_eq!(world.sts.count(), 0, "and none was issued");
}

#[tokio::test(start_paused = true)]
async fn a_credential_whose_label_was_removed_too_is_still_withdrawn() {
    let mut world = ten_at_rest().await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    let secret = format!("{}-aws", person(3));
    world.api.edit("Secret", SCORING, &secret, |secret| secret["metadata"]["labels"] = serde_json::json!({}));
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert!(world.status(&person(3)).access_key_id.is_some(), "status goes on to tell of it");
    world.apply(&grant("of-others", |grant| grant.persons = vec!["others".to_owned()]));
    world.until("it is withdrawn", |world| world.is_withdrawn(&person(3))).await;
}

#[tokio::test(start_paused = true)]
async fn deleting_the_last_grant_withdraws_once_any_grant_was_listed() {
    let mut world = ten_at_rest().await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.start();
    world.settle().await;
    world.apply(&crate::fixtures::grant("of-others", |spec| spec.persons = vec!["nobody".into()]));
    let gone = |world: &World| (0..10).all(|n| world.is_withdrawn(&person(n)));
    world.at_once("all are withdrawn", gone).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_several_grants_deleted_during_downtime_withdraws_at_once() {
    let mut world = World::empty();
    for name in ["alice", "bob"] {
        world.apply(&crate::fixtures::grant(name, |spec| spec.persons = vec![name.to_owned()]));
        world.apply(&config(name, |_| {}));
    }
    world.start();
    world.until("both are ready", |world| world.is_ready("alice") && world.is_ready("bob")).await;
    world.stop().await;
    world.api.delete("AwsRoleGrant", "", "bob");
    world.start();
    world.at_once("bob's is withdrawn", |world| world.is_withdrawn("bob")).await;
    assert!(world.holds_a_valid_session("alice"));
}

// ---- While it runs ------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_relist_refused_at_runtime_pauses_every_decision() {
    for resource in ["awsrolegrants", "namespaces", "secrets", "awsroles", "awsconfigs"] {
        let world = World::with(&[alice()]).await;
        let refusal = world.api.fault(Times::UntilCleared, opens(resource), Fault::forbidden());
        world.api.end_watches();
        world.settle().await;
        world.count_from_here();
        // The unsynced view might hold the opposite of every change that happens now.
        world.apply(&config("newcomer", |_| {}));
        if resource != "awsrolegrants" {
            world.api.delete("AwsRoleGrant", "", "analysts");
        }
        world.pass(HALF_AN_HOUR).await;
        assert_eq!(world.cost(), Cost::NOTHING, "{resource}: {}", world.picture());
        assert!(world.holds_a_valid_session("alice"), "{resource}: nothing is withdrawn");

        if resource != "awsrolegrants" {
            world.apply(&analysts());
        }
        world.api.forgive(refusal);
        world.until("the newcomer is ready", |world| world.is_ready("newcomer")).await;
        world.pass(HALF_AN_HOUR).await;
        assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{resource}: renewals go on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relist_that_fails_after_a_compaction_pauses_every_decision() {
    for resource in VIEWS {
        let world = World::with(&[alice()]).await;
        // The watch would be allowed, but its resource version is compacted, and the relist fails.
        let refusal = world.api.fault(Times::UntilCleared, move |request| request.lists(resource), Fault::status(500));
        world.api.namespace("noise", &[]);
        world.api.compact();
        world.api.break_watches();
        world.pass(Duration::from_secs(120)).await;
        world.count_from_here();
        world.pass(HALF_AN_HOUR + Duration::from_secs(900)).await;
        assert_eq!(world.cost(), Cost::NOTHING, "{resource}: {}", world.picture());
        assert!(world.holds_a_valid_session("alice"), "{resource}");

        world.api.forgive(refusal);
        world.until("what fell due is renewed", |world| world.sts.count() == 1).await;
        world.settle().await;
        assert!(world.is_ready("alice"), "{resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_only_breaks_pauses_nothing() {
    let world = World::with(&[alice()]).await;
    for _ in 0..20 {
        world.api.break_watches();
        world.pass(Duration::from_secs(300)).await;
        assert!(world.holds_a_valid_session("alice"));
    }
    assert!(world.sts.count() >= 2, "renewals go on");
    world.change("alice", |spec| spec.suspend = true);
    world.until("a change is seen", |world| world.is_withdrawn("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn changes_missed_by_broken_watches_are_applied_after_the_relist() {
    let world = World::with(&[alice(), config("bob", |_| {}), config("carol", |_| {})]).await;
    let held = world.api.hold(|request| matches!(request.verb, "list" | "watch"));
    world.api.compact();
    world.api.break_watches();
    world.settle().await;
    world.change("alice", |spec| spec.suspend = true);
    world.api.delete("Secret", SCORING, "bob-aws");
    world.api.delete("AwsConfig", SCORING, "carol");
    world.pass(Duration::from_secs(60)).await;
    held.release();
    world.until("alice is suspended", |world| world.is_withdrawn("alice")).await;
    world.until("bob is served again", |world| world.holds_a_valid_session("bob")).await;
    world.settle().await;
    let calls = |name: &str| world.sts.count_where(|call| call.session_name.as_deref() == Some(name));
    assert_eq!((calls("alice"), calls("bob")), (0, 1), "{}", world.picture());
    // The watch may show that her Secret is deleted before it shows that she is.
    assert!(calls("carol") <= 1 && world.secret("carol").is_none(), "{}", world.picture());
}
