//! Which config's Secret a pod gets. Pure.
//!
//! The pod's annotation names the config. Without the annotation, keyturn takes the oldest
//! `AwsConfig` whose `inject.podSelector` matches, because a new one must not take pods from the
//! others. The label `keyturn.dev/inject: "false"` on the pod wins over both.

use super::home::DATAIKU_KEY;
use crate::api::{
    AwsConfig, ConditionType, Delivery, Format, Reason, SECRET_KEYS, SecretKey, find_condition,
    names::{INJECT, INJECT_OFF, INJECT_REQUIRED, POD_AWS_CONFIG, default_target},
};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// The annotation that the kubelet puts on the API server's mirror of a static pod. A static pod
/// cannot refer to a Secret ("Create static Pods" in the Kubernetes documentation).
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The config whose Secret a pod gets, and what the Secret may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The name of the `AwsConfig`.
    pub config: String,
    /// The name of its Secret.
    pub secret: String,
    /// Whether the Secret holds the `config` file.
    pub files: bool,
    /// The variables that the Secret may hold. keyturn derives them from the spec and does not read
    /// the Secret, because pods are also created before their Secret exists.
    pub variables: Vec<&'static str>,
    /// The names of the profiles of the `AwsConfig`.
    pub profiles: Vec<String>,
    /// The delivery that the `AwsConfig` chooses.
    pub delivery: Option<Delivery>,
    /// The home folder that the `AwsConfig` names.
    pub home: Option<String>,
    /// Whether the Secret may hold the settings of Dataiku's client.
    pub dataiku: bool,
}

impl Wanted {
    /// The choice of a config of which only the Secret's name is known. The Secret may hold every
    /// variable.
    pub(super) fn unseen(config: String, secret: String, files: bool) -> Self {
        let (variables, profiles) = (variables(|_| true), vec![]);
        Self { config, secret, files, variables, profiles, delivery: None, home: None, dataiku: false }
    }
}

/// The names of the variables for which `which` holds.
fn variables(which: impl Fn(&SecretKey) -> bool) -> Vec<&'static str> {
    let keys = SECRET_KEYS.iter().filter(|key| key.format == Format::Env && which(key));
    keys.map(|key| key.name).collect()
}

/// The config that a pod gets, if any, and the warnings for the pod's author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub wanted: Option<Wanted>,
    pub warnings: Vec<String>,
    /// The reason why the pod must not have the Secret of the config.
    pub blocked: Option<String>,
    /// The reason why the pod gets no config although it asks for one.
    pub lacking: Option<String>,
}

/// Returns the config that a pod with these annotations names.
pub(super) fn named(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations.get(POD_AWS_CONFIG).map(String::as_str)
}

/// Chooses among the configs of the namespace for a pod with these labels and annotations.
pub(super) fn choose(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    configs: &[Arc<AwsConfig>],
) -> Choice {
    let named = named(annotations);
    if is_off(labels) {
        let warnings = named.map(|named| format!("the label {INJECT} keeps AwsConfig \"{named}\" out of this pod"));
        return Choice { warnings: warnings.into_iter().collect(), ..Choice::default() };
    }
    if annotations.contains_key(MIRROR) {
        return Choice::default();
    }
    let selecting = selecting(labels, configs);
    let choice = match named {
        Some(named) => by_name(named, &selecting, configs),
        None => by_selector(&selecting).or_lacking(labels),
    };
    let blocked = choice.wanted.as_ref().and_then(|wanted| of_another(wanted, configs));
    Choice { blocked, ..choice }
}

/// The reason why a pod must not have the Secret of the config that it gets: the Secret is that of
/// another config, and the pod would work as its person. Of several configs with one target, the
/// oldest has the Secret. A config that is ready has its Secret in any case.
fn of_another(wanted: &Wanted, configs: &[Arc<AwsConfig>]) -> Option<String> {
    let fills = |config: &&Arc<AwsConfig>| {
        config.metadata.deletion_timestamp.is_none() && config.target_name() == wanted.secret
    };
    let owner = configs.iter().filter(fills).min_by_key(|config| config.age())?.name_any();
    let own = configs.iter().find(|config| config.name_any() == wanted.config);
    let has_it = own.is_some_and(|config| not_ready(config).is_none());
    (owner != wanted.config && !has_it).then(|| {
        format!(
            "Secret \"{}\" is that of AwsConfig \"{owner}\", and the pod asks for AwsConfig \"{}\": it is not mounted, and AWS SDKs fail",
            wanted.secret, wanted.config
        )
    })
}

/// The names of the configs whose selectors claim a pod, the oldest first. A pod that names a
/// config is claimed by none.
pub(super) fn claiming(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    configs: &[Arc<AwsConfig>],
) -> Vec<String> {
    if named(annotations).is_some() || is_off(labels) || annotations.contains_key(MIRROR) {
        return vec![];
    }
    selecting(labels, configs).into_iter().map(AwsConfig::name_any).collect()
}

/// Whether the author of a pod keeps keyturn away from it.
fn is_off(labels: &BTreeMap<String, String>) -> bool {
    labels.get(INJECT).is_some_and(|value| value == INJECT_OFF)
}

impl Choice {
    /// A pod with the label that requires a Secret asks for one, even if no config is for it.
    fn or_lacking(mut self, labels: &BTreeMap<String, String>) -> Self {
        let requires = labels.get(INJECT).is_some_and(|value| value == INJECT_REQUIRED);
        if requires && self.wanted.is_none() {
            let why =
                format!("the pod has no annotation {POD_AWS_CONFIG}, and no podSelector of an AwsConfig matches it");
            self.lacking = Some(why);
        }
        self
    }
}

/// The configs whose selector matches, the oldest first. The names decide between configs without a
/// time.
fn selecting<'a>(labels: &BTreeMap<String, String>, configs: &'a [Arc<AwsConfig>]) -> Vec<&'a AwsConfig> {
    let selects = |config: &&AwsConfig| {
        let selector = config.spec.inject.as_ref().and_then(|inject| inject.pod_selector.as_ref());
        selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
            && config.metadata.deletion_timestamp.is_none()
    };
    let mut found: Vec<&AwsConfig> = configs.iter().map(Arc::as_ref).filter(selects).collect();
    found.sort_by_cached_key(|config| config.name_any());
    found.sort_by_key(|config| config.age());
    found
}

fn by_name(named: &str, selecting: &[&AwsConfig], configs: &[Arc<AwsConfig>]) -> Choice {
    if !is_a_name(named) {
        let warning = format!("the annotation {POD_AWS_CONFIG} holds no name of an AwsConfig: nothing is mounted");
        return Choice { lacking: Some(warning.clone()), warnings: vec![warning], ..Choice::default() };
    }
    let mut warnings = Vec::new();
    let others: Vec<String> = selecting.iter().map(|config| config.name_any()).filter(|name| name != named).collect();
    if !others.is_empty() {
        warnings.push(format!(
            "the annotation {POD_AWS_CONFIG} wins: AwsConfig \"{named}\" is mounted, and not {}, whose podSelector matches",
            list(&others)
        ));
    }
    let seen = configs.iter().find(|config| config.name_any() == named);
    let wanted = if let Some(config) = seen {
        warnings.extend(not_ready(config));
        wanted(config)
    } else {
        // The config may have been applied a moment ago, in the same file as the pod. The pod names
        // the config, therefore waiting for that Secret is better than starting without it.
        warnings.push(format!(
            "there is no AwsConfig \"{named}\" in this namespace yet: the pod waits for its Secret \"{}\"; if the AwsConfig comes with \
             another target.name, delete the pod then",
            default_target(named)
        ));
        Wanted::unseen(named.to_owned(), default_target(named), true)
    };
    Choice { wanted: Some(wanted), warnings, ..Choice::default() }
}

fn by_selector(selecting: &[&AwsConfig]) -> Choice {
    let Some((first, others)) = selecting.split_first() else { return Choice::default() };
    let mut warnings = Vec::new();
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|config| config.name_any()).collect();
        warnings.push(format!(
            "several podSelectors match: AwsConfig \"{}\", the oldest, is mounted, and not {}; the annotation {POD_AWS_CONFIG} \
             chooses another",
            first.name_any(),
            list(&others)
        ));
    }
    warnings.extend(not_ready(first));
    Choice { wanted: Some(wanted(first)), warnings, ..Choice::default() }
}

fn wanted(config: &AwsConfig) -> Wanted {
    let files = config.spec.has_format(Format::Files);
    let variables = variables(|key| key.may_be_for(&config.spec));
    let inject = config.spec.inject.as_ref();
    let dataiku = SECRET_KEYS.iter().any(|key| key.name == DATAIKU_KEY && key.may_be_for(&config.spec));
    Wanted {
        config: config.name_any(),
        secret: config.target_name(),
        files,
        variables,
        profiles: config.spec.profiles.iter().map(|profile| profile.name.clone()).collect(),
        delivery: inject.and_then(|inject| inject.delivery),
        home: inject.and_then(|inject| inject.home.clone()),
        dataiku,
    }
}

/// The warning for the pod's author if the config has no credential now.
fn not_ready(config: &AwsConfig) -> Option<String> {
    let conditions = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let reason = match find_condition(conditions, ConditionType::Ready) {
        Some(condition) if condition.status == "True" => return None,
        Some(condition) => condition.reason.as_str(),
        None => Reason::Pending.as_str(),
    };
    Some(format!(
        "AwsConfig \"{}\" has no credential now ({reason}): until it has, calls to AWS fail",
        config.name_any()
    ))
}

/// Whether a text can be the name of an object (RFC 1123 subdomain). The name becomes a part of the
/// Secret's name.
fn is_a_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(allowed) && label.ends_with(allowed) && label.chars().all(|c| allowed(c) || c == '-')
    };
    text.len() <= 59 && text.split('.').all(is_label)
}

/// The first three names in quotes, and the number of the others.
fn list(names: &[String]) -> String {
    quoted(names.iter().take(3), names.len())
}

/// Joins these names in quotes. `count` is the number of all names. If it is larger than the number
/// of names given, the text ends with the number of the others.
#[must_use]
pub fn quoted<'a>(names: impl IntoIterator<Item = &'a String>, count: usize) -> String {
    let shown: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    let more = count.saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
