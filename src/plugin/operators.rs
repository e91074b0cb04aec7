//! The Deployments of keyturn in the cluster, as the caller may see them.

use super::{
    Failed,
    connect::{listed, readable},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, ResourceExt as _};

/// The label that the chart gives all objects of a release.
pub(super) const PART_OF_KEYTURN: &str = "app.kubernetes.io/part-of=keyturn";
/// The label with the version of the program.
const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// The label that says whether a Deployment is the operator or the webhook.
const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// A Deployment of keyturn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub namespace: String,
    pub name: String,
    /// `operator` or `webhook`.
    pub component: String,
    pub version: String,
    pub image: String,
    pub ready: i32,
    pub wanted: i32,
    /// The names and values of the variables of its container, for those that have a value.
    pub variables: Vec<(String, String)>,
}

impl Running {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn is_operator(&self) -> bool {
        self.component == "operator"
    }
}

/// The Deployments of keyturn in all namespaces; `None` if the caller may not list Deployments.
///
/// # Errors
/// [`Failed`] if the API server does not answer.
pub(super) async fn running(client: &Client) -> Result<Option<Vec<Running>>, Failed> {
    let found: Result<Vec<Deployment>, _> = listed(&Api::all(client.clone()), Some(PART_OF_KEYTURN)).await;
    let found = readable("cannot list the Deployments of keyturn", found)?;
    Ok(found.map(|found| found.iter().map(of).collect()))
}

fn of(deployment: &Deployment) -> Running {
    let label = |name: &str| deployment.labels().get(name).cloned().unwrap_or_default();
    let spec = deployment.spec.as_ref();
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let container = pod.and_then(|pod| pod.containers.first());
    let variables = container.and_then(|container| container.env.as_ref()).into_iter().flatten();
    Running {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        component: label(COMPONENT_LABEL),
        version: label(VERSION_LABEL),
        image: container.and_then(|container| container.image.clone()).unwrap_or_default(),
        ready: deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default(),
        wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        variables: variables.filter_map(|it| Some((it.name.clone(), it.value.clone()?))).collect(),
    }
}
