//! Provider `connection`: the credential of a DSS connection, read as the person.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Connection},
        rules::Times,
    },
    fixtures::from_connection,
};

fn s3() -> Connection {
    Connection::assume_role("${adminProperty:associatedRole}").readable_by(&["analysts"])
}

#[tokio::test(start_paused = true)]
async fn a_connection_s_credential_is_the_person_s_own() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.dss.set_admin_property("bob", "associatedRole", Some("ds-bob"));
    world.start();
    for name in ["alice", "bob"] {
        world.apply(&config(name, from_connection("s3")));
        world.until("it is ready", |world| world.is_ready(name)).await;
        let (by, given) = world.dss.handed_out().pop().unwrap();
        assert_eq!(by.session_name, name);
        assert_eq!(world.value(name, "AWS_ACCESS_KEY_ID"), given.access_key);
        assert_eq!(world.value(name, "AWS_SESSION_TOKEN"), given.session_token.unwrap());
    }
    assert_eq!(world.sts.count(), 0, "DSS assumes the role");
    let call = world.dss.calls().into_iter().find(|call| call.path == "/connections/s3/info").unwrap();
    assert_eq!(call.proxy_user.as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn no_credential_of_a_connection_is_delivered_to_another_person() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.dss.takes_callers_for(Some("bob"));
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is noticed", |world| world.ready("alice") == "False/DssDenied").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("may not act as \"alice\"") && message.contains("somebody else"), "{message}");
    world.pass(Duration::from_mins(20)).await;
    assert!(world.dss.handed_out().is_empty(), "bob's credential is not even read");
    assert!(world.secret("alice").is_none(), "{}", world.picture());

    world.dss.takes_callers_for(None);
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.count_from_here();
    world.pass(Duration::from_mins(30)).await;
    assert!(world.dss.handed_out().len() > 1, "it was renewed");
    assert_eq!(world.dss.count_where(|call| call.path == "/auth/info"), 0, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_login_in_another_case_is_no_user_of_dss() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.dss.folds_case();
    world.start();
    world.apply(&config("upper", |spec| {
        from_connection("s3")(spec);
        spec.person = Some("ALICE".into());
    }));
    world.apply(&config("property", |spec| {
        crate::fixtures::role_from_dss("${adminProperty:associatedRole}")(spec);
        spec.person = Some("ALICE".into());
    }));
    for name in ["upper", "property"] {
        world.until("there is no such user", |world| world.ready(name) == "False/DssUserMissing").await;
        assert!(world.secret(name).is_none(), "{}", world.picture());
    }
    assert!(world.dss.handed_out().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_without_an_expiry_is_assumed_to_live_15_minutes() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    let record = world.record("alice").unwrap();
    assert_eq!(record.expires_at.unwrap().duration_since(record.issued_at).as_mins(), 15);
    world.settle().await;
    world.count_from_here();
    world.pass_until_due("alice").await;
    assert_ne!(world.record("alice").unwrap().access_key_id, record.access_key_id);
    assert_eq!(world.dss.count_where(|call| call.path.starts_with("/connections/")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_dss_returns_again_is_assumed_to_be_older() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.dss.caches_sessions(true);
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    let first = world.record("alice").unwrap();
    world.pass_until_due("alice").await;
    let again = world.record("alice").unwrap();
    assert_eq!(again.access_key_id, first.access_key_id);
    assert_eq!(again.expires_at.unwrap().duration_since(again.issued_at).as_secs(), 15 * 60 / 4);
    world.dss.forget_sessions();
    world.pass_until_due("alice").await;
    let next = world.record("alice").unwrap();
    assert_ne!(next.access_key_id, first.access_key_id);
    assert_eq!(next.expires_at.unwrap().duration_since(next.issued_at).as_mins(), 15);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_dss_reports_is_used() {
    let mut world = world();
    world.dss.add_connection("s3", s3());
    world.dss.tells_expiration(true);
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    let (_, given) = world.dss.handed_out().pop().unwrap();
    assert_eq!(world.record("alice").unwrap().expires_at, given.expiration);
}

#[tokio::test(start_paused = true)]
async fn a_static_key_is_checked_each_refresh_and_withdrawn_when_denied() {
    let mut world = world();
    let key = |id| Connection::key_pair(id, "LeakedSecretOfTheConnection0123456789ab").readable_by(&["analysts"]);
    world.dss.add_connection("s3", key("AKIAIOSFODNN7EXAMPLE"));
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    assert!(world.status("alice").expires_at.is_none());
    world.settle().await;
    world.count_from_here();
    world.pass(Duration::from_hours(1)).await;
    let asked = world.dss.count_where(|call| call.path.starts_with("/connections/"));
    assert!((6..=12).contains(&asked), "{asked} times an hour");
    assert_eq!(world.api.writes().iter().filter(|write| write.resource != "dssinstances").count(), 0);

    world.dss.add_connection("s3", key("AKIAI44QH8DHBEXAMPLE"));
    world.pass(REFRESH * 2).await;
    assert_eq!(world.value("alice", "AWS_ACCESS_KEY_ID"), "AKIAI44QH8DHBEXAMPLE");

    world.dss.always(Behaviour::Maintenance);
    world.pass(Duration::from_hours(5)).await;
    assert!(world.is_ready("alice"), "DSS down takes nothing away");
    world.dss.behave_well();
    world.dss.set_groups("alice", &[]);
    world.pass(Duration::from_mins(20)).await;
    assert_eq!(world.ready("alice"), "False/DssConnectionDenied");
    assert!(world.is_withdrawn("alice"), "a key has no end, so who may not read it any more has it no longer");
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_a_connection_has_its_own_message() {
    let table = [
        ("closed", "\"Details readable by\""),
        ("empty", "resolves to no AWS credential"),
        ("sql", "is of type PostgreSQL"),
        ("nowhere", "has no connection \"nowhere\""),
    ];
    let mut world = world();
    world.dss.add_connection("closed", Connection::assume_role("ds-analyst").readable_by(&["others"]));
    world.dss.add_connection("empty", Connection::without_credential().readable_by(&["analysts"]));
    world.dss.add_connection("sql", Connection::other("PostgreSQL").readable_by(&["analysts"]));
    world.start();
    for (connection, words) in table {
        let name = format!("alice-{connection}");
        let mut asks = config(&name, from_connection(connection));
        asks.spec.person = Some("alice".to_owned());
        world.apply(&asks);
        world.until("it is refused", |world| world.ready(&name) == "False/DssConnectionDenied").await;
        let (_, _, message) = world.condition(&name, "Ready").unwrap();
        assert!(message.contains(words) && message.contains(&format!("\"{connection}\"")), "{message}");
        assert!(world.secret(&name).is_none(), "a Secret that never held a credential is not created");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_needs_a_grant_that_lists_its_provider() {
    let world = world_with(&[]).await;
    world.dss.add_connection("s3", s3());
    world.change_grant("from-dss", |grant| grant.providers = vec![CredentialProvider::Default]);
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is refused", |world| world.ready("alice") == "False/NotGranted").await;
    assert_eq!(world.dss.handed_out().len(), 0);
    world.change_grant("from-dss", |grant| grant.providers = vec![CredentialProvider::Connection]);
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.change_grant("from-dss", |grant| grant.persons = vec!["bob".to_owned()]);
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_withdraws_nothing_before_the_expiry() {
    let world = world_with(&[]).await;
    world.dss.add_connection("s3", s3());
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.dss.behave_if(Times::UntilCleared, |call| call.path.starts_with("/connections/"), Behaviour::ServerError);
    world.pass_until_due("alice").await;
    world.pass(Duration::from_secs(60)).await;
    assert!(world.is_ready("alice"));
    assert_eq!(world.condition("alice", "RenewalFailing").unwrap().1, "DssUnreachable");
    world.pass(Duration::from_mins(15)).await;
    assert_eq!(world.ready("alice"), "False/Expired");
    world.dss.behave_well();
    world.until("it is ready again", |world| world.is_ready("alice")).await;
}

/// A world with a static key. A static key never expires, so only a denial withdraws it.
async fn with_static_key() -> World {
    let world = world_with(&[]).await;
    let key = Connection::key_pair("AKIAIOSFODNN7EXAMPLE", "LeakedSecretOfTheConnection0123456789ab");
    world.dss.add_connection("s3", key.readable_by(&["analysts"]));
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world
}

fn reads_a_connection(call: &crate::doubles::dss::Call) -> bool {
    call.path.starts_with("/connections/")
}

#[tokio::test(start_paused = true)]
async fn an_admin_key_without_rights_does_not_count_as_a_denial() {
    let world = with_static_key().await;
    world.dss.revoke_admin_right();
    world.pass(Duration::from_hours(1)).await;
    assert!(!world.is_withdrawn("alice"), "{}", world.picture());
    let (_, reason, message) = world.condition("alice", "RenewalFailing").unwrap();
    assert_eq!(reason, "DssDenied");
    assert!(message.contains("may not act as \"alice\"") && !message.contains("Details readable by"), "{message}");
    assert_eq!(instance_condition(&world, "Authorized").1, "DssDenied");

    world.dss.restore_admin_right();
    world.until("it is well again", |world| world.condition("alice", "RenewalFailing").is_none()).await;
    // A denial of the person's own still counts, with each status that DSS may give it.
    let denied = |status| Behaviour::Error { status, error_type: "a.b.C".to_owned(), message: "no".to_owned() };
    for status in [401, 403, 404] {
        world.dss.behave_if(Times::UntilCleared, reads_a_connection, denied(status));
        world.until("it is withdrawn", |world| world.ready("alice") == "False/DssConnectionDenied").await;
        assert!(world.is_withdrawn("alice"), "{status}");
        world.dss.behave_well();
        world.until("it is ready again", |world| world.is_ready("alice")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dss_failure_is_reported_as_such_and_withdraws_nothing() {
    let senseless = "java.lang.IllegalArgumentException";
    let aws = "software.amazon.awssdk.services.sts.model.StsException";
    let table = [
        (400, senseless, "DssDenied", "DSS cannot resolve connection \"s3\" for \"alice\""),
        (500, aws, "DssUnreachable", "DSS failed: GET /connections/s3/info"),
    ];
    for (status, error_type, reason, words) in table {
        let world = with_static_key().await;
        let error = Behaviour::Error { status, error_type: error_type.to_owned(), message: "why".to_owned() };
        world.dss.behave_if(Times::UntilCleared, reads_a_connection, error);
        world.until("it is reported", |world| world.condition("alice", "RenewalFailing").is_some()).await;
        let (_, reported, message) = world.condition("alice", "RenewalFailing").unwrap();
        assert_eq!(reported, reason, "{message}");
        assert!(message.contains(words) && message.contains(error_type), "{message}");
        assert!(!message.contains("Details readable by") && !message.contains("cannot be reached"), "{message}");
        world.pass(Duration::from_hours(1)).await;
        assert!(!world.is_withdrawn("alice"));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_delays_the_next_read_of_a_connection() {
    let world = with_static_key().await;
    world.count_from_here();
    let busy = Behaviour::TooManyRequests { retry_after_seconds: 120 };
    world.dss.behave_if(Times::UntilCleared, reads_a_connection, busy);
    world.until("it was asked", |world| world.dss.count_where(reads_a_connection) > 0).await;
    world.pass(Duration::from_secs(110)).await;
    assert_eq!(world.dss.count_where(reads_a_connection), 1);
    world.dss.behave_well();
    world.pass(Duration::from_secs(70)).await;
    assert!(world.condition("alice", "RenewalFailing").is_none());
}
