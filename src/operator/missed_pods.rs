//! The leader's search for pods that asked for a credential and have not got it. What it finds is remembered and told by
//! the ordinary look at the config.
//!
//! Pods are not watched: they change far more often than anybody is missed. Only namespaces with configs are looked at,
//! page by page, and only metadata is asked for.

use crate::{
    api::{AwsConfig, ConditionType, Inject, find_condition},
    cluster::{CallError, Calls},
    controller::Enqueuer,
    inject::{Count, is_looked_at},
    metrics::Metrics,
    reconcile::Memory,
    views::Views,
};
use kube::ResourceExt as _;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How often it is worked out which namespaces are due, in memory. The first time is so long after this replica leads.
const TICK: Duration = Duration::from_secs(5);
/// How often the pods of a namespace are looked at.
const EVERY: Duration = Duration::from_secs(300);
/// How soon they are looked at again if who selects them has changed, or a list failed.
const SOON: Duration = Duration::from_secs(30);

/// What it works with.
pub(super) struct MissedPods {
    pub(super) calls: Calls,
    pub(super) views: Arc<[Views]>,
    pub(super) enqueuers: Vec<Enqueuer>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Metrics,
    /// The release's namespace, whose pods the webhook is not asked about.
    pub(super) own: String,
}

/// When a namespace was looked at, among whom, and what came of it.
struct Searched {
    at: Instant,
    failed: bool,
    selectors: Selectors,
    missed: usize,
}

/// Who selects pods: UIDs and selectors, by name.
type Selectors = BTreeMap<String, (Option<String>, Option<Inject>)>;

impl Searched {
    fn is_due(&self, selectors: &Selectors, now: Instant) -> bool {
        let soon = self.failed || self.selectors != *selectors;
        now.duration_since(self.at) >= if soon { SOON } else { EVERY }
    }
}

impl MissedPods {
    /// Controllers for ever.
    pub(super) async fn run(self) {
        let mut scopes: Vec<(&Views, &Enqueuer, HashMap<String, Searched>)> =
            self.views.iter().zip(&self.enqueuers).map(|(views, enqueuer)| (views, enqueuer, HashMap::new())).collect();
        loop {
            tokio::time::sleep(TICK).await;
            for (views, enqueuer, known) in &mut scopes {
                // Half of the configs would select other pods.
                if views.configs.sync_state().unsynced().is_some() || views.namespaces.sync_state().unsynced().is_some()
                {
                    continue;
                }
                // A namespace without configs is forgotten, and costs nothing.
                let mut before = std::mem::take(known);
                for (namespace, configs) in by_namespace(views) {
                    let former = before.remove(&namespace);
                    if let Some(searched) = self.search(views, enqueuer, &namespace, &configs, former).await {
                        known.insert(namespace, searched);
                    }
                }
            }
            let known = scopes.iter().flat_map(|(.., known)| known.values());
            self.metrics.pods_missed(known.map(|searched| searched.missed).sum());
        }
    }

    /// Controllers at a namespace if it is due. `None` if its pods are not the webhook's business, or that is not known yet.
    async fn search(
        &self,
        views: &Views,
        enqueuer: &Enqueuer,
        namespace: &str,
        configs: &[Arc<AwsConfig>],
        former: Option<Searched>,
    ) -> Option<Searched> {
        let shown = views.namespaces.get("", namespace)?;
        let selectors = selectors(configs);
        let at = Instant::now();
        let looked_at = is_looked_at(namespace, shown.labels(), &self.own);
        let found_before = former.as_ref().map_or(0, |former| former.missed);
        if let Some(former) = former.filter(|former| looked_at && !former.is_due(&selectors, at)) {
            return Some(former);
        }
        let mut count = Count::among(configs);
        let listed = if looked_at { self.list(namespace, &mut count).await } else { Ok(()) };
        if let Err(error) = listed {
            // What was found before stands: half a list says nothing of the other half.
            tracing::warn!(%error, "pods that were missed are not looked for; it will be tried again");
            return Some(Searched { at, failed: true, selectors, missed: found_before });
        }
        let mut missed = count.missed();
        let total = missed.values().map(|missed| missed.count).sum();
        for config in configs {
            let (name, uid) = (config.name_any(), config.uid().unwrap_or_default());
            let missed = missed.remove(&name).unwrap_or_default();
            let Some(shown) = views.configs.get(namespace, &name).filter(|shown| shown.uid() == config.uid()) else {
                continue;
            };
            let is_to_be_recorded = missed.count > 0 || tells_of_pods(&shown);
            let finding = missed.statement();
            if self.memory.record_finding(&uid, ConditionType::PodsMissed, finding) && is_to_be_recorded {
                enqueuer.missed_pods_changed(namespace, &name);
            }
        }
        looked_at.then_some(Searched { at, failed: false, selectors, missed: total })
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

fn tells_of_pods(config: &AwsConfig) -> bool {
    config.status.as_ref().is_some_and(|status| find_condition(&status.conditions, ConditionType::PodsMissed).is_some())
}

fn by_namespace(views: &Views) -> BTreeMap<String, Vec<Arc<AwsConfig>>> {
    let mut found: BTreeMap<String, Vec<Arc<AwsConfig>>> = BTreeMap::new();
    for config in views.configs.store().state() {
        found.entry(config.namespace().unwrap_or_default()).or_default().push(config);
    }
    found
}

fn selectors(configs: &[Arc<AwsConfig>]) -> Selectors {
    configs.iter().map(|config| (config.name_any(), (config.uid(), config.spec.inject.clone()))).collect()
}
