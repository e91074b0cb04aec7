//! The age of a config: the last confirmation, its end, and what does not count.

use super::*;
use crate::decide::Confirmation;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// alice's config in order, created at the issue, with a limit of 90 days.
fn limited(annotation: Option<&str>) -> Observed {
    let mut seen = healthy();
    seen.max_age = Some(days(90));
    config(&mut seen, |config| {
        config.metadata.creation_timestamp = Some(Time(issued_at()));
        config.metadata.annotations = annotation.map(|text| [(names::CONFIRMED.to_owned(), text.to_owned())].into());
    });
    seen
}

/// The outcome after some days: whether the config is refused, and whether a condition warns.
fn after(seen: &Observed, passed: SignedDuration) -> (bool, bool) {
    let now = issued_at() + passed;
    let why = decide(seen, now).accepted.err().map(|refusal| (refusal.why.reason, refusal.withdraws));
    assert!(why.is_none() || why == Some((Reason::NotConfirmed, true)), "{why:?}");
    let warns = Confirmation::of(seen, now).is_some_and(|it| it.warning(&seen.config, now).is_some());
    (why.is_some(), warns)
}

#[test]
fn a_confirmation_counts_for_the_time_of_the_limit() {
    let second = SignedDuration::from_secs(1);
    for (row, annotation, passed, expected) in [
        ("just created", None, SignedDuration::ZERO, (false, false)),
        ("a second before the warning", None, days(76) - second, (false, false)),
        ("the warning", None, days(76), (false, true)),
        ("a second before the end", None, days(90) - second, (false, true)),
        ("the end", None, days(90), (true, true)),
        ("confirmed", Some("2026-03-01T00:00:00Z"), days(90), (false, false)),
        ("confirmed in another zone", Some("2026-03-01T02:00:00+02:00"), days(59 + 90) - second, (false, true)),
        ("confirmed and ended", Some("2026-03-01T00:00:00Z"), days(59 + 90), (true, true)),
        ("confirmed before the creation", Some("2020-01-01T00:00:00Z"), days(75), (false, false)),
        ("no time", Some("yes"), days(1), (false, true)),
        ("no time, at the end", Some("yes"), days(90), (true, true)),
        ("empty", Some(""), days(1), (false, true)),
        ("a date alone", Some("2026-03-01"), days(90), (true, true)),
        ("a clock that is ahead", Some("2026-03-31T23:59:00Z"), days(90) - second * 240, (false, false)),
        ("the future", Some("2026-04-01T00:06:00Z"), days(90) - second, (false, true)),
        ("the future, at the end", Some("2036-01-01T00:00:00Z"), days(90), (true, true)),
    ] {
        assert_eq!(after(&limited(annotation), passed), expected, "{row}");
    }
}

#[test]
fn a_config_without_a_limit_has_no_age() {
    for annotation in [None, Some("yes"), Some("2036-01-01T00:00:00Z")] {
        let mut seen = limited(annotation);
        seen.max_age = None;
        assert_eq!(after(&seen, days(4_000)), (false, false), "{annotation:?}");
        assert_eq!(Confirmation::of(&seen, now()), None, "{annotation:?}");
    }
}

#[test]
fn a_config_without_a_time_of_creation_is_not_confirmed() {
    let mut seen = limited(None);
    config(&mut seen, |config| config.metadata.creation_timestamp = None);
    assert_eq!(next(&seen, now()), "Withdraw(NotConfirmed)");
}

#[test]
fn a_future_confirmation_that_was_noted_never_counts() {
    let mut seen = limited(Some("2026-04-01T00:00:00.5Z"));
    let noted = Confirmation::of(&seen, issued_at()).unwrap().early().unwrap();
    assert_eq!(after(&seen, days(91)), (false, false), "nobody noted it");
    config(&mut seen, |config| {
        config.status.get_or_insert_default().early_confirmation = Some(Time(crate::clock::whole_seconds(noted)));
    });
    assert_eq!(after(&seen, days(91)), (true, true), "its time has come");
    let another = [(names::CONFIRMED.to_owned(), "2026-04-01T00:00:01Z".to_owned())];
    config(&mut seen, |config| config.metadata.annotations = Some(another.into()));
    assert_eq!(after(&seen, days(91)), (false, false), "another one is new");
}

#[test]
fn an_end_of_the_confirmation_withdraws_everything() {
    let rows: [(&str, Disturbance, &str); 5] = [
        ("in order", |_| {}, "Withdraw(NotConfirmed)"),
        ("suspended", |seen| config(seen, |c| c.spec.suspend = true), "Withdraw(Suspended)"),
        ("denied", |seen| denied(seen, None), "Withdraw(Denied)"),
        ("no grant", |seen| seen.grants.clear(), "Withdraw(NotConfirmed)"),
        ("no grant seen yet", |seen| (seen.grants, seen.grants_seen) = (vec![], false), "Withdraw(NotConfirmed)"),
    ];
    for (row, disturb, expected) in rows {
        let mut seen = limited(None);
        disturb(&mut seen);
        assert_eq!(next(&seen, issued_at() + days(90)), expected, "{row}");
    }
}

#[test]
fn the_messages_say_who_confirms_and_how() {
    for (row, annotation, words) in [
        ("never confirmed", None, "since 2026-01-01T00:00:00Z"),
        ("unreadable", Some("yes"), "does not count, because it holds no time"),
        ("early", Some("2036-01-01T00:00:00Z"), "2036-01-01T00:00:00Z was in the future"),
    ] {
        let seen = limited(annotation);
        let end = issued_at() + days(90);
        let ended = decide(&seen, end).accepted.unwrap_err().why.message;
        let due = Confirmation::of(&seen, end - days(1)).unwrap().warning(&seen.config, end - days(1)).unwrap().message;
        assert!(ended.contains(words), "{row}: {ended}");
        let command =
            "kubectl -n scoring annotate --overwrite awsconfig alice keyturn.dev/confirmed=$(date -u +%FT%TZ)";
        for words in ["2026-04-01T00:00:00Z", "the person, or a user of ceilings.confirmers", command] {
            assert!(ended.contains(words) && due.contains(words), "{row}: {ended}\n{due}");
        }
    }
}

#[test]
fn the_next_moment_is_the_warning_and_then_the_end() {
    let seen = limited(None);
    let moments = [0, 76, 90].map(|passed| {
        let now = issued_at() + days(passed);
        Confirmation::of(&seen, now).unwrap().next_moment(now).map(|at| at.duration_since(issued_at()).as_hours() / 24)
    });
    assert_eq!(moments, [Some(76), Some(90), None]);
}
