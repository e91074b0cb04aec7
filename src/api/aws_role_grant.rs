//! `AwsRoleGrant`: which namespaces may use which IAM roles, as whom. Only cluster admins write it.

use super::{CredentialProvider, LabelSelector, SessionDuration, role_arn::ROLE_ARN_PATTERN};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Allows namespaces to use IAM roles as persons. Nothing is allowed that no grant allows.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "AwsRoleGrant",
    plural = "awsrolegrants",
    derive = "PartialEq",
    category = "keyturn",
    doc = "AwsRoleGrant allows namespaces to use IAM roles as persons. Nothing is allowed that no grant allows, and one grant must allow all of a request.",
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
        description = "how old the object is"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!('temporary' in self.providers) || (has(self.roles) && size(self.roles) > 0)").message("provider temporary needs roles"))]
pub struct AwsRoleGrantSpec {
    /// The credential providers that may be used. default and connection, which name no role, are allowed only where they are listed; a ceiling on sessions refuses them, since keyturn sets neither their end nor their scope.
    #[serde(default = "only_temporary")]
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub providers: Vec<CredentialProvider>,

    /// The roles: globs over the whole ARN. `*` is the only wildcard and crosses neither `/` nor `:`. Needed for provider temporary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048), regex(pattern = r"^arn:[A-Za-z0-9_+=,.@/:*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(r, !r.contains('**'))").message("** is no wildcard here: * stands for any characters but / and :"))]
    pub roles: Vec<String>,

    /// The namespaces whose AwsConfigs may use the roles. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,

    /// The persons who may be named: globs, `*` for any. Absent: nobody. For AwsConfigs in System mode: `system:<namespace>`, which `*` does not cover.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 71), regex(pattern = "^(system:[a-z0-9*-]{1,63}|[A-Za-z0-9_+=.@*-]{1,64})$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// The session tags that may be asked for, by key, at most 50: for each the values, as globs; here `*` stands for any characters. Absent: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 128)").message("a session tag's key is at most 128 characters long"))]
    pub tags: BTreeMap<String, TagPatterns>,

    /// The way to these roles: IAM roles, at most two, that are assumed one after the other before them, each from the session of the one before. A hop grants nothing by itself. Sessions at the end of such a way live at most 1h.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 2048), regex(pattern = ROLE_ARN_PATTERN)))]
    pub via: Vec<String>,

    /// Limits. A request that exceeds one is refused with its name, never clamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,

    /// Overrides the external ID for these roles. Default: `<cluster name>/<namespace>`. Only for roles whose trust policy somebody else fixed:
    /// with an external ID of its own, a trust policy cannot tell namespaces apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = "^[A-Za-z0-9_+=,.@:/-]+$"))]
    pub external_id: Option<String>,
}

fn only_temporary() -> Vec<CredentialProvider> {
    vec![CredentialProvider::Temporary]
}

impl Default for AwsRoleGrantSpec {
    /// Allows nothing.
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

/// Namespaces by name or by label: one of both has to match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Namespaces {
    /// Names, each exactly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub names: Vec<String>,

    /// Labels of the namespace. An empty selector matches every namespace. Whoever may write these labels decides who may use the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Limits of a grant.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceilings {
    /// The longest session.duration that may be asked for, in hours and minutes: 15m to 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("maxDuration must be from 15m to 12h"))]
    pub max_duration: Option<SessionDuration>,

    /// true: only sessions with scope Buckets.
    #[serde(default)]
    pub require_scope_buckets: bool,

    /// The buckets that an AwsConfig may name as defaultBucket or in extraBuckets: globs. Absent: any. Together with
    /// requireScopeBuckets these are the only buckets that a session reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9.*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(b, !b.contains('**'))").message("** is no wildcard here: write *"))]
    pub buckets: Vec<String>,

    /// true: only sessions with sourceIdentity.
    #[serde(default)]
    pub require_source_identity: bool,
}
