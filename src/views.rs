//! What the API server shows of each kind, and how it is found.

use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, DssInstance, Inject, names},
    cluster::{SyncState, Watched},
};
use futures::{
    FutureExt as _,
    future::{self, join_all},
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{ResourceExt as _, core::PartialObjectMeta, runtime::reflector::store::Writer};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How long a look waits for views that are not whole before it makes room for others.
pub(super) const MOMENT: Duration = Duration::from_secs(2);

/// Under this key are the grants that choose namespaces by label.
const BY_LABEL: &str = "by label";

/// What the API server shows of each kind.
#[derive(Clone)]
pub struct Views {
    /// The configs of the scope.
    pub configs: Watched<AwsConfig>,
    /// The roles of the scope.
    pub roles: Watched<AwsRole>,
    /// The metadata of the Secrets of the scope that carry our label.
    pub secrets: Watched<PartialObjectMeta<Secret>>,
    /// The metadata of the Secrets of the scope that their owners offer.
    pub sources: Watched<PartialObjectMeta<Secret>>,
    /// All grants.
    pub grants: Watched<AwsRoleGrant>,
    /// The names and labels of all namespaces.
    pub namespaces: Watched<PartialObjectMeta<Namespace>>,
    /// All instances of DSS.
    pub instances: Watched<DssInstance>,
}

/// What [`crate::cluster::follow`] needs for each view of a scope.
pub struct Writers {
    /// For [`Views::configs`].
    pub configs: Writer<AwsConfig>,
    /// For [`Views::roles`].
    pub roles: Writer<AwsRole>,
    /// For [`Views::secrets`].
    pub secrets: Writer<PartialObjectMeta<Secret>>,
    /// For [`Views::sources`].
    pub sources: Writer<PartialObjectMeta<Secret>>,
}

/// All grants, found by the namespaces that they are about.
#[must_use]
pub fn grants() -> (Watched<AwsRoleGrant>, Writer<AwsRoleGrant>) {
    Watched::new("awsrolegrants.keyturn.dev", |grant| {
        let Some(namespaces) = &grant.spec.namespaces else { return vec![] };
        let by_label = namespaces.selector.iter().map(|_| BY_LABEL.to_owned());
        namespaces.names.iter().map(|name| named(name)).chain(by_label).collect()
    })
}

/// All namespaces.
#[must_use]
pub fn namespaces() -> (Watched<PartialObjectMeta<Namespace>>, Writer<PartialObjectMeta<Namespace>>) {
    Watched::new("namespaces", |_| vec![])
}

/// All instances of DSS.
#[must_use]
pub fn instances() -> (Watched<DssInstance>, Writer<DssInstance>) {
    Watched::new("dssinstances.keyturn.dev", |_| vec![])
}

fn uses(instance: &str) -> String {
    format!("dss {instance}")
}

/// The instances in which, by its finalizers' word, there may be keys of a config.
pub(super) fn key_places(config: &AwsConfig) -> impl Iterator<Item = &str> {
    config.finalizers().iter().filter_map(|finalizer| finalizer.strip_prefix(names::DSS_FINALIZER))
}

fn named(namespace: &str) -> String {
    format!("namespace {namespace}")
}

fn wanted(namespace: &str, secret: &str) -> String {
    format!("target {namespace}/{secret}")
}

fn feeds(namespace: &str, secret: &str) -> String {
    format!("source {namespace}/{secret}")
}

fn restarts(namespace: &str) -> String {
    format!("restarts {namespace}")
}

fn selects(namespace: &str, label: Option<(&str, &str)>) -> String {
    label.map_or_else(|| format!("selects {namespace}"), |(key, value)| format!("selects {namespace} {key}={value}"))
}

/// Under these keys a config is found that selects pods: one for each label of which they need one.
fn selected(namespace: &str, config: &AwsConfig) -> Vec<String> {
    let Some(Inject { pod_selector }) = &config.spec.inject else { return vec![] };
    let needs = pod_selector.needs_one_of();
    let labels = if needs.is_empty() { vec![None] } else { needs.into_iter().map(Some).collect() };
    labels.into_iter().map(|label| selects(namespace, label)).collect()
}

/// Under one of these keys is whatever selects a pod with these labels.
fn selecting(namespace: &str, labels: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let labels = labels.iter().map(|(key, value)| Some((&**key, &**value)));
    labels.chain([None]).map(move |label| selects(namespace, label))
}

fn of_config(namespace: &str, config: &str) -> String {
    format!("config {namespace}/{config}")
}

impl Views {
    /// Nothing seen yet of a scope; what all scopes share is given.
    #[must_use]
    pub fn new(
        grants: Watched<AwsRoleGrant>,
        namespaces: Watched<PartialObjectMeta<Namespace>>,
        instances: Watched<DssInstance>,
    ) -> (Self, Writers) {
        let (configs, configs_writer) = Watched::new("awsconfigs.keyturn.dev", |config: &AwsConfig| {
            let namespace = config.namespace().unwrap_or_default();
            let dss = config.spec.dss.as_ref();
            let key = config.spec.key_secret_ref.as_ref().map(|source| &source.name);
            let api_key = dss.and_then(|dss| dss.api_key_secret_ref.as_ref()).map(|source| &source.name);
            let sources = key.into_iter().chain(api_key).map(|source| feeds(&namespace, source));
            let instances: BTreeSet<&str> = key_places(config).chain(dss.map(|dss| dss.instance.as_str())).collect();
            let both = [named(&namespace), wanted(&namespace, &config.target_name())];
            let restarts = (!config.spec.restart.is_empty()).then(|| restarts(&namespace));
            let of_others = sources.chain(instances.into_iter().map(uses)).chain(restarts);
            both.into_iter().chain(of_others).chain(selected(&namespace, config)).collect()
        });
        let (roles, roles_writer) = Watched::new("awsroles.keyturn.dev", |role: &AwsRole| {
            vec![of_config(&role.namespace().unwrap_or_default(), &role.spec.aws_config_ref.name)]
        });
        let (secrets, secrets_writer) = Watched::new("secrets (labelled by keyturn)", |_| vec![]);
        let (sources, sources_writer) = Watched::new("secrets (offered as sources)", |_| vec![]);
        let writers =
            Writers { configs: configs_writer, roles: roles_writer, secrets: secrets_writer, sources: sources_writer };
        (Self { configs, roles, secrets, sources, grants, namespaces, instances }, writers)
    }

    /// The grants that name this namespace or choose namespaces by label: no other can allow it anything.
    #[must_use]
    pub fn grants_about(&self, namespace: &str) -> Vec<Arc<AwsRoleGrant>> {
        let mut grants = self.grants.find(&named(namespace));
        grants.extend(self.grants.find(BY_LABEL));
        grants
    }

    /// The configs of a namespace.
    #[must_use]
    pub fn configs_in(&self, namespace: &str) -> Vec<Arc<AwsConfig>> {
        self.configs.find(&named(namespace))
    }

    /// The configs that a pod of a namespace may mean: the one that it names, and those whose selectors may match its
    /// labels. It costs no more where there are thousands.
    #[must_use]
    pub fn configs_for_pod(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        named: Option<&str>,
    ) -> Vec<Arc<AwsConfig>> {
        let mut found: Vec<_> = selecting(namespace, labels).flat_map(|key| self.configs.find(&key)).collect();
        let named = named.filter(|named| found.iter().all(|config| config.name_any() != *named));
        found.extend(named.and_then(|named| self.configs.get(namespace, named)));
        found
    }

    /// The configs that want this Secret for their own.
    #[must_use]
    pub fn configs_wanting(&self, namespace: &str, secret: &str) -> Vec<Arc<AwsConfig>> {
        self.configs.find(&wanted(namespace, secret))
    }

    /// The configs of a namespace that have workloads restarted.
    #[must_use]
    pub fn configs_restarting(&self, namespace: &str) -> Vec<Arc<AwsConfig>> {
        self.configs.find(&restarts(namespace))
    }

    /// The roles that name this config as theirs, whoever wrote them.
    #[must_use]
    pub fn roles_of(&self, namespace: &str, config: &str) -> Vec<Arc<AwsRole>> {
        self.roles.find(&of_config(namespace, config))
    }

    /// The configs that take their key from this Secret.
    #[must_use]
    pub fn configs_fed_by(&self, namespace: &str, secret: &str) -> Vec<Arc<AwsConfig>> {
        self.configs.find(&feeds(namespace, secret))
    }

    /// The configs that use this DSS, or may have keys in it.
    #[must_use]
    pub fn configs_using(&self, instance: &str) -> Vec<Arc<AwsConfig>> {
        self.configs.find(&uses(instance))
    }

    /// Whether a config uses this DSS, or may have keys in it.
    #[must_use]
    pub fn is_used(&self, instance: &str) -> bool {
        !self.configs_using(instance).is_empty()
    }

    /// Whether there may be keys of a config in this DSS.
    #[must_use]
    pub fn has_keys_in(&self, instance: &str) -> bool {
        self.configs_using(instance).iter().any(|config| key_places(config).any(|place| place == instance))
    }

    fn sync_state(&self) -> [&SyncState; 7] {
        [
            self.configs.sync_state(),
            self.roles.sync_state(),
            self.secrets.sync_state(),
            self.sources.sync_state(),
            self.grants.sync_state(),
            self.namespaces.sync_state(),
            self.instances.sync_state(),
        ]
    }

    /// What has not been listed, in words; empty if every view is whole.
    #[must_use]
    pub fn unsynced(&self) -> Vec<String> {
        self.sync_state().into_iter().filter_map(SyncState::unsynced).collect()
    }

    /// Waits until something has not been listed.
    pub async fn until_unsynced(&self) {
        future::select_all(self.sync_state().map(|sync_state| Box::pin(sync_state.wait_until_unsynced()))).await;
    }

    /// Has everything listed anew, from now on; ends when it has been.
    pub fn relist(&self) -> impl Future<Output = ()> + Send + 'static {
        let lists = [
            self.configs.relist().boxed(),
            self.roles.relist().boxed(),
            self.secrets.relist().boxed(),
            self.sources.relist().boxed(),
            self.grants.relist().boxed(),
            self.namespaces.relist().boxed(),
            self.instances.relist().boxed(),
        ];
        join_all(lists).map(|_| ())
    }

    /// Waits a moment for every view to be whole, and says whether it is.
    pub(super) async fn synced(&self) -> bool {
        let all = async {
            for sync_state in self.sync_state() {
                sync_state.wait().await;
            }
        };
        tokio::time::timeout(MOMENT, all).await.is_ok() && self.unsynced().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn is_found(selector: &Value, labels: &Value) -> usize {
        let config = AwsConfig::new(
            "alice",
            from_value(json!({"person": "alice", "inject": {"podSelector": selector}})).unwrap(),
        );
        let (under, labels) = (selected("scoring", &config), from_value(labels.clone()).unwrap());
        assert!(selecting("lab", &labels).all(|key| !under.contains(&key)), "in its own namespace only");
        selecting("scoring", &labels).filter(|key| under.contains(key)).count()
    }

    #[test]
    fn a_config_that_selects_a_pod_is_found_by_the_pod_s_labels_once() {
        let by_value = json!({"matchLabels": {"app": "scorer", "team": "ds"}});
        let by_list = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "scorer"]}]});
        let by_key = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
        for selector in [by_value, by_list, by_key] {
            assert_eq!(is_found(&selector, &json!({"app": "scorer", "team": "ds"})), 1, "{selector}");
        }
    }

    #[test]
    fn a_config_is_not_even_looked_at_for_a_pod_without_the_label_that_it_needs() {
        let selector = json!({"matchLabels": {"app": "scorer"}});
        assert_eq!(is_found(&selector, &json!({"app": "web"})), 0);
        assert_eq!(is_found(&selector, &json!({})), 0);
    }
}
