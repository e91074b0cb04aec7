//! The Secret as keyturn applies it: the fields that keyturn owns, and no others.

use super::{Content, Record, Rendering};
use crate::api::{AwsConfig, names};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use std::collections::BTreeMap;

/// The Secret as keyturn creates it, before the first apply. keyturn creates first, because only a
/// create is refused if another owner's Secret has the name. The create holds only fields that
/// never change: the API server records them under another entry of the same field manager, with
/// the operation "Update". A later apply does not remove fields of that entry.
#[must_use]
pub fn shell(config: &AwsConfig) -> Secret {
    let labels = [
        (names::MANAGED_BY, names::MANAGER.to_owned()),
        (names::AWS_CONFIG_LABEL, config.metadata.name.clone().unwrap_or_default()),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(config.target_name()),
            namespace: config.metadata.namespace.clone(),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            owner_references: Some(vec![config.owner_reference()]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The whole Secret that keyturn wants for `config`. `uid` is the UID of the Secret that is to be
/// changed. The API server refuses the apply if the Secret has another UID or does not exist.
#[must_use]
pub fn desired(
    config: &AwsConfig,
    rendering: &Rendering,
    record: &Record,
    content: Content,
    uid: Option<String>,
) -> Secret {
    let shell = shell(config);
    Secret {
        metadata: ObjectMeta {
            uid,
            labels: Some(desired_labels(config, rendering)),
            annotations: Some(rendering.annotations.clone().into_iter().chain(record.annotations()).collect()),
            ..shell.metadata
        },
        data: Some(content.0.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
        ..shell
    }
}

/// Whether the labels, annotations and owner reference of a Secret are as keyturn wants them. Other
/// labels and annotations do not count. The annotations of the record have a digest of their own.
#[must_use]
pub fn metadata_is_as_desired(config: &AwsConfig, rendering: &Rendering, metadata: &ObjectMeta) -> bool {
    let holds = |wanted: &BTreeMap<String, String>, present: Option<&BTreeMap<String, String>>| {
        wanted.iter().all(|(key, value)| present.and_then(|present| present.get(key)) == Some(value))
    };
    holds(&desired_labels(config, rendering), metadata.labels.as_ref())
        && holds(&rendering.annotations, metadata.annotations.as_ref())
        && metadata.owner_references.iter().flatten().any(|reference| *reference == config.owner_reference())
}

fn desired_labels(config: &AwsConfig, rendering: &Rendering) -> BTreeMap<String, String> {
    let mut labels = rendering.labels.clone();
    labels.insert(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned());
    labels.insert(names::AWS_CONFIG_LABEL.to_owned(), config.metadata.name.clone().unwrap_or_default());
    labels
}
