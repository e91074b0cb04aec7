//! `AwsRoleGrant`: allows namespaces to use IAM roles as persons, or denies it. Only cluster admins
//! write it.

use super::{
    CredentialProvider, LabelSelector, SessionDuration,
    role_arn::{ROLE_ARN_CHARACTERS, ROLE_ARN_PATTERN},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Allows namespaces to use IAM roles as persons, or denies it. keyturn refuses everything that no
/// grant allows, and everything that a grant denies.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "AwsRoleGrant",
    plural = "awsrolegrants",
    status = "AwsRoleGrantStatus",
    derive = "PartialEq",
    category = "keyturn",
    selectable = ".spec.effect",
    doc = "AwsRoleGrant allows namespaces to use IAM roles as persons, or denies it. keyturn refuses everything that no grant allows. One grant has to allow all of a request. A grant with effect Deny wins over every other.",
    printcolumn(name = "Effect", type_ = "string", json_path = ".spec.effect", description = "Allow or Deny"),
    printcolumn(
        name = "Roles",
        type_ = "string",
        json_path = ".spec.roles",
        description = "the roles that it is about"
    ),
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
        description = "the persons that it is about"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "True: the grant is in order"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1,
        description = "what is not in order"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "the age of the object"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.effect) && self.effect == 'Deny') || (has(self.providers) && !('temporary' in self.providers)) || (has(self.roles) && size(self.roles) > 0)").message("provider temporary needs roles"))]
#[x_kube(validation = Rule::new("!has(self.effect) || self.effect != 'Deny' || !(has(self.providers) || has(self.tags) || has(self.via) || has(self.ceilings) || has(self.externalId))").message("a grant with effect Deny holds persons, exceptPersons, namespaces and roles only: providers, tags, via, ceilings and externalId say how something is allowed"))]
#[x_kube(validation = Rule::new("!has(self.effect) || self.effect != 'Deny' || (has(self.persons) && size(self.persons) > 0)").message("a grant with effect Deny needs persons; '*' stands for every person"))]
#[x_kube(validation = Rule::new("!has(self.effect) || self.effect != 'Deny' || !has(self.namespaces) || has(self.namespaces.selector) || (has(self.namespaces.names) && size(self.namespaces.names) > 0)").message("namespaces is empty, and such a grant would deny nothing; leave namespaces out to deny in every namespace"))]
pub struct AwsRoleGrantSpec {
    /// Allow: the grant allows what it names. Deny: the grant denies what it names, whatever other
    /// grants allow. keyturn withdraws at once what a grant denies. A grant with effect Deny and
    /// persons alone denies these persons everything, in every namespace and for every provider. It
    /// may name persons, exceptPersons, namespaces and roles. providers, tags, via, ceilings and
    /// externalId are refused with it, because they say how something is allowed.
    #[serde(default)]
    pub effect: Effect,

    /// The credential providers that may be used. Absent: temporary alone. default and connection
    /// name no role; they are allowed only if they are listed here. A ceiling on sessions
    /// (maxDuration, requireScopeBuckets, requireSourceIdentity) refuses both, because keyturn sets
    /// neither the end nor the scope of their credentials. Refused with effect Deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub providers: Vec<CredentialProvider>,

    /// The IAM roles, as globs over the whole ARN. `*` is the only wildcard; it matches neither `/`
    /// nor `:`. `${person}` stands for the person of the AwsConfig, literally; a role with it
    /// matches no AwsConfig in System mode, which has no person. Required for provider temporary.
    /// With effect Deny, absent means every role and every provider; a list means sessions of these
    /// roles only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 2048), regex(pattern = r"^arn:([A-Za-z0-9_+=,.@/:*-]|[$][{]person[}])+$"))
    )]
    #[x_kube(validation = Rule::new("self.all(r, !r.contains('**'))").message("** is no wildcard here: * stands for any characters but / and :"))]
    pub roles: Vec<String>,

    /// The namespaces whose AwsConfigs the grant is about. Absent: none; with effect Deny, absent
    /// means every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,

    /// The persons of the AwsConfigs that the grant is about, as globs. `*` matches any person.
    /// Upper and lower case differ. Absent: nobody; required with effect Deny. AwsConfigs in System
    /// mode need `system:<namespace>`, which `*` does not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 71), regex(pattern = "^(system:[a-z0-9*-]{1,63}|[A-Za-z0-9_+=.@*-]{1,64})$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// The persons that this grant is not about, although persons matches them, as globs like
    /// those of persons. This narrows this grant only: another grant may still be about them. To
    /// take everything from a person, use a grant with effect Deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 71), regex(pattern = "^(system:[a-z0-9*-]{1,63}|[A-Za-z0-9_+=.@*-]{1,64})$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub except_persons: Vec<String>,

    /// The session tags that an AwsConfig may request, by key, at most 50. For each key: the
    /// allowed values, as globs, in which `*` matches any characters. Absent: none. Refused with
    /// effect Deny.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 128)").message("a session tag's key is at most 128 characters long"))]
    pub tags: BTreeMap<String, TagPatterns>,

    /// The hops to these roles: at most two IAM roles. keyturn assumes them one after the other,
    /// each from the session of the one before, and then the requested role. A hop grants nothing
    /// by itself. A session behind a hop lives at most 1h. Refused with effect Deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = ROLE_ARN_CHARACTERS), regex(pattern = ROLE_ARN_PATTERN)))]
    pub via: Vec<String>,

    /// Limits. keyturn refuses a request that exceeds a limit, and names the limit. keyturn never
    /// reduces a request to fit. Refused with effect Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,

    /// The external ID for these roles. Default: `<cluster name>/<namespace>`. Set it only for
    /// roles with a trust policy that somebody else has fixed, because a trust policy cannot tell
    /// namespaces apart by a common external ID. Refused with effect Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = "^[A-Za-z0-9_+=,.@:/-]+$"))]
    pub external_id: Option<String>,
}

/// Whether a grant is in order. keyturn writes it once for each change of the spec. The AwsConfigs
/// that use the grant do not change it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsRoleGrantStatus {
    /// The generation of the spec that this status is about. -1: keyturn has not seen the object.
    pub observed_generation: Option<i64>,

    /// Ready: the grant is in order. Stalled: present only while it is not, because nothing but
    /// another spec can help.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl AwsRoleGrantSpec {
    /// The credential providers that the grant allows, if its effect is Allow.
    #[must_use]
    pub fn allowed_providers(&self) -> &[CredentialProvider] {
        if self.providers.is_empty() { &[CredentialProvider::Temporary] } else { &self.providers }
    }

    /// Whether the grant is about every namespace, because it denies and names none.
    #[must_use]
    pub fn is_about_every_namespace(&self) -> bool {
        self.effect == Effect::Deny && self.namespaces.is_none()
    }
}

/// The variable in [`AwsRoleGrantSpec::roles`] that stands for the person.
pub const PERSON_VARIABLE: &str = "${person}";

/// The effect of a grant on what it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// The grant allows it.
    #[default]
    Allow,
    /// The grant denies it, whatever other grants allow.
    Deny,
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
    /// any. With requireScopeBuckets, a session itself reaches only these buckets; services that
    /// read S3 with a role of their own, such as Glue, are not narrowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9.*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(b, !b.contains('**'))").message("** is no wildcard here: write *"))]
    pub buckets: Vec<String>,

    /// true: only sessions with sourceIdentity are allowed.
    #[serde(default)]
    pub require_source_identity: bool,
}
