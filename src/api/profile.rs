//! `spec.profiles`: further roles beside that of the config, each under the name of an AWS profile.

use super::{ActiveRoleRef, Failure, Reason, Statement, role_arn::ROLE_ARN_CHARACTERS};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most profiles of one config.
pub const MOST_PROFILES: u32 = 8;

/// The characters of a profile's name. The admission policy for the operator's token allows the
/// data keys of these names only ([`super::PROFILE_KEY_PATTERN`]).
const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$";

/// A further role, for programs that choose it by the name of an AWS profile.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.role) != has(self.activeRoleRef)").message("a profile needs either role or activeRoleRef")
)]
pub struct Profile {
    /// The name of the profile in the files `config` and `credentials`, as in
    /// `aws --profile NAME`: 1 to 32 lower case letters, digits and `-`. The name `default` stands
    /// for the role of the AwsConfig itself and is refused.
    #[schemars(length(min = 1, max = 32), regex(pattern = NAME_PATTERN))]
    #[x_kube(validation = Rule::new("self != 'default'").message("the profile default is the role of the AwsConfig itself"))]
    pub name: String,

    /// The ARN of the IAM role. It holds no variables, and keyturn creates no AwsRole for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = ROLE_ARN_CHARACTERS))]
    #[x_kube(validation = Rule::new("self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$')").message("must be the ARN of an IAM role, arn:aws:iam::<12-digit account>:role/<path and name>"))]
    pub role: Option<String>,

    /// An existing AwsRole of this AwsConfig. keyturn uses its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_role_ref: Option<ActiveRoleRef>,
}

/// The state of one profile. The fields about the session repeat the annotation
/// keyturn.dev/profiles of the Secret. They are absent while the Secret holds no valid session of
/// the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// The name of the profile.
    pub name: String,

    /// The role that the profile asks for. Absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,

    /// The access key ID of the session in the Secret. It is not a secret: it identifies the
    /// session in CloudTrail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,

    /// The time at which the session was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,

    /// The time at which the session expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// Issued: the Secret holds a valid session of the role. Otherwise the reason why it holds
    /// none.
    pub reason: String,

    /// The obstacle, and what to do. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// The current failure to issue. Present only while issuing fails for a reason that somebody
    /// has to fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl ProfileStatus {
    /// Whether the Secret holds the session that the profile asks for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reason == Reason::Issued.as_str()
    }

    /// The obstacle, with the name of the profile; `None` if there is none.
    #[must_use]
    pub fn obstacle(&self) -> Option<Statement> {
        let message = self.message.as_ref()?;
        let reason = Reason::named(&self.reason).unwrap_or(Reason::Internal);
        Some(Statement::new(reason, format!("profile \"{}\": {message}", self.name)))
    }
}
