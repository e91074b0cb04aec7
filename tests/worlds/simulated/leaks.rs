//! Leaks: no secret key and no session token ever appears outside the Secret.

use super::{dataiku, log::Log, world::World};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        dss::{self, ADMIN_KEY, ADMIN_KEY_MARKER, Connection, KEY_MARKER},
        rules::Times,
        sts::{Behaviour, LEAK_MARKERS},
    },
    fixtures::{
        SCORING, alice, config, delivers_key, from_connection, grant, instance, personal_key, role, role_from_dss,
    },
};
use keyturn::api::CredentialProvider;
use std::time::Duration;

/// A history with every event that could make an error, a log line or a status quote a credential.
async fn an_eventful_life() -> World {
    let mut world = World::with(&[alice(), config("bob", |_| {})]).await;
    let secrets = |verb: &'static str| move |request: &Request| request.is(verb, "secrets");
    world.api.fault(Times::N(2), secrets("patch"), Fault::status(422));
    world.api.fault(Times::N(2), secrets("patch"), Fault::LoseAnswer);
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.pass(Duration::from_secs(60)).await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| secret["immutable"] = true.into());
    world.pass(Duration::from_secs(60)).await;
    world.api.edit("Secret", SCORING, "alice-aws", |secret| secret["data"]["credentials"] = "eA==".into());
    world.pass(Duration::from_secs(60)).await;
    world.change("bob", |spec| spec.region = Some("eu-west-2".into()));
    world.api.delete("Secret", SCORING, "bob-aws");
    world.pass(Duration::from_secs(60)).await;
    for behaviour in [Behaviour::BrokenXml, Behaviour::SignatureDoesNotMatch, Behaviour::ProxyErrorPage] {
        world.sts.behave(Times::N(3), behaviour);
    }
    world.pass(Duration::from_secs(3600)).await;
    world.change("bob", |spec| spec.person = Some("carol".into()));
    world.change("alice", |spec| spec.suspend = true);
    world.pass(Duration::from_secs(60)).await;
    // A user's own key is delivered, malformed, and no longer offered.
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", LEAK_MARKERS[0]);
    world.apply(&config("carol", delivers_key("mine")));
    world.until("the key is delivered", |world| world.value("carol", "AWS_SECRET_ACCESS_KEY") == LEAK_MARKERS[0]).await;
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", &format!("{} {}", LEAK_MARKERS[0], LEAK_MARKERS[1]));
    world.until("it is malformed", |world| world.ready("carol") == "False/KeySecretInvalid").await;
    world.put_key("mine", false, LEAK_MARKERS[0], LEAK_MARKERS[1]);
    // Through another role, whose session stays in memory.
    world.change_grant("analysts", |spec| spec.via = vec![role("hub")]);
    world.pass(Duration::from_secs(60)).await;
    world.kill().await;
    world.start();
    world.pass(Duration::from_secs(3600)).await;
    assert!(world.is_withdrawn("alice") && world.holds_a_valid_session("bob"), "{}", world.picture());
    world
}

#[tokio::test(start_paused = true)]
async fn no_secret_appears_outside_the_secret() {
    let log = Log::listen();
    let world = an_eventful_life().await;
    let log = everything(log);
    assert!(log.contains("TRACE") && log.contains("decided"), "everything was logged: {} bytes", log.len());
    holds_none_of(&world, log, &LEAK_MARKERS);
    let token = world.value("bob", "AWS_SESSION_TOKEN");
    assert!(LEAK_MARKERS.iter().any(|marker| token.contains(marker)), "the markers are what is looked for");
}

/// A history with DSS: API keys that are created, refused, quoted in errors and deleted;
/// connections; an admin key that is replaced.
async fn a_life_with_dss() -> World {
    let mut world = dataiku::world();
    world.dss.add_connection("s3", Connection::assume_role("ds-analyst").readable_by(&["analysts"]));
    world.start();
    world.apply(&config("alice", personal_key));
    world.apply(&config("bob", from_connection("s3")));
    world.until("both are ready", |world| world.is_ready("alice") && world.is_ready("bob")).await;
    push_into_dss(&world).await;
    for behaviour in [dss::Behaviour::EchoedKey, dss::Behaviour::Garbled, dss::Behaviour::ServerError] {
        world.dss.always(behaviour);
        world.change("alice", |spec| {
            let dss = spec.dss.as_mut().unwrap();
            dss.api_key_rotation = Some(format!("{}x", dss.api_key_rotation.clone().unwrap_or_default()));
        });
        world.pass(Duration::from_mins(20)).await;
        world.dss.behave_well();
        world.pass(Duration::from_mins(20)).await;
    }
    world.until("it is rotated", |world| world.is_ready("alice")).await;
    world.dss.rotate_admin_key(&format!("{ADMIN_KEY}-other"));
    world.pass(Duration::from_mins(10)).await;
    dataiku::put_admin_key(&world, &format!("{ADMIN_KEY}-other"));
    world.pass(Duration::from_mins(10)).await;
    world.change("bob", |spec| spec.suspend = true);
    world.pass(Duration::from_mins(10)).await;
    assert!(world.is_ready("alice") && world.is_withdrawn("bob"), "{}", world.picture());
    world
}

/// The credential of alice is pushed. DSS quotes it in errors, and then takes it.
async fn push_into_dss(world: &World) {
    world.apply(&instance("design", dataiku::URL, |spec| spec.allow[0].push = true));
    let message = format!("{} {}", LEAK_MARKERS[0], LEAK_MARKERS[1]);
    let quotes = |status| dss::Behaviour::Error { status, error_type: "Bad".into(), message: message.clone() };
    let writes = |call: &dss::Call| call.method == "PUT";
    for status in [400, 403, 500] {
        world.dss.behave_if(Times::N(2), writes, quotes(status));
    }
    world.change("alice", |spec| {
        spec.push = serde_json::from_value(serde_json::json!({"dssSecrets": {"prefix": "AWS_"}})).unwrap();
    });
    let pushed = |world: &World| world.condition("alice", "Pushed").map(|(status, ..)| status).unwrap_or_default();
    world.until("it is refused", |world| pushed(world) == "False").await;
    assert!(world.condition("alice", "Pushed").unwrap().2.contains("is not repeated here"));
    world.until("it is pushed", |world| pushed(world) == "True").await;
    let token = world.dss.secrets("alice").remove("AWS_SESSION_TOKEN").unwrap_or_default();
    assert!(LEAK_MARKERS.iter().any(|marker| token.contains(marker)), "the markers are what is looked for");
}

#[tokio::test(start_paused = true)]
async fn no_api_key_appears_outside_the_secret_and_no_admin_key_in_it() {
    let log = Log::listen();
    let world = a_life_with_dss().await;
    let key = world.value("alice", "DKU_API_KEY");
    assert!(key.contains(KEY_MARKER), "the marker is what is looked for: {key}");
    for secret in world.api.list("secrets").iter().filter(|secret| secret["metadata"]["namespace"] == SCORING) {
        let data: std::collections::BTreeMap<String, k8s_openapi::ByteString> =
            serde_json::from_value(secret["data"].clone()).unwrap();
        for (name, value) in data {
            let text = String::from_utf8_lossy(&value.0).into_owned();
            assert!(!text.contains(ADMIN_KEY_MARKER), "{name} of {}", secret["metadata"]["name"]);
        }
    }
    holds_none_of(&world, everything(log), &[KEY_MARKER, ADMIN_KEY_MARKER, LEAK_MARKERS[0], LEAK_MARKERS[1]]);
}

/// The values of admin properties that only administrators of DSS may see. The first two are no
/// roles; the third could be the name of one.
const PROPERTY_MARKERS: [&str; 3] = ["LeakedProperty with blanks", "arn:aws:s3:::LeakedArn", "LeakedPassword1"];

#[tokio::test(start_paused = true)]
async fn no_admin_property_that_is_no_role_appears_anywhere() {
    let log = Log::listen();
    let mut world = dataiku::world();
    for (login, value) in [("alice", PROPERTY_MARKERS[0]), ("bob", PROPERTY_MARKERS[1])] {
        world.dss.set_admin_property(login, "associatedRole", Some(value));
        world.dss.set_admin_property(login, "snowflake_password", Some(PROPERTY_MARKERS[2]));
    }
    world.start();
    for name in ["alice", "bob"] {
        world.apply(&config(name, role_from_dss("${adminProperty:associatedRole}")));
        let spied = format!("{name}-spies");
        world.apply(&config(&spied, |spec| {
            role_from_dss("${adminProperty:snowflake_password}")(spec);
            spec.person = Some(name.to_owned());
        }));
        world.until("it is no role", |world| world.ready(name) == "False/DssPropertyMissing").await;
        world.until("it is refused", |world| world.ready(&spied) == "False/NotGranted").await;
        let message = world.condition(&spied, "Ready").unwrap().2;
        assert!(message.contains("DssInstance \"design\"") && message.contains("snowflake_password"), "{message}");
    }
    // Without an account, a bare name is completed to nothing.
    world.dss.set_admin_property("alice", "associatedRole", Some(PROPERTY_MARKERS[2]));
    world.apply(&instance("design", dataiku::URL, |spec| spec.aws_account_id = None));
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(world.ready("alice"), "False/DssPropertyMissing", "{}", world.picture());
    assert!(world.roles().is_empty() && world.sts.count() == 0, "{}", world.picture());
    holds_none_of(&world, everything(log), &PROPERTY_MARKERS);
}

/// The log, and the spans that a collector would get.
fn everything(log: Log) -> String {
    let (log, spans) = log.end_with_spans();
    assert!(spans.len() > 10, "spans were recorded: {}", spans.len());
    format!("{log}{spans:#?}")
}

/// Asserts that no marker appears anywhere but in the data of Secrets.
fn holds_none_of(world: &World, log: String, markers: &[&str]) {
    let mut places = vec![("the log", log)];
    for resource in ["awsconfigs", "awsroles", "awsrolegrants", "dssinstances", "events.events.k8s.io"] {
        places.push((resource, serde_json::to_string(&world.api.list(resource)).unwrap()));
    }
    for request in world.api.requests() {
        if !request.is_on("secrets") {
            places.push(("a request", format!("{} {:?}", request.path, request.body)));
        }
    }
    let secrets = world.api.list("secrets");
    for secret in &secrets {
        places.push(("a Secret's metadata", secret["metadata"].to_string()));
    }
    for (place, text) in places {
        for marker in markers {
            if let Some(at) = text.find(marker) {
                panic!("{place}: ...{}...", &text[at.saturating_sub(300)..at]);
            }
            let encoded = serde_json::to_value(k8s_openapi::ByteString(marker.as_bytes()[..9].to_vec())).unwrap();
            assert!(!text.contains(encoded.as_str().unwrap()), "{place}: in base64");
        }
    }
}

#[test]
fn debug_output_shows_no_session() {
    use keyturn::{
        credentials::{Credentials, Issued},
        secret::{Rendering, render},
    };
    let credentials = Credentials {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: LEAK_MARKERS[0].to_owned().into(),
        session_token: Some(LEAK_MARKERS[1].to_owned().into()),
    };
    let expires_at = "2026-01-01T01:00:00Z".parse().unwrap();
    let rendering = Rendering {
        formats: keyturn::api::Format::DEFAULT.to_vec(),
        region: None,
        default_bucket: None,
        extra_buckets: vec![],
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        dss: None,
        data_robot: None,
    };
    let content = render(&rendering, &credentials, Some(expires_at), None).unwrap();
    let issued = Issued { credentials, issued_at: expires_at, expires_at: Some(expires_at) };
    for shown in [format!("{issued:?}"), format!("{:#?}", issued.credentials), format!("{content:?}")] {
        assert!(LEAK_MARKERS.iter().all(|marker| !shown.contains(marker)), "{shown}");
    }
}
