//! The connection: it sends a request and returns an answer of limited length.
//!
//! The connection is a trait, because tests replace it with a double without a socket. Its messages
//! are the HTTP messages themselves.

use crate::network::{Proxies, innermost, provide_tls};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use reqwest::{Body, Certificate, Client, NoProxy, Proxy, redirect};
use std::{fmt, sync::Arc, time::Duration};

/// The longest time for the set-up of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of redirects on one host that are followed.
const REDIRECTS: usize = 3;

/// An answer whose whole body was read.
pub type Received = Response<Bytes>;

/// Sends requests.
pub trait Wire: fmt::Debug + Send + Sync {
    /// Sends a request, and reads at most this many bytes of the answer's body.
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Received, Lost>>;
}

/// The reason for a missing answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection could not be established, or broke.
    Unreachable(String),
    /// The answer is longer than the limit.
    TooLong,
}

/// Makes the connection to a system. The operator uses [`connect`], and tests use their own.
pub type Connect = Arc<dyn Fn(&Tls) -> Result<Arc<dyn Wire>, InvalidTls> + Send + Sync>;

/// The trust in the server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificate authorities in PEM, trusted instead of the system's.
    pub ca_bundle: Option<String>,
    /// Every certificate is trusted.
    pub insecure_skip_verify: bool,
}

/// The reason why a connection cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTls {
    /// The bundle holds no usable certificate.
    #[error("caBundle holds no usable PEM certificates")]
    CaBundle,
    /// The TLS library refuses the configuration.
    #[error("no TLS: {0}")]
    Library(String),
}

/// A connection over the network, by reqwest: [`client`].
///
/// # Errors
/// The bundle holds no usable certificate, or the TLS library refuses.
pub fn connect(tls: &Tls, proxies: &Proxies) -> Result<Arc<dyn Wire>, InvalidTls> {
    Ok(Arc::new(Network(client(tls, proxies)?)))
}

/// A client of reqwest. It keeps and reuses its TCP connections, and goes through the proxy for the
/// URL, if there is one. The trust of `tls` is also the trust in a proxy that is called by https.
///
/// # Errors
/// The bundle holds no usable certificate, or the TLS library refuses.
pub fn client(tls: &Tls, proxies: &Proxies) -> Result<Client, InvalidTls> {
    provide_tls();
    let mut client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::custom(on_the_same_host))
        // reqwest reads no variables of its own: `proxies` has them.
        .no_proxy()
        .tls_danger_accept_invalid_certs(tls.insecure_skip_verify)
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")));
    let library = |error: reqwest::Error| InvalidTls::Library(innermost(&error));
    for (proxy, of_scheme) in [(proxies.http(), Proxy::http as fn(String) -> _), (proxies.https(), Proxy::https)] {
        if let Some(proxy) = proxy {
            let proxy = of_scheme(proxy.url().to_string()).map_err(library)?;
            client = client.proxy(proxy.no_proxy(NoProxy::from_string(proxies.direct())));
        }
    }
    if let Some(pem) = &tls.ca_bundle {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| InvalidTls::CaBundle)?;
        if certificates.is_empty() {
            return Err(InvalidTls::CaBundle);
        }
        client = client.tls_certs_only(certificates);
    }
    client.build().map_err(library)
}

/// Follows redirects on the same origin only, because the key is meant for that host alone. The
/// caller gets any other redirect as the answer.
fn on_the_same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (from, to) = (attempt.previous().first(), attempt.url());
    let same = from.is_some_and(|from| from.origin() == to.origin());
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

#[derive(Debug)]
struct Network(Client);

impl Wire for Network {
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Received, Lost>> {
        Box::pin(exchange(&self.0, request, most_bytes))
    }
}

/// Sends a request by `client`, and reads at most this many bytes of the answer's body.
///
/// # Errors
/// [`Lost`] if there is no answer, or a longer one.
pub async fn exchange<B: Into<Body>>(
    client: &Client,
    request: Request<B>,
    most_bytes: usize,
) -> Result<Received, Lost> {
    let request = request.try_into().map_err(unreachable)?;
    let mut answer = client.execute(request).await.map_err(unreachable)?;
    let mut received = Response::new(());
    *received.status_mut() = answer.status();
    *received.headers_mut() = answer.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(Lost::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(received.map(|()| body.into()))
}

/// Reports the innermost cause, because the outer ones quote the URL.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: reqwest::Error) -> Lost {
    Lost::Unreachable(innermost(&error))
}
