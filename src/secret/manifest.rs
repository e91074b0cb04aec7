//! The Secret as it is applied: what we own of it and nothing else.

use super::{Content, Record, Rendering};
use crate::api::{AwsConfig, names};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use std::collections::BTreeMap;

/// What a Secret is created as, before all the rest is applied to it. Only a create is refused if somebody's Secret
/// stands there; only what was applied goes when it is no longer applied (the API server books a create's fields on
/// another account of the same manager, "Update", which no apply ever settles). So a create holds what never changes.
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

/// The whole of our intent for the Secret of `config`. `uid` is that of the Secret that is to be changed: the API
/// server refuses the apply if another one stands there, or none.
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

/// Whether labels, annotations and owner reference of a Secret are as we want them; whatever else is there is
/// somebody else's. The annotations of the record have a digest of their own.
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
