//! The command line of the plugin. Its options have the names that `kubectl` gives them.

#![expect(clippy::doc_markdown, reason = "clap prints the comments as they are")]

mod asking;
mod importing;
mod making;

pub use asking::{
    Can, Complete, CompletedShell, Completion, Env, Output, Renew, Roles, Shell, Status, TrustPolicy, Uses, Verify,
    Version, WhoCan, Why,
};
pub use importing::{Import, ImportAws, ImportKeys, ImportObjects, ImportTrifacta, Migrate, To};
pub use making::{Exec, Grant};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};
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
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// The namespace. Default: that of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The context of the kubeconfig. Default: its current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig. Default: KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true, value_hint = ValueHint::FilePath)]
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
    #[command(
        after_help = "Examples:\n  kubectl keyturn status -A -w\n  kubectl keyturn status --person alice -o json"
    )]
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
    /// List the grants with the number of AwsConfigs that use them, or what the deletion of one
    /// would withdraw.
    #[command(after_help = "Examples:\n  kubectl keyturn uses\n  kubectl keyturn uses analysts")]
    Uses(Uses),
    /// Write the manifest of an AwsRoleGrant, and say which AwsConfigs it newly allows. Nothing is
    /// applied.
    #[command(after_help = "Examples:\n  kubectl keyturn grant analysts --role 'arn:aws:iam::123456789012:role/ds-*' \
                            --person '*' --in scoring | kubectl apply -f -\n  kubectl keyturn grant gone --deny \
                            --everywhere --person mallory --diff")]
    Grant(Box<Grant>),
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
    /// Run a program with the credential, which follows renewals and withdrawals. You need the
    /// right to read the Secret. Nothing is written to the disk.
    #[command(
        after_help = "Examples:\n  kubectl keyturn exec alice -- aws s3 ls\n  kubectl keyturn exec alice -n scoring \
                            -- python train.py\nExit code: that of the program; 128 and the number of the signal that \
                            ended it; 127 if there is no such program."
    )]
    Exec(Exec),
    /// Ask for new sessions. The Secrets keep the present ones until the new ones are there.
    #[command(after_help = "Examples:\n  kubectl keyturn renew alice --wait 60\n  kubectl keyturn renew -l team=fraud")]
    Renew(Renew),
    /// Look at keyturn as a whole: resources, operator, lease, webhook, AWS, DSS, AwsConfigs in
    /// trouble, what belongs to nobody. The webhook is tried with a pod that is not created.
    #[command(after_help = "Examples:\n  kubectl keyturn doctor\n  kubectl keyturn doctor -n scoring --context prod")]
    Doctor,
    /// Write manifests from what another system says of people and roles. Nothing is applied, and
    /// no key is shown unless you ask for it.
    Import(ImportCommand),
    /// Give AwsConfigs that deliver a key a role instead, one patch each. First all patches are dry
    /// runs.
    #[command(after_help = "Examples:\n  kubectl keyturn migrate alice bob --role \
                            arn:aws:iam::123456789012:role/ds-analyst\n  kubectl keyturn migrate -n scoring --role \
                            'arn:aws:iam::123456789012:role/p-${person}' --apply")]
    Migrate(Migrate),
    /// Print a script that completes command lines, with names from the cluster.
    #[command(
        after_help = "Examples:\n  source <(kubectl keyturn completion bash)\n  kubectl keyturn completion fish | \
                            source"
    )]
    Completion(Completion),
    /// Print the candidates for the last of some words.
    #[command(name = "__complete", hide = true)]
    Complete(Complete),
    /// Print the version of this program, and of keyturn in the cluster if you may read its
    /// Deployments.
    #[command(after_help = "Examples:\n  kubectl keyturn version\n  kubectl keyturn version --client")]
    Version(Version),
}

/// The source of an import.
#[derive(Debug, Args)]
pub struct ImportCommand {
    /// The source.
    #[command(subcommand)]
    pub from: Import,
}

/// The command line, as clap knows it.
#[must_use]
pub fn command() -> clap::Command {
    Plugin::command()
}

/// Parses a command line.
///
/// # Errors
/// [`clap::Error`] if it is wrong, or asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Plugin, clap::Error> {
    Plugin::try_parse_from(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that a user types, with those below them.
    fn commands(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
        shown
            .flat_map(|it| {
                let path = format!("{path} {}", it.get_name());
                let below = commands(it, &path);
                if below.is_empty() { vec![(path, it.clone())] } else { below }
            })
            .collect()
    }

    #[test]
    fn the_help_of_every_command_has_two_examples_that_can_be_parsed() {
        let all = commands(&command(), "kubectl keyturn");
        assert!(all.len() > 15, "{all:?}");
        for (path, help) in all {
            let examples = help.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = examples.lines().filter(|line| line.contains(&path)).collect();
            assert!(lines.len() >= 2, "{path}: {examples}");
            for line in lines {
                let (_, line) = line.split_once("kubectl keyturn ").unwrap();
                let line = line.split([')', '|', '<', '>']).next().unwrap();
                let words = line.split_whitespace().map(|word| OsString::from(word.trim_matches(['\'', '"'])));
                let parsed = parse([OsString::from("kubectl-keyturn")].into_iter().chain(words));
                assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn every_flag_is_in_the_documentation() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubectl.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let words: Vec<&str> = docs.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
        for (path, help) in commands(&command(), "kubectl keyturn") {
            for argument in help.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let long = argument.get_long().map(|long| format!("--{long}"));
                let short = argument.get_short().map(|short| format!("-{short}"));
                let names: Vec<&str> = long.iter().chain(&short).map(String::as_str).collect();
                let is_named = names.is_empty() || names.iter().any(|name| words.contains(name));
                assert!(is_named, "docs/kubectl.md does not name {names:?} of {path}");
            }
        }
    }

    #[test]
    fn the_help_says_what_the_exit_codes_mean() {
        assert!(command().get_after_help().unwrap().to_string().contains("3 time-out"));
        command().debug_assert();
    }
}
