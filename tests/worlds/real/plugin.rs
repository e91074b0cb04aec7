//! `kubectl keyturn` as an admin, as Alice, and as a user without rights.

mod completing;
mod doctor;
mod exec;
mod importing;
mod snapshots;
mod tenants;

use super::{
    aws_admin::role_for,
    install::Install,
    people::{WRITERS, operator_with_alice},
};
use serde_json::{Value, json};
use std::{
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Output},
};

/// The plugin, for the namespace of one install.
struct Plugin<'a> {
    install: &'a Install<'a>,
    /// The program under the name by which kubectl finds it.
    program: PathBuf,
}

/// The exit code, standard output and standard error.
type Said = (Option<i32>, String, String);

impl<'a> Plugin<'a> {
    fn of(install: &'a Install<'a>) -> Self {
        let program = install.dir.join("kubectl-keyturn");
        symlink(env!("CARGO_BIN_EXE_keyturn"), &program).unwrap();
        Self { install, program }
    }

    /// Runs a command as a user of the group that may write configs, or as the admin.
    fn says(&self, user: Option<&str>, groups: &[&str], arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        // What follows `--` is another program's.
        let (own, others) = arguments.split_at(arguments.iter().position(|it| *it == "--").unwrap_or(arguments.len()));
        command.args(own).args(["-n", &self.install.namespace]);
        command.arg("--kubeconfig").arg(&self.install.ground.at.kubeconfig);
        let endpoint = &self.install.ground.at.aws.as_ref().unwrap().endpoint;
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some(user) = user {
            command.args(["--as", user]);
        }
        for group in groups {
            command.args(["--as-group", group]);
        }
        command.args(others);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_plugin_answers_by_the_rights_of_its_caller() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let role = install.role("ds-analyst");
    let plugin = Plugin::of(&install);

    let rows: [(&str, Option<&str>, &[&str], &[&str], i32, &str); 11] = [
        ("the list", None, &[], &["status"], 0, "alice"),
        (
            "the list of a person",
            Some("alice"),
            &[WRITERS],
            &["status", "--person", "alice", "-o", "json"],
            0,
            "\"ready\": true",
        ),
        ("an admin asks why", None, &[], &["why", "alice"], 0, "=> yes: Secret \"alice-aws\" holds the credential"),
        ("Alice asks why", Some("alice"), &[WRITERS], &["why", "alice"], 0, "you may not read awsrolegrants"),
        (
            "Alice sees what the operator said",
            Some("alice"),
            &[WRITERS],
            &["why", "alice"],
            0,
            "The operator said: Ready=True Issued",
        ),
        ("a role that is granted", None, &[], &["can", "--person", "alice", "--role", &role], 0, "yes: AwsRoleGrant"),
        (
            "a role that is not",
            None,
            &[],
            &["can", "--person", "alice", "--role", "arn:aws:iam::123456789012:role/admin"],
            1,
            "no: no AwsRoleGrant allows",
        ),
        ("the grants about a role", None, &[], &["who-can", &role], 0, "Allow"),
        ("the roles of a namespace", None, &[], &["roles", "--person", "alice"], 0, "role/ds-*"),
        ("the use of grants", None, &[], &["uses"], 0, "DELETION WITHDRAWS"),
        ("the use of a grant", None, &[], &["uses", &install.namespace], 0, "withdrawn    AwsConfig"),
    ];
    for (row, user, groups, arguments, code, part) in rows {
        let (ended, out, err) = plugin.says(user, groups, arguments);
        assert!(ended == Some(code) && out.contains(part), "{row}: {ended:?}\n{out}{err}");
        assert!(err.is_empty(), "{row}: {err}");
    }
    let refused: [(&str, &[&str], i32, &str); 5] = [
        ("no right to list", &["status"], 1, "error: cannot list the AwsConfigs of namespace"),
        ("no right to read", &["why", "alice"], 1, "error: cannot read AwsConfig \"alice\" in namespace"),
        ("no right to grants", &["who-can", &role], 1, "error: cannot list AwsRoleGrants: "),
        ("no right to the use of grants", &["uses"], 1, "error: cannot list AwsRoleGrants: "),
        ("a wrong option", &["status", "--colour"], 2, "unexpected argument"),
    ];
    for (row, arguments, code, part) in refused {
        let (ended, out, err) = plugin.says(Some("nobody"), &[], arguments);
        assert!(ended == Some(code) && err.contains(part) && out.is_empty(), "{row}: {ended:?}\n{out}{err}");
        assert!(code == 2 || err.trim_end().lines().count() == 1, "{row}: {err}");
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_plugin_requests_a_new_session_and_waits_for_it() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let before = install.values("alice").await["AWS_ACCESS_KEY_ID"].clone();
    let plugin = Plugin::of(&install);

    let renew = ["renew", "alice", "--wait", "60"];
    let (ended, out, err) = tokio::task::block_in_place(|| plugin.says(Some("alice"), &[WRITERS], &renew));
    assert!(ended == Some(0) && out.ends_with("issued\n"), "{ended:?}\n{out}{err}");
    let after = install.values("alice").await["AWS_ACCESS_KEY_ID"].clone();
    assert_ne!(before, after);
    let (ended, out, err) = plugin.says(None, &[], &["env", "alice"]);
    assert!(ended == Some(0) && out.contains(&format!("export AWS_ACCESS_KEY_ID='{after}'")), "{ended:?} {err}");
    let (ended, out, err) = plugin.says(Some("alice"), &[WRITERS], &["env", "alice"]);
    assert!(ended == Some(1) && out.is_empty() && err.contains("cannot read Secret \"alice-aws\""), "{ended:?} {err}");
    let (ended, out, err) = tokio::task::block_in_place(|| plugin.says(None, &[], &["verify", "alice"]));
    assert!(out.contains("assumed-role/ds-analyst/alice\n"), "{ended:?}\n{out}{err}");
    // There is no such bucket in this account.
    assert!(ended == Some(1) && out.contains("HeadBucket team-a: ") && out.ends_with("=> no\n"), "{out}{err}");
    operator.stop().await;

    // Nobody answers now.
    let late = ["renew", "alice", "--wait", "1"];
    let (ended, _, err) = tokio::task::block_in_place(|| plugin.says(None, &[], &late));
    assert!(ended == Some(3) && err.contains("kubectl keyturn why alice"), "{ended:?} {err}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_trust_policy_that_the_plugin_prints_lets_keyturn_in() {
    let install = Install::scoped().await;
    install
        .apply_grant(|spec| {
            spec.tags = serde_json::from_value(json!({"team": ["*"]})).unwrap();
        })
        .await;
    let operator = install.start().await;
    let asks = async |team: &str| {
        let session = json!({"tags": {"team": team}, "sourceIdentity": true});
        install
            .apply_config("alice", |spec| {
                spec.role = Some(install.role("ds-new"));
                spec.session = serde_json::from_value(session).unwrap();
            })
            .await;
    };
    asks("fraud").await;
    install.until_ready_is("alice", "False/AssumeRoleDenied").await;

    let principal = format!("arn:aws:iam::{}:user/keyturn", install.account);
    let plugin = Plugin::of(&install);
    let (ended, out, err) = plugin.says(None, &[], &["trust-policy", "alice", "--principal", &principal]);
    assert_eq!(ended, Some(0), "{err}");
    let policy: Value = serde_json::from_str(&out).unwrap();
    let reads = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"});
    role_for(&install.account, "ds-new", &policy["Statement"][0]).allows(&install, &json!([reads]));
    let (ended, out, err) = plugin.says(None, &[], &["iam-policy"]);
    assert!(ended == Some(0) && out.contains(&install.role("ds-*")) && out.contains("sts:TagSession"), "{out}{err}");

    // Another request is tried at once.
    asks("risk").await;
    install.until_ready_is("alice", "True/Issued").await;
    operator.stop().await;
}
