//! The `keyturn` command: it parses the arguments, starts the command and sets the exit code.
//! Everything else is in the library.

use clap::Parser as _;
use keyturn::{
    api,
    cli::{Cli, Command, Run, one_line},
    clock::Clock,
    credentials::base,
    dss,
    leader::LeaseName,
    operator::{Operator, WebhookSettings},
    reference, telemetry,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::{
    error::Error,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// The time for which what is in flight may finish after SIGTERM. It is longer than any call, and
/// shorter than the 30 s after which Kubernetes kills a pod.
const GRACE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return failed(&one_line(&error), 2),
        // Help and version are not errors.
        Err(error) => return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    };
    let done = match cli.command {
        Command::Crds(options) => crds(options.dir.as_deref()),
        Command::Reference => write!(io::stdout(), "{}", reference::markdown()).map_err(Into::into),
        Command::Run(run) => run_operator(*run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string(), 1),
    }
}

fn failed(line: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "keyturn: {line}");
    ExitCode::from(code)
}

fn crds(dir: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for crd in api::crds() {
        let yaml = format!("{}\n", serde_saphyr::to_string(&crd)?.trim_end());
        match dir {
            Some(dir) => {
                let path = dir.join(format!("{}.yaml", crd.spec.names.plural));
                std::fs::write(&path, yaml).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            }
            None => write!(out, "---\n{yaml}")?,
        }
    }
    Ok(())
}

/// Returns the settings of the webhook; `None` if it is not served. The port is bound at the start,
/// therefore a port in use is reported at once.
fn webhook(run: &Run) -> Result<Option<WebhookSettings>, Box<dyn Error>> {
    let (Some(address), Some((namespace, secret))) = (run.webhook_addr, run.webhook_secret.clone()) else {
        return Ok(None);
    };
    let listener = std::net::TcpListener::bind(address)
        .map_err(|error| format!("--webhook-addr: cannot listen on {address}: {error}"))?;
    let own = run.webhook_configuration.clone().map(|configuration| (configuration, run.webhook_names.clone()));
    Ok(Some(WebhookSettings { listener, namespace, secret, own }))
}

/// Keeps the memory of the process, which holds sessions and API keys, out of core dumps. The
/// resource limit does not bound a dump that the kernel pipes to a program (core(5)), therefore the
/// process also is not dumpable (`PR_SET_DUMPABLE` in prctl(2)). Another process of the same user
/// then cannot read its memory either.
fn forbid_core_dumps() -> Result<(), Box<dyn Error>> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| format!("cannot turn off core dumps: {error}").into())
}

#[tokio::main]
async fn run_operator(run: Run) -> Result<(), Box<dyn Error>> {
    forbid_core_dumps()?;
    telemetry::start(run.log_format, &run.log);
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err("the TLS provider could not be installed".into());
    }
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut config = kube::Config::infer().await.map_err(|error| format!("no Kubernetes configuration: {error}"))?;
    // Every call has a time-out of keyturn's own, within which the client may retry a 429 or a 503.
    // A list has none, therefore the read time-out is for a connection that died unnoticed. It is
    // longer than the 290 s after which a quiet watch ends.
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(Duration::from_secs(330));
    config.reset_reader_on_write = true;
    let webhook = webhook(&run)?;
    let namespace = run.lease_namespace.unwrap_or_else(|| config.default_namespace.clone());
    let operator = Operator {
        client: kube::Client::try_from(config)?,
        sts: base::sts_client(run.aws_ca_bundle.as_deref()).await?,
        connect: Arc::new(dss::connect),
        clock: Clock::system(),
        cluster_name: run.cluster_name,
        namespaces: run.watch_namespaces,
        configs_per_namespace: run.awsconfigs_per_namespace.map(|limit| limit as usize),
        instance: run.instance,
        webhook,
        lease: run.leader_election.then_some(LeaseName { namespace, name: run.lease_name }),
    };
    operator.check().await?;
    let listener = tokio::net::TcpListener::bind(run.admin_addr)
        .await
        .map_err(|error| format!("--admin-addr: cannot listen on {}: {error}", run.admin_addr))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), cluster = operator.cluster_name, admin = %run.admin_addr, "started");
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    let running = operator.run(Some(listener), async move {
        let _ = stopped.await;
    });
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => {
            ended?;
            return Err("the operator ended by itself".into());
        }
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("stopping: what is in flight is finished first");
    let _ = stop.send(());
    if let Ok(ended) = tokio::time::timeout(GRACE, running).await {
        ended?;
    } else {
        tracing::warn!("something in flight did not finish in time; it is reconciled again after the restart");
    }
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{dumpable_behavior, getrlimit};

    #[test]
    fn a_core_dump_is_neither_written_to_a_file_nor_piped() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
