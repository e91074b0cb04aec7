//! The arguments of the commands that make something: a grant, or a process with a credential.

#![expect(clippy::doc_markdown, reason = "clap prints the comments as they are")]

use clap::Args;
use std::ffi::OsString;

/// The grant that is written.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Grant {
    /// The name of the grant.
    #[arg(id = "grant_name", value_name = "NAME")]
    pub name: String,
    /// The ARN of a role, with * for any part of a name and ${person} for the person; may be
    /// repeated.
    #[arg(long = "role", value_name = "ARN")]
    pub roles: Vec<String>,
    /// A person, with * as a wildcard, or system:NAMESPACE; may be repeated.
    #[arg(long = "person", value_name = "PERSON", required = true)]
    pub persons: Vec<String>,
    /// A person that the grant leaves out; may be repeated.
    #[arg(long = "except-person", value_name = "PERSON")]
    pub except_persons: Vec<String>,
    /// A namespace that the grant is about; may be repeated. Default: that of --namespace or of the
    /// context, if there is no --in-selector.
    #[arg(long = "in", value_name = "NAMESPACE", conflicts_with = "everywhere")]
    pub namespaces: Vec<String>,
    /// Namespaces by their labels: KEY=VALUE, separated by commas.
    #[arg(long = "in-selector", value_name = "LABELS", conflicts_with = "everywhere")]
    pub selector: Option<String>,
    /// A denial for every namespace.
    #[arg(long, requires = "deny")]
    pub everywhere: bool,
    /// A source of credentials that the grant allows: temporary, default or connection; may be
    /// repeated. Default: temporary.
    #[arg(long = "provider", value_name = "PROVIDER", value_parser = ["temporary", "default", "connection"])]
    pub providers: Vec<String>,
    /// The longest session, such as 4h.
    #[arg(long, value_name = "DURATION")]
    pub max_duration: Option<String>,
    /// A bucket that AwsConfigs may name, with * as a wildcard; may be repeated.
    #[arg(long = "bucket", value_name = "BUCKET")]
    pub buckets: Vec<String>,
    /// Allow only sessions with scope Buckets.
    #[arg(long)]
    pub require_scope_buckets: bool,
    /// Allow only sessions with a source identity.
    #[arg(long)]
    pub require_source_identity: bool,
    /// A session tag that AwsConfigs may set: KEY=PATTERN; may be repeated.
    #[arg(long = "tag", value_name = "KEY=PATTERN")]
    pub tags: Vec<String>,
    /// The ARN of a role on the way to the roles; may be repeated.
    #[arg(long, value_name = "ARN")]
    pub via: Vec<String>,
    /// Deny what is named, whatever other grants allow. Without --role: everything.
    #[arg(long, conflicts_with_all = ["providers", "max_duration", "buckets", "require_scope_buckets",
        "require_source_identity", "tags", "via"])]
    pub deny: bool,
    /// Say also which credentials a deletion of the grant would withdraw.
    #[arg(long, conflicts_with = "client")]
    pub diff: bool,
    /// Do not ask the cluster: say nothing of the effect.
    #[arg(long)]
    pub client: bool,
}

/// The program that is run, and as whom.
#[derive(Debug, Args)]
pub struct Exec {
    /// The name of the AwsConfig.
    pub name: String,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
