//! A config that keyturn has asked STS or DSS for too often in a short time.

use super::*;

/// keyturn has asked for this config as often as it may without a wait.
fn asked_five_times(seen: &mut Observed, at: Timestamp) {
    seen.remembered.used_until = (0..5).fold(None, |used, _| Some(schedule::used_until(used, at)));
}

#[test]
fn all_issues_but_a_renewal_that_is_due_wait_for_ten_seconds() {
    let later = now() + SignedDuration::from_secs(10);
    for (what, disturb, expected) in CHECKS {
        let mut seen = healthy();
        disturb(&mut seen);
        asked_five_times(&mut seen, now());
        let held = if expected.starts_with("Issue(") && expected != "Issue(Due)" { "Hold" } else { expected };
        assert_eq!(next(&seen, now()), held, "{what}");
        assert_eq!(next(&seen, later), expected, "{what}: its time has come");
    }
    let mut seen = healthy();
    asked_five_times(&mut seen, after_expiry());
    assert_eq!(next(&seen, after_expiry()), "Issue(Due)");
}

#[test]
fn the_later_of_a_failure_and_of_too_many_requests_is_waited_for() {
    let (soon, later) = (now() + SignedDuration::from_secs(5), now() + SignedDuration::from_secs(20));
    let too_often = now() + SignedDuration::from_secs(10);
    for (row, failed_until, until, cause) in [
        ("the failure ends first", soon, too_often, HoldCause::AskedTooOften),
        ("the failure ends last", later, later, HoldCause::Backoff),
    ] {
        let mut seen = healthy();
        seen.target = Target::Absent;
        let attempt = decide(&seen, now()).accepted.unwrap().attempt;
        seen.remembered.transient =
            Some(Backoff { attempt, count: 1, next_attempt_at: failed_until, in_turn: false, why: None });
        asked_five_times(&mut seen, now());
        assert_eq!(decide(&seen, now()).next, Next::Do(SecretAction::Hold { until, cause }), "{row}");
    }
}
