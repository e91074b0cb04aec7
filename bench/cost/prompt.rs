//! The plugin at a prompt: the time of its start, and of the list of the whole cluster.

use crate::{Bench, Result, fleet, numbers::percentile, report::progress};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// The `AwsConfig`s in the cluster when it is listed. Most are suspended, so that they cost nothing
/// else.
const CONFIGS: usize = 2_000;
/// The times that each command is run. The median counts.
const RUNS: usize = 15;

/// Measures the start without a cluster, and `status -A`, beside kubectl.
pub async fn prompt(bench: &mut Bench) -> Result {
    progress("the plugin at a prompt");
    let missing = CONFIGS.saturating_sub(bench.options.objects);
    fleet::suspended(&bench.ground.client, &fleet::places("listed", missing)).await?;
    let plugin = bench.ground.dir.path().join(keyturn::plugin::FILE_NAME);
    std::os::unix::fs::symlink(std::path::absolute(bench.launcher.binary())?, &plugin)?;
    let kubectl = bench.ground.kubectl()?.to_owned();
    let kubeconfig = bench.ground.admin().to_owned();
    let list = format!("plugin: status -A of {CONFIGS}");
    let rows: [(&str, [&[&str]; 2], &str); 2] = [
        ("plugin: start", [&["version", "--client"], &["version", "--client"]], "50 ms"),
        (&list, [&["status", "-A"], &["get", "awsconfigs", "-A"]], "1500 ms"),
    ];
    for (measure, [own, of_kubectl], mark) in rows {
        let times = [median(&plugin, own, &kubeconfig)?, median(&kubectl, of_kubectl, &kubeconfig)?];
        let ratio = times[0].div_duration_f64(times[1]);
        bench.report.row(measure, times[0], times[1], Some(ratio), mark);
    }
    bench.report.note("plugin: the floor is kubectl with the like command".to_owned());
    Ok(())
}

/// The median of the times of a command. A list in which something is in trouble ends with 1.
fn median(program: &Path, arguments: &[&str], kubeconfig: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let mut command = Command::new(program);
        command.args(arguments).arg("--kubeconfig").arg(kubeconfig).stdout(Stdio::null());
        let begun = Instant::now();
        let ended = command.status()?;
        times.push(begun.elapsed());
        if !matches!(ended.code(), Some(0 | 1)) {
            return Err(format!("{} {} ended with {ended}", program.display(), arguments.join(" ")).into());
        }
    }
    Ok(percentile(&mut times, 50))
}
