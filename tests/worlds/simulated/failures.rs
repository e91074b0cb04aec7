//! Failures of STS and of the API server: the reported reason, the retries, and what survives.

use super::world::World;
use crate::{
    doubles::{
        apiserver::{Failure, Fault, Request},
        rules::Times,
        sts::Behaviour,
    },
    fixtures::{SCORING, alice, config, role},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Seconds between the calls to STS.
fn pauses(world: &World) -> Vec<i64> {
    let times: Vec<Timestamp> = world.sts.calls().iter().map(|call| call.at).collect();
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect()
}

fn error(code: &str) -> Behaviour {
    Behaviour::Error { status: 400, code: code.into(), message: "something else".into() }
}

/// Whether a ready config stays ready and reports that its renewal fails for this reason.
fn renewal_fails(world: &World, name: &str, reason: &str) -> bool {
    let failing = world.condition(name, "RenewalFailing");
    world.is_ready(name) && failing.is_some_and(|(status, why, _)| status == "True" && why == reason)
}

/// Every failure of STS, the reason that users read, and whether the failure is durable.
fn failures() -> Vec<(Behaviour, &'static str, bool)> {
    vec![
        (Behaviour::AccessDenied, "AssumeRoleDenied", true),
        (Behaviour::DurationTooLong, "DurationTooLong", true),
        (Behaviour::RegionDisabled, "RegionDisabled", true),
        (error("SomethingNew"), "Internal", true),
        (Behaviour::MalformedPolicyDocument, "InvalidSpec", true),
        (Behaviour::PackedPolicyTooLarge, "PolicyTooLarge", true),
        (error("ValidationError"), "InvalidSpec", true),
        (error("NotAuthorized"), "AssumeRoleDenied", true),
        (error("IncompleteSignature"), "BaseCredentialsMissing", false),
        (error("RequestExpired"), "ClockSkewed", false),
        (error("InvalidAction"), "Unreachable", false),
        (Behaviour::ExpiredTokenException, "BaseCredentialsMissing", false),
        (Behaviour::Throttling, "Throttled", false),
        (Behaviour::ExpiredToken, "BaseCredentialsMissing", false),
        (Behaviour::InvalidClientTokenId, "BaseCredentialsMissing", false),
        (Behaviour::SignatureDoesNotMatch, "BaseCredentialsMissing", false),
        (Behaviour::InternalFailure, "Unreachable", false),
        (Behaviour::ServiceUnavailable, "Unreachable", false),
        (Behaviour::BrokenXml, "Unreachable", false),
        (Behaviour::EmptyAnswer, "Unreachable", false),
        (Behaviour::ProxyErrorPage, "Unreachable", false),
        (Behaviour::ConnectionFailure, "Unreachable", false),
        (Behaviour::Hang, "Unreachable", false),
    ]
}

// ---- Every failure ------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn each_failure_of_a_first_issue_has_its_reason_and_its_backoff() {
    for (behaviour, reason, slow) in failures() {
        let world = World::started();
        world.sts.always(behaviour.clone());
        world.apply(&alice());
        let refused = format!("False/{reason}");
        world.until(&format!("{behaviour:?} is reported"), |world| world.ready("alice") == refused).await;
        let message = world.condition("alice", "Ready").unwrap().2;
        assert!(message.contains(&role("ds-analyst")) && message.contains("\"alice\""), "{behaviour:?}: {message}");
        assert!(world.secret("alice").is_none(), "{behaviour:?}");
        assert_eq!(world.event_reasons(), [reason], "{behaviour:?}");

        world.pass(10 * MINUTE).await;
        let calls = world.sts.count();
        assert_eq!(world.event_reasons(), [reason], "{behaviour:?}: said once");
        if slow {
            assert_eq!(pauses(&world), [30, 60, 120, 240], "{behaviour:?}");
        } else {
            // The backoff doubles from 1 s to 60 s. Each pause is 50 to 100 % of it, and STS's
            // time-out is added.
            assert!((10..=30).contains(&calls), "{behaviour:?}: {calls} calls in 10 minutes");
            let writes = world.api.count("patch", "awsconfigs/status");
            assert!(writes <= 2, "{behaviour:?}: {writes} writes of status for {calls} attempts");
        }

        world.sts.behave_well();
        let patience = if slow { 11 * MINUTE } else { MINUTE + Duration::from_secs(11) };
        world.pass(patience).await;
        assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{behaviour:?}: {}", world.picture());
        assert_eq!(world.status("alice").failure, None);
        assert_eq!(world.event_reasons(), [reason, "Issued"], "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_of_a_renewal_keeps_the_credential_and_is_reported() {
    for (behaviour, reason, _) in failures() {
        let world = World::with(&[alice()]).await;
        world.sts.always(behaviour.clone());
        world.pass_until_due("alice").await;
        world.pass(Duration::from_secs(15)).await;
        assert!(renewal_fails(&world, "alice", reason), "{behaviour:?}: {}", world.picture());
        assert!(world.holds_a_valid_session("alice"));

        world.sts.behave_well();
        world.pass(2 * MINUTE).await;
        assert!(world.is_ready("alice") && world.condition("alice", "RenewalFailing").is_none(), "{behaviour:?}");
        assert!(world.holds_a_valid_session("alice"));
        assert_eq!(world.event_reasons(), ["Issued", reason, "Renewed"], "{behaviour:?}: a beginning and an end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_sts_refuses_keeps_the_credential_and_one_event() {
    for (behaviour, reason, _) in failures() {
        let world = World::with(&[alice()]).await;
        // A write takes a moment, so that time passes in a loop of writes.
        world.api.fault(Times::UntilCleared, Request::is_write, Fault::Delay(Duration::from_millis(2)));
        world.sts.behave_for(&role("ds-lead"), Times::UntilCleared, behaviour.clone());
        world.change("alice", |spec| spec.role = Some(role("ds-lead")));
        world.pass(MINUTE).await;
        assert!(world.holds_a_valid_session("alice"), "{behaviour:?}: until it expires");
        let message = world.condition("alice", "Ready").unwrap().2;
        assert_eq!(world.ready("alice"), format!("False/{reason}"), "{behaviour:?}");
        assert_eq!(message.matches("the Secret holds credentials of").count(), 1, "{behaviour:?}: {message}");
        let writes = world.api.count("patch", "awsconfigs/status");
        assert!(writes <= 4, "{behaviour:?}: {writes} writes of status");
        assert_eq!(world.event_reasons(), ["Issued", reason], "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_expires_in_an_sts_outage_is_withdrawn() {
    let world = World::with(&[alice()]).await;
    let expires_at = world.record("alice").unwrap().expires_at.unwrap();
    world.sts.always(Behaviour::ConnectionFailure);
    while world.now() < expires_at - SignedDuration::from_secs(1) {
        assert!(world.holds_a_valid_session("alice") && world.ready("alice") == "True/Issued");
        world.pass(Duration::from_secs(1)).await;
    }
    world.pass(Duration::from_secs(2)).await;
    assert!(world.is_withdrawn("alice"), "{}", world.picture());
    assert_eq!(world.ready("alice"), "False/Expired");
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("expired at") && message.contains("STS could not be reached"), "{message}");
    world.pass(30 * MINUTE).await;
    assert_eq!(world.ready("alice"), "False/Expired", "and stays so while STS is away");
    assert_eq!(world.event_reasons(), ["Issued", "Unreachable", "Expired"]);
    let writes = world.api.count("patch", "awsconfigs/status");
    assert!(writes <= 4, "{writes} writes of status in an outage of an hour");
    assert_eq!(world.api.count("patch", "secrets"), 1, "withdrawn once");

    world.sts.behave_well();
    world.pass(MINUTE + Duration::from_secs(1)).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{}", world.picture());
    assert_eq!(world.event_reasons(), ["Issued", "Unreachable", "Expired", "Issued"]);
}

// ---- Backoff ------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_denial_backs_off_from_30_s_to_10_min_even_across_a_restart() {
    let mut world = World::started();
    world.sts.always(Behaviour::AccessDenied);
    world.apply(&alice());
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(pauses(&world), [30, 60, 120, 240, 480, 600, 600, 600, 600]);
    let failure = world.status("alice").failure.unwrap();
    assert_eq!(failure.count, 10);

    world.kill().await;
    world.sts.clear();
    world.start();
    let next = failure.next_attempt_at.0;
    assert!(next > world.now() + SignedDuration::from_secs(60));
    while world.now() < next - SignedDuration::from_secs(1) {
        world.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(world.sts.count(), 0, "no call before its time");
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.status("alice").failure.unwrap().count, 11);
    assert_eq!(world.event_reasons(), ["AssumeRoleDenied"], "a restart is no news");
}

#[tokio::test(start_paused = true)]
async fn a_changed_spec_or_grant_retries_a_denial_at_once() {
    type Change = fn(&World);
    let changes: [(&str, Change); 3] = [
        ("another role", |world| world.change("alice", |spec| spec.role = Some(role("ds-lead")))),
        ("another region", |world| world.change("alice", |spec| spec.region = Some("eu-west-2".into()))),
        ("another grant", |world| world.change_grant("analysts", |spec| spec.persons = vec!["al*".into()])),
    ];
    for (what, change) in changes {
        let world = World::started();
        world.sts.always(Behaviour::AccessDenied);
        world.apply(&alice());
        world.pass(20 * MINUTE).await;
        world.count_from_here();
        change(&world);
        world.settle().await;
        assert_eq!(world.sts.count(), 1, "{what}: at once");
        world.pass(32 * Duration::from_secs(1)).await;
        assert_eq!(world.sts.count(), 2, "{what}: and the pace begins anew");
    }
}

#[tokio::test(start_paused = true)]
async fn one_config_s_denial_delays_no_other_config() {
    let world = World::started();
    world.sts.behave_for(&role("ds-closed"), Times::UntilCleared, Behaviour::AccessDenied);
    for n in 0..20 {
        world.apply(&config(&format!("denied-{n}"), |spec| spec.role = Some(role("ds-closed"))));
        world.apply(&config(&format!("allowed-{n}"), |_| {}));
    }
    world.at_once("all others are served", |world| (0..20).all(|n| world.is_ready(&format!("allowed-{n}")))).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_configs_come_back_after_throttling_as_the_rate_grows() {
    let world = World::started();
    world.sts.always(Behaviour::Throttling);
    for n in 0..100 {
        world.apply(&config(&format!("person-{n}"), |_| {}));
    }
    world.pass(10 * MINUTE).await;
    world.sts.behave_well();
    world.sts.clear();
    world.pass(Duration::from_secs(15)).await;
    assert!((0..100).all(|n| world.is_ready(&format!("person-{n}"))));
    assert_eq!(world.sts.count(), 100);
    let mut seconds = std::collections::BTreeMap::<i64, usize>::new();
    for call in world.sts.calls() {
        *seconds.entry(call.at.as_second()).or_default() += 1;
    }
    let calls: Vec<usize> = seconds.into_values().collect();
    assert!(calls[0] <= 6 && calls.windows(2).all(|pair| pair[1] <= pair[0] + 7), "{calls:?}");
}

// ---- The API server fails -----------------------------------------------------------------------

type Fits = fn(&Request) -> bool;

const WRITES: [(&str, Fits); 5] = [
    ("create Secret", |r| r.is("create", "secrets")),
    ("create AwsRole", |r| r.is("create", "awsroles")),
    ("AwsRole status", |r| r.is("patch", "awsroles/status")),
    ("AwsConfig status", |r| r.is("patch", "awsconfigs/status")),
    ("create Event", |r| r.is("create", "events")),
];

#[tokio::test(start_paused = true)]
async fn one_call_to_sts_is_enough_whichever_write_of_a_first_issue_fails() {
    let faults: [(&str, fn() -> Fault); 8] = [
        ("409", || Fault::status(409)),
        ("429", || Fault::too_many_requests(1)),
        ("500", || Fault::status(500)),
        ("503", || Fault::status(503)),
        ("a lost connection", || Fault::RefuseConnection),
        ("a lost answer", || Fault::LoseAnswer),
        ("a gateway's 504 after the effect", || Fault::RefuseAfter(Failure::new(504, "gateway timeout"))),
        ("no answer", || Fault::HangAfter),
    ];
    for (what, fits) in WRITES {
        for (how, fault) in faults {
            for times in [1, 3] {
                let case = format!("{what}: {how}, {times} times");
                let world = World::started();
                world.api.fault(Times::N(times), fits, fault());
                world.apply(&alice());
                world.pass(3 * MINUTE).await;
                assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{case}: {}", world.picture());
                assert_eq!(world.sts.count(), 1, "{case}: {}", world.picture());
                assert_eq!(world.roles().len(), 1, "{case}");
                assert_eq!(world.roles()[0].status.as_ref().and_then(|s| s.active), Some(true), "{case}");
                let before = world.cost();
                world.pass(10 * MINUTE).await;
                assert_eq!(world.cost(), before, "{case}: at rest");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_to_sts_is_enough_whichever_write_of_a_renewal_fails() {
    let patch_secret: (&str, Fits) = ("patch Secret", |r| r.is("patch", "secrets"));
    for (what, fits) in [patch_secret, WRITES[3]] {
        for fault in [Fault::status(409), Fault::status(500), Fault::LoseAnswer, Fault::HangAfter] {
            let case = format!("{what}: {fault:?}");
            let world = World::with(&[alice()]).await;
            world.api.fault(Times::N(2), fits, fault);
            world.pass_until_due("alice").await;
            world.pass(3 * MINUTE).await;
            assert_eq!(world.sts.count(), 1, "{case}: {}", world.picture());
            assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{case}");
            let record = world.record("alice").unwrap();
            let status = world.status("alice");
            assert_eq!(status.access_key_id, Some(record.access_key_id), "{case}: status says what the Secret holds");
            assert!(status.renew_at.unwrap().0 > world.now(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_ten_minutes_for_its_write_without_another_call() {
    let world = World::started();
    let fits = |r: &Request| r.is_on("secrets") && r.is_write();
    let refusal = world.api.fault(Times::UntilCleared, fits, Fault::status(500));
    world.apply(&alice());
    world.pass(10 * MINUTE).await;
    assert_eq!(world.sts.count(), 1, "one session waits to be written");
    assert!(world.api.count("create", "secrets") < 40, "{} attempts", world.api.count("create", "secrets"));
    world.api.forgive(refusal);
    world.pass(MINUTE).await;
    assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{}", world.picture());
    assert_eq!(world.sts.count(), 1);
}

/// Lasting refusals of the Secret, and a part of what the user has to read.
fn refusals() -> Vec<(&'static str, Fault, &'static str)> {
    let refused = |code, message: &str| Fault::Refuse(Failure::new(code, message));
    vec![
        ("a quota", refused(403, "exceeded quota: keyturn, requested: secrets=1"), "exceeded quota: keyturn"),
        ("a policy", refused(422, "ValidatingAdmissionPolicy 'teams' denied request: no team"), "'teams' denied"),
        ("a webhook that fails", Fault::status(500), "500"),
        ("too many requests", Fault::too_many_requests(1), "429"),
        ("too large", refused(413, "limit is 3145728"), "limit is 3145728"),
        ("no connection", Fault::RefuseConnection, "Secret scoring/alice-aws"),
        ("no answer", Fault::Hang, "did not answer"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_created_is_reported_and_heals() {
    for (case, fault, words) in refusals() {
        let world = World::started();
        let refusal = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), fault);
        world.apply(&alice());
        world.pass(5 * MINUTE).await;
        let (status, reason, message) = world.condition("alice", "Ready").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "ApiCallFailed"), "{case}: {message}");
        assert!(message.contains(words) && message.contains("keyturn tries again"), "{case}: {message}");
        assert_eq!(world.sts.count(), 1, "{case}: the session waits to be written");
        let before = world.api.count("patch", "awsconfigs/status");
        world.pass(3 * MINUTE).await;
        assert_eq!(world.api.count("patch", "awsconfigs/status"), before, "{case}: it is said once");
        world.api.forgive(refusal);
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        assert!(world.holds_a_valid_session("alice") && world.sts.count() == 1, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_cannot_be_written_is_reported_before_and_after_the_end() {
    for (case, fault, words) in refusals() {
        let world = World::with(&[alice()]).await;
        let expires_at = world.status("alice").expires_at.unwrap().0;
        let refusal = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), fault);
        world.pass_until_due("alice").await;
        world.pass(5 * MINUTE).await;
        assert!(renewal_fails(&world, "alice", "ApiCallFailed"), "{case}: {}", world.picture());
        let (_, _, message) = world.condition("alice", "RenewalFailing").unwrap();
        assert!(message.contains(words), "{case}: {message}");
        let rest = expires_at.duration_since(world.now()).unsigned_abs();
        world.pass(rest + 3 * MINUTE).await;
        let (status, reason, message) = world.condition("alice", "Ready").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Expired"), "{case}: {message}");
        assert!(message.contains(words), "{case}: {message}");
        world.api.forgive(refusal);
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        assert!(world.holds_a_valid_session("alice"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_cannot_be_withdrawn_is_reported() {
    for (case, fault, words) in refusals() {
        if case == "a policy" {
            continue; // keyturn deletes such a Secret.
        }
        let world = World::with(&[alice()]).await;
        let refusal = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), fault);
        world.change("alice", |spec| spec.suspend = true);
        world.pass(5 * MINUTE).await;
        let (status, reason, message) = world.condition("alice", "Ready").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Suspended"), "{case}: {message}");
        assert!(message.contains(words) && message.contains("cannot withdraw it"), "{case}: {message}");
        world.api.forgive(refusal);
        world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
        world.settle().await;
        let (_, _, message) = world.condition("alice", "Ready").unwrap();
        assert!(!message.contains("cannot withdraw it"), "{case}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_quotes_the_secret_is_reported_without_it() {
    let world = World::with(&[alice()]).await;
    let held = world.secret("alice").unwrap().data.unwrap();
    let key = String::from_utf8(held["AWS_SECRET_ACCESS_KEY"].0.clone()).unwrap();
    let file = serde_json::to_value(&held["credentials"]).unwrap();
    let message = format!("denied: {key} and {}", file.as_str().unwrap());
    let fault = Fault::Refuse(Failure::new(403, message));
    world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), fault);
    // Another form of the Secret: keyturn writes the same session again.
    world.change("alice", |spec| spec.region = Some("eu-west-3".to_owned()));
    world.pass(5 * MINUTE).await;
    let conditions = format!("{:?}", world.status("alice").conditions);
    assert!(conditions.contains("denied: … and …"), "{conditions}");
    assert!(!conditions.contains(&key), "{conditions}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_stops_nothing() {
    let world = World::started();
    world.api.fault_on(Times::UntilCleared, "create", "events", Fault::forbidden());
    world.apply(&alice());
    world.at_once("alice is ready", |world| world.is_ready("alice")).await;
    world.pass(Duration::from_secs(3 * 3600)).await;
    assert!(world.holds_a_valid_session("alice"));
    assert!(world.api.get("AwsConfig", SCORING, "alice").is_some());
}
