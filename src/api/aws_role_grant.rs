//! `AwsRoleGrant`: allows namespaces to use IAM roles as persons. Only cluster admins write it.

use super::{CredentialProvider, LabelSelector, SessionDuration, role_arn::ROLE_ARN_PATTERN};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Allows namespaces to use IAM roles as persons. keyturn refuses everything that no grant allows.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "AwsRoleGrant",
    plural = "awsrolegrants",
    derive = "PartialEq",
    category = "keyturn",
    doc = "AwsRoleGrant allows namespaces to use IAM roles as persons. keyturn refuses everything that no grant allows. One grant has to allow all of a request.",
    printcolumn(name = "Roles", type_ = "string", json_path = ".spec.roles", description = "the roles that it allows"),
    printcolumn(
        name = "Namespaces",
        type_ = "string",
        json_path = ".spec.namespaces.names",
        description = "the namespaces that it names; those that its selector matches are not shown"
    ),
    printcolumn(
        name = "Persons",
        type_ = "string",
        json_path = ".spec.persons",
        description = "the persons that it allows"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "the age of the object"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!('temporary' in self.providers) || (has(self.roles) && size(self.roles) > 0)").message("provider temporary needs roles"))]
pub struct AwsRoleGrantSpec {
    /// The credential providers that may be used. default and connection name no role; they are
    /// allowed only if they are listed here. A ceiling on sessions (maxDuration,
    /// requireScopeBuckets, requireSourceIdentity) refuses both, because keyturn sets neither the
    /// end nor the scope of their credentials.
    #[serde(default = "only_temporary")]
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub providers: Vec<CredentialProvider>,

    /// The IAM roles, as globs over the whole ARN. `*` is the only wildcard; it matches neither `/`
    /// nor `:`. Required for provider temporary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048), regex(pattern = r"^arn:[A-Za-z0-9_+=,.@/:*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(r, !r.contains('**'))").message("** is no wildcard here: * stands for any characters but / and :"))]
    pub roles: Vec<String>,

    /// The namespaces whose AwsConfigs may use the roles. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,

    /// The persons that an AwsConfig may name, as globs. `*` matches any person. Absent: nobody.
    /// AwsConfigs in System mode need `system:<namespace>`, which `*` does not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 71), regex(pattern = "^(system:[a-z0-9*-]{1,63}|[A-Za-z0-9_+=.@*-]{1,64})$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// The session tags that an AwsConfig may request, by key, at most 50. For each key: the
    /// allowed values, as globs, in which `*` matches any characters. Absent: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 128)").message("a session tag's key is at most 128 characters long"))]
    pub tags: BTreeMap<String, TagPatterns>,

    /// The hops to these roles: at most two IAM roles. keyturn assumes them one after the other,
    /// each from the session of the one before, and then the requested role. A hop grants nothing
    /// by itself. A session behind a hop lives at most 1h.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 2048), regex(pattern = ROLE_ARN_PATTERN)))]
    pub via: Vec<String>,

    /// Limits. keyturn refuses a request that exceeds a limit, and names the limit. keyturn never
    /// reduces a request to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,

    /// The external ID for these roles. Default: `<cluster name>/<namespace>`. Set it only for
    /// roles with a trust policy that somebody else has fixed, because a trust policy cannot tell
    /// namespaces apart by a common external ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = "^[A-Za-z0-9_+=,.@:/-]+$"))]
    pub external_id: Option<String>,
}

fn only_temporary() -> Vec<CredentialProvider> {
    vec![CredentialProvider::Temporary]
}

impl Default for AwsRoleGrantSpec {
    /// A grant that allows nothing.
    fn default() -> Self {
        Self {
            providers: only_temporary(),
            roles: vec![],
            namespaces: None,
            persons: vec![],
            tags: BTreeMap::new(),
            via: vec![],
            ceilings: None,
            external_id: None,
        }
    }
}

/// Globs for the values of one session tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct TagPatterns(
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 256), regex(pattern = r"^[\p{L}\p{Z}\p{N}_.:/=+@*-]*$")),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub Vec<String>,
);

/// Namespaces by name or by label. A namespace has to match one of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Namespaces {
    /// Names of namespaces, without wildcards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub names: Vec<String>,

    /// A selector over the labels of the namespace. An empty selector matches every namespace.
    /// Users who may label a namespace decide whether it matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Limits of a grant.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceilings {
    /// The longest session.duration that an AwsConfig may request, in hours and minutes, from 15m
    /// to 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("maxDuration must be from 15m to 12h"))]
    pub max_duration: Option<SessionDuration>,

    /// true: only sessions with scope Buckets are allowed.
    #[serde(default)]
    pub require_scope_buckets: bool,

    /// The buckets that an AwsConfig may name in defaultBucket and extraBuckets, as globs. Absent:
    /// any. With requireScopeBuckets, a session reaches only these buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9.*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(b, !b.contains('**'))").message("** is no wildcard here: write *"))]
    pub buckets: Vec<String>,

    /// true: only sessions with sourceIdentity are allowed.
    #[serde(default)]
    pub require_source_identity: bool,
}
