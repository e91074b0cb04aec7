//! What keyturn keeps for a person outside the cluster: a closed list of stores with three verbs.
//!
//! A store puts an entry, deletes it, and finds the entries that are ours after a crash. Finalizers say which stores may
//! have entries of an object ([`crate::finalizers`]). Another store is a file here and an arm of [`Store`].

mod api_key;
mod dss_keys;
mod surplus;

pub use api_key::obtain;
pub use dss_keys::DssKeys;
pub use surplus::{delete_all, delete_surplus};

use crate::{
    api::Reason,
    cluster::Calls,
    credentials::{IssueError, Retry},
    dss::DssError,
    dss_cache::DssCache,
    limit::{Budget, Limiter, Refused},
    views::Views,
};
use secrecy::SecretString;
use std::time::Duration;

/// The longest time for which one reconcile waits for outside systems in all.
pub const A_RECONCILE: Duration = Duration::from_secs(20);
/// The longest time for which a credential that was obtained waits for its API key. Then it is written without one, or
/// with the former one.
pub const A_CREDENTIAL: Duration = Duration::from_secs(5);
/// The most reconciles that wait for one DSS at the same time, and for all of them together. They are a part of the 64
/// that run at once. So renewals that need no DSS go on, however many DSS hang.
const EACH: usize = 12;
const ALL: usize = 48;

/// The limiter that all reconciles share.
#[must_use]
pub fn limiter() -> Limiter {
    Limiter::new(EACH, ALL)
}

/// What the stores work with, in one reconcile.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Half of every label.
    pub cluster_name: &'a str,
    /// The calls to the API server.
    pub calls: &'a Calls,
    /// What the API server shows.
    pub views: &'a Views,
    /// What is known of every DSS.
    pub dss_cache: &'a DssCache,
    /// How many may wait at once.
    pub limiter: &'a Limiter,
    /// How long this reconcile may still wait.
    pub budget: &'a Budget,
}

/// A store, and the entries of one config in it.
pub enum Store<'a> {
    /// The personal API keys of a login in a DSS.
    DssKeys(DssKeys<'a>),
}

/// An entry in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its ID in the store.
    pub id: String,
    /// Whose it is in the store: a login.
    pub owner: String,
}

/// An entry that was put, and the secret that the store gave back for it.
pub struct Put {
    /// The entry.
    pub entry: Entry,
    /// Shown once, by the store that made it.
    pub secret: SecretString,
}

impl Store<'_> {
    /// Puts a new entry of this owner.
    ///
    /// # Errors
    /// [`IssueError`] if the store refuses or does not answer. The entry may exist all the same; [`Store::find_ours`]
    /// finds it.
    pub async fn put(&self, owner: &str) -> Result<Put, IssueError> {
        match self {
            Self::DssKeys(keys) => keys.put(owner).await,
        }
    }

    /// Deletes an entry. An entry that is not there is deleted.
    ///
    /// # Errors
    /// [`DssError`] if the store refuses or does not answer.
    pub async fn delete(&self, entry: &Entry) -> Result<(), DssError> {
        match self {
            Self::DssKeys(keys) => keys.delete(entry).await,
        }
    }

    /// The entries of this config, by their label.
    ///
    /// # Errors
    /// [`DssError`] if the store does not list them.
    pub async fn find_ours(&self) -> Result<Vec<Entry>, DssError> {
        match self {
            Self::DssKeys(keys) => keys.find_ours().await,
        }
    }
}

/// Why a store was not asked, or gave no answer in time.
#[derive(Debug)]
pub enum NotAsked {
    /// Enough others wait for it. Nothing was asked.
    Saturated(String),
    /// It was asked and did not finish in time. What was asked for may have happened.
    Late(DssError),
}

impl Access<'_> {
    /// Speaks to a DSS within the limits of this reconcile, and for no longer than `most`. `what` names the purpose.
    ///
    /// # Errors
    /// If there is no permit, or `talk` takes too long; it is then dropped where it stands.
    pub async fn within<T>(
        &self,
        instance: &str,
        what: &str,
        most: Duration,
        talk: impl Future<Output = T>,
    ) -> Result<T, NotAsked> {
        let tried = || format!("{what} in DssInstance \"{instance}\"");
        self.limiter.run(instance, most, self.budget, talk).await.map_err(|refused| match refused {
            Refused::Saturated => NotAsked::Saturated(tried()),
            Refused::TimedOut(within) => NotAsked::Late(DssError::late(tried(), within)),
        })
    }
}

impl From<NotAsked> for IssueError {
    fn from(not_asked: NotAsked) -> Self {
        match not_asked {
            NotAsked::Saturated(tried) => Self::new(
                Reason::DssUnreachable,
                Retry::Saturated,
                format!("{tried}: others wait for an answer; it will be asked in turn"),
            ),
            NotAsked::Late(error) => Self::of_dss(&error),
        }
    }
}
