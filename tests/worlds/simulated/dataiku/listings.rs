//! Listings of users: a listing enqueues every config about which it says something new, or too
//! little, and no other config.
//!
//! A config with a credential is requeued only for its renewal. Until then it learns of changes in
//! DSS through listings.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Call},
        rules::Times,
    },
    fixtures::{personal_key, role, role_from_dss},
};

const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

fn from_property() -> Box<dyn Fn(&mut AwsConfigSpec)> {
    Box::new(|spec| role_from_dss(FROM_PROPERTY)(spec))
}

fn lists_keys(call: &Call) -> bool {
    call.method == "GET" && call.path == "/admin/personal-api-keys/"
}

fn lacks_alice() -> Behaviour {
    Behaviour::MissingFromListing(vec!["alice".to_owned()])
}

#[tokio::test(start_paused = true)]
async fn user_changes_are_applied_though_keys_cannot_be_listed() {
    let denied = Behaviour::Error { status: 403, error_type: "a.b.C".to_owned(), message: "no".to_owned() };
    for (what, trouble) in [("denied", denied), ("a server error", Behaviour::ServerError)] {
        let world = world_with(&[("alice", Box::new(personal_key)), ("bob", from_property())]).await;
        world.dss.add_user("carol", &[]);
        world.dss.set_admin_property("carol", "associatedRole", Some("ds-analyst"));
        world.apply(&config("carol", role_from_dss(FROM_PROPERTY)));
        world.pass(REFRESH).await;
        world.dss.behave_if(Times::UntilCleared, lists_keys, trouble);
        world.pass(REFRESH * 3).await;
        world.dss.set_admin_property("bob", "associatedRole", Some("ds-other"));
        world.dss.set_enabled("carol", false);
        world.pass(REFRESH).await;
        assert_eq!(world.record("bob").unwrap().role, role("ds-other"), "{what}");
        assert_eq!(world.ready("carol"), "False/DssUserMissing", "{what}");
        assert!(world.is_ready("alice") && world.is_withdrawn("carol"), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_key_listings_enqueue_no_unchanged_config() {
    let world = world_with(&[("alice", Box::new(personal_key)), ("bob", from_property())]).await;
    world.dss.behave_if(Times::UntilCleared, lists_keys, Behaviour::ServerError);
    world.pass(REFRESH).await;
    world.api.clear_requests();
    world.sts.clear();
    world.pass(Duration::from_mins(20)).await;
    assert_eq!((world.sts.count(), world.api.writes().len()), (0, 0));
    assert!(world.is_ready("alice") && world.is_ready("bob"));
}

#[tokio::test(start_paused = true)]
async fn a_user_removed_during_downtime_is_withdrawn_by_the_first_listing() {
    let mut world = world_with(&[("alice", from_property()), ("bob", from_property())]).await;
    world.kill().await;
    world.dss.remove_user("alice");
    // The configs are reconciled before DSS has listed any user.
    world.dss.behave_if(Times::Once, |call| call.path == "/admin/users/", Behaviour::Latency(Duration::from_secs(10)));
    world.start();
    world.pass(Duration::from_secs(5)).await;
    assert!(world.is_ready("alice"), "nothing is known yet, so nothing is taken away");
    world.pass(REFRESH).await;
    assert_eq!(world.ready("alice"), "False/DssUserMissing");
    assert!(world.is_withdrawn("alice") && world.is_ready("bob"));
}

#[tokio::test(start_paused = true)]
async fn a_user_absent_from_listings_is_read_by_name_at_each() {
    let world = world_with(&[("alice", from_property()), ("bob", from_property())]).await;
    world.dss.always(lacks_alice());
    world.pass(REFRESH * 2).await;
    world.dss.set_admin_property("alice", "associatedRole", Some("ds-other"));
    world.pass(REFRESH).await;
    assert_eq!(world.record("alice").unwrap().role, role("ds-other"));
    assert_eq!((world.is_ready("alice"), world.sts.count()), (true, 1), "bob's is as it was");
    assert_eq!(world.dss.count_where(|call| call.path == "/admin/users/alice"), 3, "once for each listing");
    world.dss.remove_user("alice");
    world.pass(REFRESH).await;
    assert_eq!(world.ready("alice"), "False/DssUserMissing");
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_of_a_user_is_retried_at_the_next_listing() {
    let world = world_with(&[("alice", from_property()), ("bob", from_property())]).await;
    world.dss.remove_user("alice");
    let by_name = |call: &Call| call.path == "/admin/users/alice";
    let rule = world.dss.behave_if(Times::UntilCleared, by_name, Behaviour::BadGateway);
    world.pass(REFRESH).await;
    assert!(world.dss.count_where(by_name) > 0 && world.is_ready("alice"), "nothing is known of her");
    world.dss.forgive(rule);
    world.pass(REFRESH).await;
    assert_eq!(world.ready("alice"), "False/DssUserMissing");
    assert!(world.is_withdrawn("alice"));
}
