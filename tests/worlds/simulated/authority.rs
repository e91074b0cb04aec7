//! Authority: without a grant there is no credential, and a grant that is deleted withdraws the
//! credential at once.

mod confirmation;
mod denials;
mod withdrawals;

use super::{
    log::Log,
    world::{Cost, World},
};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, analysts, config, config_in, grant, role},
};
use jiff::Timestamp;
use keyturn::api::{Ceilings, LabelSelector, Namespaces, Session};
use std::{collections::BTreeMap, time::Duration};

/// `Accepted` and `Ready` as `False/<reason>`, and the message of `Ready`.
fn refusal(world: &World, name: &str) -> String {
    let (status, reason, _) = world.condition(name, "Accepted").unwrap();
    assert_eq!(format!("{status}/{reason}"), world.ready(name), "{}", world.picture());
    world.condition(name, "Ready").unwrap().2
}

fn is_refused(world: &World, name: &str, reason: &str) -> bool {
    world.ready(name) == format!("False/{reason}")
}

/// Asserts everything that a withdrawal promises.
fn assert_withdrawn(world: &World, name: &str, reason: &str) {
    assert!(world.is_withdrawn(name), "{}", world.picture());
    assert_eq!(world.record(name).unwrap().withdrawn.as_deref(), Some(reason));
    assert_eq!(world.value(name, "AWS_SECRET_ACCESS_KEY"), "WITHDRAWN");
    assert!(world.value(name, "config").contains(reason), "the command says why");
    let status = world.status(name);
    assert_eq!((status.access_key_id, status.person, status.expires_at), (None, None, None), "{}", world.picture());
    assert_eq!((status.issued_at, status.renew_at), (None, None));
}

// ---- Granted and not ----------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn nothing_is_issued_and_no_secret_is_created_without_a_grant() {
    let mut world = World::empty();
    world.apply(&alice());
    world.start();
    world.until("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    let message = refusal(&world, "alice");
    for part in ["\"scoring\"", "\"alice\"", &role("ds-analyst")] {
        assert!(message.contains(part), "{message}");
    }
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(world.sts.count(), 0);
    assert_eq!(world.api.count("create", "secrets"), 0);
    assert_eq!(world.event_reasons(), ["NotGranted"], "said once");

    world.apply(&analysts());
    world.at_once("alice is issued", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_grant_withdraws_the_credential_and_a_new_one_issues() {
    let world = World::with(&[alice()]).await;
    let (before, keys) = (world.record("alice").unwrap(), world.secret("alice").unwrap().data.unwrap());
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.at_once("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;

    assert_withdrawn(&world, "alice", "NotGranted");
    let left = world.secret("alice").unwrap().data.unwrap();
    assert!(left.keys().eq(keys.keys()), "every key stays");
    assert_eq!(world.record("alice").unwrap().expires_at, before.expires_at);
    for message in [refusal(&world, "alice"), world.events().pop().unwrap().1] {
        assert!(
            message.contains(&before.access_key_id) && message.contains(&before.expires_at.unwrap().to_string()),
            "{message}"
        );
    }
    assert_eq!(world.event_reasons(), ["Issued", "NotGranted"]);
    assert_eq!(world.sts.count(), 0);

    world.count_from_here();
    world.pass(Duration::from_secs(7200)).await;
    let cost = world.cost();
    assert!(cost.sts == 0 && cost.reads == 0 && cost.writes <= 1, "it is left alone: {cost:?}");

    world.apply(&analysts());
    world.at_once("alice is issued again", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.record("alice").unwrap().withdrawn, None);
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.event_reasons(), ["Issued", "NotGranted", "Issued"]);
}

#[tokio::test(start_paused = true)]
async fn deleting_one_of_two_grants_withdraws_nothing() {
    let mut world = World::empty();
    world.apply(&analysts());
    world.apply(&grant("second", |_| {}));
    world.apply(&alice());
    world.start();
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.count_from_here();
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.settle().await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(
        world.cost(),
        Cost { sts: 0, reads: 0, writes: 2 },
        "the statuses of config and role name the other grant"
    );
    assert!(world.condition("alice", "Accepted").unwrap().2.contains("\"second\""));
}

#[tokio::test(start_paused = true)]
async fn a_grant_change_reconciles_only_the_configs_it_concerns() {
    let elsewhere = config_in("elsewhere", "eve", |_| {});
    let other_role = config("carol", |spec| spec.role = Some(role("ds-lead")));
    let world = World::with(&[alice(), config("bob", |_| {}), other_role]).await;
    world.api.namespace("elsewhere", &[("team", "others")]);
    world.apply(&elsewhere);
    world.settle().await;
    let ds = |team: &str| LabelSelector {
        match_labels: BTreeMap::from([("team".to_owned(), team.to_owned())]),
        ..LabelSelector::default()
    };
    let analyst = || vec![role("ds-analyst")];
    let changes: [(&str, Box<dyn Fn(&World)>, &[&str]); 5] = [
        (
            "a grant for alice and one role",
            Box::new(move |world| {
                world.apply(&grant("new", |spec| (spec.persons, spec.roles) = (vec!["alice".into()], analyst())));
            }),
            &["alice"],
        ),
        (
            "it is bob's instead",
            Box::new(|world| world.change_grant("new", |spec| spec.persons = vec!["bob".into()])),
            &["alice", "bob"],
        ),
        ("it goes", Box::new(|world| assert!(world.api.delete("AwsRoleGrant", "", "new"))), &["bob"]),
        (
            "one for the role of carol",
            Box::new(|world| world.apply(&grant("lead", |spec| spec.roles = vec![role("ds-lead")]))),
            &["carol"],
        ),
        (
            "one for namespaces by label",
            Box::new(move |world| {
                let others = Namespaces { names: vec![], selector: Some(ds("others")) };
                world.apply(&grant("others", |spec| spec.namespaces = Some(others)));
            }),
            &["eve"],
        ),
    ];
    for (what, change, concerned) in changes {
        let log = Log::listen();
        change(&world);
        world.settle().await;
        let log = log.end();
        let looked_at = |name: &&str| {
            let span = format!(
                "reconcile{{namespace=\"{}\" object=\"{name}\"",
                if *name == "eve" { "elsewhere" } else { SCORING }
            );
            log.lines().any(|line| line.contains(&span) && line.contains("decided"))
        };
        let seen: Vec<&str> = ["alice", "bob", "carol", "eve"].into_iter().filter(looked_at).collect();
        assert_eq!(seen, concerned, "{what}: {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_lowered_below_the_duration_withdraws_the_credential() {
    let two_hours = Some(Session { duration: Some("2h".parse().unwrap()), ..Session::default() });
    let world = World::with(&[config("alice", |spec| spec.session = two_hours)]).await;
    let ceiling = |most: &str| Some(Ceilings { max_duration: Some(most.parse().unwrap()), ..Ceilings::default() });
    world.change_grant("analysts", |spec| spec.ceilings = ceiling("1h"));
    world.at_once("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    assert_withdrawn(&world, "alice", "NotGranted");
    let message = refusal(&world, "alice");
    assert!(message.contains("ceilings.maxDuration 1h") && message.contains("\"analysts\""), "{message}");

    world.change("alice", |spec| spec.session = None);
    world.at_once("what the ceiling allows is issued", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_loses_its_granted_label_loses_the_credential() {
    let mut world = World::empty();
    let team =
        LabelSelector { match_labels: BTreeMap::from([("team".into(), "ds".into())]), match_expressions: vec![] };
    let selected = Some(Namespaces { names: vec![], selector: Some(team) });
    world.apply(&grant("analysts", |spec| spec.namespaces = selected));
    world.apply(&alice());
    world.start();
    world.until("alice is ready", |world| world.is_ready("alice")).await;

    world.api.namespace(SCORING, &[("team", "other")]);
    world.at_once("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    assert_withdrawn(&world, "alice", "NotGranted");
    world.api.namespace(SCORING, &[("team", "ds")]);
    world.at_once("alice is issued again", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_grant_for_one_namespace_person_and_role_serves_no_other() {
    let mut world = World::empty();
    world.api.namespace("other", &[]);
    world.apply(&grant("alice", |spec| spec.persons = vec!["alice".into()]));
    world.apply(&alice());
    world.apply(&config("bob", |_| {}));
    world.apply(&config_in("other", "alice", |_| {}));
    world.apply(&config("alice-admin", |spec| {
        spec.person = Some("alice".into());
        spec.role = Some(role("admin"));
    }));
    world.start();
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.pass(Duration::from_secs(60)).await;
    assert!(is_refused(&world, "bob", "NotGranted") && is_refused(&world, "alice-admin", "NotGranted"));
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.api.list("secrets").len(), 1);
}

// ---- Suspended, and without a role --------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_suspended_config_has_no_credential_until_it_is_resumed() {
    let world = World::with(&[alice()]).await;
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("alice is suspended", |world| is_refused(world, "alice", "Suspended")).await;
    assert_withdrawn(&world, "alice", "Suspended");
    let (reason, note) = world.events().pop().unwrap();
    assert!(reason == "Suspended" && note.contains("stays usable until"), "{reason}: {note}");
    world.pass(Duration::from_secs(4 * 3600)).await;
    assert_eq!(world.sts.count(), 0);

    world.change("alice", |spec| spec.suspend = false);
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_config_created_suspended_has_no_secret() {
    let world = World::started();
    world.apply(&config("alice", |spec| spec.suspend = true));
    world.until("alice is suspended", |world| is_refused(world, "alice", "Suspended")).await;
    assert!(world.secret("alice").is_none());
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn removing_the_role_withdraws_the_credential() {
    let world = World::with(&[alice()]).await;
    world.change("alice", |spec| spec.role = None);
    world.at_once("alice waits for a role", |world| is_refused(world, "alice", "RolePending")).await;
    assert_withdrawn(&world, "alice", "RolePending");
    assert_eq!(world.status("alice").active_role, None);
    let [former] = &world.roles()[..] else { panic!("it is retained: {}", world.picture()) };
    assert_eq!(former.status.as_ref().and_then(|status| status.active), Some(false), "and inactive");
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(world.record("alice").unwrap().role, role("ds-lead"));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_secret_names_the_current_reason() {
    let world = World::with(&[alice()]).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.at_once("alice is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("alice is suspended", |world| is_refused(world, "alice", "Suspended")).await;
    assert_withdrawn(&world, "alice", "Suspended");
    assert_eq!(world.sts.count(), 0);
}

// ---- Another person -----------------------------------------------------------------------------

/// The first request that withdrew the Secret.
fn first_withdrawal(world: &World) -> Option<Request> {
    let withdraws = |request: &Request| {
        let reason = request.body.as_ref().map(|body| &body["metadata"]["annotations"]["keyturn.dev/withdrawn"]);
        request.is("patch", "secrets") && reason.and_then(|reason| reason.as_str()).is_some_and(|r| !r.is_empty())
    };
    world.api.requests().into_iter().find(withdraws)
}

#[tokio::test(start_paused = true)]
async fn the_former_person_s_credential_is_withdrawn_before_the_next_issue() {
    let world = World::with(&[alice()]).await;
    let former = world.record("alice").unwrap();
    // STS answers when both logs can be compared: the API server has to have answered the write
    // before the call to STS arrives.
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (log, api) = (seen.clone(), world.api.clone());
    world.sts.behave_if(
        Times::UntilCleared,
        move |_| {
            let secret = api.get("Secret", SCORING, "alice-aws").unwrap();
            log.lock().unwrap().push(secret["metadata"]["annotations"]["keyturn.dev/withdrawn"].clone());
            false
        },
        crate::doubles::sts::Behaviour::AccessDenied,
    );
    world.change("alice", |spec| spec.person = Some("bob".into()));
    world.at_once("bob is served", |world| world.is_ready("alice")).await;

    assert_eq!(*seen.lock().unwrap(), [serde_json::json!("Pending")], "withdrawn when STS was called");
    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    assert_eq!(call.session_name.as_deref(), Some("bob"));
    assert_eq!(world.record("alice").unwrap().person, "bob");
    assert_eq!(world.status("alice").person.as_deref(), Some("bob"));
    assert!(world.holds_a_valid_session("alice"));
    let said = world.events().into_iter().any(|(_, note)| {
        note.contains("was \"alice\"'s")
            && note.contains("for \"bob\"")
            && note.contains(&former.expires_at.unwrap().to_string())
    });
    assert!(said, "an Event says until when alice's session lives: {:?}", world.events());
    let persons: Vec<_> = world.roles().into_iter().map(|aws_role| aws_role.spec.person.unwrap()).collect();
    assert_eq!(persons.len(), 2, "another person means another AwsRole");
}

#[tokio::test(start_paused = true)]
async fn a_former_person_s_credential_is_withdrawn_without_a_new_grant() {
    let mut world = World::empty();
    world.apply(&grant("alice", |spec| spec.persons = vec!["alice".into()]));
    world.apply(&alice());
    world.start();
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.count_from_here();
    world.change("alice", |spec| spec.person = Some("bob".into()));
    world.at_once("bob is refused", |world| is_refused(world, "alice", "NotGranted")).await;
    assert_withdrawn(&world, "alice", "NotGranted");
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_former_person_s_credential_is_withdrawn_though_sts_denies() {
    let world = World::with(&[alice()]).await;
    world.sts.always(crate::doubles::sts::Behaviour::AccessDenied);
    world.change("alice", |spec| spec.person = Some("bob".into()));
    world.at_once("bob is denied", is_refused_by_sts).await;
    assert!(world.is_withdrawn("alice"));
    assert!(first_withdrawal(&world).is_some());
}

fn is_refused_by_sts(world: &World) -> bool {
    world.ready("alice") == "False/AssumeRoleDenied"
}

#[tokio::test(start_paused = true)]
async fn a_former_person_s_credential_is_withdrawn_on_a_taken_role_name() {
    let world = World::with(&[alice()]).await;
    // A foreign object has the name of bob's future AwsRole.
    let probe = World::with(&[config("alice", |spec| spec.person = Some("bob".into()))]).await;
    let taken = probe.status("alice").active_role.unwrap().name;
    world.api.put(serde_json::json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRole", "metadata": {"name": taken, "namespace": SCORING},
        "spec": {"awsConfigRef": {"name": "alice"}, "person": "bob", "role": role("ds-analyst")},
    }));
    world.settle().await;
    world.change("alice", |spec| spec.person = Some("bob".into()));
    world.at_once("it is refused", |world| is_refused(world, "alice", "RoleNotOfThisConfig")).await;
    world.settle().await;
    assert!(world.is_withdrawn("alice"), "bob's config must not go on delivering alice: {}", world.picture());
    assert_eq!(world.sts.count(), 0);
}

// ---- What the watch does not show yet -----------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_namespace_missing_from_the_list_is_waited_for() {
    let mut world = World::with(&[alice()]).await;
    world.stop().await;
    world.count_from_here();
    // The list of namespaces does not show scoring; the watch does, later.
    world.api.fault(Times::Once, |request| request.lists("namespaces"), Fault::EmptyList);
    world.start();
    world.until("alice waits", |world| is_refused(world, "alice", "Pending")).await;
    world.pass(Duration::from_secs(60)).await;
    assert!(world.holds_a_valid_session("alice"), "nothing is withdrawn");
    assert_eq!(world.sts.count(), 0, "and nothing issued");

    world.api.namespace(SCORING, &[("team", "ds"), ("seen", "now")]);
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 0);
    assert!(world.now() > Timestamp::UNIX_EPOCH && world.holds_a_valid_session("alice"));
}
