//! The cache of what keyturn has read from every DSS. It is in memory only, and its loss does no
//! harm.
//!
//! One listing of users and one listing of API keys serve all configs until the next listing. A key
//! that keyturn creates or deletes in between is entered at once. A listing that began before does
//! not undo the entry.

mod keys;

use self::keys::Keys;
use crate::dss::{Connect, Dss, DssError, InvalidTls, LISTINGS_AT_ONCE, Scheme, SeenUser, Tls, User};
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};
use tokio::sync::Semaphore;

/// The cache, by the name of the `DssInstance`. Clones share it.
#[derive(Clone)]
pub struct DssCache {
    connect: Connect,
    instances: Arc<Mutex<HashMap<String, Known>>>,
    /// The turn to read a listing, of whichever DSS.
    listings: Arc<Semaphore>,
}

#[derive(Default)]
struct Known {
    reach: Option<Reach>,
    users: Option<Users>,
    keys: Keys,
    /// Held while one reconcile writes the `DssInstance` on behalf of all configs that use it. It
    /// is never held during a call to DSS.
    writing: Arc<tokio::sync::Mutex<()>>,
    trouble: Option<DssError>,
}

/// The client of a DSS, and the settings that it was made from.
struct Reach {
    dss: Dss,
    url: String,
    key: SecretString,
    scheme: Scheme,
    tls: Tls,
    /// The logins as which this client has been seen to act.
    confirmed: BTreeSet<String>,
}

struct Users {
    read_at: Timestamp,
    listed: HashMap<String, Arc<User>>,
    /// The users that were asked for by name because the last listing did not show them, or not
    /// fully.
    asked: HashMap<String, Asked>,
}

/// The answer of DSS to a request for one user by name; `user` is `None` if there is no such user.
struct Asked {
    at: Timestamp,
    user: Option<Arc<User>>,
}

/// The time for which the answer that there is no such user counts. A listing that shows the user
/// counts at once.
const BELIEVED: SignedDuration = SignedDuration::from_hours(1);

/// The reason why there can be no connection to a DSS.
#[derive(Debug, thiserror::Error)]
pub enum NoReach {
    /// The certificate authorities are invalid.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The URL is invalid. The CRD's schema refuses such a URL.
    #[error("url: {0}")]
    Url(#[from] url::ParseError),
}

impl fmt::Debug for DssCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DssCache")
    }
}

impl DssCache {
    /// Makes an empty cache.
    #[must_use]
    pub fn new(connect: Connect) -> Self {
        Self { connect, instances: Arc::default(), listings: Arc::new(Semaphore::new(LISTINGS_AT_ONCE)) }
    }

    /// Sets the URL, admin key, key scheme and TLS settings of a DSS, and returns its client. A
    /// client with the same settings is kept, together with its connection.
    ///
    /// # Errors
    /// [`NoReach`] if the URL or the certificate authorities are invalid.
    pub fn reach(
        &self,
        instance: &str,
        url: &str,
        key: &SecretString,
        scheme: Scheme,
        tls: &Tls,
    ) -> Result<Dss, NoReach> {
        let mut instances = self.lock();
        let known = instances.entry(instance.to_owned()).or_default();
        let same = |reach: &&Reach| {
            reach.url == url
                && reach.scheme == scheme
                && reach.tls == *tls
                && reach.key.expose_secret() == key.expose_secret()
        };
        if let Some(reach) = known.reach.as_ref().filter(same) {
            return Ok(reach.dss.clone());
        }
        let dss = Dss::new(url, key, scheme, (self.connect)(tls)?)?.taking_turns(self.listings.clone());
        known.reach = Some(Reach {
            dss: dss.clone(),
            url: url.to_owned(),
            key: key.clone(),
            scheme,
            tls: tls.clone(),
            confirmed: BTreeSet::new(),
        });
        Ok(dss)
    }

    /// Whether DSS has confirmed that the present client acts as this login when it says so.
    #[must_use]
    pub fn is_confirmed(&self, instance: &str, login: &str) -> bool {
        let instances = self.lock();
        let reach = instances.get(instance).and_then(|known| known.reach.as_ref());
        reach.is_some_and(|reach| reach.confirmed.contains(login))
    }

    /// Records that DSS has confirmed it.
    pub fn confirm(&self, instance: &str, login: &str) {
        if let Some(reach) = self.lock().get_mut(instance).and_then(|known| known.reach.as_mut()) {
            reach.confirmed.insert(login.to_owned());
        }
    }

    /// The client that calls this DSS as its admin; `None` if there is none yet, or no more.
    #[must_use]
    pub fn dss(&self, instance: &str) -> Option<Dss> {
        self.lock().get(instance)?.reach.as_ref().map(|reach| reach.dss.clone())
    }

    /// Removes everything about a DSS from the cache.
    pub fn forget(&self, instance: &str) {
        self.lock().remove(instance);
    }

    // ---- users ----

    /// Records a whole listing. Returns the logins whose cached state may have changed.
    #[must_use = "whoever is concerned has to be told"]
    pub fn learn_users(&self, instance: &str, read_at: Timestamp, users: Vec<User>) -> BTreeSet<String> {
        let listed: HashMap<String, Arc<User>> =
            users.into_iter().map(|user| (user.login.clone(), Arc::new(user))).collect();
        let mut instances = self.lock();
        let known = instances.entry(instance.to_owned()).or_default();
        known.trouble = None;
        let before = known.users.take();
        let mut asked = HashMap::new();
        let mut changed: BTreeSet<String> = BTreeSet::new();
        if let Some(before) = before {
            let was = |login: &String| before.listed.get(login).or_else(|| before.asked.get(login)?.user.as_ref());
            // A listing without a user's properties may hide a change.
            let differs =
                |login: &String, user: &Arc<User>| user.admin_properties.is_none() || was(login) != Some(user);
            changed.extend(listed.iter().filter(|(login, user)| differs(login, user)).map(|(login, _)| login.clone()));
            changed.extend(before.listed.keys().filter(|login| !listed.contains_key(*login)).cloned());
            // The answer that there is no such user stays, therefore DSS is not asked again soon.
            // The other answers are dropped, because such a user may have been deleted since.
            asked = before.asked;
            asked.retain(|login, asked| {
                asked.user.is_none() && !listed.contains_key(login) && read_at.duration_since(asked.at) < BELIEVED
            });
        } else {
            changed.extend(listed.keys().cloned());
        }
        known.users = Some(Users { read_at, listed, asked });
        changed
    }

    /// Records the answer to a request for one user by name.
    pub fn learn_user(&self, instance: &str, login: &str, at: Timestamp, user: Option<User>) {
        if let Some(users) = self.lock().get_mut(instance).and_then(|known| known.users.as_mut()) {
            users.asked.insert(login.to_owned(), Asked { at, user: user.map(Arc::new) });
        }
    }

    /// Returns the cached state of a login.
    #[must_use]
    pub fn user(&self, instance: &str, login: &str) -> SeenUser {
        let instances = self.lock();
        let Some(users) = instances.get(instance).and_then(|known| known.users.as_ref()) else {
            return SeenUser::Unread;
        };
        match (users.listed.get(login), users.asked.get(login).map(|asked| asked.user.as_ref())) {
            (Some(user), _) if user.admin_properties.is_some() => SeenUser::There(user.clone()),
            (_, Some(Some(user))) => SeenUser::There(user.clone()),
            (None, Some(None)) => SeenUser::Missing,
            _ => SeenUser::Unlisted,
        }
    }

    /// The time of the last listing of users; `None` if there was none since the process started.
    #[must_use]
    pub fn users_read_at(&self, instance: &str) -> Option<Timestamp> {
        Some(self.lock().get(instance)?.users.as_ref()?.read_at)
    }

    /// Records that the users could not be listed.
    pub fn failed(&self, instance: &str, error: DssError) {
        self.lock().entry(instance.to_owned()).or_default().trouble = Some(error);
    }

    /// Drops the client of this DSS, because there is no admin key for it.
    pub fn lose(&self, instance: &str, why: DssError) {
        let mut instances = self.lock();
        let known = instances.entry(instance.to_owned()).or_default();
        known.reach = None;
        known.trouble = Some(why);
    }

    /// The reason why the users cannot be listed; `None` if the last listing succeeded.
    #[must_use]
    pub fn trouble(&self, instance: &str) -> Option<DssError> {
        self.lock().get(instance)?.trouble.clone()
    }

    /// The lock for a write of the `DssInstance` on behalf of all configs that use it.
    #[must_use]
    pub fn writing(&self, instance: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().entry(instance.to_owned()).or_default().writing.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.instances.lock()
    }
}

#[cfg(test)]
mod tests;
