//! The finalizers, added before the first entry in a store.

use super::Access;
use crate::{
    api::{AwsConfig, names},
    cluster::{CallError, Object, Watched},
    finalizers,
};
use kube::ResourceExt as _;
use std::sync::Arc;

/// Adds the finalizers before the first entry in a DSS.
pub(super) async fn add_finalizers(access: Access<'_>, config: &AwsConfig, instance: &str) -> Result<(), CallError> {
    let lock = access.dss_cache.writing(instance);
    let of_instance = OfInstance { watched: &access.views.instances, instance, name: names::DSS_INSTANCE_FINALIZER };
    add(access, config, &finalizers::of_keys_in(instance), of_instance, &lock).await
}

/// Adds the finalizers before the first entry in a DataRobot.
pub(super) async fn add_data_robot_finalizers(
    access: Access<'_>,
    config: &AwsConfig,
    instance: &str,
) -> Result<(), CallError> {
    let lock = access.data_robots.writing();
    let watched = &access.views.data_robots;
    let of_instance = OfInstance { watched, instance, name: names::DATA_ROBOT_INSTANCE_FINALIZER };
    add(access, config, &finalizers::of_credentials_in(instance), of_instance, &lock).await
}

/// The finalizer of an instance.
struct OfInstance<'a, K> {
    watched: &'a Watched<K>,
    instance: &'a str,
    name: &'a str,
}

/// Adds both finalizers. That of the config comes first, because keyturn removes that of the
/// instance once no config has one for it.
async fn add<K>(
    access: Access<'_>,
    config: &AwsConfig,
    finalizer: &str,
    OfInstance { watched, instance, name: of_instance }: OfInstance<'_, K>,
    lock: &tokio::sync::Mutex<()>,
) -> Result<(), CallError>
where
    K: Object,
{
    let configs = &access.views.configs;
    // The finalizers may have changed since the decision.
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let current = configs.get(&namespace, &name).filter(|current| current.metadata.uid == config.metadata.uid);
    let current = current.as_deref().unwrap_or(config);
    finalizers::add(access.calls, configs, current, finalizer).await?;
    let without_finalizer = || -> Option<Arc<K>> {
        watched.get("", instance).filter(|found| !found.finalizers().iter().any(|there| there == of_instance))
    };
    if without_finalizer().is_none() {
        return Ok(());
    }
    // If many configs need the same finalizer at once, one of them writes it.
    let _locked = lock.lock().await;
    let Some(found) = without_finalizer() else { return Ok(()) };
    finalizers::add(access.calls, watched, found.as_ref(), of_instance).await
}
