//! The chain as tables. Each row disturbs one thing, and names the answer at which the chain stops.

mod age;
mod asked;
mod confirmation;
mod from_yaml;
mod held;
mod keys;
mod profiles;
mod roles;
mod verification;

use super::*;
use super::{
    backoff::Backoff,
    dss_access::role_of,
    input::{SeenRole, beyond_limit, older_claim, rendering},
    target::{Ours, ReadData, SecretData, Target, is_controlled_by},
};
use crate::{
    api::{
        AwsConfig, AwsConfigSpec, AwsRole, AwsRoleGrant, AwsRoleGrantSpec, Ceilings, ConditionType, Effect, Namespaces,
        Reason, Statement, condition, names,
    },
    credentials::{Credentials, Issued},
    schedule,
    secret::{ApiKeyRecord, Record, Source, render, whole},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use proptest::prelude::*;
use serde_json::{from_value, json};
use std::{collections::BTreeMap, sync::Arc};

const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";

fn issued_at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A quarter of an hour after the issue: nothing is due.
fn now() -> Timestamp {
    issued_at() + SignedDuration::from_mins(15)
}

fn after_expiry() -> Timestamp {
    issued_at() + SignedDuration::from_mins(61)
}

fn session() -> Issued {
    Issued {
        credentials: Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: Some("token".into()),
        },
        issued_at: issued_at(),
        expires_at: Some(issued_at() + SignedDuration::from_hours(1)),
    }
}

/// alice's new config, and the grant that allows its request. There is no Secret and no status.
fn fresh() -> Observed {
    let spec: AwsConfigSpec = serde_json::from_value(json!({"person": "alice", "role": ROLE})).unwrap();
    let mut config = AwsConfig::new("alice", spec);
    config.metadata.namespace = Some("scoring".into());
    config.metadata.uid = Some("uid-of-alice".into());
    config.metadata.generation = Some(1);
    let grant = AwsRoleGrantSpec {
        roles: vec![ROLE.into()],
        namespaces: Some(Namespaces { names: vec!["scoring".into()], selector: None }),
        persons: vec!["alice".into()],
        ..AwsRoleGrantSpec::default()
    };
    let mut seen = Observed::of(Arc::new(config), "prod", issued_at());
    seen.namespace_labels = Some(BTreeMap::new());
    seen.grants = vec![Arc::new(AwsRoleGrant::new("analysts", grant))];
    seen.grants_seen = true;
    seen
}

/// alice's config with everything in order. Her Secret is as keyturn wrote it.
fn healthy() -> Observed {
    let mut seen = fresh();
    let accepted = decide(&seen, now()).accepted.unwrap();
    let rendering = rendering(&seen);
    let content = render(&rendering, &session().credentials, session().expires_at, None).unwrap();
    let none = ApiKeyRecord::default();
    let record = Record::of(&accepted.request, &session(), "alice", rendering.digest(), none, &content);
    let secret = whole(&seen.config, &rendering, &record, content);
    seen.target =
        Target::Ours(Box::new(Ours { metadata: secret.metadata, record: Some(record), content: SecretData::Known }));
    config(&mut seen, |config| config.status.get_or_insert_default().access_key_id = Some("ASIAEXAMPLE".into()));
    seen
}

fn config(seen: &mut Observed, change: impl FnOnce(&mut AwsConfig)) {
    change(Arc::make_mut(&mut seen.config));
    seen.asked_role = role_of(&seen.config, seen.dss.as_ref());
}

fn grant(seen: &mut Observed, change: impl FnOnce(&mut AwsRoleGrant)) {
    change(Arc::make_mut(&mut seen.grants[0]));
}

fn ours(seen: &mut Observed) -> &mut Ours {
    let Target::Ours(ours) = &mut seen.target else { panic!("the Secret is ours") };
    ours
}

fn record(seen: &mut Observed) -> &mut Record {
    ours(seen).record.as_mut().unwrap()
}

fn data_read(intact: bool, immutable: bool) -> SecretData {
    let credentials = Some(Arc::new(session().credentials));
    SecretData::Read(ReadData { intact, confirmed: true, immutable, keys: vec![], credentials, ..ReadData::default() })
}

/// A Secret whose digest fits, and of which status knows another digest.
fn unconfirmed() -> SecretData {
    let SecretData::Read(read) = data_read(true, false) else { panic!("it is read") };
    SecretData::Read(ReadData { confirmed: false, ..read })
}

fn foreign(seen: &mut Observed) {
    seen.target = Target::Foreign { owner: "nobody's".into(), is_marked: false };
}

fn a_stranger_s_role(seen: &mut Observed) {
    let spec = json!({"awsConfigRef": {"name": "alice"}, "person": "alice", "role": ROLE});
    seen.role = SeenRole::Shown(Arc::new(AwsRole::new("alice-758d4cc4", serde_json::from_value(spec).unwrap())));
}

/// The namespace has as many older configs as it may have, and status knows of no credential.
fn no_room(seen: &mut Observed) {
    seen.beyond_limit = Some(50);
    config(seen, |config| config.status = None);
}

/// A second grant denies everybody this role, or everything if it is `None`.
fn denied(seen: &mut Observed, role: Option<&str>) {
    let roles = role.map(str::to_owned).into_iter().collect();
    let deny = AwsRoleGrantSpec { effect: Effect::Deny, persons: vec!["*".into()], roles, ..Default::default() };
    seen.grants.push(Arc::new(AwsRoleGrant::new("leavers", deny)));
}

/// Decides, and asserts that the decision is the same whatever the conditions of status say.
fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let plan = super::decide(seen, now);
    let mut reworded = seen.clone();
    if let Some(status) = &mut Arc::make_mut(&mut reworded.config).status {
        let rows = [
            (ConditionType::Issued, false, Reason::DssUserMismatch),
            (ConditionType::RenewalFailing, true, Reason::DssConnectionDenied),
        ];
        let conditions = rows.map(|(type_, truth, reason)| {
            condition(type_, truth, &Statement::new(reason, "another sentence. Until then Secret"), None, now)
        });
        status.conditions = conditions.into();
    }
    assert_eq!(super::decide(&reworded, now), plan, "a decision does not read conditions");
    plan
}

/// The next step of a plan, in a word.
fn next(seen: &Observed, now: Timestamp) -> String {
    match decide(seen, now).next {
        Next::Do(SecretAction::Withdraw(why)) => format!("Withdraw({})", why.reason),
        Next::Do(SecretAction::Hold { .. }) => "Hold".into(),
        Next::Do(SecretAction::Blocked(Blocker::Secret { .. })) => "Blocked".into(),
        Next::Do(SecretAction::Blocked(Blocker::OlderConfig(config))) => format!("Blocked by {config}"),
        Next::Do(other) => format!("{other:?}"),
        read @ Next::Read(_) => format!("{read:?}"),
    }
}

fn verdict(seen: &Observed) -> String {
    match decide(seen, now()).accepted {
        Ok(accepted) => format!("granted by {}", accepted.grant),
        Err(Refusal { why, withdraws: true, .. }) => format!("{}, withdraws", why.reason),
        Err(Refusal { why, .. }) => format!("{}, waits", why.reason),
    }
}

type Disturbance = fn(&mut Observed);

// ---- 1. May this config have what it asks for? --------------------------------------------------

/// The disturbances in the order of the chain, each with the verdict of the check that fails.
const QUESTIONS: [(&str, Disturbance, &str); 10] = [
    ("suspended", |seen| config(seen, |c| c.spec.suspend = true), "Suspended, withdraws"),
    ("the namespace is unknown", |seen| seen.namespace_labels = None, "Pending, waits"),
    ("no role", |seen| config(seen, |c| c.spec.role = None), "RolePending, withdraws"),
    ("a stranger's AwsRole", a_stranger_s_role, "RoleNotOfThisConfig, waits"),
    ("no person", |seen| config(seen, |c| c.spec.person = None), "InvalidSpec, withdraws"),
    ("the role is denied", |seen| denied(seen, Some(ROLE)), "Denied, withdraws"),
    ("no grant was ever seen", |seen| (seen.grants, seen.grants_seen) = (vec![], false), "NotGranted, waits"),
    ("no grant", |seen| seen.grants.clear(), "NotGranted, withdraws"),
    ("no room, and no credential yet", no_room, "TooManyConfigs, waits"),
    ("a foreign Secret", foreign, "granted by analysts"),
];

#[test]
fn each_question_has_its_answer() {
    assert_eq!(verdict(&fresh()), "granted by analysts");
    for (what, disturb, answer) in QUESTIONS {
        let mut seen = fresh();
        disturb(&mut seen);
        assert_eq!(verdict(&seen), answer, "{what}");
    }
    let mut seen = fresh();
    config(&mut seen, |c| c.spec.role = Some("admin".into()));
    assert_eq!(verdict(&seen), "InvalidSpec, withdraws", "a role that is no ARN");
    let mut seen = fresh();
    let ceiling = Ceilings { max_duration: Some("30m".parse().unwrap()), ..Ceilings::default() };
    grant(&mut seen, |grant| grant.spec.ceilings = Some(ceiling));
    assert_eq!(verdict(&seen), "NotGranted, withdraws", "over a ceiling");
}

#[test]
fn a_denial_of_everything_is_known_before_the_role_and_the_key() {
    let asks: [(&str, Disturbance, &str); 7] = [
        ("for a session", |_| {}, "Denied, withdraws"),
        ("for no role yet", |seen| config(seen, |c| c.spec.role = None), "Denied, withdraws"),
        ("for a stranger's AwsRole", a_stranger_s_role, "Denied, withdraws"),
        ("for a key", |seen| config(seen, keys::asks_for_key), "Denied, withdraws"),
        ("suspended", |seen| config(seen, |c| c.spec.suspend = true), "Suspended, withdraws"),
        ("in an unknown namespace", |seen| seen.namespace_labels = None, "Pending, waits"),
        ("for nobody", |seen| config(seen, |c| c.spec.person = None), "InvalidSpec, withdraws"),
    ];
    for (row, disturb, expected) in asks {
        let mut seen = healthy();
        denied(&mut seen, None);
        disturb(&mut seen);
        assert_eq!(verdict(&seen), expected, "{row}");
    }
}

#[test]
fn the_first_of_two_disturbances_determines_the_verdict() {
    for (first, (what, disturb, answer)) in QUESTIONS.iter().enumerate() {
        for (later, disturb_more, _) in &QUESTIONS[first + 1..] {
            let mut seen = fresh();
            disturb_more(&mut seen);
            disturb(&mut seen);
            assert_eq!(verdict(&seen), *answer, "{what} before {later}");
        }
    }
}

#[test]
fn a_refusal_withdraws_once_and_a_lack_of_knowledge_never() {
    for (what, disturb, answer) in QUESTIONS {
        let Some((reason, consequence)) = answer.split_once(", ") else { continue };
        let mut seen = healthy();
        disturb(&mut seen);
        let withdrawn = format!("Withdraw({reason})");
        let expected = if consequence == "withdraws" { withdrawn.as_str() } else { "Keep" };
        assert_eq!(next(&seen, now()), expected, "{what}");
        if consequence == "waits" {
            assert_eq!(next(&seen, after_expiry()), "Withdraw(Expired)", "{what}: an expired one is none");
            continue;
        }
        record(&mut seen).withdrawn = Some(reason.to_owned());
        assert_eq!(next(&seen, now()), "Keep", "{what}: it is done");
        record(&mut seen).withdrawn = Some("AnotherReason".to_owned());
        assert_eq!(next(&seen, now()), withdrawn, "{what}: the reason has changed");
    }
}

#[test]
fn only_a_secret_of_ours_is_withdrawn_and_one_without_label_is_read() {
    let suspended = |target: Target, claims: bool| {
        let mut seen = if claims { healthy() } else { fresh() };
        config(&mut seen, |c| c.spec.suspend = true);
        seen.target = target;
        next(&seen, now())
    };
    assert_eq!(suspended(Target::NotWatched, false), "Keep");
    assert_eq!(suspended(Target::NotWatched, true), "Read(Target)");
    assert_eq!(suspended(Target::Absent, true), "Keep");
    assert_eq!(suspended(Target::Foreign { owner: "nobody's".into(), is_marked: false }, true), "Keep");
}

// ---- 2. Does the Secret hold exactly that? ------------------------------------------------------

/// The disturbances of a healthy object in the order of the chain, each with the step that the
/// failing check names.
fn asks_for_a_session(config: &mut AwsConfig) {
    config.metadata.annotations = Some([(names::RENEW.to_owned(), "now".to_owned())].into());
}

const CHECKS: [(&str, Disturbance, &str); 16] = [
    ("the Secret is not watched", |seen| seen.target = Target::NotWatched, "Read(Target)"),
    ("the Secret is foreign", foreign, "Blocked"),
    ("the Secret is gone", |seen| seen.target = Target::Absent, "Issue(Drifted)"),
    ("its annotations are gone", |seen| ours(seen).record = None, "Issue(Drifted)"),
    ("it is another person's", |seen| record(seen).person = "bob".into(), "Withdraw(Pending)"),
    ("somebody wrote it", |seen| ours(seen).content = SecretData::Unknown, "Read(TargetData)"),
    ("somebody edited it", |seen| ours(seen).content = data_read(false, false), "Issue(Drifted)"),
    ("it is withdrawn", |seen| record(seen).withdrawn = Some("Suspended".into()), "Issue(Restored)"),
    ("another external ID", |seen| grant(seen, |g| g.spec.external_id = Some("x".into())), "Issue(Changed)"),
    ("it is due", |seen| record(seen).issued_at = issued_at() - SignedDuration::from_hours(2), "Issue(Due)"),
    ("a user asks for a new session", |seen| config(seen, asks_for_a_session), "Issue(Requested)"),
    ("another region", |seen| config(seen, |c| c.spec.region = Some("eu-west-2".into())), "Read(TargetData)"),
    ("a label was edited", |seen| ours(seen).metadata.labels = None, "Read(TargetData)"),
    ("it is immutable", |seen| ours(seen).content = data_read(true, true), "Render(Drifted)"),
    ("somebody wrote beside it", |seen| ours(seen).content = data_read(true, false), "Keep"),
    ("status does not confirm it", |seen| ours(seen).content = unconfirmed(), "Issue(Drifted)"),
];

#[test]
fn a_healthy_object_is_kept() {
    assert_eq!(next(&healthy(), now()), "Keep");
    assert_eq!(next(&healthy(), issued_at()), "Keep");
}

#[test]
fn each_check_names_its_step() {
    for (what, disturb, expected) in CHECKS {
        let mut seen = healthy();
        disturb(&mut seen);
        assert_eq!(next(&seen, now()), expected, "{what}");
    }
    let mut seen = fresh();
    seen.target = Target::Absent;
    assert_eq!(next(&seen, now()), "Issue(First)", "there never was one");
    let mut seen = healthy();
    config(&mut seen, |c| c.spec.region = Some("eu-west-2".into()));
    ours(&mut seen).content = data_read(true, false);
    assert_eq!(next(&seen, now()), "Render(Changed)", "and a look is answered by a rendering");
    ours(&mut seen).content = SecretData::Read(ReadData { intact: true, confirmed: true, ..ReadData::default() });
    assert_eq!(next(&seen, now()), "Issue(Drifted)", "or by an issue, if there is nothing to render");
}

#[test]
fn the_first_of_two_disturbances_determines_the_step() {
    // Only the disturbances that can be true of one Secret at the same time.
    let chain = [5, 4, 8, 9, 10];
    for (at, first) in chain.iter().enumerate() {
        for later in &chain[at + 1..] {
            let (what, disturb, expected) = CHECKS[*first];
            let mut seen = healthy();
            CHECKS[*later].1(&mut seen);
            disturb(&mut seen);
            assert_eq!(next(&seen, now()), expected, "{what} before {}", CHECKS[*later].0);
        }
    }
}

#[test]
fn a_withdrawn_credential_of_a_former_person_blocks_nobody() {
    let mut seen = healthy();
    record(&mut seen).person = "bob".into();
    record(&mut seen).withdrawn = Some("Pending".into());
    assert_eq!(next(&seen, now()), "Issue(Restored)");
}

#[test]
fn a_secret_is_ours_only_by_the_uid_of_its_owner() {
    let mut seen = healthy();
    let namesake = OwnerReference {
        uid: "uid-of-her-predecessor".into(),
        ..ours(&mut seen).metadata.owner_references.clone().unwrap().remove(0)
    };
    ours(&mut seen).metadata.owner_references = Some(vec![namesake]);
    assert!(!is_controlled_by(&ours(&mut seen).metadata.clone(), &seen.config));
    assert_eq!(names::AWS_CONFIG_LABEL, "keyturn.dev/aws-config");
}

// ---- Retries ------------------------------------------------------------------------------------

fn failed(seen: &mut Observed, until: Timestamp, generation: i64, attempt: Option<&str>) {
    let this = decide(seen, now()).accepted.unwrap().attempt;
    let attempt = attempt.map_or(this, str::to_owned);
    config(seen, |config| {
        let status = config.status.get_or_insert_default();
        status.observed_generation = Some(generation);
        let failure = json!({"count": 3, "since": issued_at(), "lastAt": issued_at(), "nextAttemptAt": until, "attempt": attempt});
        status.failure = Some(serde_json::from_value(failure).unwrap());
    });
}

#[test]
fn the_trace_ends_with_the_check_that_names_what_comes_next() {
    let plan = decide(&healthy(), now());
    assert!(plan.trace.iter().all(|checked| checked.passed), "{:?}", plan.trace);
    for (row, disturb, _) in QUESTIONS.into_iter().chain(CHECKS) {
        let mut seen = healthy();
        disturb(&mut seen);
        let plan = decide(&seen, now());
        let passed: Vec<bool> = plan.trace.iter().map(|checked| checked.passed).collect();
        let all_but_the_last = passed.iter().rev().skip(1).all(|passed| *passed);
        assert!(all_but_the_last, "{row}: {:?}", plan.trace);
        let all_is_well = plan.accepted.is_ok() && plan.next == Next::Do(SecretAction::Keep);
        assert_eq!(passed.last() == Some(&true), all_is_well, "{row}: {:?}", plan.trace);
        assert!(plan.trace.is_sorted_by_key(|checked| checked.check), "{row}: {:?}", plan.trace);
    }
}

#[test]
fn a_failure_holds_back_the_same_attempt_until_its_time() {
    let later = now() + SignedDuration::from_mins(5);
    let gone = |generation, attempt| {
        let mut seen = healthy();
        failed(&mut seen, later, generation, attempt);
        seen.target = Target::Absent;
        seen
    };
    assert_eq!(next(&gone(1, None), now()), "Hold");
    assert_eq!(next(&gone(1, None), later), "Issue(Drifted)", "its time has come");
    assert_eq!(next(&gone(0, None), now()), "Issue(Drifted)", "the spec has changed");
    assert_eq!(next(&gone(1, Some("another")), now()), "Issue(Drifted)", "something else is asked for");

    let mut seen = healthy();
    failed(&mut seen, later, 1, None);
    assert_eq!(next(&seen, now()), "Keep", "what needs no attempt is not held back");
    assert_eq!(next(&seen, after_expiry()), "Issue(Due)");
    failed(&mut seen, after_expiry() + SignedDuration::from_mins(1), 1, None);
    assert_eq!(next(&seen, after_expiry()), "Withdraw(Expired)", "what has expired does not wait");
    record(&mut seen).withdrawn = Some("Expired".into());
    assert_eq!(next(&seen, after_expiry()), "Hold");
}

#[test]
fn a_transient_failure_holds_back_too_and_the_later_time_counts() {
    let mut seen = healthy();
    seen.target = Target::Absent;
    let attempt = decide(&seen, now()).accepted.unwrap().attempt;
    let soon = now() + SignedDuration::from_secs(10);
    seen.remembered.transient = Some(Backoff { attempt, count: 1, next_attempt_at: soon, in_turn: false, why: None });
    assert_eq!(decide(&seen, now()).next, Next::Do(SecretAction::Hold { until: soon, cause: HoldCause::Backoff }));
    let later = now() + SignedDuration::from_mins(5);
    failed(&mut seen, later, 1, None);
    assert_eq!(decide(&seen, now()).next, Next::Do(SecretAction::Hold { until: later, cause: HoldCause::Backoff }));
}

#[test]
fn an_attempt_that_waits_for_sts_is_made_in_its_turn_whatever_the_time() {
    let soon = now() + SignedDuration::from_secs(60);
    for (row, in_turn, has_turn, expected) in [
        ("it waits", true, false, "Hold"),
        ("it is its turn", true, true, "Issue(First)"),
        ("another failure", false, true, "Hold"),
    ] {
        let mut seen = healthy();
        seen.target = Target::Absent;
        let attempt = decide(&seen, now()).accepted.unwrap().attempt;
        seen.config = Arc::new(AwsConfig { status: None, ..AwsConfig::clone(&seen.config) });
        seen.remembered.transient = Some(Backoff { attempt, count: 1, next_attempt_at: soon, in_turn, why: None });
        seen.has_turn = has_turn;
        assert_eq!(next(&seen, now()), expected, "{row}");
    }
    let mut seen = healthy();
    let attempt = decide(&seen, now()).accepted.unwrap().attempt;
    let next_attempt_at = after_expiry() + SignedDuration::from_mins(1);
    seen.remembered.transient = Some(Backoff { attempt, count: 1, next_attempt_at, in_turn: true, why: None });
    assert_eq!(next(&seen, after_expiry()), "Withdraw(Expired)", "what expires while it waits is withdrawn");
}

#[test]
fn only_repairs_are_held_back_in_a_fight_with_another_writer() {
    for (what, disturb, expected) in CHECKS {
        let mut seen = healthy();
        disturb(&mut seen);
        seen.remembered.repairs = 1_000;
        seen.remembered.repaired_at = Some(now());
        let held = if expected.ends_with("(Drifted)") { "Hold" } else { expected };
        assert_eq!(next(&seen, now()), held, "{what}");
        let calm = now() + schedule::CALM + SignedDuration::from_secs(1);
        assert_ne!(next(&seen, calm), "Hold", "{what}: peace");
    }
}

// ---- Any observation ----------------------------------------------------------------------------

proptest! {
    /// For any disturbances, at any time, there is a decision, a second decision is the same, and
    /// the plan issues only what a grant allows.
    #[test]
    fn nothing_is_issued_that_is_not_granted(
        questions in proptest::collection::vec(0..QUESTIONS.len(), 0..4),
        checks in proptest::collection::vec(0..3_usize, 0..2),
        minutes in -100_i64..200,
    ) {
        let mut seen = healthy();
        for check in checks {
            CHECKS[check].1(&mut seen);
        }
        for question in questions {
            QUESTIONS[question].1(&mut seen);
        }
        let now = issued_at() + SignedDuration::from_mins(minutes);
        let plan = decide(&seen, now);
        prop_assert_eq!(&plan, &decide(&seen, now));
        if matches!(plan.action(), Some(SecretAction::Issue(_) | SecretAction::Render(_))) {
            prop_assert!(plan.accepted.is_ok());
        }
        if !matches!(seen.target, Target::Ours(_)) {
            prop_assert!(!matches!(plan.action(), Some(SecretAction::Withdraw(_) | SecretAction::Render(_))), "only what is ours is touched");
        }
    }
}
