//! The status of an `AwsConfig`.

use super::{Reason, Statement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator answers. What it says of the credential repeats the Secret's annotations, and is absent while the
/// Secret holds no valid one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsConfigStatus {
    /// The generation of the spec that this status is about.
    pub observed_generation: Option<i64>,

    /// Accepted (spec, references and grant are in order), Issued (a valid credential is in the Secret), Ready (both), RenewalFailing and RestartFailing (only while it is so).
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The AwsRole in use.
    pub active_role: Option<ActiveRole>,

    /// The external ID that the operator sends: what the role's trust policy should require.
    pub external_id: Option<String>,

    /// The Secret that the credential is written into.
    pub target: Option<TargetStatus>,

    /// For credentialProvider default: the Secret that the key came from.
    pub source: Option<SourceStatus>,

    /// What came from DSS, with spec.dss.
    pub dss: Option<DssStatus>,

    /// The access key ID of the credential in the Secret. Not a secret: it names the session in CloudTrail.
    pub access_key_id: Option<String>,

    /// Whom the credential in the Secret is for: the person, or `system:<namespace>`.
    pub person: Option<String>,

    /// When the credential was issued.
    pub issued_at: Option<Time>,

    /// When the credential expires. Absent for a key, which does not.
    pub expires_at: Option<Time>,

    /// When the credential will be renewed. Absent for a key, and while the request is not accepted.
    pub renew_at: Option<Time>,

    /// The credential that this one replaced, or that was there last. Programs that took it from their environment have it until they are restarted (spec.restart).
    pub former: Option<Former>,

    /// Present while issuing fails for a reason that somebody has to mend.
    pub failure: Option<Failure>,
}

/// A credential that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Former {
    /// When it was issued.
    pub issued_at: Time,
    /// When it expires. Absent for a key, which does not.
    pub expires_at: Option<Time>,
}

/// The `AwsRole` in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRole {
    /// The name of the AwsRole.
    pub name: String,
    /// The ARN of its IAM role.
    pub role: String,
}

/// What came from DSS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssStatus {
    /// The DssInstance.
    pub instance: String,

    /// The person's login in DSS.
    pub login: String,

    /// Whose the API key in the Secret is, as DSS itself said of it (`get_auth_info()`) before it was delivered. Absent without one.
    pub whoami: Option<String>,

    /// What the role with variables stood for when it was last read from DSS: used while DSS cannot be reached.
    pub resolved_role: Option<ResolvedRole>,

    /// The personal API keys that keyturn created and has not deleted yet, the one in the Secret first.
    // Written if it is empty, too: a merge patch leaves alone what it does not name.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub keys: Vec<DssKey>,
}

/// A role with variables, and what it stood for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedRole {
    /// spec.role as it was.
    pub from: String,
    /// The ARN.
    pub role: String,
}

/// A personal API key that keyturn created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssKey {
    /// The DssInstance that it is in. An ID means nothing in another.
    pub instance: String,
    /// Its ID in DSS. Not a secret.
    pub id: String,
    /// The login that it belongs to.
    pub login: String,
    /// When it is deleted. Absent for the one in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_at: Option<Time>,
}

/// The Secret that a credential is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The Secret's name.
    pub name: String,
    /// The Secret's resourceVersion as the operator last wrote it: a Secret that still has it needs no look inside.
    pub resource_version: Option<String>,
}

/// The Secret that a key came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The Secret's name.
    pub name: String,
    /// The Secret's resourceVersion when the key was taken from it: as long as it has it, it needs no look inside.
    pub resource_version: Option<String>,
}

/// A failure of issuing, kept here so that a restart does not forget how long to wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// How many attempts failed in a row.
    pub count: i32,
    /// When the first of them failed.
    pub since: Time,
    /// When the last of them failed.
    pub last_at: Time,
    /// Before this time there is no other attempt, unless what is asked for changes.
    pub next_attempt_at: Time,
    /// Digest of what was tried: of the request to STS and of the grant that allowed it. Anything else is tried at once.
    pub attempt: String,
    /// Why the last of them failed: a reason of the closed list. Absent in a status that an older release wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was tried, why it failed and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Failure {
    /// Why the last attempt failed; `None` if an older release wrote this, or a newer one with a reason of its own.
    #[must_use]
    pub fn why(&self) -> Option<Statement> {
        let reason = Reason::named(self.reason.as_deref()?)?;
        Some(Statement::new(reason, self.message.clone().unwrap_or_default()))
    }
}
