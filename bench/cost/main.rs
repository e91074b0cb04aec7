//! What keyturn costs, on a real control plane, beside the floor: a raw client that does the same work in the same run.
//!
//! ```text
//! cargo bench --bench cost -- [--only latency|cold|admission|rotation|memory] [--objects 1000]
//! ```
//!
//! The operator is the release binary as a process, with the ServiceAccount, the rights and the environment that Helm
//! installed. Calls are counted by those who got them: the API server's audit log, and the STS double of the tests,
//! which takes 60 ms for an answer. Counts are promised, and two ratios of times; a broken promise fails the run. Times depend
//! on the machine and never do. docs/performance.md tells what came out.

mod admission;
mod answers;
mod audit;
mod fleet;
mod floor;
mod ground;
mod measures;
mod nothing;
mod operator;
mod options;
mod pods;
mod process;
mod report;
mod reviews;
mod stage;

/// The STS of the tests. Its API server is not needed here.
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

use clap::Parser as _;
use doubles::sts::{Behaviour, Sts};
use ground::Ground;
use keyturn::clock::Clock;
use options::{Options, Part};
use report::{Report, megabytes, progress};
use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

/// Whatever went wrong is one line for whoever ran it.
pub type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How long STS takes: what AWS takes from within its region, give or take.
const STS_LATENCY: Duration = Duration::from_millis(60);

/// Everything that a measure needs.
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
    let done = if options.do_nothing { nothing::serve().await.map(|()| true) } else { bench(options).await };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Builds up, measures, reports. Returns whether every promise was kept.
async fn bench(options: Options) -> Result<bool> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err("the TLS provider could not be installed".into());
    }
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
    report.print()
}

async fn run(bench: &mut Bench) -> Result {
    let cores = std::thread::available_parallelism()?;
    let version = bench.ground.version().to_owned();
    bench.report.note(format!("{cores} cores, Kubernetes {version}, STS takes {} ms", STS_LATENCY.as_millis()));
    let (memory, rotation) = (bench.options.wants(Part::Memory), bench.options.wants(Part::Rotation));
    if memory {
        measures::idle_memory(bench).await?;
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
        let size = megabytes(bench.launcher.binary_size()?);
        bench.report.row("the binary", &size, "–", None, "–");
    }
    // The last: it brings AwsConfigs of its own, which would be in the others' counts.
    if bench.options.wants(Part::Admission) {
        admission::admission(bench, &operator).await?;
    }
    Ok(())
}
