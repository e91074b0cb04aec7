//! The calls that keyturn makes to DSS, each with every class of answer that lasts: what stands in
//! the way is in a condition, with a reason and what to do, and heals. No valid credential is lost.

use super::*;
use crate::{
    doubles::{
        dss::{ADMIN_KEY_MARKER, Behaviour, Call, Connection, KEY_MARKER},
        rules::Times,
    },
    fixtures::{SCORING, from_connection, personal_key, role_from_dss},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Every class of answer. The last five carry out the call.
fn answers() -> Vec<(&'static str, Behaviour)> {
    let error =
        |status| Behaviour::Error { status, error_type: "com.dataiku.Failure".to_owned(), message: "no".to_owned() };
    let in_between = |status, body| Behaviour::InBetween { status, body };
    vec![
        ("401", error(401)),
        ("403", error(403)),
        ("404", error(404)),
        ("409", error(409)),
        ("429 with Retry-After", Behaviour::TooManyRequests { retry_after_seconds: 2 }),
        ("429", in_between(429, "")),
        ("500", Behaviour::ServerError),
        ("a gateway's 502", Behaviour::BadGateway),
        ("a page with 503", Behaviour::Maintenance),
        ("a proxy's 403", in_between(403, "RBAC: access denied")),
        ("a login page", Behaviour::LoginPage),
        ("a redirect to a login page", Behaviour::RedirectToLogin),
        ("JSON of another form", in_between(200, r#"{"ok": true}"#)),
        ("a list of another form", in_between(200, "[7]")),
        ("an empty body", in_between(200, "")),
        ("no connection", Behaviour::ConnectionFailure),
        ("no answer, no effect", Behaviour::Hang),
        ("no answer, but the effect", Behaviour::HangAfter),
        ("a lost answer", Behaviour::AnswerLost),
        ("half an answer", Behaviour::Garbled),
        ("an answer that is too long", Behaviour::HugeBody(17 << 20)),
    ]
}

type Fits = fn(&Call) -> bool;
type Asks = fn(&mut AwsConfigSpec);

fn is_users(call: &Call) -> bool {
    call.path == "/admin/users/"
}
fn is_user(call: &Call) -> bool {
    call.path == "/admin/users/alice"
}
fn is_connection(call: &Call) -> bool {
    call.path.starts_with("/connections/")
}
fn is_person(call: &Call) -> bool {
    call.path == "/auth/info" && call.proxy_user.is_some()
}
fn is_own_key(call: &Call) -> bool {
    call.path == "/auth/info" && call.proxy_user.is_none()
}
fn is_creation(call: &Call) -> bool {
    call.method == "POST"
}
fn is_keys(call: &Call) -> bool {
    call.path == "/admin/personal-api-keys/" && call.method == "GET"
}
fn is_deletion(call: &Call) -> bool {
    call.method == "DELETE"
}

fn role(spec: &mut AwsConfigSpec) {
    role_from_dss("${adminProperty:associatedRole}")(spec);
}
fn connection(spec: &mut AwsConfigSpec) {
    from_connection("s3")(spec);
}

/// A world with an operator, and with a connection.
fn asked_world() -> World {
    let mut world = world();
    let s3 = Connection::assume_role("${adminProperty:associatedRole}");
    world.dss.add_connection("s3", s3.readable_by(&["analysts"]));
    world.start();
    world
}

/// Whether a condition says which call of DSS fails, why, and what to do.
fn tells(condition: Option<(String, String, String)>, route: &str) -> bool {
    condition.is_some_and(|(_, reason, message)| {
        let is_of_dss = reason.starts_with("Dss");
        let remedy = ["tries again", "admin", "put a valid"].iter().any(|remedy| message.contains(remedy));
        // A wait that is over for the reconcile is named by its purpose.
        let says_what = message.contains(route) || message.contains("in DssInstance \"design\": no answer within");
        is_of_dss && says_what && remedy
    })
}

/// Whether alice has everything that she asks for, and nothing fails.
fn is_whole(world: &World) -> bool {
    let complains = ["RenewalFailing", "DssKeysFailing"].iter().any(|type_| world.condition("alice", type_).is_some());
    let wants_key =
        world.config("alice").and_then(|config| config.spec.dss).is_some_and(|dss| dss.api_key != ApiKey::None);
    let has_key = owner_of(world, &world.value("alice", "DKU_API_KEY")).as_deref() == Some("alice");
    world.is_ready("alice")
        && !world.is_withdrawn("alice")
        && !world.value("alice", "AWS_ACCESS_KEY_ID").is_empty()
        && !complains
        && (!wants_key || has_key)
}

/// The conditions of alice and of the instance hold no key.
fn assert_quiet(world: &World, case: &str) {
    let status = format!("{:?} {:?}", world.config("alice").map(|config| config.status), world.instance("design"));
    assert!(!status.contains(ADMIN_KEY_MARKER) && !status.contains(KEY_MARKER), "{case}: {status}");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_dss_of_a_first_issue_that_fails_is_in_a_condition() {
    // A call, how it is found, what alice asks for, the route in the message, and the answers with
    // which she gets it all the same.
    let calls: [(&str, Fits, Asks, &str, &[&str]); 6] = [
        ("the users", is_users, role, "/admin/users/", &[]),
        ("the person", is_person, connection, "/auth/info", &[]),
        ("the connection", is_connection, connection, "/connections/s3/info", &[]),
        ("create a key", is_creation, personal_key, "/admin/personal-api-keys/", &[]),
        ("whose the key is", is_own_key, personal_key, "/auth/info", &[]),
        // A refusal of DSS is the answer that keyturn wants.
        ("whether it is an admin's", is_user, personal_key, "/admin/users/alice", &["401", "403", "half an answer"]),
    ];
    for (call, fits, asks, route, harmless) in calls {
        for (answer, behaviour) in answers() {
            let case = format!("{call}: {answer}");
            let mut world = world();
            let s3 = Connection::assume_role("${adminProperty:associatedRole}");
            world.dss.add_connection("s3", s3.readable_by(&["analysts"]));
            let others = world.dss.personal_keys().len();
            let rule = world.dss.behave_if(Times::UntilCleared, fits, behaviour);
            world.start();
            world.apply(&config("alice", asks));
            world.pass(10 * MINUTE).await;
            let told = tells(world.condition("alice", "Ready"), route);
            let is_harmless = harmless.contains(&answer) && is_whole(&world);
            assert!(told || is_harmless, "{case}: {}", world.picture());
            assert!(call != "the users" || tells_of_instance(&world, route), "{case}: {}", world.picture());
            assert_quiet(&world, &case);
            let created = world.dss.personal_keys().len() - others;
            assert!(created <= 16, "{case}: {created} keys");
            world.dss.forgive(rule);
            world.until("alice has everything", is_whole).await;
            world.pass(2 * MINUTE).await;
            assert!(world.dss.personal_keys().len() - others <= 1, "{case}: {}", world.picture());
        }
    }
}

/// Whether a condition of the instance says which call fails.
fn tells_of_instance(world: &World, route: &str) -> bool {
    ["Reachable", "Authorized"].iter().any(|type_| tells(Some(instance_condition(world, type_)), route))
}

#[tokio::test(start_paused = true)]
async fn a_user_that_cannot_be_looked_for_is_in_a_condition() {
    for (answer, behaviour) in answers() {
        let mut world = world();
        world.dss.always(Behaviour::MissingFromListing(vec!["alice".to_owned()]));
        let rule = world.dss.behave_if(Times::UntilCleared, is_user, behaviour);
        world.start();
        world.apply(&config("alice", role));
        world.pass(10 * MINUTE).await;
        let is_missing = answer == "404" && world.ready("alice") == "False/DssUserMissing";
        let told = tells(world.condition("alice", "Ready"), "/admin/users/alice");
        assert!(told || is_missing, "{answer}: {}", world.picture());
        assert_quiet(&world, answer);
        // keyturn asks once an hour for somebody who does not exist.
        if is_missing {
            world.dss.behave_well();
        } else {
            world.dss.forgive(rule);
        }
        world.until("alice has everything", is_whole).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_to_dss_of_a_renewal_that_fails_takes_nothing_away() {
    let calls: [(&str, Fits, Asks, &str); 3] = [
        ("the users", is_users, role, "/admin/users/"),
        ("a connection", is_connection, connection, "/connections/s3/info"),
        ("every call", |_| true, connection, "at https://dss.test"),
    ];
    for (call, fits, asks, route) in calls {
        for (answer, behaviour) in answers() {
            let case = format!("{call}: {answer}");
            let world = asked_world();
            world.apply(&config("alice", asks));
            world.until("alice is ready", |world| world.is_ready("alice")).await;
            let id = world.value("alice", "AWS_ACCESS_KEY_ID");
            let rule = world.dss.behave_if(Times::UntilCleared, fits, behaviour);
            world.pass_until_due("alice").await;
            world.pass(2 * MINUTE).await;
            assert!(world.is_ready("alice") && !world.is_withdrawn("alice"), "{case}: {}", world.picture());
            let has_another = world.value("alice", "AWS_ACCESS_KEY_ID") != id;
            let told = tells(world.condition("alice", "RenewalFailing"), route);
            assert!(told || has_another, "{case}: {}", world.picture());
            assert!(call != "the users" || tells_of_instance(&world, route), "{case}: {}", world.picture());
            assert_quiet(&world, &case);
            world.dss.forgive(rule);
            world.until("alice has everything", is_whole).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_fails_is_in_a_condition_and_the_key_stays() {
    let calls: [(&str, Fits, &str, &[&str]); 3] = [
        ("create a key", is_creation, "/admin/personal-api-keys/", &[]),
        ("whose the key is", is_own_key, "/auth/info", &[]),
        ("whether it is an admin's", is_user, "/admin/users/alice", &["401", "403", "half an answer"]),
    ];
    for (call, fits, route, harmless) in calls {
        for (answer, behaviour) in answers() {
            let case = format!("{call}: {answer}");
            let world = world_with(&[("alice", Box::new(personal_key))]).await;
            let (id, key) = (world.value("alice", "AWS_ACCESS_KEY_ID"), world.value("alice", "DKU_API_KEY"));
            let rule = world.dss.behave_if(Times::UntilCleared, fits, behaviour);
            world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some("2".to_owned()));
            world.pass(10 * MINUTE).await;
            if !(harmless.contains(&answer) && is_whole(&world)) {
                assert!(tells(world.condition("alice", "Ready"), route), "{case}: {}", world.picture());
                assert_eq!(world.value("alice", "DKU_API_KEY"), key, "{case}: {}", world.picture());
                assert_eq!(owner_of(&world, &key).as_deref(), Some("alice"), "{case}: DSS has the key still");
            }
            assert_eq!(world.value("alice", "AWS_ACCESS_KEY_ID"), id, "{case}: {}", world.picture());
            assert_quiet(&world, &case);
            world.dss.forgive(rule);
            world
                .until("alice has another key", |world| is_whole(world) && world.value("alice", "DKU_API_KEY") != key)
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_deleted_after_its_time_is_in_a_condition() {
    for (answer, behaviour) in answers() {
        let world = world_with(&[("alice", Box::new(personal_key))]).await;
        let key = world.value("alice", "DKU_API_KEY");
        world.change("alice", |spec| spec.dss.as_mut().unwrap().api_key_rotation = Some("2".to_owned()));
        world.until("it is rotated", |world| world.value("alice", "DKU_API_KEY") != key && is_whole(world)).await;
        let rule = world.dss.behave_if(Times::UntilCleared, is_deletion, behaviour);
        world.pass(Duration::from_hours(25)).await;
        let told = tells(world.condition("alice", "DssKeysFailing"), "personal-api-keys");
        // DSS' client reads no answer to a deletion, so that any JSON and nothing at all confirm
        // it.
        let confirmed = ["404", "JSON of another form", "a list of another form", "an empty body"].contains(&answer);
        let is_gone = owner_of(&world, &key).is_none();
        assert!(told || confirmed || is_gone, "{answer}: {}", world.picture());
        assert!(world.is_ready("alice"), "{answer}: {}", world.picture());
        assert_quiet(&world, answer);
        world.dss.forgive(rule);
        world.until("nothing fails", is_whole).await;
        assert!(confirmed || owner_of(&world, &key).is_none(), "{answer}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_dss_does_not_confirm_is_in_a_condition() {
    for (call, fits) in [("delete a key", is_deletion as Fits), ("the keys", is_keys), ("every call", |_| true)] {
        for (answer, behaviour) in answers() {
            let case = format!("{call}: {answer}");
            let world = world_with(&[("alice", Box::new(personal_key))]).await;
            let rule = world.dss.behave_if(Times::UntilCleared, fits, behaviour);
            world.api.delete("AwsConfig", SCORING, "alice");
            world.pass(10 * MINUTE).await;
            let told = tells(world.condition("alice", "Ready"), "personal-api-keys");
            assert!(told || world.config("alice").is_none(), "{case}: {}", world.picture());
            assert_quiet(&world, &case);
            world.dss.forgive(rule);
            world.until("it is deleted", |world| world.config("alice").is_none()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_read_is_no_obstacle() {
    for (answer, behaviour) in answers() {
        let mut world = world();
        let is_version = |call: &Call| call.path == "/instance-info";
        let rule = world.dss.behave_if(Times::UntilCleared, is_version, behaviour);
        world.start();
        world.apply(&config("alice", role));
        world.pass(10 * MINUTE).await;
        let told =
            tells(world.condition("alice", "Ready"), "/instance-info") && tells_of_instance(&world, "/instance-info");
        assert!(told || is_whole(&world), "{answer}: {}", world.picture());
        world.dss.forgive(rule);
        world.until("alice has everything", is_whole).await;
    }
}
