//! `spec.session`: parameters of the STS session besides the role.

use super::SessionDuration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters of the STS session besides the role.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.transitiveTags) || (has(self.tags) && self.transitiveTags.all(t, t in self.tags))").message("each of transitiveTags must be a key of tags")
)]
pub struct Session {
    /// The lifetime of the credential, in hours and minutes, from 15m to 12h. Default: 1h. keyturn
    /// refuses a duration that is longer than the role's MaxSessionDuration or the grant's
    /// maxDuration, and never shortens it. keyturn also refuses more than 1h if its own identity is
    /// the session of a role, or if the grant has via.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("duration must be from 15m to 12h"))]
    pub duration: Option<SessionDuration>,

    /// Session tags, at most 50. The grant has to allow each of them. Policies see them as
    /// aws:PrincipalTag. The role's trust policy has to allow sts:TagSession.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new(r"self.all(k, size(k) <= 128 && k.matches('^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]+$') && !k.lowerAscii().startsWith('aws:'))").message("a session tag's key is 1 to 128 letters, digits, spaces and _.:/=+@-, and does not begin with aws:"))]
    pub tags: BTreeMap<String, TagValue>,

    /// The keys of transitive tags. AWS keeps a transitive tag unchanged when the session assumes
    /// another role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub transitive_tags: Vec<String>,

    /// true: SourceIdentity is the person (in System mode: the session's name). CloudTrail shows it
    /// for every further role that the session assumes. The role's trust policy has to allow
    /// sts:SetSourceIdentity.
    #[serde(default)]
    pub source_identity: bool,

    /// The part of the role that the session may use. Role: everything that the role may do.
    /// Buckets: of S3 (also directory, table and vector buckets, Outposts and Object Lambda) only
    /// defaultBucket and extraBuckets, and outside of S3 everything that the role may do. The list
    /// of all buckets is denied. Services that read S3 with a role of their own, such as Glue, are
    /// not narrowed.
    #[serde(default)]
    pub scope: Scope,

    /// A session policy in JSON. The session may do only what both this policy and the role allow.
    /// With scope Buckets, about 1,800 characters are left for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub policy: Option<String>,

    /// ARNs of managed policies, at most 10. They narrow the session like policy does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 10),
        inner(length(min = 20, max = 2048), regex(pattern = "^arn:aws(-[a-z]+)*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub policy_arns: Vec<String>,
}

/// The value of a session tag (AWS: `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, up to 256 characters).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct TagValue(#[schemars(length(max = 256), regex(pattern = r"^[\p{L}\p{Z}\p{N}_.:/=+@-]*$"))] pub String);

/// The part of the role that a session may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Everything that the role may do.
    #[default]
    Role,
    /// In S3 only the buckets that the config names; outside of S3 everything that the role may do.
    Buckets,
}
