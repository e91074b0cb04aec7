//! The conditions, those of other rooms among them: each row is a reconcile and its conditions.

use super::{
    assert_lines,
    moment::{Moment, denied, fresh, live, unreachable},
};
use crate::{
    api::{ConditionType, CredentialProvider, Reason},
    credentials::{IssueError, Retry},
    decide::target::Target,
    push::{Place, Slot, Step, Tried},
    report::is_only_a_short_wait,
};
use jiff::SignedDuration;

fn lines(moment: &Moment) -> Vec<String> {
    let conditions = moment.status().conditions;
    conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message)).collect()
}

fn check(rows: &[(&str, Moment, &[&str])]) {
    for (row, moment, expected) in rows {
        assert_lines(row, &lines(moment), expected);
    }
}

/// The same without conditions. Only `status.failure` then says anything of the failure.
fn without_conditions(moment: Moment) -> Moment {
    moment.recorded(|status| status.conditions.clear())
}

const GRANTED: &str = "Accepted=True Granted: AwsRoleGrant \"analysts\" allows it";
const ISSUED: &str = "Issued=True Issued: Secret \"alice-aws\" holds credentials of arn:";
const READY: &str = "Ready=True Issued: Secret \"alice-aws\" holds credentials of arn:";

#[test]
fn an_issue_is_reported_with_what_the_secret_holds() {
    check(&[
        ("the first issue", fresh().issues(), &[GRANTED, ISSUED, READY]),
        ("a renewal", live().at("00:45:00").issues(), &[GRANTED, ISSUED, READY]),
        ("nothing to do", live(), &[GRANTED, ISSUED, READY]),
        (
            "no issue yet",
            fresh(),
            &[
                GRANTED,
                "Issued=False Pending: a credential is being issued",
                "Ready=False Pending: a credential is being issued",
            ],
        ),
        (
            "another credential, which is not issued yet",
            live().changed(),
            &[
                GRANTED,
                "Issued=False Pending: what was asked for is being issued. Until 2026-01-01T01:00:00Z the Secret holds",
                "Ready=False Pending: Until 2026-01-01T01:00:00Z the Secret holds credentials of arn:",
            ],
        ),
    ]);
}

#[test]
fn a_failure_is_reported_by_whether_a_credential_is_live() {
    let due = || live().at("00:45:00");
    let first_denied: &[&str] =
        &[GRANTED, "Issued=False AssumeRoleDenied: IAM refused", "Ready=False AssumeRoleDenied: IAM refused"];
    let renewal_denied: &[&str] = &[GRANTED, ISSUED, READY, "RenewalFailing=True AssumeRoleDenied: IAM refused"];
    let renewal_unreachable: &[&str] = &[GRANTED, ISSUED, READY, "RenewalFailing=True Unreachable: STS could not"];
    check(&[
        ("the first issue, durable", fresh().fails(denied()), first_denied),
        (
            "the first issue, transient",
            fresh().fails(unreachable()),
            &[GRANTED, "Issued=False Unreachable: STS could not", "Ready=False Unreachable: STS could not"],
        ),
        ("a renewal, durable", due().fails(denied()), renewal_denied),
        ("a renewal, transient", due().fails(unreachable()), renewal_unreachable),
        ("a renewal that works again", due().fails(denied()).then("00:46:00").issues(), &[GRANTED, ISSUED, READY]),
        (
            "another credential",
            live().changed().fails(denied()),
            &[
                GRANTED,
                "Issued=False AssumeRoleDenied: IAM refused. Until 2026-01-01T01:00:00Z the Secret holds credentials",
                "Ready=False AssumeRoleDenied: IAM refused. Until 2026-01-01T01:00:00Z",
            ],
        ),
    ]);
}

#[test]
fn an_attempt_that_is_held_back_is_reported_with_its_failure() {
    let held = |moment: Moment| without_conditions(moment.fails(denied()).then("00:45:10"));
    let first_denied: &[&str] =
        &[GRANTED, "Issued=False AssumeRoleDenied: IAM refused", "Ready=False AssumeRoleDenied: IAM refused"];
    let renewal_denied: &[&str] = &[GRANTED, ISSUED, READY, "RenewalFailing=True AssumeRoleDenied: IAM refused"];
    check(&[
        ("the first issue", held(fresh().at("00:45:00")), first_denied),
        ("a renewal", held(live().at("00:45:00")), renewal_denied),
        ("a renewal, after a restart", held(live().at("00:45:00")).restarted(), renewal_denied),
        (
            "a renewal, by this process alone",
            without_conditions(live().at("00:45:00").fails(unreachable()).then("00:45:10")),
            &[GRANTED, ISSUED, READY, "RenewalFailing=True Unreachable: STS could not be reached"],
        ),
        (
            "a credential without an end, withdrawn meanwhile",
            live().without_end().changed().fails(denied()).then("00:15:10").withdraws(),
            first_denied,
        ),
    ]);
}

#[test]
fn a_wait_for_a_turn_is_reported_if_it_is_long_or_comes_often() {
    let waits = |seconds| {
        let wait = Retry::HeldBack(SignedDuration::from_secs(seconds));
        IssueError::new(Reason::HeldBack, wait, "the rate is used up")
    };
    let often = ["00:00:01", "00:00:02", "00:00:03"];
    let again_and_again = often.into_iter().fold(fresh(), |moment, time| moment.fails(waits(1)).then(time));
    let pending: &[&str] = &[GRANTED, "Issued=False Pending: a credential is being issued", "Ready=False Pending"];
    let held_back: &[&str] = &[GRANTED, "Issued=False HeldBack: the rate is used up", "Ready=False HeldBack"];
    check(&[
        ("a short wait", fresh().fails(waits(10)), pending),
        ("a long wait", fresh().fails(waits(11)), held_back),
        ("a long wait that goes on", fresh().fails(waits(11)).then("00:00:05"), held_back),
        ("a short wait for the fourth time", again_and_again.fails(waits(1)), held_back),
    ]);
    let beside_a_push = |result| {
        let mut moment = fresh().fails(waits(10));
        moment.outcome.pushes = vec![(Slot::DssSecrets, Tried { step: Step::Remove(Place::default()), result })];
        moment
    };
    let pushes = [("a step of a push was made", Ok(None), false), ("a push waits as well", Err(waits(10)), true)];
    for (row, result, expected) in pushes {
        let moment = beside_a_push(result);
        assert_eq!(is_only_a_short_wait(&moment.seen, &moment.plan(), &moment.outcome), expected, "{row}");
    }
    for (row, moment, expected) in [
        ("a short wait", fresh().fails(waits(10)), true),
        ("a short wait that goes on", fresh().fails(waits(10)).then("00:00:05"), true),
        ("a long wait", fresh().fails(waits(11)), false),
        ("a long wait that goes on", fresh().fails(waits(11)).then("00:00:05"), false),
        ("a failure that is held back", fresh().fails(denied()).then("00:00:10"), false),
        ("a failure", fresh().fails(denied()), false),
        ("a short wait after a write", live().at("00:45:00").issues().fails(waits(1)), false),
        ("an issue", fresh().issues(), false),
    ] {
        assert_eq!(is_only_a_short_wait(&moment.seen, &moment.plan(), &moment.outcome), expected, "{row}");
    }
}

#[test]
fn a_saturated_outside_system_is_nothing_new() {
    let saturated = || IssueError::new(Reason::DssUnreachable, Retry::Saturated, "DSS serves others");
    check(&[
        (
            "the first issue",
            fresh().fails(saturated()),
            &[GRANTED, "Issued=False Pending: a credential is being issued", "Ready=False Pending"],
        ),
        (
            "the first issue, held back",
            fresh().fails(saturated()).then("00:00:00"),
            &[GRANTED, "Issued=False Pending: a credential is being issued", "Ready=False Pending"],
        ),
        (
            "the first issue, held back for a failure that an older release recorded without a reason",
            fresh().fails(denied()).then("00:00:10").recorded(|status| {
                if let Some(failure) = &mut status.failure {
                    (failure.reason, failure.message) = (None, None);
                }
            }),
            &[GRANTED, "Issued=False Pending: a credential is being issued", "Ready=False Pending"],
        ),
        ("a renewal", live().at("00:45:00").fails(saturated()), &[GRANTED, ISSUED, READY]),
        (
            "a renewal after a failure",
            live().at("00:45:00").fails(denied()).then("00:45:30").fails(saturated()),
            &[GRANTED, ISSUED, READY, "RenewalFailing=True AssumeRoleDenied: IAM refused"],
        ),
    ]);
}

#[test]
fn a_credential_that_expired_says_why_it_was_not_renewed() {
    let held = || live().at("00:59:50").fails(denied()).then("01:00:00");
    let message = ": the credential expired at 2026-01-01T01:00:00Z and could not be renewed: IAM refused";
    let (issued, ready) = (format!("Issued=False Expired{message}"), format!("Ready=False Expired{message}"));
    let expired: &[&str] = &[GRANTED, &issued, &ready];
    check(&[
        ("at the withdrawal", held().withdraws(), expired),
        ("while the next attempt is held back", held().withdraws().then("01:00:10"), expired),
        ("after the next failure", held().withdraws().then("01:00:20").fails(denied()), expired),
        ("after a renewal", held().withdraws().then("01:00:20").issues(), &[GRANTED, ISSUED, READY]),
    ]);
}

#[test]
fn a_refusal_says_how_long_a_session_stays_usable() {
    let refused = |reason: &str| {
        ["Accepted", "Issued", "Ready"].map(|type_| match type_ {
            "Issued" => format!("{type_}=False {reason}"),
            _ => format!(
                "{type_}=False {reason}: The session ASIA0 that was handed out stays usable until 2026-01-01T01:00:00Z"
            ),
        })
    };
    let suspended = |moment: Moment| moment.spec(|spec| spec.suspend = true);
    let rows = [
        ("no grant", live().without_grant().withdraws(), refused("NotGranted")),
        ("no grant, in the next reconcile", live().without_grant().withdraws().then("00:16:00"), refused("NotGranted")),
        ("suspended", suspended(live()).withdraws(), refused("Suspended")),
    ];
    for (row, moment, expected) in rows {
        assert_lines(row, &lines(&moment), &expected.each_ref().map(String::as_str));
    }
    let mut unbelieved = live().without_grant();
    unbelieved.seen.grants_seen = false;
    check(&[
        (
            "no grant was ever seen",
            unbelieved,
            &[
                "Accepted=False NotGranted: stays usable until 2026-01-01T01:00:00Z",
                ISSUED,
                "Ready=False NotGranted: stays usable until 2026-01-01T01:00:00Z",
            ],
        ),
        (
            "a credential without an end",
            live().without_end().without_grant().withdraws(),
            &[
                "Accepted=False NotGranted: The key ASIA0 that was handed out stays usable until it is deactivated in IAM",
                "Issued=False NotGranted",
                "Ready=False NotGranted: stays usable until it is deactivated in IAM",
            ],
        ),
        (
            "another person's",
            live().spec(|spec| spec.person = Some("bob".into())).withdraws(),
            &[
                GRANTED,
                "Issued=False Pending: was \"alice\"'s and the AwsConfig is now for \"bob\". The session ASIA0 that",
                "Ready=False Pending: stays usable until 2026-01-01T01:00:00Z",
            ],
        ),
    ]);
    for (row, moment) in [
        ("nothing was handed out", suspended(fresh())),
        ("what was handed out has expired", suspended(live()).withdraws().then("01:00:00")),
    ] {
        for line in lines(&moment) {
            assert!(line.ends_with("set it to false to get a credential again"), "{row}: {line}");
        }
    }
}

#[test]
fn a_secret_of_somebody_else_stands_in_the_way() {
    let mut taken = fresh();
    taken.outcome.blocked = true;
    let gone = |moment: Moment| moment.target(Target::Absent).fought_over();
    let mut moment_of_older = fresh().target(Target::Absent);
    moment_of_older.seen.older_claim = Some("bob".to_owned());
    check(&[
        (
            "the Secret is foreign",
            fresh().foreign(),
            &[
                GRANTED,
                "Issued=False ForeignTarget: Secret \"alice-aws\" exists and is the Deployment controller's, not",
                "Ready=False ForeignTarget: delete it, or set spec.target.name in a new AwsConfig",
            ],
        ),
        (
            "an older config has the name",
            moment_of_older,
            &[
                GRANTED,
                "Issued=False ForeignTarget: the name of Secret \"alice-aws\" belongs to AwsConfig \"bob\", which has the",
                "Ready=False ForeignTarget: delete that AwsConfig, or set spec.target.name in a new one",
            ],
        ),
        (
            "somebody created it first",
            taken,
            &[GRANTED, "Issued=False ForeignTarget: exists and is somebody else's, not", "Ready=False ForeignTarget"],
        ),
        (
            "somebody deletes it again and again",
            gone(live()),
            &[
                GRANTED,
                "Issued=False Drifted: Secret \"alice-aws\" is changed or deleted by somebody else again and again",
                "Ready=False Drifted: it is put right at 2026-01-01T00:15:08Z at the earliest",
            ],
        ),
        (
            "somebody deletes it again and again, and the last attempt failed",
            gone(live().changed().fails(denied()).then("00:15:10")),
            &[GRANTED, "Issued=False AssumeRoleDenied: IAM refused", "Ready=False AssumeRoleDenied: IAM refused"],
        ),
    ]);
}

#[test]
fn an_api_key_that_is_missing_says_what_the_secret_holds_until_then() {
    let rotated = || fresh().with_api_key("1").issues().obtains_key("7").then("00:15:00").with_api_key("2").reads(true);
    let none: &[&str] = &[
        GRANTED,
        "Issued=False DssDenied: DSS refused. Until then Secret \"alice-aws\" holds credentials of arn:",
        "Ready=False DssDenied: for \"alice\" and no API key of DSS",
    ];
    let former: &[&str] = &[
        GRANTED,
        "Issued=False DssDenied: DSS refused. Until then Secret \"alice-aws\" holds credentials of arn:",
        "Ready=False DssDenied: for \"alice\" and the former API key of DSS",
    ];
    check(&[
        ("the one asked for", fresh().with_api_key("1").issues().obtains_key("7"), &[GRANTED, ISSUED, READY]),
        ("none", fresh().with_api_key("1").issues().key_fails(Reason::DssDenied), none),
        ("none, held back", fresh().with_api_key("1").issues().key_fails(Reason::DssDenied).then("00:00:10"), none),
        ("the former one", rotated().key_fails(Reason::DssDenied), former),
        ("the former one, held back", rotated().key_fails(Reason::DssDenied).then("00:15:10"), former),
        (
            "the former one, nothing tried yet",
            rotated(),
            &[GRANTED, "Issued=False Pending: the API key of DSS is being obtained. Until then", "Ready=False Pending"],
        ),
    ]);
}

#[test]
fn an_api_key_of_another_user_withdraws_the_session_that_stays_usable() {
    let rotated = || fresh().with_api_key("1").issues().obtains_key("7").then("00:15:00").with_api_key("2").reads(true);
    let withdrawn: &[&str] = &[
        GRANTED,
        "Issued=False DssUserMismatch: DSS refused. The session ASIA0 that was handed out stays usable until 2026-01-01T01",
        "Ready=False DssUserMismatch: stays usable until 2026-01-01T01:00:00Z",
    ];
    check(&[
        (
            "the first key",
            fresh().with_api_key("1").key_fails(Reason::DssUserMismatch),
            &[GRANTED, "Issued=False DssUserMismatch: DSS refused", "Ready=False DssUserMismatch: DSS refused"],
        ),
        ("a later key", rotated().takes_back(), withdrawn),
        ("a later key, held back", rotated().takes_back().then("00:15:10"), withdrawn),
        ("a later key, held back after a restart", rotated().takes_back().then("00:15:10").restarted(), withdrawn),
    ]);
}

#[test]
fn a_key_from_a_secret_is_named_by_its_id() {
    let mut key = live().without_end();
    key.ours().record.as_mut().unwrap().role.clear();
    key.seen.grants_seen = false;
    let key = key.without_grant().spec(|spec| spec.credential_provider = CredentialProvider::Default);
    assert_lines(
        "a key",
        &lines(&key)[1..2],
        &["Issued=True Issued: Secret \"alice-aws\" holds the key ASIA0 for \"alice\""],
    );
}

#[test]
fn a_finding_is_a_condition_until_another_room_says_otherwise() {
    const PODS: ConditionType = ConditionType::PodsMissed;
    const WORKLOADS: ConditionType = ConditionType::RestartFailing;
    let missed = || live().finds(PODS, Some((Reason::NotInjected, "pod a")));
    let restarting = |moment: Moment| {
        moment.spec(|spec| {
            spec.restart =
                vec![serde_json::from_value(serde_json::json!({"kind": "Deployment", "name": "a"})).unwrap()];
        })
    };
    let paused = |moment: Moment| moment.finds(WORKLOADS, Some((Reason::RestartBlocked, "a is paused")));
    let fine: &[&str] = &[GRANTED, ISSUED, READY];
    let pods_missed: &[&str] = &[GRANTED, ISSUED, READY, "PodsMissed=True NotInjected: pod a"];
    let restart_failing: &[&str] = &[GRANTED, ISSUED, READY, "RestartFailing=True RestartBlocked: a is paused"];
    check(&[
        ("pods are missed", missed(), pods_missed),
        ("nobody has searched since the restart", missed().then("00:16:00").restarted(), pods_missed),
        ("no pod is missed any more", missed().then("00:16:00").finds(PODS, None), fine),
        ("no pod was ever missed, and nobody has searched", live(), fine),
    ]);
    check(&[
        ("a workload is paused", paused(restarting(live())), restart_failing),
        ("the same after a restart", paused(restarting(live())).then("00:16:00").restarted(), restart_failing),
        ("a workload is paused that the spec does not name", paused(live()), fine),
        (
            "the spec names no workload any more",
            paused(restarting(live())).then("00:16:00").restarted().spec(|spec| spec.restart.clear()),
            fine,
        ),
        (
            "both, beside a failure",
            paused(restarting(missed())).at("00:45:00").fails(denied()),
            &[
                GRANTED,
                ISSUED,
                READY,
                "RenewalFailing=True AssumeRoleDenied",
                "PodsMissed=True NotInjected",
                "RestartFailing=True RestartBlocked",
            ],
        ),
    ]);
}
