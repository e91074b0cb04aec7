//! Watching: the changes of a resource as a stream of JSON lines.
//!
//! A watch is a position in the history and a selection. An object that enters the selection is
//! ADDED and one that leaves it is DELETED, whatever happened to the object itself. A resource may
//! lag: its changes show only some time after they took place, as on a busy server. Changes may
//! also be shown twice.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ApiServer;
use super::failure::Failure;
use super::resource::ResourceKind;
use super::selector::Selector;
use super::store::{Change, Store};

/// The version of `PartialObjectMetadata`.
const METADATA_VERSION: &str = "meta.k8s.io/v1";

/// How an open watch ends when the test ends all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As the server ends it: the stream is over.
    Clean,
    /// The connection breaks.
    Broken,
    /// The connection is dead, and nobody says so: nothing comes any more, not even an end.
    Silent,
}

/// The parameters of a client's watch.
pub(super) struct Watching {
    pub(super) kind: Arc<ResourceKind>,
    pub(super) selector: Selector,
    pub(super) only_metadata: bool,
    /// `resourceVersion`: empty and `0` mean "begin with the existing objects".
    pub(super) since: String,
    pub(super) send_initial_events: Option<bool>,
    pub(super) bookmarks: bool,
    pub(super) timeout: Duration,
    /// A fault: the list seems to be empty.
    pub(super) hides_objects: bool,
    /// The client.
    pub(super) user_agent: Option<String>,
}

struct Watch {
    api: ApiServer,
    wanted: Watching,
    seen: u64,
    ready: VecDeque<Bytes>,
    deadline: Instant,
    endings: usize,
    is_over: bool,
}

enum Next {
    Line(Bytes),
    Last(Bytes),
    WaitUntil(Instant),
    End(Ending),
}

impl Watching {
    /// The body of the answer, from now on.
    pub(super) fn start(self, api: &ApiServer) -> Body {
        let mut state = api.lock();
        let oldest = state.store.table(&self.kind.id()).oldest;
        let store = &state.store;
        let mut ready = VecDeque::new();
        let mut seen = store.version();
        let from_now = matches!(self.since.as_str(), "" | "0");
        if self.send_initial_events == Some(true) || (from_now && self.send_initial_events.is_none()) {
            ready.extend(self.initial(store));
        } else if !from_now {
            seen = self.since.parse().unwrap_or(seen);
        }
        if seen < oldest {
            return Body::from(too_old(seen, oldest));
        }
        let watch = Watch {
            api: api.clone(),
            ready,
            seen,
            deadline: Instant::now() + self.timeout,
            endings: state.endings.len(),
            is_over: false,
            wanted: self,
        };
        drop(state);
        Body::from_stream(stream::unfold(watch, Watch::line))
    }

    fn initial(&self, store: &Store) -> Vec<Bytes> {
        let objects = store.list(&self.kind.id());
        let objects = objects.filter(|object| !self.hides_objects && self.selector.matches(object));
        let mut lines: Vec<Bytes> = objects.map(|object| self.event("ADDED", object)).collect();
        if self.send_initial_events == Some(true) {
            lines.push(self.bookmark(store.version(), r#","annotations":{"k8s.io/initial-events-end":"true"}"#));
        }
        lines
    }

    fn event(&self, event: &str, object: &Value) -> Bytes {
        if self.only_metadata { self.metadata_line(event, &object["metadata"]) } else { line(event, object) }
    }

    fn metadata_line(&self, event: &str, metadata: impl Display) -> Bytes {
        let (kind, version) = if self.only_metadata {
            ("PartialObjectMetadata", METADATA_VERSION.to_owned())
        } else {
            (&*self.kind.kind, self.kind.api_version())
        };
        line(event, format_args!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata}}}"#))
    }

    /// The end of the list, or of an interval; `more` follows in its metadata.
    fn bookmark(&self, version: u64, more: &str) -> Bytes {
        self.metadata_line("BOOKMARK", format_args!(r#"{{"resourceVersion":"{version}"{more}}}"#))
    }

    /// The event of a change for this watch, if there is one.
    fn shown(&self, change: &Change) -> Option<Bytes> {
        let selected = |object: &Option<Arc<Value>>| {
            let object = object.as_ref();
            object.filter(|object| self.selector.matches(object)).cloned()
        };
        match (selected(&change.before), selected(&change.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(self.event("ADDED", &after)),
            (Some(_), Some(after)) => Some(self.event("MODIFIED", &after)),
            (Some(before), None) => {
                let mut last = Value::clone(&before);
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.event("DELETED", &last))
            }
        }
    }
}

impl Watch {
    async fn line(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            if self.is_over {
                return None;
            }
            let mut changed = self.api.changed();
            match self.next() {
                Next::Line(line) => return Some((Ok(line), self)),
                Next::Last(line) => {
                    self.is_over = true;
                    return Some((Ok(line), self));
                }
                Next::End(Ending::Clean) => return None,
                Next::End(Ending::Silent) => std::future::pending().await,
                Next::End(Ending::Broken) => {
                    self.is_over = true;
                    let reset = io::ErrorKind::ConnectionReset;
                    return Some((Err(io::Error::new(reset, "connection lost (by a test)")), self));
                }
                Next::WaitUntil(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        _ = changed.changed() => {}
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Next {
        let api = self.api.clone();
        let mut state = api.lock();
        let mut endings = state.endings[self.endings..].iter();
        let is_ours = |of: &Option<String>| of.is_none() || *of == self.wanted.user_agent;
        if let Some((_, ending)) = endings.find(|(of, _)| is_ours(of)) {
            return Next::End(*ending);
        }
        self.endings = state.endings.len();
        if let Some(line) = self.ready.pop_front() {
            return Next::Line(line);
        }
        let id = self.wanted.kind.id();
        let lag = state.lags.get(&id).copied().unwrap_or_default();
        let (version, repeats) = (state.store.version(), state.repeats_events);
        let table = state.store.table(&id);
        if self.seen < table.last_dropped {
            return Next::Last(too_old(self.seen, table.oldest));
        }
        let now = Instant::now();
        let mut wake = self.deadline;
        let mut is_behind = false;
        while let Some(change) = table.after(self.seen) {
            if change.at + lag > now {
                wake = wake.min(change.at + lag);
                is_behind = true;
                break;
            }
            self.seen = change.version;
            if let Some(line) = self.wanted.shown(change) {
                self.ready.extend(repeats.then(|| line.clone()));
                return Next::Line(line);
            }
        }
        if !is_behind {
            // A client may ask for a version that does not exist yet.
            self.seen = self.seen.max(version);
        }
        if now < self.deadline {
            return Next::WaitUntil(wake);
        }
        if self.wanted.bookmarks {
            let bookmark = self.wanted.bookmark(self.seen, "");
            if !state.watches_stay_open {
                return Next::Last(bookmark);
            }
            self.deadline = now + self.wanted.timeout;
            return Next::Line(bookmark);
        }
        Next::End(Ending::Clean)
    }
}

fn too_old(seen: u64, oldest: u64) -> Bytes {
    line("ERROR", Failure::expired(seen, oldest).to_json())
}

fn line(event: &str, object: impl Display) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n"))
}

/// The object as `PartialObjectMetadata`.
pub(super) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": METADATA_VERSION,
        "metadata": object["metadata"],
    })
}
