//! The answer of `why` for every reason of the closed list.

use super::{
    tests::{grant, live, now},
    *,
};
use crate::{
    api::{AwsConfig, AwsRole, ConditionType, Reason, names},
    brake::Braking,
    decide::{dss_access::SeenDss, input::SeenRole, target::Target},
    dss::SeenUser,
    secret::{Record, Source},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

/// The way in which a reason comes about.
enum By {
    /// An object. The operator's chain of checks, made by the plugin, comes to the reason.
    Object(fn(&mut Value), fn(&mut Live)),
    /// Something that only the operator sees. It says so in this condition.
    Operator(ConditionType),
    /// A condition beside `Ready`.
    Aside(ConditionType),
    /// A condition that may be false or unknown while the object is ready, with this status.
    Beside(ConditionType, &'static str),
    /// Nothing is wrong.
    Nothing,
    /// The reason is one of Events and metrics only.
    Events,
}

fn same(_: &mut Value) {}

fn unchanged(_: &mut Live) {}

fn by(reason: Reason) -> By {
    match reason {
        Reason::Issued | Reason::Granted | Reason::Verified | Reason::Pushed => By::Nothing,
        Reason::IdentityMismatch | Reason::CredentialRefused | Reason::BucketRefused => {
            By::Beside(ConditionType::Verified, "False")
        }
        Reason::NotVerified => By::Beside(ConditionType::Verified, "Unknown"),
        Reason::PushNameTaken
        | Reason::PushRefused
        | Reason::DataRobotInstanceMissing
        | Reason::DataRobotUnreachable
        | Reason::DataRobotDenied => By::Beside(ConditionType::Pushed, "False"),
        Reason::NotPushed => By::Beside(ConditionType::Pushed, "Unknown"),
        Reason::Renewed | Reason::DenialEnded | Reason::ManyWithdrawn | Reason::Restarted => By::Events,
        Reason::Pending => By::Object(same, |live| live.seen.namespace_labels = None),
        Reason::RolePending => By::Object(|it| it["spec"]["role"] = Value::Null, unchanged),
        Reason::ActiveRoleMissing => By::Object(names_a_role, |live| live.seen.role = SeenRole::Absent),
        Reason::RoleNotOfThisConfig => By::Object(names_a_role, |live| {
            let spec =
                json!({"awsConfigRef": {"name": "bob"}, "person": "bob", "role": "arn:aws:iam::123456789012:role/b"});
            live.seen.role = SeenRole::Shown(Arc::new(AwsRole::new("mine", from_value(spec).unwrap())));
        }),
        Reason::KeySecretMissing => By::Object(names_a_key, |live| live.seen.source = Source::Absent),
        Reason::SecretNotOffered => By::Object(names_a_key, |live| live.seen.source = Source::NotOffered),
        Reason::NotGranted => By::Object(same, |live| live.seen.grants.clear()),
        Reason::Denied => By::Object(same, |live| {
            Arc::make_mut(&mut live.seen.grants[0]).spec =
                from_value(json!({"effect": "Deny", "persons": ["*"]})).unwrap();
        }),
        Reason::WithdrawalHeld => By::Object(held, |live| {
            live.seen.grants.clear();
            live.seen.brake = Braking::known_to_hold();
            live.seen.target = target(&live.seen.config);
        }),
        Reason::InvalidSpec => By::Object(|it| it["spec"]["session"] = json!({"duration": "long"}), unchanged),
        Reason::PolicyTooLarge => {
            By::Object(|it| it["spec"]["session"] = json!({"policy": policy_of(3000)}), unchanged)
        }
        Reason::ForeignTarget => By::Object(same, |live| {
            live.seen.target = Target::Foreign { owner: "nobody's".to_owned(), is_marked: false };
        }),
        Reason::Suspended => By::Object(|it| it["spec"]["suspend"] = json!(true), unchanged),
        Reason::DssInstanceMissing => By::Object(
            |it| it["spec"]["dss"] = json!({"instance": "design"}),
            |live| {
                live.seen.dss = Some(SeenDss {
                    instance: None,
                    instances_seen: true,
                    login: None,
                    admin_keys: false,
                    push: false,
                    user: SeenUser::Unread,
                    fresh: true,
                    trouble: None,
                });
            },
        ),
        Reason::KeySecretInvalid
        | Reason::NotConfirmed
        | Reason::TooManyConfigs
        | Reason::DurationTooLong
        | Reason::DssUnreachable
        | Reason::DssDenied
        | Reason::DssUserMissing
        | Reason::DssPropertyMissing
        | Reason::ApiCallFailed
        | Reason::Internal => By::Operator(ConditionType::Accepted),
        Reason::Drifted
        | Reason::HeldBack
        | Reason::Expired
        | Reason::AssumeRoleDenied
        | Reason::BaseCredentialsMissing
        | Reason::RegionDisabled
        | Reason::ClockSkewed
        | Reason::Throttled
        | Reason::Unreachable
        | Reason::DssConnectionDenied
        | Reason::DssUserMismatch
        | Reason::DssKeyNotPersonal
        | Reason::DssAdminKey => By::Operator(ConditionType::Issued),
        Reason::NotInjected | Reason::SelectorOverlaps => By::Aside(ConditionType::PodsMissed),
        Reason::WorkloadMissing | Reason::RestartDenied | Reason::RestartBlocked => {
            By::Aside(ConditionType::RestartFailing)
        }
    }
}

fn names_a_role(config: &mut Value) {
    config["spec"]["role"] = Value::Null;
    config["spec"]["activeRoleRef"] = json!({"name": "mine"});
    config["status"] = json!({"activeRole": {"name": "mine", "role": "arn:aws:iam::123456789012:role/b"}});
}

fn names_a_key(config: &mut Value) {
    config["spec"] = json!({"person": "alice", "credentialProvider": "default", "keySecretRef": {"name": "key"}});
}

fn held(config: &mut Value) {
    let held = json!({"since": "2026-01-01T00:29:00Z", "until": "2026-01-01T01:00:00Z"});
    config["status"] = json!({"observedGeneration": 1, "withdrawalHeld": held});
}

/// The Secret of the config with a session that lives until 01:00.
fn target(config: &AwsConfig) -> Target {
    let record = Record {
        role: "arn:aws:iam::123456789012:role/ds-analyst".to_owned(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
        expires_at: Some("2026-01-01T01:00:00Z".parse().unwrap()),
        ..Record::lost("alice", now())
    };
    let owner = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "name": "alice", "uid": "u", "controller": true});
    let metadata = ObjectMeta {
        annotations: Some(record.annotations()),
        labels: Some([(names::AWS_CONFIG_LABEL.to_owned(), "alice".to_owned())].into()),
        owner_references: Some(vec![from_value(owner).unwrap()]),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    };
    Target::of(config, &metadata, Some("1"))
}

fn policy_of(length: usize) -> String {
    format!("{{\"Statement\": [], \"Id\": \"{}\"}}", "x".repeat(length))
}

/// The config with these conditions. All its objects are in order.
fn with_conditions(conditions: &Value) -> Live {
    let add =
        |config: &mut Value| config["status"] = json!({"observedGeneration": 1, "conditions": conditions.clone()});
    let mut live = live(add, &[grant()]);
    live.seen.target = target(&live.seen.config);
    live
}

fn condition(type_: ConditionType, status: &str, reason: Reason) -> Value {
    json!({"type": type_.as_str(), "status": status, "reason": reason.as_str(), "message": "as the operator says",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

#[test]
fn every_reason_is_answered_with_what_is_wrong_and_what_to_do() {
    for reason in Reason::ALL {
        let (live, parts) = match by(reason) {
            By::Events => {
                assert!(reason.conditions().is_empty(), "{reason} stands in a condition");
                continue;
            }
            By::Nothing => (with_conditions(&json!([condition(ConditionType::Ready, "True", reason)])), vec![]),
            By::Object(config, seen) => {
                let grant = match reason {
                    Reason::KeySecretMissing | Reason::SecretNotOffered => {
                        json!({"providers": ["default"], "namespaces": {"names": ["scoring"]}, "persons": ["*"]})
                    }
                    _ => grant(),
                };
                let mut live = live(config, &[grant]);
                seen(&mut live);
                let verdict = match reason {
                    Reason::Pending => "=> not yet: Pending: ".to_owned(),
                    Reason::WithdrawalHeld => "=> no: NotGranted: no AwsRoleGrant allows".to_owned(),
                    _ => format!("=> no: {reason}: "),
                };
                (live, vec![verdict])
            }
            By::Operator(type_) => {
                let conditions =
                    json!([condition(type_, "False", reason), condition(ConditionType::Ready, "False", reason)]);
                let parts = vec![format!("=> no: {reason}: as the operator says"), reason.remedy().to_owned()];
                (with_conditions(&conditions), parts)
            }
            By::Beside(type_, status) => {
                let ready = condition(ConditionType::Ready, "True", Reason::Issued);
                let parts =
                    vec![format!("Trouble: {}={status}: {reason}: ", type_.as_str()), reason.remedy().to_owned()];
                (with_conditions(&json!([ready, condition(type_, status, reason)])), parts)
            }
            By::Aside(type_) => {
                let ready = condition(ConditionType::Ready, "True", Reason::Issued);
                let parts = vec![format!("Trouble: {}: {reason}: ", type_.as_str()), reason.remedy().to_owned()];
                (with_conditions(&json!([ready, condition(type_, "True", reason)])), parts)
            }
        };
        let said = answer(&live, now(), Paint::NONE).text;
        for part in parts {
            assert!(said.contains(&part), "{reason}: {part:?} is not in\n{said}");
        }
        if let By::Operator(ConditionType::Accepted) = by(reason) {
            let marked = said.lines().filter(|line| line.contains("(the operator said so)")).count();
            let has_a_check = !matches!(reason, Reason::ApiCallFailed | Reason::Internal);
            assert_eq!(marked, usize::from(has_a_check), "{reason}: {said}");
        }
    }
}

#[test]
fn an_earlier_obstacle_of_the_operator_counts_before_a_later_one() {
    let rows = [
        ("a missing user of DSS, and no grant", Reason::DssUserMissing, "=> no: DssUserMissing: as the operator says"),
        ("no room, and no grant", Reason::TooManyConfigs, "=> no: NotGranted: no AwsRoleGrant allows"),
    ];
    for (row, reason, verdict) in rows {
        let accepted = condition(ConditionType::Accepted, "False", reason);
        let mut live = with_conditions(&json!([accepted, condition(ConditionType::Ready, "False", reason)]));
        live.seen.grants.clear();
        let said = answer(&live, now(), Paint::NONE).text;
        assert!(said.contains(verdict), "{row}: {said}");
    }
}

#[test]
fn a_held_withdrawal_is_told_with_its_end() {
    let By::Object(config, seen) = by(Reason::WithdrawalHeld) else { panic!("an object") };
    let mut live = live(
        |it| {
            config(it);
            it["status"]["conditions"] = json!([condition(ConditionType::Ready, "False", Reason::WithdrawalHeld)]);
        },
        &[],
    );
    seen(&mut live);
    let said = answer(&live, now(), Paint::NONE).text;
    for part in [
        "- a grant allows the whole request",
        "; keyturn holds the withdrawal back, and the Secret keeps the credential until 2026-01-01T01:00:00Z",
        "keyturn has held the withdrawal back since 2026-01-01T00:29:00Z, until 2026-01-01T01:00:00Z at the latest.",
        Reason::WithdrawalHeld.remedy(),
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn a_live_credential_whose_renewal_fails_is_a_yes_with_the_failure() {
    let conditions = json!([
        condition(ConditionType::Ready, "True", Reason::Issued),
        condition(ConditionType::RenewalFailing, "True", Reason::AssumeRoleDenied),
    ]);
    let said = answer(&with_conditions(&conditions), now(), Paint::NONE);
    let part =
        "=> yes: Secret \"alice-aws\" holds the credential (30m left), and its renewal fails: AssumeRoleDenied: ";
    assert!(said.text.contains(part), "{}", said.text);
}
