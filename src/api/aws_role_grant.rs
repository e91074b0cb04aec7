//! `AwsRoleGrant`: which namespaces may use which IAM roles, as whom. Only cluster admins write it.

use super::SessionDuration;
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
    printcolumn(name = "Roles", type_ = "string", json_path = ".spec.roles"),
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".spec.namespaces.names"),
    printcolumn(name = "Persons", type_ = "string", json_path = ".spec.persons"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AwsRoleGrantSpec {
    /// The roles: globs over the whole ARN. `*` is the only wildcard and crosses neither `/` nor `:`.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 2048), regex(pattern = r"^arn:[A-Za-z0-9_+=,.@/:*-]+$"))
    )]
    #[x_kube(validation = Rule::new("self.all(r, !r.contains('**'))").message("** is no wildcard here: * stands for any characters but / and :"))]
    pub roles: Vec<String>,

    /// The namespaces whose AwsConfigs may use the roles. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,

    /// The persons who may be named: globs, `*` for any. Absent: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+=.@*-]+$")))]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// Limits. A request that exceeds one is refused with its name, never clamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,

    /// Overrides the external ID for these roles. Default: `<cluster name>/<namespace>`. Only for roles whose trust policy somebody else fixed:
    /// with an external ID of its own, a trust policy cannot tell namespaces apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = "^[A-Za-z0-9_+=,.@:/-]+$"))]
    pub external_id: Option<String>,
}

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

/// A label selector, as everywhere in Kubernetes, with bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must all be there with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements that must all be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label's value relates to `values`.
    pub operator: Operator,
    /// Values; for In and NotIn at least one, for Exists and DoesNotExist none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label's value relates to the values of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is not there with one of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// Limits of a grant.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceilings {
    /// The longest session.duration that may be asked for, in hours and minutes: 15m to 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("maxDuration must be from 15m to 12h"))]
    pub max_duration: Option<SessionDuration>,
}
