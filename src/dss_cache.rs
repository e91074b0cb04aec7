//! What is known of every DSS: read once for all who use it, kept in memory, and lost without harm.
//!
//! One listing of users and one of API keys serve everybody until the next. What is created or deleted in between is
//! entered here at once, so that no listing that began before makes it undone.

mod keys;

use self::keys::Keys;
use crate::dss::{Dss, DssError, InvalidTls, Kind, Scheme, Tls, User, Wire};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Makes the connection to a DSS: [`crate::dss::connect`], or a test's.
pub type Connect = Arc<dyn Fn(&Tls) -> Result<Arc<dyn Wire>, InvalidTls> + Send + Sync>;

/// What is known of every DSS, by the name of its `DssInstance`. Clones share it.
#[derive(Clone)]
pub struct DssCache {
    connect: Connect,
    instances: Arc<Mutex<HashMap<String, Known>>>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct Known {
    reach: Option<Reach>,
    users: Option<Users>,
    keys: Keys,
    /// Held while somebody writes the instance for all who use it. Nobody waits for DSS with it.
    writing: Arc<tokio::sync::Mutex<()>>,
    turns: Turns,
    trouble: Option<DssError>,
}

/// How many looks may wait for one DSS at the same time, and for all of them together: a part of the places that looks share, so
/// that however many DSS hang there are places for those who need none.
const TURNS: usize = 12;
const TURNS_IN_ALL: usize = 48;

struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }
}

/// The right to wait for a DSS, until it is dropped.
pub struct Turn {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// How a DSS is spoken to, and what that was made from.
struct Reach {
    dss: Dss,
    url: String,
    key: SecretString,
    scheme: Scheme,
    tls: Tls,
}

struct Users {
    read_at: Timestamp,
    listed: HashMap<String, Arc<User>>,
    /// Asked for by name since they were missing from a list: there, or not.
    asked: HashMap<String, Asked>,
}

/// What DSS answered when a user was asked for by name.
struct Asked {
    at: Timestamp,
    user: Option<Arc<User>>,
}

/// How long it is believed that there is no such user, without asking again. A listing that shows them counts at once.
const BELIEVED: SignedDuration = SignedDuration::from_hours(1);

/// What is known of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenUser {
    /// Nothing: the users have not been read since the process started.
    Unread,
    /// The last listing does not show it, or not whole, and it has not been asked for by name.
    Unlisted,
    /// DSS says that there is no such user.
    Missing,
    /// There it is.
    There(Arc<User>),
}

/// Trigger a DSS cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum NoReach {
    /// The certificate authorities are none.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The URL is none, which the schema refuses.
    #[error("url: {0}")]
    Url(#[from] url::ParseError),
}

impl fmt::Debug for DssCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DssCache")
    }
}

impl DssError {
    /// A DSS that nobody has spoken to yet.
    #[must_use]
    pub fn not_spoken_to(instance: &str) -> Self {
        Self {
            tried: format!("DssInstance \"{instance}\""),
            kind: Kind::Unreachable,
            said: "it has not been spoken to yet; see its conditions".to_owned(),
            retry_after: None,
        }
    }
}

impl DssCache {
    /// Nothing known yet.
    #[must_use]
    pub fn new(connect: Connect) -> Self {
        Self { connect, instances: Arc::default(), turns: Arc::new(Semaphore::new(TURNS_IN_ALL)) }
    }

    /// Speaks to this DSS with this key from now on. One that is spoken to so already keeps its connection.
    ///
    /// # Errors
    /// If there can be no connection.
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
        let dss = Dss::new(url, key.clone(), scheme, (self.connect)(tls)?)?;
        known.reach = Some(Reach { dss: dss.clone(), url: url.to_owned(), key: key.clone(), scheme, tls: tls.clone() });
        Ok(dss)
    }

    /// The DSS, spoken to as its admin.
    #[must_use]
    pub fn dss(&self, instance: &str) -> Option<Dss> {
        self.lock().get(instance)?.reach.as_ref().map(|reach| reach.dss.clone())
    }

    /// The right to wait for a DSS; `None` while enough others do.
    #[must_use]
    pub fn turn(&self, instance: &str) -> Option<Turn> {
        let of_one = self.lock().entry(instance.to_owned()).or_default().turns.0.clone();
        Some(Turn { _of_one: of_one.try_acquire_owned().ok()?, _of_all: self.turns.clone().try_acquire_owned().ok()? })
    }

    /// Forgets a DSS.
    pub fn forget(&self, instance: &str) {
        self.lock().remove(instance);
    }

    // ---- users ----

    /// Learns a whole listing. Returns the logins of which something else is known now.
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
            // Of whom a listing shows too little, something else may be true now.
            let differs =
                |login: &String, user: &Arc<User>| user.admin_properties.is_none() || was(login) != Some(user);
            changed.extend(listed.iter().filter(|(login, user)| differs(login, user)).map(|(login, _)| login.clone()));
            changed.extend(before.listed.keys().filter(|login| !listed.contains_key(*login)).cloned());
            // Whoever is gone is not asked for again soon; whoever is there and not listed may have gone since.
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

    /// Learns of one login that was asked for by name.
    pub fn learn_user(&self, instance: &str, login: &str, at: Timestamp, user: Option<User>) {
        if let Some(users) = self.lock().get_mut(instance).and_then(|known| known.users.as_mut()) {
            users.asked.insert(login.to_owned(), Asked { at, user: user.map(Arc::new) });
        }
    }

    /// What is known of a login.
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

    /// When the users were listed, if they were since the process started.
    #[must_use]
    pub fn users_read_at(&self, instance: &str) -> Option<Timestamp> {
        Some(self.lock().get(instance)?.users.as_ref()?.read_at)
    }

    /// Notes that the users could not be listed.
    pub fn failed(&self, instance: &str, error: DssError) {
        self.lock().entry(instance.to_owned()).or_default().trouble = Some(error);
    }

    /// Speaks to this DSS no longer: there is no key to do it with.
    pub fn lose(&self, instance: &str, why: DssError) {
        let mut instances = self.lock();
        let known = instances.entry(instance.to_owned()).or_default();
        known.reach = None;
        known.trouble = Some(why);
    }

    /// Trigger the users could not be listed last, if they could not.
    #[must_use]
    pub fn trouble(&self, instance: &str) -> Option<DssError> {
        self.lock().get(instance)?.trouble.clone()
    }

    /// Held by whoever writes the instance for all who use it.
    #[must_use]
    pub fn writing(&self, instance: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().entry(instance.to_owned()).or_default().writing.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
