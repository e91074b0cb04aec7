//! The arguments of the commands that ask, and of `renew`.

#![expect(clippy::doc_markdown, reason = "clap prints the comments as they are")]

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

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
    /// Stay, and show the list again when it changes. Only for tables.
    #[arg(short, long)]
    pub watch: bool,
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

/// The grant whose use is shown.
#[derive(Debug, Args)]
pub struct Uses {
    /// Its name. Without it: all grants, and how many AwsConfigs and profiles use each.
    pub grant: Option<String>,
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

/// The AwsConfig whose credential is tried.
#[derive(Debug, Args)]
pub struct Verify {
    /// Its name.
    pub name: String,
    /// A PEM file of certificate authorities to trust for calls to AWS, besides the system's.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub aws_ca_bundle: Option<PathBuf>,
}

/// The programs whose version is asked for.
#[derive(Debug, Args)]
pub struct Version {
    /// This program only. No cluster is asked.
    #[arg(long)]
    pub client: bool,
}

/// The shell that completes command lines.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell.
    pub shell: CompletedShell,
}

/// A shell whose completion the plugin knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompletedShell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// The words of a command line that is completed.
#[derive(Debug, Args)]
pub struct Complete {
    /// The words after the name of the program. The last one is completed.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
