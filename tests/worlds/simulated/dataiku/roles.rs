//! The role from an admin property.

use super::*;
use crate::{
    doubles::{dss::Behaviour, rules::Times},
    fixtures::{instance, role, role_from_dss},
};

const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

fn from(role: &'static str) -> Box<dyn Fn(&mut AwsConfigSpec)> {
    Box::new(move |spec| role_from_dss(role)(spec))
}

fn active(world: &World, name: &str) -> String {
    world.status(name).active_role.map(|active| active.role).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_role_comes_from_a_bare_name_an_arn_or_the_login() {
    let mut world = world();
    world.dss.set_admin_property("bob", "associatedRole", Some(&role("ds-whole")));
    world.dss.add_user("carol", &[]);
    world.start();
    for (name, from) in [
        ("alice", FROM_PROPERTY),
        ("bob", FROM_PROPERTY),
        ("carol", "arn:aws:iam::123456789012:role/ds-${dssUserLogin}"),
    ] {
        world.apply(&config(name, role_from_dss(from)));
        world.until("it is ready", |world| world.is_ready(name)).await;
    }
    assert_eq!(
        [active(&world, "alice"), active(&world, "bob"), active(&world, "carol")],
        [role("ds-analyst"), role("ds-whole"), role("ds-carol")]
    );
    let dss = world.status("alice").dss.unwrap();
    assert_eq!((dss.login.as_str(), dss.resolved_role.unwrap().role), ("alice", role("ds-analyst")));
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_property_change_issues_within_refresh_and_a_removal_withdraws() {
    let world = world_with(&[("alice", from(FROM_PROPERTY)), ("bob", from(FROM_PROPERTY))]).await;
    world.dss.set_admin_property("alice", "associatedRole", Some("ds-other"));
    world.pass(REFRESH).await;
    assert_eq!(active(&world, "alice"), role("ds-other"));
    assert_eq!(world.record("alice").unwrap().role, role("ds-other"));
    assert_eq!(world.sts.count(), 1, "bob's is as it was");

    world.dss.set_admin_property("alice", "associatedRole", None);
    world.pass(REFRESH).await;
    let (_, reason, message) = world.condition("alice", "Ready").unwrap();
    assert_eq!(reason, "DssPropertyMissing");
    assert!(
        message.contains("\"alice\"") && message.contains("\"associatedRole\"") && message.contains("\"design\""),
        "{message}"
    );
    assert!(world.is_withdrawn("alice"));
    assert!(world.is_ready("bob"));
}

#[tokio::test(start_paused = true)]
async fn a_dss_admin_s_property_must_be_a_role_and_granted() {
    let mut world = world();
    world.dss.set_admin_property("alice", "associatedRole", Some("admin"));
    world.dss.set_admin_property("bob", "associatedRole", Some("no role\nat all"));
    world.dss.set_user_property("bob", "associatedRole", Some("ds-analyst"));
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.apply(&config("bob", role_from_dss(FROM_PROPERTY)));
    world
        .until("both are refused", |world| {
            !world.ready("alice").is_empty() && world.ready("bob") == "False/DssPropertyMissing"
        })
        .await;
    assert_eq!(world.ready("alice"), "False/NotGranted");
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains(&role("admin")), "{message}");
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_persons_cost_one_listing_for_each_refresh() {
    let mut world = world();
    let names: Vec<String> = (0..1000).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.dss.add_user(name, &[]);
        world.dss.set_admin_property(name, "associatedRole", Some("ds-analyst"));
        world.apply(&config(name, role_from_dss(FROM_PROPERTY)));
    }
    world.start();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    assert_eq!(world.dss.count_where(|call| call.path == "/admin/users/"), 1);
    assert_eq!(
        world.dss.count(),
        2,
        "and the version: {:?}",
        world.dss.calls().iter().map(|call| &call.path).collect::<Vec<_>>()
    );
    world.count_from_here();
    world.pass(REFRESH).await;
    assert_eq!((world.dss.count(), world.sts.count(), world.api.writes().len()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_user_missing_from_a_listing_is_read_by_name_before_withdrawal() {
    let world = world_with(&[("alice", from(FROM_PROPERTY)), ("bob", from(FROM_PROPERTY))]).await;
    world.dss.behave(Times::UntilCleared, Behaviour::MissingFromListing(vec!["alice".to_owned()]));
    world.pass(REFRESH).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));
    assert_eq!(world.dss.count_where(|call| call.path == "/admin/users/alice"), 1);
    assert_eq!(world.api.writes().len(), 0, "{}", world.picture());

    world.dss.behave_well();
    world.dss.behave(Times::UntilCleared, Behaviour::EmptyListing);
    world.pass(REFRESH).await;
    assert!(world.is_ready("alice") && world.is_ready("bob"), "an empty list takes nothing from anybody");
}

#[tokio::test(start_paused = true)]
async fn a_renamed_or_disabled_login_withdraws_the_credential() {
    let world = world_with(&[("alice", from(FROM_PROPERTY)), ("bob", from(FROM_PROPERTY))]).await;
    world.dss.rename_user("alice", "alice2");
    world.dss.set_enabled("bob", false);
    world.pass(REFRESH).await;
    for name in ["alice", "bob"] {
        assert_eq!(world.ready(name), "False/DssUserMissing", "{name}");
        assert!(world.is_withdrawn(name), "{name}");
    }
    world.pass(REFRESH * 3).await;
    assert_eq!(world.dss.count_where(|call| call.path == "/admin/users/alice"), 1, "once is enough");
    world.dss.set_enabled("bob", true);
    world.pass(REFRESH).await;
    assert!(world.is_ready("bob"));
}

/// `maxStale` is about a DSS that cannot be read. A DSS that is seldom read, because `refresh` is
/// long, is not meant.
#[tokio::test(start_paused = true)]
async fn a_refresh_longer_than_max_stale_delays_nothing_while_dss_answers() {
    let mut world = world();
    let seldom = |spec: &mut keyturn::api::DssInstanceSpec| {
        (spec.refresh, spec.max_stale) = ("12h".parse().unwrap(), "1h".parse().unwrap());
    };
    world.apply(&instance("design", URL, seldom));
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.pass(Duration::from_hours(11)).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));

    world.dss.always(Behaviour::Maintenance);
    world.pass(Duration::from_hours(3)).await;
    assert_eq!(world.ready("alice"), "False/DssUnreachable", "what was read is older than maxStale");
}

#[tokio::test(start_paused = true)]
async fn the_last_role_is_renewed_for_max_stale_during_a_dss_outage() {
    let mut world = world_with(&[("alice", from(FROM_PROPERTY))]).await;
    world.dss.always(Behaviour::BadGateway);
    world.pass(Duration::from_hours(12)).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));
    assert!(world.sts.count() > 12, "renewed all the time");
    assert_eq!(instance_condition(&world, "Reachable").1, "DssUnreachable");

    // After a restart keyturn knows only what status records, and that is enough.
    world.kill().await;
    world.count_from_here();
    world.start();
    world.pass(Duration::from_mins(1)).await;
    assert_eq!((world.sts.count(), world.api.writes().len()), (0, 0));
    world.pass(Duration::from_hours(10)).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));

    // After a day the last known role no longer counts: keyturn renews nothing, and withdraws
    // nothing before its expiry.
    world.pass(Duration::from_hours(3)).await;
    assert_eq!(world.ready("alice"), "False/DssUnreachable");
    assert!(world.is_withdrawn("alice"), "it has expired by now");
    world.dss.behave_well();
    world.until("it is ready again", |world| world.is_ready("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_healthy_configs_costs_one_listing_and_nothing_else() {
    let mut world = world_with(&[("alice", from(FROM_PROPERTY)), ("bob", from(FROM_PROPERTY))]).await;
    world.kill().await;
    world.start();
    world.pass(Duration::from_mins(2)).await;
    let cost = world.cost();
    assert_eq!((cost.sts, cost.writes), (0, 0), "{}", world.picture());
    assert_eq!(world.dss.count_where(|call| call.path == "/admin/users/"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_is_not_allowed_learns_nobody_s_role() {
    let mut world = world();
    world.apply(&instance("design", URL, |spec| spec.allow[0].persons = vec!["bob".to_owned()]));
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is refused", |world| world.ready("alice") == "False/NotGranted").await;
    let (_, _, message) = world.condition("alice", "Ready").unwrap();
    assert!(message.contains("DssInstance \"design\"") && message.contains("\"alice\""), "{message}");
    assert!(world.roles().is_empty(), "an AwsRole would tell");
    assert!(!world.picture().contains("role/ds-analyst\",\"person\":\"alice"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_s_shared_config_uses_the_instance_s_system_login() {
    let mut world = world();
    world.apply(&instance("design", URL, |spec| {
        spec.allow
            .push(serde_json::from_value(json!({"namespaces": {"names": ["scoring"]}, "systemLogin": "svc"})).unwrap());
        spec.login = "${person}@corp.example".to_owned();
    }));
    world.apply(&grant("system", |grant| grant.persons = vec!["system:scoring".to_owned()]));
    world.dss.add_user("svc", &[]);
    world.dss.set_admin_property("svc", "associatedRole", Some("ds-service"));
    world.dss.add_user("alice@corp.example", &[]);
    world.dss.set_admin_property("alice@corp.example", "associatedRole", Some("ds-corp"));
    world.start();
    world.apply(&config("shared", |spec| {
        role_from_dss(FROM_PROPERTY)(spec);
        (spec.mode, spec.person) = (keyturn::api::Mode::System, None);
    }));
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("both are ready", |world| world.is_ready("shared") && world.is_ready("alice")).await;
    assert_eq!([active(&world, "shared"), active(&world, "alice")], [role("ds-service"), role("ds-corp")]);
}
