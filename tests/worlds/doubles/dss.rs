//! A double of a Dataiku DSS server: its public HTTP API, as far as keyturn and the Python client
//! use it.
//!
//! The double checks keys as DSS does and knows the rights of administrators and of users. Only an
//! administrator's key may act as another user. A connection's credential is resolved for the user
//! who asks. The value of a personal API key is shown once, when the key is created. [`Behaviour`]s
//! make the double fail in every way that matters, those of proxies and login pages included.
//!
//! Routes, field names, the error object and the forms of authentication are those of DSS'
//! documentation and of the Python package `dataiku-api-client` 15.2.0, which was run against the
//! double. The *status* with which a real DSS answers a denial is not known. The assumed statuses
//! are in `dss/answer.rs`, and [`Behaviour::Error`] is there for trying another.
//!
//! * `dss/administration.rs`: the test as the instance's administrator: users, keys, connections
//! * `dss/behaviour.rs`: the ways to fail
//! * `dss/http.rs`: from a request to an answer; `dss/answer.rs`: the form of answers
//! * `dss/caller.rs`: the owner of a key, the user that it acts as, and the rights of that user
//! * `dss/user.rs`, `dss/key.rs`, `dss/connection.rs`: the routes and their objects
//! * `dss/visitor.rs`: users who are logged in by a browser, and the backends that ask about them
//! * `dss/session.rs`: the source of the sessions of an AssumeRole connection

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
mod visitor;

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
use self::visitor::Visitor;
use super::rules::{Fits, RuleId, Rules, Times};
use super::wire::{self, Clock, Listening};

/// The value of the administrator's global key, until a test rotates it.
pub const ADMIN_KEY: &str = "dkuaps-LeakedDssAdminKey-0001";

/// The ID of the administrator's global key, whatever its value.
pub const ADMIN_KEY_ID: &str = "global-admin";

/// A part of [`ADMIN_KEY`] that nothing else in DSS' answers contains.
pub const ADMIN_KEY_MARKER: &str = "LeakedDssAdminKey";

/// A part of the value of every personal key that nothing else contains.
pub const KEY_MARKER: &str = "LeakedDssPersonalKey";

/// The group whose members are administrators, as on a fresh DSS.
pub const ADMINISTRATORS: &str = "administrators";

/// The caller of a call without a key, or with an unknown key.
pub const NOBODY: &str = "nobody";

/// A call that DSS got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts from 1. Clearing the list does not reset the number.
    pub number: usize,
    /// The time of arrival, by the test's clock.
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
    /// The ID of the key, also if its user may not log in. Otherwise [`NOBODY`].
    pub caller: String,
    /// The body of the request.
    pub body: String,
    /// The status of the answer. `None` until there is an answer.
    pub status: Option<u16>,
}

/// DSS. Clones are the same DSS.
#[derive(Clone)]
pub struct Dss {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// How logins are compared. The behaviour of a real DSS is not known.
#[derive(PartialEq)]
enum Logins {
    Exact,
    WithoutCase,
}

/// Whether `/auth/info` says the kind of a key.
#[derive(PartialEq)]
enum Kinds {
    Said,
    Hidden,
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
    logins: Logins,
    kinds: Kinds,
    callers_act_as: Option<String>,
    connections: BTreeMap<String, Connection>,
    sessions: Sessions,
    handed_out: Vec<(AssumedBy, HandedOut)>,
    tells_expiration: bool,
    keys_are_their_owners_only: bool,
    caches_sessions: bool,
    cached: HashMap<AssumedBy, HandedOut>,
    visitors: Vec<Visitor>,
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
            logins: Logins::Exact,
            kinds: Kinds::Said,
            callers_act_as: None,
            connections: BTreeMap::new(),
            sessions: made_up_sessions(clock.clone()),
            handed_out: Vec::new(),
            tells_expiration: false,
            keys_are_their_owners_only: false,
            caches_sessions: false,
            cached: HashMap::new(),
            visitors: Vec::new(),
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    // ---- how to reach it ----

    /// The HTTP side: the API under `/dip/publicapi` (Python's base) and `/public/api` (the
    /// documented one).
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    // ---- what it has recorded ----

    /// All calls, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The number of calls that arrived, with every outcome.
    pub fn count(&self) -> usize {
        self.lock().calls.len()
    }

    /// The number of calls that fit.
    pub fn count_where(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.lock().calls.iter().filter(|call| fits(call)).count()
    }

    /// The sessions that AssumeRole connections were answered with, in order. A cached session is
    /// listed once for each answer.
    pub fn handed_out(&self) -> Vec<(AssumedBy, HandedOut)> {
        self.lock().handed_out.clone()
    }

    /// Forgets the calls. Users, keys, connections, rules and settings stay, and the numbering
    /// continues.
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

    /// Gives the next call this behaviour.
    pub fn once(&self, behaviour: Behaviour) -> RuleId {
        self.behave(Times::Once, behaviour)
    }

    /// Gives all calls this behaviour until the rule is removed.
    pub fn always(&self, behaviour: Behaviour) -> RuleId {
        self.behave(Times::UntilCleared, behaviour)
    }

    /// Removes a rule.
    pub fn forgive(&self, rule: RuleId) {
        self.lock().rules.remove(rule);
    }

    /// Removes all rules. Users, keys and connections stay.
    pub fn behave_well(&self) {
        self.lock().rules.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test thread panicked with the lock")
    }
}
