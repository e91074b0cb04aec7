//! `spec.inject`: how pods get the Secret, and which get it without an annotation.

use super::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pods of the namespace that get the Secret without an annotation, and the delivery to pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.podSelector) || has(self.delivery) || has(self.home)").message("inject needs podSelector, delivery or home"),
    validation = Rule::new("!has(self.podSelector) || (has(self.podSelector.matchLabels) && size(self.podSelector.matchLabels) > 0) || (has(self.podSelector.matchExpressions) && size(self.podSelector.matchExpressions) > 0)").message("inject.podSelector must not be empty: it would match every pod of the namespace")
)]
pub struct Inject {
    /// A selector over the labels of the pods; not empty. A pod that names an AwsConfig in the
    /// annotation `keyturn.dev/aws-config` gets the Secret of that AwsConfig instead. If the
    /// selectors of several AwsConfigs match, the oldest AwsConfig has the pod. keyturn does not
    /// change a pod with the label `keyturn.dev/inject: "false"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,

    /// The delivery, if the pod does not choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,

    /// The absolute path of the home folder in the containers, such as `/home/dataiku`. keyturn
    /// mounts the folders `.aws`, with `config`, and, with an API key of DSS, `.dataiku`, with
    /// `config.json`, there, where samples and IDEs look. The files follow the Secret. The mount
    /// hides the image's own files there. The annotation `keyturn.dev/home` of a pod wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[A-Za-z0-9/._@+-]*$"))]
    pub home: Option<String>,
}

/// The delivery of the credential to pods that get this Secret, if the pod does not choose by the
/// annotation `keyturn.dev/delivery`. Files: SDKs read the mounted Secret, and run `cat`. Endpoint:
/// SDKs ask a small container that keyturn adds to the pod, for images without `cat` and for
/// clients without `credential_process`. Default: `webhook.defaultDelivery` of the chart, which is
/// Files unless a cluster admin chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// SDKs read the mounted Secret.
    #[default]
    Files,
    /// SDKs ask a container in the pod, which speaks the container credentials protocol of AWS.
    Endpoint,
}

impl Delivery {
    /// The delivery of this name, in any case: annotations of pods are often in lower case.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let all = [("files", Self::Files), ("endpoint", Self::Endpoint)];
        all.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, delivery)| delivery)
    }
}
