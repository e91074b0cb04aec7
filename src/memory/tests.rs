//! The memory after a reconcile: each row is a reconcile and what it leaves behind.

use super::*;
use crate::{
    api::Reason,
    report::tests::moment::{Moment, denied, fresh, live, unreachable},
};

const UID: &str = "uid-of-alice";

/// What is remembered after this reconcile, in addition to what was remembered before it.
fn learned(moment: &Moment) -> Remembered {
    let memory = Memory::default();
    memory.objects().insert(UID.to_owned(), moment.seen.remembered.clone());
    memory.learn(&moment.seen, &moment.plan(), &moment.outcome, moment.now);
    memory.recall(UID)
}

fn check<T: PartialEq + std::fmt::Debug>(rows: &[(&str, Moment, T)], part: fn(Remembered) -> T) {
    for (row, moment, expected) in rows {
        assert_eq!(part(learned(moment)), *expected, "{row}");
    }
}

fn deleted() -> Moment {
    live().target(Target::Absent)
}

#[test]
fn a_version_is_known_after_a_write_or_a_read_of_what_keyturn_wrote() {
    let known = |version: &str| Some(version.to_owned());
    let rows = [
        ("a write", live().at("00:45:00").issues(), known("2701")),
        ("a read", live().reads(true), known("1")),
        ("a read of what somebody edited", live().reads(false), None),
        ("neither", live(), None),
    ];
    check(&rows, |remembered| remembered.known_version);
}

#[test]
fn every_request_that_was_not_due_uses_ten_seconds() {
    let asked = |moment: Moment| {
        let mut moment = moment;
        moment.outcome.asked = true;
        moment
    };
    let used = |time: &str| Some(crate::report::tests::moment::at(time));
    let rows = [
        ("the first request", asked(live().at("00:45:00").changed().issues()), used("00:45:10")),
        ("a failed one", asked(live().at("00:45:00").changed().fails(denied())), used("00:45:10")),
        ("a renewal that was due", live().at("00:45:00").issues(), None),
        ("no request", live(), None),
    ];
    check(&rows, |remembered| remembered.used_until);
}

#[test]
fn a_row_of_transient_failures_goes_on_until_anything_else_comes() {
    let failing = || fresh().fails(unreachable()).then("00:00:20");
    let rows = [
        ("the first", fresh().fails(unreachable()), Some(1)),
        ("the second", failing().fails(unreachable()), Some(2)),
        ("it is held back", failing().at("00:00:10"), Some(1)),
        ("another attempt", failing().changed().fails(unreachable()), Some(1)),
        ("a durable failure", failing().fails(denied()), None),
        ("a write", failing().issues(), None),
        ("a refusal", failing().without_grant(), None),
    ];
    check(&rows, |remembered| remembered.transient.map(|backoff| backoff.count));
}

#[test]
fn an_api_key_is_remembered_until_the_secret_or_dss_is_without_it() {
    let rotated = || fresh().with_api_key("1").issues().obtains_key("7").then("00:15:00").with_api_key("2");
    let holding = || {
        let mut moment = rotated().obtains_key("8").then("00:15:01");
        moment.seen.remembered.api_key = learned(&rotated().obtains_key("8")).api_key;
        moment
    };
    let mut deleted = holding();
    let key = crate::dss_keys::DeletedKey { instance: "design".into(), id: "8".into() };
    deleted.outcome.api_key.deleted = vec![key];
    let known = |id: &str| Some(id.to_owned());
    let rows = [
        ("a key that was written", fresh().with_api_key("1").issues().obtains_key("7"), known("7")),
        ("a key that was not written", rotated().obtains_key("8"), known("8")),
        ("a key that was read", rotated().reads(true), known("7")),
        ("a key that somebody edited", rotated().reads(false), None),
        ("a key that is known already", holding().reads(true), known("8")),
        ("a key that DSS has deleted", deleted, None),
        ("a key of another user", holding().takes_back(), None),
        ("a failure", holding().key_fails(Reason::DssDenied), known("8")),
    ];
    check(&rows, |remembered| remembered.api_key.map(|held| held.record.key));
}

#[test]
fn repairs_are_counted_until_there_is_calm() {
    let fought_over = || deleted().fought_over();
    let after = |minutes: i64, mut moment: Moment| {
        moment.now += SignedDuration::from_mins(minutes);
        moment
    };
    let rows = [
        ("the first repair", deleted().issues(), 1),
        ("the next repair", after(1, fought_over()).issues(), 9),
        ("a repair that could not be written", after(1, fought_over()), 9),
        ("a repair that STS refused", after(1, fought_over()).fails(denied()), 8),
        ("a repair that is held back", fought_over(), 8),
        ("a repair after calm", after(11, fought_over()).issues(), 1),
        ("a repair of what somebody edited", live().reads(false).issues(), 1),
        ("a renewal", live().at("00:45:00").issues(), 0),
    ];
    check(&rows, |remembered| remembered.repairs);
}

#[test]
fn a_role_that_somebody_deleted_is_repaired_and_a_first_one_is_not() {
    let memory = Memory::default();
    let learn = |moment: &Moment| memory.learn(&moment.seen, &moment.plan(), &moment.outcome, moment.now);
    let repairs = || memory.recall(UID).repairs;
    let now = live().now;
    learn(&fresh().issues());
    memory.wrote_role(UID, true, false, now);
    memory.wrote_role(UID, true, true, now);
    assert_eq!(repairs(), 0, "it has never existed");
    memory.wrote_role(UID, true, true, now);
    assert_eq!(repairs(), 1, "somebody deleted it");
    let mut other = live().spec(|spec| spec.role = Some("arn:aws:iam::123456789012:role/other".into()));
    other.seen.role = SeenRole::NotShown;
    learn(&other);
    memory.wrote_role(UID, true, false, now);
    assert_eq!(repairs(), 1, "the config asks for another role");
    memory.forget(UID);
    memory.wrote_role(UID, true, true, now);
    memory.told(UID);
    assert!(memory.objects().is_empty(), "an object that is gone stays forgotten");
}

#[test]
fn failures_of_a_trail_are_forgotten_with_the_object() {
    let memory = Memory::default();
    let trail = format!("{UID}/trail");
    for key in [UID, &trail, "another-uid"] {
        memory.call_failed(key);
    }
    memory.forget(UID);
    let counts = [UID, &trail, "another-uid"].map(|key| memory.failed_calls_of(key));
    assert_eq!(counts, [0, 0, 1]);
}
