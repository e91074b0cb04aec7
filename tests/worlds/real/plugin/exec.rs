//! Programs at a workstation with the credential of a person: the real AWS CLI below
//! `kubectl keyturn exec`.

use super::{Install, Plugin, WRITERS, operator_with_alice};
use std::process::Command;

/// The plugin that runs a program as the admin. The workstation has another identity, too.
fn exec(plugin: &Plugin<'_>, program: &[&str]) -> Command {
    let mut command = Command::new(&plugin.program);
    command
        .args(["exec", "alice", "-n", &plugin.install.namespace, "--kubeconfig"])
        .arg(&plugin.install.ground.at.kubeconfig)
        .arg("--")
        .args(program)
        .env("AWS_ENDPOINT_URL", &plugin.install.ground.at.aws.as_ref().unwrap().endpoint)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")
        .env("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
        .env("AWS_PROFILE", "of-somebody-else");
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_program_at_a_workstation_works_as_the_person() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let plugin = Plugin::of(&install);
    let aws = install.ground.at.bin.aws.as_ref().unwrap().to_str().unwrap();

    let asked = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
    let output = exec(&plugin, &[&[aws][..], &asked[..]].concat()).output().unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with(":assumed-role/ds-analyst/alice"), "{said}{error}");

    let rows: [(&str, &[&str], i32); 3] = [
        ("the program's own code", &["sh", "-c", "exit 42"], 42),
        ("a signal", &["sh", "-c", "kill -TERM $$"], 143),
        ("no such program", &["/nowhere/program"], 127),
    ];
    for (row, program, code) in rows {
        assert_eq!(exec(&plugin, program).output().unwrap().status.code(), Some(code), "{row}");
    }
    let (ended, out, err) = plugin.says(Some("alice"), &[WRITERS], &["exec", "alice", "--", "true"]);
    let part = "error: cannot read Secret \"alice-aws\" of AwsConfig \"alice\": ";
    assert!(ended == Some(1) && out.is_empty() && err.starts_with(part), "{ended:?} {err}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_running_program_learns_of_a_withdrawal_with_its_reason() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let plugin = Plugin::of(&install);

    // The program asks the endpoint as an SDK does, suspends the config, and asks again.
    let python = install.ground.at.bin.python.as_ref().unwrap().to_str().unwrap();
    let kubectl = install.ground.at.bin.kubectl.to_str().unwrap();
    let kubeconfig = install.ground.at.kubeconfig.to_str().unwrap();
    let program = "
import json, os, subprocess, sys, time, urllib.error, urllib.request
def ask():
    request = urllib.request.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'],
        headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})
    try:
        return 200, json.load(urllib.request.urlopen(request, timeout=5))
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
assert ask()[0] == 200
patch = ['-n', sys.argv[3], 'patch', 'awsconfig', 'alice', '--type=merge', '-p', '{\"spec\":{\"suspend\":true}}']
subprocess.run([sys.argv[1], '--kubeconfig', sys.argv[2], *patch], check=True, stdout=subprocess.DEVNULL)
for _ in range(240):
    code, said = ask()
    if code != 200:
        break
    time.sleep(0.25)
print(code, said['code'], said['message'])
";
    let output = exec(&plugin, &[python, "-c", program, kubectl, kubeconfig, &install.namespace]).output().unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("404 Withdrawn WITHDRAWN by keyturn: Suspended"), "{said}{error}");
    let output = exec(&plugin, &["true"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("holds no live credential"), "{error}");
    operator.stop().await;
}
