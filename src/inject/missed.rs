//! Which pods asked for a credential and have not got it. Pure.
//!
//! The webhook marks what it injects, so a pod that asks and bears no mark was missed: the webhook was not reached when it
//! was created, or it is older than the config that selects it, or had no room for the Secret. Whoever mounts the Secret
//! by hand asks for nothing and is not looked for.

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

/// How many pods are named. There may be thousands, and one is enough to find their workload.
const NAMED: usize = 5;
/// Namespaces whose pods the webhook is not asked about, beside its own: `webhook.yaml` of the chart says so.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The pods that asked for one config and have not got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many there are.
    pub count: usize,
    /// The first of them by name.
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

/// Whether the pods of a namespace with these labels are sent to the webhook of a release in the namespace `own`.
#[must_use]
pub fn is_looked_at(namespace: &str, labels: &BTreeMap<String, String>, own: &str) -> bool {
    let off = labels.get(INJECT).is_some_and(|value| value == INJECT_OFF);
    !off && namespace != own && !NEVER.contains(&namespace)
}

/// Counts the missed pods of one namespace, page by page. What it holds grows with the configs and not with the pods.
#[derive(Debug)]
pub struct Count<'a> {
    configs: &'a [Arc<AwsConfig>],
    missed: BTreeMap<String, Missed>,
}

impl<'a> Count<'a> {
    /// Nothing seen yet, in a namespace with these configs.
    #[must_use]
    pub fn among(configs: &'a [Arc<AwsConfig>]) -> Self {
        Self { configs, missed: configs.iter().map(|config| (config.name_any(), Missed::default())).collect() }
    }

    /// Counts a pod if it was missed. One that asks for a config that is not there has nobody to be reported to.
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

    /// What was missed of each config, by its name; of none nothing at all is a result, too.
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
    fn who_asks_and_bears_no_mark_was_missed_by_the_config_that_the_webhook_would_have_chosen() {
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
    fn who_is_marked_going_a_mirror_kept_out_or_asks_for_nothing_that_is_there_was_not() {
        let mut pods = vec![named("a", "carol"), named("b", "no name"), labelled("c", "web")];
        for (key, value) in [("keyturn.dev/injected", "alice"), ("kubernetes.io/config.mirror", "x")] {
            let mut pod = named("d", "alice");
            pod.annotations.as_mut().unwrap().insert(key.to_owned(), value.to_owned());
            pods.push(pod);
        }
        let mut off = named("e", "alice");
        off.labels = Some([("keyturn.dev/inject".to_owned(), "false".to_owned())].into());
        let going = json!({"name": "f", "deletionTimestamp": "2026-11-22T00:00:00Z", "labels": {"app": "scorer"}});
        pods.extend([off, from_value(going).unwrap()]);
        assert_eq!(count(&[config("alice", Some("scorer"))], &pods), [("alice".to_owned(), 0, vec![])]);
    }

    #[test]
    fn all_are_counted_and_the_first_five_by_name_are_kept_in_whatever_order_they_come() {
        let pods: Vec<ObjectMeta> = (0..40).map(|n| named(&format!("p-{:02}", n * 7 % 40), "alice")).collect();
        let first = (0..5).map(|n| format!("p-{n:02}")).collect();
        assert_eq!(count(&[config("alice", None)], &pods), [("alice".to_owned(), 40, first)]);
    }

    #[test]
    fn namespaces_that_the_webhook_is_not_asked_about_are_left_out() {
        let off = BTreeMap::from([("keyturn.dev/inject".to_owned(), "false".to_owned())]);
        let on = BTreeMap::from([("keyturn.dev/inject".to_owned(), "true".to_owned())]);
        assert!(is_looked_at("scoring", &on, "keyturn-system"));
        assert!(!is_looked_at("scoring", &off, "keyturn-system"));
        assert!(!is_looked_at("keyturn-system", &on, "keyturn-system"));
        assert!(!is_looked_at("kube-system", &on, "keyturn-system"));
    }

    #[test]
    fn the_chart_asks_the_webhook_about_the_same_namespaces() {
        let chart = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/keyturn/templates/webhook.yaml"));
        let left_out = chart.lines().find_map(|line| line.trim().strip_prefix("values: [kube-")).expect("a list");
        let left_out = format!("kube-{}", left_out.trim_end_matches(']'));
        let of_the_chart: BTreeSet<&str> = left_out.split(", ").collect();
        let ours: BTreeSet<&str> = NEVER.into_iter().chain(["{{ .Release.Namespace }}"]).collect();
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
