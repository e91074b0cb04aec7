//! The stores outside the cluster in which keyturn keeps something for a person, each with three
//! verbs: put, delete, find.
//!
//! A [`Store`] keeps the credential itself; they are a closed list, and another store is another
//! file here and another arm. The API keys of DSS ([`DssKeys`]) have the same verbs and other
//! arguments, because DSS makes the secret of a key, and because the label of a key tells whose it
//! is. Finalizers say which stores may have entries of an object ([`crate::finalizers`]).

mod accounts;
mod api_key;
mod check;
mod data_robot;
mod dss_credential;
mod dss_keys;
mod dss_secrets;
mod finalize;
mod listings;
mod push;
mod surplus;
mod tokens;

pub use accounts::Accounts;
pub use api_key::obtain;
pub use dss_keys::DssKeys;
pub use listings::Listings;
pub use push::{Pushable, postponed, remove_all, step};

use push::failed;
pub use surplus::{delete_all, delete_surplus, leave_data_robots};
pub use tokens::{Tokens, own_token};

use data_robot::DataRobotCredential;
use dss_credential::DssCredential;
use dss_secrets::DssSecrets;

use crate::{
    api::Reason,
    cluster::{Calls, NOT_LEADING},
    credentials::{IssueError, Retry},
    data_robot::DataRobots,
    dss::DssError,
    dss_cache::DssCache,
    limit::{Backoffs, Budget, Limiter, Refused},
    views::Views,
};
use secrecy::SecretString;
use std::time::Duration;

/// The longest time for which one reconcile waits for all outside systems together.
pub const A_RECONCILE: Duration = Duration::from_secs(20);
/// The longest time for which a credential that keyturn has obtained waits for its API key. After
/// that keyturn writes the credential without an API key, or with the former one.
pub const A_CREDENTIAL: Duration = Duration::from_secs(5);
/// The most reconciles that wait for one DSS at the same time.
const EACH: usize = 12;
/// The most reconciles that wait for all DSS together. They are fewer than the 96 that run at once,
/// because renewals that need no DSS have to go on, however many DSS hang.
const ALL: usize = 48;

/// The most pushes to one DSS at the same time. They have permits of their own, because no Secret
/// may wait for a push.
const PUSHES_EACH: usize = 4;
/// The most pushes to all DSS together. With [`ALL`] they are fewer than the 64 reconciles that run
/// at once.
const PUSHES: usize = 12;

/// The limiter that all reconciles share.
#[must_use]
pub fn limiter() -> Limiter {
    Limiter::new(EACH, ALL)
}

/// The limiter that the pushes of all reconciles share.
#[must_use]
pub fn push_limiter() -> Limiter {
    Limiter::new(PUSHES_EACH, PUSHES)
}

/// The access of one reconcile to the stores.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The name of the cluster, which is a part of every label.
    pub cluster_name: &'a str,
    /// The calls to the API server.
    pub calls: &'a Calls,
    /// The views of the API server's objects.
    pub views: &'a Views,
    /// The cache of every DSS.
    pub dss_cache: &'a DssCache,
    /// The limiter of concurrent calls to outside systems.
    pub limiter: &'a Limiter,
    /// The limiter of concurrent pushes.
    pub push_limiter: &'a Limiter,
    /// The backoffs of the systems that a push did not reach.
    pub backoffs: &'a Backoffs,
    /// The accounts that pushes write to at the moment.
    pub accounts: &'a Accounts,
    /// The clients of every DataRobot.
    pub data_robots: &'a DataRobots,
    /// The API tokens of DataRobot that owners offer.
    pub tokens: &'a Tokens,
    /// The listings of accounts in DataRobot.
    pub listings: &'a Listings,
    /// The time for which this reconcile may still wait.
    pub budget: &'a Budget,
}

/// A store that keeps a credential, and the place of one config in it. Nothing in such a store
/// tells whose an entry is; status does ([`crate::push`]).
pub enum Store<'a> {
    /// The user secrets of a login in a DSS.
    DssSecrets(DssSecrets<'a>),
    /// A login's own credential of a connection or a plugin preset in a DSS.
    DssCredential(DssCredential<'a>),
    /// An S3 credential in DataRobot.
    DataRobot(DataRobotCredential<'a>),
}

/// An API key in DSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The ID of the key.
    pub id: String,
    /// The owner of the key: a login.
    pub owner: String,
}

/// A new API key.
pub struct Made {
    /// The key without its secret.
    pub entry: Entry,
    /// The secret. The store shows it only once.
    pub secret: SecretString,
}

impl Store<'_> {
    /// Puts the credential, in place of the one that is there. Returns the ID of the entry, if the
    /// store gives it any.
    ///
    /// # Errors
    /// [`IssueError`] if the store refuses or does not answer. The credential may be there all the
    /// same.
    pub async fn put(&self, login: &str, credential: Pushable<'_>) -> Result<Option<String>, IssueError> {
        match self {
            Self::DssSecrets(secrets) => secrets.put(login, credential).await.map(|()| None),
            Self::DssCredential(of_login) => of_login.put(login, credential).await.map(|()| None),
            Self::DataRobot(entry) => entry.put(credential).await,
        }
    }

    /// Replaces the credential by values that AWS refuses, and keeps the entry. A store whose
    /// entries have no ID has nothing to keep, and deletes it. Returns the ID of the entry, if
    /// there is one.
    ///
    /// # Errors
    /// [`IssueError`] if the store refuses or does not answer.
    pub async fn revoke(&self, login: &str) -> Result<Option<String>, IssueError> {
        match self {
            Self::DssSecrets(_) | Self::DssCredential(_) => self.delete(login).await.map(|()| None),
            Self::DataRobot(entry) => entry.revoke().await,
        }
    }

    /// Deletes what is in the place. If nothing is there, the deletion succeeds.
    ///
    /// # Errors
    /// [`IssueError`] if the store refuses or does not answer.
    pub async fn delete(&self, login: &str) -> Result<(), IssueError> {
        match self {
            Self::DssSecrets(secrets) => secrets.delete(login).await.map_err(|error| failed(&error)),
            Self::DssCredential(of_login) => of_login.delete(login).await.map_err(|error| failed(&error)),
            Self::DataRobot(entry) => entry.delete().await,
        }
    }

    /// Whether anything is in the place that keyturn did not write for this config.
    ///
    /// # Errors
    /// [`IssueError`] if the store refuses or does not answer.
    pub async fn find(&self, login: &str) -> Result<bool, IssueError> {
        match self {
            Self::DssSecrets(secrets) => secrets.find(login).await.map_err(|error| failed(&error)),
            Self::DssCredential(of_login) => of_login.find(login).await.map_err(|error| failed(&error)),
            Self::DataRobot(entry) => entry.find().await.map_err(|error| IssueError::of_data_robot(&error)),
        }
    }
}

/// The reason why keyturn did not ask a store, or got no answer in time.
#[derive(Debug)]
pub enum NotAsked {
    /// Enough other reconciles wait for the store. keyturn asked nothing. The text says what it was
    /// about to do.
    Saturated(String),
    /// The store did not finish in time, or it failed. What keyturn asked for may have happened.
    Late(DssError),
}

impl Access<'_> {
    /// Runs `talk` with a DSS within the limits of this reconcile, for at most `most`, and only
    /// while this process may write: `talk` may create or delete an API key. `what` names its
    /// purpose in messages.
    ///
    /// # Errors
    /// [`NotAsked::Saturated`] if there is no permit; [`NotAsked::Late`] if `talk` takes too long,
    /// or if this process no longer leads. `talk` is then dropped at the point that it has reached.
    pub async fn within<T>(
        &self,
        instance: &str,
        what: &str,
        most: Duration,
        talk: impl Future<Output = T>,
    ) -> Result<T, NotAsked> {
        let tried = || format!("{what} in DssInstance \"{instance}\"");
        self.bounded(instance, tried, most, talk).await
    }

    /// The same for any system. `system` is its name among the permits, and `tried` says what
    /// keyturn was about to do.
    pub(crate) async fn bounded<T>(
        &self,
        system: &str,
        tried: impl Fn() -> String,
        most: Duration,
        talk: impl Future<Output = T>,
    ) -> Result<T, NotAsked> {
        let talk = self.calls.while_leading(talk);
        match self.limiter.run(system, most, self.budget, talk).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(NotAsked::Late(DssError::given_up(tried(), NOT_LEADING))),
            Err(Refused::Saturated) => Err(NotAsked::Saturated(tried())),
            Err(Refused::TimedOut(within)) => Err(NotAsked::Late(DssError::late(tried(), within))),
        }
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
