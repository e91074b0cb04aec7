//! The Secret that keyturn writes, as a decision sees it: its owner, and what is known of its data.

use super::confirmed::is_confirmed;
use crate::{
    api::{AwsConfig, SECRET_KEYS, names},
    credentials::Credentials,
    secret::{Record, api_key_in, credentials_in, is_intact, profile_credentials_in},
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt as _;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};

/// The Secret with the name of the target, as far as keyturn knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The watch does not show the Secret. The Secret may exist all the same, because the watch
    /// shows only Secrets with keyturn's label.
    NotWatched,
    /// The Secret does not exist.
    Absent,
    /// The Secret is not this config's.
    Foreign {
        /// The other owner, in words.
        owner: String,
        /// Whether the Secret bears keyturn's marks for this config. A Secret that was restored
        /// from a backup does.
        is_marked: bool,
    },
    /// The Secret is this config's.
    Ours(Box<Ours>),
}

impl Target {
    /// The Secret with this metadata, whose data has not been read. The data need not be read if
    /// the version of the Secret is `known` or the one that the status of the config records.
    #[must_use]
    pub fn of(config: &AwsConfig, metadata: &ObjectMeta, known: Option<&str>) -> Self {
        if !is_controlled_by(metadata, config) {
            let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
            let owner = owner.map_or("nobody's".to_owned(), |owner| format!("{} \"{}\"", owner.kind, owner.name));
            let label = metadata.labels.as_ref().and_then(|labels| labels.get(names::AWS_CONFIG_LABEL));
            let has_record = metadata.annotations.as_ref().is_some_and(|it| it.contains_key(names::CONTENT_DIGEST));
            let is_marked = has_record && label.is_some_and(|name| *name == config.name_any());
            return Self::Foreign { owner, is_marked };
        }
        let version = metadata.resource_version.as_deref();
        let written = config.status.as_ref().and_then(|status| status.target.as_ref());
        let written = written.and_then(|target| target.resource_version.as_deref());
        let is_known = version.is_some() && (version == known || version == written);
        let record = metadata.annotations.as_ref().and_then(Record::read);
        let content = if is_known { SecretData::Known } else { SecretData::Unknown };
        Self::Ours(Box::new(Ours { metadata: metadata.clone(), record, content }))
    }

    /// A Secret whose data has been read. `attempted` is the content digest of a write of this
    /// process that got no answer. Such a write may have been made, and nobody else can have
    /// written the same content.
    #[must_use]
    pub fn read(config: &AwsConfig, secret: Secret, attempted: Option<&str>, now: Timestamp) -> Self {
        let Secret { metadata, data, immutable, .. } = secret;
        let mut target = Self::of(config, &metadata, None);
        if let Self::Ours(ours) = &mut target {
            let data = data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
            let is_ours = |record: &Record| {
                attempted == Some(record.content_digest.as_str()) || is_confirmed(record, config.status.as_ref(), now)
            };
            ours.content = SecretData::Read(ReadData {
                intact: ours.record.as_ref().is_some_and(|record| is_intact(record, &data)),
                confirmed: ours.record.as_ref().is_some_and(is_ours),
                immutable: immutable == Some(true),
                keys: SECRET_KEYS.iter().map(|key| key.name).filter(|name| data.contains_key(*name)).collect(),
                credentials: credentials_in(&data).map(Arc::new),
                profiles: profiles_in(ours.record.as_ref(), &data),
                api_key: api_key_in(&data),
            });
            ours.metadata.managed_fields = None;
        }
        target
    }

    /// The record in the annotations of a Secret that is this config's, if it has one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Ours(ours) => ours.record.as_ref(),
            _ => None,
        }
    }
}

/// A Secret of this config.
#[derive(Clone, Debug, PartialEq)]
pub struct Ours {
    /// The metadata of the Secret.
    pub metadata: ObjectMeta,
    /// The record in its annotations; `None` if they are missing or damaged.
    pub record: Option<Record>,
    /// The data of the Secret, as far as keyturn knows it.
    pub content: SecretData,
}

impl Ours {
    /// Whether a read found that somebody edited the data or annotations that keyturn wrote.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        matches!(&self.content, SecretData::Read(read) if !read.is_as_written())
    }
}

/// The data of a Secret, as far as keyturn knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretData {
    /// The data is not known, because somebody has written the Secret since keyturn last read or
    /// wrote it.
    Unknown,
    /// The data is known, because the resourceVersion is the one that keyturn last read or wrote.
    Known,
    /// keyturn has read the data.
    Read(ReadData),
}

/// The result of a read of a Secret's data.
#[derive(Clone, Debug, Default)]
pub struct ReadData {
    /// Whether keyturn's keys and annotations have the digest that the annotations name.
    pub intact: bool,
    /// Whether status confirms the annotations ([`is_confirmed`]).
    pub confirmed: bool,
    /// Whether the Secret is immutable. The API server refuses every apply to it.
    pub immutable: bool,
    /// The data keys of the Secret that keyturn may write ([`SECRET_KEYS`]), whether
    /// keyturn wrote them or somebody else.
    pub keys: Vec<&'static str>,
    /// The credential in the Secret; `None` if the Secret holds none.
    pub credentials: Option<Arc<Credentials>>,
    /// The sessions of the profiles in the Secret, by the name of the profile.
    pub profiles: BTreeMap<String, Arc<Credentials>>,
    /// The API key of DSS in the Secret; `None` if the Secret holds none.
    pub api_key: Option<SecretString>,
}

impl ReadData {
    /// Whether keyturn's keys and annotations are as keyturn wrote them.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        self.intact && self.confirmed
    }
}

impl PartialEq for ReadData {
    fn eq(&self, other: &Self) -> bool {
        let names_session = |read: &Self| read.credentials.as_ref().map(|c| c.access_key_id.clone());
        let compared = |read: &Self| (read.intact, read.confirmed, read.immutable, names_session(read));
        compared(self) == compared(other)
    }
}

/// The sessions in the data of the profiles that a record names.
fn profiles_in(record: Option<&Record>, data: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Arc<Credentials>> {
    let recorded = record.iter().flat_map(|record| &record.profiles);
    let held = recorded.filter_map(|held| Some((held.name.clone(), profile_credentials_in(data, &held.name)?)));
    held.map(|(name, session)| (name, Arc::new(session))).collect()
}

/// Whether the controller of an object is this very `AwsConfig`, by its UID. Another one of the
/// same name does not count.
#[must_use]
pub fn is_controlled_by(metadata: &ObjectMeta, config: &AwsConfig) -> bool {
    let uid = config.metadata.uid.as_deref().unwrap_or_default();
    metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}
