//! `DssInstance`: a Dataiku DSS that keyturn knows, and who may use it as whom. Only cluster admins write it.

use super::{Namespaces, SessionDuration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Dataiku DSS: how it is reached, and who may use it as whom.
///
/// Whoever may write it decides where the admin key is sent, so only cluster admins should.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "DssInstance",
    plural = "dssinstances",
    status = "DssInstanceStatus",
    derive = "PartialEq",
    shortname = "dss",
    category = "keyturn",
    doc = "DssInstance is a Dataiku DSS that keyturn reads users and connections from and creates personal API keys in. It allows namespaces to use it as persons; nothing is allowed that it does not list.",
    validation = Rule::new("size(self.metadata.name) <= 59").message("metadata.name must be at most 59 characters long: a finalizer's name is made of it"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "where it is"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "the release of DSS"),
    printcolumn(name = "Reachable", type_ = "string", json_path = ".status.conditions[?(@.type=='Reachable')].status", description = "whether it answers"),
    printcolumn(name = "Authorized", type_ = "string", json_path = ".status.conditions[?(@.type=='Authorized')].status", description = "whether the admin key has the rights that it needs"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "how old the object is"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Authorized')].reason", priority = 1, description = "why it is authorized or not")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.insecureSkipVerify || !has(self.caBundle)").message("caBundle and insecureSkipVerify exclude each other"),
    validation = Rule::new("self.url.startsWith('https://') || (!has(self.caBundle) && !self.insecureSkipVerify)").message("caBundle and insecureSkipVerify are for https URLs")
)]
pub struct DssInstanceSpec {
    /// Where DSS is: the URL that its users type, without a trailing slash. The Secrets hold it as it is here. With http the admin key travels in the clear. Immutable.
    #[schemars(
        length(max = 512),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("url is immutable: another DSS is another DssInstance, since API keys that were created in this one are deleted through it"))]
    pub url: String,

    /// The Secret that holds an API key of DSS with admin rights. It never leaves the operator.
    pub api_key_secret_ref: AdminKeySecretRef,

    /// How API keys are sent. Basic: as the user name, as Dataiku's clients do. Bearer: as a token, where a proxy before DSS keeps Basic authentication for itself.
    #[serde(default)]
    pub auth_scheme: AuthScheme,

    /// Certificate authorities in PEM to trust instead of the system's. In the Secrets as dss-ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,

    /// true: any certificate is trusted, by the operator and by the clients that the Secrets configure. Whoever is in between then reads the admin key.
    #[serde(default)]
    pub insecure_skip_verify: bool,

    /// Who may use it, as whom. One entry has to allow both namespace and person. Absent: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow: Vec<Allowance>,

    /// How a person's DSS login is spelled: `${person}` stands for the person.
    #[serde(default = "the_person")]
    #[schemars(length(max = 256), regex(pattern = r"^[A-Za-z0-9_+=.@\\-]*\$\{person\}[A-Za-z0-9_+=.@\\-]*$"))]
    pub login: String,

    /// The AWS account of roles that an admin property gives by name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"), extend("maxLength" = 12))]
    pub aws_account_id: Option<String>,

    /// The AWS partition of these roles.
    #[serde(default = "aws")]
    #[schemars(length(max = 32), regex(pattern = "^aws(-[a-z]+)*$"))]
    pub aws_partition: String,

    /// How often its users are read again, in hours and minutes: within this time a changed admin property takes effect. One listing for all of them.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || duration(self) <= duration('24h')").message("refresh must be at most 24h"))]
    pub refresh: SessionDuration,

    /// How long what was read last is used while DSS cannot be reached, in hours and minutes. After that nothing is issued or renewed that depends on it.
    #[serde(default = "a_day")]
    pub max_stale: SessionDuration,

    /// How long a session from a DSS connection is taken to live, since DSS does not say, in hours and minutes. The shortest session of STS lives 15m; what is longer than DSS's own setting for the connection makes pods use expired credentials.
    #[serde(default = "a_quarter")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("sessionLifetime must be from 15m to 12h"))]
    pub session_lifetime: SessionDuration,
}

/// How API keys are sent to a DSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthScheme {
    /// As the user name of Basic authentication.
    #[default]
    Basic,
    /// As a Bearer token.
    Bearer,
}

/// A key of the data of a Secret of any namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdminKeySecretRef {
    /// The namespace of the Secret: one in which no user reads Secrets, best the operator's own.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,

    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key of its data that holds the API key.
    #[serde(default = "api_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Allows namespaces to use a DSS as persons.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.persons) != has(self.systemLogin)").message("an entry of allow has either persons or systemLogin"))]
pub struct Allowance {
    /// The namespaces.
    #[serde(default)]
    pub namespaces: Namespaces,

    /// The persons who may be named: globs, `*` for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+=.@*-]{1,64}$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// Instead of persons: the login that AwsConfigs in System mode use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_+=.@\\-]+$"))]
    pub system_login: Option<String>,
}

/// What the operator answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssInstanceStatus {
    /// The generation of the spec that this status is about.
    pub observed_generation: Option<i64>,

    /// Reachable (it answers), Authorized (the admin key may do what keyturn needs).
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The release of DSS.
    pub version: Option<String>,

    /// When its users were read, to within a twentieth of maxStale: maxStale counts from here, across restarts of the operator.
    pub users_read_at: Option<Time>,
}

/// Stands for the person in [`DssInstanceSpec::login`].
const PERSON: &str = "${person}";

impl DssInstanceSpec {
    /// A person's login.
    #[must_use]
    pub fn login_of(&self, person: &str) -> String {
        self.login.replacen(PERSON, person, 1)
    }
}

fn the_person() -> String {
    PERSON.to_owned()
}

fn aws() -> String {
    "aws".to_owned()
}

fn api_key() -> String {
    "apiKey".to_owned()
}

fn five_minutes() -> SessionDuration {
    SessionDuration::minutes(5)
}

fn a_day() -> SessionDuration {
    SessionDuration::minutes(24 * 60)
}

fn a_quarter() -> SessionDuration {
    SessionDuration::minutes(15)
}
