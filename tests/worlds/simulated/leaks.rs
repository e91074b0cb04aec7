//! Leaks: through everything that happens, no secret key and no session token is anywhere but in the Secret.

use super::{log::Log, world::World};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
        sts::{Behaviour, LEAK_MARKERS},
    },
    fixtures::{SCORING, alice, config, delivers_key, grant, role},
};
use keyturn::api::CredentialProvider;
use std::time::Duration;

/// A life with everything in it that could make somebody quote a credential.
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
    // A user's own key: delivered, malformed, taken back.
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
async fn nothing_but_the_secret_ever_holds_a_secret() {
    let log = Log::listen();
    let world = an_eventful_life().await;
    let log = log.end();
    assert!(log.contains("TRACE") && log.contains("decided"), "everything was logged: {} bytes", log.len());
    let mut places = vec![("the log", log)];
    for resource in ["awsconfigs", "awsroles", "awsrolegrants", "events.events.k8s.io"] {
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
        for marker in LEAK_MARKERS {
            if let Some(at) = text.find(marker) {
                panic!("{place}: ...{}...", &text[at.saturating_sub(300)..at]);
            }
            let encoded = serde_json::to_value(k8s_openapi::ByteString(marker.as_bytes()[..9].to_vec())).unwrap();
            assert!(!text.contains(encoded.as_str().unwrap()), "{place}: in base64");
        }
    }
    let token = world.value("bob", "AWS_SESSION_TOKEN");
    assert!(LEAK_MARKERS.iter().any(|marker| token.contains(marker)), "the markers are what is looked for");
}

#[test]
fn debug_output_of_what_holds_a_session_shows_none() {
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
    };
    let content = render(&rendering, &credentials, Some(expires_at), None).unwrap();
    let issued = Issued { credentials, issued_at: expires_at, expires_at: Some(expires_at) };
    for shown in [format!("{issued:?}"), format!("{:#?}", issued.credentials), format!("{content:?}")] {
        assert!(LEAK_MARKERS.iter().all(|marker| !shown.contains(marker)), "{shown}");
    }
}
