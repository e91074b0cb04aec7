//! `DssInstance`: a Dataiku DSS, and the namespaces and persons that may use it. Only cluster
//! admins write it.

use super::{Namespaces, SessionDuration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Dataiku DSS: its URL and admin key, and the namespaces and persons that may use it.
///
/// Only cluster admins should have the right to write a DssInstance, because its author decides
/// where keyturn sends the admin key.
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
    doc = "DssInstance is a Dataiku DSS. keyturn reads users and connections from it, and creates personal API keys in it. Its allow lists the namespaces that may use it, and as which persons; keyturn refuses everything else.",
    validation = Rule::new("size(self.metadata.name) <= 59").message("metadata.name must be at most 59 characters long: a finalizer's name is made of it"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "the URL of DSS"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "the release of DSS"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "True: DSS answers, and the admin key has its rights"),
    printcolumn(name = "Reachable", type_ = "string", json_path = ".status.conditions[?(@.type=='Reachable')].status", description = "True: DSS answers"),
    printcolumn(name = "Authorized", type_ = "string", json_path = ".status.conditions[?(@.type=='Authorized')].status", description = "True: the admin key has the rights that keyturn needs"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "the age of the object"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Authorized')].reason", priority = 1, description = "the reason of the Authorized condition"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1, description = "what is in the way")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.insecureSkipVerify || !has(self.caBundle)").message("caBundle and insecureSkipVerify exclude each other"),
    validation = Rule::new("self.url.startsWith('https://') || (!has(self.caBundle) && !self.insecureSkipVerify)").message("caBundle and insecureSkipVerify are for https URLs")
)]
pub struct DssInstanceSpec {
    /// The URL of DSS, as its users type it, without a trailing slash. The Secrets hold it
    /// unchanged. With http, the admin key travels unencrypted. Immutable.
    #[schemars(
        length(max = 512),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("url is immutable: another DSS is another DssInstance, since API keys that were created in this one are deleted through it"))]
    pub url: String,

    /// The Secret that holds an API key of DSS with admin rights. keyturn sends this key to DSS
    /// only, and delivers it to no pod.
    pub api_key_secret_ref: AdminKeySecretRef,

    /// The way in which keyturn sends API keys. Basic: as the user name, like Dataiku's clients.
    /// Bearer: as a token, for a proxy before DSS that keeps Basic authentication for itself.
    #[serde(default)]
    pub auth_scheme: AuthScheme,

    /// Certificate authorities in PEM. keyturn trusts them for this DSS instead of the system's. In
    /// the Secrets as dss-ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,

    /// true: keyturn trusts any certificate, and the clients that the Secrets configure do the
    /// same. Anybody on the way between them and DSS can then read the API keys, the admin key
    /// among them.
    #[serde(default)]
    pub insecure_skip_verify: bool,

    /// The namespaces that may use this DSS, and the persons that they may name. One entry has to
    /// allow both the namespace and the person. Absent: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow: Vec<Allowance>,

    /// The spelling of a person's login in DSS. `${person}` stands for the person.
    #[serde(default = "the_person")]
    #[schemars(length(max = 256), regex(pattern = r"^[A-Za-z0-9_+=.@\\-]*\$\{person\}[A-Za-z0-9_+=.@\\-]*$"))]
    pub login: String,

    /// The admin properties that role of an AwsConfig may ask for. keyturn reads the value of no
    /// other property. List only properties that hold nothing but IAM roles, because the users of
    /// this DssInstance see the role that results.
    #[serde(default = "associated_role")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_.-]+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub role_properties: Vec<String>,

    /// The AWS account of roles that an admin property names without an ARN, 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{12}$"), extend("maxLength" = 12))]
    pub aws_account_id: Option<String>,

    /// The AWS partition of roles that an admin property names without an ARN.
    #[serde(default = "aws")]
    #[schemars(length(max = 32), regex(pattern = "^aws(-[a-z]+)*$"))]
    pub aws_partition: String,

    /// The interval at which keyturn reads the users of DSS, in hours and minutes, at most 24h. A
    /// changed admin property takes effect within this time. One listing serves all AwsConfigs.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || duration(self) <= duration('24h')").message("refresh must be at most 24h"))]
    pub refresh: SessionDuration,

    /// The time for which keyturn uses the data that it last read from DSS while DSS cannot be
    /// reached, in hours and minutes. Afterwards keyturn neither issues nor renews credentials that
    /// depend on this data.
    #[serde(default = "a_day")]
    pub max_stale: SessionDuration,

    /// The assumed lifetime of a session from a DSS connection, in hours and minutes, from 15m to
    /// 12h. DSS does not report an expiry. 15m is safe, because STS issues no shorter session. If
    /// the value is longer than DSS's own setting for the connection, pods use expired credentials.
    #[serde(default = "a_quarter")]
    #[x_kube(validation = Rule::new("!self.matches('^([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$') || (duration(self) >= duration('15m') && duration(self) <= duration('12h'))").message("sessionLifetime must be from 15m to 12h"))]
    pub session_lifetime: SessionDuration,
}

/// The way in which keyturn sends API keys to DSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthScheme {
    /// As the user name of Basic authentication.
    #[default]
    Basic,
    /// As a Bearer token.
    Bearer,
}

/// A reference to one data key of a Secret of any namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdminKeySecretRef {
    /// The namespace of the Secret. Choose one in which no user reads Secrets, such as keyturn's
    /// own.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,

    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The data key under which the Secret holds the API key.
    #[serde(default = "api_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Allows namespaces to use a DSS as persons.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.persons) != has(self.systemLogin)").message("an entry of allow has either persons or systemLogin"))]
pub struct Allowance {
    /// The namespaces that this entry allows.
    #[serde(default)]
    pub namespaces: Namespaces,

    /// The persons that an AwsConfig may name, as globs. `*` matches any person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+=.@*-]{1,64}$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// The login for AwsConfigs in System mode, instead of persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_+=.@\\-]+$"))]
    pub system_login: Option<String>,

    /// Whether the Secrets may hold API keys of administrators of DSS. Such a key may act as every
    /// user of DSS. false: keyturn asks DSS before it delivers an API key, and delivers none of an
    /// administrator.
    #[serde(default)]
    pub admin_keys: bool,

    /// Whether keyturn may write the credential into the account of the login in DSS (spec.push of
    /// an AwsConfig). false: keyturn writes nothing there.
    #[serde(default)]
    pub push: bool,
}

/// The state of a DssInstance, as keyturn reports it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DssInstanceStatus {
    /// The generation of the spec that this status is about. -1: keyturn has not seen the object.
    pub observed_generation: Option<i64>,

    /// Reachable: DSS answers. Authorized: the admin key has the rights that keyturn needs.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The release of DSS.
    pub version: Option<String>,

    /// The time at which keyturn read the users, exact to a twentieth of maxStale. maxStale counts
    /// from this time, also across restarts of keyturn.
    pub users_read_at: Option<Time>,
}

/// The placeholder for the person in [`DssInstanceSpec::login`].
const PERSON: &str = "${person}";

impl DssInstanceSpec {
    /// The login of a person in this DSS.
    #[must_use]
    pub fn login_of(&self, person: &str) -> String {
        self.login.replacen(PERSON, person, 1)
    }
}

fn the_person() -> String {
    PERSON.to_owned()
}

/// The name that Dataiku's documentation gives the property ("Retrieve AWS credentials from Dataiku
/// API" in the developer guide).
fn associated_role() -> Vec<String> {
    vec!["associatedRole".to_owned()]
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
