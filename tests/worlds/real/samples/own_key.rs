//! A key of one's own, rotated by hand as docs/behaviour.md says.

use crate::{
    fixtures::{delivers_key, grant},
    real::{
        ground::{eventually, run, run_with_input},
        install::Install,
    },
};
use keyturn::api::CredentialProvider;
use kube::api::{Patch, PatchParams};
use serde_json::Value;

/// A key of the IAM user alice.
struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn create(install: &Install<'_>) -> Self {
        let said = root(install, "create-access-key --user-name alice --output json");
        let said: Value = serde_json::from_str(&said).unwrap();
        let text = |name: &str| said["AccessKey"][name].as_str().unwrap().to_owned();
        Self { id: text("AccessKeyId"), secret: text("SecretAccessKey") }
    }

    /// `kubectl create secret generic alice-key` with this key, and these options.
    fn secret(&self, install: &Install<'_>, options: &[&str]) -> String {
        let mut kubectl = install.ground.kubectl();
        kubectl.args(["-n", &install.namespace, "create", "secret", "generic", "alice-key"]).args(options);
        kubectl.arg(format!("--from-literal=aws_access_key_id={}", self.id));
        run(kubectl.arg(format!("--from-literal=aws_secret_access_key={}", self.secret)))
    }

    /// Puts the key into the Secret that exists.
    fn replaces(&self, install: &Install<'_>) {
        let manifest = self.secret(install, &["--dry-run=client", "-o", "yaml"]);
        let mut kubectl = install.ground.kubectl();
        kubectl.args(["-n", &install.namespace, "apply", "--server-side", "--force-conflicts", "-f", "-"]);
        let (ok, said) = run_with_input(&mut kubectl, &manifest);
        assert!(ok, "{said}");
    }

    async fn is_delivered(&self, install: &Install<'_>) {
        eventually("the key is delivered", async || {
            let config = install.configs().get("keyed").await.map_err(|error| error.to_string())?;
            let id = config.status.and_then(|status| status.access_key_id);
            if id.as_ref() == Some(&self.id) { Ok(()) } else { Err(format!("{id:?}")) }
        })
        .await;
        let (ok, said) = install.aws("keyed", &["sts", "get-caller-identity", "--query", "Arn"]).await;
        assert!(ok && said.contains("user/alice"), "{said}");
    }
}

fn root(install: &Install<'_>, arguments: &str) -> String {
    let arguments: Vec<&str> = ["iam"].into_iter().chain(arguments.split(' ')).collect();
    tokio::task::block_in_place(|| run(&mut install.aws_as_root(&install.account, &arguments)))
}

/// The second key is delivered before the first one is deactivated, so no pod is without a key.
pub async fn a_key_is_rotated_by_hand(install: &Install<'_>) {
    let name = format!("{}-keys", install.namespace);
    let keys = grant(&name, |spec| {
        spec.namespaces.as_mut().unwrap().names = vec![install.namespace.clone()];
        spec.providers = vec![CredentialProvider::Default];
        spec.roles = vec![];
    });
    install.grants().patch(&name, &PatchParams::apply("cluster-admin"), &Patch::Apply(&keys)).await.unwrap();
    root(install, "create-user --user-name alice");
    let first = Key::create(install);
    first.secret(install, &[]);
    let mut kubectl = install.ground.kubectl();
    run(kubectl.args(["-n", &install.namespace, "label", "secret", "alice-key", "keyturn.dev/source=true"]));
    install.apply_config("keyed", delivers_key("alice-key")).await;
    first.is_delivered(install).await;
    let before = install.mount("keyed").await;

    let second = Key::create(install);
    second.replaces(install);
    second.is_delivered(install).await;
    root(install, &format!("update-access-key --user-name alice --access-key-id {} --status Inactive", first.id));
    second.is_delivered(install).await;
    let mut stale = install.in_pod(install.ground.at.bin.aws.as_ref().unwrap(), &before);
    let stale = stale.args(["sts", "get-caller-identity"]).output().unwrap();
    assert!(!stale.status.success(), "the first key is refused");
}
