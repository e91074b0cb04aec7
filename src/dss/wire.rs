//! The connection: a request goes, an answer of bounded length comes.
//!
//! A trait, so that tests can put a double in its place without a socket: what goes over it is the HTTP message itself.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use reqwest::{Certificate, Client, redirect};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects on one host are followed.
const REDIRECTS: usize = 3;

/// An answer whose body was read to its end.
pub type Received = Response<Bytes>;

/// Sends requests.
pub trait Wire: fmt::Debug + Send + Sync {
    /// Sends a request, and reads at most so many bytes of the answer's body.
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Received, Lost>>;
}

/// Trigger there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection did not come about, or broke.
    Unreachable(String),
    /// There is more of it than is read.
    TooLong,
}

/// Whom to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificate authorities in PEM, instead of the system's.
    pub ca_bundle: Option<String>,
    /// Whoever answers is trusted.
    pub insecure_skip_verify: bool,
}

/// Trigger there cannot be a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTls {
    /// The bundle is none.
    #[error("caBundle holds no usable PEM certificates")]
    CaBundle,
    /// The TLS library refuses.
    #[error("no TLS: {0}")]
    Library(String),
}

/// A connection over the network, by reqwest. Connections are kept and reused. Proxies are those of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`).
///
/// # Errors
/// If the certificate authorities cannot be used.
pub fn connect(tls: &Tls) -> Result<Arc<dyn Wire>, InvalidTls> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // reqwest takes the process's and panics without one. That somebody else is faster is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let mut client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::custom(on_the_same_host))
        .tls_danger_accept_invalid_certs(tls.insecure_skip_verify)
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &tls.ca_bundle {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| InvalidTls::CaBundle)?;
        if certificates.is_empty() {
            return Err(InvalidTls::CaBundle);
        }
        client = client.tls_certs_only(certificates);
    }
    let client = client.build().map_err(|error| InvalidTls::Library(innermost(&error)))?;
    Ok(Arc::new(Network(client)))
}

/// An API key goes to nobody but the host that it was meant for. What redirects elsewhere is answered as it is.
fn on_the_same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (from, to) = (attempt.previous().first(), attempt.url());
    let same = from.is_some_and(|from| from.origin() == to.origin());
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

#[derive(Debug)]
struct Network(Client);

impl Wire for Network {
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Received, Lost>> {
        Box::pin(async move {
            let request = request.try_into().map_err(unreachable)?;
            let mut answer = self.0.execute(request).await.map_err(unreachable)?;
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
        })
    }
}

/// The innermost cause says what happened; the outer ones quote the URL.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: reqwest::Error) -> Lost {
    Lost::Unreachable(innermost(&error))
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
