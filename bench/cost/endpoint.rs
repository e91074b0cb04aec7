//! The endpoint in a pod: the time from its start to the first success of its own probe, and its
//! memory after many answers.

use crate::{
    Bench, Result,
    cell::Cell,
    numbers::{megabytes, percentile},
    process::memory,
    report::progress,
};
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// The times that the endpoint is started. The median counts.
const STARTS: usize = 20;
/// The answers after which the memory is measured. An SDK asks every few minutes.
const ANSWERS: usize = 200;
/// How long a start may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most bytes of resident memory that the endpoint may have. Each pod that asks for it has one.
/// The mark is 10 MB. The bound is lower: the whole program (4.7 MB) and the heap fit into it,
/// however many pages Linux maps. A program that needs more holds code that it does not run.
const MOST: u64 = 6_000_000;

/// An endpoint, which ends when this value is dropped.
struct Endpoint(Child);

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures the start of `keyturn-endpoint`, its memory and its size.
pub async fn endpoint(bench: &mut Bench) -> Result {
    progress("the endpoint in a pod");
    let place = tempfile::tempdir()?;
    let (secret, shared) = (place.path().join("secret"), place.path().join("shared"));
    fs::create_dir(&secret)?;
    fs::create_dir(&shared)?;
    let session = json!({"Version": 1, "AccessKeyId": "ASIABENCH", "SecretAccessKey": "bench",
        "SessionToken": "t".repeat(800), "Expiration": "2100-01-01T00:00:00Z"});
    fs::write(secret.join("credential-process.json"), session.to_string())?;
    fs::write(secret.join("config"), "[default]\nregion = eu-west-1\n")?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let serve = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--port").arg(port.to_string());
        command.arg("--secret-dir").arg(&secret).arg("--shared-dir").arg(&shared);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let program = &bench.launcher.endpoint();
    let start = || -> Result<(Endpoint, Duration)> {
        let begun = Instant::now();
        let endpoint = Endpoint(serve(program).spawn()?);
        while !serve(program).arg("--probe").status()?.success() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("keyturn-endpoint did not listen within {} s", PATIENCE.as_secs()).into());
            }
        }
        Ok((endpoint, begun.elapsed()))
    };
    let mut times = (0..STARTS).map(|_| Ok(start()?.1)).collect::<Result<Vec<_>>>()?;
    let (running, _) = start()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let token = fs::read_to_string(shared.join("token"))?;
    for _ in 0..ANSWERS {
        let request = client.get(format!("http://127.0.0.1:{port}/v1/credentials"));
        let answer = request.header(AUTHORIZATION, &token).send().await?;
        if !answer.status().is_success() {
            return Err(format!("keyturn-endpoint answered with {}", answer.status()).into());
        }
    }
    let memory = memory(running.0.id())?;
    bench.report.row("endpoint: start to the first probe", percentile(&mut times, 50), "–", None, "–");
    bench.report.row("endpoint: memory", memory, "–", None, &format!("at most {}", megabytes(MOST)));
    bench.report.row("endpoint: the program", Cell::Bytes(fs::metadata(program)?.len()), "–", None, "–");
    bench.report.at_most("endpoint: resident memory", memory.resident, MOST);
    Ok(())
}
