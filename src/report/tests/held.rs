//! The report of a withdrawal that the brake holds back: each row is a reconcile.

use super::{
    assert_lines,
    moment::{Moment, at, live},
};
use crate::{
    api::{Reason, WithdrawalHeld},
    report::withdrawn_for,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

/// alice at 00:15. Her grant is gone, and the withdrawal is held back.
fn held() -> Moment {
    live().without_grant().braked()
}

fn granted_again(moment: Moment) -> Moment {
    let role = super::moment::ROLE;
    moment.another_grant("again", json!({"roles": [role], "namespaces": {"names": ["scoring"]}, "persons": ["*"]}))
}

/// A reconcile, its conditions, the hold in status, and the reasons of its Events.
type Row<'a> = (&'a str, Moment, &'a [&'a str], Option<WithdrawalHeld>, &'a [&'a str]);

#[test]
fn a_hold_is_in_the_conditions_the_status_and_one_event() {
    let conditions = |moment: &Moment| -> Vec<String> {
        let conditions = moment.status().conditions;
        conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message)).collect()
    };
    let since = |time| Some(WithdrawalHeld { since: Time(at(time)), until: Time(at("01:00:00")) });
    let said = [
        "Accepted=False WithdrawalHeld: until 2026-01-01T01:00:00Z",
        "Issued=True Issued: holds credentials",
        "Ready=False WithdrawalHeld: kubectl -n keyturn-system annotate configmap keyturn-withdrawals",
    ];
    let gone = ["Accepted=False NotGranted", "Issued=False NotGranted", "Ready=False NotGranted: stays usable until"];
    let fine = ["Accepted=True Granted", "Issued=True Issued", "Ready=True Issued"];
    let rows: [Row<'_>; 6] = [
        ("it begins", held(), &said, since("00:15:00"), &["WithdrawalHeld"]),
        ("it goes on", held().then("00:20:00"), &said, since("00:15:00"), &[]),
        ("after a restart", held().then("00:20:00").restarted(), &said, since("00:15:00"), &[]),
        ("it is confirmed", held().then("00:20:00").confirmed("00:19:00").withdraws(), &gone, None, &["NotGranted"]),
        (
            "the withdrawal does not succeed at once",
            held().then("00:20:00").confirmed("00:19:00"),
            &["Accepted=False WithdrawalHeld", "Issued=True Issued", "Ready=False WithdrawalHeld"],
            since("00:15:00"),
            &[],
        ),
        ("the grant is back", granted_again(held().then("00:20:00")), &fine, None, &["Issued"]),
    ];
    for (row, moment, expected, hold, events) in rows {
        assert_lines(row, &conditions(&moment), expected);
        let status = moment.status();
        assert_eq!(status.withdrawal_held, hold, "{row}");
        let trouble = status.trouble.map(|trouble| trouble.word);
        assert_eq!(
            trouble.as_deref(),
            expected[2].split_once("False ").map(|(_, rest)| rest.split(':').next().unwrap()),
            "{row}"
        );
        let reasons: Vec<String> = moment.event_notes().into_iter().map(|note| note.reason).collect();
        assert_eq!(reasons, events, "{row}");
    }
}

#[test]
fn a_hold_is_reconciled_at_its_end_at_the_latest() {
    let rows = [("it begins", held(), "00:25:00"), ("shortly before its end", held().then("00:55:00"), "01:00:00")];
    for (row, moment, expected) in rows {
        assert_eq!(moment.next_reconcile(), at(expected), "{row}");
    }
}

#[test]
fn a_withdrawal_counts_once_and_by_its_reason() {
    let gone = |moment: Moment| moment.without_grant().withdraws();
    let rows = [
        ("nothing is withdrawn", live(), None),
        ("a renewal", live().at("00:45:00").issues(), None),
        ("held back", held(), None),
        ("no grant", gone(live()), Some(Reason::NotGranted)),
        ("it is withdrawn already", gone(live()).then("00:16:00").spec(|spec| spec.suspend = true).withdraws(), None),
        ("a Secret that cannot be written", live().without_grant().deletes(), Some(Reason::NotGranted)),
    ];
    for (row, moment, expected) in rows {
        assert_eq!(withdrawn_for(&moment.seen, &moment.plan(), &moment.outcome), expected, "{row}");
    }
}
