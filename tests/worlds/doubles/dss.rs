//! A double of a Dataiku DSS server: its public HTTP API, as far as keyturn and the Python client
//! use it.
//!
//! It is no echo: it checks keys as DSS does, knows what an administrator may do and what a user
//! may, lets only an administrator's key act as somebody else, resolves a connection's credential
//! for the user who asks, and shows the value of a personal API key once, when it is created.
//! [`Behaviour`]s make it fail in every way that matters, those of proxies and login pages
//! included.
//!
//! Routes, field names, the error object and the forms of authentication are those of DSS'
//! documentation and of the Python package `dataiku-api-client` 15.2.0, which was run against it.
//! Which *status* a real DSS answers a denial with is not known; what is assumed here stands in
//! `dss/answer.rs`, and [`Behaviour::Error`] is there for trying another.
//!
//! * `dss/administration.rs`: the test as the instance's administrator: users, keys, connections
//! * `dss/behaviour.rs`: the ways to fail
//! * `dss/http.rs`: from a request to an answer; `dss/answer.rs`: what answers look like
//! * `dss/caller.rs`: whose key it is, as whom it acts, and what that user may do
//! * `dss/user.rs`, `dss/key.rs`, `dss/connection.rs`: the routes, and what they are about
//! * `dss/session.rs`: where the sessions of an AssumeRole connection come from

mod administration;
mod answer;
mod behaviour;
mod caller;
mod connection;
mod http;
mod key;
mod session;
#[cfg(test)]
mod tests;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use jiff::Timestamp;

pub use self::behaviour::Behaviour;
pub use self::connection::Connection;
pub use self::key::PersonalKey;
pub use self::session::{AssumedBy, HandedOut, Sessions, made_up_sessions};

use self::key::GlobalKey;
use self::user::User;
use super::rules::{Fits, RuleId, Rules, Times};
use super::wire::{self, Clock, Listening};

/// The value of the administrator's global key, until a test rotates it.
pub const ADMIN_KEY: &str = "dkuaps-LeakedDssAdminKey-0001";

/// The ID of the administrator's global key, whatever its value.
pub const ADMIN_KEY_ID: &str = "global-admin";

/// What [`ADMIN_KEY`] contains, and nothing else that DSS says or hands out.
pub const ADMIN_KEY_MARKER: &str = "LeakedDssAdminKey";

/// What the value of every personal key contains, and nothing else does.
pub const KEY_MARKER: &str = "LeakedDssPersonalKey";

/// The group whose members are administrators, as on a fresh DSS.
pub const ADMINISTRATORS: &str = "administrators";

/// The caller of a call with no key, or with one that DSS does not know.
pub const NOBODY: &str = "nobody";

/// A call that DSS got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts from 1; clearing the list does not start it again.
    pub number: usize,
    /// When it arrived, by the test's clock.
    pub at: Timestamp,
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// `/dip/publicapi` or `/public/api`; empty for a path outside of the API.
    pub base: String,
    /// The path behind the base, as it was sent (still percent-encoded).
    pub path: String,
    /// The parameters of the query, decoded.
    pub query: BTreeMap<String, String>,
    /// `Basic` or `Bearer`, as it was sent.
    pub scheme: Option<String>,
    /// The login in `X-DKU-ProxyUser`.
    pub proxy_user: Option<String>,
    /// The ID of the key, also if its user may not log in; else [`NOBODY`].
    pub caller: String,
    /// What was sent.
    pub body: String,
    /// The status of the answer. `None`: no answer yet, or never.
    pub status: Option<u16>,
}

/// DSS. Clones are the same DSS.
#[derive(Clone)]
pub struct Dss {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    arrived: usize,
    calls: Vec<Call>,
    rules: Rules<Call, Behaviour>,
    version: String,
    users: BTreeMap<String, User>,
    global_keys: Vec<GlobalKey>,
    personal_keys: Vec<PersonalKey>,
    keys_ever: usize,
    keys_go_to: Option<String>,
    connections: BTreeMap<String, Connection>,
    sessions: Sessions,
    handed_out: Vec<(AssumedBy, HandedOut)>,
    tells_expiration: bool,
    keys_are_their_owners_only: bool,
    caches_sessions: bool,
    cached: HashMap<AssumedBy, HandedOut>,
}

impl fmt::Debug for Dss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dss").finish_non_exhaustive()
    }
}

impl Dss {
    /// A DSS with the administrator's global key ([`ADMIN_KEY`]) and nothing else.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            arrived: 0,
            calls: Vec::new(),
            rules: Rules::default(),
            version: "14.2.2".to_owned(),
            users: BTreeMap::new(),
            global_keys: vec![GlobalKey::administrators()],
            personal_keys: Vec::new(),
            keys_ever: 0,
            keys_go_to: None,
            connections: BTreeMap::new(),
            sessions: made_up_sessions(clock.clone()),
            handed_out: Vec::new(),
            tells_expiration: false,
            keys_are_their_owners_only: false,
            caches_sessions: false,
            cached: HashMap::new(),
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    // ---- how it is reached ----

    /// The HTTP side: the API under `/dip/publicapi` (Python's base) and `/public/api` (the
    /// documented one).
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    // ---- what it saw ----

    /// All calls, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many calls arrived, whatever became of them.
    pub fn count(&self) -> usize {
        self.lock().calls.len()
    }

    /// How many calls fit.
    pub fn count_where(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.lock().calls.iter().filter(|call| fits(call)).count()
    }

    /// The sessions that AssumeRole connections were answered with, in that order; one that was
    /// cached again each time.
    pub fn handed_out(&self) -> Vec<(AssumedBy, HandedOut)> {
        self.lock().handed_out.clone()
    }

    /// Forgets the calls. Users, keys, connections, rules and settings stay; so does the numbering.
    pub fn clear(&self) {
        self.lock().calls.clear();
    }

    // ---- how it behaves ----

    /// Adds a rule about all calls.
    pub fn behave(&self, times: Times, behaviour: Behaviour) -> RuleId {
        self.behave_if(times, |_| true, behaviour)
    }

    /// Adds a rule about the calls that fit.
    pub fn behave_if(
        &self,
        times: Times,
        fits: impl Fn(&Call) -> bool + Send + Sync + 'static,
        behaviour: Behaviour,
    ) -> RuleId {
        let fits: Fits<Call> = Arc::new(fits);
        self.lock().rules.add(times, fits, behaviour)
    }

    /// The next call goes like this.
    pub fn once(&self, behaviour: Behaviour) -> RuleId {
        self.behave(Times::Once, behaviour)
    }

    /// All calls go like this until the rule is taken away.
    pub fn always(&self, behaviour: Behaviour) -> RuleId {
        self.behave(Times::UntilCleared, behaviour)
    }

    /// Takes a rule away.
    pub fn forgive(&self, rule: RuleId) {
        self.lock().rules.remove(rule);
    }

    /// Takes all rules away. What is known about users, keys and connections stays.
    pub fn behave_well(&self) {
        self.lock().rules.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test thread panicked with the lock")
    }
}
