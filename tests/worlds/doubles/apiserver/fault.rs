//! The log of requests, and the faults that a test wants of the server.
//!
//! The point of a fault matters more than its kind. *Before* the effect nothing has happened.
//! *After* the effect everything has happened, and the client does not know it. Both look the same
//! to the client.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::ApiServer;
use super::failure::Failure;
use crate::doubles::rules::Effect;

/// A request that the server got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Request {
    /// Counts from 1. Clearing the list does not reset the number.
    pub number: usize,
    /// The time of arrival, by the test's clock (no skew).
    pub at: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The API group; empty for the core group, and for requests that are not about a resource.
    pub group: String,
    /// The plural; empty for requests that are not about a resource.
    pub resource: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for all, and for cluster-scoped objects.
    pub namespace: String,
    /// The name; empty for collections and creates.
    pub name: String,
    /// The path.
    pub path: String,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The type of the body, which says for a patch which kind of patch it is.
    pub content_type: String,
    /// The types that the client accepts, which say whether it wants metadata only.
    pub accept: String,
    /// The user agent.
    pub user_agent: Option<String>,
    /// The body, if it was JSON or YAML.
    pub body: Option<Value>,
    /// The status of the answer. `None` without an answer, and if the client never saw one.
    pub status: Option<u16>,
}

impl Request {
    /// Whether it is this verb on this resource. A resource is `secrets`, `awsconfigs/status` for
    /// a subresource, `awsconfigs/*` for the object and its subresources; `*` is anything.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        (verb == "*" || self.verb == verb) && self.is_on(resource)
    }

    /// Whether it is on this resource, spelled as for [`Request::is`].
    pub fn is_on(&self, resource: &str) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        resource == "*" || (self.resource == resource && (subresource == "*" || self.subresource == subresource))
    }

    /// Whether it asks for all objects of this resource: a list, or a watch that begins with one.
    pub fn lists(&self, resource: &str) -> bool {
        let asks = |name: &str| self.query.get(name).map(String::as_str);
        let begins =
            asks("sendInitialEvents") == Some("true") || matches!(asks("resourceVersion"), None | Some("" | "0"));
        self.is("list", resource) || (self.is("watch", resource) && begins)
    }

    /// Whether it writes.
    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete")
    }

    /// Whether it is a server-side apply.
    pub fn is_apply(&self) -> bool {
        self.content_type.starts_with("application/apply-patch")
    }
}

/// An action of a test in the middle of a request.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn(&ApiServer) + Send + Sync>);

impl Hook {
    pub(super) fn run(&self, api: &ApiServer) {
        (self.0)(api);
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// An effect on a request. Delays, holds and hooks only modify the answer, and combine with a fault
/// that is the answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Refused before the effect.
    Refuse(Failure),
    /// The connection breaks before the effect.
    RefuseConnection,
    /// The effect takes place; the connection breaks instead of an answer.
    LoseAnswer,
    /// The effect takes place; the answer is this refusal (a gateway's 504).
    RefuseAfter(Failure),
    /// No effect, and no answer, ever.
    Hang,
    /// The effect takes place. There is no answer, ever.
    HangAfter,
    /// A list, or the beginning of a watch, that shows no objects.
    EmptyList,
    /// The effect takes place this much later, even if the client has given up.
    Delay(Duration),
    /// The effect takes place when the test releases it, even if the client has given up.
    Hold(Hold),
    /// An action of the test just before the effect: another writer that wins the race.
    Before(Hook),
    /// An action of the test just after the effect, before the client knows.
    After(Hook),
}

impl Fault {
    /// Refused before the effect, with this status and the reason that belongs to it.
    pub fn status(code: u16) -> Self {
        Self::Refuse(Failure::new(code, format!("refused with {code} by a test")))
    }

    /// 429 before the effect, with `Retry-After`.
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        let message = "Too many requests, please try again later.";
        let mut failure = Failure::new(429, message);
        failure.retry_after = Some(retry_after_seconds);
        Self::Refuse(failure)
    }

    /// 403 before the effect, as RBAC refuses.
    pub fn forbidden() -> Self {
        Self::status(403)
    }

    /// See [`Fault::Before`].
    pub fn before(hook: impl Fn(&ApiServer) + Send + Sync + 'static) -> Self {
        Self::Before(Hook(Arc::new(hook)))
    }

    /// See [`Fault::After`].
    pub fn after(hook: impl Fn(&ApiServer) + Send + Sync + 'static) -> Self {
        Self::After(Hook(Arc::new(hook)))
    }
}

impl Effect for Fault {
    fn is_the_answer(&self) -> bool {
        use Fault::{After, Before, Delay, Hold};
        !matches!(self, Delay(_) | Hold(_) | Before(_) | After(_))
    }
}

/// Requests that wait until the test releases them.
#[derive(Clone, Debug)]
pub struct Hold(Arc<watch::Sender<bool>>);

impl Hold {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Releases the waiting requests and all later ones.
    pub fn release(&self) {
        self.0.send_replace(true);
    }

    /// The number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.0.receiver_count()
    }

    pub(super) async fn wait(&self) {
        let mut released = self.0.subscribe();
        // The sender lives as long as we do.
        let _ = released.wait_for(|released| *released).await;
    }
}
