//! Random histories: users, admins, failures, crashes and time, in any order. One seed is one
//! history. `KEYTURN_SEED=<n>` plays that history, and `KEYTURN_HISTORIES=<n>` plays that many from
//! there on.

mod datarobot;
pub(super) mod dice;
mod history;
mod profiles;
mod pushes;
mod rules;

use super::{plugin::verdict, world::World};
use crate::fixtures::SCORING;
use history::{History, NAMES, dss::keys_of, foreign_secret, key_of};
use keyturn::api::{ApiKey, AwsConfig, RoleRetention};
use profiles::{assert_profiles, may_have_any};
use rules::{Expected, expected, is_generated, subject};

/// Asserts what holds at rest after every history.
fn assert_right(history: &History) {
    let world = &history.world;
    assert!(!world.picture_of_status().contains("sha256:"), "a digest of a message is no message");
    assert_eq!(*history.ungranted_calls.lock().unwrap(), Vec::<String>::new(), "no grant allowed these calls");
    for name in NAMES {
        let touched = world.api.writes().into_iter().any(|write| write.is_on("secrets") && write.name == key_of(name));
        assert!(!touched, "a user's own Secret is never written");
        let secret = world.api.get("Secret", SCORING, &format!("{name}-aws"));
        if let Some(secret) = secret.as_ref().filter(|secret| !secret["data"]["theirs"].is_null()) {
            let mut theirs = secret.clone();
            theirs["metadata"].as_object_mut().unwrap().retain(|key, _| key == "name" || key == "namespace");
            assert_eq!(theirs, foreign_secret(name), "somebody's Secret is untouched");
            let ready = world.ready(name);
            assert!(!ready.starts_with("True"), "{name} is {ready} with a foreign Secret");
            continue;
        }
        if let Some(config) = world.config(name) {
            assert_matches_the_rules(history, name, &config);
        } else {
            assert_eq!(secret, None, "{name} is gone and so is its Secret");
            assert!(keys_of(world, name).is_empty(), "{name} is gone and its API key is not");
        }
    }
    pushes::assert_pushes(history);
    datarobot::assert_datarobot(history);
    let own = world.dss.personal_keys().into_iter().filter(|key| key.label == "their own").count();
    assert_eq!(own, 5, "users' own API keys are never deleted");
}

/// The API key belongs to the person. Besides it, the config has only keys that a rotation or a
/// repair has replaced.
fn assert_api_key(world: &World, history: &History, name: &str, config: &AwsConfig, expected: &Expected) {
    let keys = keys_of(world, name);
    let asked = config.spec.dss.as_ref().is_some_and(|dss| dss.api_key == ApiKey::Personal);
    let login = history.dss.login(config).filter(|_| asked && *expected != Expected::Nothing);
    let Some(login) = login else {
        assert!(keys.is_empty(), "{name} has API keys that it may not have: {keys:?}");
        return;
    };
    let delivered = world.value(name, "DKU_API_KEY");
    let current = keys.iter().find(|key| key.key == delivered);
    assert_eq!(current.map(|key| &key.user), Some(&login), "{name}: {keys:?}");
    let recorded = world.status(name).dss.unwrap();
    assert_eq!(recorded.whoami.as_ref(), Some(&login), "{name}");
    for key in keys.iter().filter(|key| key.key != delivered) {
        let until = recorded.keys.iter().find(|known| known.id == key.id).and_then(|known| known.delete_at.as_ref());
        assert!(
            until.is_some_and(|until| until.0 > world.now()) && key.user == login,
            "{name}: an unknown key: {key:?}"
        );
    }
}

fn assert_matches_the_rules(history: &History, name: &str, config: &AwsConfig) {
    let world = &history.world;
    let expected = expected(world, &history.dss, config);
    let key = world.value(name, "AWS_ACCESS_KEY_ID");
    match &expected {
        Expected::Session { name: session_name, role } => {
            assert!(world.holds_a_valid_session(name), "{name}");
            let session = world.sts.session(&key).unwrap();
            assert_eq!((&session.session_name, &session.role_arn), (session_name, role), "{name}");
        }
        Expected::Key { id } => {
            assert_eq!(&key, id, "{name}");
            assert_eq!(world.value(name, "AWS_SESSION_TOKEN"), "", "{name}: no part of a session is left");
        }
        Expected::Nothing => {
            assert!(world.ready(name).starts_with("False/"), "{name} is {}", world.ready(name));
            let secret = world.secret(name);
            assert!(secret.is_none() || has_nothing(history, name, config), "{name} has what it may not have");
        }
    }
    if expected != Expected::Nothing {
        assert!(world.is_ready(name), "{name} is {}", world.ready(name));
        assert_eq!(Some(world.value(name, "AWS_REGION")), config.spec.region, "{name}");
        assert_eq!(world.status(name).access_key_id, Some(key), "{name}");
        assert_eq!(world.record(name).unwrap().person, subject(config), "the record names the person");
    }
    assert_profiles(history, name, config);
    assert_api_key(world, history, name, config, &expected);
    assert_role_statuses(world, name, config, &expected);
}

/// Whether the Secret of a config holds nothing but the sessions that its profiles may have.
fn has_nothing(history: &History, name: &str, config: &AwsConfig) -> bool {
    let world = &history.world;
    if !may_have_any(world, &history.dss, config) {
        return world.is_withdrawn(name);
    }
    let is_withdrawn = world.record(name).is_some_and(|record| record.withdrawn.is_some());
    is_withdrawn && world.value(name, "AWS_ACCESS_KEY_ID").starts_with("WITHDRAWN")
}

fn assert_role_statuses(world: &World, name: &str, config: &AwsConfig, expected: &Expected) {
    let roles: Vec<_> = world.roles().into_iter().filter(|role| role.spec.aws_config_ref.name == name).collect();
    let is_active = |role: &keyturn::api::AwsRole| role.status.as_ref().and_then(|status| status.active) == Some(true);
    let active: Vec<_> = roles.iter().filter(|role| is_active(role)).collect();
    assert!(active.len() <= 1, "{name}: {active:?}");
    match expected {
        Expected::Session { role, .. } => {
            assert_eq!(active.first().map(|active| &active.spec.role), Some(role), "{name}");
        }
        Expected::Key { .. } => assert!(active.is_empty(), "{name}: {active:?}"),
        Expected::Nothing => {}
    }
    if config.spec.role_retention == RoleRetention::Prune {
        let left: Vec<_> = roles.iter().filter(|role| is_generated(role) && !is_active(role)).collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

/// Asserts that `kubectl keyturn why`, which decides by what the API server shows, comes to the
/// verdict of the operator.
fn assert_why_agrees(world: &World, verdicts: &[(&str, String)]) {
    for (name, verdict) in verdicts {
        let ready = world.ready(name);
        let agrees = match ready.split_once('/') {
            Some(("True", _)) => verdict.starts_with("=> yes: "),
            Some(("False", reason)) => {
                ["no", "not yet"].iter().any(|word| verdict.starts_with(&format!("=> {word}: {reason}: ")))
            }
            _ => false,
        };
        assert!(agrees, "{name} is {ready}, and why says {verdict:?}");
    }
}

/// Asserts that each config whose credential is not what it should be has a condition that says
/// why, while the API server refuses calls of one kind.
fn assert_told(history: &History) {
    let world = &history.world;
    for name in NAMES {
        let Some(config) = world.config(name) else { continue };
        let ready = world.condition(name, "Ready");
        let says = |type_: &str, status: &str| {
            world.condition(name, type_).filter(|(is, ..)| is == status).map(|(_, reason, message)| (reason, message))
        };
        let told = says("Ready", "False").or_else(|| says("RenewalFailing", "True"));
        let why = told.filter(|(reason, message)| reason != "Pending" && !message.is_empty());
        let key = world.value(name, "AWS_ACCESS_KEY_ID");
        let is_right = match expected(world, &history.dss, &config) {
            Expected::Session { name: session_name, role } => {
                let session = world.sts.session(&key);
                let is_theirs = session.is_some_and(|it| (it.session_name, it.role_arn) == (session_name, role));
                is_theirs && world.holds_a_valid_session(name)
            }
            Expected::Key { id } => key == id,
            Expected::Nothing => world.secret(name).is_none() || has_nothing(history, name, &config),
        };
        assert!(is_right || why.is_some(), "{name} is {ready:?}");
    }
}

async fn play(seed: u64) {
    let mut history = History::new(seed);
    history.delay_writes();
    if seed % 2 == 1 {
        history.begin_with_credentials().await;
    }
    let steps = 10 + history.dice.below(50);
    for _ in 0..steps {
        history.step().await;
    }
    let mut outcome = Ok(());
    if seed.is_multiple_of(3) {
        history.settle_under_a_refusal().await;
        outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assert_told(&history)));
    }
    if outcome.is_ok() {
        history.settle().await;
        let mut verdicts = Vec::new();
        for name in NAMES.into_iter().filter(|name| history.world.config(name).is_some()) {
            verdicts.push((name, verdict(&history.world, name).await));
        }
        outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_right(&history);
            assert_why_agrees(&history.world, &verdicts);
        }));
    }
    if let Err(panic) = outcome {
        eprintln!("KEYTURN_SEED={seed}\n  {}\n{}", history.steps.join("\n  "), history.world.picture());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_config_has_exactly_its_granted_credential_at_rest() {
    #[expect(clippy::disallowed_methods, reason = "which history is played is the tester's choice")]
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (seed, histories) = (number("KEYTURN_SEED"), number("KEYTURN_HISTORIES"));
    let first = seed.unwrap_or_default();
    for seed in first..first + histories.unwrap_or(if seed.is_some() { 1 } else { 100 }) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(seed));
    }
}
