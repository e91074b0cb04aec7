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
//! * `dss/http.rs`: the routes of the API; `dss/answer.rs`: the form of answers
//! * `dss/caller.rs`: the owner of a key, the user that it acts as, and the rights of that user
//! * `dss/user.rs`, `dss/key.rs`, `dss/connection.rs`: the routes and their objects
//! * `dss/visitor.rs`: users who are logged in by a browser, and the backends that ask about them
//! * `dss/session.rs`: the source of the sessions of an AssumeRole connection

mod administration;
mod answer;
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

pub use self::connection::Connection;
pub use self::key::PersonalKey;
pub use self::session::{AssumedBy, HandedOut, Sessions, made_up_sessions};
pub use super::behaviour::Behaviour;
pub use super::server::{Call, NOBODY};

use self::key::GlobalKey;
use self::user::User;
use self::visitor::Visitor;
use super::server::Server;
use super::wire::Clock;

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

/// DSS. Clones are the same DSS.
pub type Dss = Server<State>;

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

/// The users, keys and connections of a DSS, and its settings.
pub struct State {
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

impl Dss {
    /// A DSS with the administrator's global key ([`ADMIN_KEY`]) and nothing else.
    pub fn new(clock: Clock) -> Self {
        let state = State {
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
        Self::of(clock, state)
    }

    /// The sessions that AssumeRole connections were answered with, in order. A cached session is
    /// listed once for each answer.
    pub fn handed_out(&self) -> Vec<(AssumedBy, HandedOut)> {
        self.lock().handed_out.clone()
    }
}
