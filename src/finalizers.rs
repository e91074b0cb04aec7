//! The finalizers of keyturn: the one place that lists, adds and removes them.
//!
//! A finalizer says that there may be entries of an object outside the cluster. keyturn adds the
//! finalizer before the first entry in a store, and removes it after the last one. After a crash at
//! any line, a finalizer therefore still says where entries may be left.

use crate::{
    api::{AwsConfig, names},
    cluster::{CallError, Calls, Failed, Object, Watched},
};
use kube::{Resource, ResourceExt as _};

/// The instances that may hold keys of a config, according to its finalizers.
pub fn key_places(config: &AwsConfig) -> impl Iterator<Item = &str> {
    config.finalizers().iter().filter_map(|finalizer| finalizer.strip_prefix(names::DSS_FINALIZER))
}

/// The instances of DataRobot that may hold a credential of a config, according to its finalizers.
pub fn credential_places(config: &AwsConfig) -> impl Iterator<Item = &str> {
    config.finalizers().iter().filter_map(|finalizer| finalizer.strip_prefix(names::DATA_ROBOT_FINALIZER))
}

/// The finalizer of a config that may have a credential in this instance of DataRobot.
#[must_use]
pub fn of_credentials_in(instance: &str) -> String {
    format!("{}{instance}", names::DATA_ROBOT_FINALIZER)
}

/// The finalizer of a config that may have keys in this instance.
#[must_use]
pub fn of_keys_in(instance: &str) -> String {
    format!("{}{instance}", names::DSS_FINALIZER)
}

/// Whether an instance has the finalizer that keeps it until keyturn's entries in it are deleted.
#[must_use]
pub fn is_kept(instance: &impl Resource) -> bool {
    let ours = [names::DSS_INSTANCE_FINALIZER, names::DATA_ROBOT_INSTANCE_FINALIZER];
    instance.finalizers().iter().any(|finalizer| ours.contains(&finalizer.as_str()))
}

/// Adds a finalizer, unless the object has it.
///
/// # Errors
/// [`Failed::Conflict`] if the object was changed meanwhile; any other [`CallError`] if the API
/// server refuses the write or does not answer.
pub async fn add<K>(calls: &Calls, watched: &Watched<K>, object: &K, finalizer: &str) -> Result<(), CallError>
where
    K: Object,
{
    if object.finalizers().iter().any(|there| there == finalizer) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    write(calls, watched, object, &finalizers).await
}

/// Removes the finalizers for which `is_removed` is true. If the object no longer exists, the
/// removal succeeds.
///
/// # Errors
/// [`Failed::Conflict`] if the object was changed meanwhile; any other [`CallError`] if the API
/// server refuses the write or does not answer.
pub async fn remove<K>(
    calls: &Calls,
    watched: &Watched<K>,
    object: &K,
    is_removed: impl Fn(&str) -> bool,
) -> Result<(), CallError>
where
    K: Object,
{
    let left: Vec<String> = object.finalizers().iter().filter(|finalizer| !is_removed(finalizer)).cloned().collect();
    match write(calls, watched, object, &left).await {
        Err(error) if error.failed == Failed::NotFound => Ok(()),
        written => written,
    }
}

async fn write<K>(calls: &Calls, watched: &Watched<K>, object: &K, finalizers: &[String]) -> Result<(), CallError>
where
    K: Object,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let write = calls.finalizers(object, finalizers);
    watched.own_writes().write(&namespace, &name, write).await.map(|_| ())
}
