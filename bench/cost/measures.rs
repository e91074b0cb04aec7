//! The measures, except for the admission of pods. [`crate::run`] runs them in their order.

use crate::{
    Bench, Result,
    audit::Audit,
    cell::Cell,
    doubles::{rules::Times, sts::Behaviour},
    figures::Figure,
    fleet,
    numbers::{in_megabytes, mean, per_second, percentile, share},
    operator::Operator,
    options::Part,
    process,
    report::progress,
};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use keyturn::api::MOST_PROFILES;
use kube::{
    Api,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use std::{error::Error, pin::pin, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How many objects the floor has in flight in a cold start. keyturn reconciles as many at once.
const IN_FLIGHT: usize = 96;
/// The person of the objects that exist at the start.
const CROWD: &str = "crowd";
/// The person whose sessions live for seconds.
const SHORT_LIVED: &str = "short-lived";
/// The lifetime of these sessions in seconds. keyturn renews a session after 55 to 70 % of it,
/// which leaves time to issue all sessions before the first renewal.
const SHORT_LIFETIME: i64 = 40;
/// How long to wait until the operator has no work left.
const SETTLED: Duration = Duration::from_secs(3);
/// How long to wait for the last write of a cold start, after all objects are Ready. A run that is
/// in order never takes this long.
const WRITTEN: Duration = Duration::from_mins(10);
/// How many large Secrets of others there are.
const LARGE_SECRETS: usize = 300;

/// How many `AwsConfigs` of the largest size there are.
const LARGE_CONFIGS: usize = 500;
/// The most bytes by which the peak of the memory may then exceed that of an operator with nothing
/// to do.
const LARGE_PEAK: u64 = 48_000_000;
/// The most bytes of resident memory that they may add at rest.
const LARGE_RESIDENT: u64 = 16_000_000;
/// The mark for the memory that they add.
const LARGE_MARK: &str = "+16 MB, peak +48 MB";

/// Starts the operator, and waits until it has no work left.
async fn start_and_settle(bench: &Bench) -> Result<Operator> {
    let mut operator = bench.launcher.start().await?;
    operator.ready().await?;
    sleep(SETTLED).await;
    Ok(operator)
}

/// Measures the memory of an operator that has nothing to do.
pub async fn idle_memory(bench: &mut Bench) -> Result {
    let operator = start_and_settle(bench).await?;
    let idle = operator.memory()?;
    bench.report.row("memory: nothing to do", idle, "–", None, "–");
    operator.stop().await
}

/// Measures the memory that one user can add who has no grant and creates `AwsConfigs` of the
/// largest size that the API server takes.
pub async fn memory_of_large_configs(bench: &mut Bench) -> Result {
    let operator = start_and_settle(bench).await?;
    let idle = operator.memory()?;
    operator.stop().await?;
    for (size, profiles) in [("of the largest AwsConfigs", 0), ("of the largest with 8 profiles", MOST_PROFILES)] {
        progress("large AwsConfigs of a user without a grant");
        let operator = start_and_settle(bench).await?;
        fleet::large_configs(&bench.ground.client, LARGE_CONFIGS, profiles).await?;
        sleep(SETTLED).await;
        let beside = operator.memory()?;
        operator.stop().await?;
        let operator = start_and_settle(bench).await?;
        let restarted = operator.memory()?;
        operator.stop().await?;
        fleet::no_large_configs(&bench.ground.client, profiles).await?;
        for (when, memory) in [("beside", beside), ("restarted beside", restarted)] {
            let what = format!("memory: {when} {LARGE_CONFIGS} {size}");
            bench.report.row(&what, memory, "–", None, LARGE_MARK);
            let beyond_idle = |bytes: u64| bytes.saturating_sub(idle.resident);
            bench.report.at_most(&format!("{what}, resident"), beyond_idle(memory.resident), LARGE_RESIDENT);
            bench.report.at_most(&format!("{what}, peak"), beyond_idle(memory.peak), LARGE_PEAK);
        }
    }
    Ok(())
}

/// Measures a cold start: all objects exist, nothing is issued, and the operator starts. Returns
/// the operator.
pub async fn cold_start(bench: &mut Bench) -> Result<Operator> {
    let count = bench.options.objects;
    let (places, floor_places) = (fleet::places("crowd", count), fleet::places("floor", count));
    let wants = bench.options.wants(Part::Cold);
    let mut floor = None;
    if wants {
        progress("the floor of the cold start");
        bench.floor.create(&floor_places).await?;
        let before = process::cpu(bench.ground.pids())?;
        let took = bench.floor.run(&floor_places, IN_FLIGHT).await?;
        floor = Some((took, process::cpu(bench.ground.pids())?.saturating_sub(before)));
    }
    fleet::apply_all(&bench.ground.client, &places, CROWD).await?;
    sleep(SETTLED).await;

    progress("the cold start");
    bench.sts.clear();
    let audit = Audit::begin(bench.ground.audit_log())?;
    let before = process::cpu(bench.ground.pids())?;
    let operator = bench.launcher.start().await?;
    let sts = bench.sts.clone();
    fleet::all_ready(&bench.ground.client, CROWD, count, || sts.count()).await?;
    let took = operator.started.elapsed();
    all_written(&audit, count).await?;
    let took_whole = operator.started.elapsed();
    let cpu = process::cpu(bench.ground.pids())?.saturating_sub(before);
    sleep(SETTLED).await;
    bench.report.promise("calls to STS in a cold start", count, bench.sts.count());

    let calls = audit.calls()?;
    if let Some((floor_took, floor_cpu)) = floor {
        let (rate, floor_rate) = (per_second(count, took), per_second(count, floor_took));
        let whole_rate = per_second(count, took_whole);
        for (what, rate, figure, mark) in [
            (format!("cold start of {count}, until all are Ready"), rate, Figure::ColdReady, "90/s"),
            ("– until the last AwsRole has its status".to_owned(), whole_rate, Figure::ColdWritten, "–"),
        ] {
            let ratio = rate / floor_rate;
            bench.report.row(&what, Cell::Rate(rate), Cell::Rate(floor_rate), Some(ratio), mark);
            bench.report.figure(figure, ratio);
        }
        bench.report.times_row("– CPU of the control plane for each", [cpu, floor_cpu].map(|cpu| mean(cpu, count)));
        bench.report.row("– CPU of the operator for each", mean(operator.cpu()?, count), "–", None, "–");
        let each = |number| Cell::each(number, count);
        bench.report.row("calls to STS per first issue", each(bench.sts.count()), "1", None, "1.0");
        bench.report.row("writes per first issue", each(calls.writes()), "2", None, "2");
        bench.report.row("reads per first issue", each(calls.reads()), "0", None, "0");
        bench.report.note(format!("first issue: {}; once: {} lists", calls.per(count), calls.lists()));
    }
    if bench.options.wants(Part::Memory) {
        let memory = operator.memory()?;
        let mark = if count <= 1000 { "23.5 MB" } else { "49 MB (5,000)" };
        bench.report.row(&format!("memory: after a cold start of {count}"), memory, "–", None, mark);
        bench.report.figure(Figure::Resident, in_megabytes(memory.resident));
    }
    Ok(operator)
}

/// Waits until keyturn has written everything of a first issue of `count` objects. The status of
/// the `AwsRole` is the last write of each. The audit log says so, because a list of thousands is
/// work for the API server.
async fn all_written(audit: &Audit, count: usize) -> Result {
    let begun = Instant::now();
    loop {
        let written = audit.calls()?.count("patch awsroles/status");
        if written >= count {
            return Ok(());
        }
        if begun.elapsed() > WRITTEN {
            return Err(format!("{written} of {count} AwsRoles have a status after {WRITTEN:?}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Measures a restart: everything is issued, and the operator starts again. Returns the
/// operator.
pub async fn restart(bench: &mut Bench, operator: Operator) -> Result<Operator> {
    progress("the restart");
    operator.stop().await?;
    bench.sts.clear();
    let audit = Audit::begin(bench.ground.audit_log())?;
    let mut operator = bench.launcher.start().await?;
    operator.ready().await?;
    let took = operator.started.elapsed();
    sleep(SETTLED).await;
    let calls = audit.calls()?;
    bench.report.promise("calls to STS after a restart", 0, bench.sts.count());
    bench.report.promise("writes after a restart", 0, calls.writes());
    bench.report.promise("reads of objects after a restart", 0, calls.reads());
    let count = bench.options.objects;
    if bench.options.wants(Part::Rotation) {
        let counts = format!("{} STS, {} writes, {} reads", bench.sts.count(), calls.writes(), calls.reads());
        bench.report.row(&format!("warm restart over {count}"), &counts, "–", None, "0, 0, 0");
        bench.report.row("– until it has seen everything", took, "–", None, "–");
        bench.report.note(format!("restart, in all: {} lists", calls.lists()));
    }
    if bench.options.wants(Part::Memory) {
        let memory = operator.memory()?;
        bench.report.row(&format!("memory: restarted over {count}"), memory, "–", None, "–");
        bench.report.figure(Figure::ResidentRestarted, in_megabytes(memory.resident));
    }
    Ok(operator)
}

/// Measures new objects one at a time. Each follows one of the floor's, because any other work of
/// the machine then slows down both.
pub async fn latency(bench: &mut Bench) -> Result {
    progress("new objects, one at a time");
    let client = bench.ground.client.clone();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), fleet::LATENCY);
    let mut filled = pin!(watcher(secrets, watcher::Config::default()).default_backoff().applied_objects());
    let (mut ours, mut to_secret, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let warm_up = 3;
    for n in 0..bench.options.samples + warm_up {
        let name = format!("new-{n:04}");
        bench.floor.create(&[(fleet::LATENCY.to_owned(), format!("floor-{n:04}"))]).await?;
        let floor = bench.floor.issue(fleet::LATENCY, &format!("floor-{n:04}")).await?;
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        fleet::apply(&client, fleet::LATENCY, &name, fleet::spec("new")?).await?;
        let target = format!("{name}-aws");
        let seen = async {
            while let Some(secret) = filled.try_next().await? {
                let has_key = secret.data.is_some_and(|data| data.contains_key("AWS_ACCESS_KEY_ID"));
                if has_key && secret.metadata.name.as_ref() == Some(&target) {
                    return Ok(());
                }
            }
            Err::<(), Box<dyn Error + Send + Sync>>("the watch ended".into())
        };
        timeout(Duration::from_secs(30), seen).await.map_err(|_| format!("no Secret {target} in 30 s"))??;
        if n >= warm_up {
            ours.push(begun.elapsed());
            to_secret.push(floor.to_secret);
            whole.push(floor.whole);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let times = [
        ("p50", 50, "76 ms", Some(Figure::NewObject)),
        ("p90", 90, "–", None),
        ("p99", 99, "–", Some(Figure::NewObjectP99)),
        ("max", 100, "102 ms", None),
    ];
    for (name, percent, mark, figure) in times {
        let (ours, whole) = (percentile(&mut ours, percent), percentile(&mut whole, percent));
        let ratio = ours.div_duration_f64(whole);
        bench.report.row(&format!("new object → Secret, {name}"), ours, whole, Some(ratio), mark);
        if let Some(figure) = figure {
            bench.report.figure(figure, ratio);
        }
    }
    let to_secret = Cell::from(percentile(&mut to_secret, 50));
    bench.report.note(format!("the floor's status write left out, its p50 is {to_secret}"));
    Ok(())
}

/// Measures the renewals of sessions that live for seconds.
pub async fn rotation(bench: &mut Bench) -> Result {
    progress("renewals (about 40 s)");
    let count = bench.options.rotating;
    bench.sts.clear();
    let short_lived = |call: &crate::doubles::sts::Call| call.session_name.as_deref() == Some(SHORT_LIVED);
    let rule = bench.sts.behave_if(Times::UntilCleared, short_lived, Behaviour::Lifetime(SHORT_LIFETIME));
    let sts = bench.sts.clone();
    fleet::apply_all(&bench.ground.client, &fleet::places("short", count), SHORT_LIVED).await?;
    fleet::all_ready(&bench.ground.client, SHORT_LIVED, count, || sts.count()).await?;
    sleep(SETTLED).await;
    bench.sts.forgive(rule);
    bench.report.promise("calls to STS before the first renewal", count, bench.sts.count());

    bench.sts.clear();
    let audit = Audit::begin(bench.ground.audit_log())?;
    let begun = Instant::now();
    while bench.sts.count() < count && begun.elapsed() < Duration::from_secs(2 * SHORT_LIFETIME.unsigned_abs()) {
        sleep(Duration::from_millis(100)).await;
    }
    sleep(SETTLED).await;
    let (sts, calls) = (bench.sts.count(), audit.calls()?);
    bench.report.promise(&format!("calls to STS in {count} renewals"), count, sts);
    bench.report.promise(&format!("writes in {count} renewals"), 2 * count, calls.writes());
    bench.report.promise(&format!("reads in {count} renewals"), 0, calls.reads());
    let rows = [
        (Figure::StsPerRenewal, sts, "1", "1"),
        (Figure::WritesPerRenewal, calls.writes(), "2", "2"),
        (Figure::ReadsPerRenewal, calls.reads(), "0", "0.01"),
    ];
    for (figure, number, floor, mark) in rows {
        let each = share(number, count);
        bench.report.figure(figure, each);
        bench.report.row(figure.label(), Cell::Each(each), floor, None, mark);
    }
    bench.report.note(format!("renewal: {}", calls.per(count)));
    Ok(())
}

/// Measures the memory of an operator that starts beside large Secrets of others. Returns the
/// operator.
pub async fn memory_beside_large_secrets(bench: &mut Bench, operator: Operator) -> Result<Operator> {
    progress("large Secrets of others");
    operator.stop().await?;
    fleet::large_secrets(&bench.ground.client, LARGE_SECRETS).await?;
    let operator = start_and_settle(bench).await?;
    let memory = operator.memory()?;
    bench.report.row(&format!("memory: restarted beside {LARGE_SECRETS} Secrets of 1 MB"), memory, "–", None, "–");
    Ok(operator)
}
