//! The status of an instance, and the life of its admin key.

use super::*;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        dss::{Behaviour, Connection},
        rules::Times,
    },
    fixtures::{from_connection, instance, role_from_dss},
};
use keyturn::api::AuthScheme;

const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

#[tokio::test(start_paused = true)]
async fn an_instance_reports_its_version_reachable_and_authorized() {
    let mut world = world();
    world.dss.set_version("14.2.2");
    world.start();
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    assert_eq!(instance_condition(&world, "Reachable").0, "True");
    assert_eq!(world.instance("design").unwrap().status.unwrap().version.as_deref(), Some("14.2.2"));
    world.settle().await;
    world.count_from_here();
    world.pass(Duration::from_hours(1)).await;
    assert!(world.api.writes().is_empty(), "nothing new, nothing written");
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.api.writes().len(), 1, "when users were read, to within a twentieth of maxStale");
}

#[tokio::test(start_paused = true)]
async fn the_admin_key_is_sent_in_the_instance_s_scheme() {
    for (scheme, header) in [(AuthScheme::Basic, "Basic"), (AuthScheme::Bearer, "Bearer")] {
        let mut world = world();
        world.apply(&instance("design", URL, |spec| spec.auth_scheme = scheme));
        world.start();
        world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
        assert!(world.dss.calls().iter().all(|call| call.scheme.as_deref() == Some(header)), "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_names_its_route_and_the_missing_part() {
    let table: [(Behaviour, &str, &str, &str); 6] = [
        (Behaviour::BadGateway, "Reachable", "DssUnreachable", "GET /instance-info at https://dss.test"),
        (Behaviour::LoginPage, "Reachable", "DssUnreachable", "a web page"),
        (Behaviour::RedirectToLogin, "Reachable", "DssUnreachable", "redirects"),
        (Behaviour::Hang, "Reachable", "DssUnreachable", "no answer within 30 s"),
        (Behaviour::HugeBody(17 << 20), "Reachable", "DssUnreachable", "longer than"),
        (Behaviour::EchoedKey, "Authorized", "DssDenied", "apiKeySecretRef"),
    ];
    for (behaviour, condition, reason, words) in table {
        let mut world = world();
        world.dss.always(behaviour.clone());
        world.start();
        world.until("it is reported", |world| instance_condition(world, condition).0 == "False").await;
        let (_, reported, message) = instance_condition(&world, condition);
        assert_eq!(reported, reason, "{behaviour:?}: {message}");
        assert!(message.contains(words) && !world.picture_of_status().contains(ADMIN_KEY), "{behaviour:?}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_key_without_rights_is_reported_and_its_successor_used() {
    let mut world = world();
    world.dss.revoke_admin_right();
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is reported", |world| instance_condition(world, "Authorized").1 == "DssDenied").await;
    let (_, _, message) = instance_condition(&world, "Authorized");
    assert!(message.contains("GET /admin/users/") && message.contains("admin rights"), "{message}");
    assert_eq!(instance_condition(&world, "Reachable").0, "True");
    assert_eq!(world.ready("alice"), "False/DssDenied");

    world.dss.restore_admin_right();
    world.dss.rotate_admin_key("another-admin-key-0123");
    put_admin_key(&world, "another-admin-key-0123");
    world.pass(Duration::from_mins(2)).await;
    assert!(world.is_ready("alice"), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_of_the_admin_key_is_reported() {
    let mut world = world();
    world.apply(&instance("design", URL, |spec| spec.api_key_secret_ref.name = "elsewhere".to_owned()));
    world.start();
    world.until("it is reported", |world| instance_condition(world, "Authorized").0 == "False").await;
    assert!(instance_condition(&world, "Authorized").2.contains("keyturn-system/elsewhere"));
    assert_eq!(world.dss.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_admin_key_stops_calls_to_dss_and_withdraws_nothing() {
    let mut world = world();
    world.dss.add_connection("s3", Connection::assume_role("ds-analyst").readable_by(&["analysts"]));
    world.start();
    world.apply(&config("alice", from_connection("s3")));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.api.delete("Secret", OPERATORS, "dss-admin");
    world.until("it is reported", |world| instance_condition(world, "Authorized").1 == "DssDenied").await;
    world.settle().await;
    world.count_from_here();
    world.pass_until_due("alice").await;
    assert_eq!(world.dss.count(), 0, "with which key?");
    assert!(world.is_ready("alice"));
    assert_eq!(world.condition("alice", "RenewalFailing").unwrap().1, "DssUnreachable");
    put_admin_key(&world, ADMIN_KEY);
    world.until("it is renewed", |world| world.condition("alice", "RenewalFailing").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_may_be_created_last_and_its_deletion_withdraws() {
    let mut world = World::empty();
    world.apply(&analysts());
    world.api.namespace(OPERATORS, &[]);
    put_admin_key(&world, ADMIN_KEY);
    world.dss.add_user("alice", &[]);
    world.dss.set_admin_property("alice", "associatedRole", Some("ds-analyst"));
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it waits", |world| world.ready("alice") == "False/DssInstanceMissing").await;
    world.apply(&design(URL));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.api.delete("DssInstance", "", "design");
    world.until("it is withdrawn", |world| world.ready("alice") == "False/DssInstanceMissing").await;
    assert!(world.is_withdrawn("alice"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_instances_withdraws_nothing() {
    let mut world = world();
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.kill().await;
    world.api.delete("DssInstance", "", "design");
    world.start();
    world.pass(Duration::from_mins(5)).await;
    assert!(world.holds_a_valid_session("alice"), "an empty list is what a half-restored cluster shows");
    assert_eq!(world.ready("alice"), "False/DssInstanceMissing");
}

#[tokio::test(start_paused = true)]
async fn an_operator_of_some_namespaces_ignores_instances_unused_there() {
    let mut world = world();
    let admin_key = |request: &Request| request.verb == "get" && request.path.contains("dss-admin");
    world.api.fault(Times::UntilCleared, admin_key, Fault::forbidden());
    let ours = json!(["keyturn.dev/dss-keys"]);
    world.api.edit("DssInstance", "", "design", |instance| instance["metadata"]["finalizers"] = ours.clone());
    let operator = keyturn::operator::Operator { namespaces: vec!["scoring".to_owned()], ..world.operator() };
    world.start_as(operator);
    world.pass(Duration::from_mins(30)).await;
    let writes = world.api.writes().into_iter().filter(|write| !write.is("patch", "awsrolegrants/status")).count();
    assert_eq!((world.dss.count(), writes, world.reads()), (0, 0, 0), "it may be another release's");

    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is tried", |world| instance_condition(world, "Authorized").1 == "DssDenied").await;
    let (_, _, message) = instance_condition(&world, "Authorized");
    assert!(message.contains("keyturn-system/dss-admin") && message.contains("dss.adminKeySecrets"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_dss_release_without_a_version_route_is_served() {
    let mut world = world();
    world.dss.behave_if(Times::UntilCleared, |call| call.path == "/instance-info", Behaviour::NoSuchRoute);
    world.start();
    world.apply(&config("alice", role_from_dss(FROM_PROPERTY)));
    world.until("it is authorized", |world| instance_condition(world, "Authorized").0 == "True").await;
    world.until("it is ready", |world| world.is_ready("alice")).await;
    assert_eq!(instance_condition(&world, "Reachable").0, "True");
    assert_eq!(world.instance("design").unwrap().status.unwrap().version, None);
}

#[tokio::test(start_paused = true)]
async fn an_instance_reports_only_the_rights_that_its_key_has_used() {
    let world = world_with(&[("alice", Box::new(|spec| role_from_dss(FROM_PROPERTY)(spec)))]).await;
    assert_eq!(instance_condition(&world, "Authorized").2, "the admin key may read users");
    world.change("alice", crate::fixtures::personal_key);
    world.until("there is a key", |world| !world.dss.personal_keys().is_empty() && world.is_ready("alice")).await;
    world.pass(REFRESH).await;
    assert_eq!(instance_condition(&world, "Authorized").2, "the admin key may read users and API keys");
}

#[tokio::test(start_paused = true)]
async fn retry_after_delays_the_next_listing_up_to_a_limit() {
    let world = world_with(&[("alice", Box::new(|spec| role_from_dss(FROM_PROPERTY)(spec)))]).await;
    world.dss.always(Behaviour::TooManyRequests { retry_after_seconds: 120 });
    world.pass(REFRESH).await;
    let first = world.dss.count();
    world.pass(Duration::from_secs(100)).await;
    assert_eq!((first, world.dss.count()), (1, 1), "120 s have not passed");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.dss.count(), 2);

    world.dss.behave_well();
    world.pass(REFRESH).await;
    world.dss.always(Behaviour::TooManyRequests { retry_after_seconds: 1_000_000 });
    world.pass(REFRESH).await;
    world.dss.behave_well();
    world.count_from_here();
    world.pass(REFRESH).await;
    assert!(world.dss.count() > 0, "however long it says: one listing for each refresh");
}
