//! The profiles in status, conditions and Events, and the time of their next attempt.

use super::{
    assert_lines,
    moment::{Moment, at, denied, fresh},
};
use crate::{
    api::{ConditionType, find_condition},
    credentials::{Credentials, IssueError, Issued, Retry},
    decide::{Plan, ProfileStep, SecretAction},
    report::ProfileOutcome,
    secret::ProfileRecord,
};
use jiff::SignedDuration;
use serde_json::{from_value, json};

const LAKE: &str = "arn:aws:iam::123456789012:role/lake";

/// alice at 00:00 with the profile `lake`, which the grant allows.
fn asks() -> Moment {
    let lake = json!([{"name": "lake", "role": LAKE}]);
    fresh().spec(|spec| spec.profiles = from_value(lake).unwrap()).grant(|grant| grant.roles.push(LAKE.into()))
}

/// The same at 00:15, with both sessions of 00:00 in the Secret. They are due at 00:40.
fn live() -> Moment {
    holds_lake(asks().issues()).then("00:15:00")
}

fn attempt(plan: &Plan) -> String {
    plan.profiles[0].accepted.as_ref().unwrap().attempt.clone()
}

/// keyturn writes a session of the profile, too.
fn holds_lake(mut moment: Moment) -> Moment {
    let (plan, now) = (moment.plan(), moment.now);
    let credentials =
        Credentials { access_key_id: "ASIALAKE".into(), secret_access_key: "secret".into(), session_token: None };
    let issued = Issued { credentials, issued_at: now, expires_at: Some(now + SignedDuration::from_hours(1)) };
    let request = &plan.profiles[0].accepted.as_ref().unwrap().request;
    let record = ProfileRecord::of("lake", request, &issued);
    moment.outcome.written.as_mut().unwrap().record.profiles = vec![record];
    moment.outcome.profiles = vec![ProfileOutcome { name: "lake".into(), attempt: attempt(&plan), failed: None }];
    moment
}

/// No session of the profile is obtained. If the Secret is written, it keeps the former one.
fn lake_fails(mut moment: Moment, error: IssueError) -> Moment {
    let plan = moment.plan();
    let former = moment.seen.target.record().and_then(|record| record.profile("lake")).cloned();
    let reason = error.why.reason;
    if let Some(written) = &mut moment.outcome.written {
        let record = former.unwrap_or_else(|| ProfileRecord::withdrawn_for("lake", None, reason));
        written.record.profiles = vec![record];
    }
    moment.outcome.profiles =
        vec![ProfileOutcome { name: "lake".into(), attempt: attempt(&plan), failed: Some(error) }];
    moment
}

/// The profile in status, and the conditions that tell of it.
fn lines(moment: &Moment) -> Vec<String> {
    let status = moment.status();
    let lake = status.profile("lake").unwrap();
    let session = if lake.access_key_id.is_some() { "held" } else { "none" };
    let mut lines = vec![format!("lake {session} {}: {}", lake.reason, lake.message.as_deref().unwrap_or_default())];
    for type_ in [ConditionType::Ready, ConditionType::ProfilesReady, ConditionType::RenewalFailing] {
        let condition = find_condition(&status.conditions, type_);
        lines.extend(condition.map(|it| format!("{}={} {}: {}", it.type_, it.status, it.reason, it.message)));
    }
    lines
}

#[test]
fn a_profile_is_reported_beside_the_credential_of_its_config() {
    let due = || live().at("00:45:00");
    let rows: Vec<(&str, Moment, &[&str])> = vec![
        (
            "both are issued",
            holds_lake(asks().has_its_role().issues()),
            &["lake held Issued", "Ready=True Issued", "ProfilesReady=True Issued: every profile (1)"],
        ),
        (
            "STS refuses the profile",
            lake_fails(asks().issues(), denied()),
            &[
                "lake none AssumeRoleDenied: IAM refused",
                "Ready=True Issued",
                "ProfilesReady=False AssumeRoleDenied: profile \"lake\": IAM refused",
            ],
        ),
        (
            "STS refuses the renewal of the profile",
            lake_fails(due().issues(), denied()),
            &[
                "lake held Issued: IAM refused",
                "Ready=True Issued",
                "ProfilesReady=True Issued",
                "RenewalFailing=True AssumeRoleDenied: Its session stays valid until 2026-01-01T01:00:00Z",
            ],
        ),
        (
            "the same a while later",
            lake_fails(due().issues(), denied()).then("00:45:10"),
            &[
                "lake held Issued: IAM refused",
                "Ready=True Issued",
                "ProfilesReady=True Issued",
                "RenewalFailing=True AssumeRoleDenied: profile \"lake\"",
            ],
        ),
        (
            "the profile is no longer granted",
            live().grant(|grant| grant.roles.retain(|role| role != LAKE)),
            &[
                "lake held NotGranted: The session ASIALAKE that was handed out stays usable until 2026-01-01T01:00:00Z",
                "Ready=True Issued",
                "ProfilesReady=False NotGranted: profile \"lake\": no AwsRoleGrant allows",
            ],
        ),
        (
            "the config's own role is no longer granted",
            live().grant(|grant| grant.roles.retain(|role| role == LAKE)).withdraws(),
            &["lake held Issued", "Ready=False NotGranted", "ProfilesReady=True Issued"],
        ),
        (
            "a session that waits for its turn",
            lake_fails(asks().issues(), IssueError::new(crate::api::Reason::HeldBack, Retry::Saturated, "later")),
            &["lake none Pending: a session is being issued", "Ready=True Issued", "ProfilesReady=False Pending"],
        ),
    ];
    for (row, moment, expected) in rows {
        assert_lines(row, &lines(&moment), expected);
    }
}

#[test]
fn the_loss_and_the_return_of_a_profile_are_events() {
    let notes = |moment: &Moment| -> Vec<String> {
        moment.event_notes().into_iter().map(|note| format!("{} {}: {}", note.action, note.reason, note.note)).collect()
    };
    let lost = || live().grant(|grant| grant.roles.retain(|role| role != LAKE));
    let rows: Vec<(&str, Moment, &[&str])> = vec![
        (
            "the first issue",
            holds_lake(asks().has_its_role().issues()),
            &["Issue Issued: profile \"lake\": the Secret holds a session of", "Issue Issued: valid until"],
        ),
        ("a renewal", holds_lake(live().at("00:45:00").issues()), &[]),
        ("lost", lost(), &["Withdraw NotGranted: profile \"lake\": no AwsRoleGrant allows"]),
        ("still lost", lost().then("00:16:00"), &[]),
        (
            "suspended with the whole config",
            live().spec(|spec| spec.suspend = true).withdraws(),
            &["Withdraw Suspended: spec.suspend is true"],
        ),
    ];
    for (row, moment, expected) in rows {
        assert_lines(row, &notes(&moment), expected);
    }
}

#[test]
fn a_profile_is_reconciled_when_it_is_due_or_tried_again() {
    let rows: Vec<(&str, Moment, &str)> = vec![
        ("both are live", live(), "00:40:00"),
        ("a failure of a first issue", lake_fails(asks().issues(), denied()), "00:00:30"),
        ("the same, held back", lake_fails(asks().issues(), denied()).then("00:00:10"), "00:00:30"),
        (
            "a failed renewal shortly before the expiry",
            lake_fails(live().at("00:59:50").issues(), denied()),
            "01:00:00",
        ),
        ("the config's own issue fails, and the profile is next", asks().fails(denied()), "00:00:00"),
        (
            "the same, and the profile is to go",
            live().at("00:45:00").grant(|grant| grant.roles.retain(|role| role != LAKE)).fails(denied()),
            "00:45:00",
        ),
    ];
    for (row, moment, expected) in rows {
        assert_eq!(moment.next_reconcile(), at(expected), "{row}: {:?}", moment.plan().profiles[0].step);
    }
}

#[test]
fn status_names_the_person_while_any_session_is_in_the_secret() {
    let without_own = || live().grant(|grant| grant.roles.retain(|role| role == LAKE)).withdraws();
    for (row, moment, person) in [
        ("both sessions", live(), Some("alice")),
        ("the profile alone", without_own(), Some("alice")),
        ("the profile alone, after its end", without_own().at("01:00:00"), None),
    ] {
        let status = moment.status();
        assert_eq!(status.person.as_deref(), person, "{row}");
        assert_eq!(status.access_key_id.is_some(), row == "both sessions", "{row}");
    }
}

#[test]
fn a_failure_of_a_profile_is_counted_apart() {
    let failing = lake_fails(asks().issues(), denied());
    let status = failing.status();
    assert!(status.failure.is_none(), "the config's own attempt succeeded");
    assert_eq!(status.profile("lake").unwrap().failure.as_ref().unwrap().count, 1);
    let later = failing.then("00:00:10");
    assert!(matches!(later.plan().profiles[0].step, ProfileStep::Hold { .. }));
    assert_eq!(later.plan().action(), Some(&SecretAction::Keep));
    assert_eq!(later.status().profile("lake").unwrap().failure.as_ref().unwrap().count, 1);
    // The trouble of a list is that of the profile.
    assert_eq!(later.status().trouble.unwrap().word, "AssumeRoleDenied");
}
