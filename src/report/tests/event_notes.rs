//! The Events: each row is a reconcile and its Events.

use super::{
    assert_lines,
    moment::{Moment, at, denied, fresh, live, unreachable},
};
use crate::{
    api::{ConditionType, Reason},
    decide::target::Target,
};
use jiff::SignedDuration;

fn check(rows: Vec<(&str, Moment, &[&str])>) {
    for (row, moment, expected) in rows {
        let notes = moment.event_notes();
        let lines: Vec<String> = notes
            .iter()
            .map(|note| {
                let type_ = if note.warning { "Warning" } else { "Normal" };
                format!("{type_} {} {}: {}", note.action, note.reason, note.note)
            })
            .collect();
        assert_lines(row, &lines, expected);
    }
}

const NOTHING: &[&str] = &[];

#[test]
fn an_issue_is_an_event_unless_it_is_a_routine_renewal() {
    let suspended = |moment: Moment, is_so| moment.spec(|spec| spec.suspend = is_so);
    let deleted = || live().target(Target::Absent);
    check(vec![
        ("the first issue, before its AwsRole", fresh().issues(), NOTHING),
        (
            "the first issue, after its AwsRole",
            fresh().has_its_role().issues(),
            &["Normal Issue Issued: for \"alice\", valid until 2026-01-01T01:00:00Z"],
        ),
        ("nothing to do", live(), NOTHING),
        ("a routine renewal", live().at("00:45:00").issues(), NOTHING),
        (
            "another credential",
            live().changed().issues(),
            &["Normal Issue Issued: for \"alice\", valid until 2026-01-01T01:15:00Z"],
        ),
        (
            "a repair",
            deleted().issues(),
            &["Warning Repair Drifted: Secret \"alice-aws\" was changed or deleted by somebody else"],
        ),
        (
            "a repair of a forgery, or after a crash",
            live().reads_unconfirmed().issues(),
            &["Warning Repair Drifted: Secret \"alice-aws\" held another credential than status has"],
        ),
        ("a repair that failed", deleted().fails(denied()), &["Warning Issue AssumeRoleDenied: IAM refused"]),
        (
            "after a suspension",
            suspended(suspended(live(), true).withdraws().then("00:16:00"), false).issues(),
            &["Normal Issue Issued: valid until 2026-01-01T01:16:00Z"],
        ),
    ]);
}

#[test]
fn a_confirmation_that_is_due_is_an_event_once() {
    let due = || live().created(at("00:10:00") - SignedDuration::from_hours(24 * 76), 90);
    check(vec![
        (
            "it is due",
            due(),
            &["Warning Confirm NotConfirmed: counts until 2026-01-15T00:10:00Z, then keyturn withdraws the credential"],
        ),
        ("it is still due", due().then("00:16:00"), NOTHING),
    ]);
}

#[test]
fn a_failing_renewal_is_an_event_when_it_begins_and_when_it_ends() {
    let failing = || live().at("00:45:00").fails(denied()).then("00:45:30");
    check(vec![
        ("it begins", live().at("00:45:00").fails(denied()), &["Warning Renew AssumeRoleDenied: IAM refused"]),
        ("it is held back", failing().at("00:45:20"), NOTHING),
        ("it fails again", failing().fails(denied()), NOTHING),
        ("it fails for another reason", failing().fails(unreachable()), NOTHING),
        ("it ends", failing().issues(), &["Normal Renew Renewed: renewal works again"]),
    ]);
}

#[test]
fn a_failing_first_issue_is_an_event_for_each_new_reason() {
    let failing = || fresh().fails(denied()).then("00:00:30");
    check(vec![
        ("the first failure", fresh().fails(denied()), &["Warning Issue AssumeRoleDenied: IAM refused"]),
        ("it is held back", failing().at("00:00:20"), NOTHING),
        ("it fails again", failing().fails(denied()), NOTHING),
        ("another reason", failing().fails(unreachable()), &["Warning Issue Unreachable: STS could not be reached"]),
        ("it works", failing().issues(), &["Normal Issue Issued: valid until 2026-01-01T01:00:30Z"]),
        (
            "a Secret of somebody else",
            fresh().foreign(),
            &["Warning Issue ForeignTarget: Secret \"alice-aws\" exists and is the Deployment controller's"],
        ),
    ]);
}

#[test]
fn a_withdrawal_is_one_event() {
    let refused = || live().without_grant();
    let expired = || live().at("00:59:50").fails(denied()).then("01:00:00").withdraws();
    check(vec![
        ("no grant", refused().withdraws(), &["Warning Withdraw NotGranted: stays usable until 2026-01-01T01:00:00Z"]),
        ("no grant, in the next reconcile", refused().withdraws().then("00:16:00"), NOTHING),
        ("no grant, and nothing was issued", fresh().without_grant(), &["Warning Issue NotGranted: no AwsRoleGrant"]),
        (
            "another reason",
            refused().withdraws().then("00:16:00").spec(|spec| spec.suspend = true).withdraws(),
            &["Warning Withdraw Suspended: spec.suspend is true"],
        ),
        (
            "a deletion in place of a withdrawal",
            refused().deletes(),
            &[
                "Warning Delete Drifted: Secret \"alice-aws\" was deleted",
                "Warning Withdraw NotGranted: no AwsRoleGrant",
            ],
        ),
        ("expired", expired(), &["Warning Withdraw Expired: could not be renewed: IAM refused"]),
        ("expired, and the next attempt is held back", expired().then("01:00:10"), NOTHING),
    ]);
}

#[test]
fn a_denial_is_an_event_when_it_begins_and_when_it_ends() {
    let deny = || serde_json::json!({"effect": "Deny", "persons": ["alice"]});
    let denied = || live().another_grant("leavers", deny()).withdraws();
    let next = || denied().then("00:16:00");
    let without_a_view = |mut moment: Moment| {
        (moment.seen.grants, moment.seen.grants_seen) = (vec![], false);
        moment
    };
    let ended = "Normal Allow DenialEnded: no AwsRoleGrant denies this request any more";
    check(vec![
        (
            "a denial",
            denied(),
            &[
                "Warning Withdraw Denied: AwsRoleGrant \"leavers\" (effect Deny) denies person \"alice\" every credential",
            ],
        ),
        ("the next reconcile", next(), NOTHING),
        (
            "the grant is deleted",
            next().deletes_grant("leavers").issues(),
            &[ended, "Normal Issue Issued: valid until 2026-01-01T01:16:00Z"],
        ),
        (
            "the grant is deleted, and nothing allows it",
            next().without_grant().withdraws(),
            &[ended, "Warning Withdraw NotGranted: no AwsRoleGrant allows"],
        ),
        (
            "a new process that has seen no grant yet",
            without_a_view(next()),
            &["Warning Issue NotGranted: no AwsRoleGrant allows"],
        ),
        ("a second denial takes its place", next().deletes_grant("leavers").another_grant("others", deny()), NOTHING),
        (
            "a suspension hides the denial",
            next().spec(|spec| spec.suspend = true).withdraws(),
            &["Warning Withdraw Suspended: spec.suspend is true"],
        ),
    ]);
}

#[test]
fn a_finding_is_an_event_when_it_appears() {
    let pods = |moment: Moment, pods| moment.finds(ConditionType::PodsMissed, pods);
    let workloads = |moment: Moment, workloads| moment.finds(ConditionType::RestartFailing, workloads);
    let restarting = || {
        live().spec(|spec| {
            spec.restart =
                vec![serde_json::from_value(serde_json::json!({"kind": "Deployment", "name": "a"})).unwrap()];
        })
    };
    let (a, b) = (Some((Reason::NotInjected, "pod a")), Some((Reason::NotInjected, "pod b")));
    let (paused, denied) =
        (Some((Reason::RestartBlocked, "a is paused")), Some((Reason::RestartDenied, "no right to restart a")));
    check(vec![
        ("pods are missed", pods(live(), a), &["Warning Inject NotInjected: pod a"]),
        ("other pods are missed", pods(pods(live(), a).then("00:16:00"), b), NOTHING),
        ("no pod is missed any more", pods(pods(live(), a).then("00:16:00"), None), NOTHING),
        (
            "pods are missed anew",
            pods(pods(pods(live(), a).then("00:16:00"), None).then("00:17:00"), a),
            &["Warning Inject NotInjected: pod a"],
        ),
        ("a workload is paused", workloads(restarting(), paused), &["Warning Restart RestartBlocked: a is paused"]),
        ("it is still paused", workloads(workloads(restarting(), paused).then("00:16:00"), paused), NOTHING),
        (
            "another obstacle",
            workloads(workloads(restarting(), paused).then("00:16:00"), denied),
            &["Warning Restart RestartDenied: no right to restart a"],
        ),
        (
            "another sentence of the same reason",
            workloads(workloads(restarting(), paused).then("00:16:00"), Some((Reason::RestartBlocked, "a hangs"))),
            &["Warning Restart RestartBlocked: a hangs"],
        ),
    ]);
}
