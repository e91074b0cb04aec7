//! `spec.verify`: the credential is tried once for each new request, after it was delivered.

use super::world::{Cost, World};
use crate::{
    doubles::{
        apiserver::Fault,
        rules::Times,
        sts::{Behaviour, Call},
    },
    fixtures::{SCORING, config, delivers_key, grant, role},
};
use keyturn::api::{AwsConfigSpec, CredentialProvider, Verify};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// Asks for a trial with these buckets beside `team-a`.
fn with_buckets(buckets: &'static [&'static str]) -> impl FnOnce(&mut AwsConfigSpec) {
    move |spec| {
        spec.verify = Verify::Buckets;
        spec.extra_buckets = buckets.iter().collect();
    }
}

fn verified(world: &World) -> String {
    let found = world.condition("alice", "Verified");
    found.map(|(status, reason, _)| format!("{status}/{reason}")).unwrap_or_default()
}

fn message(world: &World) -> String {
    world.condition("alice", "Verified").map(|(_, _, message)| message).unwrap_or_default()
}

fn is_identity(call: &Call) -> bool {
    call.action == "GetCallerIdentity" && call.access_key_id.as_deref().is_some_and(|key| key != "AKIABASE")
}

/// The trials since the count began: calls to STS, and to S3.
fn tried(world: &World) -> (usize, usize) {
    (world.sts.count_where(is_identity), world.s3.heads().len())
}

/// alice, verified and at rest. Nothing is counted yet.
async fn alice_verified(buckets: &'static [&'static str]) -> World {
    let world = World::with(&[config("alice", with_buckets(buckets))]).await;
    assert_eq!(verified(&world), "True/Verified", "{}", world.picture());
    world
}

#[tokio::test(start_paused = true)]
async fn a_new_request_is_tried_once_and_a_renewal_is_not() {
    let world = World::started();
    world.apply(&config("alice", with_buckets(&["shared"])));
    world.until("alice is verified", |world| verified(world) == "True/Verified").await;
    world.settle().await;
    assert_eq!(tried(&world), (1, 2), "{}", world.picture());
    let arn = "arn:aws:sts::123456789012:assumed-role/ds-analyst/alice";
    assert_eq!(message(&world), format!("AWS takes the credential as {arn}, and S3 shows it \"team-a\", \"shared\""));
    let heads = world.s3.heads();
    let key = world.value("alice", "AWS_ACCESS_KEY_ID");
    assert!(heads.iter().all(|head| head.access_key_id == key), "signed with alice's session: {heads:?}");
    assert!(heads.iter().all(|head| head.host == "s3.eu-west-1.amazonaws.com"), "{heads:?}");
    assert!(world.status("alice").verified_request.is_some() && world.is_ready("alice"));

    world.count_from_here();
    world.pass_until_due("alice").await;
    world.settle().await;
    assert_eq!((world.cost(), tried(&world)), (Cost { sts: 1, reads: 0, writes: 2 }, (0, 0)), "{}", world.picture());
    assert_ne!(world.value("alice", "AWS_ACCESS_KEY_ID"), key, "it is another session");
    assert_eq!(verified(&world), "True/Verified");
}

#[tokio::test(start_paused = true)]
async fn a_trial_costs_no_write_more_than_the_issue_itself() {
    let cost = async |change: fn(&mut AwsConfigSpec)| {
        let world = World::started();
        world.settle().await;
        world.count_from_here();
        world.apply(&config("alice", change));
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        world.settle().await;
        world.cost()
    };
    assert_eq!(cost(|_| ()).await, cost(|spec| spec.verify = Verify::Buckets).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_is_tried_is_tried_and_no_other_change() {
    let rows: [(&str, fn(&mut AwsConfigSpec), (usize, usize)); 7] = [
        ("another role", |spec| spec.role = Some(role("ds-other")), (1, 2)),
        ("another bucket", |spec| spec.default_bucket = Some("team-b".into()), (1, 2)),
        ("another region", |spec| spec.region = Some("us-east-1".into()), (1, 2)),
        ("the identity alone", |spec| spec.verify = Verify::Identity, (1, 0)),
        ("another format", |spec| spec.target = serde_json::from_value(json!({"formats": ["Env"]})).unwrap(), (0, 0)),
        ("a restart", |spec| spec.renew_before = Some("20m".parse().unwrap()), (0, 0)),
        ("no trial", |spec| spec.verify = Verify::None, (0, 0)),
    ];
    for (row, change, expected) in rows {
        let world = alice_verified(&["shared"]).await;
        world.change("alice", change);
        world.settle().await;
        world.until(row, |world| world.is_ready("alice")).await;
        assert_eq!(tried(&world), expected, "{row}: {}", world.picture());
        let is_asked = world.config("alice").unwrap().spec.verify != Verify::None;
        assert_eq!(verified(&world), if is_asked { "True/Verified" } else { "" }, "{row}");
        assert_eq!(world.status("alice").verified_request.is_some(), is_asked, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_set_later_tries_the_session_that_is_there() {
    let world = World::with(&[config("alice", |_| ())]).await;
    let key = world.value("alice", "AWS_ACCESS_KEY_ID");
    assert_eq!(verified(&world), "");
    world.change("alice", with_buckets(&[]));
    world.at_once("alice is verified", |world| verified(world) == "True/Verified").await;
    assert_eq!((world.cost(), tried(&world)), (Cost { sts: 0, reads: 1, writes: 1 }, (1, 1)), "{}", world.picture());
    assert_eq!(world.value("alice", "AWS_ACCESS_KEY_ID"), key);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_neither_the_secret_nor_ready_depends_on_it() {
    let rows = [("a policy", 403, "S3 refuses it, HTTP 403"), ("a wrong name", 404, "it does not exist, HTTP 404")];
    for (row, status, part) in rows {
        let world = World::started();
        world.s3.refuse("theirs", status);
        world.apply(&config("alice", with_buckets(&["theirs"])));
        world.until(row, |world| verified(world) == "False/BucketRefused").await;
        world.settle().await;
        assert!(message(&world).contains(&format!("no access to \"theirs\" ({part})")), "{row}: {}", message(&world));
        assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{row}");
        let trouble = world.status("alice").trouble.unwrap();
        assert_eq!(trouble.word, "BucketRefused", "{row}");
        let told = world.event_reasons().into_iter().filter(|reason| reason == "BucketRefused").count();
        assert_eq!(told, 1, "{row}");

        world.count_from_here();
        world.pass(Duration::from_secs(6 * 3600)).await;
        assert_eq!(tried(&world), (0, 0), "{row}: a refusal is an answer");
        assert_eq!(verified(&world), "False/BucketRefused", "{row}");
        assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_mended_is_tried_again_with_a_new_session() {
    let world = World::started();
    world.s3.refuse("team-a", 403);
    world.apply(&config("alice", with_buckets(&[])));
    world.until("S3 refuses", |world| verified(world) == "False/BucketRefused").await;
    world.s3.refuse("team-a", 200);
    world.api.edit("AwsConfig", SCORING, "alice", |config| {
        config["metadata"]["annotations"] = json!({"keyturn.dev/renew": "1"});
    });
    world.at_once("it is mended", |world| verified(world) == "True/Verified").await;
    assert_eq!(world.status("alice").trouble, None);
    assert!(world.event_reasons().contains(&"Verified".to_owned()), "{:?}", world.events());
}

#[tokio::test(start_paused = true)]
async fn silence_is_tried_again_for_minutes_and_then_with_each_session() {
    let world = World::started();
    world.s3.silence("team-a", true);
    world.apply(&config("alice", with_buckets(&[])));
    world.until("the Secret is there", |world| world.holds_a_valid_session("alice")).await;
    assert_eq!((world.ready("alice"), verified(&world)), (String::new(), String::new()), "the trial goes on");
    world.until("nothing is known", |world| verified(world) == "Unknown/NotVerified").await;
    assert!(message(&world).contains("\"team-a\" (S3 did not answer within 5 s)"), "{}", message(&world));
    assert!(world.is_ready("alice"));
    assert_eq!((world.status("alice").trouble, world.status("alice").verified_request), (None, None));

    world.pass(Duration::from_secs(15 * 60)).await;
    assert_eq!(tried(&world), (5, 5), "{}", world.picture());
    let statuses = world.api.writes().iter().filter(|write| write.path.ends_with("/status")).count();
    assert!(statuses <= 3, "a trial with the same result writes nothing: {}", world.picture());
    world.count_from_here();
    world.pass_until_due("alice").await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(tried(&world), (1, 1), "with the new session");

    world.s3.silence("team-a", false);
    world.pass_until_due("alice").await;
    world.at_once("it is verified", |world| verified(world) == "True/Verified").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_sts_about_the_caller_has_its_own_reason() {
    let error = |status, code: &str| Behaviour::Error { status, code: code.to_owned(), message: String::new() };
    let rows = [
        ("a refusal", Behaviour::InvalidClientTokenId, "False/CredentialRefused", "InvalidClientTokenId"),
        ("a policy", error(403, "AccessDenied"), "False/CredentialRefused", "AccessDenied"),
        ("throttling", Behaviour::Throttling, "Unknown/NotVerified", "throttling"),
        ("a broken connection", Behaviour::ConnectionFailure, "Unknown/NotVerified", "could not be reached"),
        ("no answer", Behaviour::Hang, "Unknown/NotVerified", "did not answer within 5 s"),
        ("a proxy's page", Behaviour::ProxyErrorPage, "Unknown/NotVerified", "no STS response"),
    ];
    for (row, behaviour, expected, part) in rows {
        let world = World::started();
        world.settle().await;
        world.sts.behave_if(Times::UntilCleared, is_identity, behaviour);
        world.apply(&config("alice", with_buckets(&[])));
        world.until(row, |world| verified(world) == expected).await;
        assert!(message(&world).contains(part), "{row}: {}", message(&world));
        assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{row}");
        assert_eq!(world.s3.heads(), [], "{row}: S3 is not asked as nobody");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_another_region_is_asked_for_there() {
    let world = World::started();
    world.s3.place("team-a", "us-east-1");
    world.apply(&config("alice", with_buckets(&[])));
    world.until("alice is verified", |world| verified(world) == "True/Verified").await;
    let hosts: Vec<(String, String)> = world.s3.heads().into_iter().map(|head| (head.host, head.region)).collect();
    let of = |region: &str| (format!("s3.{region}.amazonaws.com"), region.to_owned());
    assert_eq!(hosts, [of("eu-west-1"), of("us-east-1")]);
}

#[tokio::test(start_paused = true)]
async fn a_region_of_another_partition_gets_no_credential() {
    let world = World::started();
    world.apply(&config("alice", |spec| {
        spec.verify = Verify::Buckets;
        spec.region = Some("cn-north-1".into());
    }));
    world.until("nothing is known", |world| verified(world) == "Unknown/NotVerified").await;
    assert!(message(&world).contains("another partition than eu-west-1"), "{}", message(&world));
    world.s3.place("team-b", "cn-north-1");
    world.change("alice", |spec| (spec.region, spec.default_bucket) = (None, Some("team-b".into())));
    world.until("S3 names it", |world| message(world).contains("\"team-b\" (region cn-north-1")).await;
    assert!(world.s3.heads().iter().all(|head| head.host == "s3.eu-west-1.amazonaws.com"), "{:?}", world.s3.heads());
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_user_s_own_is_tried_and_another_key_again() {
    let world = World::started();
    world.apply(&grant("keys", |spec| spec.providers = vec![CredentialProvider::Default]));
    world.put_key("mine", true, KEY, "the/secret+key");
    world.s3.know_key(KEY, "the/secret+key");
    world.apply(&config("alice", |spec| {
        delivers_key("mine")(spec);
        spec.verify = Verify::Buckets;
    }));
    world.until("the key is verified", |world| verified(world) == "True/Verified").await;
    assert!(message(&world).contains("arn:aws:iam::123456789012:user/keyturn"), "{}", message(&world));
    world.count_from_here();
    world.pass(Duration::from_secs(24 * 3600)).await;
    assert_eq!(tried(&world), (0, 0));

    // S3 knows no such secret.
    world.put_key("mine", true, KEY, "mistyped");
    world.until("the other is refused", |world| verified(world) == "False/BucketRefused").await;
    assert_eq!(tried(&world), (1, 1));
    assert!(world.is_ready("alice"));
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_during_a_trial_leaves_the_secret_and_tries_again() {
    let mut world = World::started();
    world.s3.silence("team-a", true);
    world.apply(&config("alice", with_buckets(&[])));
    world.until("the trial is under way", |world| world.s3.heads().len() == 1).await;
    assert!(world.holds_a_valid_session("alice"), "it was delivered first");
    world.kill().await;
    world.s3.silence("team-a", false);
    world.start();
    world.until("alice is verified", |world| verified(world) == "True/Verified").await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));
    world.settle().await;
    world.count_from_here();
    world.stop().await;
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(tried(&world), (0, 0), "a restart tries nothing that was answered");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_costs_no_second_trial() {
    let world = World::started();
    world.settle().await;
    world.api.fault_on(Times::N(4), "patch", "awsconfigs/status", Fault::status(500));
    world.apply(&config("alice", with_buckets(&[])));
    world.until("alice is verified", |world| verified(world) == "True/Verified").await;
    assert_eq!(tried(&world), (1, 1), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_is_told_and_tried_again() {
    let world = World::with(&[config("alice", |_| ())]).await;
    let refusing = world.api.fault_on(Times::UntilCleared, "get", "secrets", Fault::status(500));
    world.change("alice", with_buckets(&[]));
    world.until("it is told", |world| verified(world) == "Unknown/NotVerified").await;
    assert!(message(&world).contains("cannot be tried"), "{}", message(&world));
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));
    world.pass(Duration::from_secs(25)).await;
    assert!(world.reads() <= 2, "{}", world.picture());
    world.api.forgive(refusing);
    world.until("it is tried", |world| verified(world) == "True/Verified").await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_credential_has_no_verdict_and_the_next_one_is_tried() {
    let world = alice_verified(&[]).await;
    world.change("alice", |spec| spec.suspend = true);
    world.until("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.settle().await;
    assert_eq!((verified(&world), world.status("alice").verified_request), (String::new(), None));
    world.change("alice", |spec| spec.suspend = false);
    world.until("it is verified again", |world| verified(world) == "True/Verified").await;
    assert_eq!(tried(&world), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_changes_is_tried_at_the_rate_of_all_requests() {
    let world = alice_verified(&[]).await;
    for n in 0..600 {
        world.change("alice", |spec| spec.default_bucket = Some(format!("bucket-{n}")));
        world.pass(Duration::from_millis(100)).await;
    }
    let (identity, heads) = tried(&world);
    assert!((5..=12).contains(&identity) && heads == identity, "{identity} and {heads} in a minute");
    world.until("the last one is tried", |world| verified(world) == "True/Verified").await;
    assert!(message(&world).contains("bucket-599"), "{}", message(&world));
}

#[tokio::test(start_paused = true)]
async fn trials_that_hang_leave_room_for_the_renewals_of_others() {
    let world = World::started();
    let names: Vec<String> = (0..100).map(|n| format!("person-{n}")).collect();
    for name in &names {
        world.s3.silence("team-a", true);
        world.apply(&config(name, with_buckets(&[])));
    }
    let begun = world.now();
    world.until("all have a credential", |world| names.iter().all(|name| world.holds_a_valid_session(name))).await;
    let took = world.now().duration_since(begun);
    assert!(took.as_secs() < 5, "no credential waits for a trial: {took}");
    world
        .until("all are told", |world| {
            let is_told =
                |name: &String| world.condition(name, "Verified").is_some_and(|(status, ..)| status == "Unknown");
            names.iter().all(|name| world.is_ready(name) && is_told(name))
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_leaves_no_secret_in_status_or_events() {
    let world = World::started();
    world.s3.refuse("theirs", 403);
    world.apply(&config("alice", with_buckets(&["theirs"])));
    world.until("S3 refuses", |world| verified(world) == "False/BucketRefused").await;
    let said = world.picture_of_status() + &format!("{:?}", world.events());
    let session = world.sts.issued().pop().unwrap();
    let secrets: BTreeMap<&str, &str> =
        [("key", session.secret_access_key.as_str()), ("token", session.session_token.as_str())].into();
    assert!(secrets.values().all(|secret| !said.contains(secret)), "{said}");
}
