//! The check at the start of a process: whether the API server answers, accepts the identity of the
//! process, and serves keyturn's resources.

use crate::api::names;
use kube::Client;

/// The reasons why a process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server does not answer.
    #[error("the Kubernetes API server does not answer: {0}")]
    Unreachable(String),
    /// The API server refuses the identity of the process.
    #[error("the Kubernetes API server refuses keyturn's identity: HTTP {0} for {1}")]
    Refused(u16, String),
    /// The API server lacks the custom resource definitions, or has old ones.
    #[error(
        "the API server has no {0}: install the custom resource definitions with the chart (crds.install=true), or by \
         `keyturn crds | kubectl apply --server-side -f -`"
    )]
    NoDefinitions(String),
}

/// Checks that the API server serves the resources of keyturn's group with these plurals.
///
/// # Errors
/// [`StartError`] if it does not. The error says what to do.
pub async fn check_served(client: &Client, plurals: &[String]) -> Result<(), StartError> {
    let group_version = format!("{}/{}", names::GROUP, names::VERSION);
    let path = format!("/apis/{group_version}");
    let resources = match client.list_api_group_resources(&group_version).await {
        Ok(list) => list.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => return Err(StartError::NoDefinitions(path)),
        Err(kube::Error::Api(status)) => return Err(StartError::Refused(status.code, path)),
        Err(error) => return Err(StartError::Unreachable(error.to_string())),
    };
    let missing = plurals.iter().find(|plural| resources.iter().all(|resource| resource.name != **plural));
    missing.map_or(Ok(()), |plural| Err(StartError::NoDefinitions(format!("{plural}.{group_version}"))))
}
