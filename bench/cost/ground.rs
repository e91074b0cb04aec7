//! The control plane (`tests/cluster/ground`) with the chart installed by Helm.

use crate::Result;
use k8s_openapi::api::{apps::v1::Deployment, authentication::v1::TokenRequest, core::v1::EnvVar};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The release, and with it the ServiceAccount and the webhook's configuration.
pub const RELEASE: &str = "keyturn";
/// Where the release is.
const NAMESPACE: &str = "keyturn-system";
/// Whom the API server sees: the user in its audit log.
pub const OPERATOR: &str = "system:serviceaccount:keyturn-system:keyturn";

/// A control plane that ends with this value.
pub struct Ground {
    /// The administrator's client.
    pub client: Client,
    /// Everything of this run.
    pub dir: TempDir,
    told: Told,
    // Its standard input is the leash: the ground ends when it is closed, even by our death.
    child: Child,
}

/// What the ground says of itself (`ground.json`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    kubeconfig: PathBuf,
    server: String,
    ca_file: PathBuf,
    audit_log: PathBuf,
    server_version: String,
    bin: BTreeMap<String, PathBuf>,
    pids: BTreeMap<String, u32>,
}

impl Ground {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut child = Command::new(root().join("tests/cluster/ground"))
            .args(["up", "--no-aws", "--until-eof", "--crds"])
            .arg(root().join("crds"))
            .arg("--dir")
            .arg(dir.path().join("ground"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the ground has no output")?).lines();
        let told = loop {
            let line = lines.next_line().await?.ok_or("the ground did not come up (see above)")?;
            if let Some(path) = line.strip_prefix("ready ") {
                break path.to_owned();
            }
        };
        let told: Told = serde_json::from_slice(&std::fs::read(told)?)?;
        let kubeconfig = Kubeconfig::read_from(&told.kubeconfig)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)?, dir, told, child })
    }

    /// Installs the chart, as a user would.
    pub async fn install(&self, sts_endpoint: &str) -> Result {
        let home = self.dir.path().join("helm");
        let done = Command::new(self.tool("helm")?)
            .args(["install", RELEASE, "--namespace", NAMESPACE, "--create-namespace"])
            .args(["--set", "clusterName=bench", "--set", "aws.region=eu-west-1", "--set", "crds.install=false"])
            .arg("--set")
            .arg(format!("aws.stsEndpoint={sts_endpoint}"))
            .arg("--kubeconfig")
            .arg(&self.told.kubeconfig)
            .arg(root().join("charts/keyturn"))
            .env("HELM_CACHE_HOME", &home)
            .env("HELM_CONFIG_HOME", &home)
            .env("HELM_DATA_HOME", &home)
            .output()
            .await?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("helm install: {}", String::from_utf8_lossy(&done.stderr)).into())
    }

    /// The environment that the chart gives the operator's container, but for the address at which its webhook is
    /// served: here it is called by that.
    pub async fn environment(&self, webhook: SocketAddr) -> Result<Vec<(String, String)>> {
        let deployment = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE).get(RELEASE).await?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).ok_or("the Deployment has no pod")?;
        let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        // What the kubelet would put in.
        let field = |variable: &EnvVar| {
            let field = variable.value_from.as_ref()?.field_ref.as_ref()?;
            Some(if field.field_path == "metadata.namespace" { NAMESPACE } else { RELEASE }.to_owned())
        };
        let told = |variable: &EnvVar| variable.value.clone().or_else(|| field(variable)).unwrap_or_default();
        let value = |variable: &EnvVar| match variable.name.as_str() {
            // One process, killed and started again: what is measured is its work and not the wait for the lease.
            "KEYTURN_LEADER_ELECTION" => "false".to_owned(),
            "KEYTURN_WEBHOOK_ADDR" => webhook.to_string(),
            "KEYTURN_WEBHOOK_NAMES" => format!("{},{}", told(variable), webhook.ip()),
            _ => told(variable),
        };
        Ok(variables.map(|variable| (variable.name.clone(), value(&variable))).collect())
    }

    /// A kubeconfig with the token of the chart's ServiceAccount.
    pub async fn operator_kubeconfig(&self) -> Result<PathBuf> {
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        let asked: TokenRequest =
            serde_json::from_value(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 36_000}}))?;
        let token = accounts.create_token_request(RELEASE, &kube::api::PostParams::default(), &asked).await?;
        let token = token.status.ok_or("no token was given")?.token;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench",
                          "cluster": {"server": self.told.server, "certificate-authority": self.told.ca_file}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "operator"}}],
        });
        let path = self.dir.path().join("operator.kubeconfig");
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// The API server's version.
    pub fn version(&self) -> &str {
        &self.told.server_version
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> &Path {
        &self.told.audit_log
    }

    /// The processes whose CPU is the control plane's.
    pub fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        let parts = ["etcd", "kube-apiserver", "kube-controller-manager"];
        parts.into_iter().filter_map(|part| self.told.pids.get(part).copied())
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(mut self) -> Result {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }

    fn tool(&self, name: &str) -> Result<&Path> {
        Ok(self.told.bin.get(name).ok_or_else(|| format!("the ground has no {name}"))?)
    }
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
