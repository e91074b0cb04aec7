//! The quick start of README.md, run as it is written, from `make image` on. Three things stand for
//! what this machine does not have: a double of STS for AWS, the node's store of images for a
//! registry, and further values of Helm that lead to the double and keep out of other tests.

use super::release::{STARTING, ground, node};
use crate::{
    doubles::{
        sts::{Behaviour, Sts},
        tls::{Vouched, in_front_of, vouched},
    },
    real::ground::{Ground, real_time, run, within},
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use serde_json::{from_value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

/// The longest time until the credential is there, beside other tests that start pods.
const LONG: Duration = Duration::from_secs(300);

/// The program `docker`: it makes the image from the Dockerfile and from the program that the tests
/// have built, and pushes it into the store of the node.
const DOCKER: &str = r#"#!/bin/sh
set -eu
case "$1 $2" in
"build -t") echo "$3" > "$HOME/built" && exec tests/cluster/ground image --binary-dir "$BUILT" --tag "$3" --out "$HOME/image.tar" ;;
push*) [ "$2" = "$(cat "$HOME/built")" ] && exec tests/cluster/ground load "$HOME/image.tar" --dir "$GROUND" ;;
*) echo "docker $*: not known here" >&2 && exit 2 ;;
esac
"#;
/// The program `helm`: the real one, with further values at an installation.
const HELM: &str = r#"#!/bin/sh
if [ "$1" = install ]; then set -- "$@" -f "$HOME/further.yaml"; fi
exec "$REAL_HELM" "$@"
"#;

/// The fenced blocks of a text in one language, without the indentation of a list.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((indentation, "")) = line.split_once(&format!("```{language}")) else { continue };
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let rows: Vec<&str> = block.map(|line| line.strip_prefix(indentation).unwrap_or(line)).collect();
        found.push(rows.join("\n") + "\n");
    }
    found
}

/// The commands of a block, each with the output that the block shows.
fn commands(block: &str) -> Vec<(String, String)> {
    let split = |part: &str| {
        let mut rest = part.lines();
        let mut command = Vec::new();
        for line in rest.by_ref() {
            command.push(line);
            if !line.ends_with('\\') {
                break;
            }
        }
        (command.join("\n"), rest.collect::<Vec<_>>().join("\n"))
    };
    format!("\n{block}").split("\n$ ").skip(1).map(split).collect()
}

/// A folder that looks like the project's, with a home folder and programs of its own.
struct Desk {
    dir: tempfile::TempDir,
    ground: &'static Ground,
}

impl Desk {
    fn new(ground: &'static Ground) -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap(), ground };
        for folder in [desk.home().join(".local/bin"), desk.programs(), desk.project()] {
            fs::create_dir_all(folder).unwrap();
        }
        for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
            let path = entry.unwrap().path();
            symlink(&path, desk.project().join(path.file_name().unwrap())).unwrap();
        }
        for (name, text) in [("docker", DOCKER), ("helm", HELM)] {
            let file = desk.programs().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&ground.at.bin.kubectl, desk.programs().join("kubectl")).unwrap();
        symlink(env!("CARGO_BIN_EXE_keyturn"), desk.programs().join("keyturn")).unwrap();
        desk
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn programs(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn project(&self) -> PathBuf {
        self.dir.path().join("keyturn")
    }

    /// A command of the page, at this desk.
    fn command(&self, text: &str) -> Command {
        let path = format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            self.programs().display(),
            self.home().join(".local/bin").display()
        );
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", text])
            .current_dir(self.project())
            .env("PATH", path)
            .env("HOME", self.home())
            .env("KUBECONFIG", &self.ground.at.kubeconfig)
            .env("GROUND", self.ground.at.kubeconfig.parent().unwrap())
            .env("BUILT", Path::new(env!("CARGO_BIN_EXE_keyturn")).parent().unwrap())
            .env("REAL_HELM", &self.ground.at.bin.helm);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn the_quick_start_leads_to_a_credential_as_it_is_written() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let from = readme.split_once("\n## Quick start on a real cluster\n").unwrap().1;
    let page = from.split_once("\n## ").unwrap().0;
    let yaml = blocks(page, "yaml");
    let [values, manifests, ..] = yaml.as_slice() else { panic!("{yaml:?}") };

    let ground = tokio::task::spawn_blocking(ground).await.unwrap();
    let desk = Desk::new(ground);
    fs::write(desk.project().join("values.yaml"), values).unwrap();
    let sts = Sts::new(Arc::new(real_time));
    sts.always(Behaviour::Lifetime(3_600));
    let listening = sts.serve(([0, 0, 0, 0], 0).into()).await.unwrap();
    let host = &node(ground).host;
    let Vouched { ca, server } = vouched(host);
    let sts_port = in_front_of(([127, 0, 0, 1], listening.addr().port()).into(), "0.0.0.0", server).await;
    let further = json!({
        "aws": {"stsEndpoint": format!("https://{host}:{sts_port}")},
        "watchNamespaces": ["scoring"],
        "crds": {"install": false},
        "extraVolumes": [{"name": "aws-ca", "configMap": {"name": "aws-ca"}}],
        "extraVolumeMounts": [{"name": "aws-ca", "mountPath": "/etc/aws-ca"}],
        "extraEnv": [
            {"name": "AWS_CA_BUNDLE", "value": "/etc/aws-ca/ca.pem"},
            {"name": "AWS_ACCESS_KEY_ID", "value": "AKIABASE"},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "base"},
        ],
    });
    fs::write(desk.home().join("further.yaml"), further.to_string()).unwrap();
    let admin = ground.admin().await;
    for name in ["keyturn-system", "scoring"] {
        let metadata = ObjectMeta { name: Some(name.into()), labels: Some(ground.labels()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }
    let authority: ConfigMap = from_value(json!({"metadata": {"name": "aws-ca"}, "data": {"ca.pem": ca}})).unwrap();
    let config_maps = Api::<ConfigMap>::namespaced(admin, "keyturn-system");
    config_maps.create(&PostParams::default(), &authority).await.unwrap();

    let _starting = STARTING.acquire().await.unwrap();
    let mut ran = Vec::new();
    for (command, shown) in blocks(page, "console").iter().flat_map(|block| commands(block)) {
        if command.starts_with("kubectl -n scoring get awsconfigs") {
            let file = desk.project().join("manifests.yaml");
            fs::write(&file, manifests).unwrap();
            tokio::task::block_in_place(|| run(&mut desk.command("kubectl apply -f manifests.yaml")));
            // The columns but the times, which are the last two.
            let words = |text: &str| -> Vec<Vec<String>> {
                let rows = text.lines().map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
                rows.map(|row| row[..row.len().saturating_sub(2)].to_vec()).collect()
            };
            within(LONG, "the AwsConfig is as the page shows it", async || {
                let seen = tokio::task::block_in_place(|| run(&mut desk.command(&command)));
                if words(&seen) == words(&shown) { Ok(()) } else { Err(seen) }
            })
            .await;
        } else {
            tokio::task::block_in_place(|| run(&mut desk.command(&command)));
        }
        ran.push(command);
    }
    for beginning in ["make image ", "docker push ", "helm install ", "kubectl -n scoring get awsconfigs", "ln -s "] {
        assert!(ran.iter().any(|command| command.starts_with(beginning)), "{beginning}: {ran:?}");
    }
    run(&mut desk.command("helm uninstall keyturn --namespace keyturn-system"));
}
