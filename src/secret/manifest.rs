//! The Secret as keyturn writes it: the fields that keyturn owns, and no others.

use super::{Content, Record, Rendering};
use crate::api::{AwsConfig, SECRET_KEYS, names, profile_key};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The whole Secret that keyturn wants for `config`, as keyturn creates it. A create is refused if
/// another owner's Secret has the name.
#[must_use]
pub fn whole(config: &AwsConfig, rendering: &Rendering, record: &Record, content: Content) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(config.target_name()),
            namespace: config.metadata.namespace.clone(),
            labels: Some(labels(config, rendering)),
            annotations: Some(desired_annotations(rendering, record)),
            owner_references: Some(vec![config.owner_reference()]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(content.0.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
        ..Secret::default()
    }
}

/// The JSON merge patch (RFC 7386) that makes the Secret `seen` the one that keyturn wants. It
/// names the UID, and the API server refuses it if the Secret has another one. It removes the data
/// keys that the former record names, and the labels and annotations of `spec.target` that keyturn
/// wrote before, if the config no longer asks for them. It names nothing that belongs to others.
///
/// `former` is the record that was read from `seen`. Without one, the patch removes every data key
/// of keyturn's own that is no longer wanted, and the keys of all profiles that spec or status
/// name. `is_whole` says whether `seen` has all owners of the Secret. Only then does the patch
/// repair the owner reference, because it replaces the whole list.
#[must_use]
pub fn patch(
    config: &AwsConfig,
    rendering: &Rendering,
    record: &Record,
    content: Content,
    seen: &ObjectMeta,
    former: Option<&Record>,
    is_whole: bool,
) -> Value {
    let Secret { metadata: wanted, data, .. } = whole(config, rendering, record, content);
    let (labels, annotations) = (wanted.labels.unwrap_or_default(), wanted.annotations.unwrap_or_default());
    let data = data.unwrap_or_default();
    let former_keys: Vec<String> = match former {
        Some(record) => record.keys.clone(),
        None => SECRET_KEYS.iter().map(|key| key.name.to_owned()).chain(keys_of_profiles(config)).collect(),
    };
    let mut written = Chosen::recorded_on(seen);
    written
        .annotations
        .extend(seen.annotations.iter().flat_map(BTreeMap::keys).find(|name| *name == names::PROFILES).cloned());
    let gone = |former: Vec<String>, is_wanted: &dyn Fn(&String) -> bool| -> Vec<String> {
        former.into_iter().filter(|name| !is_wanted(name)).collect()
    };
    let mut metadata = json!({
        "uid": seen.uid,
        "labels": merged(&labels, gone(written.labels, &|name| labels.contains_key(name))),
        "annotations": merged(&annotations, gone(written.annotations, &|name| annotations.contains_key(name))),
    });
    let reference = config.owner_reference();
    if is_whole && !seen.owner_references.iter().flatten().any(|present| *present == reference) {
        // The version makes sure that nobody else has changed the list in the meantime.
        let others = seen.owner_references.iter().flatten().filter(|present| present.uid != reference.uid);
        metadata["ownerReferences"] = json!(others.chain([&reference]).collect::<Vec<_>>());
        metadata["resourceVersion"] = json!(seen.resource_version);
    }
    let data = merged(&data, gone(former_keys, &|name| data.contains_key(name)));
    json!({ "metadata": metadata, "data": data })
}

/// The data keys of the profiles that the spec or the status of a config names.
fn keys_of_profiles(config: &AwsConfig) -> impl Iterator<Item = String> {
    let asked = config.spec.profiles.iter().map(|profile| profile_key(&profile.name));
    let known = config.status.iter().flat_map(|status| status.profiles.iter().flatten());
    asked.chain(known.map(|profile| profile_key(&profile.name)))
}

/// The entries of a map in a merge patch: what is wanted, and null for what is gone.
fn merged<V: Serialize>(wanted: &BTreeMap<String, V>, gone: Vec<String>) -> Value {
    let wanted = wanted.iter().map(|(name, value)| (name.clone(), json!(value)));
    wanted.chain(gone.into_iter().map(|name| (name, Value::Null))).collect()
}

/// The names of the labels and annotations of `spec.target` that keyturn wrote. A merge patch has
/// to name what it removes, therefore the Secret records them.
#[derive(Default)]
struct Chosen {
    labels: Vec<String>,
    annotations: Vec<String>,
}

impl Chosen {
    const LABEL: &str = "label:";
    const ANNOTATION: &str = "annotation:";

    /// The names that a Secret records. Everybody who may patch the Secret may edit them. Therefore
    /// names that the chart's policies reserve do not count.
    fn recorded_on(seen: &ObjectMeta) -> Self {
        let recorded = seen.annotations.as_ref().and_then(|annotations| annotations.get(names::METADATA));
        let recorded = recorded.map_or("", String::as_str);
        let are_of = |kind: &str| {
            let named = recorded.split(',').filter_map(|name| name.strip_prefix(kind));
            named.filter(|name| !names::is_reserved(name)).map(str::to_owned).collect()
        };
        let mut chosen = Self { labels: are_of(Self::LABEL), annotations: are_of(Self::ANNOTATION) };
        if !recorded.is_empty() {
            chosen.annotations.push(names::METADATA.to_owned());
        }
        chosen
    }

    /// The names that the config chooses, as the Secret records them; `None` if it chooses none.
    fn record(rendering: &Rendering) -> Option<String> {
        let labels = rendering.labels.keys().map(|name| format!("{}{name}", Self::LABEL));
        let annotations = rendering.annotations.keys().map(|name| format!("{}{name}", Self::ANNOTATION));
        let names: Vec<String> = labels.chain(annotations).collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}

/// Whether the labels, annotations and owner reference of a Secret are as keyturn wants them. Other
/// labels and annotations do not count. The annotations of the record have a digest of their own.
#[must_use]
pub fn metadata_is_as_desired(config: &AwsConfig, rendering: &Rendering, metadata: &ObjectMeta) -> bool {
    let holds = |wanted: &BTreeMap<String, String>, present: Option<&BTreeMap<String, String>>| {
        wanted.iter().all(|(key, value)| present.and_then(|present| present.get(key)) == Some(value))
    };
    let recorded = metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::METADATA));
    holds(&desired_labels(config, rendering), metadata.labels.as_ref())
        && holds(&rendering.annotations, metadata.annotations.as_ref())
        // Former releases recorded no names.
        && recorded.is_none_or(|recorded| Chosen::record(rendering).as_ref() == Some(recorded))
        && metadata.owner_references.iter().flatten().any(|reference| *reference == config.owner_reference())
}

fn desired_annotations(rendering: &Rendering, record: &Record) -> BTreeMap<String, String> {
    let mut annotations = rendering.annotations.clone();
    annotations.extend(record.annotations());
    annotations.extend(Chosen::record(rendering).map(|names| (names::METADATA.to_owned(), names)));
    annotations
}

/// The labels of a Secret as keyturn writes it. Secrets of former releases lack the label for
/// backups until their next renewal. That is no reason for a write of its own.
fn labels(config: &AwsConfig, rendering: &Rendering) -> BTreeMap<String, String> {
    let mut labels = desired_labels(config, rendering);
    labels.entry(names::EXCLUDE_FROM_BACKUP.to_owned()).or_insert_with(|| "true".to_owned());
    labels
}

fn desired_labels(config: &AwsConfig, rendering: &Rendering) -> BTreeMap<String, String> {
    let mut labels = rendering.labels.clone();
    labels.insert(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned());
    labels.insert(names::AWS_CONFIG_LABEL.to_owned(), config.metadata.name.clone().unwrap_or_default());
    labels
}

#[cfg(test)]
mod tests;
