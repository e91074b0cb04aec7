//! Gathers what a decision is made on. The views answer nearly everything; a look is the only read.

use super::{
    Context,
    observed::{Look, Observed, Ours, Taken, Target, generated_role_name, is_controlled_by},
};
use crate::{
    api::AwsConfig,
    cluster::CallError,
    secret::{Record, credentials_in, is_intact},
};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt as _;
use std::sync::Arc;

/// What the views show; `None` if the config is gone or going, when garbage collection does the rest.
pub(super) fn observe(context: &Context, config: &AwsConfig) -> Option<Observed> {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let views = &context.views;
    let config = views.configs.get(&namespace, &name)?;
    if config.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let role = config.spec.role_arn().ok().flatten().map(|role| generated_role_name(&config, &role));
    let former =
        config.status.as_ref().and_then(|status| status.active_role.as_ref()).map(|active| active.name.clone());
    let former = former.filter(|former| Some(former) != role.as_ref());
    let remembered = context.memory.recall(&config.uid().unwrap_or_default());
    let target = match views.secrets.get(&namespace, &config.target_name()) {
        Some(secret) => target(&config, &secret.metadata, remembered.known_version.as_deref()),
        None => Target::NotWatched,
    };
    Some(Observed {
        cluster: context.cluster_name.clone(),
        namespace_labels: views.namespaces.get("", &namespace).map(|namespace| namespace.labels().clone()),
        grants: views.grants.store().state(),
        grants_seen: views.grants.has_shown_any(),
        role: role.and_then(|role| views.roles.get(&namespace, &role)),
        former_role: former.and_then(|former| views.roles.get(&namespace, &former)),
        target,
        remembered,
        config,
    })
}

/// Whose the Secret is and what its annotations say. Its content needs no look while its version is one that we know.
fn target(config: &AwsConfig, metadata: &ObjectMeta, known: Option<&str>) -> Target {
    if !is_controlled_by(metadata, config) {
        let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let owner = owner.map_or("nobody's".to_owned(), |owner| format!("{} \"{}\"", owner.kind, owner.name));
        return Target::Foreign { owner };
    }
    let version = metadata.resource_version.as_deref();
    let written = config.status.as_ref().and_then(|status| status.target.as_ref());
    let written = written.and_then(|target| target.resource_version.as_deref());
    let is_known = version.is_some() && (version == known || version == written);
    let record = metadata.annotations.as_ref().and_then(Record::read);
    let content = if is_known { Look::NotNeeded } else { Look::Needed };
    Target::Ours(Box::new(Ours { metadata: metadata.clone(), record, content }))
}

/// Answers `LookForTarget`: the watch sees Secrets with our label only. Metadata only, since it may be somebody else's.
pub(super) async fn look_for_target(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let found = context.calls.secret_metadata(&namespace, &name).await?;
    let known = seen.remembered.known_version.as_deref();
    seen.target = found.map_or(Target::Absent, |found| target(&seen.config, &found.metadata, known));
    Ok(())
}

/// Answers `LookInside`: reads a Secret of ours.
pub(super) async fn look_inside(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let Some(secret) = context.calls.secret(&namespace, &name).await? else {
        seen.target = Target::Absent;
        return Ok(());
    };
    seen.target = target(&seen.config, &secret.metadata, None);
    if let Target::Ours(ours) = &mut seen.target {
        ours.content = Look::Taken(taken(ours.record.as_ref(), secret));
        ours.metadata.managed_fields = None;
    }
    Ok(())
}

fn taken(record: Option<&Record>, secret: Secret) -> Taken {
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    Taken {
        intact: record.is_some_and(|record| is_intact(record, &data)),
        immutable: secret.immutable == Some(true),
        credentials: credentials_in(&data).map(Arc::new),
    }
}
