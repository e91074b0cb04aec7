//! The profiles beside the credential of a config.

use super::*;
use crate::{
    api::{Failure, ProfileStatus},
    secret::{Main, ProfilePart, ProfileRecord, render_all},
};

const LAKE: &str = "arn:aws:iam::123456789012:role/lake";
const MART: &str = "arn:aws:iam::123456789012:role/mart";

/// alice's config with two profiles, and a grant that allows all three roles. The Secret holds the
/// session of the config and those of the profiles.
fn with_profiles() -> Observed {
    let mut seen = healthy();
    grant(&mut seen, |grant| grant.spec.roles.extend([LAKE.to_owned(), MART.to_owned()]));
    asks(&mut seen, json!([{"name": "lake", "role": LAKE}, {"name": "mart", "role": MART}]));
    let requests: Vec<_> = decide(&seen, now()).profiles.into_iter().map(|plan| (plan.name, plan.accepted)).collect();
    let parts: Vec<ProfilePart> = requests
        .into_iter()
        .map(|(name, accepted)| ProfilePart {
            record: ProfileRecord::of(&name, &accepted.unwrap().request, &session()),
            credentials: Some(session().credentials),
        })
        .collect();
    let rendering = rendering(&seen);
    let credentials = session().credentials;
    let expires_at = session().expires_at;
    let main = Main::Live { credentials: &credentials, expires_at, api_key: None, data_robot_token: None };
    let content = render_all(&rendering, main, &parts).unwrap();
    let records = parts.into_iter().map(|part| part.record).collect();
    let with = record(&mut seen).clone().with_profiles(records, &content);
    ours(&mut seen).metadata = whole(&seen.config, &rendering, &with, content).metadata;
    *record(&mut seen) = with;
    seen
}

fn asks(seen: &mut Observed, profiles: serde_json::Value) {
    config(seen, |config| config.spec.profiles = from_value(profiles).unwrap());
}

fn profile<'a>(seen: &'a mut Observed, name: &str) -> &'a mut ProfileRecord {
    record(seen).profiles.iter_mut().find(|profile| profile.name == name).unwrap()
}

/// The steps of all profiles, each in a word.
fn steps(seen: &Observed, now: Timestamp) -> String {
    let step = |plan: ProfilePlan| match plan.step {
        ProfileStep::Withdraw(why) => format!("{}: Withdraw({})", plan.name, why.reason),
        ProfileStep::Hold { .. } => format!("{}: Hold", plan.name),
        other => format!("{}: {other:?}", plan.name),
    };
    decide(seen, now).profiles.into_iter().map(step).collect::<Vec<_>>().join(", ")
}

/// The data of the Secret has been read and is as keyturn wrote it.
fn is_read(seen: &mut Observed) {
    let session = || Arc::new(session().credentials);
    let profiles = ["lake", "mart"].map(|name| (name.to_owned(), session())).into();
    let is_live = record(seen).withdrawn.is_none();
    let credentials = is_live.then(session);
    ours(seen).content =
        SecretData::Read(ReadData { intact: true, confirmed: true, credentials, profiles, ..ReadData::default() });
}

fn loses_lake(seen: &mut Observed) {
    grant(seen, |grant| grant.spec.roles.retain(|role| role != LAKE));
}

fn loses_default(seen: &mut Observed) {
    grant(seen, |grant| grant.spec.roles.retain(|role| role != ROLE));
}

/// STS has refused the profile `lake`, and the next attempt is in an hour.
fn lake_fails(seen: &mut Observed) {
    let plan = decide(seen, now()).profiles.remove(0);
    let at = Time(now());
    let failure = Failure {
        count: 3,
        since: at.clone(),
        last_at: at,
        next_attempt_at: Time(now() + SignedDuration::from_hours(1)),
        attempt: plan.accepted.unwrap().attempt,
        reason: Some("AssumeRoleDenied".into()),
        message: Some("IAM refused".into()),
    };
    config(seen, |config| {
        let generation = config.metadata.generation;
        let status = config.status.get_or_insert_default();
        status.observed_generation = generation;
        status.profiles = Some(vec![ProfileStatus {
            name: "lake".into(),
            reason: "AssumeRoleDenied".into(),
            failure: Some(failure),
            ..Default::default()
        }]);
    });
}

fn never_had_lake(seen: &mut Observed) {
    *profile(seen, "lake") = ProfileRecord::withdrawn_for("lake", None, Reason::AssumeRoleDenied);
}

#[test]
fn one_disturbance_concerns_one_profile_or_all() {
    let rows: [(&str, Disturbance, &str, &str); 15] = [
        ("nothing", |_| {}, "Keep", "lake: Keep, mart: Keep"),
        ("a grant is taken away", loses_lake, "Read(TargetData)", "lake: Withdraw(NotGranted), mart: Keep"),
        ("a role is denied", |seen| denied(seen, Some(LAKE)), "Read(TargetData)", "lake: Withdraw(Denied), mart: Keep"),
        ("the config's own role is not granted", loses_default, "Withdraw(NotGranted)", "lake: Keep, mart: Keep"),
        (
            "everything is denied",
            |seen| denied(seen, None),
            "Withdraw(Denied)",
            "lake: Withdraw(Denied), mart: Withdraw(Denied)",
        ),
        (
            "suspended",
            |seen| config(seen, |c| c.spec.suspend = true),
            "Withdraw(Suspended)",
            "lake: Withdraw(Suspended), mart: Withdraw(Suspended)",
        ),
        (
            "another person",
            |seen| {
                config(seen, |c| c.spec.person = Some("bob".into()));
                grant(seen, |grant| grant.spec.persons = vec!["*".into()]);
            },
            "Withdraw(Pending)",
            "lake: Withdraw(Pending), mart: Withdraw(Pending)",
        ),
        ("the namespace is unknown", |seen| seen.namespace_labels = None, "Keep", "lake: Keep, mart: Keep"),
        (
            "another role",
            |seen| asks(seen, json!([{"name": "lake", "role": MART}, {"name": "mart", "role": MART}])),
            "Read(TargetData)",
            "lake: Issue(Changed), mart: Keep",
        ),
        ("removed", |seen| asks(seen, json!([{"name": "mart", "role": MART}])), "Read(TargetData)", "mart: Keep"),
        ("all are removed", |seen| asks(seen, json!([])), "Read(TargetData)", ""),
        (
            "another order",
            |seen| asks(seen, json!([{"name": "mart", "role": MART}, {"name": "lake", "role": LAKE}])),
            "Keep",
            "mart: Keep, lake: Keep",
        ),
        (
            "added",
            |seen| {
                let both = [("lake", LAKE), ("mart", MART), ("more", LAKE)];
                asks(seen, both.map(|(name, role)| json!({"name": name, "role": role})).into_iter().collect());
            },
            "Read(TargetData)",
            "lake: Keep, mart: Keep, more: Issue(First)",
        ),
        (
            "somebody edited the Secret",
            |seen| ours(seen).content = data_read(false, false),
            "Issue(Drifted)",
            "lake: Issue(Drifted), mart: Issue(Drifted)",
        ),
        (
            "the Secret is gone",
            |seen| seen.target = Target::Absent,
            "Issue(Drifted)",
            "lake: Issue(First), mart: Issue(First)",
        ),
    ];
    for (row, disturb, step, profiles) in rows {
        let mut seen = with_profiles();
        disturb(&mut seen);
        assert_eq!((next(&seen, now()), steps(&seen, now())), (step.to_owned(), profiles.to_owned()), "{row}");
    }
}

#[test]
fn a_profile_is_written_once_the_secret_was_read() {
    let rows: [(&str, Disturbance, &str); 4] = [
        ("lost", loses_lake, "Profiles { held: None }"),
        ("removed", |seen| asks(seen, json!([{"name": "mart", "role": MART}])), "Profiles { held: None }"),
        ("nothing", |_| {}, "Keep"),
        (
            "the config's own session is withdrawn already",
            |seen| {
                loses_default(seen);
                loses_lake(seen);
                record(seen).withdrawn = Some("NotGranted".into());
                is_read(seen);
            },
            "Profiles { held: None }",
        ),
    ];
    for (row, disturb, step) in rows {
        let mut seen = with_profiles();
        is_read(&mut seen);
        disturb(&mut seen);
        assert_eq!(next(&seen, now()), step, "{row}");
    }
}

#[test]
fn sessions_that_expire_together_are_renewed_together() {
    let mins = SignedDuration::from_mins;
    let due = issued_at() + mins(45);
    let late = |seen: &mut Observed, name: &str, by: i64| {
        let profile = profile(seen, name);
        profile.issued_at = profile.issued_at.map(|at| at + mins(by));
        profile.expires_at = profile.expires_at.map(|at| at + mins(by));
    };
    let seen = with_profiles();
    assert_eq!(
        (next(&seen, due), steps(&seen, due)),
        ("Issue(Due)".into(), "lake: Issue(Due), mart: Issue(Due)".into())
    );

    let mut seen = with_profiles();
    late(&mut seen, "lake", 15);
    assert_eq!(steps(&seen, due), "lake: Issue(Due), mart: Issue(Due)", "half of its time has passed");
    late(&mut seen, "lake", 25);
    assert_eq!(steps(&seen, due), "lake: Keep, mart: Issue(Due)", "it is new");

    // The session of the config is younger than those of the profiles.
    for (by, step) in [(15, "Issue(Due)"), (40, "Read(TargetData)")] {
        let mut seen = with_profiles();
        record(&mut seen).issued_at += mins(by);
        record(&mut seen).expires_at = Some(issued_at() + mins(60 + by));
        assert_eq!(next(&seen, due), step, "{by}");
        assert_eq!(steps(&seen, due), "lake: Issue(Due), mart: Issue(Due)", "{by}");
    }
}

#[test]
fn a_failure_of_one_profile_holds_back_no_other_session() {
    let due = issued_at() + SignedDuration::from_mins(45);
    let mut seen = with_profiles();
    lake_fails(&mut seen);
    assert_eq!((next(&seen, now()), steps(&seen, now())), ("Keep".into(), "lake: Keep, mart: Keep".into()));
    assert_eq!((next(&seen, due), steps(&seen, due)), ("Issue(Due)".into(), "lake: Hold, mart: Issue(Due)".into()));

    never_had_lake(&mut seen);
    assert_eq!((next(&seen, now()), steps(&seen, now())), ("Keep".into(), "lake: Hold, mart: Keep".into()));

    // The retry of a failed renewal renews nothing else before its time.
    let mut seen = with_profiles();
    lake_fails(&mut seen);
    config(&mut seen, |config| {
        let profiles = config.status.as_mut().unwrap().profiles.as_mut().unwrap();
        profiles[0].failure.as_mut().unwrap().next_attempt_at = Time(now());
    });
    record(&mut seen).issued_at += SignedDuration::from_mins(20);
    record(&mut seen).expires_at = Some(issued_at() + SignedDuration::from_mins(80));
    let mart = profile(&mut seen, "mart");
    mart.issued_at = Some(issued_at() + SignedDuration::from_mins(20));
    mart.expires_at = Some(issued_at() + SignedDuration::from_mins(80));
    assert_eq!(
        (next(&seen, due), steps(&seen, due)),
        ("Read(TargetData)".into(), "lake: Issue(Due), mart: Keep".into())
    );
}

#[test]
fn an_expired_session_that_cannot_be_renewed_is_withdrawn_alone() {
    let mut seen = with_profiles();
    lake_fails(&mut seen);
    config(&mut seen, |config| {
        let profiles = config.status.as_mut().unwrap().profiles.as_mut().unwrap();
        profiles[0].failure.as_mut().unwrap().next_attempt_at = Time(after_expiry() + SignedDuration::from_hours(1));
    });
    let expires_at = Some(after_expiry() + SignedDuration::from_hours(2));
    let mart = profile(&mut seen, "mart");
    (mart.issued_at, mart.expires_at) = (Some(after_expiry()), expires_at);
    record(&mut seen).issued_at = after_expiry();
    record(&mut seen).expires_at = expires_at;
    assert_eq!(steps(&seen, after_expiry()), "lake: Withdraw(Expired), mart: Keep");
}

#[test]
fn profiles_do_not_wait_for_a_credential_that_sts_refuses() {
    let fails = |seen: &mut Observed| {
        let attempt = decide(seen, now()).accepted.unwrap().attempt;
        let next_attempt_at = now() + SignedDuration::from_hours(1);
        seen.remembered.transient = Some(Backoff { attempt, count: 1, next_attempt_at, in_turn: false, why: None });
    };
    let until = now() + SignedDuration::from_hours(1);
    let profiles = format!("{:?}", SecretAction::Profiles { held: Some((until, HoldCause::Backoff)) });

    let mut seen = with_profiles();
    seen.target = Target::NotWatched;
    fails(&mut seen);
    assert_eq!(next(&seen, now()), "Read(Target)", "whether there is a Secret");
    seen.target = Target::Absent;
    assert_eq!(next(&seen, now()), profiles, "the Secret is created for the profiles");
    loses_lake(&mut seen);
    grant(&mut seen, |grant| grant.spec.roles.retain(|role| role != MART));
    assert_eq!(next(&seen, now()), "Hold", "no Secret without a session");

    let mut seen = with_profiles();
    config(&mut seen, |c| c.spec.role = Some(MART.into()));
    fails(&mut seen);
    assert_eq!(next(&seen, now()), "Hold", "the profiles are as planned");
    loses_lake(&mut seen);
    fails(&mut seen);
    is_read(&mut seen);
    assert_eq!(next(&seen, now()), profiles, "one is to be withdrawn");
}

#[test]
fn a_fight_over_the_secret_keeps_no_profile_that_is_denied() {
    let mut seen = with_profiles();
    ours(&mut seen).content = data_read(false, false);
    (seen.remembered.repairs, seen.remembered.repaired_at) = (20, Some(now()));
    assert_eq!(next(&seen, now()), "Hold", "the repair waits");
    loses_lake(&mut seen);
    assert_eq!(next(&seen, now()), "Issue(Drifted)", "the session has to go");
    assert_eq!(steps(&seen, now()), "lake: Withdraw(NotGranted), mart: Issue(Drifted)");
    let attempt = decide(&seen, now()).accepted.unwrap().attempt;
    let next_attempt_at = now() + SignedDuration::from_hours(1);
    seen.remembered.transient = Some(Backoff { attempt, count: 1, next_attempt_at, in_turn: false, why: None });
    assert_eq!(next(&seen, now()), "Withdraw(Pending)", "also while STS refuses the config's own role");
}

#[test]
fn an_aws_role_of_a_profile_is_asked_for_before_its_session_goes() {
    let mut seen = with_profiles();
    asks(&mut seen, json!([{"name": "lake", "activeRoleRef": {"name": "the-lake"}}, {"name": "mart", "role": MART}]));
    let role = |person: &str| {
        let spec = json!({"awsConfigRef": {"name": "alice"}, "person": person, "role": LAKE});
        SeenRole::Shown(Arc::new(AwsRole::new("the-lake", from_value(spec).unwrap())))
    };
    for (row, seen_role, step, profiles) in [
        ("the watch does not show it", None, "Read(ProfileRoles)", "lake: Withdraw(ActiveRoleMissing), mart: Keep"),
        ("it is there", Some(role("alice")), "Keep", "lake: Keep, mart: Keep"),
        (
            "it is another person's",
            Some(role("bob")),
            "Read(TargetData)",
            "lake: Withdraw(RoleNotOfThisConfig), mart: Keep",
        ),
        ("it was deleted", Some(SeenRole::Absent), "Read(TargetData)", "lake: Withdraw(ActiveRoleMissing), mart: Keep"),
    ] {
        seen.profile_roles = seen_role.map(|role| ("the-lake".to_owned(), role)).into_iter().collect();
        assert_eq!((next(&seen, now()), steps(&seen, now())), (step.to_owned(), profiles.to_owned()), "{row}");
    }
    profile(&mut seen, "lake").withdrawn = Some("ActiveRoleMissing".into());
    assert_eq!(steps(&seen, now()), "lake: Keep, mart: Keep", "the reason stays");
}

#[test]
fn a_config_beyond_its_limit_gets_no_profile_and_keeps_those_it_has() {
    for (row, key, profiles) in [
        ("no session yet", None, "TooManyConfigs"),
        ("a session of a profile", Some("ASIAEXAMPLE".to_owned()), "granted"),
    ] {
        let mut seen = with_profiles();
        no_room(&mut seen);
        config(&mut seen, |config| {
            let lake = ProfileStatus { name: "lake".into(), access_key_id: key, ..Default::default() };
            config.status.get_or_insert_default().profiles = Some(vec![lake]);
        });
        for plan in decide(&seen, now()).profiles {
            let said = plan.accepted.map_or_else(|refusal| refusal.why.reason.to_string(), |_| "granted".to_owned());
            assert_eq!(said, profiles, "{row}: {}", plan.name);
            assert_eq!(plan.step, ProfileStep::Keep, "{row}: {}", plan.name);
        }
    }
}

#[test]
fn the_brake_holds_back_a_profile_with_its_config_and_no_denied_one() {
    let braked = |seen: &mut Observed| {
        is_read(seen);
        let config_map = crate::brake::ConfigMapName { namespace: "keyturn".into(), name: "withdrawals".into() };
        let settings = crate::brake::Settings { limit: Some(5), config_map };
        seen.brake = crate::brake::Brake::new(settings, Box::new(|_| vec![])).seen("uid-of-alice");
        seen.brake.turn = Some(crate::brake::Turn::Held);
        config(seen, |config| {
            let generation = config.metadata.generation;
            config.status.get_or_insert_default().observed_generation = generation;
        });
    };
    let rows: [(&str, Disturbance, &str, &str); 4] = [
        ("the profile alone", loses_lake, "Profiles { held: None }", "lake: Withdraw(NotGranted), mart: Keep"),
        ("all of them", |seen| grant(seen, |grant| grant.spec.roles.clear()), "Hold", "lake: Keep, mart: Keep"),
        (
            "a denial beside the hold",
            |seen| {
                grant(seen, |grant| grant.spec.roles.clear());
                denied(seen, Some(LAKE));
            },
            "held with Profiles",
            "lake: Withdraw(Denied), mart: Keep",
        ),
        (
            "a denial of everything",
            |seen| denied(seen, None),
            "Withdraw(Denied)",
            "lake: Withdraw(Denied), mart: Withdraw(Denied)",
        ),
    ];
    for (row, disturb, step, profiles) in rows {
        let mut seen = with_profiles();
        braked(&mut seen);
        disturb(&mut seen);
        let plan = decide(&seen, now());
        let said = match plan.action() {
            Some(SecretAction::Profiles { held: Some((_, HoldCause::Brake)) }) => "held with Profiles".to_owned(),
            _ => next(&seen, now()),
        };
        assert_eq!((said.as_str(), steps(&seen, now()).as_str()), (step, profiles), "{row}");
        assert_eq!(plan.is_held(), ["Hold", "held with Profiles"].contains(&step), "{row}");
    }
}

#[test]
fn another_s_profiles_go_even_if_the_credential_is_withdrawn_already() {
    let mut seen = with_profiles();
    record(&mut seen).withdrawn = Some("NotGranted".into());
    is_read(&mut seen);
    config(&mut seen, |c| c.spec.person = Some("bob".into()));
    grant(&mut seen, |grant| grant.spec.persons = vec!["*".into()]);
    loses_default(&mut seen);
    assert_eq!(next(&seen, now()), "Profiles { held: None }");
    assert_eq!(steps(&seen, now()), "lake: Withdraw(Pending), mart: Withdraw(Pending)");
    for profile in &mut record(&mut seen).profiles {
        profile.withdrawn = Some("Pending".into());
    }
    assert_eq!(steps(&seen, now()), "lake: Issue(Restored), mart: Issue(Restored)", "then bob gets his own");
}
