//! A double of AWS STS: `AssumeRole`, `AssumeRoleWithWebIdentity` and `GetCallerIdentity` over the
//! Query protocol.
//!
//! The double issues sessions that a test can tell apart, because each has a number. A test can
//! recognise their secrets wherever they should not be ([`LEAK_MARKERS`]). The double refuses what
//! STS itself refuses: a lifetime over the role's maximum, a missing external ID, a caller whose
//! own session has expired, role chaining over one hour. [`Behaviour`]s make it fail in every way
//! that matters. It does not verify signatures and knows no policies: every request succeeds unless
//! a rule forbids it.
//!
//! * `sts/behaviour.rs`: the ways to fail, spelled as AWS spells them
//! * `sts/session.rs`: the issued sessions
//! * `sts/answer.rs`: the XML
//! * `sts/http.rs`: from a request to an answer; the in-process client for the SDK

mod answer;
mod behaviour;
mod http;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use jiff::{SignedDuration, Timestamp};

pub use self::behaviour::Behaviour;
pub use self::http::InProcess;
pub use self::session::{Issued, LEAK_MARKERS};

use super::rules::{Fits, RuleId, Rules, Times};
use super::wire::{self, Clock, Listening};

const UNKNOWN_ROLE: &str = "arn:aws:iam::000000000000:role/unnamed";

/// A call that STS got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts from 1. Clearing the list does not reset the number.
    pub number: usize,
    /// The time of arrival, by the test's clock (no skew).
    pub at: Timestamp,
    /// `AssumeRole`, `AssumeRoleWithWebIdentity`, `GetCallerIdentity`.
    pub action: String,
    /// The requested role.
    pub role_arn: Option<String>,
    /// `RoleSessionName`.
    pub session_name: Option<String>,
    /// `ExternalId`.
    pub external_id: Option<String>,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// `DurationSeconds`. Without it STS decides.
    pub duration_seconds: Option<i64>,
    /// The session policy.
    pub policy: Option<String>,
    /// The session tags.
    pub tags: BTreeMap<String, String>,
    /// All parameters of the request, also those named above.
    pub params: BTreeMap<String, String>,
    /// The access key ID that signed the call.
    pub access_key_id: Option<String>,
    /// The outcome of the call.
    pub outcome: Outcome,
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet, or never: a late answer, a hang, or a client that gave up before.
    Unanswered,
    /// A session was issued.
    Issued {
        /// Its access key ID.
        access_key_id: String,
    },
    /// The caller's identity was answered.
    Identified,
    /// An error.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code.
        code: String,
    },
    /// An answer that STS does not give (broken XML, nothing, a proxy's page).
    Garbled,
    /// The connection broke.
    ConnectionLost,
}

/// STS. Clones are the same STS.
#[derive(Clone)]
pub struct Sts {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    arrived: usize,
    calls: Vec<Call>,
    /// In the order of their numbers, and therefore of their access key IDs.
    issued: Vec<Issued>,
    issued_ever: usize,
    rules: Rules<Call, Behaviour>,
    external_ids: HashMap<String, String>,
    max_durations: HashMap<String, i64>,
    skew: SignedDuration,
    caller: String,
    checks_signing_time: bool,
    web_identity: Option<String>,
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts").finish_non_exhaustive()
    }
}

impl Sts {
    /// An STS that grants every role to everybody for up to 12 hours.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            arrived: 0,
            calls: Vec::new(),
            issued: Vec::new(),
            issued_ever: 0,
            rules: Rules::default(),
            external_ids: HashMap::new(),
            max_durations: HashMap::new(),
            skew: SignedDuration::ZERO,
            caller: "arn:aws:iam::123456789012:user/keyturn".to_owned(),
            checks_signing_time: false,
            web_identity: None,
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    // ---- how to reach it ----

    /// The HTTP side: `POST /`.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// An HTTP client for the AWS SDK that reaches this STS without a socket, whatever the
    /// endpoint's URL: `aws_sdk_sts::config::Builder::http_client(sts.http_client())`.
    pub fn http_client(&self) -> InProcess {
        InProcess::new(self.router())
    }

    /// Listens on TCP until the returned value is dropped. Port 0 takes a free one.
    pub async fn serve(&self, addr: SocketAddr) -> io::Result<Listening> {
        wire::serve(self.router(), addr).await
    }

    // ---- what it has recorded ----

    /// All `AssumeRole` calls, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = self.all_calls();
        calls.retain(|call| call.action == "AssumeRole");
        calls
    }

    /// All calls of every action, in the order of arrival.
    pub fn all_calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The number of `AssumeRole` calls that arrived, with every outcome.
    pub fn count(&self) -> usize {
        self.count_where(|call| call.action == "AssumeRole")
    }

    /// The number of calls that fit.
    pub fn count_where(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.lock().calls.iter().filter(|call| fits(call)).count()
    }

    /// The issued sessions, in order.
    pub fn issued(&self) -> Vec<Issued> {
        self.lock().issued.clone()
    }

    /// The session with this access key ID.
    pub fn session(&self, access_key_id: &str) -> Option<Issued> {
        self.lock().session(access_key_id).cloned()
    }

    /// Forgets the sessions that ended this long ago. Their numbers are not used again.
    pub fn forget_expired(&self, ago: SignedDuration) {
        let then = (self.clock)() - ago;
        self.lock().issued.retain(|session| session.expiration > then);
    }

    /// Forgets the calls. Sessions, rules and settings stay, and their numbering continues.
    pub fn clear(&self) {
        self.lock().calls.clear();
    }

    // ---- how it behaves ----

    /// Adds a rule about all `AssumeRole` calls.
    pub fn behave(&self, times: Times, behaviour: Behaviour) -> RuleId {
        self.behave_if(times, |call| call.action == "AssumeRole", behaviour)
    }

    /// Adds a rule about the calls for one role.
    pub fn behave_for(&self, role_arn: &str, times: Times, behaviour: Behaviour) -> RuleId {
        let role_arn = role_arn.to_owned();
        let fits = move |call: &Call| call.role_arn.as_ref() == Some(&role_arn);
        self.behave_if(times, fits, behaviour)
    }

    /// Adds a rule about the calls of every action that fit.
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

    /// Removes all rules and the skew. The settings of roles stay.
    pub fn behave_well(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.skew = SignedDuration::ZERO;
    }

    /// Sets STS's clock ahead of the test's (behind, if negative). The clock counts for `Date`,
    /// `Expiration`, and the expiry of sessions. The skew of a rule is added.
    pub fn skew(&self, ahead: SignedDuration) {
        self.lock().skew = ahead;
    }

    /// Whether STS refuses a call that was signed more than 5 minutes off its clock, as the real
    /// one does. Off by default, because `x-amz-date` has to follow the simulated clock for it.
    pub fn check_signing_time(&self, check: bool) {
        self.lock().checks_signing_time = check;
    }

    /// Makes the role's trust policy demand this external ID. A call without it gets
    /// `AccessDenied`.
    pub fn require_external_id(&self, role_arn: &str, external_id: &str) {
        let (role_arn, external_id) = (role_arn.to_owned(), external_id.to_owned());
        self.lock().external_ids.insert(role_arn, external_id);
    }

    /// Sets the role's `MaxSessionDuration`. The default is 12 hours.
    pub fn max_duration(&self, role_arn: &str, seconds: i64) {
        let role_arn = role_arn.to_owned();
        self.lock().max_durations.insert(role_arn, seconds);
    }

    /// Sets the owner of the base credentials. An `assumed-role` ARN makes every `AssumeRole` role
    /// chaining, which STS limits to one hour.
    pub fn set_caller(&self, arn: &str) {
        arn.clone_into(&mut self.lock().caller);
    }

    /// Makes this the only web identity token that STS accepts. Without one, it accepts none.
    pub fn trust_web_identity(&self, token: &str) {
        self.lock().web_identity = Some(token.to_owned());
    }

    /// Issues a session without a call, as EC2 and EKS obtain one for a machine or a pod.
    pub fn issue(&self, role_arn: &str, session_name: &str, seconds: i64) -> Issued {
        let at = (self.clock)();
        let mut state = self.lock();
        let end = at + state.skew + SignedDuration::from_secs(seconds);
        let session = Issued::of(state.next_session(), at, end, role_arn, session_name);
        state.issued.push(session.clone());
        session
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test thread panicked with the lock")
    }
}

impl State {
    fn session(&self, access_key_id: &str) -> Option<&Issued> {
        let found = self.issued.binary_search_by(|session| session.access_key_id.as_str().cmp(access_key_id));
        found.ok().map(|index| &self.issued[index])
    }

    /// The number of a new session.
    fn next_session(&mut self) -> usize {
        self.issued_ever += 1;
        self.issued_ever
    }

    /// The signer of a call: the session that signed it, or the owner of the base credentials.
    fn caller(&self, call: &Call) -> &str {
        let key = call.access_key_id.as_deref();
        let session = key.and_then(|key| self.session(key));
        session.map_or(&self.caller, |session| &session.arn)
    }
}
