//! `AwsRole`: an IAM role that one `AwsConfig` may use.

use super::{
    role_arn::{ROLE_ARN_CHARACTERS, ROLE_ARN_PATTERN},
    subject::PERSON_PATTERN,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An IAM role of one `AwsConfig`. keyturn writes one for `spec.role` of an `AwsConfig`. Users may
/// write others, and select one with `spec.activeRoleRef` of the `AwsConfig`.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "AwsRole",
    plural = "awsroles",
    namespaced,
    status = "AwsRoleStatus",
    derive = "PartialEq",
    shortname = "awsr",
    category = "keyturn",
    selectable = ".spec.awsConfigRef.name",
    selectable = ".spec.person",
    selectable = ".spec.role",
    doc = "AwsRole is an IAM role of one AwsConfig. keyturn writes one for spec.role of an AwsConfig. Users may write others, and select one with spec.activeRoleRef of the AwsConfig.",
    printcolumn(
        name = "Config",
        type_ = "string",
        json_path = ".spec.awsConfigRef.name",
        description = "the AwsConfig that it belongs to"
    ),
    printcolumn(
        name = "Person",
        type_ = "string",
        json_path = ".spec.person",
        description = "the person that it is for"
    ),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role", description = "the IAM role"),
    printcolumn(
        name = "Active",
        type_ = "boolean",
        json_path = ".status.active",
        description = "true: its AwsConfig uses it now"
    ),
    printcolumn(
        name = "Usable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Usable')].status",
        description = "True: its AwsConfig could use it"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Usable')].reason",
        priority = 1,
        description = "the reason of the Usable condition"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Usable')].message",
        priority = 1,
        description = "why its AwsConfig could use it or not"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "the age of the object"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.awsConfigRef == oldSelf.awsConfigRef").message("awsConfigRef is immutable: delete and recreate to move"))]
#[x_kube(validation = Rule::new("has(self.person) == has(oldSelf.person) && (!has(self.person) || self.person == oldSelf.person)").message("person is immutable: delete and recreate"))]
pub struct AwsRoleSpec {
    /// The AwsConfig that this role belongs to, in the same namespace. Immutable.
    pub aws_config_ref: AwsConfigRef,

    /// The person, equal to the person of the AwsConfig. Absent for an AwsConfig in System mode.
    /// Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = PERSON_PATTERN))]
    #[x_kube(validation = Rule::new("self != 'system'").message("person must not be \"system\": for an AwsConfig in System mode leave it out"))]
    pub person: Option<String>,

    /// The ARN of the IAM role. If this AwsRole is the active one, keyturn issues a new credential
    /// at once when the ARN changes.
    #[schemars(length(max = ROLE_ARN_CHARACTERS), regex(pattern = ROLE_ARN_PATTERN))]
    pub role: String,
}

/// A reference to the `AwsConfig` that an `AwsRole` belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwsConfigRef {
    /// The name of an AwsConfig of the same namespace.
    #[schemars(length(min = 1, max = 59))]
    pub name: String,
}

/// The state of an `AwsRole`. A renewal changes nothing in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsRoleStatus {
    /// The generation of the spec that this status is about. -1: keyturn has not seen the object.
    pub observed_generation: Option<i64>,

    /// true: its AwsConfig uses this role now.
    pub active: Option<bool>,

    /// Usable: the AwsConfig could use this role for its current request. If it could not, the
    /// reason and the message say why. Ready: the same, also for a role that is not active.
    /// Stalled: present only while nothing but another spec.role can help.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
