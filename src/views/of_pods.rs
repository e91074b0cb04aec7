//! The webhook's view: the configs of a scope, found by the pods that they are for.

use super::slim;
use crate::{
    api::{AwsConfig, Inject, names::default_target},
    cluster::{Kept, Watched},
};
use kube::ResourceExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The configs of a scope, as the webhook needs them. Clones share their content.
#[derive(Clone)]
pub struct ConfigsOfPods(Watched<AwsConfig>);

impl ConfigsOfPods {
    /// Makes an empty view.
    #[must_use]
    pub fn new() -> Self {
        let keys_of = |config: &AwsConfig| {
            let namespace = config.namespace().unwrap_or_default();
            selected(&namespace, config).into_iter().chain(fills(&namespace, config)).collect()
        };
        Self(Watched::new("awsconfigs.keyturn.dev", Kept::Packed, keys_of, slim::config_of_pods))
    }

    /// The view itself.
    #[must_use]
    pub fn watched(&self) -> &Watched<AwsConfig> {
        &self.0
    }

    /// The configs that a pod of a namespace may ask for: the one that the pod names, and those
    /// whose selectors may match the pod's labels. With them come the configs that have the Secret
    /// of one of these as their target, because a pod must not get a Secret of another config. The
    /// cost does not grow with the number of configs.
    #[must_use]
    pub fn for_pod(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        named: Option<&str>,
    ) -> Vec<Arc<AwsConfig>> {
        let mut found: Vec<_> = selecting(namespace, labels).flat_map(|key| self.0.find(key)).collect();
        if let Some(named) = named {
            add(&mut found, self.0.get(namespace, named));
        }
        let secrets = found.iter().map(|config| config.target_name()).chain(named.map(default_target));
        for secret in secrets.collect::<BTreeSet<_>>() {
            let by_default = secret.strip_suffix(DEFAULT_SUFFIX).and_then(|name| self.0.get(namespace, name));
            let others = by_default.into_iter().chain(self.0.find(filled(namespace, &secret)));
            others.filter(|config| config.target_name() == secret).for_each(|config| add(&mut found, Some(config)));
        }
        found
    }
}

/// The end of the default name of a Secret.
const DEFAULT_SUFFIX: &str = "-aws";

/// Adds a config that is not there yet.
fn add(found: &mut Vec<Arc<AwsConfig>>, config: Option<Arc<AwsConfig>>) {
    found.extend(config.filter(|config| found.iter().all(|other| other.name_any() != config.name_any())));
}

fn filled(namespace: &str, secret: &str) -> String {
    format!("fills {namespace} {secret}")
}

/// The index key of a config whose target has another name than the default. A default name is
/// found by the name of the config.
fn fills(namespace: &str, config: &AwsConfig) -> Option<String> {
    let secret = config.target_name();
    (secret != default_target(&config.name_any())).then(|| filled(namespace, &secret))
}

fn selects(namespace: &str, label: Option<(&str, &str)>) -> String {
    label.map_or_else(|| format!("selects {namespace}"), |(key, value)| format!("selects {namespace} {key}={value}"))
}

/// The index keys of a config that selects pods: one for each label of which a selected pod needs
/// one.
fn selected(namespace: &str, config: &AwsConfig) -> Vec<String> {
    let Some(Inject { pod_selector: Some(pod_selector), .. }) = &config.spec.inject else { return vec![] };
    let needs = pod_selector.needs_one_of();
    let labels = if needs.is_empty() { vec![None] } else { needs.into_iter().map(Some).collect() };
    labels.into_iter().map(|label| selects(namespace, label)).collect()
}

/// The index keys under which the configs are found that may select a pod with these labels.
fn selecting(namespace: &str, labels: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let labels = labels.iter().map(|(key, value)| Some((&**key, &**value)));
    labels.chain([None]).map(move |label| selects(namespace, label))
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
        let by_list = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "scorer"]}]});
        for (case, selector) in [
            ("values", json!({"matchLabels": {"app": "scorer", "team": "ds"}})),
            ("a list of values", by_list),
            ("a key", json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})),
        ] {
            assert_eq!(is_found(&selector, &json!({"app": "scorer", "team": "ds"})), 1, "a selector by {case}");
        }
    }

    #[test]
    fn a_config_is_not_read_for_a_pod_without_the_label_that_it_needs() {
        let selector = json!({"matchLabels": {"app": "scorer"}});
        assert_eq!(is_found(&selector, &json!({"app": "web"})), 0);
        assert_eq!(is_found(&selector, &json!({})), 0);
    }

    #[test]
    fn a_config_is_found_by_its_secret_unless_the_name_says_it() {
        let key = |target: &Value| {
            let spec = json!({"person": "alice", "target": target});
            fills("scoring", &AwsConfig::new("alice", from_value(spec).unwrap()))
        };
        assert_eq!(key(&Value::Null), None);
        assert_eq!(key(&json!({"name": "alice-aws"})), None);
        assert_eq!(key(&json!({"name": "bob-aws"})), Some(filled("scoring", "bob-aws")));
        assert!(default_target("alice").ends_with(DEFAULT_SUFFIX));
    }
}
