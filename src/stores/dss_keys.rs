//! The store of personal API keys in one DSS.

use super::{Access, Entry, Made};
use crate::{
    api::{AwsConfig, Failure, Reason},
    credentials::IssueError,
    dss::{Dss, DssError, Kind, PersonalKey},
    dss_keys::{key_label, key_label_prefix},
};
use kube::ResourceExt as _;

/// The personal API keys of one config in one DSS.
pub struct DssKeys<'a> {
    access: Access<'a>,
    config: &'a AwsConfig,
    instance: &'a str,
    dss: Dss,
}

impl<'a> DssKeys<'a> {
    /// The keys of a config in this instance; `None` while keyturn has not connected to its DSS.
    #[must_use]
    pub fn of(access: Access<'a>, config: &'a AwsConfig, instance: &'a str) -> Option<Self> {
        let dss = access.dss_cache.dss(instance)?;
        Some(Self { access, config, instance, dss })
    }

    /// The DSS, with the admin key.
    pub(super) fn dss(&self) -> &Dss {
        &self.dss
    }

    /// Whether the last attempt failed because the person was an administrator of DSS.
    pub(super) fn were_of_administrator(&self) -> bool {
        let failure = self.config.status.as_ref().and_then(|status| status.failure.as_ref());
        failure.and_then(Failure::why).is_some_and(|why| why.reason == Reason::DssAdminKey)
    }

    /// The label of the config's keys.
    pub(super) fn label(&self) -> String {
        key_label(self.access.cluster_name, self.config)
    }

    pub(super) async fn put(&self, owner: &str) -> Result<Made, IssueError> {
        let (config, cluster) = (self.config, self.access.cluster_name);
        let description = format!(
            "Created by keyturn for AwsConfig {} in namespace {} of cluster {cluster}, which deletes it. Do not edit.",
            config.name_any(),
            config.namespace().unwrap_or_default(),
        );
        let created = self.dss.create_personal_key(owner, &self.label(), &description).await;
        let created = created.map_err(|error| {
            // DSS may have created the key all the same, and the cache may then lack a key.
            self.access.dss_cache.unsure_of_keys(self.instance);
            not_created(&error, owner)
        })?;
        let entry = Entry { id: created.id, owner: owner.to_owned() };
        self.access.dss_cache.created(self.instance, self.personal_key(&entry));
        let (instance, login, id) = (self.instance, owner, &entry.id);
        tracing::info!(instance, login, id, "a personal API key was created in DSS");
        Ok(Made { entry, secret: created.key })
    }

    /// Deletes a key with the rights of an admin.
    pub(super) async fn delete(&self, entry: &Entry) -> Result<(), DssError> {
        self.dss.delete_personal_key(&entry.id, &entry.owner).await?;
        self.forget(entry);
        Ok(())
    }

    /// Deletes a key with the rights of its owner, who can delete only their own keys.
    pub(super) async fn delete_as_owner(&self, entry: &Entry) -> Result<(), DssError> {
        self.dss.delete_own_key(&entry.id, &entry.owner).await?;
        self.forget(entry);
        Ok(())
    }

    pub(super) async fn find_ours(&self) -> Result<Vec<Entry>, DssError> {
        let prefix = key_label_prefix(self.access.cluster_name);
        let keys = self.access.dss_cache.keys_or_list(self.instance, &self.dss, &prefix, &self.label()).await?;
        Ok(keys.into_iter().map(|key| Entry { id: key.id, owner: key.user }).collect())
    }

    /// The entry as the cache of DSS records it.
    pub(super) fn personal_key(&self, entry: &Entry) -> PersonalKey {
        PersonalKey { id: entry.id.clone(), user: entry.owner.clone(), label: self.label() }
    }

    fn forget(&self, entry: &Entry) {
        let (instance, login, id) = (self.instance, &entry.owner, &entry.id);
        tracing::info!(instance, login, id, "a personal API key is no longer in use");
        self.access.dss_cache.deleted(self.instance, self.personal_key(entry));
    }
}

fn not_created(error: &DssError, login: &str) -> IssueError {
    let mut failed = IssueError::of_dss(error);
    if error.kind == Kind::Denied {
        failed.why.message = format!(
            "the admin key is not allowed to create personal API keys for others, here for \"{login}\": {error}; a DSS admin \
             gives it that right, or \"{login}\" creates one for spec.dss.apiKeySecretRef"
        );
    }
    failed
}
