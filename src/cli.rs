//! The command line. Every flag has an environment variable. An invalid value is reported in one
//! line that names the flag.

use crate::{
    api::Delivery,
    limit::{RateLimits, StsLimits},
    shards::NamespaceSelector,
    telemetry::LogFormat,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use jiff::SignedDuration;
use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

mod endpoint;
mod refused;
mod tracing;

pub use endpoint::{Endpoint, command as endpoint_command, parse as parse_endpoint};
pub use refused::Refused;
pub use tracing::Tracing;

/// Gives every person the AWS credentials of the IAM role they may use, as a Kubernetes Secret that
/// is always fresh.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator. Kubernetes: the in-cluster configuration or KUBECONFIG. AWS: the
    /// environment of the AWS SDK (`AWS_REGION`, `AWS_ENDPOINT_URL_STS`, …).
    Run(Box<Run>),
    /// Run one replica of the webhook, which adds the Secret to pods. It needs no AWS identity.
    /// Kubernetes: the in-cluster configuration or KUBECONFIG.
    Webhook(Webhook),
    /// Print the custom resource definitions, one YAML document each.
    Crds(Crds),
    /// Write the manual pages of keyturn, of kubectl keyturn and of keyturn-endpoint.
    Man(Man),
    /// Print the reference of the custom resources, conditions, reasons and names, in Markdown.
    Reference,
}

/// The destination of the custom resource definitions.
#[derive(Debug, Args)]
pub struct Crds {
    /// Write each definition into a file `<plural>.yaml` of this folder, not to standard output.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// The destination of the manual pages.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder. It is made if it does not exist.
    #[arg(long)]
    pub dir: PathBuf,
}

/// The command line, as clap knows it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The settings that the operator and the webhook have in common.
#[derive(Debug, Args)]
pub struct Process {
    /// The namespaces to serve, separated by commas. Default: all.
    #[arg(long, env = "KEYTURN_WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// The address that serves /livez, /readyz and /metrics. `[::]` is every address, of IPv4, too.
    #[arg(long, env = "KEYTURN_ADMIN_ADDR", default_value = "[::]:8080")]
    pub admin_addr: SocketAddr,

    /// The format of log lines.
    #[arg(long, env = "KEYTURN_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,

    /// The log filter, in the form of Rust's `env_logger`: a level, or levels by module.
    #[arg(long, env = "RUST_LOG", default_value = "info,kube_client=warn,aws_config=error")]
    pub log: String,
}

/// The settings of a replica of the webhook.
#[derive(Debug, Args)]
pub struct Webhook {
    /// The settings that the operator has, too.
    #[command(flatten)]
    pub process: Process,

    /// The address at which the API server reaches the webhook.
    #[arg(long, env = "KEYTURN_WEBHOOK_ADDR", default_value = "[::]:9443")]
    pub webhook_addr: SocketAddr,

    /// The Secret that holds the certificate, as namespace/name. The webhook waits for it, and
    /// follows its changes.
    #[arg(long, env = "KEYTURN_WEBHOOK_SECRET", value_parser = namespace_and_name)]
    pub webhook_secret: (String, String),

    /// The delivery to pods if neither the pod nor its `AwsConfig` chooses: Files or Endpoint.
    #[arg(long, env = "KEYTURN_DEFAULT_DELIVERY", default_value = "Files", value_parser = delivery)]
    pub default_delivery: Delivery,

    /// keyturn's image, for the endpoint in pods. Default: pods get no endpoint.
    #[arg(long, env = "KEYTURN_ENDPOINT_IMAGE")]
    pub endpoint_image: Option<String>,

    /// The pull policy of that image. Default: that of Kubernetes.
    #[arg(long, env = "KEYTURN_ENDPOINT_PULL_POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub endpoint_pull_policy: Option<String>,
}

/// The settings of the operator.
#[derive(Debug, Args)]
pub struct Run {
    /// The settings that the webhook has, too.
    #[command(flatten)]
    pub process: Process,

    /// The settings of traces.
    #[command(flatten)]
    pub tracing: Tracing,

    /// The name of this cluster. The trust policies of roles see it in the external ID
    /// `<cluster name>/<namespace>`.
    #[arg(long, env = "KEYTURN_CLUSTER_NAME", value_parser = cluster_name)]
    pub cluster_name: String,

    /// The most `AwsConfig`s of one namespace that get a credential. The newest beyond the limit
    /// get none. Nobody loses a credential by the limit. Default: no limit.
    #[arg(long, env = "KEYTURN_AWSCONFIGS_PER_NAMESPACE", value_parser = clap::value_parser!(u32).range(1..))]
    pub awsconfigs_per_namespace: Option<u32>,

    /// Serve metrics of each `AwsConfig`, with its namespace and name as labels: up to four series
    /// for each. Default: the number of series does not grow with the number of objects.
    #[arg(long, env = "KEYTURN_OBJECT_METRICS", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub object_metrics: bool,

    /// The age at which an `AwsConfig` loses its credential, if nobody entitled has confirmed it
    /// again, in days, e.g. 90d. The chart's policy says who may confirm. Default: no limit.
    #[arg(long, env = "KEYTURN_MAX_AGE", value_parser = max_age)]
    pub max_age: Option<SignedDuration>,

    /// The most credentials that go within 60 s for want of a grant or of a namespace's label.
    /// keyturn holds the withdrawal of more of them back, for an hour at most, until somebody
    /// confirms. Default, and 0: no brake.
    #[arg(long, env = "KEYTURN_WITHDRAWAL_BRAKE", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub withdrawal_brake: u32,

    /// The `ConfigMap` by which somebody confirms withdrawals, and that Events about many of them
    /// are about, as namespace/name. Default: keyturn-withdrawals in the namespace of the pod's
    /// ServiceAccount, or of the current context.
    #[arg(long, env = "KEYTURN_WITHDRAWALS_CONFIG_MAP", value_parser = namespace_and_name)]
    pub withdrawals_config_map: Option<(String, String)>,

    /// The most requests to outside systems in a second, for all namespaces together, besides
    /// renewals that are due.
    #[arg(long, env = "KEYTURN_REQUESTS_PER_SECOND", default_value_t = RateLimits::DEFAULT.all.per_second, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub requests_per_second: u32,

    /// The most of these requests at once, after a time without any.
    #[arg(long, env = "KEYTURN_REQUESTS_BURST", default_value_t = RateLimits::DEFAULT.all.burst, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub requests_burst: u32,

    /// The most of these requests in a second for one namespace.
    #[arg(long, env = "KEYTURN_NAMESPACE_REQUESTS_PER_SECOND", default_value_t = RateLimits::DEFAULT.namespace.per_second, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub namespace_requests_per_second: u32,

    /// The most of these requests at once for one namespace.
    #[arg(long, env = "KEYTURN_NAMESPACE_REQUESTS_BURST", default_value_t = RateLimits::DEFAULT.namespace.burst, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub namespace_requests_burst: u32,

    /// The most calls to STS in a second, renewals included. keyturn lowers the rate while STS
    /// throttles.
    #[arg(long, env = "KEYTURN_STS_PER_SECOND", default_value_t = StsLimits::DEFAULT.per_second, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub sts_per_second: u32,

    /// The name that reports Events. Default in a pod: the name of the pod.
    #[arg(long, env = "HOSTNAME", default_value = "keyturn", hide = true)]
    pub instance: String,

    /// The Secret that holds the webhook's certificate, as namespace/name. It has to exist. Its
    /// namespace is that of the release. Default: there is no webhook, and keyturn searches for no
    /// missed pods.
    #[arg(long, env = "KEYTURN_WEBHOOK_SECRET", value_parser = namespace_and_name)]
    pub webhook_secret: Option<(String, String)>,

    /// The `MutatingWebhookConfiguration` into which keyturn writes the authority of its own
    /// certificate. Default: keyturn makes no certificate; another program does, e.g. cert-manager.
    #[arg(long, env = "KEYTURN_WEBHOOK_CONFIGURATION", requires_all = ["webhook_secret", "webhook_names"])]
    pub webhook_configuration: Option<String>,

    /// The DNS names and addresses of the certificate that keyturn makes, separated by commas.
    #[arg(long, env = "KEYTURN_WEBHOOK_NAMES", value_delimiter = ',')]
    pub webhook_names: Vec<String>,

    /// Elect one of several replicas as the leader, by a Lease. The others watch, and one of them
    /// takes over when the leader ends. Default: no election; this replica is the only one.
    #[arg(long, env = "KEYTURN_LEADER_ELECTION", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub leader_election: bool,

    /// The namespace of the Lease. Default: the namespace of the pod's ServiceAccount, or of the
    /// current context.
    #[arg(long, env = "KEYTURN_LEASE_NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,

    /// The name of the Lease. Default: `keyturn`, or `keyturn-NAME` for a shard.
    #[arg(long, env = "KEYTURN_LEASE_NAME")]
    pub lease_name: Option<String>,

    /// The name of this shard, if several operators share the cluster, each with namespaces of its
    /// own. All shards have their Leases in the same namespace. A shard does not start if another
    /// one might serve some of its namespaces. Default: this operator is none of a set of shards.
    #[arg(long, env = "KEYTURN_SHARD", value_parser = shard, requires = "leader_election")]
    pub shard: Option<String>,

    /// The labels of the namespaces to serve, as a label selector:
    /// `team in (a,b),env!=test,!legacy`. A namespace whose labels change comes in or goes out
    /// while keyturn runs. Default: the namespaces that --watch-namespaces says.
    #[arg(long, env = "KEYTURN_NAMESPACE_SELECTOR", conflicts_with = "watch_namespaces", value_parser = selector)]
    pub namespace_selector: Option<NamespaceSelector>,

    /// This shard writes what belongs to the whole cluster: the status of grants and instances, the
    /// finalizers of deleted instances, and the webhook's certificate. One shard has to. Without
    /// --shard, an operator always does.
    #[arg(long, env = "KEYTURN_SHARD_OWNS_CLUSTER", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set, requires = "shard")]
    pub shard_owns_cluster: bool,

    /// A PEM file of certificate authorities to trust for calls to AWS, besides the system's.
    #[arg(long, env = "AWS_CA_BUNDLE")]
    pub aws_ca_bundle: Option<PathBuf>,
}

impl Run {
    /// The name of the Lease.
    #[must_use]
    pub fn lease_name(&self) -> String {
        let default = || self.shard.as_ref().map_or("keyturn".to_owned(), |shard| format!("keyturn-{shard}"));
        self.lease_name.clone().unwrap_or_else(default)
    }
}

/// Checks the name of the cluster. The external ID is `<cluster>/<namespace>`: the name must hold
/// no slash, and only characters that AWS allows in an external ID.
fn cluster_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if text.is_empty()
        || text.len() > 63
        || !text.chars().all(allowed)
        || !text.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err("1 to 63 letters, digits and _.-, beginning with a letter or digit".to_owned());
    }
    Ok(text.to_owned())
}

fn namespace(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
        return Err("the name of a namespace: 1 to 63 lower-case letters, digits and -".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of a shard. It is the value of a label, and a part of the default name of the Lease.
fn shard(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 40 || !text.chars().all(is_word) || text.starts_with('-') || text.ends_with('-')
    {
        return Err("1 to 40 lower-case letters, digits and -, with a letter or digit at both ends".to_owned());
    }
    Ok(text.to_owned())
}

fn selector(text: &str) -> Result<NamespaceSelector, String> {
    text.parse()
}

/// A number of days, longer than the 14 days before the end in which a condition warns.
fn max_age(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    match days.filter(|days| (15..=3650).contains(days)) {
        Some(days) => Ok(SignedDuration::from_hours(days * 24)),
        None => Err("a number of days from 15d to 3650d".to_owned()),
    }
}

fn delivery(text: &str) -> Result<Delivery, String> {
    Delivery::named(text).ok_or_else(|| "Files or Endpoint".to_owned())
}

fn namespace_and_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((in_namespace, name)) if !name.is_empty() => Ok((namespace(in_namespace)?, name.to_owned())),
        _ => Err("namespace/name".to_owned()),
    }
}

/// Parses a command line.
///
/// # Errors
/// [`Refused`] if it is invalid, or asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Refused> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    Cli::try_parse_from(&arguments).map_err(|error| {
        let named = arguments.get(1).and_then(|argument| argument.to_str());
        let command = named.filter(|name| Cli::command().find_subcommand(name).is_some());
        Refused { error, program: "keyturn", command: command.map(str::to_owned) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, String> {
        let arguments = ["keyturn"].iter().chain(arguments).map(OsString::from);
        super::parse(arguments).map_err(|refused| refused.one_line())
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        let table: [(&[&str], &[&str]); 28] = [
            (&["run", "--cluster-name", "a", "--otlp-endpoint", "collector:4317"], &["--otlp-endpoint", "http or"]),
            (&["run", "--cluster-nam", "x"], &["'--cluster-nam' found; tip: a similar argument", "--help"]),
            (&["run"], &["--cluster-name"]),
            (&["run", "--cluster-name", "a/b"], &["--cluster-name", "a/b", "letters"]),
            (&["run", "--cluster-name", "a", "--admin-addr", "nowhere"], &["--admin-addr", "nowhere"]),
            (
                &["run", "--cluster-name", "a", "--awsconfigs-per-namespace", "0"],
                &["--awsconfigs-per-namespace", "0 is not in 1.."],
            ),
            (
                &["run", "--cluster-name", "a", "--namespace-requests-burst", "9"],
                &["--namespace-requests-burst", "9 is not in 10..=100000"],
            ),
            (
                &["run", "--cluster-name", "a", "--sts-per-second", "10001"],
                &["--sts-per-second", "10001 is not in 1..=10000"],
            ),
            (&["run", "--cluster-name", "a", "--max-age", "14d"], &["--max-age", "14d", "from 15d to 3650d"]),
            (&["run", "--cluster-name", "a", "--max-age", "2160h"], &["--max-age", "2160h", "days"]),
            (&["run", "--cluster-name", "a", "--max-age", "0d"], &["--max-age", "0d"]),
            (&["run", "--cluster-name", "a", "--withdrawal-brake", "-1"], &["-1"]),
            (
                &["run", "--cluster-name", "a", "--withdrawals-config-map", "x"],
                &["--withdrawals-config-map", "namespace/name"],
            ),
            (&["run", "--cluster-name", "a", "--log-format", "xml"], &["--log-format", "xml"]),
            (&["run", "--cluster-name", "a", "--webhook-configuration", "keyturn"], &["--webhook-secret"]),
            (&["webhook"], &["--webhook-secret", "see keyturn webhook --help"]),
            (&["webhook", "--webhook-secret", "a/b", "--webhook-addr", "x"], &["--webhook-addr", "keyturn webhook"]),
            (&["webhook", "--webhook-secret", "a/b", "--default-delivery", "x"], &["--default-delivery", "Files or"]),
            (&["walk"], &["walk", "see keyturn --help"]),
            (&["run", "--cluster-name", "a", "--webhook-secret", "tls"], &["--webhook-secret", "namespace/name"]),
            (&["run", "--cluster-name", "a", "--leader-election=maybe"], &["--leader-election", "maybe"]),
            (&["run", "--cluster-name", "a", "--lease-namespace", "Not_Ok"], &["--lease-namespace", "Not_Ok"]),
            (&["run", "--cluster-name", "a", "--leader-election", "--shard", "A"], &["--shard", "lower-case"]),
            (&["run", "--cluster-name", "a", "--shard", "a"], &["--leader-election"]),
            (&["run", "--cluster-name", "a", "--namespace-selector", "a b"], &["--namespace-selector", "requirement"]),
            (
                &["run", "--cluster-name", "a", "--namespace-selector", "a", "--watch-namespaces", "b"],
                &["--namespace-selector"],
            ),
            (&["run", "--cluster-name", "a", "--leader-election", "--shard-owns-cluster"], &["--shard"]),
            (&["run", "--cluster-name", "a", "--watch-namespaces", "ok,Not_Ok"], &["--watch-namespaces", "Not_Ok"]),
        ];
        for (arguments, named) in table {
            let line = parse(arguments).unwrap_err();
            assert!(!line.contains('\n'), "{line}");
            assert!(named.iter().all(|name| line.contains(name)), "{arguments:?}: {line}");
        }
    }

    #[test]
    fn a_command_line_without_a_command_is_answered_with_the_help() {
        let refused = super::parse([OsString::from("keyturn")]).unwrap_err();
        assert!(refused.is_help() && refused.error.render().to_string().contains("Usage: keyturn"));
        let refused = super::parse(["keyturn", "run"].map(OsString::from)).unwrap_err();
        assert!(!refused.is_help());
    }

    #[test]
    fn settings_are_read() {
        let settings = ["--watch-namespaces", "a,b", "--admin-addr", "[::]:8080", "--max-age", "90d"];
        let cli = parse(&[&["run", "--cluster-name", "prod"], &settings[..]].concat()).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!((run.cluster_name.as_str(), run.process.watch_namespaces.len()), ("prod", 2));
        assert!(run.process.admin_addr.is_ipv6());
        assert_eq!(run.max_age, Some(SignedDuration::from_hours(90 * 24)));
    }

    #[test]
    fn without_leader_election_a_replica_is_the_only_one() {
        for (arguments, expected) in
            [(&[][..], false), (&["--leader-election"], true), (&["--leader-election=false"], false)]
        {
            let cli = parse(&[&["run", "--cluster-name", "prod"], arguments].concat()).unwrap();
            let Command::Run(run) = cli.command else { panic!("not run") };
            assert_eq!(run.leader_election, expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_shard_has_a_lease_of_its_own_name() {
        let elects = ["run", "--cluster-name", "prod", "--leader-election"];
        for (arguments, expected) in [
            (&[][..], "keyturn"),
            (&["--shard", "a"], "keyturn-a"),
            (&["--shard", "a", "--lease-name", "other"], "other"),
        ] {
            let Command::Run(run) = parse(&[&elects, arguments].concat()).unwrap().command else { panic!("not run") };
            assert_eq!(run.lease_name(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn every_flag_is_in_the_documentation() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let keyturn = command();
        let mut seen = 0;
        for (name, command) in [
            ("keyturn run", keyturn.find_subcommand("run").unwrap()),
            ("keyturn webhook", keyturn.find_subcommand("webhook").unwrap()),
            ("keyturn-endpoint", &endpoint_command()),
        ] {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let flag = argument.get_long().unwrap();
                assert!(docs.contains(&format!("`--{flag}`")), "docs/operations.md does not name --{flag} of {name}");
                let variable = argument.get_env().and_then(|variable| variable.to_str());
                let is_named = variable.is_none_or(|variable| docs.contains(&format!("`{variable}`")));
                assert!(is_named, "docs/operations.md does not name {variable:?} of {name}");
                seen += 1;
            }
        }
        assert!(seen > 25, "{seen}");
    }
}
