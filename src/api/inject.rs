//! `spec.inject`: pods that get the Secret mounted without an annotation.

use super::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Pods of the namespace into which keyturn mounts the Secret without an annotation on the pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inject {
    /// A selector over the labels of the pods; not empty. A pod that names an AwsConfig in the
    /// annotation `keyturn.dev/aws-config` gets the Secret of that AwsConfig instead. If the
    /// selectors of several AwsConfigs match, keyturn uses the first by name. keyturn does not
    /// change a pod with the label `keyturn.dev/inject: "false"`.
    #[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)").message("inject.podSelector must not be empty: it would match every pod of the namespace"))]
    pub pod_selector: LabelSelector,
}
