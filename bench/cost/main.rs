//! Measures what keyturn costs on a real control plane, beside the floor: a raw client that does
//! the same work in the same run.
//!
//! ```text
//! cargo bench --bench cost -- [--only PART,…] [--objects N]     --help lists the parts
//! cargo bench --bench cost -- --only cold,latency,memory --sizes 100,1000,10000 --svg growth.svg
//! ```
//!
//! The operator is the release binary as a process, with the ServiceAccount, the rights and the
//! environment that Helm installed. The receiver of a call counts it: the audit log of the API
//! server, and the STS double of the tests, which takes 60 ms for an answer. keyturn promises
//! counts and two ratios of times; a broken promise fails the run. A time by itself never fails the
//! run, because it depends on the machine. docs/performance.md has the figures.

mod admission;
mod answers;
mod audit;
mod cell;
mod endpoint;
mod figures;
mod fleet;
mod flood;
mod floor;
mod ground;
mod growth;
mod measures;
mod nothing;
mod numbers;
mod operator;
mod options;
mod pods;
mod process;
mod prompt;
mod report;
mod reviews;
mod rivals;
mod stage;

/// The STS double of the tests. The bench does not need the API server's double.
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a double offers more than one user needs; its own tests are not run here"
)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "written for tests")]
#[path = "../../tests/worlds/doubles"]
mod doubles {
    pub mod rules;
    pub mod sts;
    pub mod wire;
}

use cell::Cell;
use clap::Parser as _;
use doubles::sts::{Behaviour, Sts};
use ground::Ground;
use keyturn::clock::Clock;
use options::{Options, Part};
use report::{Report, progress};
use serde_json::json;
use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

/// The result of a step. The text of the error is one line for the person who runs the bench.
pub type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How long STS takes: roughly the time that AWS takes for a call from within its region.
const STS_LATENCY: Duration = Duration::from_millis(60);

/// What the measures need.
pub struct Bench {
    options: Options,
    ground: Ground,
    sts: Sts,
    floor: floor::Floor,
    launcher: operator::Launcher,
    report: Report,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.do_nothing { nothing::serve().await.map(|()| true) } else { all(&options).await };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Makes all runs, and writes what they found. Returns whether keyturn kept every promise.
async fn all(options: &Options) -> Result<bool> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err("the TLS provider could not be installed".into());
    }
    let (mut kept, mut written, mut runs) = (true, Vec::new(), growth::Runs::new());
    for run in options.runs() {
        let objects = run.objects;
        let report = bench(run).await?;
        kept &= report.print()?;
        rivals::print(&report, objects)?;
        written.push(report.json(objects));
        runs.insert(objects, report.figures().clone());
    }
    if let Some(path) = &options.json {
        let json = json!({"cores": std::thread::available_parallelism()?, "runs": written});
        std::fs::write(path, format!("{json:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        growth::draw(&runs, path)?;
    }
    Ok(kept)
}

/// Starts the parts, measures and reports.
async fn bench(options: Options) -> Result<Report> {
    let clock = Clock::system();
    let sts = Sts::new(Arc::new(move || clock.now()));
    sts.always(Behaviour::Latency(STS_LATENCY));
    let endpoint = sts.serve(([127, 0, 0, 1], 0).into()).await?;

    progress("the control plane");
    let ground = Ground::start().await?;
    ground.install(&endpoint.url()).await?;
    fleet::prepare(&ground.client, &[stage::KEYTURN, stage::CROWD]).await?;
    let launcher = operator::Launcher::new(&options, &ground).await?;
    let floor = floor::Floor::new(ground.client.clone(), &endpoint.url(), fleet::spec("floor")?).await?;
    let mut bench = Bench { options, ground, sts, floor, launcher, report: Report::default() };
    let done = run(&mut bench).await;
    let Bench { ground, launcher, report, .. } = bench;
    if done.is_err() {
        progress(&format!("the end of the operator's log:\n{}", launcher.log_tail()));
    }
    ground.stop().await?;
    done?;
    Ok(report)
}

async fn run(bench: &mut Bench) -> Result {
    let cores = std::thread::available_parallelism()?;
    let version = bench.ground.version().to_owned();
    bench.report.note(format!("{cores} cores, Kubernetes {version}, STS takes {} ms", STS_LATENCY.as_millis()));
    let (memory, rotation) = (bench.options.wants(Part::Memory), bench.options.wants(Part::Rotation));
    if memory {
        measures::idle_memory(bench).await?;
    }
    if bench.options.wants(Part::Large) {
        measures::memory_of_large_configs(bench).await?;
    }
    let mut operator = measures::cold_start(bench).await?;
    if memory || rotation {
        operator = measures::restart(bench, operator).await?;
    }
    if bench.options.wants(Part::Latency) {
        measures::latency(bench).await?;
    }
    if rotation {
        measures::rotation(bench).await?;
    }
    if memory {
        operator = measures::memory_beside_large_secrets(bench, operator).await?;
        let size = bench.launcher.binary_size()?;
        bench.report.row("the binary", Cell::Bytes(size), "–", None, "–");
    }
    // Last, because it creates AwsConfigs, which the other measures would count.
    if bench.options.wants(Part::Admission) {
        admission::admission(bench).await?;
    }
    if bench.options.wants(Part::Prompt) {
        prompt::prompt(bench).await?;
    }
    if bench.options.wants(Part::Endpoint) {
        endpoint::endpoint(bench).await?;
    }
    if bench.options.wants(Part::Flood) {
        flood::flood(bench).await?;
    }
    operator.stop().await
}
