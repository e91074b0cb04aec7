//! Calls to the HTTP API of an outside system, such as Dataiku DSS; nothing of Kubernetes.
//!
//! Every call is limited in time and in size. It is retried only if a repetition cannot act twice.
//! An error names the route, and no error quotes a key.
//!
//! * `rest/call.rs`: one call: how it is sent, how its answer is read, and when it is retried
//! * `rest/error.rs`: the errors of a call
//! * `rest/wire.rs`: the connection: TLS, redirects, limits on the answer

mod call;
mod error;
mod wire;

pub use call::{Call, LISTING};
pub use error::{Kind, RestError};
pub use wire::{Connect, InvalidTls, Lost, Received, Tls, Wire, client, connect, exchange};

use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use tokio::sync::Semaphore;
use url::Url;

/// The differences between the APIs of two systems.
#[derive(Debug)]
pub struct Dialect {
    /// The name of the system in messages, such as `DSS`.
    pub system: &'static str,
    /// The name of the secret that keyturn sends in messages, such as `the API key`.
    pub key: &'static str,
    /// The words of the system in the body of an answer without success; `None` if the body is not
    /// the system's. Proxies, gateways and login pages use the same statuses, with text, HTML, or
    /// JSON of another form, and none of them knows what the system holds or allows.
    pub said: fn(&[u8]) -> Option<String>,
}

/// A system, and how calls to it are made. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Service {
    /// How the system answers.
    pub dialect: &'static Dialect,
    /// The connection.
    pub wire: Arc<dyn Wire>,
    /// The beginning of the URL of every route.
    pub base: Url,
    /// The secrets that the headers hold, in each form in which they are sent. No message quotes
    /// them.
    pub keys: Vec<SecretString>,
    /// The headers of every call.
    pub headers: HeaderMap,
    /// The user as whom the calls are made, for messages.
    pub as_user: Option<String>,
    /// The turn to read a listing. A listing keeps its turn until it has been parsed.
    pub listings: Arc<Semaphore>,
}

impl Service {
    /// Whether a text holds a key, in a form in which keyturn sends it. Upper and lower case do not
    /// differ, because the host of a URL has lost them.
    #[must_use]
    pub fn quotes_key(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.keys.iter().any(|key| text.contains(&key.expose_secret().to_ascii_lowercase()))
    }
}

/// The headers of a call with this `Authorization`. A key that no header can hold gives none, and
/// the system then refuses the call.
#[must_use]
pub fn authorized(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(authorization) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}
