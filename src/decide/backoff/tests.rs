//! The times of retries as tables. Each row is a failure, the failures that were known before it,
//! and those that are known after it.

use super::*;
use jiff::SignedDuration;
use serde_json::{from_value, json};

const THIS: &str = "this attempt";
const KEY: &str = "the API key of this attempt";
const OTHER: &str = "another attempt";

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn in_seconds(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn error(reason: Reason, retry: Retry) -> IssueError {
    IssueError::new(reason, retry, "it failed")
}

/// A config at generation 2. Its status has this durable failure, recorded at generation
/// `observed`.
fn config(row: Option<(&str, i32, Reason)>, observed: i64) -> AwsConfig {
    let mut config = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
    config.metadata.generation = Some(2);
    let failure = row.map(|(attempt, count, reason)| {
        json!({"attempt": attempt, "count": count, "since": now(), "lastAt": now(), "nextAttemptAt": in_seconds(60),
               "reason": reason.as_str(), "message": "it failed before"})
    });
    let status = json!({"observedGeneration": observed, "failure": failure, "conditions": []});
    config.status = Some(from_value(status).unwrap());
    config
}

fn transient(attempt: &str, count: i32, seconds: i64) -> Backoff {
    let why = Some(Statement::new(Reason::Unreachable, "it passed"));
    Backoff { attempt: attempt.into(), count, next_attempt_at: in_seconds(seconds), in_turn: false, why }
}

#[test]
fn an_attempt_is_held_until_the_later_time_of_its_own_failures() {
    let denied = Some((THIS, 1, Reason::AssumeRoleDenied));
    let rows = [
        ("no failure", None, 2, None, None),
        ("a durable one", denied, 2, None, Some(60)),
        ("a durable one of another spec", denied, 1, None, None),
        ("a durable one of another attempt", Some((OTHER, 1, Reason::AssumeRoleDenied)), 2, None, None),
        ("a transient one", None, 2, Some(transient(THIS, 1, 5)), Some(5)),
        ("a transient one of another attempt", None, 2, Some(transient(OTHER, 1, 5)), None),
        ("a transient one whose time has come", None, 2, Some(transient(THIS, 1, 0)), None),
        ("both, the durable one later", denied, 2, Some(transient(THIS, 1, 5)), Some(60)),
        ("both, the transient one later", denied, 2, Some(transient(THIS, 1, 90)), Some(90)),
    ];
    for (row, durable, observed, transient, held) in rows {
        let config = config(durable, observed);
        let failures = Failures::of(&config, transient.as_ref());
        assert_eq!(failures.held_until(THIS, now()), held.map(in_seconds), "{row}");
    }
}

#[test]
fn a_transient_failure_is_reported_before_a_durable_one() {
    let config = config(Some((THIS, 1, Reason::AssumeRoleDenied)), 2);
    let transient = transient(THIS, 1, 5);
    let reason = |failures: Failures<'_>| failures.why(THIS).map(|why| why.reason);
    assert_eq!(reason(Failures::of(&config, None)), Some(Reason::AssumeRoleDenied));
    assert_eq!(reason(Failures::of(&config, Some(&transient))), Some(Reason::Unreachable));
}

#[test]
fn durable_failures_continue_end_or_start_anew() {
    let durable = error(Reason::AssumeRoleDenied, Retry::Durable);
    let passes = error(Reason::Unreachable, Retry::Transient);
    let this = Some((THIS, 3, Reason::AssumeRoleDenied));
    let key = Some((KEY, 3, Reason::DssDenied));
    let wrong = Some((OTHER, 3, Reason::DssUserMismatch));
    let rows = [
        ("the first failure", None, Attempted::Failed(&durable, THIS), Some((THIS, 1))),
        ("the next of the same attempt", this, Attempted::Failed(&durable, THIS), Some((THIS, 4))),
        ("the first of the API key", this, Attempted::Failed(&durable, KEY), Some((KEY, 1))),
        ("a transient one in between", this, Attempted::Failed(&passes, THIS), Some((THIS, 3))),
        ("no attempt", this, Attempted::NotMade, Some((THIS, 3))),
        ("the API key is held back", key, Attempted::WithoutApiKey, Some((KEY, 3))),
        ("the credential is there, the API key is held back", this, Attempted::WithoutApiKey, None),
        ("success", this, Attempted::Succeeded, None),
        ("another attempt", Some((OTHER, 3, Reason::AssumeRoleDenied)), Attempted::NotMade, None),
        ("another attempt after a wrong API key", wrong, Attempted::NotMade, Some((OTHER, 3))),
        ("success after a wrong API key", wrong, Attempted::Succeeded, None),
    ];
    for (row, known, attempted, expected) in rows {
        let config = config(known, 2);
        let after = durable_after(Failures::of(&config, None), [THIS, KEY], attempted, now());
        let after = after.as_ref().map(|failure| (failure.attempt.as_str(), failure.count));
        assert_eq!(after, expected, "{row}");
    }
}

#[test]
fn a_durable_failure_records_why_and_when_it_is_tried_again() {
    let config = config(Some((THIS, 1, Reason::AssumeRoleDenied)), 2);
    let denied = error(Reason::DurationTooLong, Retry::Durable);
    let failed = Attempted::Failed(&denied, THIS);
    let after = durable_after(Failures::of(&config, None), [THIS, KEY], failed, now()).unwrap();
    assert_eq!(after.next_attempt_at.0, in_seconds(60), "30 s doubled once");
    assert_eq!(after.why(), Some(denied.why));
}

#[test]
fn the_process_counts_transient_failures_and_saturation() {
    let wish = SignedDuration::from_secs(120);
    let rows = [
        ("a durable failure", Reason::AssumeRoleDenied, Retry::Durable, None),
        ("another user's API key", Reason::DssUserMismatch, Retry::Durable, Some((3, 120, Some("it failed")))),
        ("a transient failure", Reason::Unreachable, Retry::Transient, Some((3, 4, Some("it failed")))),
        ("a wish to be left alone", Reason::Throttled, Retry::TransientAfter(wish), Some((3, 120, Some("it failed")))),
        ("too many others", Reason::DssUnreachable, Retry::Saturated, Some((3, 4, Some("it passed")))),
        ("a short wait for its turn", Reason::HeldBack, Retry::HeldBack(wish / 20), Some((3, 6, Some("it passed")))),
        ("a long wait for its turn", Reason::HeldBack, Retry::HeldBack(wish), Some((3, 120, Some("it failed")))),
        ("a call that STS throttled", Reason::Throttled, Retry::InTurn, Some((3, 60, Some("it failed")))),
        ("a wait for STS", Reason::HeldBack, Retry::Queued(wish), Some((3, 60, Some("it passed")))),
    ];
    for (row, reason, retry, expected) in rows {
        let (config, before) = (config(None, 2), transient(THIS, 2, 0));
        let failures = Failures::of(&config, Some(&before));
        let after = transient_after(failures, &error(reason, retry), THIS, "uid", now());
        let Some((count, at_most, why)) = expected else {
            assert_eq!(after, None, "{row}");
            continue;
        };
        let after = after.unwrap();
        let wait = after.next_attempt_at.duration_since(now()).as_secs_f64();
        assert_eq!(after.count, count, "{row}");
        assert_eq!(after.in_turn, retry.is_in_turn(), "{row}");
        assert!(wait > 0.0 && wait <= f64::from(at_most), "{row}: {wait} s");
        assert_eq!(after.why.map(|why| why.message).as_deref(), why, "{row}");
    }
}

#[test]
fn a_wait_for_sts_is_news_if_it_is_long_and_says_more_than_before() {
    let (short, long) = (SignedDuration::from_secs(5), SignedDuration::from_secs(30));
    let waits = |count, why: Option<Reason>| Backoff {
        attempt: THIS.into(),
        count,
        next_attempt_at: in_seconds(60),
        in_turn: true,
        why: why.map(|reason| Statement::new(reason, "it passed")),
    };
    let rows = [
        ("a short wait", None, Reason::HeldBack, short, false),
        ("a long wait", None, Reason::HeldBack, long, true),
        ("the fourth short wait", Some(waits(3, None)), Reason::HeldBack, short, true),
        (
            "a wait after a failure of its own",
            Some(waits(1, Some(Reason::Unreachable))),
            Reason::Throttled,
            long,
            false,
        ),
        ("a wait that goes on", Some(waits(1, Some(Reason::HeldBack))), Reason::HeldBack, long, false),
        ("a wait that concerns all by now", Some(waits(1, Some(Reason::HeldBack))), Reason::Throttled, long, true),
    ];
    for (row, before, reason, wait, is_news) in rows {
        let config = config(None, 2);
        let failures = Failures::of(&config, before.as_ref());
        assert_eq!(failures.is_news(&error(reason, Retry::Queued(wait)), THIS), is_news, "{row}");
    }
}
