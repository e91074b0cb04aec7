//! Withdrawals in number: many credentials that go at once for want of a grant or of a namespace's
//! label are reported as one, and with a brake those beyond its limit are held back.

use super::is_refused;
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{OPERATORS, SCORING, analysts, config, delivers_key, grant},
    simulated::{
        alerts::metrics_at,
        world::{WITHDRAWALS, World},
    },
};
use keyturn::{
    api::{AwsRoleGrant, AwsRoleGrantSpec, CredentialProvider, Effect, LabelSelector, Namespaces},
    brake,
    operator::Operator,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

const CONFIRMED: &str = "keyturn.dev/withdrawals-confirmed";
/// The people of most tests.
const PEOPLE: usize = 20;
const LIMIT: usize = 5;

fn person(n: usize) -> String {
    format!("person-{n}")
}

fn people() -> impl Iterator<Item = String> {
    (0..PEOPLE).map(person)
}

fn operator(world: &World, limit: Option<usize>) -> Operator {
    let operator = world.operator();
    Operator { brake: brake::Settings { limit, ..operator.brake.clone() }, ..operator }
}

/// Twenty people whose credentials are issued, and an operator with this brake.
async fn twenty(limit: Option<usize>, grant: &AwsRoleGrant) -> World {
    let mut world = World::empty();
    world.api.namespace(OPERATORS, &[]);
    world.api.put(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": WITHDRAWALS, "namespace": OPERATORS}}),
    );
    world.apply(grant);
    people().for_each(|name| world.apply(&config(&name, |_| {})));
    let operator = operator(&world, limit);
    world.start_as(operator);
    world.until("all are ready", |world| people().all(|name| world.is_ready(&name))).await;
    world.pass(Duration::from_secs(120)).await;
    world.count_from_here();
    world
}

fn withdrawn(world: &World) -> Vec<String> {
    people().filter(|name| world.is_withdrawn(name)).collect()
}

fn held(world: &World) -> Vec<String> {
    let is_held = |name: &String| {
        let is_said = is_refused(world, name, "WithdrawalHeld") && world.status(name).withdrawal_held.is_some();
        is_said && world.holds_a_valid_session(name)
    };
    people().filter(is_held).collect()
}

/// Waits until the limit has gone and the rest is held back.
async fn until_braked(world: &World) {
    let is_braked = |world: &World| (withdrawn(world).len(), held(world).len()) == (LIMIT, PEOPLE - LIMIT);
    world.at_once("the brake holds the rest back", is_braked).await;
}

/// The Events about the `ConfigMap`.
fn reports(world: &World) -> Vec<Value> {
    let mut events = world.api.list("events.events.k8s.io");
    events.retain(|event| event["regarding"]["kind"] == "ConfigMap");
    events
}

/// An admin confirms with the present time, as the command does.
fn confirm(world: &World) {
    let now = world.now().to_string();
    world.api.edit("ConfigMap", OPERATORS, WITHDRAWALS, |map| map["metadata"]["annotations"][CONFIRMED] = json!(now));
}

async fn metrics(world: &mut World, limit: Option<usize>) -> SocketAddr {
    world.stop().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    let operator = operator(world, limit);
    world.start_on(operator, Some(listener));
    admin
}

fn by_label() -> AwsRoleGrant {
    let team =
        LabelSelector { match_labels: BTreeMap::from([("team".into(), "ds".into())]), match_expressions: vec![] };
    grant("analysts", |spec| spec.namespaces = Some(Namespaces { names: vec![], selector: Some(team) }))
}

#[tokio::test(start_paused = true)]
async fn many_withdrawals_without_a_brake_are_one_event() {
    let world = twenty(None, &analysts()).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.at_once("all go", |world| withdrawn(world).len() == PEOPLE).await;
    assert!(people().all(|name| is_refused(&world, &name, "NotGranted")), "{}", world.picture());
    world.pass(Duration::from_secs(3600)).await;
    let [report] = &reports(&world)[..] else { panic!("one report: {:#?}", reports(&world)) };
    assert_eq!(report["reason"], "ManyWithdrawn");
    assert_eq!(report["regarding"]["name"], WITHDRAWALS);
    assert!(report["regarding"]["uid"].is_string() && report["metadata"]["namespace"] == OPERATORS, "{report}");
    let note = report["note"].as_str().unwrap();
    assert!(note.contains("20 credentials were withdrawn") && note.contains("scoring (20)"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_few_withdrawals_are_no_report() {
    let world = twenty(None, &analysts()).await;
    let excepted = |spec: &mut AwsRoleGrantSpec| spec.except_persons = (0..5).map(person).collect();
    world.change_grant("analysts", excepted);
    world.at_once("five go", |world| withdrawn(world).len() == 5).await;
    world.pass(Duration::from_secs(300)).await;
    assert_eq!(reports(&world), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn the_brake_holds_back_the_withdrawals_beyond_its_limit() {
    let prune = |world: &World| assert!(world.api.delete("AwsRoleGrant", "", "analysts"));
    let relabel = |world: &World| drop(world.api.namespace(SCORING, &[("team", "other")]));
    let rows: [(&str, AwsRoleGrant, fn(&World)); 2] =
        [("the grant is pruned", analysts(), prune), ("the namespace loses its label", by_label(), relabel)];
    for (row, grant, go) in rows {
        let world = twenty(Some(LIMIT), &grant).await;
        go(&world);
        until_braked(&world).await;
        let command = format!("kubectl -n {OPERATORS} annotate configmap {WITHDRAWALS} --overwrite {CONFIRMED}=");
        let name = held(&world).remove(0);
        let (_, _, message) = world.condition(&name, "Ready").unwrap();
        let until = world.status(&name).withdrawal_held.unwrap().until.0.to_string();
        assert!(message.contains(&command) && message.contains(&until), "{row}: {message}");
        assert_eq!(world.status(&name).trouble.unwrap().word, "WithdrawalHeld", "{row}");

        // The sessions end by themselves, and none is renewed.
        world.pass(Duration::from_secs(30)).await;
        let [report] = &reports(&world)[..] else { panic!("{row}: one report: {:#?}", reports(&world)) };
        let note = report["note"].as_str().unwrap();
        assert_eq!(report["reason"], "WithdrawalHeld", "{row}");
        let parts = ["5 credentials were withdrawn", "of 15 is held back", "scoring (20)", &command];
        assert!(parts.iter().all(|part| note.contains(part)), "{row}: {note}");
        world.pass(Duration::from_secs(3600)).await;
        assert_eq!((withdrawn(&world).len(), world.sts.count()), (PEOPLE, 0), "{row}");
        assert!(people().all(|name| world.status(&name).withdrawal_held.is_none()), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_comes_back_leaves_the_credentials_as_they_were() {
    let world = twenty(Some(LIMIT), &analysts()).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    world.apply(&analysts());
    world.at_once("all are ready", |world| people().all(|name| world.is_ready(&name))).await;
    assert_eq!(world.sts.count(), LIMIT, "only what went is issued again");
    world.pass(Duration::from_secs(7200)).await;
    assert!(people().all(|name| world.is_ready(&name) && world.holds_a_valid_session(&name)), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_withdraws_what_is_held_back_and_nothing_later() {
    let world = twenty(Some(LIMIT), &analysts()).await;
    world.apply(&grant("rest", |spec| spec.persons = (12..PEOPLE).map(person).collect()));
    world.api.delete("AwsRoleGrant", "", "analysts");
    world
        .at_once("the first are braked", |world| (withdrawn(world).len(), held(world).len()) == (LIMIT, 12 - LIMIT))
        .await;
    world.pass(Duration::from_secs(90)).await;
    confirm(&world);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!((withdrawn(&world).len(), held(&world).len()), (12, 0), "{}", world.picture());

    // Those that were confirmed do not count. Others are counted anew.
    world.api.delete("AwsRoleGrant", "", "rest");
    world.at_once("the rest is braked", |world| (withdrawn(world).len(), held(world).len()) == (12 + LIMIT, 3)).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(held(&world).len(), 3, "the former confirmation is of another time");
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_of_the_future_waits_for_its_time() {
    let world = twenty(Some(LIMIT), &analysts()).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    let soon = world.now() + jiff::SignedDuration::from_secs(60);
    world.api.edit("ConfigMap", OPERATORS, WITHDRAWALS, |map| {
        map["metadata"]["annotations"][CONFIRMED] = json!(soon.to_string());
    });
    world.pass(Duration::from_secs(50)).await;
    let name = held(&world).remove(0);
    assert!(world.condition(&name, "Ready").unwrap().2.contains("in the future"), "{}", world.picture());
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(withdrawn(&world).len(), PEOPLE);
}

#[tokio::test(start_paused = true)]
async fn a_restart_neither_releases_nor_loses_what_is_held_back() {
    let mut world = twenty(Some(LIMIT), &analysts()).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    let (before, since) = (held(&world), world.status(&held(&world)[0]).withdrawal_held);
    world.kill().await;
    let operator = operator(&world, Some(LIMIT));
    world.start_as(operator);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(held(&world), before, "no grant at all is seen by this process");
    assert_eq!(world.status(&before[0]).withdrawal_held, since);
    confirm(&world);
    world.pass(Duration::from_secs(6)).await;
    assert_eq!((withdrawn(&world).len(), world.sts.count()), (PEOPLE, 0), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_hold_in_the_first_second_of_a_leader_is_reported_once() {
    let mut world = twenty(Some(LIMIT), &analysts()).await;
    world.stop().await;
    // The leader begins within a second, and status counts whole ones.
    let now = world.now();
    let into_the_second = Duration::from_nanos(u64::try_from(now.subsec_nanosecond()).unwrap());
    world.pass(Duration::from_millis(1_500).saturating_sub(into_the_second)).await;
    let operator = operator(&world, Some(LIMIT));
    world.start_as(operator);
    world.pass(Duration::from_millis(200)).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    world.pass(Duration::from_secs(15)).await;
    let [report] = &reports(&world)[..] else { panic!("one report: {:?}", reports(&world)) };
    let note = report["note"].as_str().unwrap();
    assert!(note.contains("the withdrawal of 15 is held back"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_withdrawals_lets_no_more_go() {
    let mut world = twenty(Some(LIMIT), &analysts()).await;
    world.apply(&grant("other", |spec| spec.persons = vec!["nobody".into()]));
    world.settle().await;
    // The statuses of the first process get no further than three withdrawals.
    let went = Times::UntilCleared;
    let few = (3..PEOPLE).map(person).collect::<Vec<_>>();
    let rule = world.api.fault(
        went,
        move |request| few.iter().any(|name| request.path.contains(&format!("/{name}"))) && request.is_write(),
        Fault::status(500),
    );
    world.api.delete("AwsRoleGrant", "", "analysts");
    world.settle().await;
    let gone = withdrawn(&world).len();
    assert!(gone <= 3, "{gone}");
    world.kill().await;
    world.api.forgive(rule);
    let operator = operator(&world, Some(LIMIT));
    world.start_as(operator);
    until_braked(&world).await;
}

#[tokio::test(start_paused = true)]
async fn suspension_denial_and_another_person_are_never_held_back() {
    let world = twenty(Some(LIMIT), &analysts()).await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    let mut held_back = held(&world);
    let (suspended, moved) = (held_back.remove(0), held_back.remove(0));
    world.change(&suspended, |spec| spec.suspend = true);
    world.change(&moved, |spec| spec.person = Some("somebody-else".into()));
    world.at_once("both go", |world| world.is_withdrawn(&suspended) && world.is_withdrawn(&moved)).await;
    assert!(is_refused(&world, &suspended, "Suspended"), "{}", world.picture());
    let deny = AwsRoleGrantSpec { effect: Effect::Deny, persons: held_back.clone(), ..AwsRoleGrantSpec::default() };
    world.apply(&AwsRoleGrant::new("leavers", deny));
    world.at_once("all go", |world| withdrawn(world).len() == PEOPLE).await;
    assert!(held_back.iter().all(|name| is_refused(&world, name, "Denied")), "{}", world.picture());

    // None of them counts: twenty others are denied at once.
    let world = twenty(Some(LIMIT), &analysts()).await;
    let deny = AwsRoleGrantSpec { effect: Effect::Deny, persons: vec!["*".into()], ..AwsRoleGrantSpec::default() };
    world.apply(&AwsRoleGrant::new("leavers", deny));
    world.at_once("all go", |world| withdrawn(world).len() == PEOPLE).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_held_back_for_an_hour_from_the_first_hold() {
    let mut world = World::empty();
    world.api.namespace(OPERATORS, &[]);
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    for name in ["alice", "bob"] {
        world.put_key(&format!("{name}-key"), true, "AKIAIOSFODNN7EXAMPLE", "thesecret");
        world.apply(&config(name, delivers_key(&format!("{name}-key"))));
    }
    let with_brake = operator(&world, Some(1));
    world.start_as(with_brake);
    world.until("both are ready", |world| ["alice", "bob"].iter().all(|name| world.is_ready(name))).await;
    world.settle().await;
    world.api.delete("AwsRoleGrant", "", "keys");
    let held = |world: &World| ["alice", "bob"].into_iter().find(|name| is_refused(world, name, "WithdrawalHeld"));
    world.at_once("one is held back", |world| held(world).is_some()).await;
    let name = held(&world).unwrap();
    world.pass(Duration::from_mins(30)).await;
    world.stop().await;
    let with_brake = operator(&world, Some(1));
    world.start_as(with_brake);
    world.pass(Duration::from_mins(29)).await;
    assert!(held(&world).is_some() && world.value(name, "AWS_SECRET_ACCESS_KEY") == "thesecret");
    let (_, _, message) = world.condition(name, "Ready").unwrap();
    assert!(message.contains("there is no ConfigMap"), "the release has none here: {message}");
    world.pass(Duration::from_mins(2)).await;
    assert!(is_refused(&world, name, "NotGranted"), "{}", world.picture());
    assert_eq!(world.value(name, "AWS_SECRET_ACCESS_KEY"), "WITHDRAWN");
}

#[tokio::test(start_paused = true)]
async fn withdrawals_and_holds_are_counted() {
    let mut world = twenty(Some(LIMIT), &analysts()).await;
    let admin = metrics(&mut world, Some(LIMIT)).await;
    world.settle().await;
    world.api.delete("AwsRoleGrant", "", "analysts");
    until_braked(&world).await;
    world.change(&held(&world)[0], |spec| spec.suspend = true);
    world.settle().await;
    let text = metrics_at(admin).await;
    for line in [
        "keyturn_withdrawals_total{reason=\"NotGranted\"} 5\n",
        "keyturn_withdrawals_total{reason=\"Suspended\"} 1\n",
        "keyturn_withdrawals_held 14\n",
        "keyturn_credentials{state=\"not_ready\",reason=\"WithdrawalHeld\"} 14\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
