//! The program of the endpoint in a pod, as the container of a pod runs it: its memory, its probe,
//! its log and its exit codes. The answers of the endpoint have tests beside `src/serve.rs`.

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The most resident memory of the program, in bytes. A build without optimization takes the most.
const MOST: u64 = 10_000_000;
/// The answers after which the memory is read.
const ANSWERS: usize = 50;
/// The most probes until the program listens.
const PROBES: usize = 600;

/// Waits between two probes. Always `false`.
fn pause() -> bool {
    std::thread::sleep(Duration::from_millis(50));
    false
}

/// The folders of a pod: that of the Secret, and that which its containers share.
struct Pod {
    folders: TempDir,
    port: u16,
}

impl Pod {
    fn new() -> Self {
        let folders = TempDir::new().unwrap();
        for folder in ["secret", "shared"] {
            fs::create_dir(folders.path().join(folder)).unwrap();
        }
        let session = json!({"Version": 1, "AccessKeyId": "ASIAALICE", "SecretAccessKey": "secret",
            "SessionToken": "token", "Expiration": "2100-01-01T00:00:00Z"});
        fs::write(folders.path().join("secret/credential-process.json"), session.to_string()).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { folders, port }
    }

    /// The program with these further arguments. The environment names the folders.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn-endpoint"));
        command.arg(format!("--port={}", self.port)).args(arguments).env_clear();
        command.env("KEYTURN_SECRET_DIR", self.folders.path().join("secret"));
        command.env("KEYTURN_SHARED_DIR", self.folders.path().join("shared"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ran(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    fn token(&self) -> String {
        fs::read_to_string(self.folders.path().join("shared/token")).unwrap()
    }

    /// The endpoint, once its own probe succeeds.
    fn started(&self) -> Running {
        let running = Running(self.program(&[]).spawn().unwrap());
        let is_up = || self.ran(&["--probe"]).status.success();
        assert!((0..PROBES).any(|_| is_up() || pause()), "the endpoint does not listen");
        running
    }

    fn answer(&self, token: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let head = "GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
        write!(stream, "{head}Authorization: {token}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// A running endpoint. It ends when this value is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// The resident memory (`VmRSS`), in bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(Path::new("/proc").join(self.0.id().to_string()).join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Ends the endpoint as the kubelet does. Returns its exit code and its log.
    fn ended(&mut self) -> (Option<i32>, String) {
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.0.wait().unwrap().code();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log)
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
fn the_endpoint_of_a_pod_takes_less_than_10_mb() {
    let pod = Pod::new();
    let running = pod.started();
    let token = pod.token();
    for _ in 0..ANSWERS {
        let answer = pod.answer(&token);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("ASIAALICE"), "{answer}");
    }
    let resident = running.resident();
    assert!(resident < MOST, "{resident} bytes: does keyturn-endpoint hold code that it does not run?");
}

#[test]
fn the_endpoint_writes_one_line_and_ends_well_at_sigterm() {
    let pod = Pod::new();
    let (code, log) = pod.started().ended();
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = lines.as_slice() else { panic!("{log}") };
    let said = [&line["level"], &line["message"], &line["version"], &line["port"]];
    assert_eq!(said, [&json!("INFO"), &json!("started"), &json!(env!("CARGO_PKG_VERSION")), &json!(pod.port)]);
}

#[test]
fn the_endpoint_that_cannot_start_says_why_in_one_line() {
    let pod = Pod::new();
    let taken = Pod { port: pod.port, ..Pod::new() };
    let _running = pod.started();
    let idle = Pod::new();
    let lost = Pod::new();
    fs::remove_dir(lost.folders.path().join("shared")).unwrap();
    for (case, pod, arguments, code, said) in [
        ("a probe before the start", &idle, &["--probe"][..], 1, "the endpoint does not listen yet"),
        ("a port that is taken", &taken, &[], 1, "choose another with the annotation keyturn.dev/endpoint-port"),
        ("a folder that is missing", &lost, &[], 1, "cannot write"),
        ("a flag that does not exist", &idle, &["--prob"], 2, "see keyturn-endpoint --help"),
        ("the command of earlier builds", &idle, &["serve"], 2, "unexpected argument 'serve'"),
    ] {
        let done = pod.ran(arguments);
        let text = String::from_utf8(done.stderr).unwrap();
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(done.status.code(), Some(code), "{case}: {text}");
        assert!(last.starts_with("keyturn-endpoint: ") && last.contains(said), "{case}: {text}");
    }
    let version = pod.ran(&["--version"]);
    let named = format!("keyturn-endpoint {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.status.code(), String::from_utf8(version.stdout).unwrap()), (Some(0), named));
}
