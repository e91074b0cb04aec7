//! When a credential is tried: once for each request.

use super::{super::verification::Due, *};
use crate::{
    api::Verify,
    verify::{Verdict, Verification},
};

/// alice's healthy config with `spec.verify: Buckets`, and one bucket.
fn verifying() -> Observed {
    let mut seen = healthy();
    config(&mut seen, |config| {
        config.spec.verify = Verify::Buckets;
        config.spec.default_bucket = Some("team".into());
    });
    let digest = rendering(&seen).digest();
    record(&mut seen).render_digest = digest;
    seen
}

fn asked(seen: &Observed) -> Verification {
    verification(seen, None, seen.target.record().unwrap(), now()).unwrap()
}

/// The trial after the plan for what is seen. The record is the one of the Secret.
fn due(seen: &Observed, is_new: bool) -> Option<Due> {
    let plan = decide(seen, now());
    trial(seen, &plan, seen.target.record().unwrap(), is_new, now())
}

fn made(seen: &Observed, verdict: Verdict) -> Trial {
    Trial::Made { digest: asked(seen).digest, verdict }
}

fn refused() -> Verdict {
    Verdict::Refused(Statement::new(Reason::BucketRefused, "refused"))
}

fn recorded(seen: &mut Observed) {
    let digest = asked(seen).digest;
    config(seen, |config| config.status.get_or_insert_default().verified_request = Some(digest));
}

fn remembered(seen: &mut Observed, trials: &[Verdict]) {
    for verdict in trials {
        let tried = Tried::after(&made(seen, verdict.clone()), seen.remembered.tried.as_deref(), now());
        seen.remembered.tried = Some(Box::new(tried));
    }
}

#[test]
fn a_request_is_tried_once_whatever_aws_answered() {
    type Row = (&'static str, fn(&mut Observed), bool);
    let rows: [Row; 9] = [
        ("nothing is recorded", |_| (), true),
        ("it is recorded", recorded, false),
        ("it is remembered, and status could not be written", |seen| remembered(seen, &[refused()]), false),
        (
            "another bucket is named",
            |seen| {
                recorded(seen);
                config(seen, |config| config.spec.default_bucket = Some("other".into()));
                let digest = rendering(seen).digest();
                record(seen).render_digest = digest;
            },
            true,
        ),
        (
            "the region is another",
            |seen| {
                recorded(seen);
                config(seen, |config| config.spec.region = Some("us-east-1".into()));
                let digest = rendering(seen).digest();
                record(seen).render_digest = digest;
            },
            true,
        ),
        ("nothing is asked for", |seen| config(seen, |config| config.spec.verify = Verify::None), false),
        ("the config is suspended", |seen| config(seen, |config| config.spec.suspend = true), false),
        ("the Secret is somebody else's", |seen| record(seen).withdrawn = Some("Suspended".into()), false),
        (
            "it was asked for too often",
            |seen| seen.remembered.used_until = Some(now() + SignedDuration::from_mins(5)),
            false,
        ),
    ];
    for (row, change, expected) in rows {
        let mut seen = verifying();
        change(&mut seen);
        assert_eq!(matches!(due(&seen, false), Some(Due::Now(_))), expected, "{row}");
    }
}

#[test]
fn a_new_session_that_a_user_asks_for_is_tried_again() {
    let mut seen = verifying();
    recorded(&mut seen);
    config(&mut seen, |config| {
        config.metadata.annotations = Some([(names::RENEW.to_owned(), "now".to_owned())].into());
    });
    assert_eq!(decide(&seen, now()).action(), Some(&SecretAction::Issue(Trigger::Requested)));
    assert!(matches!(due(&seen, true), Some(Due::Now(_))));
}

#[test]
fn a_renewal_of_the_same_request_is_not_tried() {
    let mut seen = verifying();
    recorded(&mut seen);
    record(&mut seen).issued_at = issued_at() - SignedDuration::from_mins(44);
    record(&mut seen).expires_at = Some(now() + SignedDuration::from_secs(60));
    assert_eq!(decide(&seen, now()).action(), Some(&SecretAction::Issue(Trigger::Due)));
    assert_eq!(due(&seen, true), None);
}

#[test]
fn silence_is_tried_again_five_times_and_then_with_each_new_credential() {
    let silence = Verdict::unknown("AWS did not answer");
    let mut waits = vec![];
    let mut seen = verifying();
    for _ in 0..5 {
        remembered(&mut seen, std::slice::from_ref(&silence));
        waits.push(match due(&seen, false) {
            Some(Due::At(at)) => Some(at.duration_since(now()).as_secs()),
            _ => None,
        });
    }
    assert_eq!(waits, [Some(30), Some(60), Some(120), Some(240), None]);
    assert!(matches!(due(&seen, true), Some(Due::Now(_))), "a new credential is in hand");
    remembered(&mut seen, &[refused(), silence]);
    assert!(matches!(due(&seen, false), Some(Due::At(_))), "an answer in between ends the count");
}

#[test]
fn a_trial_that_waits_for_its_turn_counts_as_none() {
    let mut seen = verifying();
    let wait = SignedDuration::from_secs(7);
    for _ in 0..9 {
        let waits = Trial::Waits { digest: asked(&seen).digest, wait };
        seen.remembered.tried = Some(Box::new(Tried::after(&waits, seen.remembered.tried.as_deref(), now())));
    }
    assert_eq!(due(&seen, false), Some(Due::At(now() + wait)));
    let mut other = verifying();
    config(&mut other, |config| config.spec.verify = Verify::Identity);
    other.remembered = seen.remembered;
    assert!(matches!(due(&other, false), Some(Due::Now(_))), "another question does not wait for it");
}
