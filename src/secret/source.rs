//! The Secret of a user's that a key is taken from, as far as keyturn knows it.

use crate::{api::names, credentials::Credentials};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// The Secret of a user's that a key is taken from, as far as it is known.
#[derive(Clone, Debug)]
pub enum Source<K = Credentials> {
    /// The watch, which sees Secrets that are offered only, does not show it, or none is asked for.
    NotShown,
    /// There is none.
    Absent,
    /// It is there and not offered: its data is never read.
    NotOffered,
    /// It is offered.
    Offered {
        /// Its resourceVersion.
        version: Option<String>,
        /// Its data.
        key: SeenKey<K>,
    },
}

/// What is known of a key in a Secret of a user's.
#[derive(Clone, Debug)]
pub enum SeenKey<K = Credentials> {
    /// Nothing: the Secret was written since we last looked.
    Unknown,
    /// It is the one that we delivered.
    Delivered,
    /// It was read.
    Read(Arc<K>),
    /// The Secret holds none, for this reason.
    Unreadable(String),
}

/// Whether the owner of a Secret offers it to keyturn, by its label.
#[must_use]
pub fn is_offered(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(names::SOURCE));
    label.is_some_and(|offered| offered == names::SOURCE_OFFERED)
}

impl<K> Source<K> {
    /// The key, if it was read.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<K>> {
        match self {
            Self::Offered { key: SeenKey::Read(key), .. } => Some(key),
            _ => None,
        }
    }
}
