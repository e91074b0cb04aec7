//! `spec.inject`: pods that get the Secret mounted without asking.

use super::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Pods of the namespace that get the Secret mounted without asking.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inject {
    /// The labels of the pods; not empty. A pod that names an AwsConfig by the annotation `keyturn.dev/aws-config` gets that one instead.
    /// Of several AwsConfigs whose selectors match, the first by name is used. A pod with the label `keyturn.dev/inject: "false"` is left alone.
    #[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)").message("inject.podSelector must not be empty: it would match every pod of the namespace"))]
    pub pod_selector: LabelSelector,
}
