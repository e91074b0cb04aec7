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
    uid: String,
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
    /// together with its connection and the token of the instance. The token does not outlive the
    /// object (`uid`), because another object of the same name may have another URL, and may be
    /// from an author who may not read the Secret.
    ///
    /// # Errors
    /// [`NoClient`] if the URL or the certificate authorities are invalid.
    pub fn client(
        &self,
        (instance, uid): (&str, &str),
        endpoint: &str,
        ca_bundle: Option<&str>,
    ) -> Result<DataRobot, NoClient> {
        let tls = Tls { ca_bundle: ca_bundle.map(str::to_owned), insecure_skip_verify: false };
        let mut known = self.known.lock();
        let is_the_same = |it: &&Known| it.uid == uid && it.endpoint == endpoint;
        if let Some(it) = known.get(instance).filter(is_the_same).filter(|it| it.tls == tls) {
            return Ok(it.client.clone());
        }
        let client = DataRobot::new(endpoint, (self.connect)(&tls)?)?;
        let former = known.remove(instance).filter(|former| is_the_same(&former));
        let token = former.and_then(|former| former.token);
        let (uid, endpoint) = (uid.to_owned(), endpoint.to_owned());
        let it = Known { uid, endpoint, tls, client: client.clone(), token };
        known.insert(instance.to_owned(), it);
        Ok(client)
    }

    /// The token of the instance with this UID; `None` if keyturn has not read it, or if there is
    /// none.
    #[must_use]
    pub fn token(&self, (instance, uid): (&str, &str)) -> Option<SecretString> {
        self.known.lock().get(instance).filter(|it| it.uid == uid)?.token.clone()
    }

    /// Records the token of the instance with this UID, if the client is still that instance's.
    pub fn set_token(&self, (instance, uid): (&str, &str), token: Option<SecretString>) {
        if let Some(it) = self.known.lock().get_mut(instance).filter(|it| it.uid == uid) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::{Lost, Received, Wire};
    use futures::future::BoxFuture;
    use http::Request;

    #[derive(Debug)]
    struct Dead;

    impl Wire for Dead {
        fn send(&self, _: Request<String>, _: usize) -> BoxFuture<'_, Result<Received, Lost>> {
            Box::pin(std::future::ready(Err(Lost::TooLong)))
        }
    }

    #[test]
    fn a_token_is_of_one_object_and_of_none_with_its_name() {
        let clients = DataRobots::new(Arc::new(|_| Ok(Arc::new(Dead) as Arc<dyn Wire>)));
        let (first, second) = (("prod", "uid-1"), ("prod", "uid-2"));
        let connect = |of, url| clients.client(of, url, None).map(drop).unwrap();
        connect(first, "https://one.test");
        clients.set_token(first, Some("token".to_owned().into()));
        connect(first, "https://one.test");
        assert!(clients.token(first).is_some(), "it is kept");
        assert!(clients.token(second).is_none(), "before the other object has a client");
        connect(second, "https://two.test");
        assert!(clients.token(first).is_none() && clients.token(second).is_none(), "the other object has none");
        clients.set_token(first, Some("token".to_owned().into()));
        assert!(clients.token(second).is_none(), "a reconcile of the former object ends late");
        connect(second, "https://two.test");
        clients.set_token(second, Some("another".to_owned().into()));
        connect(("prod", "uid-3"), "https://two.test");
        assert!(clients.token(("prod", "uid-3")).is_none(), "the same URL, and another object");
    }
}
