//! The Secrets with keys that their owners offer to keyturn: found, and read.
//!
//! keyturn reads the data of a Secret only if its owner offers it. The offer is a label, and
//! keyturn examines the label of the very object that it reads: an owner who removes the label in
//! the meantime has withdrawn the offer.

use crate::{
    api::{ApiKeySecretRef, AwsConfig},
    cluster::{CallError, Calls, data_of},
    credentials,
    decide::input::key_request,
    secret::{Record, SeenKey, Source, is_offered},
    views::Views,
};
use kube::ResourceExt as _;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};

/// Returns the Secret with the AWS key of a config, if a view shows it. The data need not be read
/// if the version is `known`, or the one that the status of the config records.
#[must_use]
pub fn shown_key(views: &Views, config: &AwsConfig, known: Option<&str>) -> Source {
    let Some(named) = &config.spec.key_secret_ref else { return Source::NotShown };
    let delivered = config.status.as_ref().and_then(|status| status.source.as_ref());
    let delivered = delivered.filter(|source| source.name == named.name);
    let delivered = delivered.and_then(|source| source.resource_version.as_deref());
    shown(views, config, &named.name, [delivered, known])
}

/// Returns the Secret with the API key of a config, if a view shows it. The data need not be read
/// if the version is `known`, or the one that the record of the target names together with the
/// source.
#[must_use]
pub fn shown_api_key(
    views: &Views,
    config: &AwsConfig,
    record: Option<&Record>,
    known: Option<&str>,
) -> Source<SecretString> {
    let Some(named) = api_key(config) else { return Source::NotShown };
    let delivered = record.and_then(|record| record.api_key.key.strip_prefix(&format!("{}@", named.name)));
    shown(views, config, &named.name, [delivered, known])
}

/// Looks for the Secret with the AWS key of a config.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub async fn find_key(calls: &Calls, config: &AwsConfig) -> Result<Source, CallError> {
    match &config.spec.key_secret_ref {
        Some(named) => find(calls, config, &named.name).await,
        None => Ok(Source::NotShown),
    }
}

/// Looks for the Secret with the API key of a config.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub async fn find_api_key(calls: &Calls, config: &AwsConfig) -> Result<Source<SecretString>, CallError> {
    match api_key(config) {
        Some(named) => find(calls, config, &named.name).await,
        None => Ok(Source::NotShown),
    }
}

/// Reads the AWS key of a config.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub async fn read_key(calls: &Calls, config: &AwsConfig) -> Result<Source, CallError> {
    match key_request(config) {
        Some(request) => read(calls, config, &request.secret, |data| request.read(data)).await,
        None => Ok(Source::NotShown),
    }
}

/// Reads the API key of a config.
///
/// # Errors
/// [`CallError`] if the API server refused the read or did not answer.
pub async fn read_api_key(calls: &Calls, config: &AwsConfig) -> Result<Source<SecretString>, CallError> {
    match api_key(config) {
        Some(named) => read(calls, config, &named.name, |data| credentials::read_api_key(data, &named.key)).await,
        None => Ok(Source::NotShown),
    }
}

fn api_key(config: &AwsConfig) -> Option<&ApiKeySecretRef> {
    config.spec.dss.as_ref()?.api_key_secret_ref.as_ref()
}

/// Returns the source of this name that a view shows. The view shows a Secret only if its owner
/// offers it. The data need not be read if the version is one of `known`.
fn shown<K>(views: &Views, config: &AwsConfig, name: &str, known: [Option<&str>; 2]) -> Source<K> {
    let Some(shown) = views.sources.get(&config.namespace().unwrap_or_default(), name) else {
        return Source::NotShown;
    };
    let version = shown.resource_version();
    let is_known = version.is_some() && known.contains(&version.as_deref());
    Source::Offered { version, key: if is_known { SeenKey::Delivered } else { SeenKey::Unknown } }
}

/// Asks the API server for the source of this name. keyturn reads only the metadata, because the
/// owner may not have offered the Secret.
async fn find<K>(calls: &Calls, config: &AwsConfig, name: &str) -> Result<Source<K>, CallError> {
    let found = calls.secret_metadata(&config.namespace().unwrap_or_default(), name).await?;
    Ok(match found {
        None => Source::Absent,
        Some(found) if !is_offered(&found.metadata) => Source::NotOffered,
        Some(found) => Source::Offered { version: found.resource_version(), key: SeenKey::Unknown },
    })
}

/// Reads the key of the source of this name. If the owner has withdrawn the offer in the meantime,
/// keyturn drops the data. `key` finds the key in the data, or says why there is none.
async fn read<K>(
    calls: &Calls,
    config: &AwsConfig,
    name: &str,
    key: impl Fn(&BTreeMap<String, Vec<u8>>) -> Result<K, String>,
) -> Result<Source<K>, CallError> {
    let found = calls.secret(&config.namespace().unwrap_or_default(), name).await?;
    Ok(match found {
        None => Source::Absent,
        Some(secret) if !is_offered(&secret.metadata) => Source::NotOffered,
        Some(secret) => {
            let version = secret.resource_version();
            let key = key(&data_of(secret)).map_or_else(SeenKey::Unreadable, |key| SeenKey::Read(Arc::new(key)));
            Source::Offered { version, key }
        }
    })
}
