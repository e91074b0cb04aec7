//! The brake, as tables of times.

use super::*;
use crate::api::{AwsConfigStatus, Reason};
use serde_json::json;
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn settings(limit: Option<usize>) -> Settings {
    let config_map = ConfigMapName { namespace: "keyturn-system".into(), name: "keyturn-withdrawals".into() };
    Settings { limit, config_map }
}

fn brake(limit: Option<usize>, former: &[i64]) -> Brake {
    let former: Vec<Timestamp> = former.iter().map(|second| at(*second)).collect();
    Brake::new(settings(limit), Box::new(move |_| former.clone()))
}

fn hold(since: i64) -> WithdrawalHeld {
    Braking::hold(at(since), None)
}

#[test]
fn no_more_than_the_limit_go_within_a_minute() {
    // For each row: the limit, the withdrawals of a former leader, and the seconds at which others
    // ask.
    type Row = (&'static str, Option<usize>, &'static [i64], &'static [i64], &'static str);
    let rows: [Row; 7] = [
        ("no brake", None, &[], &[0, 0, 0, 0], "gggg"),
        ("all at once", Some(2), &[], &[0, 0, 0, 0], "gghh"),
        ("one a second", Some(2), &[], &[0, 1, 2, 3], "gghh"),
        ("one in half a minute", Some(2), &[], &[0, 30, 60, 90, 120], "ggggg"),
        ("the last second of the minute", Some(1), &[], &[0, 59, 60], "ghg"),
        ("a former leader's count too", Some(2), &[0], &[10, 11, 60], "ghg"),
        ("those of long ago do not", Some(1), &[0, 1], &[61], "g"),
    ];
    for (row, limit, former, asked, expected) in rows {
        let brake = brake(limit, former);
        let turns = asked.iter().enumerate().map(|(n, second)| brake.take(&n.to_string(), at(*second)));
        let turns: String = turns.map(|turn| if turn == Turn::Go { 'g' } else { 'h' }).collect();
        assert_eq!(turns, expected, "{row}");
    }
}

#[test]
fn a_withdrawal_that_is_tried_again_counts_once() {
    let brake = brake(Some(2), &[]);
    for second in 0..3 {
        assert_eq!(brake.take("a", at(second)), Turn::Go);
    }
    assert_eq!((brake.take("b", at(3)), brake.take("c", at(3))), (Turn::Go, Turn::Held));
}

#[test]
fn a_hold_ends_with_its_time_its_session_or_a_confirmation() {
    type Row = (&'static str, Option<i64>, Confirmation, i64, bool);
    let of = |second| Confirmation::At(at(second));
    let rows: [Row; 11] = [
        ("it has begun", None, Confirmation::Unread, 100, false),
        ("almost an hour", None, Confirmation::Absent, 3_699, false),
        ("an hour", None, Confirmation::Absent, 3_700, true),
        ("the session has ended", Some(200), Confirmation::Absent, 200, true),
        ("the session ends later than the hour", Some(9_000), Confirmation::Absent, 3_700, true),
        ("a confirmation before it", None, of(99), 200, false),
        ("a confirmation of its time", None, of(100), 200, true),
        ("a confirmation after it", None, of(150), 200, true),
        ("a confirmation in the future", None, of(201), 200, false),
        ("no time", None, Confirmation::NoTime, 200, false),
        ("it cannot be read", None, Confirmation::Failed("403".into()), 200, false),
    ];
    for (row, expires_at, confirmation, now, ended) in rows {
        let brake = brake(Some(2), &[]);
        brake.learn(confirmation);
        let hold = Braking::hold(at(100), expires_at.map(at));
        assert_eq!(brake.seen("a").has_ended(&hold, at(now)), ended, "{row}");
    }
}

#[test]
fn the_text_of_the_annotation_is_a_time_or_confirms_nothing() {
    let rows = [
        ("no annotation", None, Confirmation::Absent),
        ("a time", Some("2026-01-01T00:00:07Z"), Confirmation::At(at(7))),
        ("a time with an offset", Some("2026-01-01T01:00:07+01:00"), Confirmation::At(at(7))),
        ("white space around it", Some(" 2026-01-01T00:00:07Z\n"), Confirmation::At(at(7))),
        ("a word", Some("yes"), Confirmation::NoTime),
        ("nothing", Some(""), Confirmation::NoTime),
    ];
    for (row, text, expected) in rows {
        assert_eq!(Confirmation::read(text), expected, "{row}");
    }
}

#[test]
fn the_message_of_a_hold_has_the_command_and_the_end() {
    let why = Statement::new(Reason::NotGranted, "no AwsRoleGrant allows it");
    let rows = [
        ("nobody has confirmed", Confirmation::Absent, ""),
        ("too early", Confirmation::At(at(1)), "before this withdrawal was held back"),
        ("in the future", Confirmation::At(at(500)), "in the future"),
        ("no time", Confirmation::NoTime, "holds no time"),
        ("unreadable", Confirmation::Failed("configmaps is forbidden".into()), "configmaps is forbidden"),
    ];
    for (row, confirmation, trouble) in rows {
        let brake = brake(Some(5), &[]);
        brake.learn(confirmation);
        let said = brake.seen("a").statement(&why, &hold(100), at(200));
        let command = "kubectl -n keyturn-system annotate configmap keyturn-withdrawals --overwrite \
                       keyturn.dev/withdrawals-confirmed=\"$(date -u +%FT%TZ)\"";
        for part in ["no AwsRoleGrant allows it", "2026-01-01T01:01:40Z", "more than 5", command, trouble] {
            assert!(said.message.contains(part), "{row}: {part}: {}", said.message);
        }
        assert_eq!(said.reason, Reason::WithdrawalHeld, "{row}");
    }
}

#[test]
fn a_wave_is_reported_once_and_a_trickle_is_not() {
    // For each row: the limit, the seconds of withdrawals and of holds, and the seconds at which
    // something is reported, with the numbers.
    type Row = (&'static str, Option<usize>, &'static [i64], &'static [i64], &'static [(i64, usize, usize)]);
    let rows: [Row; 7] = [
        ("nothing", None, &[], &[], &[]),
        ("a few", None, &[0, 0, 0, 0, 0], &[], &[]),
        ("many at once", None, &[0, 0, 0, 0, 0, 0], &[], &[(5, 6, 0)]),
        ("a trickle", None, &[0, 20, 40, 60, 80, 100, 120], &[], &[]),
        ("many in the course of a minute", None, &[0, 10, 20, 30, 40, 50], &[], &[(55, 6, 0)]),
        ("two waves", None, &[0, 0, 0, 0, 0, 0, 30, 30, 30, 30, 30, 30], &[], &[(5, 6, 0), (35, 6, 0)]),
        ("one is held", Some(5), &[0, 0, 0, 0, 0], &[1], &[(6, 5, 1)]),
    ];
    for (row, limit, withdrawn, held, expected) in rows {
        let brake = brake(limit, &[]);
        let mut reported = vec![];
        for second in 0..200 {
            for (fates, fate) in [(withdrawn, Fate::Withdrawn), (held, Fate::Held)] {
                fates.iter().filter(|it| **it == second).for_each(|_| brake.record("scoring", fate, at(second)));
            }
            if let Some(whole) = brake.tell(at(second)) {
                reported.push((second, whole.withdrawn, whole.held));
            }
        }
        assert_eq!(reported, expected, "{row}");
    }
}

#[test]
fn the_report_names_the_numbers_the_namespaces_and_the_command() {
    let namespaces: BTreeMap<String, usize> =
        [("a", 1), ("b", 9), ("c", 2), ("d", 3), ("e", 4), ("f", 5), ("g", 1)].map(|(n, c)| (n.to_owned(), c)).into();
    let withdrawn = Whole { withdrawn: 25, held: 0, namespaces: namespaces.clone() }.statement(&settings(None));
    assert_eq!(withdrawn.reason, Reason::ManyWithdrawn);
    for part in ["25 credentials were withdrawn", "b (9), f (5), e (4), d (3), c (2) and 2 more namespaces", "restore"]
    {
        assert!(withdrawn.message.contains(part), "{part}: {}", withdrawn.message);
    }
    let held = Whole { withdrawn: 5, held: 20, namespaces }.statement(&settings(Some(5)));
    assert_eq!(held.reason, Reason::WithdrawalHeld);
    for part in
        ["5 credentials were withdrawn", "of 20 is held back", "b (9)", "more than 5", &settings(None).command()]
    {
        assert!(held.message.contains(part), "{part}: {}", held.message);
    }
    let longest: BTreeMap<String, usize> = (0..9).map(|n| (format!("{n:063}"), 10_000)).collect();
    let longest = Whole { withdrawn: 50_000, held: 40_000, namespaces: longest }.statement(&settings(Some(50_000)));
    assert!(longest.message.len() <= 1_024, "an Event holds it: {}", longest.message.len());
}

#[test]
fn the_status_tells_a_new_leader_of_a_withdrawal_for_want_of_a_grant() {
    let status = |reason: &str, change: fn(&mut serde_json::Value)| {
        let mut status = json!({
            "conditions": [{"type": "Accepted", "status": "False", "reason": reason, "message": "",
                            "lastTransitionTime": "2026-01-01T00:00:07Z"}],
            "former": {"issuedAt": "2026-01-01T00:00:00Z"},
        });
        change(&mut status);
        serde_json::from_value::<AwsConfigStatus>(status).unwrap()
    };
    let rows = [
        ("withdrawn", status("NotGranted", |_| {}), Some(at(7))),
        ("withdrawn for another reason", status("Suspended", |_| {}), None),
        ("held back", status("WithdrawalHeld", |status| status["accessKeyId"] = json!("ASIA")), None),
        ("never issued", status("NotGranted", |status| status["former"] = json!(null)), None),
        ("not withdrawn", status("NotGranted", |status| status["accessKeyId"] = json!("ASIA")), None),
        ("no condition", status("NotGranted", |status| status["conditions"] = json!([])), None),
    ];
    for (row, status, expected) in rows {
        assert_eq!(went_at(&status), expected, "{row}");
    }
}
