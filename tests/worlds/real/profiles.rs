//! Profiles with the real AWS CLI and boto3: each name of a profile leads to the session of its own
//! role, across a renewal and the withdrawal of one of two.

use super::{ground::eventually, install::Install};
use keyturn::api::{Profile, names};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, process::Command};

/// Prints the access key ID and the role of the session that boto3 finds: with `profile_name` if an
/// argument names one, and otherwise as the environment says.
const WHO: &str = "\
import sys, boto3
session = boto3.Session(profile_name=sys.argv[1]) if sys.argv[1:] else boto3.Session()
print(session.get_credentials().access_key, session.client('sts').get_caller_identity()['Arn'])
";

/// The ways in which a program chooses a profile: its output, and whether it succeeded.
fn asked(install: &Install<'_>, mount: &Path, profile: &str) -> BTreeMap<&'static str, (bool, String)> {
    let programs = &install.ground.at.bin;
    let (aws, python) = (programs.aws.as_ref().unwrap(), programs.python.as_ref().unwrap());
    let identity = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
    let by = |program: &Path, arguments: &[&str], variable: Option<&str>| {
        let mut command: Command = install.in_pod(program, mount);
        command.args(arguments).envs(variable.map(|name| (name, profile)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let named = [&identity[..], &["--profile", profile]].concat();
    [
        ("aws --profile", by(aws, &named, None)),
        ("aws, AWS_PROFILE", by(aws, &identity, Some("AWS_PROFILE"))),
        ("boto3, profile_name", by(python, &["-c", WHO, profile], None)),
        ("boto3, AWS_PROFILE", by(python, &["-c", WHO], Some("AWS_PROFILE"))),
    ]
    .into()
}

/// Asserts that every way of choosing each profile leads to its role.
async fn all_lead_to(install: &Install<'_>, expected: &[(&str, &str)]) {
    let mount = install.mount("alice").await;
    for (profile, role) in expected {
        for (way, (ok, said)) in asked(install, &mount, profile) {
            assert!(ok && said.contains(&format!("assumed-role/{role}/alice")), "{profile}, {way}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn each_profile_is_its_own_role_across_renewal_and_withdrawal() {
    let install = Install::scoped().await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    let profiles = json!([
        {"name": "lake", "role": install.role("ds-other")},
        {"name": "mart", "role": install.role("ds-analyst")},
    ]);
    let profiles: Vec<Profile> = serde_json::from_value(profiles).unwrap();
    install.apply_config("alice", |spec| spec.profiles.clone_from(&profiles)).await;
    install.until_ready_is("alice", "True/Issued").await;
    all_lead_to(&install, &[("lake", "ds-other"), ("mart", "ds-analyst")]).await;
    let (_, own) = install.aws("alice", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    assert!(own.contains("assumed-role/ds-analyst/alice"), "{own}");

    let before = install.record("alice").await.unwrap();
    let renew = json!({"metadata": {"annotations": {names::RENEW: "now"}}});
    install.configs().patch("alice", &PatchParams::default(), &Patch::Merge(renew)).await.unwrap();
    let after = eventually("all sessions are renewed", async || {
        let record = install.record("alice").await.unwrap();
        let is_new = |name: &str| {
            let id = |record: &keyturn::secret::Record| record.profile(name).unwrap().access_key_id.clone();
            id(&record) != id(&before)
        };
        if is_new("lake") && is_new("mart") && record.access_key_id != before.access_key_id {
            Ok(record)
        } else {
            Err(record)
        }
    })
    .await;
    assert_eq!(after.profiles.len(), 2);
    all_lead_to(&install, &[("lake", "ds-other"), ("mart", "ds-analyst")]).await;

    install.apply_grant(|spec| spec.roles = vec![install.role("ds-analyst")]).await;
    eventually("the profile is withdrawn", async || {
        let record = install.record("alice").await.unwrap();
        if record.profile("lake").unwrap().withdrawn.as_deref() == Some("NotGranted") { Ok(()) } else { Err(record) }
    })
    .await;
    all_lead_to(&install, &[("mart", "ds-analyst")]).await;
    let mount = install.mount("alice").await;
    for (way, (ok, said)) in asked(&install, &mount, "lake") {
        assert!(!ok && !said.contains("assumed-role"), "{way}: no other identity: {said}");
        assert!(said.contains("WITHDRAWN by keyturn: NotGranted"), "{way}: {said}");
    }
    let alice = install.until_ready_is("alice", "True/Issued").await;
    let status = alice.status.unwrap();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "ProfilesReady").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "NotGranted"), "{}", ready.message);
    assert!(ready.message.contains("profile \"lake\"") && ready.message.contains(&install.role("ds-other")));

    let log = operator.log.clone();
    assert!(operator.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("credential issued").count(), 6, "three sessions, twice: {log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_profile_that_makes_no_sense_is_refused_with_a_reason() {
    let install = Install::scoped().await;
    let role = install.role("ds-analyst");
    let many: Vec<_> = (0..9).map(|n| json!({"name": format!("p{n}"), "role": role})).collect();
    let long = "a".repeat(33);
    for (row, spec, words) in [
        ("default", json!({"profiles": [{"name": "default", "role": role}]}), "the profile default is the role"),
        ("no role", json!({"profiles": [{"name": "lake"}]}), "either role or activeRoleRef"),
        (
            "two roles",
            json!({"profiles": [{"name": "lake", "role": role, "activeRoleRef": {"name": "x"}}]}),
            "either role or activeRoleRef",
        ),
        ("no ARN", json!({"profiles": [{"name": "lake", "role": "ds-lake"}]}), "must be the ARN of an IAM role"),
        ("a space", json!({"profiles": [{"name": "my lake", "role": role}]}), "spec.profiles[0].name"),
        ("a long name", json!({"profiles": [{"name": long, "role": role}]}), "spec.profiles[0].name"),
        (
            "twice",
            json!({"profiles": [{"name": "lake", "role": role}, {"name": "lake", "role": role}]}),
            "Duplicate value",
        ),
        ("nine", json!({"profiles": many}), "must have at most 8 items"),
        (
            "no files",
            json!({"profiles": [{"name": "lake", "role": role}], "target": {"formats": ["Env"]}}),
            "profiles need the format Files",
        ),
        (
            "a key",
            json!({"credentialProvider": "default", "keySecretRef": {"name": "mine"}, "role": null,
                "profiles": [{"name": "lake", "role": role}]}),
            "belong to credentialProvider temporary",
        ),
    ] {
        let mut whole = json!({"person": "alice", "role": role});
        json_patch::merge(&mut whole, &spec);
        let object = json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
            "metadata": {"name": "alice", "namespace": install.namespace}, "spec": whole});
        let (ok, said) = install.kubectl_create(&object, &["--dry-run=server"]);
        assert!(!ok && said.contains(words), "{row}: {said}");
    }
}
