//! Renewal: when keyturn issues a credential again, when it only renders the Secret again, and what
//! each costs.

use super::world::{Cost, World};
use crate::fixtures::{SCORING, alice, config, role};
use jiff::{SignedDuration, Timestamp};
use keyturn::api::{AwsConfigSpec, Format, Session, Target, TargetValue};
use std::{collections::BTreeMap, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

fn duration(text: &str) -> Option<Session> {
    Some(Session { duration: Some(text.parse().unwrap()), ..Session::default() })
}

fn with_target(spec: &mut AwsConfigSpec, change: impl FnOnce(&mut Target)) {
    change(spec.target.get_or_insert_default());
}

// ---- When ---------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_credential_is_renewed_by_the_user_s_margin_before_expiry() {
    let margin = Some("20m".parse().unwrap());
    let world = World::with(&[config("alice", |spec| spec.renew_before = margin)]).await;
    let first = world.record("alice").unwrap();
    assert_eq!(world.status("alice").renew_at.unwrap().0, first.expires_at.unwrap() - SignedDuration::from_mins(20));

    world.pass(Duration::from_secs(40 * 60 - 5)).await;
    assert_eq!(world.sts.count(), 0, "not before its time");
    world.pass(Duration::from_secs(5)).await;
    world.at_once("it is renewed", |world| world.sts.count() == 1).await;
    assert_eq!(world.record("alice").unwrap().issued_at, first.expires_at.unwrap() - SignedDuration::from_mins(20));
}

#[tokio::test(start_paused = true)]
async fn a_later_margin_moves_the_renewal_for_one_status_write() {
    let world = World::with(&[alice()]).await;
    let record = world.record("alice").unwrap();
    world.change("alice", |spec| spec.renew_before = Some("10m".parse().unwrap()));
    world.at_once("status says so", |world| world.is_ready("alice")).await;
    assert_eq!(world.status("alice").renew_at.unwrap().0, record.expires_at.unwrap() - SignedDuration::from_mins(10));
    assert_eq!(world.cost(), Cost { sts: 0, reads: 0, writes: 1 }, "{}", world.picture());

    world.change("alice", |spec| spec.renew_before = Some("59m".parse().unwrap()));
    world.pass(Duration::from_secs(17 * 60)).await;
    assert_eq!(world.sts.count(), 0, "no renewal before 30 % of the lifetime");
    world.pass(Duration::from_secs(70)).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn twenty_configs_are_valid_all_week_for_the_promised_calls() {
    let configs: Vec<_> = (0..20)
        .map(|n| {
            let length = ["8h", "12h"][n % 2];
            config(&format!("person-{n}"), |spec| spec.session = duration(length))
        })
        .collect();
    let world = World::with(&configs).await;
    let due = |name: &str| {
        let status = world.status(name);
        let (issued_at, renew_at) = (status.issued_at.unwrap().0, status.renew_at.unwrap().0);
        (issued_at, renew_at.duration_since(issued_at).as_secs())
    };
    let schedule: BTreeMap<String, (Timestamp, i64)> =
        (0..20).map(|n| format!("person-{n}")).map(|name| (name.clone(), due(&name))).collect();

    for hour in (0..7 * 24).step_by(3) {
        for secret in world.api.list("secrets") {
            let until = secret["metadata"]["annotations"]["keyturn.dev/expires-at"].as_str().unwrap();
            assert!(until.parse::<Timestamp>().unwrap() > world.now(), "hour {hour}: {secret}");
        }
        world.pass(3 * HOUR).await;
    }

    for (person, (issued_at, period)) in &schedule {
        let expected = world.now().duration_since(*issued_at).as_secs() / period;
        let calls = world.sts.count_where(|call| call.session_name.as_ref() == Some(person));
        assert_eq!(calls, usize::try_from(expected).unwrap(), "{person}, every {period} s");
        assert!(world.holds_a_valid_session(person));
    }
    let renewals = world.sts.count();
    assert_eq!(world.cost(), Cost { sts: renewals, reads: 0, writes: 2 * renewals });
    // Also between the checks, every session was replaced before its expiry.
    let mut valid_until = BTreeMap::new();
    for write in world.api.writes().iter().filter(|write| write.is("patch", "secrets")) {
        let annotations = &write.body.as_ref().unwrap()["metadata"]["annotations"];
        let expires_at: Timestamp = annotations["keyturn.dev/expires-at"].as_str().unwrap().parse().unwrap();
        if let Some(before) = valid_until.insert(write.name.clone(), expires_at) {
            assert!(write.at < before, "{} was renewed at {}, after {before}", write.name, write.at);
        }
    }
}

// ---- The request to STS changes -----------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn another_role_is_issued_at_once_and_the_former_stays_inactive() {
    let world = World::with(&[alice()]).await;
    let former = world.status("alice").active_role.unwrap();
    let session = world.value("alice", "AWS_ACCESS_KEY_ID");
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;

    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    assert_eq!(call.role_arn, Some(role("ds-lead")));
    assert_ne!(world.value("alice", "AWS_ACCESS_KEY_ID"), session);
    assert!(world.holds_a_valid_session("alice"));
    assert_eq!(world.record("alice").unwrap().role, role("ds-lead"));

    let roles = world.roles();
    let active = |arn: &str| {
        let found = roles.iter().find(|aws_role| aws_role.spec.role == arn);
        found.and_then(|aws_role| aws_role.status.clone()).and_then(|status| status.active)
    };
    assert_eq!(roles.len(), 2, "the former is retained");
    assert_eq!((active(&role("ds-analyst")), active(&role("ds-lead"))), (Some(false), Some(true)));
    assert_ne!(world.status("alice").active_role.unwrap(), former);
    assert_eq!(world.event_reasons(), ["Issued", "Issued"], "another role is news");

    world.count_from_here();
    world.change("alice", |spec| spec.role = Some(role("ds-analyst")));
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.status("alice").active_role.unwrap(), former, "the former AwsRole is used again");
    assert_eq!(world.roles().len(), 2);
    assert_eq!(world.api.count("create", "awsroles"), 0);
}

#[tokio::test(start_paused = true)]
async fn another_duration_is_issued_at_once() {
    let world = World::with(&[alice()]).await;
    world.change("alice", |spec| spec.session = duration("2h"));
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;
    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    assert_eq!(call.duration_seconds, Some(7200));
    let record = world.record("alice").unwrap();
    assert_eq!(record.expires_at.unwrap().duration_since(record.issued_at), SignedDuration::from_hours(2));
    assert_eq!(world.roles().len(), 1, "the role is the same");
}

#[tokio::test(start_paused = true)]
async fn another_external_id_of_the_grant_is_issued_at_once() {
    let world = World::with(&[alice()]).await;
    world.change_grant("analysts", |spec| spec.external_id = Some("theirs".into()));
    world.at_once("it is issued again", |world| world.sts.count() == 1).await;
    world.settle().await;
    assert_eq!(world.sts.calls()[0].external_id.as_deref(), Some("theirs"));
    assert_eq!(world.status("alice").external_id.as_deref(), Some("theirs"));
    assert_eq!(world.ready("alice"), "True/Issued");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_change_that_leaves_the_request_alone_costs_nothing() {
    let world = World::with(&[alice()]).await;
    world.change_grant("analysts", |spec| spec.persons = vec!["al*".into()]);
    world.settle().await;
    let status_of_the_grant = Cost { writes: world.api.count("patch", "awsrolegrants/status"), ..Cost::NOTHING };
    assert_eq!((world.cost(), status_of_the_grant.writes), (status_of_the_grant, 1), "{}", world.picture());
}

// ---- Only the rendering changes -----------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_change_of_the_rendering_is_written_at_once_without_sts() {
    let world = World::with(&[config("alice", |spec| spec.session = duration("12h"))]).await;
    let (session, events) = (world.value("alice", "AWS_ACCESS_KEY_ID"), world.events());
    let changes: [(&str, fn(&mut AwsConfigSpec)); 8] = [
        ("another region", |spec| spec.region = Some("eu-central-1".into())),
        ("no region", |spec| spec.region = None),
        ("another bucket", |spec| spec.default_bucket = Some("team-b".into())),
        ("no bucket", |spec| spec.default_bucket = None),
        ("further buckets", |spec| spec.extra_buckets = ["shared", "more"].into_iter().collect()),
        ("a label", |spec| {
            with_target(spec, |target| target.labels = BTreeMap::from([("team".into(), TargetValue("ds".into()))]));
        }),
        ("an annotation", |spec| {
            let note = BTreeMap::from([("note".into(), TargetValue("hers".into()))]);
            with_target(spec, |target| target.annotations = note);
        }),
        ("files only", |spec| with_target(spec, |target| target.formats = Some(vec![Format::Files]))),
    ];
    for (what, change) in changes {
        world.count_from_here();
        world.change("alice", change);
        world.at_once(what, |world| world.is_ready("alice")).await;
        // keyturn reads its Secret once and writes it once. The status write records the
        // generation.
        assert_eq!(world.cost(), Cost { sts: 0, reads: 1, writes: 2 }, "{what}: {}", world.picture());
        let process = world.value("alice", "credential-process.json");
        assert!(process.contains(&session), "{what}: the same session");
        world.pass(Duration::from_secs(601)).await;
    }

    let secret = world.secret("alice").unwrap();
    let keys: Vec<String> = secret.data.unwrap().into_keys().collect();
    assert_eq!(keys, ["config", "credential-process.json", "credentials"], "what is no longer rendered is gone");
    assert_eq!(secret.metadata.labels.unwrap().get("team").map(String::as_str), Some("ds"));
    assert_eq!(secret.metadata.annotations.unwrap().get("note").map(String::as_str), Some("hers"));
    assert!(!world.value("alice", "config").contains("region"));
    assert_eq!(world.events(), events, "a rendering is no news");

    world.change("alice", |spec| spec.target = None);
    world.at_once("as at first", |world| world.is_ready("alice")).await;
    let secret = world.secret("alice").unwrap();
    assert!(!secret.metadata.labels.unwrap().contains_key("team"), "a label that is no longer asked for goes");
    assert!(!secret.metadata.annotations.unwrap().contains_key("note"));
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn changes_in_quick_succession_are_each_rendered_at_once() {
    let world = World::with(&[alice()]).await;
    for (n, region) in ["eu-west-2", "eu-west-3", "eu-south-1", "eu-north-1", "eu-central-1"].into_iter().enumerate() {
        world.change("alice", |spec| spec.region = Some(region.into()));
        world.at_once(&format!("change {n}"), |world| world.value("alice", "AWS_REGION") == region).await;
    }
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_changes_at_once_cost_one_call_and_one_secret_write() {
    let world = World::with(&[alice()]).await;
    world.change("alice", |spec| {
        spec.role = Some(role("ds-lead"));
        spec.region = Some("eu-central-1".into());
    });
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;
    world.settle().await;
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.api.count("*", "secrets"), 1, "{}", world.picture());
    assert_eq!(world.value("alice", "AWS_REGION"), "eu-central-1");
    assert_eq!(world.record("alice").unwrap().role, role("ds-lead"));
}

#[tokio::test(start_paused = true)]
async fn a_grant_and_a_config_that_change_together_are_issued_once() {
    let world = World::with(&[alice()]).await;
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.change_grant("analysts", |spec| spec.external_id = Some("theirs".into()));
    world.at_once("alice is ready again", |world| world.is_ready("alice")).await;
    world.settle().await;
    assert!(world.sts.count() <= 2, "{}", world.picture());
    let last = world.sts.calls().pop().unwrap();
    assert_eq!((last.role_arn, last.external_id.as_deref()), (Some(role("ds-lead")), Some("theirs")));
    assert!(world.api.get("Secret", SCORING, "alice-aws").is_some() && world.holds_a_valid_session("alice"));
}
