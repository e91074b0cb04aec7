//! One installed release, and its operator and webhook as processes with exactly what the chart
//! gives their pods: ServiceAccount, rights, arguments and environment. Only the addresses of their
//! servers and of AWS are the test's.

use super::ground::{Ground, PATIENCE, eventually, number, run, run_with_input};
use crate::fixtures::{self, role_of};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{EnvVar, Namespace, Secret},
    events::v1::Event,
};
use keyturn::{
    api::{AwsConfig, AwsConfigSpec, AwsRole, AwsRoleGrant, AwsRoleGrantSpec},
    secret::Record,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
};

/// The chart of the project.
pub const CHART: &str = "charts/keyturn";

/// A release in a cluster, a namespace that it serves, and an AWS account.
pub struct Install<'a> {
    pub ground: &'a Ground,
    pub admin: Client,
    /// The namespace of the release.
    pub system: String,
    /// The name of the chart's objects.
    fullname: String,
    /// The namespace of the users.
    pub namespace: String,
    /// The cluster's name, as the operator knows it.
    pub cluster: String,
    /// The AWS account's number.
    pub account: String,
    /// The operator's own identity in it, and its roles.
    pub aws: AwsAccount,
    pub dir: PathBuf,
}

/// The output of `ground aws-account`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsAccount {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub buckets: Vec<String>,
}

impl<'a> Install<'a> {
    /// A release that serves one namespace of its own on the shared ground.
    pub async fn scoped() -> Install<'static> {
        Install::new(Ground::shared(), CHART, true, &[]).await
    }

    /// The same on another ground, with more values.
    pub async fn of_some_namespaces(ground: &'a Ground, values: &[&str]) -> Self {
        Self::new(ground, CHART, true, values).await
    }

    /// The same from another chart than the project's.
    pub async fn of_chart(ground: &'a Ground, chart: &str, values: &[&str]) -> Self {
        Self::new(ground, chart, true, values).await
    }

    /// A release that serves all namespaces of `ground`, with the chart's defaults.
    pub async fn cluster_wide(ground: &'a Ground) -> Self {
        Self::of_all_namespaces(ground, &[]).await
    }

    /// The same with more values.
    pub async fn of_all_namespaces(ground: &'a Ground, values: &[&str]) -> Self {
        Self::new(ground, CHART, false, values).await
    }

    async fn new(ground: &'a Ground, chart: &str, scoped: bool, values: &[&str]) -> Self {
        let id = format!("t{}-{}", std::process::id(), number());
        let account = format!("{:06}{:06}", std::process::id() % 1_000_000, number());
        let (system, namespace, cluster) = (format!("keyturn-{id}"), format!("scoring-{id}"), format!("cluster-{id}"));
        let admin = ground.admin().await;
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        for name in [&system, &namespace] {
            let labels = Some(ground.labels());
            let metadata = ObjectMeta { name: Some(name.clone()), labels, ..ObjectMeta::default() };
            let created = Namespace { metadata, ..Namespace::default() };
            namespaces.create(&PostParams::default(), &created).await.unwrap();
        }
        let dir = ground.at.kubeconfig.parent().unwrap().join(&id);
        fs::create_dir_all(&dir).unwrap();
        let aws = aws_account(ground, &account, &cluster, &namespace);
        let mut helm = ground.helm();
        helm.args(["install", "keyturn", chart, "--namespace", &system])
            .args([
                "--set",
                &format!("clusterName={cluster}"),
                "--set",
                "aws.region=eu-west-1",
                "--set",
                "crds.install=false",
            ])
            .args(["--set", &format!("fullnameOverride=keyturn-{id}")]);
        if scoped {
            helm.args(["--set", &format!("watchNamespaces={{{namespace}}}")]);
            helm.args([
                "--set",
                "dss.adminKeySecrets={dss-admin}",
                "--set",
                "dataRobot.tokenSecrets={datarobot-token}",
            ]);
        }
        for value in values {
            helm.args(["--set", value]);
        }
        run(&mut helm);
        let fullname = system.clone();
        Self { ground, admin, system, fullname, namespace, cluster, account, aws, dir }
    }

    /// Another release in the same namespace, which serves a namespace of its own with this label,
    /// and has an AWS account of its own.
    pub async fn beside(&self, release: &str, label: (&str, &str), values: &[&str]) -> Self {
        let id = format!("t{}-{}", std::process::id(), number());
        let account = format!("{:06}{:06}", std::process::id() % 1_000_000, number());
        let (namespace, fullname) = (format!("lab-{id}"), format!("{}-{release}", self.system));
        let mut all_labels = self.ground.labels();
        all_labels.insert(label.0.to_owned(), label.1.to_owned());
        let metadata = ObjectMeta { name: Some(namespace.clone()), labels: Some(all_labels), ..ObjectMeta::default() };
        let created = Namespace { metadata, ..Namespace::default() };
        Api::all(self.admin.clone()).create(&PostParams::default(), &created).await.unwrap();
        let aws = aws_account(self.ground, &account, &self.cluster, &namespace);
        let mut helm = self.ground.helm();
        helm.args(["install", &format!("keyturn-{release}"), CHART, "--namespace", &self.system]);
        let (cluster, name) = (format!("clusterName={}", self.cluster), format!("fullnameOverride={fullname}"));
        for value in [&cluster, "aws.region=eu-west-1", &name].into_iter().chain(values.iter().copied()) {
            helm.args(["--set", value]);
        }
        tokio::task::block_in_place(|| run(&mut helm));
        let dir = self.ground.at.kubeconfig.parent().unwrap().join(&id);
        fs::create_dir_all(&dir).unwrap();
        Self {
            ground: self.ground,
            admin: self.admin.clone(),
            system: self.system.clone(),
            fullname,
            namespace,
            cluster: self.cluster.clone(),
            account,
            aws,
            dir,
        }
    }

    /// The name of the chart's objects.
    pub fn fullname(&self) -> String {
        self.fullname.clone()
    }

    /// Starts the operator against the ground's AWS, without waiting.
    pub async fn spawn_at_aws(&self) -> Process {
        self.spawn(&self.aws_environment()).await
    }

    /// The name of the webhook's Deployment, ServiceAccount, Service and certificate.
    pub fn webhook_name(&self) -> String {
        format!("{}-webhook", self.fullname())
    }

    /// The user name of the operator's ServiceAccount.
    pub fn user(&self) -> String {
        self.user_of(&self.fullname())
    }

    /// The user name of a ServiceAccount of the release.
    pub fn user_of(&self, account: &str) -> String {
        format!("system:serviceaccount:{}:{account}", self.system)
    }

    /// Starts the operator against the ground's AWS.
    pub async fn start(&self) -> Process {
        self.start_besides(&[]).await
    }

    /// Starts the operator against the ground's AWS, with further environment.
    pub async fn start_besides(&self, environment: &[(&str, &str)]) -> Process {
        self.start_with(&[&self.aws_environment(), environment].concat()).await
    }

    /// Starts the operator against a double of STS at this address.
    pub async fn start_at_sts(&self, url: &str) -> Process {
        let base = [("AWS_ACCESS_KEY_ID", "AKIABASE"), ("AWS_SECRET_ACCESS_KEY", "base-secret")];
        self.start_with(&[("AWS_ENDPOINT_URL_STS", url), base[0], base[1]]).await
    }

    /// Waits for the one `AwsRole` of the namespace, and for its status: they trail behind the
    /// credential.
    pub async fn until_its_role(&self) -> AwsRole {
        eventually("the AwsRole of the credential has its status", async || {
            let mut roles = self.roles().list(&ListParams::default()).await.unwrap().items;
            let is_there = roles.len() == 1 && roles[0].status.is_some();
            if is_there { Ok(roles.remove(0)) } else { Err(roles) }
        })
        .await
    }

    /// Starts the operator against the ground's AWS, with the API server at another address.
    pub async fn start_over(&self, server: &str) -> Process {
        let process = self.launch(&self.fullname(), server, &self.aws_environment()).await;
        process.ready().await
    }

    fn aws_environment(&self) -> [(&str, &str); 4] {
        let endpoint = &self.ground.at.aws.as_ref().unwrap().endpoint;
        [
            ("AWS_ENDPOINT_URL_STS", endpoint),
            ("AWS_ENDPOINT_URL_S3", endpoint),
            ("AWS_ACCESS_KEY_ID", &self.aws.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.aws.secret_access_key),
        ]
    }

    /// Starts the operator with this environment besides the chart's, and waits until it is ready.
    pub async fn start_with(&self, environment: &[(&str, &str)]) -> Process {
        self.spawn(environment).await.ready().await
    }

    /// Starts the operator without waiting.
    pub async fn spawn(&self, environment: &[(&str, &str)]) -> Process {
        self.launch(&self.fullname(), &self.ground.at.server, environment).await
    }

    /// Starts a replica of the webhook at this address, without waiting.
    pub async fn spawn_webhook(&self, at: &str) -> Process {
        self.launch(&self.webhook_name(), &self.ground.at.server, &[("KEYTURN_WEBHOOK_ADDR", at)]).await
    }

    /// Starts what the pods of a Deployment run, with the API server at this address. The
    /// Deployment and its ServiceAccount have the same name.
    async fn launch(&self, name: &str, server: &str, environment: &[(&str, &str)]) -> Process {
        let deployments: Api<Deployment> = Api::namespaced(self.admin.clone(), &self.system);
        let deployment = deployments.get(name).await.unwrap();
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some(name));
        let container = &pod.containers[0];
        let admin = free_address();
        // The values that the kubelet would fill in.
        let pod_name = format!("{name}-{}", number());
        let field = |env: &EnvVar| {
            let field = env.value_from.as_ref()?.field_ref.as_ref()?;
            Some(if field.field_path == "metadata.namespace" { &self.system } else { &pod_name }.clone())
        };
        let value = |env: &EnvVar| env.value.clone().or_else(|| field(env));
        let given = container.env.iter().flatten().filter_map(|env| Some((env.name.clone(), value(env)?)));
        let mut given: BTreeMap<String, String> = given.collect();
        if let Some(names) = given.get_mut("KEYTURN_WEBHOOK_NAMES") {
            names.push_str(",127.0.0.1");
        }
        let log = self.dir.join(format!("{pod_name}.log"));
        let (kubeconfig, credential) = self.service_account_kubeconfig(name, server);
        let child = Command::new(env!("CARGO_BIN_EXE_keyturn"))
            .args(container.args.iter().flatten())
            .env_clear()
            .envs(given)
            .env("KUBECONFIG", kubeconfig)
            .env("KEYTURN_ADMIN_ADDR", &admin)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", &self.dir)
            .envs(environment.iter().copied())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Process { child, admin, log, credential }
    }

    /// With a token of its own, so that the audit log tells processes apart by the token's ID.
    fn service_account_kubeconfig(&self, account: &str, server: &str) -> (PathBuf, String) {
        let token = run(self.ground.kubectl().args(["create", "token", account, "-n", &self.system, "--duration=1h"]));
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let credential = format!("JTI={}", claims["jti"].as_str().unwrap());
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "keyturn",
            "clusters": [{"name": "ground", "cluster": {"server": server, "certificate-authority": self.ground.at.ca_file}}],
            "users": [{"name": "keyturn", "user": {"token": token.trim()}}],
            "contexts": [{"name": "keyturn", "context": {"cluster": "ground", "user": "keyturn"}}],
        });
        let path = self.dir.join(format!("{account}.kubeconfig"));
        fs::write(&path, kubeconfig.to_string()).unwrap();
        (path, credential)
    }

    // ---- Actions of users and admins ----

    /// The ARN of a role of this account.
    pub fn role(&self, name: &str) -> String {
        role_of(&self.account, name)
    }

    /// Applies a config for a person of this name and this account's role `ds-analyst`.
    pub async fn apply_config(&self, name: &str, change: impl FnOnce(&mut AwsConfigSpec)) {
        let config = fixtures::config_in(&self.namespace, name, |spec| {
            spec.role = Some(self.role("ds-analyst"));
            spec.default_bucket = Some(self.aws.buckets[0].clone());
            change(spec);
        });
        let user = PatchParams::apply("alice").force();
        self.configs().patch(name, &user, &Patch::Apply(&config)).await.unwrap();
    }

    /// Applies a grant of this account's `ds-*` roles to this namespace; its name is the
    /// namespace's.
    pub async fn apply_grant(&self, change: impl FnOnce(&mut AwsRoleGrantSpec)) {
        let grant = fixtures::grant(&self.namespace, |spec| {
            spec.roles = vec![self.role("ds-*")];
            spec.namespaces.as_mut().unwrap().names = vec![self.namespace.clone()];
            change(spec);
        });
        let admin = PatchParams::apply("cluster-admin").force();
        self.grants().patch(&self.namespace, &admin, &Patch::Apply(&grant)).await.unwrap();
    }

    /// Creates an object in the users' namespace as they do, by `kubectl create` with these
    /// options. Returns whether that succeeded, and the output.
    pub fn kubectl_create(&self, object: &Value, options: &[&str]) -> (bool, String) {
        let mut command = self.ground.kubectl();
        command.args(["-n", &self.namespace, "create", "-f", "-"]).args(options);
        tokio::task::block_in_place(|| run_with_input(&mut command, &object.to_string()))
    }

    /// Grants the operator the right to restart workloads of the users' namespace, by the chart.
    pub fn may_restart(&self) {
        self.set(&format!("restart.namespaces={{{}}}", self.namespace));
    }

    /// Gives the release another value.
    pub fn set(&self, value: &str) {
        let mut helm = self.upgrade();
        tokio::task::block_in_place(|| run(helm.args(["--set", value])));
    }

    /// A `helm upgrade` of the release that keeps its values. The caller adds further ones.
    pub fn upgrade(&self) -> Command {
        let mut helm = self.ground.helm();
        helm.args(["upgrade", "keyturn", CHART, "--namespace", &self.system, "--reuse-values"]);
        helm
    }

    pub fn configs(&self) -> Api<AwsConfig> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    pub fn roles(&self) -> Api<AwsRole> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    pub fn grants(&self) -> Api<AwsRoleGrant> {
        Api::all(self.admin.clone())
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    // ---- Views of users and admins ----

    /// Waits until a config's `Ready` has this status and reason, such as `True/Issued`, for its
    /// current spec.
    pub async fn until_ready_is(&self, name: &str, wanted: &str) -> AwsConfig {
        let configs = self.configs();
        eventually(&format!("{name} is {wanted}"), async || {
            let config = configs.get(name).await.map_err(|error| error.to_string())?;
            let status = config.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            let seen = ready.map(|ready| format!("{}/{}", ready.status, ready.reason)).unwrap_or_default();
            if seen == wanted && status.observed_generation == config.metadata.generation {
                Ok(config)
            } else {
                Err(format!("{seen} {:?}", ready.map(|ready| &ready.message)))
            }
        })
        .await
    }

    /// The Secret of a config that names no target.
    pub async fn secret(&self, config: &str) -> Option<Secret> {
        self.secrets().get_opt(&format!("{config}-aws")).await.unwrap()
    }

    /// The values of that Secret, as text; empty if there is none.
    pub async fn values(&self, config: &str) -> BTreeMap<String, String> {
        let data = self.secret(config).await.and_then(|secret| secret.data).unwrap_or_default();
        data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
    }

    /// The record of the credential in that Secret.
    pub async fn record(&self, config: &str) -> Option<Record> {
        let secret = self.secret(config).await?;
        Record::read(secret.annotations())
    }

    /// The Events about a config, as `reason: note`, oldest first.
    pub async fn events(&self, config: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let mut events = events.list(&ListParams::default()).await.unwrap().items;
        events.retain(|event| event.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(config));
        events.sort_by_key(|event| event.event_time.as_ref().map(|at| at.0));
        events
            .into_iter()
            .map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
            .collect()
    }

    /// Runs the real AWS CLI as in a pod that mounts this config's Secret: with the files and
    /// nothing else.
    pub async fn aws(&self, config: &str, arguments: &[&str]) -> (bool, String) {
        let mount = self.mount(config).await;
        let mut command = self.in_pod(self.ground.at.bin.aws.as_ref().unwrap(), &mount);
        let output = command.args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// A folder with this config's Secret as the kubelet would mount it. The `config` file names
    /// the fixed mount path, which is replaced by the path of the folder.
    pub async fn mount(&self, config: &str) -> PathBuf {
        let mount = self.dir.join(format!("mount-{}", number()));
        fs::create_dir_all(&mount).unwrap();
        for (key, value) in self.values(config).await {
            let value = value.replace(keyturn::api::names::MOUNT_PATH, mount.to_str().unwrap());
            fs::write(mount.join(key), value).unwrap();
        }
        mount
    }

    /// A program as it would run in a pod that mounts a Secret there.
    pub fn in_pod(&self, program: &Path, mount: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.dir)
            .env("AWS_CONFIG_FILE", mount.join("config"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", &self.ground.at.aws.as_ref().unwrap().endpoint);
        command
    }

    /// The AWS CLI as the root of an account. In ministack the number of an account is an access
    /// key of it.
    pub fn aws_as_root(&self, account: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.ground.at.bin.aws.as_ref().unwrap());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.dir)
            .env("AWS_ACCESS_KEY_ID", account)
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", &self.ground.at.aws.as_ref().unwrap().endpoint);
        command
    }
}

fn aws_account(ground: &Ground, account: &str, cluster: &str, namespace: &str) -> AwsAccount {
    let mut command = Command::new(format!("{}/tests/cluster/ground", env!("CARGO_MANIFEST_DIR")));
    command.args(["aws-account", "--endpoint", &ground.at.aws.as_ref().unwrap().endpoint]);
    command.args(["--account", account, "--cluster", cluster, "--namespace", namespace]);
    for bucket in ["team-a", "team-b"] {
        command.args(["--bucket", &format!("{bucket}-{account}")]);
    }
    for role in ["ds-analyst", "ds-other"] {
        command.args(["--role", role]);
    }
    serde_json::from_str(&run(&mut command)).unwrap()
}

/// A patch of an object's labels that changes nothing else.
pub fn labels(labels: &[(&str, Option<&str>)]) -> Patch<serde_json::Value> {
    let labels: BTreeMap<&str, Option<&str>> = labels.iter().copied().collect();
    Patch::Merge(json!({"metadata": {"labels": labels}}))
}

/// One that is free now and that no other test of this run is given. It is below those that the
/// kernel gives to outgoing connections: any program could take one of those before keyturn has it.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 10_000..18_000;
    let first = std::process::id().wrapping_mul(97);
    let next = || {
        let place = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        format!("127.0.0.1:{}", PORTS.start + place)
    };
    std::iter::repeat_with(next).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

/// A running operator or webhook. Killed when dropped.
pub struct Process {
    pub child: Child,
    /// The address of its admin server.
    pub admin: String,
    /// Its log.
    pub log: PathBuf,
    /// As the audit log names its token.
    pub credential: String,
}

impl Process {
    /// Waits until it is ready.
    pub async fn ready(mut self) -> Self {
        let answer = async || operator_answer(&self.admin, "readyz").await;
        eventually("the process is ready", answer).await;
        assert!(self.child.try_wait().unwrap().is_none(), "it runs");
        self
    }

    /// Asks the process to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        self.ended().await
    }

    /// Kills it (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the process ends")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The answer of its admin server: the body of a 200. Any other answer is an error.
    pub async fn get(&self, path: &str) -> Result<String, String> {
        operator_answer(&self.admin, path).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn operator_answer(admin: &str, path: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(answer) }
}
