//! The time of the next reconcile: each row is a reconcile and the time of the one after it.

use super::moment::{Moment, at, denied, fresh, live, unreachable};
use crate::{
    api::{CredentialProvider, DssKey, PushStatus, Pushed, Reason},
    credentials::{IssueError, Retry},
    decide::target::Target,
    push::{Failed, Place, Slot, Step},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn check(rows: Vec<(&str, Moment, &str)>) {
    for (row, moment, expected) in rows {
        assert_eq!(moment.next_reconcile(), at(expected), "{row}: {:?}", moment.plan().next);
    }
}

#[test]
fn a_credential_is_reconciled_when_it_is_due() {
    check(vec![
        ("a live credential", live(), "00:40:00"),
        ("a credential that was just issued", live().at("00:45:00").issues(), "01:25:00"),
        ("a credential without an end", live().without_end(), "00:25:00"),
    ]);
}

#[test]
fn a_step_of_a_push_waits_for_the_later_of_two_times() {
    let entry = |digest: Option<&str>| Pushed {
        instance: "design".to_owned(),
        login: "alice".to_owned(),
        name: "AWS_".to_owned(),
        digest: digest.map(str::to_owned),
        ..Pushed::default()
    };
    let failed = |until: &str| Failed {
        step: Step::Remove(Place::of(Slot::DssSecrets, &entry(None))),
        count: 1,
        until: at(until),
        why: None,
    };
    let moment = |until: &str, used_until: Option<&str>| {
        let there = Some(entry(Some("digest")));
        let mut moment = live().recorded(|status| {
            status.push = Some(Box::new(PushStatus { dss_secrets: there, ..PushStatus::default() }));
        });
        moment.seen.remembered.pushes.insert(Slot::DssSecrets, failed(until));
        moment.seen.remembered.used_until = used_until.map(at);
        moment
    };
    check(vec![
        ("its next try is later", moment("00:15:30", Some("00:16:00")), "00:15:30"),
        ("the config has asked too often", moment("00:14:59", Some("00:16:00")), "00:15:20"),
        ("it is due, and was not made", moment("00:14:59", None), "00:15:02"),
    ]);
}

#[test]
fn a_failed_attempt_is_retried_no_later_than_the_expiry() {
    let soon = |moment: Moment| moment.at("00:59:50");
    check(vec![
        ("a durable failure", fresh().fails(denied()), "00:00:30"),
        ("the second", fresh().fails(denied()).then("00:00:30").fails(denied()), "00:01:30"),
        ("a transient failure", fresh().fails(unreachable()), "00:00:20"),
        ("a renewal", live().at("00:45:00").fails(denied()), "00:45:30"),
        ("held back", live().at("00:45:00").fails(denied()).then("00:45:10"), "00:45:30"),
        ("held back by this process alone", live().at("00:45:00").fails(unreachable()).then("00:45:10"), "00:45:20"),
        ("a durable failure shortly before the expiry", soon(live()).fails(denied()), "01:00:00"),
        ("a transient failure shortly before the expiry", soon(live()).fails(unreachable()), "01:00:00"),
        ("held back shortly before the expiry", soon(live()).fails(denied()).then("00:59:55"), "01:00:00"),
        (
            "held back beyond the expiry",
            soon(live()).fails(denied()).then("01:00:00").withdraws().then("01:00:01"),
            "01:00:20",
        ),
    ]);
}

#[test]
fn a_config_without_a_credential_is_reconciled_by_what_is_awaited() {
    let now = || fresh().at("00:15:00");
    let mut unseen = now();
    unseen.seen.namespace_labels = None;
    let mut taken = now();
    taken.outcome.blocked = true;
    let mut unbelieved = live().without_grant();
    unbelieved.seen.grants_seen = false;
    check(vec![
        ("the namespace is unknown", unseen, "00:15:02"),
        ("the Secret has to be read", now().target(Target::NotWatched), "00:15:02"),
        ("nothing was written", now(), "00:15:02"),
        ("no grant", now().without_grant(), "00:25:00"),
        ("no grant was ever seen, shortly before the expiry", unbelieved.at("00:55:00"), "01:00:00"),
        ("withdrawn by a refusal", live().without_grant().withdraws(), "00:25:00"),
        (
            "withdrawn by a refusal shortly before the expiry",
            live().without_grant().at("00:55:00").withdraws(),
            "01:05:00",
        ),
        ("withdrawn from another person", live().spec(|spec| spec.person = Some("bob".into())).withdraws(), "00:15:00"),
        ("withdrawn for its age", live().at("00:59:50").fails(denied()).then("01:00:00").withdraws(), "01:00:00"),
        ("a Secret of somebody else", now().foreign(), "00:20:00"),
        ("somebody created the Secret first", taken, "00:20:00"),
    ]);
}

#[test]
fn a_repair_against_another_writer_is_made_at_its_time() {
    check(vec![
        ("of the Secret", live().target(Target::Absent).fought_over(), "00:15:08"),
        ("of nothing", live().fought_over(), "00:40:00"),
    ]);
}

#[test]
fn a_confirmation_is_looked_at_when_it_warns_and_when_it_ends() {
    let before = |time: &str, days: i64| at(time) - SignedDuration::from_hours(24 * days);
    check(vec![
        ("the warning is before the renewal", live().created(before("00:20:00", 76), 90), "00:20:00"),
        ("the warning is after the renewal", live().created(before("00:50:00", 76), 90), "00:40:00"),
        ("the end is before the renewal", live().created(before("00:20:00", 90), 90), "00:20:00"),
        ("the end was long ago", live().created(before("00:20:00", 100), 90), "00:25:00"),
    ]);
}

#[test]
fn an_api_key_has_times_of_its_own() {
    let has_key = || fresh().with_api_key("1").issues().obtains_key("7").then("00:15:00");
    let key_fails = || has_key().with_api_key("2").reads(true).key_fails(Reason::DssDenied);
    let ends = |time: &'static str| {
        has_key().recorded(|status| {
            let ends = Some(Time(at(time)));
            let key = DssKey { instance: "design".into(), id: "6".into(), login: "dss-alice".into(), delete_at: ends };
            status.dss.as_mut().unwrap().keys.push(key);
        })
    };
    let mut surplus = has_key();
    surplus.outcome.api_key.surplus_failed = Some(IssueError::new(Reason::DssDenied, Retry::Durable, "DSS refused"));
    check(vec![
        ("a key that is as asked for", has_key(), "00:40:00"),
        ("no key was obtained", key_fails(), "00:15:30"),
        ("the next attempt is held back", key_fails().then("00:15:10"), "00:15:30"),
        ("a former key ends before the renewal", ends("00:20:00"), "00:20:00"),
        ("a former key ends after the renewal", ends("00:50:00"), "00:40:00"),
        ("a former key that could not be deleted", ends("00:10:00"), "00:15:30"),
        ("keys that DSS did not delete", surplus, "00:15:30"),
        ("another user's key", key_fails().takes_back(), "00:15:30"),
    ]);
}

#[test]
fn a_key_of_a_connection_is_asked_for_again_after_refresh() {
    let mut connection = fresh()
        .with_api_key("1")
        .grant(|grant| grant.providers.push(CredentialProvider::Connection))
        .spec(|spec| {
            (spec.credential_provider, spec.role) = (CredentialProvider::Connection, None);
            spec.connection = Some("s3".into());
        })
        .issues()
        .obtains_key("7")
        .then("00:15:00")
        .without_end();
    connection.outcome.checked = true;
    assert_eq!(connection.next_reconcile(), at("00:15:02"), "what was checked is seen in a moment");
    connection.outcome.checked = false;
    connection.seen.remembered.checked_at = Some(at("00:15:00"));
    let wait = connection.next_reconcile().duration_since(at("00:15:00"));
    let minutes = SignedDuration::from_mins;
    assert!(wait >= minutes(5) && wait < minutes(10), "refresh is 5 min, and configs are spread over it: {wait}");
}
