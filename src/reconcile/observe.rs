//! Gathers what a decision is made on. The views answer nearly everything; a look is the only read.

use super::{
    Context,
    observed::{
        Look, Observed, Ours, SeenKey, SeenRole, Source, Taken, Target, is_controlled_by, key_request, role_name,
    },
};
use crate::{
    api::{AwsConfig, names},
    cluster::CallError,
    secret::{Record, credentials_in, is_intact},
};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// What the views show; `None` if the config is gone or going, when garbage collection does the rest.
pub(super) fn observe(context: &Context, config: &AwsConfig) -> Option<Observed> {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let views = &context.views;
    let config = views.configs.get(&namespace, &name)?;
    if config.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let role = role_name(&config);
    let other_roles = views.roles_of(&namespace, &name);
    let remembered = context.memory.recall(&config.uid().unwrap_or_default());
    let target = match views.secrets.get(&namespace, &config.target_name()) {
        Some(secret) => target(&config, &secret.metadata, remembered.known_version.as_deref()),
        None => Target::NotWatched,
    };
    Some(Observed {
        cluster: context.cluster_name.clone(),
        namespace_labels: views.namespaces.get("", &namespace).map(|namespace| namespace.labels().clone()),
        grants: views.grants_about(&namespace),
        identity: context.sts.identity().cloned(),
        grants_seen: views.grants.has_shown_any(),
        other_roles: other_roles.into_iter().filter(|other| Some(other.name_any()) != role).collect(),
        role: role.and_then(|role| views.roles.get(&namespace, &role)).map_or(SeenRole::NotShown, SeenRole::Shown),
        source: shown_source(context, &config, remembered.known_source.as_deref()),
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

/// Only a Secret that its owner offers is shown.
fn shown_source(context: &Context, config: &AwsConfig, known: Option<&str>) -> Source {
    let Some(named) = &config.spec.key_secret_ref else { return Source::NotShown };
    let namespace = config.namespace().unwrap_or_default();
    let Some(shown) = context.views.sources.get(&namespace, &named.name) else { return Source::NotShown };
    let delivered = config.status.as_ref().and_then(|status| status.source.as_ref());
    let delivered = delivered.filter(|source| source.name == named.name);
    let delivered = delivered.and_then(|source| source.resource_version.as_deref());
    let version = shown.resource_version();
    let is_known = version.is_some() && (version.as_deref() == delivered || version.as_deref() == known);
    Source::Offered { version, key: if is_known { SeenKey::Delivered } else { SeenKey::Unknown } }
}

fn is_offered(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(names::SOURCE));
    label.is_some_and(|offered| offered == names::SOURCE_OFFERED)
}

/// Answers `LookForSource`: metadata only, since it may not be offered.
pub(super) async fn look_for_source(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let Some(named) = &seen.config.spec.key_secret_ref else { return Ok(()) };
    let namespace = seen.config.namespace().unwrap_or_default();
    seen.source = match context.calls.secret_metadata(&namespace, &named.name).await? {
        None => Source::Absent,
        Some(found) if !is_offered(&found.metadata) => Source::NotOffered,
        Some(found) => Source::Offered { version: found.resource_version(), key: SeenKey::Unknown },
    };
    Ok(())
}

/// Answers `LookAtSource`. If its owner has changed their mind in the meantime, what was read is dropped.
pub(super) async fn look_at_source(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let Some(request) = key_request(&seen.config) else { return Ok(()) };
    let namespace = seen.config.namespace().unwrap_or_default();
    seen.source = match context.calls.secret(&namespace, &request.secret).await? {
        None => Source::Absent,
        Some(secret) if !is_offered(&secret.metadata) => Source::NotOffered,
        Some(secret) => {
            let version = secret.resource_version();
            let key = request.read(&data(secret)).map_or_else(SeenKey::Unreadable, |key| SeenKey::Read(Arc::new(key)));
            Source::Offered { version, key }
        }
    };
    Ok(())
}

/// Answers `LookForTarget`: the watch sees Secrets with our label only. Metadata only, since it may be somebody else's.
pub(super) async fn look_for_target(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    let found = context.calls.secret_metadata(&namespace, &name).await?;
    let known = seen.remembered.known_version.as_deref();
    seen.target = found.map_or(Target::Absent, |found| target(&seen.config, &found.metadata, known));
    Ok(())
}

/// Answers `LookForRole`: a role that is not shown may have been created a moment ago.
pub(super) async fn look_for_role(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let Some(name) = role_name(&seen.config) else { return Ok(()) };
    let namespace = seen.config.namespace().unwrap_or_default();
    seen.role = match context.calls.role(&namespace, &name).await? {
        // What was read is ahead of the watch just as what was written is.
        Some(role) => SeenRole::Shown(
            context.views.roles.ahead().write(&namespace, &name, async { Ok::<_, CallError>(role) }).await?,
        ),
        None => SeenRole::Absent,
    };
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

fn data(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

fn taken(record: Option<&Record>, secret: Secret) -> Taken {
    let immutable = secret.immutable == Some(true);
    let data = data(secret);
    Taken {
        intact: record.is_some_and(|record| is_intact(record, &data)),
        immutable,
        credentials: credentials_in(&data).map(Arc::new),
    }
}
