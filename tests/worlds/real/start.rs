//! The start of the operator, the one line in which it reports why it cannot start, and the chart's
//! values.

use super::{
    ground::{Ground, eventually, run, run_with_input},
    install::Install,
};
use crate::fixtures;
use serde_json::Value;
use std::process::Command;

fn keyturn(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_keyturn"))
        .args(arguments)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty(), "nothing on standard output");
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn one_line(text: &str) -> &str {
    let lines: Vec<&str> = text.lines().collect();
    let [line] = lines[..] else { panic!("not one line: {text}") };
    line
}

#[test]
fn a_wrong_flag_or_setting_or_no_cluster_is_one_line() {
    /// A case, its arguments, its environment, and the names of which the line has one.
    type Row =
        (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static [&'static str]);
    let table: [Row; 5] = [
        ("an unknown flag", &["run", "--cluster", "x"], &[], &["--cluster"]),
        ("no cluster name", &["run"], &[], &["--cluster-name"]),
        ("a wrong cluster name", &["run"], &[("KEYTURN_CLUSTER_NAME", "a/b")], &["a/b"]),
        (
            "a wrong address",
            &["run"],
            &[("KEYTURN_CLUSTER_NAME", "a"), ("KEYTURN_ADMIN_ADDR", "x")],
            &["KEYTURN_ADMIN_ADDR", "--admin-addr"],
        ),
        (
            "no cluster",
            &["run", "--cluster-name", "a"],
            &[("KUBECONFIG", "/nowhere/kubeconfig")],
            &["Kubernetes configuration"],
        ),
    ];
    for (case, arguments, environment, names) in table {
        let (ok, said) = keyturn(arguments, environment);
        let line = one_line(&said);
        assert!(!ok && line.starts_with("keyturn: "), "{case}: {said}");
        assert!(names.iter().any(|name| line.contains(name)), "{case}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_missing_or_unusable_setting_ends_the_operator_with_one_line() {
    let ground = Ground::bare();
    let kubeconfig = ground.at.kubeconfig.to_str().unwrap();
    let arguments = ["run", "--cluster-name", "a", "--log", "error", "--admin-addr", "127.0.0.1:0"];
    let (ok, said) = keyturn(&arguments, &[("KUBECONFIG", kubeconfig), ("AWS_REGION", "eu-west-1")]);
    let line = one_line(&said);
    assert!(!ok && line.contains("keyturn.dev/v1alpha1") && line.contains("crds.install=true"), "{line}");

    let (ok, said) = keyturn(&arguments, &[("KUBECONFIG", kubeconfig)]);
    assert!(!ok && one_line(&said).contains("AWS_REGION"), "{said}");

    let bare = [("KUBECONFIG", kubeconfig), ("AWS_REGION", "eu-west-1"), ("SSL_CERT_FILE", "/dev/null")];
    let (ok, said) = keyturn(&arguments, &bare);
    assert!(!ok && one_line(&said).contains("CA certificates") && said.contains("AWS_CA_BUNDLE"), "{said}");

    let services = [("AWS_ENDPOINT_URL_STS", "STS"), ("AWS_ENDPOINT_URL", "STS"), ("AWS_ENDPOINT_URL_S3", "S3")];
    for (name, service) in services {
        let plain = [("KUBECONFIG", kubeconfig), ("AWS_REGION", "eu-west-1"), (name, "http://10.0.0.7:4566")];
        let (ok, said) = keyturn(&arguments, &plain);
        assert!(
            !ok && one_line(&said).contains(&format!("{service} endpoint http://10.0.0.7:4566"))
                && said.contains("https"),
            "{said}"
        );
    }

    let bundle = [("KUBECONFIG", kubeconfig), ("AWS_REGION", "eu-west-1"), ("AWS_CA_BUNDLE", "/nowhere/ca.pem")];
    let (ok, said) = keyturn(&arguments, &bundle);
    assert!(!ok && one_line(&said).contains("/nowhere/ca.pem"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn missing_base_credentials_are_reported_by_each_config() {
    let install = Install::scoped().await;
    let endpoint = install.ground.at.aws.as_ref().unwrap().endpoint.clone();
    let operator = install.start_with(&[("AWS_ENDPOINT_URL_STS", &endpoint)]).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    let alice = install.until_ready_is("alice", "False/BaseCredentialsMissing").await;
    let message = &alice.status.unwrap().conditions[2].message;
    assert!(message.contains("ServiceAccount") && message.contains("role/ds-analyst"), "{message}");
    assert!(operator.stop().await.success());
    let operator = install.start().await;
    install.until_ready_is("alice", "True/Issued").await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_operator_without_rights_names_them_and_withdraws_nothing() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    assert!(operator.stop().await.success());
    let before = install.secret("alice").await;

    super::ground::run(install.ground.kubectl().args(["delete", "clusterrolebinding", &install.fullname()]));
    let operator = install.spawn(&[]).await;
    eventually("it says that it may not list grants", async || match operator.get("readyz").await {
        Err(said)
            if said.contains("503") && said.contains("awsrolegrants.keyturn.dev") && said.contains("forbidden") =>
        {
            Ok(())
        }
        other => Err(other),
    })
    .await;
    assert!(operator.log().contains("nothing is decided until it can"), "{}", operator.log());
    assert!(operator.get("livez").await.is_ok(), "it waits and does not crash");
    assert_eq!(install.secret("alice").await, before);
    assert!(operator.stop().await.success(), "SIGTERM ends it even while it waits");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_operator_of_some_namespaces_has_no_rights_in_others() {
    let install = Install::scoped().await;
    let other = Install::scoped().await;
    let operator = install.start().await;
    install.apply_grant(|spec| spec.namespaces.as_mut().unwrap().names.push(other.namespace.clone())).await;
    other.apply_config("mallory", |spec| spec.role = Some(install.role("ds-analyst"))).await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    assert_eq!(other.configs().get("mallory").await.unwrap().seen_status(), None);
    let user = install.user();
    for (namespace, expected) in [(&install.namespace, "yes"), (&other.namespace, "no")] {
        let mut can = install.ground.kubectl();
        can.args(["auth", "can-i", "list", "secrets", "--as", &user, "-n", namespace]);
        let (_, answer) = run_with_input(&mut can, "");
        assert!(answer.lines().any(|line| line == expected), "{namespace}: {answer}");
    }
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_chart_renders_valid_objects_and_refuses_unknown_values() {
    let ground = Ground::shared();
    for values in ["minimal", "all", "person", "network-policy"] {
        let values = &format!("charts/keyturn/ci/{values}-values.yaml");
        let mut template = ground.helm();
        template.args([
            "template",
            "keyturn",
            "charts/keyturn",
            "--namespace",
            "default",
            // There are no such namespaces here.
            "--skip-tests",
            "--set",
            "watchNamespaces=null,restart.namespaces=null,webhook.endpoint.testNamespace=null",
            "-f",
            values,
        ]);
        let rendered = super::ground::run(&mut template);
        assert!(rendered.contains("helm.sh/resource-policy: keep") || values.contains("all"), "definitions are kept");
        let mut apply = ground.kubectl();
        apply.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
        let (ok, said) = run_with_input(&mut apply, &rendered);
        assert!(ok, "{values}: {said}");
    }
    let mut template = ground.helm();
    template.args(["template", "keyturn", "charts/keyturn", "--skip-tests"]);
    template.args(["-f", "charts/keyturn/ci/cert-manager-values.yaml"]);
    let rendered = super::ground::run(&mut template);
    for (made, what) in
        [(true, "kind: Certificate"), (true, "cert-manager.io/inject-ca-from"), (false, "kind: Secret\n")]
    {
        assert_eq!(rendered.contains(what), made, "{what}");
    }
    assert!(!rendered.contains("KEYTURN_WEBHOOK_CONFIGURATION"), "the authority is cert-manager's to publish");
    for (set, named) in [
        ("clusterName=a,replicaCount=0", "replicaCount"),
        ("clusterName=a,replicas=2", "replicas"),
        ("aws.region=eu-west-1", "clusterName"),
        ("clusterName=a/b", "clusterName"),
    ] {
        let mut template = ground.helm();
        template.args(["template", "keyturn", "charts/keyturn", "--set", set]);
        let (ok, said) = run_with_input(&mut template, "");
        assert!(!ok && said.contains(named), "{set}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn every_example_is_accepted_as_it_is() {
    let ground = Ground::shared();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = |dir: &std::path::Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    // `real::gitops` gives the manifests for Argo CD and Flux to an API server that knows their
    // kinds.
    let folders = entries(&examples).filter(|path| path.is_dir() && !path.ends_with("gitops"));
    let files: Vec<_> = folders.flat_map(|folder| entries(&folder).collect::<Vec<_>>()).collect();
    let is_manifest = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    let files: Vec<_> = files.into_iter().filter(is_manifest).collect();
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let file = file.display();
        let mut apply = ground.kubectl();
        // The namespace of the examples does not exist here, because nothing is to be left behind.
        let text = text.replace("namespace: scoring", "namespace: default");
        apply.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
        let (ok, said) = run_with_input(&mut apply, &text);
        assert!(ok, "{file}: {said}");
    }
    assert_eq!(fixtures::SCORING, "scoring", "examples and tests speak of the same namespace");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn every_manifest_of_the_pages_is_accepted_as_it_is() {
    let ground = Ground::shared();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "md");
    let pages = docs.chain([root.join("README.md"), root.join("charts/keyturn/README.md")]).filter(is_page);
    let mut seen = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for manifest in manifests(&text) {
            seen += 1;
            let mut apply = ground.kubectl();
            let manifest = in_default_namespace(&manifest);
            apply.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
            let (ok, said) = run_with_input(&mut apply, &manifest);
            assert!(ok, "{}: {said}\n{manifest}", page.display());
        }
    }
    assert!(seen >= 8, "{seen} manifests were found");
}

/// The manifest in a namespace that exists. Those of the pages do not exist here, as in the test of
/// the examples.
fn in_default_namespace(manifest: &str) -> String {
    let lines = manifest.lines().map(|line| match line.split_once("namespace: ") {
        Some((indentation, _)) if indentation.trim().is_empty() => format!("{indentation}namespace: default\n"),
        _ => format!("{}\n", line.replace("namespace: scoring", "namespace: default")),
    });
    lines.collect()
}

/// The blocks of YAML in a page that are objects of Kubernetes, without the indentation of a list.
/// The configuration file of eksctl looks like one and is none. This API server knows no kind of
/// Sigstore's.
fn manifests(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some((indentation, "")) = line.split_once("```yaml") else { continue };
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let rows: Vec<&str> = block.map(|line| line.strip_prefix(indentation).unwrap_or(line)).collect();
        let is_known = |row: &&str| !["eksctl.io", "sigstore.dev"].iter().any(|other| row.contains(other));
        let is_object = rows.iter().any(|row| row.starts_with("apiVersion: ") && is_known(row));
        if is_object {
            found.push(rows.join("\n") + "\n");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_server_has_the_version_that_was_asked_for() {
    let at = &Ground::shared().at;
    let client =
        serde_json::from_str::<Value>(&run(Ground::shared().kubectl().args(["version", "-o", "json"]))).unwrap();
    assert_eq!(client["serverVersion"]["gitVersion"], at.server_version);
    if let Some(wanted) = Ground::wanted_version() {
        assert!(at.server_version.starts_with(&format!("v{wanted}.")), "{}", at.server_version);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_running_operator_leaves_no_core_dump() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    let process = operator.child.id().to_string();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
