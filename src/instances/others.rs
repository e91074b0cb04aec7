//! The configs that only other shards see.

use crate::cluster::{CallError, Calls};
use kube::ResourceExt as _;

/// Whether a config of any namespace has this finalizer. The metadata of all configs is read, page
/// by page, until one has it. An instance is deleted rarely, and no view shows the namespaces of
/// other shards.
pub(super) async fn any_config_has(calls: &Calls, finalizer: &str) -> Result<bool, CallError> {
    let mut next = None;
    loop {
        let page = calls.configs_metadata(next.as_deref()).await?;
        if page.items.iter().any(|config| config.finalizers().iter().any(|it| it == finalizer)) {
            return Ok(true);
        }
        next = page.metadata.continue_.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(false);
        }
    }
}
