//! The report of a trial: each row is a reconcile, the condition `Verified`, and the Events.

use super::{
    assert_lines,
    moment::{Moment, at, denied, fresh, live},
};
use crate::{
    api::{ConditionType, Reason, Statement, Verify, find_condition},
    verify::Verdict,
};

fn yes() -> Verdict {
    Verdict::Verified(Statement::new(Reason::Verified, "AWS takes it"))
}

fn no() -> Verdict {
    Verdict::Refused(Statement::new(Reason::BucketRefused, "S3 refuses it"))
}

fn silence() -> Verdict {
    Verdict::unknown("S3 did not answer")
}

/// alice at 00:15, with `spec.verify`. Her session of 00:00 was tried with this result.
fn tried(verdict: Verdict) -> Moment {
    asking(fresh()).issues().tries(verdict).then("00:15:00")
}

fn asking(moment: Moment) -> Moment {
    moment.spec(|spec| spec.verify = Verify::Identity)
}

fn suspended(moment: Moment, is_so: bool) -> Moment {
    moment.spec(|spec| spec.suspend = is_so)
}

/// A reconcile, `Verified`, the trouble, whether the digest is in status, and the Events.
type Row<'a> = (&'a str, Moment, &'a str, Option<&'a str>, bool, &'a [&'a str]);

#[test]
fn a_trial_is_in_its_condition_until_another_request_is_tried() {
    const NO: &str = "False BucketRefused: S3 refuses it";
    const YES: &str = "True Verified: AWS takes it";
    const NOT_YET: &str = "Unknown NotVerified: not tried this credential yet";
    const NEW: &str = "Normal Issue Issued";
    let another = |moment: Moment| moment.changed().issues();
    let rows: Vec<Row<'_>> = vec![
        ("nothing is asked for", live(), "", None, false, &[]),
        ("a first issue", asking(fresh()).has_its_role().issues().tries(yes()), YES, None, true, &[NEW]),
        ("a first issue that is not tried yet", asking(fresh()).has_its_role().issues(), NOT_YET, None, false, &[NEW]),
        (
            "no credential",
            asking(fresh()).fails(denied()),
            "",
            Some("AssumeRoleDenied"),
            false,
            &["Warning Issue AssumeRoleDenied"],
        ),
        ("it stays", tried(yes()), YES, None, true, &[]),
        ("it stays after a restart", tried(no()).restarted(), NO, Some("BucketRefused"), true, &[]),
        ("a routine renewal", tried(yes()).at("00:45:00").issues(), YES, None, true, &[]),
        (
            "a renewal fails",
            tried(yes()).at("00:45:00").fails(denied()),
            YES,
            Some("RenewalFailing"),
            true,
            &["Warning Renew AssumeRoleDenied"],
        ),
        (
            "a refusal",
            asking(live()).tries(no()),
            NO,
            Some("BucketRefused"),
            true,
            &["Warning Verify BucketRefused: S3 refuses it"],
        ),
        ("the same refusal", tried(no()).tries(no()), NO, Some("BucketRefused"), true, &[]),
        ("it is mended", tried(no()).tries(yes()), YES, None, true, &["Normal Verify Verified: AWS takes it"]),
        ("AWS is silent", asking(live()).tries(silence()), "Unknown NotVerified: S3 did not answer", None, false, &[]),
        ("another request", another(tried(yes())), NOT_YET, None, false, &[NEW]),
        (
            "another request is refused",
            another(tried(yes())).tries(no()),
            NO,
            Some("BucketRefused"),
            true,
            &["Warning Verify BucketRefused", NEW],
        ),
        (
            "something else is asked for",
            tried(yes()).spec(|spec| spec.region = Some("eu-west-1".into())),
            YES,
            None,
            true,
            &[],
        ),
        ("nothing is asked for any more", tried(no()).spec(|spec| spec.verify = Verify::None), "", None, false, &[]),
        ("it is withdrawn", suspended(tried(no()), true).withdraws(), "", None, false, &["Warning Withdraw Suspended"]),
    ];
    for (row, moment, expected, trouble, is_recorded, events) in rows {
        let status = moment.status();
        let said = find_condition(&status.conditions, ConditionType::Verified);
        let lines = said.map(|c| format!("{} {}: {}", c.status, c.reason, c.message));
        let expected = if expected.is_empty() { &[][..] } else { &[expected][..] };
        assert_lines(row, lines.as_slice(), expected);
        let generation = moment.seen.config.metadata.generation;
        assert!(said.is_none_or(|said| said.observed_generation == generation), "{row}");
        assert_eq!(status.trouble.map(|trouble| trouble.word).as_deref(), trouble, "{row}");
        assert_eq!(status.verified_request.is_some(), is_recorded, "{row}");
        let notes = moment.event_notes();
        let type_ = |warning| if warning { "Warning" } else { "Normal" };
        let notes: Vec<String> = notes
            .iter()
            .map(|note| format!("{} {} {}: {}", type_(note.warning), note.action, note.reason, note.note))
            .collect();
        assert_lines(row, &notes, events);
    }
}

#[test]
fn a_trial_without_an_answer_is_due_again_and_one_with_an_answer_is_not() {
    let rows = [
        ("an answer", asking(live()).tries(yes()), "00:40:00"),
        ("a refusal", asking(live()).tries(no()), "00:40:00"),
        ("silence", asking(live()).tries(silence()), "00:15:30"),
        ("silence before", asking(live()).tries(silence()).then("00:15:10"), "00:15:30"),
        ("silence twice", asking(live()).tries(silence()).then("00:15:30").tries(silence()), "00:16:30"),
    ];
    for (row, moment, expected) in rows {
        assert_eq!(moment.next_reconcile(), at(expected), "{row}");
    }
}
