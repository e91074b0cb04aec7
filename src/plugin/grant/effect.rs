//! The effect of a grant on the configs that exist: which of them are allowed before it, and which
//! after it. Pure.

use super::{Labels, replaced};
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
    let left: Vec<_> = grants.iter().filter(|grant| grant.name_any() != deleted.name_any()).cloned().collect();
    between(configs, labels, &replaced(grants, deleted), &left).withdrawn
}

fn between(
    configs: &[AwsConfig],
    labels: &Labels,
    before: &[Arc<AwsRoleGrant>],
    after: &[Arc<AwsRoleGrant>],
) -> Effect {
    let mut effect = Effect::default();
    for asked in configs.iter().filter_map(Asked::by) {
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

/// The request of a config.
struct Asked<'a> {
    config: &'a AwsConfig,
    subject: Subject,
    /// The role; `None` for a key and for the credential of a connection.
    role: Option<String>,
}

impl<'a> Asked<'a> {
    /// The request of a config; `None` if the config asks for nothing yet, or is suspended.
    fn by(config: &'a AwsConfig) -> Option<Self> {
        let subject = config.subject().filter(|_| !config.spec.suspend)?;
        let role = match config.spec.credential_provider {
            CredentialProvider::Temporary => Some(role(config)?),
            CredentialProvider::Default | CredentialProvider::Connection => None,
        };
        Some(Self { config, subject, role })
    }

    fn in_words(&self) -> String {
        let provider = self.config.spec.credential_provider;
        let what = self.role.as_deref().unwrap_or_else(|| provider.as_str());
        let namespace = self.config.namespace().unwrap_or_default();
        format!("AwsConfig {namespace}/{} ({}): {what}", self.config.name_any(), self.subject)
    }

    fn is_allowed(&self, labels: &Labels, grants: &[Arc<AwsRoleGrant>]) -> bool {
        let none = BTreeMap::new();
        let namespace_labels = labels.get(&self.config.namespace().unwrap_or_default()).unwrap_or(&none);
        let what = match (&self.role, self.config.spec.credential_provider) {
            (Some(role), _) => Requested::Role(role),
            (None, CredentialProvider::Default) => Requested::Key,
            (None, _) => Requested::Connection,
        };
        granted(grants, GrantRequest { config: self.config, namespace_labels, subject: &self.subject, what }).is_ok()
    }
}

/// The role that a config asks for: that of `spec.role`, otherwise the one that keyturn recorded.
fn role(config: &AwsConfig) -> Option<String> {
    let arn = config.spec.role.clone().filter(|role| !role.contains("${"));
    arn.or_else(|| Some(config.status.as_ref()?.active_role.as_ref()?.role.clone()))
}
