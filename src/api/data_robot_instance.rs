//! `DataRobotInstance`: a DataRobot, and the namespaces and persons whose credentials keyturn may
//! keep in it. Only cluster admins write it.

use super::Namespaces;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The end of the URL of DataRobot's API. Its clients take the URL with this end.
const API: &str = "/api/v2";

/// A DataRobot: its URL, the API token of an account, and the namespaces and persons that may use
/// it.
///
/// Only cluster admins should have the right to write a DataRobotInstance, because its author
/// decides where keyturn sends the API token and the credentials.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "keyturn.dev",
    version = "v1alpha1",
    kind = "DataRobotInstance",
    plural = "datarobotinstances",
    status = "DataRobotInstanceStatus",
    derive = "PartialEq",
    shortname = "datarobot",
    category = "keyturn",
    doc = "DataRobotInstance is a DataRobot. keyturn keeps credentials of AwsConfigs in it, for those that its allow lists; keyturn refuses everything else.",
    validation = Rule::new("size(self.metadata.name) <= 53").message("metadata.name must be at most 53 characters long: a finalizer's name is made of it"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "the URL of DataRobot"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "the version of DataRobot's API"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "True: DataRobot answers, and takes the API token"),
    printcolumn(name = "Reachable", type_ = "string", json_path = ".status.conditions[?(@.type=='Reachable')].status", description = "True: DataRobot answers"),
    printcolumn(name = "Authorized", type_ = "string", json_path = ".status.conditions[?(@.type=='Authorized')].status", description = "True: DataRobot takes the API token"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "the age of the object"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1, description = "what is in the way")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.url.startsWith('https://') || !has(self.caBundle)").message("caBundle is for https URLs"),
    validation = Rule::new("has(self.tokenSecretRef) || (has(self.allow) && self.allow.exists(a, a.ownTokens))").message("without tokenSecretRef, an entry of allow has to let AwsConfigs bring their own tokens (ownTokens)")
)]
pub struct DataRobotInstanceSpec {
    /// The URL of DataRobot, as its users type it, with or without /api/v2, and without a trailing
    /// slash. With http, tokens and credentials travel unencrypted. Immutable.
    #[schemars(
        length(max = 512),
        regex(pattern = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("url is immutable: another DataRobot is another DataRobotInstance, since credentials that keyturn keeps in this one are deleted through it"))]
    pub url: String,

    /// The Secret that holds the API token of the account in which keyturn keeps the credentials.
    /// Everybody who works with this account can use them. keyturn sends this token to DataRobot
    /// only, and delivers it to no pod. Absent: each AwsConfig brings a token of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<InstanceTokenSecretRef>,

    /// Certificate authorities in PEM. keyturn trusts them for this DataRobot instead of the
    /// system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,

    /// The namespaces whose AwsConfigs may use this DataRobot, and the persons that they may name.
    /// One entry has to allow both the namespace and the person. Absent: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow: Vec<DataRobotAllowance>,
}

/// A reference to one data key of a Secret of any namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceTokenSecretRef {
    /// The namespace of the Secret. Choose one in which no user reads Secrets, such as keyturn's
    /// own.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,

    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The data key under which the Secret holds the API token.
    #[serde(default = "api_token")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Allows namespaces to keep credentials of persons in a DataRobot.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataRobotAllowance {
    /// The namespaces that this entry allows.
    #[serde(default)]
    pub namespaces: Namespaces,

    /// The persons that an AwsConfig may name, as globs. `*` matches any person. AwsConfigs in
    /// System mode need `system:<namespace>`, which `*` does not match.
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 71), regex(pattern = "^(system:[a-z0-9*-]{1,63}|[A-Za-z0-9_+=.@*-]{1,64})$"))
    )]
    #[x_kube(validation = Rule::new("self.all(p, !p.contains('**'))").message("** is no wildcard here: write *"))]
    pub persons: Vec<String>,

    /// Whether an AwsConfig may name a Secret with an API token of its own (tokenSecretRef).
    /// keyturn then keeps the credential in the account of that token, whoever owns it.
    #[serde(default)]
    pub own_tokens: bool,
}

/// The state of a DataRobotInstance, as keyturn reports it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataRobotInstanceStatus {
    /// The generation of the spec that this status is about. -1: keyturn has not seen the object.
    pub observed_generation: Option<i64>,

    /// Reachable: DataRobot answers. Authorized: DataRobot takes the API token.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The version of DataRobot's API.
    pub version: Option<String>,
}

fn api_token() -> String {
    "apiToken".to_owned()
}

impl DataRobotInstanceSpec {
    /// The URL of the API, as DataRobot's clients take it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}{API}", self.url.strip_suffix(API).unwrap_or(&self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn the_endpoint_ends_with_the_version_of_the_api_once() {
        for (url, endpoint) in [
            ("https://app.datarobot.com", "https://app.datarobot.com/api/v2"),
            ("https://app.datarobot.com/api/v2", "https://app.datarobot.com/api/v2"),
            ("https://ml.example.com/datarobot", "https://ml.example.com/datarobot/api/v2"),
        ] {
            let spec: DataRobotInstanceSpec = from_value(json!({ "url": url })).unwrap();
            assert_eq!(spec.endpoint(), endpoint);
        }
    }
}
