//! Intermediaries: a server in front of DSS that answers in its place. keyturn believes none of its
//! answers, whatever their text and status.

use super::*;
use crate::{
    doubles::{
        dss::{Behaviour, Call, Connection},
        rules::Times,
    },
    fixtures::{from_connection, personal_key, role_from_dss},
};

const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

/// Answers of a router without a route, an ingress without a backend, a gateway, a server that says
/// nothing, and a sidecar of a mesh.
const NOT_FOUND: [&str; 5] =
    ["404 page not found", "default backend - 404", r#"{"message": "no Route matched with those values"}"#, "", "\n{}"];
const DENIED: [&str; 2] = ["RBAC: access denied", r#"{"message": "Forbidden"}"#];

fn answers() -> Vec<Behaviour> {
    let with = |status| move |body: &&'static str| Behaviour::InBetween { status, body };
    NOT_FOUND.iter().map(with(404)).chain(DENIED.iter().map(with(403))).chain(DENIED.iter().map(with(401))).collect()
}

#[tokio::test(start_paused = true)]
async fn an_intermediary_s_answer_confirms_no_deletion_of_a_key() {
    for answer in answers() {
        let world = world_with(&[("alice", Box::new(personal_key))]).await;
        world.dss.behave_if(Times::UntilCleared, |call| call.method == "DELETE", answer.clone());
        world.api.delete("AwsConfig", "scoring", "alice");
        world.pass(Duration::from_mins(10)).await;
        assert!(world.config("alice").is_some(), "{answer:?}: its key is there still");
        world.dss.behave_well();
        world.until("it is gone", |world| world.config("alice").is_none()).await;
        assert!(world.dss.personal_keys().is_empty(), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intermediary_s_answer_proves_no_user_missing() {
    let by_name = |call: &Call| call.path == "/admin/users/alice";
    let empty = Behaviour::InBetween { status: 200, body: "" };
    for answer in answers().into_iter().chain([empty]) {
        let world = world_with(&[("alice", Box::new(|spec| role_from_dss(FROM_PROPERTY)(spec)))]).await;
        world.dss.always(Behaviour::EmptyListing);
        world.dss.behave_if(Times::UntilCleared, by_name, answer.clone());
        world.pass(REFRESH * 3).await;
        assert!(world.dss.count_where(by_name) > 0);
        assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intermediary_s_answer_denies_no_connection() {
    for answer in answers() {
        let world = world_with(&[]).await;
        let key = Connection::key_pair("AKIAIOSFODNN7EXAMPLE", "LeakedSecretOfTheConnection0123456789ab");
        world.dss.add_connection("s3", key.readable_by(&["analysts"]));
        world.apply(&config("alice", from_connection("s3")));
        world.until("it is ready", |world| world.is_ready("alice")).await;
        world.dss.behave_if(Times::UntilCleared, |call| call.path.starts_with("/connections/"), answer.clone());
        world.pass(Duration::from_mins(30)).await;
        assert!(!world.is_withdrawn("alice"), "{answer:?}: {}", world.picture());
        assert_eq!(world.condition("alice", "RenewalFailing").unwrap().1, "DssUnreachable", "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intermediary_that_answers_everything_makes_dss_unreachable() {
    for answer in answers() {
        let mut world = world();
        world.dss.always(answer.clone());
        world.start();
        world.until("it is reported", |world| instance_condition(world, "Reachable").0 == "False").await;
        let (_, reason, message) = instance_condition(&world, "Reachable");
        assert_eq!(reason, "DssUnreachable");
        assert!(message.contains("no answer of the DSS API; what is at dss.test?"), "{message}");
    }
}
