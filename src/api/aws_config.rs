//! `AwsConfig`: a person asks for the credentials of a role, and says how they should be delivered.

use super::{
    AwsConfigStatus, DssClient, Format, Inject, Restart, RoleArn, RoleTemplate, Session, SessionDuration, Subject,
    Target, names, subject::PERSON_PATTERN,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{CustomResource, KubeSchema, Resource as _, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const BUCKET_PATTERN: &str = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$";

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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "how old the object is"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1, description = "why it is ready or not"),
    printcolumn(name = "Bucket", type_ = "string", json_path = ".spec.defaultBucket", priority = 1, description = "the S3 bucket for the person's tools"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.target.name", priority = 1, description = "the Secret that the credential is in")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'User' || has(self.person)").message("person is required in User mode"),
    validation = Rule::new("self.mode != 'System' || !has(self.person)").message("person is not allowed in System mode: the credential is the namespace's"),
    validation = Rule::new("self.credentialProvider == 'temporary' || (!has(self.role) && !has(self.activeRoleRef) && !has(self.session) && !has(self.renewBefore))").message("role, activeRoleRef, session and renewBefore belong to credentialProvider temporary"),
    validation = Rule::new("self.credentialProvider != 'default' || has(self.keySecretRef)").message("credentialProvider default needs keySecretRef"),
    validation = Rule::new("self.credentialProvider == 'default' || !has(self.keySecretRef)").message("keySecretRef belongs to credentialProvider default"),
    validation = Rule::new("self.credentialProvider != 'connection' || (has(self.connection) && has(self.dss))").message("credentialProvider connection needs connection and dss"),
    validation = Rule::new("self.credentialProvider == 'connection' || !has(self.connection)").message("connection belongs to credentialProvider connection"),
    validation = Rule::new("!has(self.dss) || (self.dss.apiKey == 'None' && !has(self.dss.apiKeySecretRef)) || !has(self.target) || !has(self.target.formats) || 'Env' in self.target.formats || 'Files' in self.target.formats").message("an API key of DSS needs one of the formats Env and Files to stand in"),
    validation = Rule::new("!has(self.role) || !self.role.contains('${') || has(self.dss)").message("role with variables needs dss: they are filled in from that DSS"),
    validation = Rule::new("!has(self.role) || !has(self.activeRoleRef)").message("role and activeRoleRef exclude each other: role creates and activates an AwsRole, activeRoleRef names an existing one"),
    validation = Rule::new("!has(self.session) || self.session.scope != 'Buckets' || has(self.defaultBucket)").message("session.scope Buckets needs defaultBucket"),
    validation = Rule::new("!has(self.renewBefore) || !self.renewBefore.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || duration(self.renewBefore) < (has(self.session) && has(self.session.duration) && self.session.duration.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') ? duration(self.session.duration) : duration('1h'))").message("renewBefore must be shorter than session.duration (default 1h)")
)]
pub struct AwsConfigSpec {
    /// Whose credential it is. User: one person's. System: the namespace's, shared by everybody in it; a grant has to name `system:<namespace>`.
    #[serde(default)]
    pub mode: Mode,

    /// The person, as AWS sees them: the role session's name in CloudTrail. Used as it is, never rewritten.
    /// Letters, digits and `_+=.@-`, 2 to 64 characters. Required in User mode, not allowed in System mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = PERSON_PATTERN))]
    #[x_kube(validation = Rule::new("self != 'system'").message("person must not be \"system\": that name stands for a namespace's shared credentials"))]
    pub person: Option<String>,

    /// Where the credential comes from. temporary: a session of an IAM role, from STS. default: a key and its secret, from a Secret of the user's. connection: what a DSS connection gives this person.
    #[serde(default)]
    pub credential_provider: CredentialProvider,

    /// The ARN of the IAM role. The operator creates and activates an AwsRole for it. Without role and activeRoleRef the operator waits (reason RolePending).
    /// With dss it may be what an administrator of that DSS noted about the person: `${adminProperty:associatedRole}` or any other admin property, and `${dssUserLogin}`; what comes out has to be granted like any other role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.contains('${') || self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$')").message("must be the ARN of an IAM role, arn:aws:iam::<12-digit account>:role/<path and name>; or, with spec.dss, hold ${adminProperty:NAME} or ${dssUserLogin}"))]
    #[x_kube(validation = Rule::new("!self.contains('${') || self.matches('^([A-Za-z0-9_+=,.@:/-]|[$][{]adminProperty:[A-Za-z0-9_.-]{1,128}[}]|[$][{]dssUserLogin[}])+$')").message("holds something that is no variable here: there are ${adminProperty:NAME} and ${dssUserLogin}; user properties, which users edit themselves, name no roles"))]
    pub role: Option<String>,

    /// Instead of role: an existing AwsRole of this AwsConfig to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_role_ref: Option<ActiveRoleRef>,

    /// What becomes of an AwsRole that was created for role and is no longer the active one. Retain: it stays, inactive. Prune: it is deleted. AwsRoles that users wrote are never deleted.
    #[serde(default)]
    pub role_retention: RoleRetention,

    /// For credentialProvider default: the Secret that holds the key. Its owner has to have labelled it `keyturn.dev/source: "true"`. It is never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<KeySecretRef>,

    /// For credentialProvider connection: the name of a DSS S3 connection, which is read as the person. Its details have to be readable by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^[A-Za-z0-9_. @-]+$"))]
    pub connection: Option<String>,

    /// The DSS that the pod's code talks to, as the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dss: Option<DssClient>,

    /// What is asked of STS besides the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,

    /// How long before its expiry a credential is renewed, in hours and minutes; shorter than session.duration,
    /// and never before 30 % of the lifetime has passed. Default: after 55 to 70 % of the lifetime, a point that is fixed for each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<SessionDuration>,

    /// The AWS region that the person's tools should use. Only written into the Secret; where STS is called is the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 32), regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$"))]
    pub region: Option<String>,

    /// The S3 bucket that the person's tools should use, in the Secret as AWS_DEFAULT_BUCKET. It grants nothing; with session.scope Buckets it is what the session may use of S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN))]
    pub default_bucket: Option<String>,

    /// Further S3 buckets, in the Secret as AWS_EXTRA_BUCKETS, comma separated; otherwise like defaultBucket. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN)), extend("x-kubernetes-list-type" = "set"))]
    pub extra_buckets: Vec<String>,

    /// The Secret that the credential is written into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,

    /// Pods of this namespace that get the Secret mounted without asking. Writing it takes the right to create pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<Inject>,

    /// Workloads of this namespace that read the credential from their environment, which is never read again: they are restarted after each renewal,
    /// one at a time. The chart's restart.namespaces has to give keyturn the right, and writing it takes the right to patch these workloads. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub restart: Vec<Restart>,

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
    /// The namespace's, shared by everybody in it.
    System,
}

/// An `AwsRole` of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRoleRef {
    /// The name of the AwsRole, whose awsConfigRef has to name this AwsConfig.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What becomes of a generated `AwsRole` that is no longer the active one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleRetention {
    /// It stays, inactive.
    #[default]
    Retain,
    /// It is deleted.
    Prune,
}

/// A Secret of the same namespace that holds a key and its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key of its data that holds the access key ID.
    #[serde(default = "default_access_key_id_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub access_key_id_key: String,

    /// The key of its data that holds the secret access key.
    #[serde(default = "default_secret_access_key_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub secret_access_key_key: String,
}

fn default_access_key_id_key() -> String {
    "aws_access_key_id".to_owned()
}

fn default_secret_access_key_key() -> String {
    "aws_secret_access_key".to_owned()
}

/// Where a credential comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialProvider {
    /// A session of an IAM role, from STS.
    #[default]
    Temporary,
    /// A key and its secret, from a Secret of the user's.
    Default,
    /// What a DSS connection gives the person.
    Connection,
}

/// What `spec.role` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedRole {
    /// This very role.
    Arn(RoleArn),
    /// What DSS fills in.
    Template(RoleTemplate),
}

impl CredentialProvider {
    /// The name as it stands in specs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Default => "default",
            Self::Connection => "connection",
        }
    }
}

impl AwsConfig {
    /// The name of the Secret.
    #[must_use]
    pub fn target_name(&self) -> String {
        let named = self.spec.target.as_ref().and_then(|target| target.name.clone());
        named.unwrap_or_else(|| names::default_target(self.metadata.name.as_deref().unwrap_or_default()))
    }

    /// What makes an object this config's. It does not block the config's deletion, so that no right on finalizers is
    /// needed where `OwnerReferencesPermissionEnforcement` is on (as in OpenShift).
    #[must_use]
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Self::api_version(&()).into_owned(),
            kind: Self::kind(&()).into_owned(),
            name: self.metadata.name.clone().unwrap_or_default(),
            uid: self.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }

    /// Whom the credential is for; `None` if no person is named in User mode, which the schema refuses.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        match self.spec.mode {
            Mode::User => self.spec.person.as_deref().map(Subject::person),
            Mode::System => Some(Subject::namespace(&self.namespace().unwrap_or_default())),
        }
    }
}

impl AwsConfigSpec {
    /// The formats of the Secret, each once, in a fixed order.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        let mut formats = self.asked_formats().to_vec();
        formats.sort_unstable();
        formats.dedup();
        formats
    }

    /// Whether the Secret has this format.
    #[must_use]
    pub fn has_format(&self, format: Format) -> bool {
        self.asked_formats().contains(&format)
    }

    fn asked_formats(&self) -> &[Format] {
        let asked = self.target.as_ref().and_then(|target| target.formats.as_deref());
        asked.unwrap_or(&Format::DEFAULT)
    }

    /// All buckets that it names, the default one first.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        self.default_bucket.iter().chain(&self.extra_buckets).map(String::as_str)
    }

    /// How long the session should live.
    #[must_use]
    pub fn duration(&self) -> SessionDuration {
        self.session.as_ref().and_then(|session| session.duration.clone()).unwrap_or_default()
    }

    /// The role asked for, with variables in it or without.
    ///
    /// # Errors
    /// With a sentence if it is neither, which the schema refuses before it gets here.
    pub fn asked_role(&self) -> Result<Option<AskedRole>, String> {
        let Some(role) = self.role.as_deref() else { return Ok(None) };
        if RoleTemplate::is_one(role) {
            return RoleTemplate::read(role).map(AskedRole::Template).map(Some).map_err(|error| error.to_string());
        }
        role.parse().map(AskedRole::Arn).map(Some).map_err(|error: super::InvalidRoleArn| error.to_string())
    }
}
