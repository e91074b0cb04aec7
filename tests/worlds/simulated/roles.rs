//! `AwsRole`s: those of users, the active one, and the former ones.

use super::world::{Cost, World};
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{SCORING, alice, analysts, aws_role, aws_role_for, config, grant, role, uses},
};
use keyturn::api::RoleRetention;
use std::time::Duration;

/// alice with two roles of her own, at rest. The first is active.
async fn alice_with_two_roles() -> World {
    let world = World::started();
    world.apply(&aws_role("analyst", "alice", &role("ds-analyst")));
    world.apply(&aws_role("fraud", "alice", &role("ds-fraud")));
    world.apply(&config("alice", uses("analyst")));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    world.count_from_here();
    world
}

fn in_use(world: &World) -> String {
    world.record("alice").map(|record| record.role).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_secret_follows_a_switch_between_a_user_s_roles_at_once() {
    let world = alice_with_two_roles().await;
    assert_eq!(in_use(&world), role("ds-analyst"));
    assert_eq!(world.roles().len(), 2, "none is generated");
    for (named, arn) in [("fraud", "ds-fraud"), ("analyst", "ds-analyst")] {
        world.count_from_here();
        world.change("alice", uses(named));
        world.at_once("the Secret follows", |world| world.is_ready("alice") && in_use(world) == role(arn)).await;
        world.settle().await;
        assert_eq!(world.sts.count(), 1);
        for name in ["analyst", "fraud"] {
            let (active, usable, message) = world.role_status(name);
            assert_eq!((active, usable), (name == named, true), "{name}: {message}");
        }
        assert_eq!(world.status("alice").active_role.unwrap().name, named);
    }
}

#[tokio::test(start_paused = true)]
async fn another_arn_issues_at_once_in_the_active_role_only() {
    let world = alice_with_two_roles().await;
    let to = |name: &'static str, arn: String| {
        let edited = aws_role(name, "alice", &arn);
        world.apply(&edited);
    };
    to("fraud", role("ds-other"));
    world.settle().await;
    assert_eq!(world.sts.count(), 0);
    to("analyst", role("ds-third"));
    world.at_once("the Secret follows", |world| in_use(world) == role("ds-third")).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn deleting_the_active_role_withdraws_and_no_other_role_replaces_it() {
    let world = alice_with_two_roles().await;
    world.api.delete("AwsRole", SCORING, "analyst");
    world.at_once("it is said", |world| world.ready("alice") == "False/ActiveRoleMissing").await;
    assert!(world.is_withdrawn("alice"));
    assert!(world.condition("alice", "Ready").unwrap().2.contains("\"analyst\""));
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(world.sts.count(), 0);
    assert_eq!(world.ready("alice"), "False/ActiveRoleMissing", "it goes on saying so");
    assert!(!world.role_status("fraud").0);

    world.apply(&aws_role("analyst", "alice", &role("ds-analyst")));
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn config_role_and_grant_may_come_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut world = World::empty();
        world.start();
        for step in order {
            match step {
                0 => world.apply(&config("alice", uses("analyst"))),
                1 => world.apply(&aws_role("analyst", "alice", &role("ds-analyst"))),
                _ => world.apply(&analysts()),
            }
            world.pass(Duration::from_secs(5)).await;
            assert!(
                world.is_ready("alice")
                    || world.ready("alice").starts_with("False/")
                    || world.config("alice").is_none()
            );
        }
        world.at_once("alice is ready", |world| world.is_ready("alice")).await;
        world
            .at_once("the role says so", |world| world.role_status("analyst").0 && world.role_status("analyst").1)
            .await;
        assert_eq!(world.sts.count(), 1, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_of_another_config_or_person_is_refused() {
    for (what, theirs) in [
        ("another config's", aws_role("theirs", "bob", &role("ds-analyst"))),
        ("another person's", aws_role_for("theirs", "alice", Some("bob"), &role("ds-analyst"))),
        ("the namespace's", aws_role_for("theirs", "alice", None, &role("ds-analyst"))),
    ] {
        let world = alice_with_two_roles().await;
        world.apply(&theirs);
        world.change("alice", uses("theirs"));
        world.at_once(what, |world| world.ready("alice") == "False/RoleNotOfThisConfig").await;
        assert!(world.is_withdrawn("alice"), "{what}: the config no longer asks for the other");
        world.settle().await;
        let (active, usable, _) = world.role_status("theirs");
        assert_eq!((active, usable), (false, false), "{what}");
        assert_eq!(world.sts.count(), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_reports_within_a_second_whether_a_grant_allows_it() {
    let world = alice_with_two_roles().await;
    world.apply(&aws_role("admin", "alice", &role("admin")));
    world.at_once("it is not usable", |world| world.role_status("admin").2.contains("no AwsRoleGrant")).await;
    world.count_from_here();
    world.apply(&grant("admins", |spec| spec.roles = vec![role("admin")]));
    world.at_once("now it is", |world| world.role_status("admin").1).await;
    world.settle().await;
    assert_eq!(world.cost(), Cost { sts: 0, reads: 0, writes: 2 }, "the status of the grant and of that role");
}

#[tokio::test(start_paused = true)]
async fn a_role_without_its_config_reports_that_and_is_inactive() {
    let world = alice_with_two_roles().await;
    world.api.delete("AwsConfig", SCORING, "alice");
    let alone = |world: &World| {
        ["analyst", "fraud"].iter().all(|name| {
            let (active, usable, message) = world.role_status(name);
            !active && !usable && message.contains("no AwsConfig \"alice\"")
        })
    };
    world.at_once("users' roles stay and say so", alone).await;
    assert!(world.secret("alice").is_none());
}

#[tokio::test(start_paused = true)]
async fn switching_to_a_role_not_in_the_watch_yet_withdraws_nothing() {
    let world = alice_with_two_roles().await;
    world.api.lag("awsroles", Duration::from_secs(30));
    world.apply(&aws_role("new", "alice", &role("ds-new")));
    world.change("alice", uses("new"));
    world.at_once("the Secret follows", |world| in_use(world) == role("ds-new")).await;
    let withdrawn =
        world.api.writes().iter().any(|write| write.body.as_ref().is_some_and(|b| b.to_string().contains("WITHDRAWN")));
    assert!(!withdrawn, "{}", world.picture());
    assert_eq!(world.reads(), 1, "it was looked for");
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_roles_withdraws_nothing() {
    let mut world = alice_with_two_roles().await;
    world.stop().await;
    world.count_from_here();
    world.api.fault(Times::Once, |request| request.lists("awsroles"), Fault::EmptyList);
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_healthy_roles_costs_nothing() {
    let mut world = alice_with_two_roles().await;
    world.stop().await;
    world.count_from_here();
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.cost(), Cost::NOTHING);
}

// ---- Former generated roles ---------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_former_generated_role_is_kept_inactive_or_pruned() {
    for (retention, left) in [(RoleRetention::Retain, 2), (RoleRetention::Prune, 1)] {
        let world = World::with(&[alice()]).await;
        world.change("alice", |spec| {
            spec.role_retention = retention;
            spec.role = Some(role("ds-other"));
        });
        world.at_once("the other is in use", |world| in_use(world) == role("ds-other")).await;
        world.settle().await;
        let roles = world.roles();
        assert_eq!(roles.len(), left, "{retention:?}: {}", world.picture());
        for kept in &roles {
            let active = kept.status.as_ref().and_then(|status| status.active);
            assert_eq!(active, Some(kept.spec.role == role("ds-other")), "{retention:?}");
        }
        assert_eq!(world.sts.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn pruning_never_deletes_a_user_s_role() {
    let world = alice_with_two_roles().await;
    world.change("alice", |spec| {
        spec.role_retention = RoleRetention::Prune;
        spec.active_role_ref = None;
        spec.role = Some(role("ds-generated"));
    });
    world.at_once("a generated one is in use", |world| in_use(world) == role("ds-generated")).await;
    world.change("alice", uses("fraud"));
    world.at_once("a user's is in use", |world| in_use(world) == role("ds-fraud")).await;
    world.settle().await;
    let names: Vec<_> = world.roles().into_iter().filter_map(|role| role.metadata.name).collect();
    assert_eq!(names, ["analyst", "fraud"], "the generated one is gone");
}
