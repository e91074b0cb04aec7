//! `spec.target`: the user's settings for the Secret that holds the credential.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SECRET_NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The Secret that keyturn writes the credential into.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The name of the Secret. Default: the name of this AwsConfig followed by `-aws`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME_PATTERN))]
    pub name: Option<String>,

    /// The forms in which the Secret holds the credential. Env: variables for `envFrom`. Files:
    /// `config`, `credentials` and `credential-process.json`, to be mounted. Dataiku:
    /// `aws-credential.json`, the dict of `get_aws_credential()`. DataRobot:
    /// `datarobot-credential.json`, the credential data that DataRobot's clients take. Default: Env
    /// and Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub formats: Option<Vec<Format>>,

    /// Labels that keyturn puts on the Secret, at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("a label's key is an optional DNS prefix and a slash, then at most 63 letters, digits and -_."))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('keyturn.dev/') && !k.startsWith('kubernetes.io/') && k != 'app.kubernetes.io/managed-by')").message("the labels keyturn.dev/*, kubernetes.io/* and app.kubernetes.io/managed-by are reserved"))]
    #[x_kube(validation = Rule::new("self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$') && size(self[k]) <= 63)").message("a label's value is at most 63 letters, digits and -_., and begins and ends with a letter or digit"))]
    pub labels: BTreeMap<String, TargetValue>,

    /// Annotations that keyturn puts on the Secret, at most 32, each of at most 1024 characters.
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
    /// Variables for `envFrom`, such as `AWS_ACCESS_KEY_ID`.
    Env,
    /// `config`, `credentials` and `credential-process.json`, to be mounted.
    Files,
    /// `aws-credential.json`, for code that was written for DSS.
    Dataiku,
    /// `datarobot-credential.json`, for code that gives DataRobot credential data inline.
    DataRobot,
}

impl Format {
    /// The formats of a target that names none.
    pub const DEFAULT: [Self; 2] = [Self::Env, Self::Files];
}
