//! A control plane and an AWS for this run of the tests (`tests/cluster`).

use jiff::Timestamp;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest time that anything in the real world may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running control plane with an AWS beside it. It ends when its standard input closes, which is
/// at the latest when this process ends, for whatever reason.
pub struct Ground {
    /// The addresses, files and programs.
    pub at: Reached,
    _until_eof: ChildStdin,
    _launcher: Child,
}

/// The content of `ground.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The admin's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's URL.
    pub server: String,
    /// The API server's version, as `v1.36.3`.
    pub server_version: String,
    /// The API server's certificate.
    pub ca_file: PathBuf,
    /// One JSON line for each finished request. Absent in a cluster that was adopted.
    pub audit_log: Option<PathBuf>,
    /// The process IDs of its parts.
    #[serde(default)]
    pub pids: BTreeMap<String, u32>,
    /// The programs.
    pub bin: Programs,
    /// Absent without an AWS.
    pub aws: Option<Aws>,
    /// Absent without a node.
    pub node: Option<Node>,
    /// Present if the cluster is somebody's.
    pub adopted: Option<Adopted>,
}

/// The label of what was made in somebody's cluster. At its end the ground removes the namespaces
/// with this label, and the Helm releases in them.
#[derive(Debug, Deserialize)]
pub struct Adopted {
    /// The label's key.
    pub label: String,
    /// The label's value.
    pub value: String,
}

/// The node.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// The address at which pods reach this process.
    pub host: String,
    /// The images for pods.
    pub images: Images,
    /// What plays the node's own role. Absent in a cluster that was adopted.
    pub metadata: Option<Metadata>,
}

/// The names of images (`tests/cluster`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Python with boto3, Dataiku's client and the AWS CLI; `sh` and `cat`.
    pub python: String,
    /// The same without `sh` and `cat`.
    pub python_only: String,
    /// A program with the AWS SDK for Go; `cat`.
    pub sdk_go: String,
}

/// The credentials of the node, for every pod that asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// A call with this key fell back to the node's credentials.
    pub access_key_id: String,
}

/// The paths of the programs.
#[derive(Debug, Deserialize)]
pub struct Programs {
    /// kubectl.
    pub kubectl: PathBuf,
    /// helm.
    pub helm: PathBuf,
    /// The AWS CLI.
    pub aws: Option<PathBuf>,
    /// Python, with boto3 and Dataiku's client.
    pub python: Option<PathBuf>,
}

/// The AWS.
#[derive(Debug, Deserialize)]
pub struct Aws {
    /// Its only endpoint.
    pub endpoint: String,
}

/// Runs a subcommand of `tests/cluster/ground` that has to succeed. Returns its standard output.
pub fn ground(arguments: &[&str]) -> String {
    run(Command::new(root().join("tests/cluster/ground")).args(arguments).current_dir(root()))
}

#[expect(clippy::disallowed_methods, reason = "a setting of the tests and not of the operator")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A number that no other test of this run has.
pub fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Ground {
    /// The ground that the tests of this run share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Ground> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["--crds", "crds"]))
    }

    /// A ground of the test's own, for a test that needs the whole cluster.
    pub fn own() -> Self {
        Self::start(&["--crds", "crds"])
    }

    /// A ground of the test's own whose etcd writes to the disk. Its etcd and API server are
    /// started again when a test has killed them.
    pub fn durable() -> Self {
        Self::start(&["--crds", "crds", "--durable"])
    }

    /// A ground of the test's own without keyturn's CRDs.
    pub fn without_definitions() -> Self {
        Self::start(&[])
    }

    /// A ground without keyturn's CRDs and without an AWS.
    pub fn bare() -> Self {
        Self::start(&["--no-aws"])
    }

    /// One with a node, on which pods run; the node has a role of its own. If `KEYTURN_KUBECONFIG`
    /// is set, the ground adopts the cluster that it names. `KEYTURN_LOAD_IMAGES` is then the
    /// command that gives images to its nodes, and `KEYTURN_HOST`, if set, this machine's address
    /// as its pods reach it.
    pub fn with_node() -> Self {
        let Some(kubeconfig) = setting("KEYTURN_KUBECONFIG") else {
            return Self::start(&["--crds", "crds", "--node", "--node-role"]);
        };
        let load_images = setting("KEYTURN_LOAD_IMAGES").expect("KEYTURN_LOAD_IMAGES goes with KEYTURN_KUBECONFIG");
        let host = setting("KEYTURN_HOST").unwrap_or_default();
        let adopt = ["--kubeconfig", &kubeconfig, "--load-images", &load_images, "--host", &host];
        Self::start(&[&["--crds", "crds"][..], &adopt].concat())
    }

    /// The version of Kubernetes that the ground was asked for, as `1.33`, if it was asked for one.
    pub fn wanted_version() -> Option<String> {
        setting("GROUND_KUBERNETES").filter(|version| !version.is_empty())
    }

    fn start(options: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ground-{}-{}", std::process::id(), number()));
        let _ = fs::remove_dir_all(&dir);
        let mut launcher = Command::new(root().join("tests/cluster/ground"))
            .args(["up", "--until-eof", "--dir"])
            .arg(&dir)
            .args(options)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/cluster/ground runs");
        let stdin = launcher.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let path = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("the ground did not start: {line:?}"));
        let at = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        Self { at, _until_eof: stdin, _launcher: launcher }
    }

    /// A client with all rights.
    pub async fn admin(&self) -> Client {
        Client::try_from(self.config().await).unwrap()
    }

    /// A client with the rights of this user, as a member of these groups.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        Client::try_from(config).unwrap()
    }

    /// A client with all rights and this user agent. For the API server the user agent is the field
    /// manager of a write that names none.
    pub async fn client_called(&self, user_agent: &'static str) -> Client {
        let mut config = self.config().await;
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(user_agent)));
        Client::try_from(config).unwrap()
    }

    async fn config(&self) -> Config {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&self.at.kubeconfig).unwrap();
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
    }

    /// kubectl as an admin.
    pub fn kubectl(&self) -> Command {
        self.command(&self.at.bin.kubectl)
    }

    /// helm as an admin.
    pub fn helm(&self) -> Command {
        self.command(&self.at.bin.helm)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let home = self.at.kubeconfig.parent().unwrap();
        command
            .current_dir(root())
            .env("KUBECONFIG", &self.at.kubeconfig)
            .env("KUBECACHEDIR", home.join("kubectl-cache"));
        for dir in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(dir, home.join("helm"));
        }
        command
    }

    /// The labels of a namespace that a test makes.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.at.adopted.iter().map(|adopted| (adopted.label.clone(), adopted.value.clone())).collect()
    }

    /// The audit log of the API server.
    pub fn audit_log(&self) -> &Path {
        self.at.audit_log.as_deref().expect("a cluster of the ground's own")
    }

    /// What a user asked of the API server, as the server's audit log has it. A watch is there only
    /// when it has ended.
    pub fn audit(&self, user: &str) -> Vec<Audited> {
        let log = self.at.audit_log.as_ref().expect("a cluster of the ground's own");
        let log = fs::read_to_string(log).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<AuditLine>(line).ok());
        lines
            .filter(|line| line.user.username == user)
            .map(|line| {
                let object = line.object_ref.unwrap_or_default();
                let subresource = object.subresource.map(|name| format!("/{name}")).unwrap_or_default();
                Audited {
                    verb: line.verb,
                    group: object.api_group.unwrap_or_default(),
                    resource: object.resource.unwrap_or_default() + &subresource,
                    namespace: object.namespace.unwrap_or_default(),
                    name: object.name.unwrap_or_default(),
                    code: line.response_status.map_or(0, |status| status.code),
                    credential: line.user.credential(),
                    at: line.request_received_timestamp,
                }
            })
            .collect()
    }
}

/// One request in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    pub verb: String,
    pub group: String,
    /// With its subresource: `awsconfigs/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u16,
    pub at: Timestamp,
    /// The ID of the token that the request was made with: `JTI=` and the token's own. Empty for
    /// other credentials.
    pub credential: String,
}

impl Audited {
    /// Whether it asked for a change.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Where a token's ID stands among what the API server knows of a user.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// Each kind of request once, as `verb resource`.
pub fn kinds(requests: &[Audited]) -> BTreeSet<String> {
    requests.iter().map(|request| format!("{} {}", request.verb, request.resource)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditLine {
    verb: String,
    user: AuditUser,
    object_ref: Option<AuditObject>,
    response_status: Option<AuditStatus>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct AuditUser {
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

impl AuditUser {
    fn credential(&self) -> String {
        self.extra.get(CREDENTIAL).and_then(|ids| ids.first().cloned()).unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditObject {
    api_group: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct AuditStatus {
    code: u16,
}

/// The time.
#[expect(clippy::disallowed_methods, reason = "the real world has real time")]
pub fn real_time() -> Timestamp {
    Timestamp::now()
}

/// Runs a command that has to succeed. Returns its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}{err}");
    out.into_owned()
}

/// Runs a command with this standard input. Returns whether it succeeded, and its whole output.
pub fn run_with_input(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Asks again until there is an answer. On time-out it reports what was seen last.
pub async fn eventually<T, S: std::fmt::Debug>(what: &str, ask: impl AsyncFn() -> Result<T, S>) -> T {
    within(PATIENCE, what, ask).await
}

/// The same, with a deadline that is part of what is promised. The promise is made for a machine
/// that has a processor free: time in which something waited for one does not count, up to nine
/// times the limit and no more than a minute.
#[expect(clippy::disallowed_methods, reason = "the real world has real time")]
pub async fn within<T, S: std::fmt::Debug>(limit: Duration, what: &str, ask: impl AsyncFn() -> Result<T, S>) -> T {
    let (started, waited) = (Instant::now(), waited_for_a_processor());
    let is_over = || {
        let elapsed = started.elapsed();
        let counts = elapsed.saturating_sub(waited_for_a_processor().saturating_sub(waited));
        counts > limit || elapsed > limit + (9 * limit).min(PATIENCE)
    };
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if is_over() => {
                panic!("not within {limit:?} ({:?} in all): {what}\nseen last: {seen:#?}", started.elapsed())
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// For how long something on this machine has waited for a processor since it was started (pressure
/// stall information, <https://docs.kernel.org/accounting/psi.html>); zero where the kernel does
/// not say.
fn waited_for_a_processor() -> Duration {
    let said = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = said.lines().find_map(|line| line.strip_prefix("some ")?.split_once("total=")?.1.trim().parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}
