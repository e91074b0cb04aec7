//! The effect of a grant on the configs that exist: which of them are allowed before it, and which
//! after it. Pure.

use super::{Labels, others, replaced};
use crate::{
    api::{AwsConfig, AwsRoleGrant, CredentialProvider, Subject},
    grants::{GrantRequest, Requested, granted},
};
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// What changes with a grant. Each line names a config, whom it is for and what it asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The configs that nothing allows without the grant.
    pub allowed: Vec<String>,
    /// The configs that lose what they have.
    pub withdrawn: Vec<String>,
}

/// The effect of a grant that is applied over these.
pub(super) fn effect(
    configs: &[AwsConfig],
    labels: &Labels,
    grants: &[Arc<AwsRoleGrant>],
    applied: &AwsRoleGrant,
) -> Effect {
    between(configs, labels, grants, &replaced(grants, applied))
}

/// The configs that would lose what they have if this grant was applied and then deleted.
pub(super) fn without(
    configs: &[AwsConfig],
    labels: &Labels,
    grants: &[Arc<AwsRoleGrant>],
    deleted: &AwsRoleGrant,
) -> Vec<String> {
    let left = others(grants, &deleted.name_any());
    between(configs, labels, &replaced(grants, deleted), &left).withdrawn
}

fn between(
    configs: &[AwsConfig],
    labels: &Labels,
    before: &[Arc<AwsRoleGrant>],
    after: &[Arc<AwsRoleGrant>],
) -> Effect {
    let mut effect = Effect::default();
    for asked in configs.iter().flat_map(Asked::by) {
        match (asked.is_allowed(labels, before), asked.is_allowed(labels, after)) {
            (false, true) => effect.allowed.push(asked.in_words()),
            (true, false) => effect.withdrawn.push(asked.in_words()),
            (false, false) | (true, true) => {}
        }
    }
    effect.allowed.sort();
    effect.withdrawn.sort();
    effect
}

/// A request of a config: its own, or that of a profile.
pub(super) struct Asked<'a> {
    config: &'a AwsConfig,
    subject: Subject,
    profile: Option<&'a str>,
    /// The role; `None` for a key and for the credential of a connection.
    role: Option<String>,
}

impl<'a> Asked<'a> {
    /// The requests of a config. There is none if the config asks for nothing yet, or is suspended.
    pub(super) fn by(config: &'a AwsConfig) -> Vec<Self> {
        let Some(subject) = config.subject().filter(|_| !config.spec.suspend) else { return vec![] };
        let own = match config.spec.credential_provider {
            CredentialProvider::Temporary => role(config).map(Some),
            CredentialProvider::Default | CredentialProvider::Connection => Some(None),
        };
        let own = own.map(|role| (None, role));
        let profiles = config.spec.profiles.iter().filter_map(|profile| {
            let role = profile.role.clone().or_else(|| role_of_profile(config, &profile.name))?;
            Some((Some(profile.name.as_str()), Some(role)))
        });
        let of = |(profile, role)| Self { config, subject: subject.clone(), profile, role };
        own.into_iter().chain(profiles).map(of).collect()
    }

    pub(super) fn in_words(&self) -> String {
        let provider = self.config.spec.credential_provider;
        let what = self.role.as_deref().unwrap_or_else(|| provider.as_str());
        let namespace = self.config.namespace().unwrap_or_default();
        let profile = self.profile.map(|name| format!(", profile {name}")).unwrap_or_default();
        format!("AwsConfig {namespace}/{} ({}){profile}: {what}", self.config.name_any(), self.subject)
    }

    pub(super) fn is_allowed(&self, labels: &Labels, grants: &[Arc<AwsRoleGrant>]) -> bool {
        self.grant(labels, grants).is_some()
    }

    /// The name of the grant that allows it; `None` if no grant does, or one denies it.
    pub(super) fn grant(&self, labels: &Labels, grants: &[Arc<AwsRoleGrant>]) -> Option<String> {
        let none = BTreeMap::new();
        let namespace_labels = labels.get(&self.config.namespace().unwrap_or_default()).unwrap_or(&none);
        let what = match (&self.role, self.config.spec.credential_provider) {
            (Some(role), _) => Requested::Role(role),
            (None, CredentialProvider::Default) => Requested::Key,
            (None, _) => Requested::Connection,
        };
        let ask = GrantRequest { config: self.config, namespace_labels, subject: &self.subject, what };
        granted(grants, ask).ok().map(AwsRoleGrant::name_any)
    }
}

/// The role that a config asks for: that of `spec.role`, otherwise the one that keyturn recorded.
fn role(config: &AwsConfig) -> Option<String> {
    let arn = config.spec.role.clone().filter(|role| !role.contains("${"));
    arn.or_else(|| Some(config.status.as_ref()?.active_role.as_ref()?.role.clone()))
}

/// The role that keyturn recorded for a profile.
fn role_of_profile(config: &AwsConfig, name: &str) -> Option<String> {
    let profiles = config.status.as_ref()?.profiles.as_ref()?;
    profiles.iter().find(|profile| profile.name == name)?.role.clone()
}
