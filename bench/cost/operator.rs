//! The operator and the webhook as processes of their own: the release binary with the environment,
//! the rights of the chart.

use crate::{
    Result,
    ground::{Ground, RELEASE, WEBHOOK, root},
    options::Options,
    process::{self, Memory},
};
use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

/// Starts operators.
pub struct Launcher {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    webhook_environment: Vec<(String, String)>,
    log: PathBuf,
    /// The address of the webhook.
    pub webhook: SocketAddr,
}

/// A running operator or webhook. Its process ends when this value is dropped.
pub struct Operator {
    /// When it started.
    pub started: Instant,
    child: Child,
    admin: SocketAddr,
}

impl Launcher {
    /// Builds the binary, unless the options name another one, and prepares its environment.
    pub async fn new(options: &Options, ground: &Ground) -> Result<Self> {
        let binary = match &options.binary {
            Some(binary) => binary.clone(),
            None => release_binary().await?,
        };
        let webhook = free_address().await?;
        let [mut environment, mut webhook_environment] = [vec![], vec![]];
        for (name, environment) in [(RELEASE, &mut environment), (WEBHOOK, &mut webhook_environment)] {
            *environment = ground.environment(name, webhook).await?;
            environment.push(("KUBECONFIG".into(), ground.kubeconfig(name).await?.display().to_string()));
        }
        environment.push(("AWS_ACCESS_KEY_ID".into(), "AKIABENCHBENCHBENCH0".into()));
        environment.push(("AWS_SECRET_ACCESS_KEY".into(), "bench".into()));
        environment.extend(options.environment.iter().cloned());
        let log = ground.dir.path().join("operator.log");
        Ok(Self { binary, environment, webhook_environment, log, webhook })
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The program of the endpoint in pods. It is beside the binary.
    pub fn endpoint(&self) -> PathBuf {
        self.binary.with_file_name("keyturn-endpoint")
    }

    /// The size of the binary in bytes.
    pub fn binary_size(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.binary)?.len())
    }

    /// Starts the operator.
    pub async fn start(&self) -> Result<Operator> {
        self.launch(&["run"], &self.environment).await
    }

    /// Starts the webhook.
    pub async fn start_webhook(&self) -> Result<Operator> {
        self.launch(&["webhook", "--webhook-addr", &self.webhook.to_string()], &self.webhook_environment).await
    }

    /// Starts a process. It does not inherit the environment of this process, which may set
    /// variables of AWS and Kubernetes.
    async fn launch(&self, arguments: &[&str], environment: &[(String, String)]) -> Result<Operator> {
        let admin = free_address().await?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let started = Instant::now();
        let child = Command::new(&self.binary)
            .args(arguments)
            .args(["--admin-addr", &admin.to_string()])
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        Ok(Operator { started, child, admin })
    }

    /// The last lines of the operator's log, for a run that failed.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Operator {
    /// Waits until the process is ready.
    pub async fn ready(&mut self) -> Result {
        for _ in 0..3000 {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the process ended: {status}").into());
            }
            if self.is_ready().await.unwrap_or(false) {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err("the process did not become ready in 30 s".into())
    }

    async fn is_ready(&self) -> Result<bool> {
        Ok(self.get("/readyz").await?.starts_with("HTTP/1.1 200"))
    }

    /// How long the webhook has worked on reviews of pods since its start, by its own metric.
    pub async fn reviewing(&self) -> Result<Duration> {
        let answer = self.get("/metrics").await?;
        let seconds =
            answer.lines().find_map(|line| line.strip_prefix("keyturn_admission_review_duration_seconds_sum "));
        let seconds: f64 = seconds.ok_or("the webhook has no metric of how long reviews take")?.parse()?;
        Ok(Duration::try_from_secs_f64(seconds)?)
    }

    /// The answer of its admin server, with the headers.
    async fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// The memory of its process.
    pub fn memory(&self) -> Result<Memory> {
        process::memory(self.pid()?)
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu([self.pid()?])
    }

    /// Ends the process as Kubernetes does, and waits until its process is gone.
    pub async fn stop(mut self) -> Result {
        let pid = self.pid()?;
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().await?;
        self.child.wait().await?;
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.child.id().ok_or("the process has ended")?)
    }
}

/// An address of this machine at which nobody listens.
async fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

/// Builds the binary as it is shipped. Cargo builds the binaries for a benchmark with the features
/// of the dev-dependencies, which the shipped binary does not have. If the shipped binary exists,
/// this takes no time.
async fn release_binary() -> Result<PathBuf> {
    let built =
        Command::new(env!("CARGO")).args(["build", "--release", "--locked", "--quiet"]).current_dir(root()).status();
    if !built.await?.success() {
        return Err("cargo build --release failed (see above)".into());
    }
    Ok(env!("CARGO_BIN_EXE_keyturn").into())
}
