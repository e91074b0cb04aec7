//! Profiles: sessions of further roles in the same Secret, each with its own grant, failures and
//! expiry.

use super::{
    restart::kill_at_write,
    world::{Cost, WITHDRAWALS, World},
};
use crate::{
    doubles::{
        apiserver::Fault,
        rules::Times,
        sts::{Behaviour, Issued},
    },
    fixtures::{OPERATORS, SCORING, alice, analysts, aws_role, config, grant, role},
};
use keyturn::{
    api::{AwsConfig, AwsConfigSpec, Effect, Profile, ProfileStatus},
    brake,
    operator::Operator,
};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn profiles(profiles: Value) -> impl FnOnce(&mut AwsConfigSpec) {
    let profiles: Vec<Profile> = serde_json::from_value(profiles).unwrap();
    move |spec| spec.profiles = profiles
}

/// Two profiles, of the roles `ds-lake` and `ds-mart`.
fn both() -> Value {
    json!([{"name": "lake", "role": role("ds-lake")}, {"name": "mart", "role": role("ds-mart")}])
}

/// alice with two profiles.
fn alice_with_both() -> AwsConfig {
    config("alice", profiles(both()))
}

/// The parts of a session in the process file of a profile of alice's: the access key ID, the key
/// and the token.
fn in_file(world: &World, file: &str) -> Option<[String; 3]> {
    let process: Value = serde_json::from_str(&world.value("alice", file)).ok()?;
    let part = |name: &str| process[name].as_str().map(str::to_owned);
    Some([part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?])
}

/// The session of a profile of alice's that all files agree on; `None` if there is none.
fn session(world: &World, profile: &str) -> Option<Issued> {
    let file = match profile {
        "default" => "credential-process.json".to_owned(),
        profile => format!("credential-process-{profile}.json"),
    };
    let [id, key, token] = in_file(world, &file)?;
    let session = world.sts.session(&id).expect("STS issued it");
    assert_eq!((&key, &token), (&session.secret_access_key, &session.session_token), "{profile}: one session");
    let credentials = world.value("alice", "credentials");
    let section = credentials.split_once(&format!("[{profile}]\n")).unwrap().1.split('[').next().unwrap().to_owned();
    assert!([&id, &key, &token].iter().all(|part| section.contains(*part)), "{profile}: {credentials}");
    Some(session)
}

/// The roles of the sessions in alice's Secret: of the config, and of each profile.
fn held(world: &World) -> String {
    let role = |profile: &str| {
        let session = session(world, profile).filter(|session| session.expiration > world.now());
        session.map_or("-".to_owned(), |session| session.role_arn.rsplit('/').next().unwrap().to_owned())
    };
    ["default", "lake", "mart"].map(role).join(" ")
}

/// The reason of a profile in alice's status.
fn reason(world: &World, profile: &str) -> String {
    world.status("alice").profile(profile).map(|profile| profile.reason.clone()).unwrap_or_default()
}

fn ready(world: &World) -> String {
    world
        .condition("alice", "ProfilesReady")
        .map(|(status, reason, _)| format!("{status}/{reason}"))
        .unwrap_or_default()
}

fn allows(world: &World, roles: &[&str]) {
    let roles = roles.iter().map(|name| role(name)).collect();
    world.change_grant("analysts", |spec| spec.roles = roles);
}

// ---- Issue and renewal --------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn all_sessions_are_issued_and_renewed_in_one_write_each() {
    let world = World::started();
    world.apply(&alice_with_both());
    world.until("all are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    world.settle().await;
    assert_eq!(world.sts.count(), 3);
    assert_eq!(
        world.api.count_where(|request| request.is_on("secrets") && request.is_write()),
        1,
        "{}",
        world.picture()
    );
    assert_eq!((ready(&world), world.ready("alice")), ("True/Issued".into(), "True/Issued".into()));
    assert_eq!(world.event_reasons(), ["Issued", "Issued", "Issued"], "one for each session");
    for call in world.sts.calls() {
        assert_eq!((call.session_name.as_deref(), call.external_id.as_deref()), (Some("alice"), Some("prod/scoring")));
    }

    for _ in 0..3 {
        world.count_from_here();
        world.pass_until_due("alice").await;
        world.settle().await;
        assert_eq!(world.cost(), Cost { sts: 3, reads: 0, writes: 2 }, "{}", world.picture());
        assert_eq!(held(&world), "ds-analyst ds-lake ds-mart");
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_without_profiles_has_no_trace_of_them() {
    let world = World::with(&[alice()]).await;
    let secret = serde_json::to_string(&world.secret("alice").unwrap()).unwrap();
    let status = world.api.get("AwsConfig", SCORING, "alice").unwrap()["status"].to_string();
    assert!(!secret.contains("profile") && !status.contains("rofile"), "{secret} {status}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_profiles_stays_as_it_is_after_an_upgrade() {
    let mut world = World::with(&[alice()]).await;
    world.kill().await;
    let before = world.secret("alice");
    world.start();
    world.pass(5 * MINUTE).await;
    assert_eq!((world.cost(), world.secret("alice")), (Cost::NOTHING, before));
    world.change("alice", profiles(both()));
    world.at_once("the profiles are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    assert_eq!(world.sts.count(), 2, "the session of the config stays");
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_profiles_costs_nothing() {
    let mut world = World::with(&[alice_with_both()]).await;
    allows(&world, &["ds-analyst", "ds-mart"]);
    world.until("one is withdrawn", |world| held(world) == "ds-analyst - ds-mart").await;
    world.settle().await;
    world.kill().await;
    world.count_from_here();
    world.start();
    world.pass(5 * MINUTE).await;
    assert_eq!(world.cost(), Cost::NOTHING, "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_requested_renewal_renews_all_sessions() {
    let world = World::with(&[alice_with_both()]).await;
    world.api.edit("AwsConfig", SCORING, "alice", |config| {
        config["metadata"]["annotations"]["keyturn.dev/renew"] = "now".into();
    });
    world.at_once("all are renewed", |world| world.sts.count() == 3).await;
    world.pass(5 * MINUTE).await;
    assert_eq!(world.sts.count(), 3);
}

// ---- Authority ----------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn each_session_is_withdrawn_and_restored_by_its_own_grant() {
    let world = World::with(&[alice_with_both()]).await;
    let all = ["ds-analyst", "ds-lake", "ds-mart"];
    for (lost, expected) in
        [("ds-lake", "ds-analyst - ds-mart"), ("ds-mart", "ds-analyst ds-lake -"), ("ds-analyst", "- ds-lake ds-mart")]
    {
        let rest: Vec<&str> = all.into_iter().filter(|role| *role != lost).collect();
        let before: Vec<_> =
            ["default", "lake", "mart"].map(|name| session(&world, name)).into_iter().flatten().collect();
        world.count_from_here();
        allows(&world, &rest);
        world.at_once("it is withdrawn", |world| held(world) == expected).await;
        world.settle().await;
        assert_eq!(world.sts.count(), 0, "{lost}: the others stay");
        let gone = before.iter().find(|session| session.role_arn.ends_with(lost)).unwrap();
        let all_data = serde_json::to_string(&world.secret("alice").unwrap().data).unwrap();
        assert!(!all_data.contains(&gone.secret_access_key), "{lost}");
        let message = if lost == "ds-analyst" {
            assert_eq!(world.ready("alice"), "False/NotGranted");
            world.condition("alice", "Ready").unwrap().2
        } else {
            assert_eq!((world.ready("alice"), ready(&world)), ("True/Issued".into(), "False/NotGranted".into()));
            assert_eq!(world.status("alice").trouble.unwrap().word, "NotGranted");
            world.condition("alice", "ProfilesReady").unwrap().2
        };
        assert!(message.contains(&role(lost)) && message.contains(&gone.access_key_id), "{lost}: {message}");

        world.count_from_here();
        allows(&world, &all);
        world.at_once("it is restored", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
        world.settle().await;
        assert_eq!(world.sts.count(), 1, "{lost}: only this one is issued");
        assert_eq!((world.ready("alice"), ready(&world)), ("True/Issued".into(), "True/Issued".into()));
        world.pass(2 * MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_for_the_role_of_a_profile_alone_counts_at_once() {
    let world = World::started();
    allows(&world, &["ds-analyst"]);
    world.apply(&alice_with_both());
    world.until("the others wait", |world| world.secret("alice").is_some() && held(world) == "ds-analyst - -").await;
    world.settle().await;
    let only = |name: &str| grant(name, |spec| spec.roles = vec![role(name)]);
    world.apply(&only("ds-lake"));
    world.at_once("one is granted", |world| held(world) == "ds-analyst ds-lake -").await;
    world.apply(&only("ds-mart"));
    world.at_once("both are granted", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    world.api.delete("AwsRoleGrant", "", "ds-lake");
    world.at_once("one is gone", |world| held(world) == "ds-analyst - ds-mart").await;
}

#[tokio::test(start_paused = true)]
async fn everything_goes_if_the_config_or_its_person_may_have_nothing() {
    let denies = grant("leavers", |spec| {
        spec.effect = Effect::Deny;
        spec.roles.clear();
    });
    let rows: [(&str, fn(&World), fn(&World), &str); 2] = [
        (
            "suspended",
            |world| world.change("alice", |spec| spec.suspend = true),
            |world| world.change("alice", |spec| spec.suspend = false),
            "Suspended",
        ),
        (
            "the person is denied",
            |world| world.change_grant("leavers", |spec| spec.persons = vec!["alice".into()]),
            |world| world.change_grant("leavers", |spec| spec.persons = vec!["nobody".into()]),
            "Denied",
        ),
    ];
    for (row, take, give, expected) in rows {
        let world = World::started();
        let nobody = vec!["nobody".to_owned()];
        world.apply(&denies);
        world.change_grant("leavers", |spec| spec.persons = nobody);
        world.apply(&alice_with_both());
        world.until("all are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
        world.settle().await;
        world.count_from_here();
        take(&world);
        world.at_once("all are withdrawn", |world| world.is_withdrawn("alice")).await;
        world.settle().await;
        assert_eq!((reason(&world, "lake"), ready(&world)), (expected.into(), format!("False/{expected}")), "{row}");
        assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (0, 1), "{row}: in one write");
        give(&world);
        world.at_once("all are back", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
        world.settle().await;
        assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (3, 2), "{row}: in one write");
    }
}

#[tokio::test(start_paused = true)]
async fn another_person_gets_no_session_beside_the_former_ones() {
    let world = World::with(&[alice_with_both()]).await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let writes = seen.clone();
    world.api.fault(
        Times::UntilCleared,
        |request| request.is("patch", "secrets"),
        Fault::after(move |api| writes.lock().unwrap().push(api.get("Secret", SCORING, "alice-aws").unwrap())),
    );
    world.change("alice", |spec| spec.person = Some("bob".into()));
    world.until("bob has all", |world| world.is_ready("alice") && held(world) == "ds-analyst ds-lake ds-mart").await;
    for profile in ["default", "lake", "mart"] {
        assert_eq!(session(&world, profile).unwrap().session_name, "bob", "{profile}");
    }
    let first = seen.lock().unwrap()[0].clone();
    let kept = world.sts.issued().into_iter().filter(|session| first.to_string().contains(&session.access_key_id));
    assert!(first["data"].to_string().len() > 100);
    // The annotations still name the former sessions, and no data key holds one.
    let data: Vec<String> = first["data"]
        .as_object()
        .unwrap()
        .values()
        .map(|value| serde_json::from_value::<k8s_openapi::ByteString>(value.clone()).unwrap())
        .map(|value| String::from_utf8(value.0).unwrap())
        .collect();
    for session in kept {
        assert!(data.iter().all(|text| !text.contains(&session.secret_access_key)), "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_profile_goes_while_the_brake_holds_its_config() {
    let mut world = World::empty();
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": WITHDRAWALS, "namespace": OPERATORS}});
    world.api.namespace(OPERATORS, &[]);
    world.api.put(config_map);
    world.apply(&analysts());
    world.apply(&grant("leavers", |spec| {
        spec.effect = Effect::Deny;
        (spec.roles, spec.persons) = (vec![role("ds-lake")], vec!["nobody".into()]);
    }));
    world.apply(&alice_with_both());
    let operator = world.operator();
    let settings = brake::Settings { limit: Some(0), ..operator.brake.clone() };
    world.start_as(Operator { brake: settings, ..operator });
    world.until("all are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    world.pass(MINUTE).await;
    allows(&world, &["nothing"]);
    world.at_once("all are held", |world| world.ready("alice") == "False/WithdrawalHeld").await;
    world.pass(MINUTE).await;
    assert_eq!(held(&world), "ds-analyst ds-lake ds-mart", "{}", world.picture());
    world.change_grant("leavers", |spec| spec.persons = vec!["alice".into()]);
    world.at_once("the denied one is gone", |world| held(world) == "ds-analyst - ds-mart").await;
    world.pass(MINUTE).await;
    assert_eq!((held(&world), world.ready("alice")), ("ds-analyst - ds-mart".into(), "False/WithdrawalHeld".into()));
    world.pass(60 * MINUTE).await;
    assert!(world.is_withdrawn("alice"), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn an_aws_role_is_a_profile_s_role_while_it_exists() {
    let world = World::started();
    world.apply(&aws_role("the-lake", "alice", &role("ds-lake")));
    world.apply(&config("alice", profiles(json!([{"name": "lake", "activeRoleRef": {"name": "the-lake"}}]))));
    world.until("it is there", |world| session(world, "lake").is_some()).await;
    world.settle().await;
    assert!(world.role_status("the-lake").0, "it is in use");
    world.api.delete("AwsRole", SCORING, "the-lake");
    world.at_once("it is withdrawn", |world| session(world, "lake").is_none()).await;
    world.settle().await;
    assert_eq!((reason(&world, "lake"), world.ready("alice")), ("ActiveRoleMissing".into(), "True/Issued".into()));
    world.apply(&aws_role("the-lake", "alice", &role("ds-mart")));
    world.at_once("it is back", |world| session(world, "lake").is_some_and(|it| it.role_arn == role("ds-mart"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_granted_profile_is_delivered_without_the_config_s_own_role() {
    let world = World::empty();
    world.apply(&analysts());
    allows(&world, &["ds-lake", "ds-mart"]);
    let mut world = world;
    world.start();
    world.apply(&alice_with_both());
    world
        .until("the profiles are there", |world| world.secret("alice").is_some() && held(world) == "- ds-lake ds-mart")
        .await;
    world.settle().await;
    assert_eq!((world.ready("alice"), ready(&world)), ("False/NotGranted".into(), "True/Issued".into()));
    world.count_from_here();
    world.pass(24 * 60 * MINUTE).await;
    assert_eq!(held(&world), "- ds-lake ds-mart", "they are renewed");
    assert!(world.sts.count() < 90, "{}", world.sts.count());
    allows(&world, &["ds-analyst", "ds-lake", "ds-mart"]);
    world.at_once("all are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
}

// ---- Failures -----------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_role_that_sts_refuses_harms_no_other_session() {
    for (refused, first, later) in [
        ("ds-lake", "ds-analyst - ds-mart", "ds-analyst ds-lake ds-mart"),
        ("ds-analyst", "- ds-lake ds-mart", "ds-analyst ds-lake ds-mart"),
    ] {
        let world = World::started();
        let rule = world.sts.behave_for(&role(refused), Times::UntilCleared, Behaviour::AccessDenied);
        world.apply(&alice_with_both());
        world.until("the others are there", |world| world.secret("alice").is_some() && held(world) == first).await;
        world.settle().await;
        let conditions = (world.ready("alice"), ready(&world));
        let expected = match refused {
            "ds-lake" => ("True/Issued", "False/AssumeRoleDenied"),
            _ => ("False/AssumeRoleDenied", "True/Issued"),
        };
        assert_eq!(conditions, (expected.0.to_owned(), expected.1.to_owned()), "{refused}");

        // Retries of the refused role cost no other session and no write of the Secret.
        world.count_from_here();
        world.pass(10 * MINUTE).await;
        assert!(world.sts.count() > 3 && world.sts.calls().iter().all(|call| call.role_arn == Some(role(refused))));
        assert_eq!(world.api.count("patch", "secrets"), 0, "{refused}: {}", world.picture());
        world.pass(6 * 60 * MINUTE).await;
        assert_eq!(held(&world), first, "{refused}: the others are renewed");

        world.sts.forgive(rule);
        world.until("all are there", |world| held(world) == later).await;
        world.settle().await;
        assert_eq!((world.ready("alice"), ready(&world)), ("True/Issued".into(), "True/Issued".into()), "{refused}");
        assert!(world.status("alice").profile("lake").unwrap().failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_of_a_profile_leaves_its_session_until_it_expires() {
    let world = World::with(&[alice_with_both()]).await;
    let former = session(&world, "lake").unwrap();
    let rule = world.sts.behave_for(&role("ds-lake"), Times::UntilCleared, Behaviour::AccessDenied);
    world.pass_until_due("alice").await;
    world.settle().await;
    assert_eq!(session(&world, "lake").unwrap().access_key_id, former.access_key_id);
    assert_ne!(session(&world, "mart").unwrap().at, former.at, "the others are renewed");
    assert_eq!((ready(&world), world.ready("alice")), ("True/Issued".into(), "True/Issued".into()));
    let (_, why, message) = world.condition("alice", "RenewalFailing").unwrap();
    assert!(why == "AssumeRoleDenied" && message.contains("profile \"lake\""), "{message}");
    world.pass(Duration::try_from(former.expiration.duration_since(world.now())).unwrap()).await;
    world.settle().await;
    assert_eq!(held(&world), "ds-analyst - ds-mart");
    assert_eq!(ready(&world), "False/AssumeRoleDenied");
    assert!(world.value("alice", "config").contains("WITHDRAWN by keyturn: Expired"));
    world.sts.forgive(rule);
    world.until("it is back", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    world.settle().await;
    assert!(world.condition("alice", "RenewalFailing").is_none(), "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_sts_withdraws_nothing_before_its_time() {
    let world = World::with(&[alice_with_both()]).await;
    world.sts.always(Behaviour::ServiceUnavailable);
    world.pass_until_due("alice").await;
    world.pass(10 * MINUTE).await;
    assert_eq!(held(&world), "ds-analyst ds-lake ds-mart");
    world.sts.behave_well();
    world.pass(2 * MINUTE).await;
    world.count_from_here();
    world.pass(10 * MINUTE).await;
    assert_eq!((world.sts.count(), held(&world)), (0, "ds-analyst ds-lake ds-mart".into()), "{}", world.picture());
    assert!(world.condition("alice", "RenewalFailing").is_none());
}

#[tokio::test(start_paused = true)]
async fn sessions_that_cannot_be_written_are_issued_once() {
    let world = World::started();
    let rule = world.api.fault(Times::UntilCleared, |r| r.is_on("secrets") && r.is_write(), Fault::status(500));
    world.apply(&alice_with_both());
    world.pass(5 * MINUTE).await;
    world.api.forgive(rule);
    world.until("all are there", |world| held(world) == "ds-analyst ds-lake ds-mart").await;
    assert_eq!(world.sts.count(), 3, "{}", world.picture());
}

// ---- Changes ------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_changed_list_of_profiles_is_carried_out_at_once() {
    let world = World::with(&[alice_with_both()]).await;
    let keys = |world: &World| {
        let secret = world.secret("alice").unwrap();
        let keys = secret.data.unwrap().into_keys().filter(|key| key.starts_with("credential-process-"));
        keys.collect::<Vec<_>>().join(" ")
    };
    let rows = [
        (
            "another role",
            json!([{"name": "lake", "role": role("ds-mart")}, {"name": "mart", "role": role("ds-mart")}]),
            1,
        ),
        ("renamed", json!([{"name": "pond", "role": role("ds-mart")}, {"name": "mart", "role": role("ds-mart")}]), 1),
        ("removed", json!([{"name": "mart", "role": role("ds-mart")}]), 0),
        ("all removed", json!([]), 0),
        ("added", json!([{"name": "mart", "role": role("ds-mart")}]), 1),
        ("another format that changes nothing", json!([{"name": "mart", "role": role("ds-mart")}]), 0),
    ];
    for (row, list, calls) in rows {
        let names: Vec<String> =
            list.as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap().to_owned()).collect();
        world.count_from_here();
        world.change("alice", profiles(list));
        world.settle().await;
        let mut expected: Vec<String> = names.iter().map(|name| format!("credential-process-{name}.json")).collect();
        expected.sort();
        assert_eq!(keys(&world), expected.join(" "), "{row}");
        assert_eq!(world.sts.count(), calls, "{row}: {}", world.picture());
        let config = world.value("alice", "config");
        assert_eq!(config.matches("[profile ").count(), names.len(), "{row}: {config}");
        let reported = world.status("alice").profiles.unwrap_or_default();
        assert_eq!(reported.iter().map(|profile| profile.name.clone()).collect::<Vec<_>>(), names, "{row}");
        assert!(reported.iter().all(ProfileStatus::is_ready), "{row}");
        assert_eq!(world.condition("alice", "ProfilesReady").is_some(), !names.is_empty(), "{row}");
        assert!(world.is_ready("alice"), "{row}");
        world.pass(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edited_profile_in_the_secret_is_put_right() {
    let world = World::with(&[alice_with_both()]).await;
    for key in ["credential-process-lake.json", "config"] {
        world.count_from_here();
        world.api.edit("Secret", SCORING, "alice-aws", |secret| secret["data"][key] = json!("eA=="));
        world.at_once("it is put right", |world| world.sts.count() == 3).await;
        world.settle().await;
        assert_eq!(held(&world), "ds-analyst ds-lake ds-mart", "{key}");
        world.pass(MINUTE).await;
    }
    world.count_from_here();
    world.api.edit("Secret", SCORING, "alice-aws", |secret| {
        secret["metadata"]["annotations"].as_object_mut().unwrap().remove("keyturn.dev/profiles");
    });
    world.settle().await;
    assert_eq!((world.sts.count(), held(&world)), (3, "ds-analyst ds-lake ds-mart".into()));
}

// ---- Killed at every request --------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_write_never_mixes_two_sessions() {
    for after in [false, true] {
        let mut reached = 0;
        for k in 1..20 {
            let mut world = World::started();
            world.settle().await;
            world.apply(&alice_with_both());
            let Some(request) = kill_at_write(&mut world, k, after, MINUTE).await else { break };
            let case = format!("killed at {} {} (after: {after})", request.verb, request.path);
            world.pass(MINUTE).await;
            // `held` asserts that the parts of each session belong together.
            assert_eq!(held(&world), "ds-analyst ds-lake ds-mart", "{case}: {}", world.picture());
            assert!(world.is_ready("alice") && ready(&world) == "True/Issued", "{case}");
            assert!(world.sts.count() <= 6, "{case}: {}", world.picture());
            reached += 1;
        }
        assert!(reached >= 4, "after: {after}: {reached} writes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_write_of_a_renewal_never_mixes_two_sessions() {
    for after in [false, true] {
        for k in 1..4 {
            let mut world = World::with(&[alice_with_both()]).await;
            let Some(request) = kill_at_write(&mut world, k, after, 45 * MINUTE).await else { break };
            let case = format!("killed at {} {} (after: {after})", request.verb, request.path);
            world.pass(MINUTE).await;
            assert_eq!(held(&world), "ds-analyst ds-lake ds-mart", "{case}: {}", world.picture());
            let issued = ["default", "lake", "mart"].map(|profile| session(&world, profile).unwrap().at);
            assert!(issued.iter().all(|at| *at == issued[0]), "{case}: renewed together: {issued:?}");
            assert!(world.sts.count() <= 6, "{case}: {}", world.picture());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_write_of_a_withdrawal_leaves_no_denied_session() {
    for after in [false, true] {
        for k in 1..6 {
            let mut world = World::with(&[alice_with_both()]).await;
            let gone = session(&world, "lake").unwrap();
            allows(&world, &["ds-analyst", "ds-mart"]);
            let Some(request) = kill_at_write(&mut world, k, after, MINUTE).await else { break };
            let case = format!("killed at {} {} (after: {after})", request.verb, request.path);
            world.pass(MINUTE).await;
            assert_eq!(held(&world), "ds-analyst - ds-mart", "{case}: {}", world.picture());
            let data = world.secret("alice").unwrap().data.unwrap();
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            assert!(data.values().all(|value| !text(&value.0).contains(&gone.secret_access_key)), "{case}");
        }
    }
}
