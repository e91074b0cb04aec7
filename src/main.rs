//! The `keyturn` command: it parses the arguments, starts the command and sets the exit code.
//! Everything else is in the library.

use keyturn::{
    api,
    brake::{self, ConfigMapName},
    certificate::Kept,
    cli::{self, Command, Process, Run, Webhook},
    clock::Clock,
    credentials::base,
    dss,
    https::listen,
    leader::LeaseName,
    limit::{Rate, RateLimits, StsLimits},
    network::{NamedCluster, Proxies, api_server, provide_tls},
    operator::{Operator, ShardPlace, WebhookCare},
    plugin,
    process::{Signals, forbid_core_dumps, forbid_reads_of_memory},
    reference,
    telemetry::{self, Traces},
    webhook,
};
use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    pin::{Pin, pin},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The time for which what is in flight may finish after SIGTERM. It is longer than any call, and
/// shorter than the 30 s after which Kubernetes kills a pod.
const GRACE: Duration = Duration::from_secs(20);

/// Ends when the process is asked to end.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = env::args_os().collect::<Vec<_>>();
    let name = arguments.first().map(Path::new).and_then(Path::file_stem);
    if name.is_some_and(|name| name == plugin::FILE_NAME) {
        return run_plugin(arguments);
    }
    if name.is_some_and(|name| name == plugin::COMPLETION_FILE_NAME) {
        let asked = [plugin::FILE_NAME, "__complete", "--"].map(OsString::from);
        return run_plugin(asked.into_iter().chain(arguments.into_iter().skip(1)).collect());
    }
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(refused) => return refused.report(),
    };
    let done = match cli.command {
        Command::Crds(options) => crds(options.dir.as_deref()),
        Command::Man(options) => man(&options.dir),
        Command::Reference => write!(io::stdout(), "{}", reference::markdown()).map_err(Into::into),
        Command::Run(run) => run_operator(*run),
        Command::Webhook(webhook) => run_webhook(webhook),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keyturn: {error}");
            ExitCode::FAILURE
        }
    }
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

/// Writes the manual pages of both names of the program, and of the endpoint's.
fn man(dir: &Path) -> Result<(), Box<dyn Error>> {
    let written = |command: clap::Command| {
        clap_mangen::generate_to(command, dir)
            .map_err(|error| format!("cannot write manual pages into {}: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| format!("cannot make the folder {}: {error}", dir.display()))?;
    written(cli::command())?;
    written(cli::endpoint_command())?;
    Ok(written(plugin::command())?)
}

/// Returns what the operator does for the webhook; `None` if there is none.
fn webhook_care(run: &Run) -> Result<Option<WebhookCare>, String> {
    let Some((namespace, secret)) = run.webhook_secret.clone() else { return Ok(None) };
    if run.webhook_configuration.is_some() && run.shard.is_some() && !run.shard_owns_cluster {
        return Err(
            "--webhook-configuration: only the shard with --shard-owns-cluster makes the certificate".to_owned()
        );
    }
    let certificate = run.webhook_configuration.clone().map(|configuration| Kept {
        namespace: namespace.clone(),
        secret,
        configuration,
        names: run.webhook_names.clone(),
    });
    Ok(Some(WebhookCare { namespace, certificate }))
}

/// The first steps of every process.
fn prepare(process: &Process, traces: Option<&Traces>) -> Result<Signals, Box<dyn Error>> {
    forbid_core_dumps()?;
    match traces {
        Some(traces) => telemetry::start_with_traces(process.log_format, &process.log, traces),
        None => telemetry::start(process.log_format, &process.log),
    }
    provide_tls();
    Ok(Signals::handled()?)
}

/// Binds the admin port. A port in use is reported at the start.
fn admin_listener(process: &Process) -> Result<TcpListener, Box<dyn Error>> {
    let address = process.admin_addr;
    let listener = listen(address).map_err(|error| format!("--admin-addr: cannot listen on {address}: {error}"))?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Runs a process, given the future by which it learns that it is to end, until a signal comes.
/// Afterwards what is in flight may finish for [`GRACE`].
async fn until_signal<E: Error + 'static>(
    mut signals: Signals,
    what: &str,
    run: impl AsyncFnOnce(Stopped) -> Result<(), E>,
) -> Result<(), Box<dyn Error>> {
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    let mut running = pin!(run(Box::pin(async {
        let _ = stopped.await;
    })));
    tokio::select! {
        ended = &mut running => {
            ended?;
            return Err(format!("{what} ended by itself").into());
        }
        () = signals.any() => {}
    }
    tracing::info!("stopping: what is in flight is finished first");
    let _ = stop.send(());
    if let Ok(ended) = tokio::time::timeout(GRACE, running).await {
        ended?;
    } else {
        tracing::warn!("something in flight did not finish in time");
    }
    tracing::info!("stopped");
    Ok(())
}

#[tokio::main]
async fn run_operator(run: Run) -> Result<(), Box<dyn Error>> {
    let proxies = Proxies::from_env()?;
    let collector = run.tracing.collector();
    let traces = collector.map(|url| Traces::to(&url, run.tracing.otel_service_name.clone(), &proxies));
    let traces = traces.transpose().map_err(|error| format!("--otlp-endpoint: {error}"))?;
    let signals = prepare(&run.process, traces.as_ref())?;
    let config = api_server(&proxies, &NamedCluster::default()).await?;
    let webhook = webhook_care(&run)?;
    let withdrawals = run.withdrawals_config_map.clone();
    let (of_map, name) =
        withdrawals.unwrap_or_else(|| (config.default_namespace.clone(), "keyturn-withdrawals".to_owned()));
    let clock = Clock::system().steady();
    let aws = base::clients(run.aws_ca_bundle.as_deref(), &proxies, None, &clock).await?;
    let namespace = run.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let lease_name = run.lease_name();
    let operator = Operator {
        client: kube::Client::try_from(config)?,
        sts: aws.sts,
        s3: aws.s3,
        connect: Arc::new(move |tls| dss::connect(tls, &proxies)),
        clock,
        cluster_name: run.cluster_name,
        namespaces: run.process.watch_namespaces.clone(),
        namespace_selector: run.namespace_selector,
        shard: run.shard.map(|name| ShardPlace { name, owns_cluster: run.shard_owns_cluster }),
        configs_per_namespace: run.awsconfigs_per_namespace.map(|limit| limit as usize),
        object_metrics: run.object_metrics,
        rate_limits: RateLimits {
            namespace: Rate { per_second: run.namespace_requests_per_second, burst: run.namespace_requests_burst },
            all: Rate { per_second: run.requests_per_second, burst: run.requests_burst },
        },
        sts_limits: StsLimits { per_second: run.sts_per_second, ..StsLimits::DEFAULT },
        max_age: run.max_age,
        brake: brake::Settings {
            limit: (run.withdrawal_brake > 0).then_some(run.withdrawal_brake as usize),
            config_map: ConfigMapName { namespace: of_map, name },
        },
        instance: run.instance,
        webhook,
        lease: run.leader_election.then_some(LeaseName { namespace, name: lease_name }),
    };
    operator.check().await?;
    let admin = admin_listener(&run.process)?;
    tracing::info!(version = VERSION, cluster = operator.cluster_name, admin = %admin.local_addr()?, "started");
    let done = until_signal(signals, "the operator", async |stopped| operator.run(Some(admin), stopped).await).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    done
}

#[tokio::main]
async fn run_webhook(options: Webhook) -> Result<(), Box<dyn Error>> {
    let signals = prepare(&options.process, None)?;
    let address = options.webhook_addr;
    let listener = listen(address).map_err(|error| format!("--webhook-addr: cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    let replica = webhook::Replica {
        client: kube::Client::try_from(api_server(&Proxies::from_env()?, &NamedCluster::default()).await?)?,
        namespaces: options.process.watch_namespaces.clone(),
        listener,
        certificate: options.webhook_secret,
        settings: webhook::Settings {
            delivery: options.default_delivery,
            image: options.endpoint_image,
            pull_policy: options.endpoint_pull_policy,
        },
    };
    replica.check().await?;
    let admin = admin_listener(&options.process)?;
    tracing::info!(version = VERSION, %address, admin = %admin.local_addr()?, "started");
    until_signal(signals, "the webhook", async |stopped| replica.run(Some(admin), stopped).await).await
}

/// Carries out a command of the plugin. Its answer goes to standard output, and an error to
/// standard error in one line.
fn run_plugin(arguments: Vec<OsString>) -> ExitCode {
    let plugin = match plugin::parse(arguments) {
        Ok(plugin) => plugin,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    // Some commands hold a credential. A program that `exec` runs may dump its own memory.
    let _ = forbid_reads_of_memory();
    let mut out = io::stdout();
    let is_terminal = out.is_terminal();
    let mut screen = plugin::Screen::of(&mut out, is_terminal);
    match answer(&plugin, &mut screen) {
        Ok(answer) if screen.show(&answer.text).is_ok() => ExitCode::from(answer.code),
        Ok(_) => ExitCode::FAILURE,
        Err(failed) => {
            let _ = writeln!(io::stderr(), "error: {failed}");
            ExitCode::from(failed.code)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn answer(plugin: &plugin::Plugin, screen: &mut plugin::Screen<'_>) -> Result<plugin::Answer, plugin::Failed> {
    provide_tls();
    plugin::run(plugin, &Clock::system(), screen).await
}
