//! `AwsConfig`: a request for one AWS credential, and for the form in which keyturn delivers it.

use super::{
    AwsConfigStatus, DssClient, Format, Inject, MOST_PROFILES, Profile, Push, PushStatus, Restart, RoleArn,
    RoleTemplate, Session, SessionDuration, Subject, Target, Texts, UNSEEN, names, role_arn::ROLE_ARN_CHARACTERS,
    subject::PERSON_PATTERN,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::{CustomResource, KubeSchema, Resource as _, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const BUCKET_PATTERN: &str = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$";

/// A request for one AWS credential, which keyturn keeps valid in a Secret.
///
/// A request grants nothing: an `AwsRoleGrant` has to allow this namespace to use this role as this
/// person.
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
    selectable = ".spec.person",
    selectable = ".spec.mode",
    selectable = ".spec.credentialProvider",
    selectable = ".spec.dss.instance",
    selectable = ".status.activeRole.role",
    selectable = ".status.trouble.word",
    selectable = ".status.accessKeyId",
    doc = "AwsConfig requests an AWS credential for one person or for a namespace. keyturn delivers it in a Secret and renews it before it expires.",
    validation = Rule::new("size(self.metadata.name) <= 59").message("metadata.name must be at most 59 characters long: generated names add to it"),
    validation = Rule::new("(has(self.spec.target) && has(self.spec.target.name) ? self.spec.target.name : self.metadata.name + '-aws') == (has(oldSelf.spec.target) && has(oldSelf.spec.target.name) ? oldSelf.spec.target.name : oldSelf.metadata.name + '-aws')").message("the name of the target Secret is immutable: delete this AwsConfig and create it anew to move"),
    printcolumn(name = "Person", type_ = "string", json_path = ".spec.person", description = "the person that the credential is for"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.credentialProvider", description = "the source of the credential"),
    printcolumn(name = "Role", type_ = "string", json_path = ".status.activeRole.role", description = "the IAM role in use"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "True: a pod that mounts the Secret works"),
    printcolumn(name = "Trouble", type_ = "string", json_path = ".status.trouble.word", description = "the obstacle, in one word; empty if there is none"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", description = "the time at which the credential expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "the age of the object"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1, description = "the reason of the Ready condition"),
    printcolumn(name = "Bucket", type_ = "string", json_path = ".spec.defaultBucket", priority = 1, description = "the S3 bucket for the person's tools"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.target.name", priority = 1, description = "the Secret that holds the credential"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.trouble.message", priority = 1, description = "the obstacle, and what to do")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'User' || has(self.person)").message("person is required in User mode"),
    validation = Rule::new("self.mode != 'System' || !has(self.person)").message("person is not allowed in System mode: the credential is the namespace's"),
    validation = Rule::new("self.credentialProvider == 'temporary' || (!has(self.role) && !has(self.activeRoleRef) && !has(self.profiles) && !has(self.session) && !has(self.renewBefore))").message("role, activeRoleRef, profiles, session and renewBefore belong to credentialProvider temporary"),
    validation = Rule::new("!has(self.profiles) || !has(self.target) || !has(self.target.formats) || 'Files' in self.target.formats").message("profiles need the format Files: they stand in the files config and credentials"),
    validation = Rule::new("self.credentialProvider != 'default' || has(self.keySecretRef)").message("credentialProvider default needs keySecretRef"),
    validation = Rule::new("self.credentialProvider == 'default' || !has(self.keySecretRef)").message("keySecretRef belongs to credentialProvider default"),
    validation = Rule::new("self.credentialProvider != 'connection' || (has(self.connection) && has(self.dss))").message("credentialProvider connection needs connection and dss"),
    validation = Rule::new("self.credentialProvider == 'connection' || !has(self.connection)").message("connection belongs to credentialProvider connection"),
    validation = Rule::new("!has(self.dss) || (self.dss.apiKey == 'None' && !has(self.dss.apiKeySecretRef)) || !has(self.target) || !has(self.target.formats) || 'Env' in self.target.formats || 'Files' in self.target.formats").message("an API key of DSS needs one of the formats Env and Files to stand in"),
    validation = Rule::new("!has(self.role) || !self.role.contains('${') || has(self.dss)").message("role with variables needs dss: they are filled in from that DSS"),
    validation = Rule::new("!has(self.role) || !has(self.activeRoleRef)").message("role and activeRoleRef exclude each other: role creates and activates an AwsRole, activeRoleRef names an existing one"),
    validation = Rule::new("!has(self.session) || self.session.scope != 'Buckets' || has(self.defaultBucket)").message("session.scope Buckets needs defaultBucket"),
    validation = Rule::new("self.verify != 'Buckets' || has(self.defaultBucket) || (has(self.extraBuckets) && size(self.extraBuckets) > 0)").message("verify Buckets needs defaultBucket or extraBuckets: name a bucket, or set verify to Identity"),
    validation = Rule::new("!has(self.push) || has(self.dss) || (!has(self.push.dssSecrets) && !has(self.push.dssConnection) && !has(self.push.dssPlugin))").message("push into DSS needs dss: it names the DssInstance whose login gets the credential"),
    validation = Rule::new("!has(self.push) || (!has(self.push.dssConnection) && !has(self.push.dssPlugin)) || self.credentialProvider == 'default'").message("push.dssConnection and push.dssPlugin need credentialProvider default: a user and a password in DSS have no place for the session token of a temporary credential; push.dssSecrets has"),
    validation = Rule::new("!has(self.push) || !has(self.push.dataRobot) || !self.push.dataRobot.deliverToken || !has(self.target) || !has(self.target.formats) || 'Env' in self.target.formats || 'Files' in self.target.formats").message("push.dataRobot.deliverToken needs one of the formats Env and Files for the token to stand in"),
    validation = Rule::new("!has(self.renewBefore) || !self.renewBefore.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || duration(self.renewBefore) < (has(self.session) && has(self.session.duration) && self.session.duration.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') ? duration(self.session.duration) : duration('1h'))").message("renewBefore must be shorter than session.duration (default 1h)")
)]
pub struct AwsConfigSpec {
    /// The owner of the credential. User: one person, named in person. System: the namespace;
    /// everybody in it shares the credential, and a grant has to name `system:<namespace>`.
    #[serde(default)]
    pub mode: Mode,

    /// The person, as AWS sees them: the name of the role session in CloudTrail. keyturn uses the
    /// name unchanged. 2 to 64 letters, digits and `_+=.@-`. Required in User mode, not allowed in
    /// System mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = PERSON_PATTERN))]
    #[x_kube(validation = Rule::new("self != 'system'").message("person must not be \"system\": that name stands for a namespace's shared credentials"))]
    pub person: Option<String>,

    /// The source of the credential. temporary: STS issues a session of an IAM role. default: a
    /// Secret of the user holds a long-lived key. connection: DSS gives the person a credential for
    /// an S3 connection.
    #[serde(default)]
    pub credential_provider: CredentialProvider,

    /// The ARN of the IAM role. keyturn creates an AwsRole for it and activates that AwsRole.
    /// Without role and activeRoleRef, keyturn waits (reason RolePending). With dss, the role may
    /// hold variables, which keyturn fills in from that DSS. `${adminProperty:NAME}` is an admin
    /// property of the person's DSS user, such as `${adminProperty:associatedRole}`; administrators
    /// of DSS set it, and roleProperties of the DssInstance lists the properties that may be asked
    /// for. `${dssUserLogin}` is the login. A grant has to allow the resulting role like any other
    /// role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = ROLE_ARN_CHARACTERS))]
    #[x_kube(validation = Rule::new("self.contains('${') || self.matches('^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$')").message("must be the ARN of an IAM role, arn:aws:iam::<12-digit account>:role/<path and name>; or, with spec.dss, hold ${adminProperty:NAME} or ${dssUserLogin}"))]
    #[x_kube(validation = Rule::new("!self.contains('${') || self.matches('^([A-Za-z0-9_+=,.@:/-]|[$][{]adminProperty:[A-Za-z0-9_.-]{1,128}[}]|[$][{]dssUserLogin[}])+$')").message("holds something that is no variable here: there are ${adminProperty:NAME} and ${dssUserLogin}; user properties, which users edit themselves, name no roles"))]
    pub role: Option<String>,

    /// An existing AwsRole of this AwsConfig. keyturn uses it instead of role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_role_ref: Option<ActiveRoleRef>,

    /// Further roles, at most 8, for programs that choose one by the name of an AWS profile.
    /// keyturn issues a session for each and writes it as `[profile NAME]` beside `[default]`. A
    /// grant has to allow each role by itself. Everything else, such as the person and the
    /// duration, is that of the AwsConfig.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_PROFILES), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub profiles: Vec<Profile>,

    /// The handling of an AwsRole that keyturn created for role and that is no longer active.
    /// Retain: keyturn keeps it, inactive. Prune: keyturn deletes it. keyturn never deletes an
    /// AwsRole that a user wrote.
    #[serde(default)]
    pub role_retention: RoleRetention,

    /// The Secret that holds the key, for credentialProvider default. The owner of the Secret has
    /// to label it `keyturn.dev/source: "true"`. keyturn never writes this Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<KeySecretRef>,

    /// The name of a DSS S3 connection, for credentialProvider connection. keyturn reads the
    /// connection as the person. DSS has to let the person read its details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^[A-Za-z0-9_. @-]+$"))]
    pub connection: Option<String>,

    /// The DSS that the pod's code talks to, as the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dss: Option<DssClient>,

    /// Parameters of the STS session besides the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,

    /// The time before expiry at which keyturn renews the credential, in hours and minutes. It has
    /// to be shorter than session.duration. keyturn never renews before 30 % of the lifetime has
    /// passed. Default: after 55 to 70 % of the lifetime, at a point that is fixed for each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<SessionDuration>,

    /// The AWS region for the person's tools. keyturn only writes it into the Secret. The region in
    /// which keyturn calls STS is a setting of keyturn itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 32), regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$"))]
    pub region: Option<String>,

    /// The S3 bucket for the person's tools, in the Secret as AWS_DEFAULT_BUCKET. Naming a bucket
    /// grants nothing. With session.scope Buckets, the session reaches only the named buckets in
    /// S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN))]
    pub default_bucket: Option<String>,

    /// Further S3 buckets, at most 50, in the Secret as AWS_EXTRA_BUCKETS, separated by commas.
    /// Otherwise like defaultBucket.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 50), inner(length(min = 3, max = 63), regex(pattern = BUCKET_PATTERN)), extend("x-kubernetes-list-type" = "set"))]
    pub extra_buckets: Texts,

    /// The Secret that keyturn writes the credential into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,

    /// Pods of this namespace into which keyturn mounts the Secret without an annotation on the
    /// pod, and the delivery of the credential to pods. A user who writes `podSelector` needs the
    /// right to patch pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<Inject>,

    /// Workloads of this namespace that read the credential from environment variables, at most 8.
    /// keyturn restarts them after each renewal, one at a time, because a running process never
    /// reads its environment again. keyturn needs this namespace in restart.namespaces of the
    /// chart. A user who writes this field needs the right to patch these workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub restart: Vec<Restart>,

    /// A trial of the credential, once for each new request and not at renewals. The condition
    /// Verified has the answer of AWS. Ready does not depend on it, and keyturn withdraws nothing
    /// because of it. Identity: GetCallerIdentity. Buckets: the same, and HeadBucket of
    /// defaultBucket and extraBuckets, for which IAM asks s3:ListBucket.
    #[serde(default)]
    pub verify: Verify,

    /// Places outside the cluster in which keyturn keeps the credential as well, beside the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Box<Push>>,

    /// true: keyturn withdraws the credential until suspend is false again.
    #[serde(default)]
    pub suspend: bool,
}

/// The owner of the credential that an `AwsConfig` requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// One person.
    #[default]
    User,
    /// The namespace. Everybody in it shares the credential.
    System,
}

/// The trial of a credential that keyturn delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verify {
    /// keyturn tries nothing.
    #[default]
    None,
    /// keyturn asks STS whose credential it is.
    Identity,
    /// keyturn also asks S3 for each bucket that the config names.
    Buckets,
}

impl Verify {
    /// The name, as specs spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Identity => "Identity",
            Self::Buckets => "Buckets",
        }
    }
}

/// A reference to an `AwsRole` of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRoleRef {
    /// The name of the AwsRole. Its awsConfigRef has to name this AwsConfig.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The handling of a generated `AwsRole` that is no longer active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleRetention {
    /// keyturn keeps it, inactive.
    #[default]
    Retain,
    /// keyturn deletes it.
    Prune,
}

/// A reference to a Secret of the same namespace that holds a long-lived AWS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The data key under which the Secret holds the access key ID.
    #[serde(default = "default_access_key_id_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub access_key_id_key: String,

    /// The data key under which the Secret holds the secret access key.
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

/// The source of a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialProvider {
    /// STS issues a session of an IAM role.
    #[default]
    Temporary,
    /// A Secret of the user holds a long-lived key.
    Default,
    /// DSS gives the person a credential for an S3 connection.
    Connection,
}

/// The role that `spec.role` requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedRole {
    /// A role by its ARN.
    Arn(RoleArn),
    /// A role with variables, which keyturn fills in from DSS.
    Template(RoleTemplate),
}

impl CredentialProvider {
    /// The provider's name, as specs and metrics spell it.
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
    /// The name of the Secret: `spec.target.name`, or the default name.
    #[must_use]
    pub fn target_name(&self) -> String {
        let named = self.spec.target.as_ref().and_then(|target| target.name.clone());
        named.unwrap_or_else(|| names::default_target(self.metadata.name.as_deref().unwrap_or_default()))
    }

    /// The order of age among the configs of a namespace, the oldest first. The UID decides between
    /// configs that were created in the same second.
    #[must_use]
    pub fn age(&self) -> (Option<&Time>, Option<&str>) {
        (self.metadata.creation_timestamp.as_ref(), self.metadata.uid.as_deref())
    }

    /// The status, if keyturn has ever written one. The API server shows a status of no generation
    /// ([`UNSEEN`]) until then.
    #[must_use]
    pub fn seen_status(&self) -> Option<&AwsConfigStatus> {
        let is_unseen =
            |status: &AwsConfigStatus| status.observed_generation == Some(UNSEEN) && status.conditions.is_empty();
        self.status.as_ref().filter(|status| !is_unseen(status))
    }

    /// The owner reference that makes an object this config's. It does not block the deletion of
    /// the config, because blocking would need a right on finalizers where
    /// `OwnerReferencesPermissionEnforcement` is on (as in OpenShift).
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

    /// The text by which a user asks for a new session, cut to its first 64 characters; `None` if
    /// nobody asks.
    #[must_use]
    pub fn renewal_request(&self) -> Option<String> {
        let text = self.metadata.annotations.as_ref()?.get(names::RENEW)?;
        Some(text.chars().take(names::RENEW_CHARACTERS).collect()).filter(|text: &String| !text.is_empty())
    }

    /// The part of status about the places of `spec.push`; `None` if status has none.
    #[must_use]
    pub fn pushed(&self) -> Option<&PushStatus> {
        self.status.as_ref()?.push.as_deref()
    }

    /// The subject that the credential is for. `None` if User mode names no person, which the
    /// schema refuses.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        match self.spec.mode {
            Mode::User => self.spec.person.as_deref().map(Subject::person),
            Mode::System => Some(Subject::namespace(&self.namespace().unwrap_or_default())),
        }
    }
}

impl AwsConfigSpec {
    /// The requested formats of the Secret, each once, in the order of [`Format`].
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

    /// All buckets that the config names, the default bucket first.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        self.default_bucket.as_deref().into_iter().chain(self.extra_buckets.iter())
    }

    /// The requested lifetime of the session. Default: 1h.
    #[must_use]
    pub fn duration(&self) -> SessionDuration {
        self.session.as_ref().and_then(|session| session.duration.clone()).unwrap_or_default()
    }

    /// The requested role, as an ARN or as a template with variables. `None` without `spec.role`.
    ///
    /// # Errors
    /// A sentence for the user if the role is neither, which the schema refuses.
    pub fn asked_role(&self) -> Result<Option<AskedRole>, String> {
        let Some(role) = self.role.as_deref() else { return Ok(None) };
        if RoleTemplate::is_one(role) {
            return RoleTemplate::read(role).map(AskedRole::Template).map(Some).map_err(|error| error.to_string());
        }
        role.parse().map(AskedRole::Arn).map(Some).map_err(|error: super::InvalidRoleArn| error.to_string())
    }
}
