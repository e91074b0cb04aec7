//! The command line. Every flag has an environment variable; a wrong one is one line that names it.

use crate::telemetry::LogFormat;
use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

/// Gives every person the AWS credentials of the IAM role they may use, as a Kubernetes Secret that is always fresh.
#[derive(Debug, Parser)]
#[command(name = "keyturn", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator. Kubernetes: in-cluster configuration or KUBECONFIG. AWS: the SDK's own environment (`AWS_REGION`, `AWS_ENDPOINT_URL_STS`, …).
    Run(Box<Run>),
    /// Print the custom resource definitions, one YAML document each.
    Crds(Crds),
    /// Print the reference of the custom resources, conditions, reasons and names, in Markdown.
    Reference,
}

/// Where the custom resource definitions go.
#[derive(Debug, Args)]
pub struct Crds {
    /// Write each into a file `<plural>.yaml` of this folder instead.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// The settings of the operator.
#[derive(Debug, Args)]
pub struct Run {
    /// The name of this cluster. Roles' trust policies see it in the external ID `<cluster name>/<namespace>`.
    #[arg(long, env = "KEYTURN_CLUSTER_NAME", value_parser = cluster_name)]
    pub cluster_name: String,

    /// The namespaces to serve, comma separated. Default: all.
    #[arg(long, env = "KEYTURN_WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "KEYTURN_ADMIN_ADDR", default_value = "0.0.0.0:8080")]
    pub admin_addr: SocketAddr,

    /// How log lines look.
    #[arg(long, env = "KEYTURN_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,

    /// What is logged, as for Rust's `env_logger`: a level, or levels by module.
    #[arg(long, env = "RUST_LOG", default_value = "info,kube_client=warn,aws_config=error")]
    pub log: String,

    /// Who reports Events. Default in a pod: its name.
    #[arg(long, env = "HOSTNAME", default_value = "keyturn", hide = true)]
    pub instance: String,

    /// Where the webhook that injects pods is served, e.g. 0.0.0.0:9443. Default: there is none.
    #[arg(long, env = "KEYTURN_WEBHOOK_ADDR", requires = "webhook_secret")]
    pub webhook_addr: Option<SocketAddr>,

    /// The Secret that holds the webhook's certificate, as namespace/name. It has to exist; all replicas follow it.
    #[arg(long, env = "KEYTURN_WEBHOOK_SECRET", value_parser = namespace_and_name)]
    pub webhook_secret: Option<(String, String)>,

    /// The `MutatingWebhookConfiguration` into which the authority of a certificate of the operator's own is written.
    /// Default: somebody else makes the certificate, e.g. cert-manager.
    #[arg(long, env = "KEYTURN_WEBHOOK_CONFIGURATION", requires = "webhook_names")]
    pub webhook_configuration: Option<String>,

    /// The DNS names and addresses that such a certificate is for, comma separated.
    #[arg(long, env = "KEYTURN_WEBHOOK_NAMES", value_delimiter = ',')]
    pub webhook_names: Vec<String>,

    /// Let one of several replicas lead, by a Lease: the others watch, and take over when it ends. Default: this is the only one.
    #[arg(long, env = "KEYTURN_LEADER_ELECTION", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub leader_election: bool,

    /// The namespace of the Lease. Default: that of the pod's ServiceAccount, or of the current context.
    #[arg(long, env = "KEYTURN_LEASE_NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,

    /// The name of the Lease.
    #[arg(long, env = "KEYTURN_LEASE_NAME", default_value = "keyturn")]
    pub lease_name: String,

    /// A PEM file of certificate authorities to trust, besides the system's, when calling AWS.
    #[arg(long, env = "AWS_CA_BUNDLE")]
    pub aws_ca_bundle: Option<PathBuf>,
}

/// An external ID is `<cluster>/<namespace>`, so the name of the cluster holds no slash, and what AWS allows in one.
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

fn namespace_and_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((in_namespace, name)) if !name.is_empty() => Ok((namespace(in_namespace)?, name.to_owned())),
        _ => Err("namespace/name".to_owned()),
    }
}

/// The one line that says what is wrong with a command line.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    let said = lines.join(" ");
    let said = said.trim().trim_start_matches("error: ");
    format!("{}; see keyturn run --help", said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, String> {
        Cli::try_parse_from([&["keyturn"], arguments].concat()).map_err(|error| one_line(&error))
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        let table: [(&[&str], &[&str]); 10] = [
            (&["run", "--cluster-nam", "x"], &["--cluster-nam"]),
            (&["run"], &["--cluster-name"]),
            (&["run", "--cluster-name", "a/b"], &["--cluster-name", "a/b", "letters"]),
            (&["run", "--cluster-name", "a", "--admin-addr", "nowhere"], &["--admin-addr", "nowhere"]),
            (&["run", "--cluster-name", "a", "--log-format", "xml"], &["--log-format", "xml"]),
            (&["run", "--cluster-name", "a", "--webhook-addr", "[::]:9443"], &["--webhook-secret"]),
            (&["run", "--cluster-name", "a", "--webhook-secret", "tls"], &["--webhook-secret", "namespace/name"]),
            (&["run", "--cluster-name", "a", "--leader-election=maybe"], &["--leader-election", "maybe"]),
            (&["run", "--cluster-name", "a", "--lease-namespace", "Not_Ok"], &["--lease-namespace", "Not_Ok"]),
            (&["run", "--cluster-name", "a", "--watch-namespaces", "ok,Not_Ok"], &["--watch-namespaces", "Not_Ok"]),
        ];
        for (arguments, named) in table {
            let line = parse(arguments).unwrap_err();
            assert!(!line.contains('\n'), "{line}");
            assert!(named.iter().all(|name| line.contains(name)), "{arguments:?}: {line}");
        }
    }

    #[test]
    fn settings_are_read() {
        let cli = parse(&["run", "--cluster-name", "prod", "--watch-namespaces", "a,b", "--admin-addr", "[::]:8080"])
            .unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!((run.cluster_name.as_str(), run.watch_namespaces.len()), ("prod", 2));
        assert!(run.admin_addr.is_ipv6());
    }

    #[test]
    fn whoever_says_nothing_of_replicas_is_the_only_one() {
        for (arguments, expected) in
            [(&[][..], false), (&["--leader-election"], true), (&["--leader-election=false"], false)]
        {
            let cli = parse(&[&["run", "--cluster-name", "prod"], arguments].concat()).unwrap();
            let Command::Run(run) = cli.command else { panic!("not run") };
            assert_eq!((run.leader_election, run.lease_name.as_str()), (expected, "keyturn"), "{arguments:?}");
        }
    }
}
