//! Namespaces that come in and go out while the operator runs, because their labels change.

use super::Enqueuer;
use crate::{
    api::AwsConfig,
    views::{Entered, Served, Views},
};
use std::time::Duration;

/// The time for which a namespace waits whose configs another shard has reconciled. The other shard
/// begins no reconcile after it sees the labels. This is the time for those that it has begun: a
/// call to the API server takes 15 s at most, and STS answers sooner.
const HANDOVER: Duration = Duration::from_secs(15);

/// Relists the views whenever namespaces come in or go out, and then serves those that came in.
/// `first` are those that came in before the views were listed for the first time. Never ends.
pub(super) async fn admit(served: &Served, first: Entered, views: &Views, enqueuer: &Enqueuer) {
    let Some(mut changes) = served.changes() else { return std::future::pending().await };
    changes.mark_unchanged();
    views.own_are_listed().await;
    served.admit(&first);
    enqueuer.all();
    loop {
        // Namespaces that came in between `first` and the receiver are found, too.
        if served.entered().is_empty() && changes.changed().await.is_err() {
            return;
        }
        changes.mark_unchanged();
        let entered = served.entered();
        views.relist_own().await;
        if has_a_former_shard(&entered, views) {
            tokio::time::sleep(HANDOVER).await;
        }
        served.admit(&entered);
        if !entered.is_empty() {
            let names: Vec<&str> = entered.iter().map(|(name, _)| name.as_str()).collect();
            tracing::info!(namespaces = names.join(","), "these namespaces are served from now on");
            enqueuer.all();
        }
    }
}

/// Whether an operator has written the status of a config in one of the namespaces. The API server
/// gives a new config a status without conditions.
fn has_a_former_shard(entered: &Entered, views: &Views) -> bool {
    let is_seen = |config: &AwsConfig| config.status.as_ref().is_some_and(|status| !status.conditions.is_empty());
    entered.iter().any(|(name, _)| views.configs_in(name).any(|config| is_seen(&config)))
}
