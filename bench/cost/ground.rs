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

/// The name of the release, of its ServiceAccount and of its webhook configuration.
pub const RELEASE: &str = "keyturn";
/// The namespace of the release.
const NAMESPACE: &str = "keyturn-system";
/// The name of the Deployment and of the ServiceAccount of its webhook.
pub const WEBHOOK: &str = "keyturn-webhook";
/// The operator's user name in the audit log of the API server.
pub const OPERATOR: &str = "system:serviceaccount:keyturn-system:keyturn";

/// A control plane. It ends when this value is dropped.
pub struct Ground {
    /// The administrator's client.
    pub client: Client,
    /// The files of this run.
    pub dir: TempDir,
    at: Reached,
    // The ground ends when its standard input closes, which is at the latest when this process
    // ends.
    child: Child,
}

/// The content of `ground.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reached {
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
        let description = loop {
            let line = lines.next_line().await?.ok_or("the ground did not come up (see above)")?;
            if let Some(path) = line.strip_prefix("ready ") {
                break path.to_owned();
            }
        };
        let at: Reached = serde_json::from_slice(&std::fs::read(description)?)?;
        let kubeconfig = Kubeconfig::read_from(&at.kubeconfig)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)?, dir, at, child })
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
            .arg(&self.at.kubeconfig)
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

    /// The environment that the chart gives to the container of a Deployment, except for the
    /// address of the webhook, because the API server of the bench calls the webhook by its
    /// address.
    pub async fn environment(&self, deployment: &str, webhook: SocketAddr) -> Result<Vec<(String, String)>> {
        let deployment = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE).get(deployment).await?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec).ok_or("the Deployment has no pod")?;
        let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        // The value that the kubelet would fill in.
        let field = |variable: &EnvVar| {
            let field = variable.value_from.as_ref()?.field_ref.as_ref()?;
            Some(if field.field_path == "metadata.namespace" { NAMESPACE } else { RELEASE }.to_owned())
        };
        let given = |variable: &EnvVar| variable.value.clone().or_else(|| field(variable)).unwrap_or_default();
        let value = |variable: &EnvVar| match variable.name.as_str() {
            // The bench measures the work of one process, which it stops and starts again, and not
            // how long this process waits for the lease.
            "KEYTURN_LEADER_ELECTION" => "false".to_owned(),
            // The floor has no rate either.
            name if name.ends_with("REQUESTS_PER_SECOND") => "10000".to_owned(),
            name if name.ends_with("REQUESTS_BURST") => "100000".to_owned(),
            "KEYTURN_WEBHOOK_NAMES" => format!("{},{}", given(variable), webhook.ip()),
            _ => given(variable),
        };
        Ok(variables.map(|variable| (variable.name.clone(), value(&variable))).collect())
    }

    /// A kubeconfig with the token of a ServiceAccount of the chart.
    pub async fn kubeconfig(&self, account: &str) -> Result<PathBuf> {
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        let asked: TokenRequest =
            serde_json::from_value(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 36_000}}))?;
        let token = accounts.create_token_request(account, &kube::api::PostParams::default(), &asked).await?;
        let token = token.status.ok_or("no token was given")?.token;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench",
                          "cluster": {"server": self.at.server, "certificate-authority": self.at.ca_file}}],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": account}}],
        });
        let path = self.dir.path().join(format!("{account}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// The administrator's kubeconfig.
    pub fn admin(&self) -> &Path {
        &self.at.kubeconfig
    }

    /// kubectl.
    pub fn kubectl(&self) -> Result<&Path> {
        self.tool("kubectl")
    }

    /// The API server's version.
    pub fn version(&self) -> &str {
        &self.at.server_version
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> &Path {
        &self.at.audit_log
    }

    /// The processes of the control plane.
    pub fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        let parts = ["etcd", "kube-apiserver", "kube-controller-manager"];
        parts.into_iter().filter_map(|part| self.at.pids.get(part).copied())
    }

    /// Ends the control plane and waits until its process is gone.
    pub async fn stop(mut self) -> Result {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }

    fn tool(&self, name: &str) -> Result<&Path> {
        Ok(self.at.bin.get(name).ok_or_else(|| format!("the ground has no {name}"))?)
    }
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
