//! `AwsRole`: an IAM role that one `AwsConfig` may use.

use super::{role_arn::ROLE_ARN_PATTERN, subject::PERSON_PATTERN};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An IAM role of one `AwsConfig`. The operator writes one for each `spec.role` of an `AwsConfig`; users may write others,
/// and choose among them with `spec.activeRoleRef`.
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
    doc = "AwsRole is an IAM role of one AwsConfig. The operator writes one for spec.role of an AwsConfig; users may write others and choose among them with spec.activeRoleRef.",
    printcolumn(
        name = "Config",
        type_ = "string",
        json_path = ".spec.awsConfigRef.name",
        description = "the AwsConfig that it belongs to"
    ),
    printcolumn(name = "Person", type_ = "string", json_path = ".spec.person", description = "whom it is for"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role", description = "the IAM role"),
    printcolumn(
        name = "Active",
        type_ = "boolean",
        json_path = ".status.active",
        description = "whether its AwsConfig uses it now"
    ),
    printcolumn(
        name = "Usable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Usable')].status",
        description = "whether its AwsConfig could use it"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "how old the object is"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.awsConfigRef == oldSelf.awsConfigRef").message("awsConfigRef is immutable: delete and recreate to move"))]
#[x_kube(validation = Rule::new("has(self.person) == has(oldSelf.person) && (!has(self.person) || self.person == oldSelf.person)").message("person is immutable: delete and recreate"))]
pub struct AwsRoleSpec {
    /// The AwsConfig of the same namespace that this role belongs to. Immutable.
    pub aws_config_ref: AwsConfigRef,

    /// The person, equal to the AwsConfig's; absent for an AwsConfig in System mode. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = PERSON_PATTERN))]
    #[x_kube(validation = Rule::new("self != 'system'").message("person must not be \"system\": for an AwsConfig in System mode leave it out"))]
    pub person: Option<String>,

    /// The ARN of the IAM role. Changing that of the active AwsRole issues a new credential at once.
    #[schemars(length(max = 2048), regex(pattern = ROLE_ARN_PATTERN))]
    pub role: String,
}

/// Which `AwsConfig` an `AwsRole` belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwsConfigRef {
    /// The name of an AwsConfig of the same namespace.
    #[schemars(length(min = 1, max = 59))]
    pub name: String,
}

/// What the operator says of an `AwsRole`. Nothing in it changes at a renewal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AwsRoleStatus {
    /// Whether its AwsConfig uses this role now.
    pub active: Option<bool>,

    /// Usable: whether its AwsConfig could use it as it now asks, and if not, why.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
