//! The command line of the plugin. Its options have the names that `kubectl` gives them.

#![expect(clippy::doc_markdown, reason = "clap prints the comments as they are")]

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, path::PathBuf};

const EXIT_CODES: &str = "Exit codes: 0 in order, 1 not in order or failed, 2 wrong usage, 3 time-out.";

/// Shows the AWS credentials that keyturn gives to people, and says why there is one or none.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-keyturn",
    bin_name = "kubectl keyturn",
    version,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub struct Plugin {
    /// The cluster, and the user.
    #[command(flatten)]
    pub connection: Connection,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The cluster that is asked, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// The namespace. Default: that of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The context of the kubeconfig. Default: its current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig. Default: KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The user to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// A group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "as_user")]
    pub as_groups: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List AwsConfigs: person, role, time left and trouble. Those in trouble come first.
    #[command(after_help = "Examples:\n  kubectl keyturn status -A\n  kubectl keyturn status --person alice -o json")]
    Status(Status),
    /// Say why an AwsConfig has a credential or none: keyturn's own chain of checks, on the
    /// objects as they are now.
    #[command(after_help = "Examples:\n  kubectl keyturn why alice\n  kubectl keyturn why alice -n scoring")]
    Why(Why),
    /// Say whether the grants allow a role, before anything is applied.
    #[command(
        after_help = "Examples:\n  kubectl keyturn can --person alice --role arn:aws:iam::123456789012:role/ds-analyst -n \
                      scoring\n  kubectl keyturn can --system --role arn:aws:iam::123456789012:role/nightly"
    )]
    Can(Can),
    /// List the grants that are about a role.
    #[command(
        after_help = "Examples:\n  kubectl keyturn who-can arn:aws:iam::123456789012:role/ds-analyst\n  kubectl \
                            keyturn who-can arn:aws:iam::123456789012:role/admin --context prod"
    )]
    WhoCan(WhoCan),
    /// List the roles that the grants allow in a namespace.
    #[command(after_help = "Examples:\n  kubectl keyturn roles -n scoring\n  kubectl keyturn roles --person alice")]
    Roles(Roles),
    /// Print the trust policy that the role of an AwsConfig needs in IAM.
    #[command(after_help = "Examples:\n  kubectl keyturn trust-policy alice --principal \
                            arn:aws:iam::123456789012:role/keyturn\n  kubectl keyturn trust-policy nightly -n jobs \
                            --principal arn:aws:iam::123456789012:role/keyturn")]
    TrustPolicy(TrustPolicy),
    /// Print the policy that keyturn's own identity needs in IAM, for the grants as they are.
    #[command(after_help = "Examples:\n  kubectl keyturn iam-policy\n  kubectl keyturn iam-policy --context prod")]
    IamPolicy,
    /// Print the credential as variables for a shell. You need the right to read the Secret.
    #[command(
        after_help = "Examples:\n  eval \"$(kubectl keyturn env alice)\"\n  kubectl keyturn env alice --shell fish | \
                            source"
    )]
    Env(Env),
    /// Try the credential of an AwsConfig by hand: ask STS whose it is, and S3 for its buckets. You
    /// need the right to read the Secret.
    #[command(
        after_help = "Examples:\n  kubectl keyturn verify alice\n  AWS_CA_BUNDLE=proxy.pem kubectl keyturn verify alice -n \
                      scoring"
    )]
    Verify(Verify),
    /// Ask for new sessions. The Secrets keep the present ones until the new ones are there.
    #[command(after_help = "Examples:\n  kubectl keyturn renew alice --wait 60\n  kubectl keyturn renew -l team=fraud")]
    Renew(Renew),
}

/// Which AwsConfigs are listed.
#[derive(Debug, Args)]
pub struct Status {
    /// The name of one AwsConfig. Default: all of the namespace.
    pub name: Option<String>,
    /// The AwsConfigs of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    pub all_namespaces: bool,
    /// A label selector.
    #[arg(short = 'l', long, conflicts_with = "name")]
    pub selector: Option<String>,
    /// The AwsConfigs of one person only.
    #[arg(long)]
    pub person: Option<String>,
    /// The form of the list.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// The AwsConfig that is explained.
#[derive(Debug, Args)]
pub struct Why {
    /// Its name.
    pub name: String,
}

/// The request that the grants are asked about.
#[derive(Debug, Args)]
pub struct Can {
    /// The ARN of the IAM role.
    #[arg(long)]
    pub role: String,
    /// The person.
    #[arg(long, required_unless_present = "system")]
    pub person: Option<String>,
    /// The namespace itself (mode System), not a person.
    #[arg(long, conflicts_with = "person")]
    pub system: bool,
}

/// The role that is looked for in the grants.
#[derive(Debug, Args)]
pub struct WhoCan {
    /// The ARN of the IAM role.
    pub role: String,
}

/// The person for whom roles are listed.
#[derive(Debug, Args)]
pub struct Roles {
    /// The roles of one person only.
    #[arg(long)]
    pub person: Option<String>,
}

/// The AwsConfig with the role, and who assumes it.
#[derive(Debug, Args)]
pub struct TrustPolicy {
    /// Its name.
    pub name: String,
    /// The ARN of keyturn's own identity. keyturn logs it at its start.
    #[arg(long, value_name = "ARN")]
    pub principal: String,
}

/// The AwsConfig with the credential, and the shell.
#[derive(Debug, Args)]
pub struct Env {
    /// Its name.
    pub name: String,
    /// The shell that reads the variables.
    #[arg(long, default_value = "sh")]
    pub shell: Shell,
}

/// A shell, by the syntax of its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// POSIX shells: sh, bash, zsh.
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// The AwsConfig whose credential is tried.
#[derive(Debug, Args)]
pub struct Verify {
    /// Its name.
    pub name: String,
    /// A PEM file of certificate authorities to trust for calls to AWS, besides the system's.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    pub aws_ca_bundle: Option<PathBuf>,
}

/// The AwsConfigs that get new sessions.
#[derive(Debug, Args)]
pub struct Renew {
    /// Their names.
    #[arg(required_unless_present = "selector")]
    pub names: Vec<String>,
    /// A label selector instead of names.
    #[arg(short = 'l', long, conflicts_with = "names")]
    pub selector: Option<String>,
    /// Wait for the new sessions, for at most so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
}

/// Parses a command line.
///
/// # Errors
/// [`clap::Error`] if it is wrong, or asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Plugin, clap::Error> {
    Plugin::try_parse_from(arguments)
}
