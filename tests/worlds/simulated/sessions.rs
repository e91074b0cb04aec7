//! The rest of the request to STS: tags, source identity, session policies; and hops, which are the
//! roles on the way.

use super::world::World;
use crate::{
    doubles::{
        rules::Times,
        sts::{Behaviour, Call},
    },
    fixtures::{ACCOUNT, alice, analysts, config, grant, role, role_of},
};
use keyturn::api::{AwsConfigSpec, Session, TagPatterns, Texts};
use serde_json::{Value, json};
use std::time::Duration;

const BASE_SESSION: &str = "arn:aws:sts::123456789012:assumed-role/keyturn/pod";

fn session(session: Value) -> impl FnOnce(&mut AwsConfigSpec) {
    let session: Session = serde_json::from_value(session).unwrap();
    move |spec| spec.session = Some(session)
}

/// alice with this session, under a grant that allows the tag `project`.
async fn alice_with(asked: Value) -> World {
    let world = World::started();
    world.change_grant("analysts", |spec| {
        spec.tags = [("project", vec!["fraud"]), ("step", vec!["*"])]
            .map(|(key, values)| (key.to_owned(), TagPatterns(values.into_iter().map(str::to_owned).collect())))
            .into();
    });
    world.apply(&config("alice", session(asked)));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    world
}

fn only_call(world: &World) -> Call {
    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    call.clone()
}

// ---- The request --------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn tags_source_identity_and_policies_reach_sts_as_asked() {
    let policy = r#"{"Version": "2012-10-17", "Statement": []}"#;
    let world = alice_with(json!({
        "tags": {"project": "fraud", "step": "2"}, "transitiveTags": ["project"], "sourceIdentity": true,
        "policy": policy, "policyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    }))
    .await;
    let call = only_call(&world);
    assert_eq!(call.tags, [("project", "fraud"), ("step", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert_eq!(call.params["TransitiveTagKeys.member.1"], "project");
    assert!(!call.params.contains_key("TransitiveTagKeys.member.2"));
    assert_eq!(call.source_identity.as_deref(), Some("alice"));
    assert_eq!(call.params["PolicyArns.member.1.arn"], "arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_eq!(
        serde_json::from_str::<Value>(&call.policy.unwrap()).unwrap(),
        serde_json::from_str::<Value>(policy).unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_request_or_bucket_in_scope_issues_a_new_session() {
    let world = alice_with(json!({})).await;
    let changes: [(&str, fn(&mut AwsConfigSpec), usize); 4] = [
        ("tags", |spec| session(json!({"tags": {"project": "fraud"}}))(spec), 1),
        ("scope", |spec| session(json!({"scope": "Buckets"}))(spec), 1),
        ("a bucket within the scope", |spec| spec.extra_buckets = ["shared"].into_iter().collect(), 1),
        ("the same again", |_| {}, 0),
    ];
    for (what, change, calls) in changes {
        world.count_from_here();
        world.change("alice", change);
        world.settle().await;
        assert!(world.is_ready("alice"), "{what}: {}", world.ready("alice"));
        assert_eq!(world.sts.count(), calls, "{what}");
    }
    let policy = world.sts.all_calls();
    assert!(policy.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_scope_of_buckets_denies_everything_else_in_s3() {
    let world = World::started();
    world.apply(&config("alice", |spec| {
        spec.extra_buckets = ["shared"].into_iter().collect();
        session(json!({"scope": "Buckets"}))(spec);
    }));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    let policy: Value = serde_json::from_str(&only_call(&world).policy.unwrap()).unwrap();
    assert_eq!(policy["Statement"][1]["Effect"], "Deny");
    let family = ["s3:*", "s3express:*", "s3-outposts:*", "s3-object-lambda:*", "s3tables:*", "s3vectors:*"];
    assert_eq!(policy["Statement"][1]["Action"], json!(family));
    assert_eq!(
        policy["Statement"][1]["NotResource"],
        json!(["arn:aws:s3:::team-a", "arn:aws:s3:::team-a/*", "arn:aws:s3:::shared", "arn:aws:s3:::shared/*"])
    );
}

#[tokio::test(start_paused = true)]
async fn an_oversized_policy_is_refused_before_or_after_the_call_to_sts() {
    let world = World::started();
    world.apply(&config("alice", |spec| {
        spec.extra_buckets = (0..50).map(|n| format!("a-rather-long-name-of-a-bucket-{n}")).collect();
        session(json!({"scope": "Buckets"}))(spec);
    }));
    world.until("it is too large", |world| world.ready("alice") == "False/PolicyTooLarge").await;
    assert_eq!(world.sts.count(), 0);
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("extraBuckets") && message.contains("2048"), "{message}");

    world.sts.always(Behaviour::PackedPolicyTooLarge);
    world.change("alice", |spec| spec.extra_buckets = Texts::default());
    world.until("STS says so", |world| world.sts.count() == 1 && world.ready("alice") == "False/PolicyTooLarge").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("132%") && message.contains("session.policy"), "{message}");

    world.change("alice", |spec| session(json!({"policy": "{]"}))(spec));
    world.at_once("what is no policy is refused", |world| world.ready("alice") == "False/InvalidSpec").await;
}

// ---- The operator's identity --------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn the_operator_asks_sts_for_its_identity_until_sts_answers() {
    let world = World::with(&[alice()]).await;
    world.pass(Duration::from_secs(7200)).await;
    let asked = |world: &World| world.sts.count_where(|call| call.action == "GetCallerIdentity");
    assert_eq!(asked(&world), 0, "not since the start");

    let mut world = World::empty();
    world.sts.behave_if(Times::N(3), |call| call.action == "GetCallerIdentity", Behaviour::ServiceUnavailable);
    world.start();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(asked(&world), 4);
}

#[tokio::test(start_paused = true)]
async fn a_role_of_another_partition_is_refused_without_a_call_to_sts() {
    let world = World::started();
    let china = format!("arn:aws-cn:iam::{ACCOUNT}:role/ds-analyst");
    world.change_grant("analysts", |spec| spec.roles.push(china.clone()));
    world.settle().await;
    world.apply(&config("alice", |spec| spec.role = Some(china)));
    world.until("it is refused", |world| world.ready("alice") == "False/InvalidSpec").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("aws-cn") && message.contains("user/keyturn"), "{message}");
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_chained_session_over_an_hour_is_refused_without_a_call() {
    let mut world = World::with(&[alice()]).await;
    world.stop().await;
    world.sts.set_caller(BASE_SESSION);
    world.start();
    world.settle().await;
    world.count_from_here();
    world.change("alice", session(json!({"duration": "2h"})));
    world.at_once("it is refused", |world| world.ready("alice") == "False/DurationTooLong").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains(BASE_SESSION) && message.contains("at most 1h"), "{message}");
    assert_eq!(world.sts.count(), 0);
    assert!(world.holds_a_valid_session("alice"), "what is live was granted");
    world.change("alice", session(json!({"duration": "1h"})));
    world.at_once("an hour is fine", |world| world.is_ready("alice")).await;
}

// ---- Hops ---------------------------------------------------------------------------------------

fn hub(n: usize) -> String {
    role_of("210987654321", &format!("hub-{n}"))
}

/// A world whose roles are reached through this many hubs.
fn through_hubs(hops: usize) -> World {
    let world = World::started();
    world.change_grant("analysts", |spec| spec.via = (1..=hops).map(hub).collect());
    world
}

#[tokio::test(start_paused = true)]
async fn a_role_is_reached_through_its_hops_one_after_the_other() {
    let world = through_hubs(2);
    world.change_grant("analysts", |spec| {
        spec.external_id = Some("theirs".into());
        spec.tags =
            [("project".to_owned(), TagPatterns(vec!["*".into()])), ("step".to_owned(), TagPatterns(vec!["*".into()]))]
                .into();
    });
    world.settle().await;
    world.apply(&config(
        "alice",
        session(json!({
            "sourceIdentity": true, "tags": {"project": "fraud", "step": "2"}, "transitiveTags": ["project"],
        })),
    ));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    let calls = world.sts.calls();
    let asked: Vec<_> = calls.iter().map(|call| call.role_arn.clone().unwrap()).collect();
    assert_eq!(asked, [hub(1), hub(2), role("ds-analyst")]);
    let sessions: Vec<_> = world.sts.issued().into_iter().map(|issued| Some(issued.access_key_id)).collect();
    assert_eq!(calls[1].access_key_id, sessions[0]);
    assert_eq!(calls[2].access_key_id, sessions[1]);
    for call in &calls {
        assert_eq!((call.session_name.as_deref(), call.source_identity.as_deref()), (Some("alice"), Some("alice")));
    }
    let external_ids: Vec<_> = calls.iter().map(|call| call.external_id.clone().unwrap()).collect();
    assert_eq!(external_ids, ["prod/scoring", "prod/scoring", "theirs"], "the override is for the roles themselves");
    let tags: Vec<Vec<String>> = calls.iter().map(|call| call.tags.keys().cloned().collect()).collect();
    assert_eq!(
        tags,
        [vec!["project".to_owned()], vec![], vec!["step".to_owned()]],
        "STS passes transitive tags on by itself"
    );
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn the_session_of_a_hop_is_reused_but_never_for_another_person() {
    let world = through_hubs(1);
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.apply(&config("alice-too", |spec| {
        spec.person = Some("alice".into());
        spec.role = Some(role("ds-fraud"));
    }));
    world.until("her second config is ready", |world| world.is_ready("alice-too")).await;
    assert_eq!(world.sts.count(), 3, "one hop for both");
    world.apply(&config("bob", |_| {}));
    world.until("bob is ready", |world| world.is_ready("bob")).await;
    let names: Vec<_> = world.sts.calls().into_iter().map(|call| call.session_name.unwrap()).collect();
    assert_eq!(names, ["alice", "alice", "alice", "bob", "bob"]);

    world.count_from_here();
    world.pass(Duration::from_secs(3 * 3600)).await;
    let hops = world.sts.count_where(|call| call.role_arn == Some(hub(1)));
    assert!((4..=6).contains(&hops), "each person's hop is assumed again when it ends: {}", world.picture());
    assert!(["alice", "alice-too", "bob"].iter().all(|name| world.holds_a_valid_session(name)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_hop_is_named_and_over_an_hour_is_refused_before_a_call() {
    let world = through_hubs(1);
    world.sts.behave_for(&hub(1), Times::UntilCleared, Behaviour::AccessDenied);
    world.apply(&alice());
    world.until("it is refused", |world| world.ready("alice") == "False/AssumeRoleDenied").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(
        message.contains(&hub(1)) && message.contains(&format!("on the way to {}", role("ds-analyst"))),
        "{message}"
    );

    world.count_from_here();
    world.change("alice", session(json!({"duration": "90m"})));
    world.at_once("it is refused", |world| world.ready("alice") == "False/DurationTooLong").await;
    assert!(world.condition("alice", "Ready").unwrap().2.contains(&hub(1)));
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hop_with_a_revoked_session_is_assumed_again() {
    let world = through_hubs(1);
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.count_from_here();
    world.sts.behave_for(&role("ds-other"), Times::Once, Behaviour::InvalidClientTokenId);
    world.change("alice", |spec| spec.role = Some(role("ds-other")));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    let asked: Vec<_> = world.sts.calls().into_iter().map(|call| call.role_arn.unwrap()).collect();
    assert_eq!(asked, [role("ds-other"), hub(1), role("ds-other")]);
}

#[tokio::test(start_paused = true)]
async fn another_route_issues_another_session() {
    let world = World::with(&[alice()]).await;
    world.change_grant("analysts", |spec| spec.via = vec![hub(1)]);
    world.settle().await;
    assert_eq!(world.sts.count(), 2);
    world.apply(&grant("a-direct-way", |spec| *spec = analysts().spec));
    world.settle().await;
    assert_eq!(world.sts.count(), 3, "the first grant by name has the say");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_session_that_a_later_hop_meets_is_assumed_again() {
    let world = through_hubs(2);
    world.sts.behave_for(&hub(2), Times::Once, Behaviour::InvalidClientTokenId);
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    let asked: Vec<_> = world.sts.calls().into_iter().map(|call| call.role_arn.unwrap()).collect();
    assert_eq!(asked, [hub(1), hub(2), hub(1), hub(2), role("ds-analyst")]);
}
