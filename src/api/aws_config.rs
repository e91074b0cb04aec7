//! `AwsConfig`: a person asks for the credentials of a role, and says how they should be delivered.

use super::{RoleArn, SessionDuration, names, role_arn::ROLE_ARN_PATTERN};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BUCKET_PATTERN: &str = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$";
const SECRET_NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// What a person asks for: the credentials of one IAM role as a Secret that is always fresh.
///
/// Writing it is asking, not getting: an `AwsRoleGrant` has to allow this namespace to use this role as this person.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "AwsConfig",
    plural = "awsconfigs",
    namespaced,
    status = "AwsConfigStatus",
    derive = "PartialEq",
    shortname = "awscfg",
    category = "keyturn",
    doc = "AwsConfig asks for the AWS credentials of an IAM role for one person. The operator keeps them fresh in a Secret.",
    validation = Rule::new("size(self.metadata.name) <= 59").message("metadata.name must be at most 59 characters long: generated names add to it"),
    validation = Rule::new("(has(self.spec.target) && has(self.spec.target.name) ? self.spec.target.name : self.metadata.name + '-aws') == (has(oldSelf.spec.target) && has(oldSelf.spec.target.name) ? oldSelf.spec.target.name : oldSelf.metadata.name + '-aws')").message("the name of the target Secret is immutable: delete this AwsConfig and create it anew to move"),
    printcolumn(name = "Person", type_ = "string", json_path = ".spec.person", description = "whom the credential is for"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.credentialProvider", description = "where the credential comes from"),
    printcolumn(name = "Role", type_ = "string", json_path = ".status.activeRole.role", description = "the IAM role in use"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "whether a valid credential is in the Secret"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", description = "when the credential expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Bucket", type_ = "string", json_path = ".spec.defaultBucket", priority = 1),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.target.name", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'User' || has(self.person)").message("person is required in User mode"),
    validation = Rule::new("!has(self.renewBefore) || !self.renewBefore.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || duration(self.renewBefore) < (has(self.session) && has(self.session.duration) && self.session.duration.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') ? duration(self.session.duration) : duration('1h'))").message("renewBefore must be shorter than session.duration (default 1h)")
)]
pub struct AwsConfigSpec {
    /// Whose credential it is. User: one person's.
    #[serde(default)]
    pub mode: Mode,

    /// The person, as AWS sees them: the role session's name in CloudTrail. Used as it is, never rewritten.
    /// Letters, digits and `_+=.@-`, 2 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = "^[A-Za-z0-9_+=.@-]{2,64}$"))]
    #[x_kube(validation = Rule::new("self != 'system'").message("person must not be \"system\": that name stands for a namespace's shared credentials"))]
    pub person: Option<String>,

    /// Where the credential comes from. temporary: a session of an IAM role, from STS.
    #[serde(default)]
    pub credential_provider: CredentialProvider,

    /// The ARN of the IAM role. The operator creates and activates an `AwsRole` for it. Without it the operator waits (reason RolePending).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = ROLE_ARN_PATTERN))]
    pub role: Option<String>,

    /// What is asked of STS besides the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,

    /// How long before its expiry a credential is renewed, in hours and minutes; shorter than session.duration.
    /// Default: after 55 to 70 % of its lifetime, a point that is fixed for each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<SessionDuration>,

    /// The AWS region that the person's tools should use. Only written into the Secret; where STS is called is the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 32), regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$"))]
    pub region: Option<String>,

    /// The S3 bucket that the person's tools should use, in the Secret as AWS_DEFAULT_BUCKET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN))]
    pub default_bucket: Option<String>,

    /// Further S3 buckets, in the Secret as AWS_EXTRA_BUCKETS, comma separated. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN)), extend("x-kubernetes-list-type" = "set"))]
    pub extra_buckets: Vec<String>,

    /// The Secret that the credential is written into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,

    /// true: the credential is withdrawn until it is false again.
    #[serde(default)]
    pub suspend: bool,
}

/// Whose credential an `AwsConfig` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// One person's.
    #[default]
    User,
}

/// Where a credential comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialProvider {
    /// A session of an IAM role, from STS.
    #[default]
    Temporary,
}

/// What is asked of STS besides the role.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// How long the credential lives, in hours and minutes: 15m to 12h, default 1h. At most what the role's
    /// MaxSessionDuration and the grant's maxDuration allow, and 1h where the operator itself runs on a role's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("duration must be from 15m to 12h"))]
    pub duration: Option<SessionDuration>,
}

/// The Secret that a credential is written into.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The Secret's name. Default: the name of this AwsConfig followed by `-aws`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME_PATTERN))]
    pub name: Option<String>,

    /// In which forms the Secret holds the credential. Env: variables for `envFrom`. Files: `config`, `credentials` and `credential-process.json` to mount. Default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub formats: Option<Vec<Format>>,

    /// Labels to put on the Secret, at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("a label's key is an optional DNS prefix and a slash, then at most 63 letters, digits and -_."))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('keyturn.dev/') && !k.startsWith('kubernetes.io/') && k != 'app.kubernetes.io/managed-by')").message("the labels keyturn.dev/*, kubernetes.io/* and app.kubernetes.io/managed-by are reserved"))]
    #[x_kube(validation = Rule::new("self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$') && size(self[k]) <= 63)").message("a label's value is at most 63 letters, digits and -_., and begins and ends with a letter or digit"))]
    pub labels: BTreeMap<String, TargetValue>,

    /// Annotations to put on the Secret, at most 32 of at most 1024 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("an annotation's key is an optional DNS prefix and a slash, then at most 63 letters, digits and -_."))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('keyturn.dev/') && !k.startsWith('kubernetes.io/'))").message("the annotations keyturn.dev/* and kubernetes.io/* are reserved"))]
    pub annotations: BTreeMap<String, TargetValue>,
}

/// The value of a label or annotation on the target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct TargetValue(#[schemars(length(max = 1024))] pub String);

/// A form in which the Secret holds the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// `AWS_ACCESS_KEY_ID` and the rest, for `envFrom`.
    Env,
    /// `config`, `credentials` and `credential-process.json`, to be mounted.
    Files,
}

impl Format {
    /// What a target that names no formats gets.
    pub const DEFAULT: [Self; 2] = [Self::Env, Self::Files];
}

/// What the operator answers. Everything about the credential is a projection of the Secret's annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsConfigStatus {
    /// The generation of the spec that this status is about.
    pub observed_generation: Option<i64>,

    /// Accepted (spec, references and grant are in order), Issued (a valid credential is in the Secret), Ready (both), RenewalFailing (only while it is so).
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The AwsRole in use.
    pub active_role: Option<ActiveRole>,

    /// The external ID that the operator sends: what the role's trust policy should require.
    pub external_id: Option<String>,

    /// The Secret.
    pub target: Option<TargetStatus>,

    /// The access key ID of the session in the Secret. Not a secret: it names the session in CloudTrail.
    pub access_key_id: Option<String>,

    /// The person whom the credential in the Secret is for.
    pub person: Option<String>,

    /// When the credential was issued.
    pub issued_at: Option<Time>,

    /// When the credential expires.
    pub expires_at: Option<Time>,

    /// When the credential will be renewed.
    pub renew_at: Option<Time>,

    /// Present while issuing fails.
    pub failure: Option<Failure>,
}

/// The `AwsRole` in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRole {
    /// The name of the AwsRole.
    pub name: String,
    /// Its ARN.
    pub role: String,
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
}

impl AwsConfig {
    /// The name of the Secret.
    #[must_use]
    pub fn target_name(&self) -> String {
        let named = self.spec.target.as_ref().and_then(|target| target.name.clone());
        named.unwrap_or_else(|| names::default_target(self.metadata.name.as_deref().unwrap_or_default()))
    }
}

impl AwsConfigSpec {
    /// The formats of the Secret, each once, in a fixed order.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        let asked = self.target.as_ref().and_then(|target| target.formats.as_deref());
        let mut formats = asked.unwrap_or(&Format::DEFAULT).to_vec();
        formats.sort_unstable();
        formats.dedup();
        formats
    }

    /// How long the session should live.
    #[must_use]
    pub fn duration(&self) -> SessionDuration {
        self.session.as_ref().and_then(|session| session.duration.clone()).unwrap_or_default()
    }

    /// The role asked for, parsed.
    ///
    /// # Errors
    /// If it is no role ARN, which the schema refuses before it gets here.
    pub fn role_arn(&self) -> Result<Option<RoleArn>, super::InvalidRoleArn> {
        self.role.as_deref().map(str::parse).transpose()
    }
}
