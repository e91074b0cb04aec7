//! The credentials of accounts in DataRobot, as they were listed a moment ago.
//!
//! DataRobot finds no credential by its name, therefore a new place costs a listing of the whole
//! account: a hundred pages for ten thousand credentials. Configs that come together share one
//! listing. A listing that is some seconds old does no harm: DataRobot refuses a name that is in
//! use, and keyturn reads the account again for a name that it may have used meanwhile.

use crate::data_robot::{Credential, DataRobot, RestError};
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};

/// The time for which a listing counts.
const FRESH: SignedDuration = SignedDuration::from_secs(30);
/// The time after which no listing that counts is older than the write. A write ends within the
/// time of a reconcile.
const DOUBT: SignedDuration = SignedDuration::from_secs(90);

/// The listings, by account: the URL of a DataRobot, and the Secret with the token. Clones share
/// them. A restart forgets them.
#[derive(Clone, Default)]
pub struct Listings(Arc<Mutex<HashMap<(String, String), Listing>>>);

#[derive(Clone, Default)]
struct Listing {
    /// Held while one reconcile lists the account for all that wait.
    turn: Arc<tokio::sync::Mutex<()>>,
    listed: Option<Listed>,
    /// The names about which a listing may be wrong, because keyturn wrote there at this time.
    doubts: HashMap<String, Timestamp>,
}

#[derive(Clone)]
struct Listed {
    client: DataRobot,
    at: Timestamp,
    all: Arc<Vec<Credential>>,
}

/// An account.
pub struct Account<'a> {
    /// The listings of all accounts.
    pub listings: &'a Listings,
    /// The URL of the DataRobot, and the Secret with the token.
    pub key: (String, String),
    /// The time of the step.
    pub now: Timestamp,
}

impl Account<'_> {
    /// The credentials of this name, as keyturn saw them within the last seconds.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call.
    pub async fn named(&self, client: &DataRobot, name: &str) -> Result<Vec<Credential>, RestError> {
        let turn = self.listings().entry(self.key.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        if let Some(all) = self.fresh(client, name) {
            return Ok(named(&all, name));
        }
        self.list(client, name).await
    }

    /// The credentials of this name, as DataRobot shows them now.
    ///
    /// # Errors
    /// DataRobot cannot be reached or refuses the call.
    pub async fn list(&self, client: &DataRobot, name: &str) -> Result<Vec<Credential>, RestError> {
        let all = Arc::new(client.credentials().await?);
        let found = named(&all, name);
        let mut listings = self.listings();
        listings.retain(|_, it| {
            it.listed = it.listed.take().filter(|listed| is_fresh(listed, self.now));
            it.doubts.retain(|_, at| self.now.duration_since(*at) < DOUBT);
            it.listed.is_some() || !it.doubts.is_empty() || Arc::strong_count(&it.turn) > 1
        });
        let it = listings.entry(self.key.clone()).or_default();
        it.listed = Some(Listed { client: client.clone(), at: self.now, all });
        it.doubts.remove(name);
        Ok(found)
    }

    /// Records that the listing says nothing of this name any more.
    pub fn doubt(&self, name: &str) {
        self.listings().entry(self.key.clone()).or_default().doubts.insert(name.to_owned(), self.now);
    }

    fn fresh(&self, client: &DataRobot, name: &str) -> Option<Arc<Vec<Credential>>> {
        let listings = self.listings();
        let it = listings.get(&self.key).filter(|it| !it.doubts.contains_key(name))?;
        let listed = it.listed.as_ref().filter(|it| is_fresh(it, self.now) && it.client.is_same_as(client))?;
        Some(listed.all.clone())
    }

    fn listings(&self) -> MutexGuard<'_, HashMap<(String, String), Listing>> {
        self.listings.0.lock()
    }
}

fn is_fresh(listed: &Listed, now: Timestamp) -> bool {
    now.duration_since(listed.at) < FRESH
}

fn named(all: &[Credential], name: &str) -> Vec<Credential> {
    all.iter().filter(|entry| entry.name == name).cloned().collect()
}
