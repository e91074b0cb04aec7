//! The leader's search for missed pods: pods that asked for a credential and did not get it. The
//! search records a finding in the memory, and the reconcile of the config writes it to the status.
//!
//! keyturn does not watch pods, because they change far more often than a pod is missed. It lists
//! the pods of namespaces with configs only, page by page, and only their metadata.

use crate::{
    api::{AwsConfig, ConditionType, find_condition},
    cluster::{CallError, Calls},
    controller::Enqueuer,
    digest::Digest,
    inject::{Count, Missed, is_sent_to_the_webhook},
    memory::Memory,
    metrics::Metrics,
    views::Views,
};
use kube::ResourceExt as _;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// The time after which keyturn determines again, in memory, which namespaces are due. The first
/// search is also this long after the replica becomes the leader.
const TICK: Duration = Duration::from_secs(5);
/// The time after which the pods of a namespace are listed again.
const EVERY: Duration = Duration::from_secs(300);
/// The time that counts instead of [`EVERY`] if the configs that select pods have changed, or if
/// the list failed.
const SOON: Duration = Duration::from_secs(30);

/// The handles that the search works with.
pub(super) struct MissedPods {
    pub(super) calls: Calls,
    pub(super) views: Arc<[Views]>,
    pub(super) enqueuers: Vec<Enqueuer>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Metrics,
    /// The namespace of the release. The API server does not send its pods to the webhook.
    pub(super) own: String,
}

/// The last search of a namespace: its time, the digest of the selectors it was made with, and its
/// result.
struct Searched {
    at: Instant,
    failed: bool,
    selectors: String,
    missed: usize,
    /// The pods that ask for configs that do not exist, as logged.
    orphans: Option<String>,
}

impl Searched {
    /// Whether the namespace is due, with the present digest of the selectors. It is computed only
    /// if it decides, because it takes a read of every config of the namespace.
    fn is_due(&self, selectors: impl FnOnce() -> String, now: Instant) -> bool {
        let since = now.duration_since(self.at);
        since >= EVERY || since >= SOON && (self.failed || self.selectors != selectors())
    }
}

impl MissedPods {
    /// Searches for ever.
    pub(super) async fn run(self) {
        let mut scopes: Vec<(&Views, &Enqueuer, HashMap<String, Searched>)> =
            self.views.iter().zip(&self.enqueuers).map(|(views, enqueuer)| (views, enqueuer, HashMap::new())).collect();
        loop {
            tokio::time::sleep(TICK).await;
            for (views, enqueuer, known) in &mut scopes {
                // With an unsynced view, a pod would be counted as missed for the wrong config, or
                // for none.
                if views.configs.sync_state().unsynced().is_some() || views.namespaces.sync_state().unsynced().is_some()
                {
                    continue;
                }
                // A namespace without configs is dropped from the record, and costs nothing.
                let mut before = std::mem::take(known);
                for namespace in namespaces_of(views) {
                    let former = before.remove(&namespace);
                    if let Some(searched) = self.search(views, enqueuer, &namespace, former).await {
                        known.insert(namespace, searched);
                    }
                }
            }
            let known = scopes.iter().flat_map(|(.., known)| known.values());
            self.metrics.pods_missed(known.map(|searched| searched.missed).sum());
        }
    }

    /// Searches a namespace if it is due. `None` if the webhook does not serve its pods, or if the
    /// view does not show the namespace yet.
    async fn search(
        &self,
        views: &Views,
        enqueuer: &Enqueuer,
        namespace: &str,
        former: Option<Searched>,
    ) -> Option<Searched> {
        let shown = views.namespaces.get("", namespace)?;
        let at = Instant::now();
        let is_searched = is_sent_to_the_webhook(namespace, shown.labels(), &self.own);
        let (found_before, said_before) =
            former.as_ref().map_or((0, None), |former| (former.missed, former.orphans.clone()));
        let read = || views.configs_in(namespace).collect::<Vec<_>>();
        if let Some(former) = former.filter(|former| is_searched && !former.is_due(|| selectors(&read()), at)) {
            return Some(former);
        }
        let configs = &read();
        let selectors = selectors(configs);
        let mut count = Count::among(configs);
        let listed = if is_searched { self.list(namespace, &mut count).await } else { Ok(()) };
        if let Err(error) = listed {
            // The former result stands, because half a list says nothing about the other half.
            tracing::warn!(%error, "pods that were missed are not looked for; it will be tried again");
            return Some(Searched { at, failed: true, selectors, missed: found_before, orphans: said_before });
        }
        let orphans = count.orphans();
        if let Some(orphans) = orphans.as_ref().filter(|_| orphans != said_before) {
            tracing::warn!(namespace, "{orphans}; apply it, or correct the annotation of the pods");
        }
        let mut missed = count.missed();
        let total = missed.values().map(Missed::count).sum();
        for config in configs {
            let (name, uid) = (config.name_any(), config.uid().unwrap_or_default());
            let missed = missed.remove(&name).unwrap_or_default();
            let Some(shown) = views.configs.get(namespace, &name).filter(|shown| shown.uid() == config.uid()) else {
                continue;
            };
            let finding = missed.statement();
            let is_to_be_recorded = finding.is_some() || has_pods_condition(&shown);
            if self.memory.record_finding(&uid, ConditionType::PodsMissed, finding) && is_to_be_recorded {
                enqueuer.missed_pods_changed(namespace, &name);
            }
        }
        is_searched.then_some(Searched { at, failed: false, selectors, missed: total, orphans })
    }

    async fn list(&self, namespace: &str, count: &mut Count<'_>) -> Result<(), CallError> {
        let mut next = None;
        loop {
            let page = self.calls.unfinished_pods(namespace, next.as_deref()).await?;
            page.items.iter().for_each(|pod| count.saw(&pod.metadata));
            next = page.metadata.continue_.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

fn has_pods_condition(config: &AwsConfig) -> bool {
    config.status.as_ref().is_some_and(|status| find_condition(&status.conditions, ConditionType::PodsMissed).is_some())
}

/// The namespaces that have configs.
fn namespaces_of(views: &Views) -> BTreeSet<String> {
    views.configs.names().iter().map(|name| name.namespace().to_owned()).collect()
}

/// A digest of the names, the UIDs, the targets and the selectors of these configs, in the order of
/// the names. The search keeps no copy of the selectors, because users choose their size.
fn selectors(configs: &[Arc<AwsConfig>]) -> String {
    let mut in_order: Vec<&AwsConfig> = configs.iter().map(Arc::as_ref).collect();
    in_order.sort_by_cached_key(|config| config.name_any());
    let mut digest = Digest::default();
    for config in in_order {
        digest.part(config.name_any());
        digest.part(config.uid().unwrap_or_default());
        digest.part(config.target_name());
        // A selector is text only, and always becomes JSON.
        digest.part(serde_json::to_vec(&config.spec.inject).unwrap_or_default());
    }
    digest.short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn config(name: &str, uid: &str, app: Option<&str>) -> Arc<AwsConfig> {
        let inject = app.map(|app| json!({"podSelector": {"matchLabels": {"app": app}}}));
        let mut config = AwsConfig::new(name, from_value(json!({"person": "alice", "inject": inject})).unwrap());
        config.metadata.uid = Some(uid.to_owned());
        Arc::new(config)
    }

    #[test]
    fn a_search_is_due_soon_once_the_selecting_configs_have_changed() {
        let configs = [config("a", "1", Some("web")), config("b", "2", None)];
        let at = Instant::now();
        let searched = Searched { at, failed: false, selectors: selectors(&configs), missed: 0, orphans: None };
        let [a, b] = configs;
        for (case, changed, is_due) in [
            ("the same configs", vec![a.clone(), b.clone()], false),
            ("another order", vec![b.clone(), a.clone()], false),
            ("another selector", vec![config("a", "1", Some("scorer")), b.clone()], true),
            ("no selector", vec![config("a", "1", None), b.clone()], true),
            ("a config of the same name", vec![config("a", "3", Some("web")), b.clone()], true),
            ("one config fewer", vec![a.clone()], true),
            ("one config more", vec![a.clone(), b.clone(), config("c", "4", None)], true),
        ] {
            assert_eq!(searched.is_due(|| selectors(&changed), at + SOON), is_due, "{case}");
            assert!(searched.is_due(|| selectors(&changed), at + EVERY), "{case}");
            assert!(!searched.is_due(|| selectors(&changed), at), "{case}");
        }
    }
}
