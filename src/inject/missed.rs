//! The pods that asked for a credential and did not get it. Pure.
//!
//! The webhook marks each pod that it injects. A pod that asks for a credential was missed for one
//! of three reasons:
//!
//! * It bears no mark. The API server did not reach the webhook when the pod was created, or the
//!   pod is older than the config that selects it.
//! * A mark names containers that had no room for the Secret.
//! * A mark names another Secret than that of the config. The pod came before its config, and the
//!   webhook took the default name for it, or the config was created anew with another target.
//!
//! A pod whose author mounts the Secret by hand does not ask for injection and is not counted.

use super::choose::{choose, claiming, quoted};
use crate::api::{
    AwsConfig, Reason, Statement,
    names::{
        INJECT, INJECT_OFF, MOUNT_PATH, POD_AWS_CONFIG, POD_INJECTED, POD_NOT_INJECTED, POD_SECRET, POD_SKIP_CONTAINERS,
    },
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

/// A number of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pods {
    count: usize,
    /// The names of the first few pods in the order of their names.
    names: BTreeSet<String>,
}

impl Pods {
    fn add(&mut self, name: String) {
        self.count += 1;
        self.names.insert(name);
        if self.names.len() > NAMED {
            self.names.pop_last();
        }
    }

    /// The number of the pods, the word that fits it, and their names.
    fn said(&self, one: &str, many: &str) -> Option<(String, String)> {
        let words = if self.count == 1 { one } else { many };
        (self.count > 0).then(|| (format!("{} {words}", self.count), quoted(&self.names, self.count)))
    }
}

/// The pods that asked for one config and did not get its Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The pods that the webhook did not see.
    unseen: Pods,
    /// The pods with a container that cannot have the Secret.
    closed: Pods,
    /// The pods that mount another Secret under the name of the config.
    elsewhere: Pods,
    /// The pods that the config selects and that the selector of another config has. They count as
    /// those of the other one.
    taken: Pods,
    /// The first few of these other configs, by name.
    takers: BTreeSet<String>,
}

impl Missed {
    /// The number of these pods.
    #[must_use]
    pub fn count(&self) -> usize {
        self.unseen.count + self.closed.count + self.elsewhere.count
    }

    /// What stands in the way of these pods; `None` if none was missed.
    #[must_use]
    pub fn statement(&self) -> Option<Statement> {
        let unseen = self.unseen.said("pod asks for the Secret and has", "pods ask for the Secret and have");
        let unseen = unseen.map(|(asks, names)| {
            format!(
                "{asks} not got it: {names}. Either the webhook was not reached at the creation, or the pod is older than what \
                 selects it. Delete it, or roll its workload: kubectl rollout restart deployment/NAME"
            )
        });
        let elsewhere = self.elsewhere.said("pod mounts or waits for", "pods mount or wait for");
        let elsewhere = elsewhere.map(|(mounts, names)| {
            format!(
                "{mounts} another Secret than that of this AwsConfig: {names}. The annotation {POD_SECRET} names it, and the AwsConfig is \
                 younger than the pod. Delete the pod, or roll its workload: kubectl rollout restart deployment/NAME"
            )
        });
        let closed = self.closed.said("pod has", "pods have");
        let closed = closed.map(|(has, names)| {
            format!(
                "{has} containers that cannot have the Secret: {names}. The annotation {POD_NOT_INJECTED} names the containers. They mount \
                 something else at {MOUNT_PATH} or a read-only volume above it, or are not for Linux. Move those mounts, or leave \
                 the containers out by the annotation {POD_SKIP_CONTAINERS}"
            )
        });
        let reason = if self.count() > 0 { Reason::NotInjected } else { Reason::SelectorOverlaps };
        let said: Vec<String> = [unseen, elsewhere, closed, self.said_of_taken()].into_iter().flatten().collect();
        (!said.is_empty()).then(|| Statement::new(reason, said.join(". ")))
    }

    fn said_of_taken(&self) -> Option<String> {
        let said = self.taken.said("pod that podSelector matches has", "pods that podSelector matches have");
        said.map(|(have, names)| {
            format!(
                "{have} the Secret of AwsConfig {}, whose podSelector matches as well: {names}. A new pod gets the oldest AwsConfig. Change \
                 one of the selectors, or name an AwsConfig in the annotation {POD_AWS_CONFIG} of the pods",
                quoted(&self.takers, self.takers.len())
            )
        })
    }

    fn take(&mut self, name: String, taker: &str) {
        self.taken.add(name);
        self.takers.insert(taker.to_owned());
        if self.takers.len() > NAMED {
            self.takers.pop_last();
        }
    }
}

/// Whether the API server sends the pods of a namespace with these labels to the webhook. `own` is
/// the namespace of the keyturn release.
#[must_use]
pub fn is_sent_to_the_webhook(namespace: &str, labels: &BTreeMap<String, String>, own: &str) -> bool {
    let off = labels.get(INJECT).is_some_and(|value| value == INJECT_OFF);
    !off && namespace != own && !NEVER.contains(&namespace)
}

/// The state of a pod that asks for a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Given,
    Unseen,
    Closed,
    Elsewhere,
}

/// The state that the marks of a pod show, if it asks for a config with this Secret.
fn state(annotations: &BTreeMap<String, String>, secret: Option<&str>) -> State {
    let mounted = annotations.get(POD_SECRET).filter(|_| annotations.contains_key(POD_INJECTED));
    let is_another = secret.zip(mounted).is_some_and(|(secret, mounted)| secret != mounted);
    match annotations.get(POD_NOT_INJECTED) {
        _ if is_another => State::Elsewhere,
        Some(names) if !names.is_empty() => State::Closed,
        _ if annotations.contains_key(POD_INJECTED) => State::Given,
        _ => State::Unseen,
    }
}

/// Counts the missed pods of one namespace, page by page. The memory that the count takes grows
/// with the number of configs, and not with the number of pods.
#[derive(Debug)]
pub struct Count<'a> {
    configs: &'a [Arc<AwsConfig>],
    missed: BTreeMap<String, Missed>,
    orphans: Pods,
}

impl<'a> Count<'a> {
    /// Begins a count in a namespace with these configs.
    #[must_use]
    pub fn among(configs: &'a [Arc<AwsConfig>]) -> Self {
        let missed = configs.iter().map(|config| (config.name_any(), Missed::default())).collect();
        Self { configs, missed, orphans: Pods::default() }
    }

    /// Counts a pod if it was missed. A pod that asks for a config that does not exist is counted
    /// apart.
    pub fn saw(&mut self, pod: &ObjectMeta) {
        let none = BTreeMap::new();
        let (labels, annotations) = (pod.labels.as_ref().unwrap_or(&none), pod.annotations.as_ref().unwrap_or(&none));
        if pod.deletion_timestamp.is_some() {
            return;
        }
        let mark = annotations.get(POD_INJECTED).cloned();
        let Some(config) = mark.or_else(|| Some(choose(labels, annotations, self.configs).wanted?.config)) else {
            return;
        };
        let name = pod.name.clone().unwrap_or_default();
        // A pod that runs keeps its Secret. Once the selector of its config matches it no more, the
        // others have no rival.
        let claiming = claiming(labels, annotations, self.configs);
        if claiming.contains(&config) {
            for other in claiming.iter().filter(|other| **other != config) {
                self.missed.entry(other.clone()).or_default().take(name.clone(), &config);
            }
        }
        let of_pod = self.configs.iter().find(|other| other.name_any() == config);
        let secret = of_pod.map(|config| config.target_name());
        let Some(missed) = self.missed.get_mut(&config) else {
            self.orphans.add(name);
            return;
        };
        match state(annotations, secret.as_deref()) {
            State::Given => {}
            State::Unseen => missed.unseen.add(name),
            State::Closed => missed.closed.add(name),
            State::Elsewhere => missed.elsewhere.add(name),
        }
    }

    /// The pods that ask for an `AwsConfig` that does not exist, in words for the log. There is no
    /// config to report them on.
    #[must_use]
    pub fn orphans(&self) -> Option<String> {
        let said = self.orphans.said("pod asks", "pods ask");
        said.map(|(asks, names)| format!("{asks} for an AwsConfig that does not exist: {names}"))
    }

    /// The missed pods of each config, by the config's name. A config without missed pods has an
    /// entry with the count 0.
    #[must_use]
    pub fn missed(self) -> BTreeMap<String, Missed> {
        self.missed
    }
}

#[cfg(test)]
mod tests;
