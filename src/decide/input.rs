//! What a decision is made on: values only, gathered by `observe` and by tests.

use super::{action::Refusal, backoff::Backoff, dss_access::SeenDss};
use crate::{
    api::{
        AwsConfig, AwsRole, AwsRoleGrant, ConditionType, CredentialProvider, DssInstance, RoleArn, Statement, Subject,
    },
    credentials::{Credentials, Identity, KeyRequest},
    dss_keys::{HeldKey, KeyPlace},
    secret::{DssRendering, Record, Rendering, Source},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Everything that a decision about one `AwsConfig` looks at.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The object, as new as our own last write of it.
    pub config: Arc<AwsConfig>,
    /// The cluster's name: half of the external ID.
    pub cluster: Arc<str>,
    /// The labels of its namespace; `None` while the namespace has not been seen.
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// The grants that may be about its namespace.
    pub grants: Vec<Arc<AwsRoleGrant>>,
    /// Whether the process has seen any grant since it started. Until then an empty list may be half a view.
    pub grants_seen: bool,
    /// Who the operator is in AWS; `None` until STS has told it.
    pub identity: Option<Identity>,
    /// The DSS that it names, if it names one.
    pub dss: Option<SeenDss>,
    /// Where there may be API keys of DSS that were created for it.
    pub key_places: Vec<KeyPlace>,
    /// What `spec.role` stands for ([`super::dss_access::role_of`]).
    pub asked_role: Result<Option<RoleArn>, Refusal>,
    /// The `AwsRole` that the config asks for ([`role_name`]), whoever's it is.
    pub role: SeenRole,
    /// The other `AwsRole`s that name this config as theirs.
    pub other_roles: Vec<Arc<AwsRole>>,
    /// The Secret that the key is in, if it is one that is asked for.
    pub source: Source,
    /// The Secret that the API key of DSS is in, if it is one that is asked for.
    pub api_key_source: Source<SecretString>,
    /// The Secret.
    pub target: Target,
    /// What this process remembers of the object. Losing it costs a read or a retry, never a credential.
    pub remembered: Remembered,
    /// When the process started.
    pub started_at: Timestamp,
}

#[cfg(test)]
impl Observed {
    /// A config of which nothing else is known yet, in a cluster of this name, at a process that started then.
    #[must_use]
    pub fn of(config: Arc<AwsConfig>, cluster: &str, started_at: Timestamp) -> Self {
        let asked_role = super::dss_access::role_of(&config, None);
        Self {
            config,
            cluster: cluster.into(),
            namespace_labels: None,
            grants: vec![],
            grants_seen: false,
            identity: None,
            dss: None,
            key_places: vec![],
            asked_role,
            role: SeenRole::NotShown,
            other_roles: vec![],
            source: Source::NotShown,
            api_key_source: Source::NotShown,
            target: Target::NotWatched,
            remembered: Remembered::default(),
            started_at,
        }
    }
}

/// An `AwsRole`, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum SeenRole {
    /// The watch does not show it, or none is asked for.
    NotShown,
    /// There is none.
    Absent,
    /// There it is.
    Shown(Arc<AwsRole>),
}

impl SeenRole {
    /// The role, unless there is none or it is on its way out.
    #[must_use]
    pub fn there(&self) -> Option<&Arc<AwsRole>> {
        match self {
            Self::Shown(role) if role.metadata.deletion_timestamp.is_none() => Some(role),
            _ => None,
        }
    }
}

/// The Secret of the target's name, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The watch, which sees Secrets with our label only, does not show it. That is not to say that there is none.
    NotWatched,
    /// There is none.
    Absent,
    /// It is not this config's.
    Foreign {
        /// Who else it belongs to, in words.
        owner: String,
    },
    /// It is this config's.
    Ours(Box<Ours>),
}

impl Target {
    /// What a Secret of ours says of itself.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Ours(ours) => ours.record.as_ref(),
            _ => None,
        }
    }
}

/// A Secret of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Ours {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What its annotations say; `None` if they were destroyed.
    pub record: Option<Record>,
    /// Its data.
    pub content: SecretData,
}

impl Ours {
    /// Whether a look found that somebody edited what is ours.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        matches!(&self.content, SecretData::Read(taken) if !taken.intact)
    }
}

/// What is known of a Secret's data.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretData {
    /// Nothing: it was written by somebody since we last looked.
    Unknown,
    /// Its resourceVersion is the one that we wrote or looked at.
    Known,
    /// It was read.
    Read(ReadData),
}

/// What a look at a Secret's data found.
#[derive(Clone, Debug)]
pub struct ReadData {
    /// Whether our keys and annotations are as we wrote them.
    pub intact: bool,
    /// Whether the Secret refuses every apply.
    pub immutable: bool,
    /// The session in it.
    pub credentials: Option<Arc<Credentials>>,
    /// The API key of DSS in it.
    pub api_key: Option<SecretString>,
}

impl PartialEq for ReadData {
    fn eq(&self, other: &Self) -> bool {
        let names_session = |taken: &Self| taken.credentials.as_ref().map(|c| c.access_key_id.clone());
        (self.intact, self.immutable, names_session(self)) == (other.intact, other.immutable, names_session(other))
    }
}

/// What a process remembers of one object.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The Secret's resourceVersion at which its content is known to be ours.
    pub known_version: Option<String>,
    /// The resourceVersion of the Secret of a user's at which its key is known to be the one that we delivered.
    pub known_source: Option<String>,
    /// The resourceVersion of the Secret of a user's at which its API key is known to be the one that we delivered.
    pub known_api_key_source: Option<String>,
    /// The API key of DSS that was created, or delivered last: so that a renewal need not read it.
    pub api_key: Option<HeldKey>,
    /// When a key that has no end was last asked for.
    pub checked_at: Option<Timestamp>,
    /// The row of transient failures, if the last attempt ended in one.
    pub transient: Option<Backoff>,
    /// Repairs in a row.
    pub repairs: i32,
    /// When the last of them was.
    pub repaired_at: Option<Timestamp>,
    /// What other rooms found out about the object: `None` if nothing stands in the way. A type that is absent has not been
    /// looked into by this process, and its condition stays as it is.
    pub findings: BTreeMap<ConditionType, Option<Statement>>,
}

/// The name of the `AwsRole` that a config asks for, generated or not.
#[must_use]
pub fn role_name(config: &AwsConfig, asked: Option<&RoleArn>) -> Option<String> {
    if config.spec.credential_provider != CredentialProvider::Temporary {
        return None;
    }
    let named = config.spec.active_role_ref.as_ref().map(|role| role.name.clone());
    named.or_else(|| asked.map(|role| generated_role_name(config, role)))
}

/// Where the key is that a config asks for, if it asks for one.
#[must_use]
pub fn key_request(config: &AwsConfig) -> Option<KeyRequest> {
    let named = config.spec.key_secret_ref.clone()?;
    Some(KeyRequest {
        secret: named.name,
        access_key_id_key: named.access_key_id_key,
        secret_access_key_key: named.secret_access_key_key,
    })
}

/// The name of the `AwsRole` of a config for a role: the config's name and 8 hex digits of whom it is for and of the
/// role. Another person means another `AwsRole`.
#[must_use]
pub fn generated_role_name(config: &AwsConfig, role: &RoleArn) -> String {
    let subject = config.subject();
    let hash = Sha256::new()
        .chain_update(subject.as_ref().map_or("", Subject::as_str))
        .chain_update([0])
        .chain_update(role.as_str())
        .finalize();
    format!("{}-{:02x}{:02x}{:02x}{:02x}", config.name_any(), hash[0], hash[1], hash[2], hash[3])
}

/// Whether an object's controller is this very `AwsConfig` (and not one of the same name).
#[must_use]
pub fn is_controlled_by(metadata: &ObjectMeta, config: &AwsConfig) -> bool {
    let uid = config.metadata.uid.as_deref().unwrap_or_default();
    metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// How the Secret of what is seen is to be rendered.
#[must_use]
pub fn rendering(seen: &Observed) -> Rendering {
    let instance = seen.dss.as_ref().and_then(|dss| dss.instance.as_deref());
    rendering_of(&seen.config, instance)
}

/// How the Secret of `config` is to be rendered, if this is the DSS that it names.
#[must_use]
pub fn rendering_of(config: &AwsConfig, instance: Option<&DssInstance>) -> Rendering {
    let spec = &config.spec;
    let dss = spec.dss.as_ref().zip(instance).map(|(dss, instance)| DssRendering {
        url: instance.spec.url.clone(),
        project: dss.project.clone(),
        no_check_certificate: instance.spec.insecure_skip_verify,
        ca_bundle: instance.spec.ca_bundle.clone(),
        with_key: dss.wants_key(),
    });
    let target = spec.target.clone().unwrap_or_default();
    let plain = |map: BTreeMap<String, crate::api::TargetValue>| map.into_iter().map(|(k, v)| (k, v.0)).collect();
    Rendering {
        formats: spec.formats(),
        region: spec.region.clone(),
        default_bucket: spec.default_bucket.clone(),
        extra_buckets: spec.extra_buckets.clone(),
        labels: plain(target.labels),
        annotations: plain(target.annotations),
        dss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Format, SECRET_KEYS};
    use crate::{credentials::Credentials, secret::render};
    use serde_json::{Value, from_value, json};
    use std::collections::BTreeSet;

    /// Pods are given the variables that the spec speaks of (`inject`), before there is a Secret.
    #[test]
    fn the_secret_holds_the_variables_that_its_spec_speaks_of_and_no_others() {
        let instance =
            json!({"url": "https://dss", "apiKeySecretRef": {"namespace": "keyturn", "name": "admin"}, "allow": []});
        let instance = DssInstance::new("design", from_value(instance).unwrap());
        let session = Credentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "key".into(),
            session_token: Some("token".into()),
        };
        let holds = |spec: Value| {
            let mut whole = json!({"person": "alice"});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let config = AwsConfig::new("alice", from_value(whole).unwrap());
            let api_key = config.spec.dss.as_ref().filter(|dss| dss.wants_key()).map(|_| "the-key".to_owned().into());
            let rendering = rendering_of(&config, Some(&instance));
            let content = render(&rendering, &session, "2026-01-01T01:00:00Z".parse().ok(), api_key.as_ref()).unwrap();
            let said = SECRET_KEYS.iter().filter(|key| key.format == Format::Env && key.may_be_for(&config.spec));
            let said: BTreeSet<&str> = said.map(|key| key.name).collect();
            let variables = SECRET_KEYS.iter().filter(|key| key.format == Format::Env).map(|key| key.name);
            let held: BTreeSet<&str> = variables.filter(|name| content.0.contains_key(*name)).collect();
            assert_eq!(held, said, "{spec}");
        };
        holds(json!({}));
        holds(json!({"region": "eu-west-1", "target": {"formats": ["Files"]}}));
        holds(json!({"region": "eu-west-1", "defaultBucket": "a"}));
        holds(json!({"extraBuckets": ["b"], "dss": {"instance": "design", "apiKey": "Personal"}}));
        holds(json!({"dss": {"instance": "design", "project": "FRAUD", "apiKeySecretRef": {"name": "mine"}}}));
        holds(json!({"dss": {"instance": "design"}}));
    }
}
