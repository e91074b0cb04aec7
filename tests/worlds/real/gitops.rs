//! How Argo CD and Flux read keyturn's objects, the manifests of `examples/gitops` and of
//! docs/gitops.md, and what a sync leaves alone.

use super::{
    ground::{Ground, eventually, ground, run, run_with_input},
    install::{CHART, Install},
};
use crate::{
    fixtures::{alice, analysts, aws_role, design, robot, role},
    gitops::{RECORDED, Recorded},
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::Api;
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What `read-health` prints of an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    object: String,
    #[serde(rename = "argoCD")]
    argo_cd: Health,
    flux: Health,
}

#[derive(Debug, Deserialize)]
struct Health {
    status: String,
    message: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> PathBuf {
    root().join("examples/gitops")
}

/// How Argo CD and Flux read the objects in these files.
fn read(objects: &[PathBuf]) -> Vec<Read> {
    ground(&["build", "read-health"]);
    let program = ground(&["which", "read-health"]);
    let said = run(Command::new(program.trim()).arg(examples().join("argocd-cm.yaml")).args(objects));
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[ignore = "needs the ground: make test"]
fn every_object_is_read_as_it_is_by_argo_cd_and_flux() {
    let files: Vec<PathBuf> = RECORDED.iter().map(Recorded::path).collect();
    let found = read(&files);
    assert_eq!(found.len(), RECORDED.len());
    for (found, wanted) in found.iter().zip(RECORDED) {
        let row = wanted.name;
        assert_eq!(found.object, row);
        let shown = (found.argo_cd.status.as_str(), found.flux.status.as_str());
        assert_eq!(shown, (wanted.argo_cd, wanted.flux), "{row}: {found:?}");
        assert!(found.argo_cd.message.contains(wanted.message), "{row}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_object_that_no_operator_has_seen_is_not_ready() {
    let ground = Ground::own();
    let objects = [
        serde_json::to_value(alice()).unwrap(),
        serde_json::to_value(aws_role("lead", "alice", &role("ds-lead"))).unwrap(),
        serde_json::to_value(analysts()).unwrap(),
        serde_json::to_value(design("https://dss.test")).unwrap(),
        serde_json::to_value(robot("prod", "https://robot.test", |_| {})).unwrap(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for mut object in objects {
        if object["metadata"].get("namespace").is_some() {
            object["metadata"]["namespace"] = "default".into();
        }
        let kind = object["kind"].as_str().unwrap().to_owned();
        let mut create = ground.kubectl();
        create.args(["create", "-o", "json", "-f", "-"]);
        let (ok, said) = run_with_input(&mut create, &object.to_string());
        assert!(ok, "{kind}: {said}");
        let created: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(created["status"], serde_json::json!({"observedGeneration": -1, "conditions": []}), "{kind}");
        files.push(dir.path().join(kind).with_extension("json"));
        fs::write(files.last().unwrap(), said).unwrap();
    }
    for found in read(&files) {
        let shown = (found.argo_cd.status.as_str(), found.flux.status.as_str());
        assert_eq!(shown, ("Progressing", "InProgress"), "{found:?}");
    }
}

/// The manifests of a text in Markdown: its blocks of YAML that have a kind.
fn manifests(markdown: &str) -> Vec<&str> {
    let blocks =
        markdown.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block);
    blocks.filter(|block| block.lines().any(|line| line.starts_with("kind: "))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn every_manifest_about_gitops_is_accepted_as_it_is() {
    let cluster = Ground::own();
    let definitions = tempfile::tempdir().unwrap();
    let folder = definitions.path().to_str().unwrap();
    ground(&["foreign-crds", folder]);
    run(cluster.kubectl().args(["apply", "--server-side", "-f", folder]));
    run(cluster.kubectl().args(["wait", "--for=condition=Established", "--timeout=60s", "-f", folder]));
    for namespace in ["argocd", "flux-system", "scoring"] {
        run(cluster.kubectl().args(["create", "namespace", namespace]));
    }
    let files = fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<(String, String)> =
        files.map(|file| (file.display().to_string(), fs::read_to_string(&file).unwrap())).collect();
    assert_eq!(all.len(), 5, "{all:?}");
    let page = fs::read_to_string(root().join("docs/gitops.md")).unwrap();
    let blocks = manifests(&page);
    assert!(!blocks.is_empty(), "docs/gitops.md has manifests");
    all.extend(blocks.into_iter().map(|block| (format!("docs/gitops.md: {block}"), block.to_owned())));
    for (name, text) in all {
        let mut apply = cluster.kubectl();
        apply.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
        let (ok, said) = run_with_input(&mut apply, &text);
        assert!(ok, "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_sync_of_the_chart_leaves_alone_what_keyturn_writes() {
    let install = Install::scoped().await;
    let _operator = install.start().await;
    let seen = async || {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(install.admin.clone());
        let configuration = configurations.get(&install.fullname()).await.unwrap();
        let webhooks = configuration.webhooks.unwrap().into_iter();
        let bundles: Vec<Vec<u8>> = webhooks
            .map(|webhook| webhook.client_config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default())
            .collect();
        let secrets: Api<Secret> = Api::namespaced(install.admin.clone(), &install.system);
        (bundles, secrets.get(&install.webhook_name()).await.unwrap().data.unwrap_or_default())
    };
    let (bundles, certificate) = eventually("the certificate is there, and its authority is published", async || {
        let (bundles, certificate) = seen().await;
        let is_there = !certificate.is_empty() && bundles.iter().all(|bundle| !bundle.is_empty());
        if is_there { Ok((bundles, certificate)) } else { Err(bundles.len()) }
    })
    .await;
    // Argo CD applies what Helm renders, but for the hooks of `helm test`.
    let values = run(install.ground.helm().args(["get", "values", "keyturn", "--namespace", &install.system]));
    let file = install.dir.join("values.yaml");
    fs::write(&file, values.replace("USER-SUPPLIED VALUES:\n", "")).unwrap();
    let mut template = install.ground.helm();
    template.args(["template", "keyturn", CHART, "--no-hooks", "--namespace", &install.system, "--values"]).arg(&file);
    let manifests = run(&mut template);
    let ways: [(&str, &[&str]); 2] = [
        ("server-side apply", &["--server-side", "--force-conflicts", "--field-manager=argocd-controller"]),
        ("client-side apply", &[]),
    ];
    for (way, options) in ways {
        for time in ["the first sync", "another one"] {
            let mut apply = install.ground.kubectl();
            apply.args(["apply", "-f", "-"]).args(options);
            let (ok, said) = run_with_input(&mut apply, &manifests);
            assert!(ok, "{way}, {time}: {said}");
            let (now, present) = seen().await;
            assert!(now == bundles, "{way}, {time}: the authority was changed");
            assert!(present == certificate, "{way}, {time}: the certificate was changed");
        }
    }
}
