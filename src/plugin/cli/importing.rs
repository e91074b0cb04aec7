//! The arguments of `import` and `migrate`.

#![expect(clippy::doc_markdown, reason = "clap prints the comments as they are")]

use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// The sources of an import.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// People, awsConfigs and awsRoles, as the API of Trifacta (Designer Cloud) answers them.
    #[command(after_help = "Examples:\n  kubectl keyturn import trifacta -n scoring people.json awsConfigs.json \
                            awsRoles.json\n  kubectl keyturn import trifacta -n scoring *.json --no-grants | kubectl \
                            apply -f -")]
    Trifacta(ImportTrifacta),
    /// The profiles of the AWS CLI, and the files with access keys of AWS's console.
    #[command(after_help = "Examples:\n  kubectl keyturn import aws -n scoring --person alice --config ~/.aws/config \
                            --credentials ~/.aws/credentials --keys-to keys.yaml\n  kubectl keyturn import aws -n \
                            scoring --csv bob_accessKeys.csv --person bob")]
    Aws(ImportAws),
    /// Secrets of the cluster that hold a long-lived key of AWS. Their keys are not shown.
    #[command(after_help = "Examples:\n  kubectl keyturn import keys -n scoring\n  kubectl keyturn import keys -n \
                            scoring bobs-key --person bob")]
    Keys(ImportKeys),
    /// AWSIAMRoles of zalando-incubator/kube-aws-iam-controller in the cluster.
    #[command(after_help = "Examples:\n  kubectl keyturn import zalando -n scoring\n  kubectl keyturn import zalando \
                            -A --no-grants")]
    Zalando(ImportObjects),
    /// STSSessionToken generators of external-secrets in the cluster.
    #[command(
        after_help = "Examples:\n  kubectl keyturn import external-secrets -n scoring\n  kubectl keyturn import \
                            external-secrets -A"
    )]
    ExternalSecrets(ImportObjects),
}

/// The manifests that are written.
#[derive(Debug, Args)]
pub struct To {
    /// Leave out the AwsRoleGrants that the AwsConfigs need. Only a cluster admin can apply them.
    #[arg(long)]
    pub no_grants: bool,
}

/// The answers of Trifacta's API.
#[derive(Debug, Args)]
pub struct ImportTrifacta {
    /// Files with answers of GET /v4/people, /v4/awsConfigs and /v4/awsRoles, in any order.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Print keys that are in the files in clear. The API itself answers none.
    #[arg(long)]
    pub with_keys: bool,
    /// The manifests.
    #[command(flatten)]
    pub to: To,
}

/// The files of a workstation.
#[derive(Debug, Args)]
pub struct ImportAws {
    /// The file with profiles.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The file with keys.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub credentials: Option<PathBuf>,
    /// A file with access keys, as AWS's console offers it; may be repeated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub csv: Vec<PathBuf>,
    /// The person of the profiles that name none by role_session_name.
    #[arg(long)]
    pub person: Option<String>,
    /// Write the Secrets with the keys into this new file, which only you may read. Default: the
    /// Secrets are in the output, without the keys.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub keys_to: Option<PathBuf>,
    /// The manifests.
    #[command(flatten)]
    pub to: To,
}

/// The Secrets with keys.
#[derive(Debug, Args)]
pub struct ImportKeys {
    /// Their names. Default: all of the namespace that hold a key of AWS.
    pub names: Vec<String>,
    /// The person. Default: the name of each Secret.
    #[arg(long)]
    pub person: Option<String>,
    /// The manifests.
    #[command(flatten)]
    pub to: To,
}

/// The objects of another operator.
#[derive(Debug, Args)]
pub struct ImportObjects {
    /// The objects of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// The manifests.
    #[command(flatten)]
    pub to: To,
}

/// The AwsConfigs that get a role instead of a key.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Their names. Default: all of the namespace that deliver a key.
    #[arg(conflicts_with = "selector")]
    pub names: Vec<String>,
    /// A label selector instead of names.
    #[arg(short = 'l', long)]
    pub selector: Option<String>,
    /// The ARN of the role, with ${person} for the person of each AwsConfig.
    #[arg(long, value_name = "ARN")]
    pub role: String,
    /// Change the AwsConfigs. Without it, the API server only checks the changes.
    #[arg(long)]
    pub apply: bool,
}
