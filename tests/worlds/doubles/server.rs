//! A server that is a double: from a request to the answer of its service.
//!
//! A call is recorded when it arrives and gets its status when it is answered. In between the
//! client may have given up. Rules come first, then the key, then the request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use jiff::Timestamp;

use super::behaviour::Behaviour;
use super::rules::{Fits, RuleId, Rules, Times};
use super::wire::{self, Clock, ConnectionLost, Listening};

/// The caller of a call without a key, or with an unknown key.
pub const NOBODY: &str = "nobody";

/// The header with the user to act as, which only DSS knows.
pub(super) const PROXY_USER: &str = "x-dku-proxyuser";

/// The state of a service, and how the service talks.
pub trait Service: Sized + Send + 'static {
    /// The name of the service, for people.
    const NAME: &'static str;
    /// The base paths of the API.
    const BASES: &'static [&'static str];

    /// The routes of the API, without a base path.
    fn routes() -> Router<Server<Self>>;

    /// The answer for a path outside of the API.
    fn no_route() -> Response;

    /// The key of a request, in whatever form it was sent.
    fn presented_key(headers: &HeaderMap) -> Option<String>;

    /// The owner of a key: the name or the ID by which calls are recorded.
    fn owner(&self, key: &str) -> Option<String>;

    /// An error in the form of the service. Without a name of the error, the status decides about
    /// it.
    fn error(status: StatusCode, error_type: Option<&str>, message: &str) -> Response;
}

/// A call that a service got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts from 1. Clearing the list does not reset the number.
    pub number: usize,
    /// The time of arrival, by the test's clock.
    pub at: Timestamp,
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: String,
    /// The base path of the API; empty for a path outside of the API.
    pub base: String,
    /// The path behind the base, as it was sent (still percent-encoded).
    pub path: String,
    /// The parameters of the query, decoded.
    pub query: BTreeMap<String, String>,
    /// The scheme of `Authorization`, as it was sent: `Basic`, `Bearer`, `Token`.
    pub scheme: Option<String>,
    /// The login in `X-DKU-ProxyUser`, which only DSS knows.
    pub proxy_user: Option<String>,
    /// The owner of the key, also if the owner may not log in: for DSS the ID of the key, for
    /// DataRobot the account. Otherwise [`NOBODY`].
    pub caller: String,
    /// The body of the request.
    pub body: String,
    /// The status of the answer. `None` until there is an answer.
    pub status: Option<u16>,
}

/// A service with its record. Clones are the same service.
pub struct Server<S> {
    pub(super) clock: Clock,
    record: Arc<Mutex<Record>>,
    state: Arc<Mutex<S>>,
}

#[derive(Default)]
struct Record {
    arrived: usize,
    calls: Vec<Call>,
    rules: Rules<Call, Behaviour>,
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Self {
        Self { clock: Arc::clone(&self.clock), record: Arc::clone(&self.record), state: Arc::clone(&self.state) }
    }
}

impl<S: Service> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(S::NAME).finish_non_exhaustive()
    }
}

impl<S: Service> Server<S> {
    /// A service that begins with this state.
    pub(super) fn of(clock: Clock, state: S) -> Self {
        Self { clock, record: Arc::default(), state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().expect("a test thread panicked with the lock")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("a test thread panicked with the lock")
    }

    // ---- how to reach it ----

    /// The HTTP side: the API under each of its base paths.
    pub fn router(&self) -> Router {
        let api = S::routes();
        let nested = S::BASES.iter().fold(Router::new(), |router, base| router.nest(base, api.clone()));
        nested
            .fallback(async || S::no_route())
            .layer(from_fn_with_state(self.clone(), attend::<S>))
            .with_state(self.clone())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    // ---- what it has recorded ----

    /// All calls, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.record().calls.clone()
    }

    /// The number of calls that arrived, with every outcome.
    pub fn count(&self) -> usize {
        self.record().calls.len()
    }

    /// The number of calls that fit.
    pub fn count_where(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.record().calls.iter().filter(|call| fits(call)).count()
    }

    /// Forgets the calls. The objects of the service, rules and settings stay, and the numbering
    /// continues.
    pub fn clear(&self) {
        self.record().calls.clear();
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
        self.record().rules.add(times, fits, behaviour)
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
        self.record().rules.remove(rule);
    }

    /// Removes all rules. The objects of the service stay.
    pub fn behave_well(&self) {
        self.record().rules.clear();
    }

    // ---- a call ----

    fn arrived(&self, parts: &Parts, body: &[u8]) -> (usize, Vec<Behaviour>) {
        let key = S::presented_key(&parts.headers);
        let caller = key.and_then(|key| self.lock().owner(&key));
        let mut record = self.record();
        record.arrived += 1;
        let mut call = call::<S>(parts, body, (self.clock)());
        call.number = record.arrived;
        call.caller = caller.unwrap_or(call.caller);
        let effects = record.rules.take(&call);
        record.calls.push(call);
        (record.arrived, effects)
    }

    fn answered(&self, number: usize, answer: &Response) {
        let lost = answer.extensions().get::<ConnectionLost>().is_some();
        let mut record = self.record();
        let mut calls = record.calls.iter_mut().rev();
        // A test may have cleared the list while the call was under way.
        if let Some(call) = calls.find(|call| call.number == number) {
            call.status = (!lost).then(|| answer.status().as_u16());
        }
    }
}

fn call<S: Service>(parts: &Parts, body: &[u8], at: Timestamp) -> Call {
    let text = |name: &str| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let path = parts.uri.path();
    let behind = |base: &&&str| path.strip_prefix(**base).is_some_and(|rest| rest.starts_with('/'));
    let base = S::BASES.iter().find(behind).copied().unwrap_or_default();
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    Call {
        number: 0,
        at,
        method: parts.method.to_string(),
        base: base.to_owned(),
        path: path[base.len()..].to_owned(),
        query: query.map(|Query(query)| query).unwrap_or_default(),
        scheme: text(header::AUTHORIZATION.as_str()).and_then(|value| Some(value.split_once(' ')?.0.to_owned())),
        proxy_user: text(PROXY_USER),
        caller: NOBODY.to_owned(),
        body: String::from_utf8_lossy(body).into_owned(),
        status: None,
    }
}

/// The effects on answers that are lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Colours {
    missing: Vec<String>,
    empty: bool,
}

impl Colours {
    /// Whether a list shows this object.
    pub(super) fn show(&self, name: &str) -> bool {
        !self.empty && !self.missing.iter().any(|missing| missing == name)
    }

    /// Whether lists are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }
}

impl<T: Sync> FromRequestParts<T> for Colours {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

async fn attend<S: Service>(State(server): State<Server<S>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        // The client went away in the middle of its request.
        return ConnectionLost::answer();
    };
    let (number, effects) = server.arrived(&parts, &body);

    let mut colours = Colours::default();
    let mut ending = None;
    for behaviour in effects {
        match behaviour {
            Behaviour::Latency(latency) => tokio::time::sleep(latency).await,
            Behaviour::MissingFromListing(names) => colours.missing.extend(names),
            Behaviour::EmptyListing => colours.empty = true,
            other => ending = Some(other),
        }
    }
    if ending == Some(Behaviour::Hang) {
        return std::future::pending().await;
    }

    let instead = ending.as_ref().and_then(|ending| ending.instead::<S>(&parts.headers, &body));
    let answer = if let Some(answer) = instead {
        answer
    } else {
        parts.extensions.insert(colours);
        let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
        match &ending {
            Some(Behaviour::HangAfter) => return std::future::pending().await,
            Some(ending) => ending.spoil(answer).await,
            None => answer,
        }
    };
    server.answered(number, &answer);
    answer
}
