//! The fields of status beside its conditions.

use super::moment::{Moment, at, denied, fresh, live};
use crate::{api::Former, decide::target::SecretData};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

#[test]
fn a_credential_is_repeated_in_status_while_it_is_live() {
    let rows = [
        ("no issue yet", fresh(), [None, None, None]),
        ("the first issue", fresh().issues(), [Some("00:00:00"), Some("01:00:00"), Some("00:40:00")]),
        ("a renewal", live().at("00:45:00").issues(), [Some("00:45:00"), Some("01:45:00"), Some("01:25:00")]),
        ("without an end", live().without_end(), [Some("00:00:00"), None, None]),
        ("withdrawn", live().without_grant().withdraws(), [None, None, None]),
        ("expired", live().at("01:00:00"), [None, None, None]),
    ];
    for (row, moment, expected) in rows {
        let status = moment.status();
        let is_live = expected[0].is_some();
        let times = [status.issued_at, status.expires_at, status.renew_at].map(|time| time.map(|Time(at)| at));
        assert_eq!(times, expected.map(|time| time.map(at)), "{row}");
        assert_eq!(status.access_key_id.is_some(), is_live, "{row}");
        assert_eq!(status.person.as_deref(), is_live.then_some("alice"), "{row}");
    }
    let mut unbelieved = live().without_grant();
    unbelieved.seen.grants_seen = false;
    let status = unbelieved.status();
    assert!(status.access_key_id.is_some() && status.renew_at.is_none(), "a refused credential is not renewed");
}

#[test]
fn an_unverified_record_does_not_get_into_status() {
    let forged = || {
        let mut moment = live();
        moment.ours().content = SecretData::Unknown;
        let record = moment.ours().record.as_mut().unwrap();
        record.access_key_id = "AKIAMINE".into();
        record.person = "mallory".into();
        record.expires_at = Some(at("23:00:00"));
        record.content_digest = "forged".into();
        moment
    };
    let before = live().status();
    let status = forged().status();
    assert!(before.access_key_id.is_some() && before.target.as_ref().unwrap().content_digest.is_some());
    let compared = |status: &crate::api::AwsConfigStatus| {
        let digest = status.target.as_ref().and_then(|target| target.content_digest.clone());
        let credential = (status.access_key_id.clone(), status.person.clone(), status.expires_at.clone());
        (digest, credential, status.former.clone())
    };
    assert_eq!(compared(&status), compared(&before));
    let expired = forged().at("01:00:00").status();
    assert_eq!((expired.access_key_id, expired.expires_at), (None, None), "what has expired is not reported");
}

#[test]
fn the_digest_in_status_is_that_of_the_last_write() {
    let digest = |moment: &Moment| moment.status().target.unwrap().content_digest;
    let written =
        |moment: &Moment| moment.outcome.written.as_ref().map(|written| written.record.content_digest.clone());
    let (first, renewed, withdrawn) =
        (fresh().issues(), live().at("00:45:00").issues(), live().without_grant().withdraws());
    for (row, moment) in [("the first issue", &first), ("a renewal", &renewed), ("a withdrawal", &withdrawn)] {
        assert!(digest(moment).is_some(), "{row}");
        assert_eq!(digest(moment), written(moment), "{row}");
    }
    assert_eq!(digest(&live()), digest(&first), "nothing to do");
    assert_eq!(digest(&live().reads_unconfirmed()), digest(&first), "a forgery");
    assert_eq!(digest(&live().without_grant().deletes()), None, "a deletion");
    assert_eq!(digest(&live().foreign()), None, "a Secret of somebody else");
}

#[test]
fn a_former_credential_is_the_one_that_programs_may_still_use() {
    let renewed = || live().at("00:45:00").issues();
    let rows = [
        ("the first issue", fresh().issues(), None),
        ("nothing to do", live(), None),
        ("a renewal", renewed(), Some("00:00:00")),
        ("a reconcile after a renewal", renewed().then("00:46:00"), Some("00:00:00")),
        ("the next renewal", renewed().then("01:30:00").issues(), Some("00:45:00")),
        ("a withdrawal", live().without_grant().withdraws(), Some("00:00:00")),
        ("a reconcile after a withdrawal", live().without_grant().withdraws().then("00:16:00"), Some("00:00:00")),
    ];
    for (row, moment, expected) in rows {
        let former = moment.status().former.map(|Former { issued_at: Time(at), .. }| at);
        assert_eq!(former, expected.map(at), "{row}");
    }
}

#[test]
fn a_version_is_recorded_while_the_content_of_the_secret_is_known() {
    let relabelled = |moment: Moment| {
        let mut moment = moment;
        moment.ours().metadata.resource_version = Some("2000".into());
        moment
    };
    let rows = [
        ("no Secret", fresh(), None),
        ("a write", fresh().issues(), Some("1")),
        ("nothing to do", live(), Some("1")),
        ("somebody labelled the Secret", relabelled(live()).reads(true), Some("1")),
        (
            "nothing was recorded, and the Secret was read",
            { relabelled(live()).recorded(|status| status.target = None).reads(true) },
            Some("2000"),
        ),
        ("somebody edited the Secret", relabelled(live()).reads(false), None),
        ("a Secret of somebody else", live().foreign(), None),
    ];
    for (row, moment, expected) in rows {
        let target = moment.status().target.unwrap();
        assert_eq!((target.name.as_str(), target.resource_version.as_deref()), ("alice-aws", expected), "{row}");
    }
}

#[test]
fn a_durable_failure_is_recorded_until_the_attempt_succeeds() {
    let failing = || live().at("00:45:00").fails(denied()).then("00:45:30");
    let rows = [
        ("the first failure", live().at("00:45:00").fails(denied()), Some((1, "00:45:30"))),
        ("the second failure", failing().fails(denied()), Some((2, "00:46:30"))),
        ("held back", failing().at("00:45:20"), Some((1, "00:45:30"))),
        ("success", failing().issues(), None),
        ("a refusal", failing().without_grant().withdraws(), None),
        ("another request", failing().changed().fails(denied()), Some((1, "00:46:00"))),
    ];
    for (row, moment, expected) in rows {
        let failure = moment.status().failure.map(|failure| (failure.count, failure.next_attempt_at.0));
        assert_eq!(failure, expected.map(|(count, next)| (count, at(next))), "{row}");
    }
}
