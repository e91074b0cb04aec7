//! Denials: a grant with effect Deny takes the credential at once, whatever other grants allow.

use super::{assert_withdrawn, is_refused, refusal};
use crate::{
    fixtures::{SCORING, alice, analysts, config, config_in, delivers_key, from_connection, grant, personal_key, role},
    simulated::{
        dataiku,
        world::{Cost, World},
    },
};
use keyturn::api::{AwsRoleGrant, AwsRoleGrantSpec, CredentialProvider, Effect, Namespaces};
use std::time::Duration;

/// Denies these persons everything, changed as the test needs it.
fn denying(persons: &[&str], change: impl FnOnce(&mut AwsRoleGrantSpec)) -> AwsRoleGrant {
    let persons = persons.iter().map(|person| (*person).to_owned()).collect();
    let mut spec = AwsRoleGrantSpec { effect: Effect::Deny, persons, ..AwsRoleGrantSpec::default() };
    change(&mut spec);
    AwsRoleGrant::new("leavers", spec)
}

fn scoring_only(spec: &mut AwsRoleGrantSpec) {
    spec.namespaces = Some(Namespaces { names: vec![SCORING.to_owned()], selector: None });
}

fn is_denied(world: &World, name: &str) -> bool {
    is_refused(world, name, "Denied")
}

#[tokio::test(start_paused = true)]
async fn a_denial_withdraws_at_once_and_its_deletion_issues_again() {
    let world = World::with(&[alice()]).await;
    let before = world.record("alice").unwrap();
    world.apply(&denying(&["alice"], |_| {}));
    world.at_once("alice is denied", |world| is_denied(world, "alice")).await;
    assert_withdrawn(&world, "alice", "Denied");
    for message in [refusal(&world, "alice"), world.events().pop().unwrap().1] {
        let named = ["AwsRoleGrant \"leavers\" (effect Deny)", "\"alice\"", "\"scoring\"", &before.access_key_id];
        assert!(named.iter().all(|part| message.contains(part)), "{message}");
    }
    world.settle().await;
    let [of_alice] = &world.roles()[..] else { panic!("{}", world.picture()) };
    let (_, usable, why) = world.role_status(&of_alice.metadata.name.clone().unwrap());
    assert!(!usable && why.contains("\"leavers\""), "the AwsRole says it too: {why}");

    world.count_from_here();
    world.pass(Duration::from_hours(2)).await;
    let cost = world.cost();
    assert!(cost.sts == 0 && cost.reads == 0 && cost.writes <= 1, "it is left alone: {cost:?}");

    world.api.delete("AwsRoleGrant", "", "leavers");
    world.at_once("alice is issued again", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.event_reasons(), ["Issued", "Denied", "DenialEnded", "Issued"]);
}

#[tokio::test(start_paused = true)]
async fn a_denial_wins_over_two_grants_that_allow() {
    let mut world = World::empty();
    world.apply(&grant("aaa", |_| {}));
    world.apply(&grant("zzz", |spec| spec.persons = vec!["alice".into()]));
    world.apply(&denying(&["alice"], |_| {}));
    world.apply(&alice());
    world.start();
    world.until("alice is denied", |world| is_denied(world, "alice")).await;
    world.pass(Duration::from_hours(1)).await;
    assert!(world.secret("alice").is_none() && world.sts.count() == 0, "{}", world.picture());
    assert_eq!(world.event_reasons(), ["Denied"], "said once");

    world.api.delete("AwsRoleGrant", "", "aaa");
    world.api.delete("AwsRoleGrant", "", "zzz");
    world.settle().await;
    assert!(is_denied(&world, "alice"), "the denial is the reason while it is there");
    world.api.delete("AwsRoleGrant", "", "leavers");
    world.at_once("nothing allows it", |world| is_refused(world, "alice", "NotGranted")).await;
}

#[tokio::test(start_paused = true)]
async fn a_denial_concerns_no_other_person_namespace_or_role() {
    let lead = config("alice-lead", |spec| {
        (spec.person, spec.role) = (Some("alice".into()), Some(role("ds-lead")));
    });
    let world = World::with(&[alice(), config("bob", |_| {}), lead]).await;
    world.api.namespace("other", &[]);
    world.apply(&grant("other", |spec| {
        spec.namespaces = Some(Namespaces { names: vec!["other".into()], selector: None });
    }));
    world.apply(&config_in("other", "alice", |_| {}));
    let elsewhere = |world: &World| {
        let config = world.api.get("AwsConfig", "other", "alice").unwrap();
        let conditions = config["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
        ready["reason"].as_str().unwrap_or_default().to_owned()
    };
    world.until("alice is ready elsewhere", |world| elsewhere(world) == "Issued").await;

    world.count_from_here();
    world.apply(&denying(&["alice"], |spec| {
        scoring_only(spec);
        spec.roles = vec![role("ds-analyst")];
    }));
    world.at_once("alice is denied the role", |world| is_denied(world, "alice")).await;
    assert_withdrawn(&world, "alice", "Denied");
    world.settle().await;
    assert!(world.holds_a_valid_session("bob") && world.holds_a_valid_session("alice-lead"));
    assert_eq!(elsewhere(&world), "Issued");
    assert_eq!(world.sts.count(), 0);

    world.apply(&denying(&["alice"], scoring_only));
    world.at_once("alice is denied every role here", |world| is_denied(world, "alice-lead")).await;
    assert!(world.is_withdrawn("alice") && world.holds_a_valid_session("bob"));
    assert_eq!(elsewhere(&world), "Issued");

    world.apply(&denying(&["alice"], |_| {}));
    world.at_once("alice is denied everywhere", |world| elsewhere(world) == "Denied").await;
    world.settle().await;
    assert!(world.holds_a_valid_session("bob"));
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_denial_takes_keys_and_api_keys_of_dss_too() {
    let mut world = dataiku::world();
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.put_key("mine", true, "AKIAIOSFODNN7EXAMPLE", "LeakedNowhere+1");
    world.start();
    world.apply(&config("alice", personal_key));
    let key = config("key", |spec| {
        spec.person = Some("alice".into());
        delivers_key("mine")(spec);
    });
    world.apply(&key);
    world.until("both are ready", |world| world.is_ready("alice") && world.is_ready("key")).await;
    let ours = |world: &World| world.dss.personal_keys().into_iter().filter(|key| key.user == "alice").count();
    assert_eq!(ours(&world), 1);

    world.apply(&denying(&["alice"], |_| {}));
    world.at_once("both are denied", |world| is_denied(world, "alice") && is_denied(world, "key")).await;
    assert!(world.is_withdrawn("alice") && world.is_withdrawn("key"), "{}", world.picture());
    assert_eq!(world.value("key", "AWS_SECRET_ACCESS_KEY"), "WITHDRAWN");
    world.until("DSS has no key of hers", |world| ours(world) == 0).await;

    world.count_from_here();
    world.apply(&config("late", |spec| {
        from_connection("s3")(spec);
        spec.person = Some("alice".into());
    }));
    world.until("a connection is denied", |world| is_denied(world, "late")).await;
    assert_eq!(world.dss.count_where(|call| call.path.contains("/connections/")), 0, "DSS is not asked");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_s_shared_credential_is_denied_by_its_own_name_only() {
    let mut world = World::empty();
    world.apply(&grant("shared", |spec| spec.persons = vec!["system:scoring".into()]));
    world.apply(&analysts());
    let shared = config("shared", |spec| (spec.mode, spec.person) = (keyturn::api::Mode::System, None));
    world.apply(&shared);
    world.apply(&alice());
    world.start();
    world.until("both are ready", |world| world.is_ready("shared") && world.is_ready("alice")).await;
    world.apply(&denying(&["*"], |_| {}));
    world.at_once("alice is denied", |world| is_denied(world, "alice")).await;
    world.settle().await;
    assert!(world.holds_a_valid_session("shared"));
    world.apply(&denying(&["system:*"], |_| {}));
    world.at_once("the namespace is denied", |world| is_denied(world, "shared")).await;
    world.at_once("and alice is not", |world| world.is_ready("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_without_grants_ends_no_denial_and_withdraws_nothing() {
    let mut world = World::with(&[alice(), config("bob", |_| {})]).await;
    world.apply(&denying(&["alice"], |_| {}));
    world.at_once("alice is denied", |world| is_denied(world, "alice")).await;
    world.stop().await;
    world.count_from_here();
    for name in ["leavers", "analysts"] {
        world.api.delete("AwsRoleGrant", "", name);
    }
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert!(world.is_withdrawn("alice"), "an empty list allows nothing");
    assert!(world.holds_a_valid_session("bob"), "and takes nothing away: {}", world.picture());
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_a_denial_costs_nothing() {
    let mut world = World::with(&[alice()]).await;
    world.apply(&denying(&["alice"], |_| {}));
    world.at_once("alice is denied", |world| is_denied(world, "alice")).await;
    world.settle().await;
    world.kill().await;
    world.count_from_here();
    world.start();
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.cost(), Cost { sts: 0, reads: 0, writes: 0 }, "{}", world.picture());
    assert_eq!(world.event_reasons(), ["Issued", "Denied"], "no Event is said again");
}

#[tokio::test(start_paused = true)]
async fn a_person_left_out_of_a_grant_keeps_what_another_grant_allows() {
    let world = World::with(&[alice(), config("bob", |_| {})]).await;
    world.change_grant("analysts", |spec| spec.except_persons = vec!["alice".into()]);
    world.at_once("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    assert_withdrawn(&world, "alice", "NotGranted");
    assert!(refusal(&world, "alice").contains("exceptPersons of AwsRoleGrant \"analysts\""));
    assert!(world.holds_a_valid_session("bob"));
    world.apply(&grant("second", |_| {}));
    world.at_once("the second grant allows it", |world| world.is_ready("alice")).await;
}

#[tokio::test(start_paused = true)]
async fn one_grant_gives_every_person_their_own_role_and_no_other() {
    let mut world = World::empty();
    world.apply(&grant("own", |spec| spec.roles = vec![role("ds-${person}")]));
    for name in ["alice", "bob"] {
        world.apply(&config(name, |spec| spec.role = Some(role(&format!("ds-{name}")))));
    }
    world.apply(&config("mallory", |spec| spec.role = Some(role("ds-alice"))));
    world.start();
    world.until("both are ready", |world| world.is_ready("alice") && world.is_ready("bob")).await;
    assert!(is_refused(&world, "mallory", "NotGranted"), "{}", world.picture());
    assert_eq!(world.record("bob").unwrap().role, role("ds-bob"));
    assert_eq!(world.sts.count(), 2);
}
