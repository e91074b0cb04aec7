//! A double of the Kubernetes API server, as far as an operator sees it.
//!
//! The real `kube` client talks to it: get, list, watch, create, replace, patches (server-side
//! apply with field ownership, merge) and delete, with resource versions, generations, finalizers,
//! owner references, preconditions and the status subresource. The double has no schemas, no
//! authorization and no admission; these are tested on a real control plane.
//!
//! The cases of [`crate::conformance`] run against it and against the real API server. Begin a new
//! behaviour with a case that the real one passes.
//!
//! This file is what a test holds in its hand: `apiserver/admin.rs` is the test as a user,
//! `apiserver/fault.rs` the log of requests and the ways to fail. The server itself, from outside
//! to inside: `http.rs` (and `discovery.rs`), `write.rs` and `watch.rs`, `apply.rs` over
//! `ownership.rs`, `store.rs`; `resource.rs`, `selector.rs`, `failure.rs` are its vocabulary.

mod admin;
mod apply;
mod discovery;
mod failure;
mod fault;
mod http;
mod ownership;
mod resource;
mod selector;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod write;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tower::ServiceExt;

pub use self::failure::Failure;
pub use self::fault::{Fault, Hold, Request};
pub use self::resource::ResourceKind;

use self::http::Pages;
use self::store::Store;
use self::watch::Ending;
use super::rules::{RuleId, Rules, Times};
use super::wire::{self, Clock, ConnectionLost, Listening};

/// The longest time for which keyturn's connection waits for the beginning of an answer
/// (`READ_TIMEOUT` in `src/network/api_server.rs`).
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The API server. Clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    clock: Clock,
    state: Arc<Mutex<State>>,
    /// Counts the changes that watches may have to show.
    changed: Arc<tokio::sync::watch::Sender<u64>>,
    /// Counts the same, and every request that arrives or is answered.
    noticed: Arc<tokio::sync::watch::Sender<u64>>,
}

struct State {
    store: Store,
    kinds: Vec<Arc<ResourceKind>>,
    absent_groups: HashSet<String>,
    skew: SignedDuration,
    lags: HashMap<String, Duration>,
    watches_stay_open: bool,
    rules: Rules<Request, Fault>,
    arrived: usize,
    requests: Vec<Request>,
    pages: Pages,
    endings: Vec<(Option<String>, Ending)>,
    repeats_events: bool,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").finish_non_exhaustive()
    }
}

impl ApiServer {
    /// A server with the resources that keyturn uses and one namespace, `default`.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            store: Store::new(),
            kinds: ResourceKind::defaults(),
            absent_groups: HashSet::new(),
            skew: SignedDuration::ZERO,
            lags: HashMap::new(),
            watches_stay_open: false,
            rules: Rules::default(),
            arrived: 0,
            requests: Vec::new(),
            pages: Pages::default(),
            endings: Vec::new(),
            repeats_events: false,
        };
        let counter = || Arc::new(tokio::sync::watch::Sender::new(0));
        let api = Self { clock, state: Arc::new(Mutex::new(state)), changed: counter(), noticed: counter() };
        api.namespace("default", &[]);
        api
    }

    // ---- how to reach it ----

    /// A client in the process whose user agent is `keyturn`.
    pub fn client(&self) -> Client {
        self.client_as("keyturn")
    }

    /// A client in the process with this user agent, so that the log tells clients apart.
    pub fn client_as(&self, user_agent: &str) -> Client {
        self.client_within(None, user_agent)
    }

    /// The same with the read time-out of keyturn's connection.
    pub fn client_with_time_out(&self, user_agent: &str) -> Client {
        self.client_within(Some(READ_TIMEOUT), user_agent)
    }

    fn client_within(&self, patience: Option<Duration>, user_agent: &str) -> Client {
        let router = self.router();
        let user_agent = user_agent.to_owned();
        let service = tower::service_fn(move |request: ::http::Request<kube::client::Body>| {
            let router = router.clone();
            let user_agent = user_agent.clone();
            async move {
                let mut request = request.map(Body::new);
                let user_agent = user_agent.parse().expect("a header value");
                let headers = request.headers_mut();
                headers.insert(::http::header::USER_AGENT, user_agent);
                // Without a time-out there is no timer either, to which a paused clock would jump.
                let Ok(answer) = match patience {
                    None => router.oneshot(request).await,
                    Some(patience) => tokio::time::timeout(patience, router.oneshot(request))
                        .await
                        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?,
                };
                ConnectionLost::check(answer)
            }
        });
        Client::new(service, "default")
    }

    /// The HTTP side. A lost connection is an answer marked [`ConnectionLost`] here.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    // ---- what it has recorded ----

    /// All requests, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// All requests that write, in the order of arrival.
    pub fn writes(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(Request::is_write);
        requests
    }

    /// The number of requests of this verb on this resource, spelled as for [`Request::is`]:
    /// `count("patch", "awsconfigs/status")`, `count("*", "secrets")`.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.count_where(|request| request.is(verb, resource))
    }

    /// The number of requests that fit.
    pub fn count_where(&self, fits: impl Fn(&Request) -> bool) -> usize {
        let state = self.lock();
        state.requests.iter().filter(|request| fits(request)).count()
    }

    /// Forgets the requests.
    pub fn clear_requests(&self) {
        self.lock().requests.clear();
    }

    /// Waits until the condition holds. The condition is checked whenever a request arrives or is
    /// answered and whenever an object changes. Put a time-out around the call.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut noticed = self.noticed.subscribe();
        while !holds(self) {
            noticed.changed().await.expect("we hold the sender");
        }
    }

    /// Waits for a request that fits, answered or not, and returns it. Past requests count, too.
    /// The closure must not call the server.
    pub async fn seen(&self, fits: impl Fn(&Request) -> bool) -> Request {
        let find = |api: &Self| api.lock().requests.iter().find(|r| fits(r)).cloned();
        self.until(|api| find(api).is_some()).await;
        find(self).expect("it was there")
    }

    // ---- how it behaves ----

    /// Adds a rule about the requests that fit. The closure must not call the server.
    pub fn fault(&self, times: Times, fits: impl Fn(&Request) -> bool + Send + Sync + 'static, fault: Fault) -> RuleId {
        self.lock().rules.add(times, Arc::new(fits), fault)
    }

    /// Adds a rule about this verb on this resource, spelled as for [`Request::is`].
    pub fn fault_on(&self, times: Times, verb: &str, resource: &str, fault: Fault) -> RuleId {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        let fits = move |request: &Request| request.is(&verb, &resource);
        self.fault(times, fits, fault)
    }

    /// Holds the requests that fit, from now on, until they are released.
    pub fn hold(&self, fits: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Hold {
        let hold = Hold::new();
        self.fault(Times::UntilCleared, fits, Fault::Hold(hold.clone()));
        hold
    }

    /// Removes a rule.
    pub fn forgive(&self, rule: RuleId) {
        self.lock().rules.remove(rule);
    }

    /// Removes all rules, lags, repetitions, the skew and the absence of groups. Held requests stay
    /// held.
    pub fn behave_well(&self) {
        let mut state = self.lock();
        state.repeats_events = false;
        state.rules.clear();
        state.lags.clear();
        state.absent_groups.clear();
        state.skew = SignedDuration::ZERO;
        drop(state);
        self.tell();
    }

    /// Makes watches of this resource show each change this much later (zero: at once). Lists and
    /// gets are not affected.
    pub fn lag(&self, resource: &str, lag: Duration) {
        let id = self.kind(resource).id();
        self.lock().lags.insert(id, lag);
        self.tell();
    }

    /// When the time is over that a client gave its watch, there is a bookmark and the watch goes
    /// on, if it takes bookmarks. For long histories in which nothing is about watches, most of
    /// whose work would otherwise be to take them up again.
    pub fn keep_watches_open(&self) {
        self.lock().watches_stay_open = true;
    }

    /// Whether every watch shows each change twice, as after a connection that was taken up again
    /// too early.
    pub fn repeat_events(&self, repeats: bool) {
        self.lock().repeats_events = repeats;
    }

    /// Breaks the connection of every open watch.
    pub fn break_watches(&self) {
        self.end(None, Ending::Broken);
    }

    /// Breaks the connection of every open watch of the clients with this user agent.
    pub fn break_watches_of(&self, user_agent: &str) {
        self.end(Some(user_agent), Ending::Broken);
    }

    /// Makes every open watch of the clients with this user agent silent for ever.
    pub fn silence_watches_of(&self, user_agent: &str) {
        self.end(Some(user_agent), Ending::Silent);
    }

    /// Ends every open watch as the server does after its time-out.
    pub fn end_watches(&self) {
        self.end(None, Ending::Clean);
    }

    /// Makes every open watch silent for ever, as if a network device had forgotten its connection.
    pub fn silence_watches(&self) {
        self.end(None, Ending::Silent);
    }

    /// Forgets the history: a watch that resumes from before gets 410, and the next page of a list
    /// as well.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.store.compact();
        state.pages.clear();
        drop(state);
        self.tell();
    }

    /// Forgets all Events, as the server does an hour after each.
    pub fn forget_events(&self) {
        let id = self.kind("events.events.k8s.io").id();
        self.lock().store.forget(&id);
    }

    /// Whether the server knows this group. All paths of an unknown group are 404, as before its
    /// CRDs are installed. Its objects stay.
    pub fn serve_group(&self, group: &str, is_served: bool) {
        let mut state = self.lock();
        if is_served {
            state.absent_groups.remove(group);
        } else {
            state.absent_groups.insert(group.to_owned());
        }
    }

    /// Sets the server's clock ahead of the test's (behind, if negative).
    pub fn skew(&self, ahead: SignedDuration) {
        self.lock().skew = ahead;
    }

    /// Turns the garbage collector on (the default) or off. When it is turned on, it collects what
    /// it missed.
    pub fn collect_garbage(&self, collects: bool) {
        let now = self.server_time();
        let mut state = self.lock();
        state.store.collects_garbage = collects;
        state.store.collect_garbage(now);
        drop(state);
        self.tell();
    }

    /// Serves another resource too. One of the same group and plural is replaced.
    pub fn register(&self, kind: ResourceKind) {
        let mut state = self.lock();
        state.kinds.retain(|known| known.id() != kind.id());
        state.kinds.push(Arc::new(kind));
    }

    // ---- for the server's own parts ----

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test thread panicked with the lock")
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn server_time(&self) -> Timestamp {
        let skew = self.lock().skew;
        (self.clock)() + skew
    }

    fn serves(&self, group: &str) -> bool {
        !self.lock().absent_groups.contains(group)
    }

    fn kinds(&self) -> Vec<Arc<ResourceKind>> {
        self.lock().kinds.clone()
    }

    /// The resource that a test names by its plural, kind or `plural.group`.
    fn kind(&self, name: &str) -> Arc<ResourceKind> {
        let kinds = self.kinds();
        let found = kinds.iter().find(|kind| kind.is_called(name));
        Arc::clone(found.unwrap_or_else(|| panic!("no resource is called {name}")))
    }

    fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Notifies everything that waits for a change.
    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
        self.tell_of_request();
    }

    /// Notifies everything that waits for requests, but no watch: a week of watches is thousands of
    /// requests.
    fn tell_of_request(&self) {
        self.noticed.send_modify(|count| *count += 1);
    }

    fn end(&self, user_agent: Option<&str>, ending: Ending) {
        self.lock().endings.push((user_agent.map(str::to_owned), ending));
        self.tell();
    }

    fn finish_request(&self, number: usize, status: u16) {
        let mut state = self.lock();
        let mut requests = state.requests.iter_mut().rev();
        // A test may have cleared the list while the request was under way.
        if let Some(request) = requests.find(|request| request.number == number) {
            request.status = Some(status);
        }
        drop(state);
        self.tell_of_request();
    }
}
