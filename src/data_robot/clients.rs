//! The clients of every DataRobot, with the tokens of the instances.

use super::DataRobot;
use crate::rest::{Connect, InvalidTls, Tls};
use parking_lot::Mutex;
use secrecy::SecretString;
use std::{collections::HashMap, fmt, sync::Arc};

/// The clients of every DataRobot, and the tokens of the instances. They are in memory only, and
/// their loss does no harm. Clones share them.
#[derive(Clone)]
pub struct DataRobots {
    connect: Connect,
    /// Held while one reconcile writes an instance on behalf of all configs that use it. It is
    /// never held during a call to DataRobot.
    writing: Arc<tokio::sync::Mutex<()>>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

struct Known {
    endpoint: String,
    tls: Tls,
    client: DataRobot,
    token: Option<SecretString>,
}

/// Why there is no client of a DataRobot.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    /// The certificate authorities are invalid.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The URL is invalid. The CRD's schema refuses such a URL.
    #[error("url: {0}")]
    Url(#[from] url::ParseError),
}

impl fmt::Debug for DataRobots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataRobots")
    }
}

impl DataRobots {
    /// No client yet.
    #[must_use]
    pub fn new(connect: Connect) -> Self {
        Self { connect, writing: Arc::default(), known: Arc::default() }
    }

    /// The client of an instance, without a token. A client with the same settings is kept,
    /// together with its connection and the token of the instance.
    ///
    /// # Errors
    /// [`NoClient`] if the URL or the certificate authorities are invalid.
    pub fn client(&self, instance: &str, endpoint: &str, ca_bundle: Option<&str>) -> Result<DataRobot, NoClient> {
        let tls = Tls { ca_bundle: ca_bundle.map(str::to_owned), insecure_skip_verify: false };
        let mut known = self.known.lock();
        if let Some(it) = known.get(instance).filter(|it| it.endpoint == endpoint && it.tls == tls) {
            return Ok(it.client.clone());
        }
        let client = DataRobot::new(endpoint, (self.connect)(&tls)?)?;
        let former = known.remove(instance).filter(|former| former.endpoint == endpoint);
        let token = former.and_then(|former| former.token);
        let it = Known { endpoint: endpoint.to_owned(), tls, client: client.clone(), token };
        known.insert(instance.to_owned(), it);
        Ok(client)
    }

    /// The token of an instance; `None` if keyturn has not read it, or if there is none.
    #[must_use]
    pub fn token(&self, instance: &str) -> Option<SecretString> {
        self.known.lock().get(instance)?.token.clone()
    }

    /// Records the token of an instance that has a client.
    pub fn set_token(&self, instance: &str, token: Option<SecretString>) {
        if let Some(it) = self.known.lock().get_mut(instance) {
            it.token = token;
        }
    }

    /// The lock for a write of an instance on behalf of all configs that use it.
    #[must_use]
    pub fn writing(&self) -> Arc<tokio::sync::Mutex<()>> {
        self.writing.clone()
    }

    /// Removes everything about an instance.
    pub fn forget(&self, instance: &str) {
        self.known.lock().remove(instance);
    }
}
