//! The role that a config asks for, the status of its `AwsRole`, and the reach of keyturn's own
//! identity.

use super::*;
use crate::{
    api::{ActiveRole, ActiveRoleRef, RoleRetention},
    credentials::Identity,
};

const OTHER: &str = "arn:aws:iam::123456789012:role/other";
const HUB: &str = "arn:aws:iam::210987654321:role/hub";

fn own_role(change: impl FnOnce(&mut AwsRole)) -> AwsRole {
    let spec = json!({"awsConfigRef": {"name": "alice"}, "person": "alice", "role": ROLE});
    let mut role = AwsRole::new("own", serde_json::from_value(spec).unwrap());
    change(&mut role);
    role
}

fn shows(seen: &mut Observed, change: impl FnOnce(&mut AwsRole)) {
    seen.role = SeenRole::Shown(Arc::new(own_role(change)));
}

/// A config in order that names an `AwsRole` which its user wrote.
fn naming(mut seen: Observed) -> Observed {
    shows(&mut seen, |_| {});
    config(&mut seen, |c| {
        c.spec.role = None;
        c.spec.active_role_ref = Some(ActiveRoleRef { name: "own".into() });
        c.status.get_or_insert_default().active_role = Some(ActiveRole { name: "own".into(), role: ROLE.into() });
    });
    seen
}

const QUESTIONS: [(&str, Disturbance, &str); 8] = [
    (
        "another config's",
        |seen| shows(seen, |r| r.spec.aws_config_ref.name = "bob".into()),
        "RoleNotOfThisConfig, withdraws",
    ),
    ("another person's", |seen| shows(seen, |r| r.spec.person = Some("bob".into())), "RoleNotOfThisConfig, withdraws"),
    ("nobody's", |seen| shows(seen, |r| r.spec.person = None), "RoleNotOfThisConfig, withdraws"),
    ("no ARN", |seen| shows(seen, |r| r.spec.role = "analyst".into()), "InvalidSpec, withdraws"),
    ("another role", |seen| shows(seen, |r| r.spec.role = OTHER.into()), "NotGranted, withdraws"),
    ("deleted", |seen| seen.role = SeenRole::Absent, "ActiveRoleMissing, withdraws"),
    (
        "on its way out",
        |seen| {
            let at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now());
            shows(seen, |r| r.metadata.deletion_timestamp = Some(at));
        },
        "ActiveRoleMissing, withdraws",
    ),
    (
        "yet to come",
        |seen| {
            seen.role = SeenRole::Absent;
            config(seen, |c| c.status.get_or_insert_default().active_role = None);
        },
        "RolePending, withdraws",
    ),
];

#[test]
fn a_named_role_has_to_exist_for_this_config_and_person() {
    assert_eq!(verdict(&naming(fresh())), "granted by analysts");
    assert_eq!(next(&naming(healthy()), now()), "Keep");
    for (what, disturb, answer) in QUESTIONS {
        let mut seen = naming(healthy());
        disturb(&mut seen);
        assert_eq!(verdict(&seen), answer, "{what}");
        let reason = answer.split(',').next().unwrap();
        assert_eq!(next(&seen, now()), format!("Withdraw({reason})"), "{what}");
        assert_eq!(decide(&seen, now()).roles.step, RoleStep::Keep, "{what}: nothing is generated");
    }
}

#[test]
fn a_named_role_is_read_before_its_absence_withdraws_anything() {
    let mut seen = naming(healthy());
    seen.role = SeenRole::NotShown;
    assert_eq!(next(&seen, now()), "Read(Role)");
    let mut seen = naming(fresh());
    seen.role = SeenRole::NotShown;
    config(&mut seen, |c| c.status = None);
    assert_eq!(next(&seen, now()), "Keep", "there is nothing to lose");
}

#[test]
fn the_active_role_keeps_its_name_while_it_is_missing() {
    let active = |seen: &Observed| decide(seen, now()).active_role.map(|active| (active.name, active.role));
    let own = Some(("own".to_owned(), ROLE.to_owned()));
    let mut seen = naming(fresh());
    assert_eq!(active(&seen), own);
    seen.role = SeenRole::Absent;
    assert_eq!(active(&seen), own, "it is told from one that is yet to come");
    shows(&mut seen, |r| r.spec.person = Some("bob".into()));
    assert_eq!(active(&seen), None);
    assert_eq!(active(&fresh()).map(|(_, role)| role), Some(ROLE.to_owned()));
}

#[test]
fn the_status_of_a_role_follows_from_its_config() {
    let reported = |role: &AwsRole, seen: Option<&Observed>| {
        let status = role_status(role, seen, now())?;
        Some((status.active == Some(true), status.conditions[0].reason.clone()))
    };
    let expected = |active, reason: &str| Some((active, reason.to_owned()));
    let seen = naming(healthy());
    assert_eq!(reported(&own_role(|_| {}), Some(&seen)), expected(true, "Granted"));
    assert_eq!(
        reported(&own_role(|r| r.metadata.name = Some("spare".into())), Some(&seen)),
        expected(false, "Granted")
    );
    assert_eq!(reported(&own_role(|r| r.spec.role = OTHER.into()), Some(&seen)), expected(true, "NotGranted"));
    assert_eq!(reported(&own_role(|r| r.spec.person = None), Some(&seen)), expected(false, "RoleNotOfThisConfig"));
    assert_eq!(reported(&own_role(|_| {}), None), expected(false, "Pending"));
    let stranger = own_role(|r| {
        r.metadata.name = Some(crate::decide::input::role_name(&fresh().config, ROLE.parse().ok().as_ref()).unwrap());
    });
    assert_eq!(
        reported(&stranger, Some(&fresh())),
        expected(false, "Granted"),
        "under a generated name and not generated"
    );
    let mut far = naming(healthy());
    far.identity = Some(Identity::new("arn:aws-cn:iam::123456789012:user/keyturn"));
    assert_eq!(reported(&own_role(|_| {}), Some(&far)), expected(true, "InvalidSpec"), "out of the operator's reach");
    let mut unknown = naming(healthy());
    (unknown.grants, unknown.grants_seen) = (vec![], false);
    assert_eq!(reported(&own_role(|_| {}), Some(&unknown)), None, "no grant was ever seen");
    let mut unknown = naming(healthy());
    unknown.namespace_labels = None;
    assert_eq!(reported(&own_role(|_| {}), Some(&unknown)), None, "nothing is said that is not known");
}

#[test]
fn only_unused_generated_roles_are_pruned_and_only_on_request() {
    let seen = |retention| {
        let mut seen = healthy();
        config(&mut seen, |c| c.spec.role_retention = retention);
        let former = |owned: bool, labelled: bool| {
            Arc::new(own_role(|role| {
                let owners = ours(&mut seen.clone()).metadata.owner_references.clone();
                role.metadata.owner_references = owners.filter(|_| owned);
                let label = (names::CREATED_FROM.to_owned(), names::CREATED_FROM_CONFIG.to_owned());
                role.metadata.labels = labelled.then(|| [label].into());
            }))
        };
        seen.other_roles = vec![former(true, true), former(false, true), former(true, false)];
        seen
    };
    assert_eq!(decide(&seen(RoleRetention::Retain), now()).roles.prune, vec![]);
    let pruned = seen(RoleRetention::Prune);
    assert_eq!(decide(&pruned, now()).roles.prune, vec![pruned.other_roles[0].clone()]);
}

#[test]
fn a_role_out_of_reach_is_refused_and_withdraws_nothing() {
    let with = |arn: &str, duration: &str, via: bool| {
        let mut seen = healthy();
        seen.identity = Some(Identity::new(arn));
        config(&mut seen, |c| c.spec.session = serde_json::from_value(json!({"duration": duration})).unwrap());
        grant(&mut seen, |g| g.spec.via = if via { vec![HUB.into()] } else { vec![] });
        (verdict(&seen), next(&seen, now()))
    };
    let user = "arn:aws:iam::123456789012:user/keyturn";
    let session = "arn:aws:sts::123456789012:assumed-role/keyturn/pod";
    for (arn, duration, via, expected) in [
        (user, "2h", false, ("granted by analysts", "Issue(Changed)")),
        (user, "2h", true, ("DurationTooLong, waits", "Keep")),
        (user, "1h", true, ("granted by analysts", "Issue(Changed)")),
        (session, "61m", false, ("DurationTooLong, waits", "Keep")),
        (session, "1h", false, ("granted by analysts", "Keep")),
        ("arn:aws-cn:iam::123456789012:user/keyturn", "1h", false, ("InvalidSpec, waits", "Keep")),
    ] {
        let (verdict, step) = with(arn, duration, via);
        assert_eq!((verdict.as_str(), step.as_str()), expected, "{arn} {duration} {via}");
    }
}
