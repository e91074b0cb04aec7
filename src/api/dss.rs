//! `spec.dss`: the settings and the API key of the DSS client in the pod.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The DSS that the pod's code talks to, as the person. The DssInstance maps the person to a login;
/// the user does not choose the login.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.apiKey != 'Personal' || !has(self.apiKeySecretRef)").message("apiKey Personal and apiKeySecretRef exclude each other: keyturn creates the key, or a Secret holds it"),
    validation = Rule::new("self.apiKey == 'Personal' || !has(self.apiKeyRotation)").message("apiKeyRotation belongs to apiKey Personal: only a key that keyturn created can be rotated")
)]
pub struct DssClient {
    /// The name of the DssInstance. Its allow has to list this namespace and this person.
    #[schemars(length(min = 1, max = 59), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub instance: String,

    /// The key of the DSS project that the code belongs to, in the Secret as
    /// DKU_CURRENT_PROJECT_KEY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_]+$"))]
    pub project: Option<String>,

    /// The API key in the Secret. Personal: keyturn creates a personal API key of the login, and
    /// deletes it when the credential is withdrawn or this AwsConfig is deleted. None: the Secret
    /// holds no API key, unless apiKeySecretRef names one.
    #[serde(default)]
    pub api_key: ApiKey,

    /// Any text. When it changes, keyturn creates a new personal API key. The old key works for
    /// another 24h, because a DSS client keeps the key that it was built with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_.:-]+$"))]
    pub api_key_rotation: Option<String>,

    /// A Secret that holds an API key of the login. The owner of the Secret has to label it
    /// `keyturn.dev/source: "true"`. keyturn never writes this Secret. keyturn delivers the key
    /// only if DSS confirms that it is a personal API key of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<ApiKeySecretRef>,
}

/// The API key of DSS in the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiKey {
    /// A personal API key, which keyturn creates and deletes.
    Personal,
    /// No API key.
    #[default]
    None,
}

/// A reference to one data key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeySecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The data key under which the Secret holds the API key.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_key() -> String {
    "apiKey".to_owned()
}

impl DssClient {
    /// Whether the Secret has to hold an API key.
    #[must_use]
    pub fn wants_key(&self) -> bool {
        self.api_key == ApiKey::Personal || self.api_key_secret_ref.is_some()
    }
}
