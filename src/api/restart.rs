//! `spec.restart`: workloads that keyturn restarts after each renewal, because a process never
//! reads its environment again.

use super::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The annotation of a pod template that holds the time of the last restart.
/// `kubectl rollout restart` and keyturn restart a workload by writing it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Workloads of the namespace that keyturn restarts after each renewal.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) != has(self.selector)").message("restart needs exactly one of name and selector"),
    validation = Rule::new("!has(self.selector) || (has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)").message("restart.selector must not be empty: it would match every workload of the namespace")
)]
pub struct Restart {
    /// The kind of the workload: Deployment, StatefulSet or DaemonSet.
    pub kind: WorkloadKind,

    /// The name of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,

    /// A selector over the labels of the workloads, instead of name; not empty. Use it for
    /// workloads with generated names, such as those of Dataiku's API deployer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A kind of workload whose controller replaces its pods when the pod template changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Deployment of `apps/v1`.
    Deployment,
    /// A StatefulSet of `apps/v1`.
    StatefulSet,
    /// A DaemonSet of `apps/v1`.
    DaemonSet,
}

impl WorkloadKind {
    /// The kind, as manifests spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}
