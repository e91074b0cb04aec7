//! The contract between users, cluster admins and keyturn.
//!
//! This room holds the custom resource types with their schemas and validation rules, the
//! conditions, the reasons, and every name (label, annotation, field manager) that others may rely
//! on. It imports no other room, holds no client and reads no clock. Every other room may import
//! it. The doc comments of the fields are user documentation, because `kubectl explain` and
//! docs/reference.md print them.

#![allow(
    clippy::doc_markdown,
    reason = "the fields' doc comments are read in kubectl explain, where backticks are noise"
)]
#![allow(clippy::duplicated_attributes, reason = "each printer column has a type of its own")]

mod aws_config;
mod aws_config_status;
mod aws_role;
mod aws_role_grant;
mod condition;
mod data_robot_instance;
mod dss;
mod dss_instance;
mod duration;
mod inject;
mod label_selector;
pub mod names;
mod profile;
mod push;
mod reason;
mod restart;
mod role_arn;
mod role_template;
mod secret_key;
mod session;
mod statement;
mod subject;
mod target;
mod texts;

pub use aws_config::{
    ActiveRoleRef, AskedRole, AwsConfig, AwsConfigSpec, CredentialProvider, KeySecretRef, Mode, RoleRetention, Verify,
};
pub use aws_config_status::{
    ActiveRole, AwsConfigStatus, DssKey, DssStatus, Failure, Former, ResolvedRole, SourceStatus, TargetStatus, Trouble,
    WithdrawalHeld,
};
pub use aws_role::{AwsConfigRef, AwsRole, AwsRoleSpec, AwsRoleStatus};
pub use aws_role_grant::{
    AwsRoleGrant, AwsRoleGrantSpec, AwsRoleGrantStatus, Ceilings, Effect, Namespaces, PERSON_VARIABLE, TagPatterns,
};
pub use condition::{
    ConditionType, condition, find_condition, ready_as, same_ignoring_times, set_conditions, stalled, unknown,
};
pub use data_robot_instance::{
    DataRobotAllowance, DataRobotInstance, DataRobotInstanceSpec, DataRobotInstanceStatus, InstanceTokenSecretRef,
};
pub use dss::{ApiKey, ApiKeySecretRef, DssClient};
pub use dss_instance::{AdminKeySecretRef, Allowance, AuthScheme, DssInstance, DssInstanceSpec, DssInstanceStatus};
pub use duration::{InvalidDuration, SessionDuration};
pub use inject::{Delivery, Inject};
pub use label_selector::{LabelRequirement, LabelSelector, Operator};
pub use profile::{MOST_PROFILES, Profile, ProfileStatus};
pub use push::{DataRobotCredential, DssConnection, DssPlugin, DssSecrets, Push, PushStatus, Pushed, TokenSecretRef};
pub use reason::Reason;
pub use restart::{RESTARTED_AT, Restart, WorkloadKind};
pub use role_arn::{InvalidRoleArn, RoleArn};
pub use role_template::{NoRole, RoleTemplate, Variable, role_named};
pub use secret_key::{Field, PROFILE_KEY, PROFILE_KEY_PATTERN, Present, SECRET_KEYS, SecretKey, profile_key};
pub use session::{Scope, Session, TagValue};
pub use statement::Statement;
pub use subject::{Subject, is_person};
pub use target::{Format, Target, TargetValue};
pub use texts::Texts;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt as _;
use serde_json::json;

/// The `status.observedGeneration` of an object that keyturn has not seen. No generation is
/// negative.
pub const UNSEEN: i64 = -1;

/// The custom resource definitions of this release, in the order of installation.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds =
        vec![AwsConfig::crd(), AwsRole::crd(), AwsRoleGrant::crd(), DssInstance::crd(), DataRobotInstance::crd()];
    crds.iter_mut().for_each(unseen_at_first);
    crds
}

/// Lets the API server show [`UNSEEN`] in the status of an object until keyturn writes one.
///
/// kstatus, by which Flux and others wait, takes an object without a status for one that is ready
/// (`Compute` in `pkg/kstatus/status` of <https://github.com/fluxcd/cli-utils>). An object whose
/// `observedGeneration` is not its generation is in progress for it.
fn unseen_at_first(crd: &mut CustomResourceDefinition) {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let status = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(json!({"observedGeneration": UNSEEN})));
        }
    }
}
