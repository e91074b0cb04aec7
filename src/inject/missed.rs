//! The pods that asked for a credential and did not get it. Pure.
//!
//! The webhook marks each pod that it injects. A pod that asks for a credential and bears no mark
//! was missed, for one of three reasons:
//!
//! * The API server did not reach the webhook when the pod was created.
//! * The pod is older than the config that selects it.
//! * The pod had no room for the Secret.
//!
//! A pod whose author mounts the Secret by hand does not ask for injection and is not counted.

use super::choose::{choose, quoted};
use crate::api::{
    AwsConfig, Reason, Statement,
    names::{INJECT, INJECT_OFF, POD_INJECTED},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The number of missed pods that are named. There may be thousands, and one name is enough to find
/// the workload.
const NAMED: usize = 5;
/// The namespaces whose pods never go to the webhook, besides keyturn's own namespace. The chart's
/// `webhook.yaml` excludes them.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The pods that asked for one config and did not get its Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The number of these pods.
    pub count: usize,
    /// The names of the first few pods in the order of their names.
    pub names: BTreeSet<String>,
}

impl Missed {
    fn add(&mut self, name: String) {
        self.count += 1;
        self.names.insert(name);
        if self.names.len() > NAMED {
            self.names.pop_last();
        }
    }

    /// What stands in the way of these pods; `None` if none was missed.
    #[must_use]
    pub fn statement(&self) -> Option<Statement> {
        let asks = if self.count == 1 { "pod asks for the Secret and has" } else { "pods ask for the Secret and have" };
        let message = format!(
            "{} {asks} not got it: {}. Either the webhook was not reached at the creation, or the pod is older than what \
             selects it, or mounts something else there. Delete it, or roll its workload: kubectl rollout restart \
             deployment/NAME",
            self.count,
            quoted(&self.names, self.count)
        );
        (self.count > 0).then(|| Statement::new(Reason::NotInjected, message))
    }
}

/// Whether the API server sends the pods of a namespace with these labels to the webhook. `own` is
/// the namespace of the keyturn release.
#[must_use]
pub fn is_sent_to_the_webhook(namespace: &str, labels: &BTreeMap<String, String>, own: &str) -> bool {
    let off = labels.get(INJECT).is_some_and(|value| value == INJECT_OFF);
    !off && namespace != own && !NEVER.contains(&namespace)
}

/// Counts the missed pods of one namespace, page by page. The memory that the count takes grows
/// with the number of configs, and not with the number of pods.
#[derive(Debug)]
pub struct Count<'a> {
    configs: &'a [Arc<AwsConfig>],
    missed: BTreeMap<String, Missed>,
}

impl<'a> Count<'a> {
    /// Begins a count in a namespace with these configs.
    #[must_use]
    pub fn among(configs: &'a [Arc<AwsConfig>]) -> Self {
        Self { configs, missed: configs.iter().map(|config| (config.name_any(), Missed::default())).collect() }
    }

    /// Counts a pod if it was missed. A pod that asks for a config that does not exist is not
    /// counted, because there is no config to report it on.
    pub fn saw(&mut self, pod: &ObjectMeta) {
        let none = BTreeMap::new();
        let (labels, annotations) = (pod.labels.as_ref().unwrap_or(&none), pod.annotations.as_ref().unwrap_or(&none));
        if pod.deletion_timestamp.is_some() || annotations.contains_key(POD_INJECTED) {
            return;
        }
        let wanted = choose(labels, annotations, self.configs).wanted;
        if let Some(missed) = wanted.and_then(|wanted| self.missed.get_mut(&wanted.config)) {
            missed.add(pod.name.clone().unwrap_or_default());
        }
    }

    /// The missed pods of each config, by the config's name. A config without missed pods has an
    /// entry with the count 0.
    #[must_use]
    pub fn missed(self) -> BTreeMap<String, Missed> {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn config(name: &str, selects: Option<&str>) -> Arc<AwsConfig> {
        let mut spec = json!({"person": name});
        if let Some(app) = selects {
            spec["inject"] = json!({"podSelector": {"matchLabels": {"app": app}}});
        }
        Arc::new(AwsConfig::new(name, from_value(spec).unwrap()))
    }

    fn named(name: &str, config: &str) -> ObjectMeta {
        from_value(json!({"name": name, "annotations": {"keyturn.dev/aws-config": config}})).unwrap()
    }

    fn labelled(name: &str, app: &str) -> ObjectMeta {
        from_value(json!({"name": name, "labels": {"app": app}})).unwrap()
    }

    fn count(configs: &[Arc<AwsConfig>], pods: &[ObjectMeta]) -> Vec<(String, usize, Vec<String>)> {
        let mut count = Count::among(configs);
        for pod in pods {
            count.saw(pod);
        }
        let missed = count.missed().into_iter();
        missed.map(|(config, missed)| (config, missed.count, missed.names.into_iter().collect())).collect()
    }

    #[test]
    fn an_unmarked_pod_that_asks_counts_for_the_config_that_would_be_chosen() {
        let configs = [config("alice", Some("scorer")), config("bob", Some("scorer"))];
        let both = ObjectMeta { labels: labelled("", "scorer").labels, ..named("c", "bob") };
        let seen = count(&configs, &[labelled("a", "scorer"), named("b", "bob"), both, labelled("d", "web")]);
        let expected = [("alice", vec!["a"]), ("bob", vec!["b", "c"])];
        assert_eq!(
            seen,
            expected
                .map(|(name, pods)| { (name.to_owned(), pods.len(), pods.into_iter().map(str::to_owned).collect()) })
        );
    }

    #[test]
    fn pods_that_do_not_count_as_missed() {
        let with_annotation = |key: &str, value: &str| {
            let mut pod = named("p", "alice");
            pod.annotations.as_mut().unwrap().insert(key.to_owned(), value.to_owned());
            pod
        };
        let mut kept_out = named("p", "alice");
        kept_out.labels = Some([("keyturn.dev/inject".to_owned(), "false".to_owned())].into());
        let deleted = json!({"name": "p", "deletionTimestamp": "2026-11-22T00:00:00Z", "labels": {"app": "scorer"}});
        let configs = [config("alice", Some("scorer"))];
        for (case, pod) in [
            ("names a config that does not exist", named("p", "carol")),
            ("names no valid config", named("p", "no name")),
            ("does not ask", labelled("p", "web")),
            ("is marked", with_annotation("keyturn.dev/injected", "alice")),
            ("mirrors a static pod", with_annotation("kubernetes.io/config.mirror", "x")),
            ("is kept out by its label", kept_out),
            ("is being deleted", from_value(deleted).unwrap()),
        ] {
            assert_eq!(count(&configs, &[pod]), [("alice".to_owned(), 0, vec![])], "a pod that {case}");
        }
    }

    #[test]
    fn missed_pods_are_counted_and_the_first_five_by_name_are_kept() {
        let pods: Vec<ObjectMeta> = (0..40).map(|n| named(&format!("p-{:02}", n * 7 % 40), "alice")).collect();
        let first = (0..5).map(|n| format!("p-{n:02}")).collect();
        assert_eq!(count(&[config("alice", None)], &pods), [("alice".to_owned(), 40, first)]);
    }

    #[test]
    fn namespaces_that_the_webhook_is_not_asked_about_are_left_out() {
        let off = BTreeMap::from([("keyturn.dev/inject".to_owned(), "false".to_owned())]);
        let on = BTreeMap::from([("keyturn.dev/inject".to_owned(), "true".to_owned())]);
        assert!(is_sent_to_the_webhook("scoring", &on, "keyturn-system"));
        assert!(!is_sent_to_the_webhook("scoring", &off, "keyturn-system"));
        assert!(!is_sent_to_the_webhook("keyturn-system", &on, "keyturn-system"));
        assert!(!is_sent_to_the_webhook("kube-system", &on, "keyturn-system"));
    }

    #[test]
    fn the_chart_asks_the_webhook_about_the_same_namespaces() {
        let chart = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/keyturn/templates/_webhook.tpl"));
        let left_out = chart.lines().find_map(|line| line.trim().strip_prefix("values: [kube-")).expect("a list");
        let left_out = format!("kube-{}", left_out.trim_end_matches(']'));
        let of_the_chart: BTreeSet<&str> = left_out.split(", ").collect();
        let ours: BTreeSet<&str> = NEVER.into_iter().chain(["{{ .root.Release.Namespace }}"]).collect();
        assert_eq!(of_the_chart, ours);
    }

    #[test]
    fn the_statement_says_how_many_which_and_what_to_do() {
        let missed = |count: usize, names: &[&str]| {
            Missed { count, names: names.iter().map(|&name| name.to_owned()).collect() }.statement()
        };
        let one = missed(1, &["a"]).unwrap().message;
        assert!(one.starts_with("1 pod asks for the Secret and has not got it: \"a\". Either"), "{one}");
        assert!(one.ends_with("Delete it, or roll its workload: kubectl rollout restart deployment/NAME"), "{one}");
        let many = missed(9, &["b", "a"]).unwrap().message;
        assert!(many.starts_with("9 pods ask for the Secret and have not got it: \"a\", \"b\" and 7 more. "), "{many}");
        assert_eq!(missed(0, &[]), None);
    }
}
