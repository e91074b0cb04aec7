//! The webhook: TLS, HTTP, and bounds on what a client may cost. Anybody who reaches the port may send anything, so
//! each of these is bounded: how long a handshake, a header and a body may take, how large a body is, and how many bytes
//! of bodies are held at once.

use super::{
    ConfigsFor,
    review::{NoAnswer, Outcome, answer},
};
use crate::metrics::Metrics;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use http::HeaderValue;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// Where reviews of pods are sent.
pub const PATH: &str = "/inject";

/// The largest body, in bytes. A pod is at most 1.5 MiB (what etcd takes), and a review may hold it twice.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// How many bytes of bodies are held at once.
const HELD: usize = 32 * 1024 * 1024;
/// How long a client may take for a handshake, for a header, and for a body. The API server gives up after 2 s.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many requests a connection may have in flight.
const STREAMS: u32 = 256;
/// The largest headers of a request, in bytes.
const HEADERS: u32 = 16 * 1024;
/// How often a silent connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long requests in flight may take at the end.
const ENDING: Duration = Duration::from_secs(2);

/// What the webhook works with.
#[derive(Clone)]
pub struct Webhook {
    configs: ConfigsFor,
    metrics: Metrics,
    /// A permit is a KiB of bodies.
    room: Arc<Semaphore>,
}

impl Webhook {
    /// A webhook that injects what these configs ask for.
    #[must_use]
    pub fn new(configs: ConfigsFor, metrics: Metrics) -> Self {
        Self { configs, metrics, room: Arc::new(Semaphore::new(HELD / 1024)) }
    }

    /// Its routes, without TLS.
    pub fn router(self) -> Router {
        Router::new().route(PATH, post(inject)).with_state(self)
    }

    /// Serves it: [`serve`].
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, listener: TcpListener, tls: RustlsConfig, handle: Handle<SocketAddr>) -> io::Result<()> {
        serve(self.router(), listener, tls, handle).await
    }
}

/// Serves routes as the webhook is served, until `handle` is told to shut down, with the certificate that `tls` has at
/// the time of each handshake.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    routes: Router,
    listener: TcpListener,
    tls: RustlsConfig,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    // An answer of several packets would wait for the API server's acknowledgement of the first, which it delays by 40 ms.
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(PATIENCE).acceptor(NoDelayAcceptor::new());
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).first_request_timeout(PATIENCE);
    server.http_builder().http1().header_read_timeout(PATIENCE);
    // The API server sends all reviews through one connection: without HTTP/2, two hundred pods at once would be two
    // hundred handshakes within its 2 s.
    let mut http2 = server.http_builder().http2();
    http2.max_concurrent_streams(STREAMS).max_header_list_size(HEADERS).keep_alive_interval(KEEP_ALIVE);
    server.serve(routes.into_make_service()).await
}

/// Ends a server that was given this handle: no new connections, a moment for what is in flight.
pub fn end(handle: &Handle<SocketAddr>) {
    handle.graceful_shutdown(Some(ENDING));
}

async fn inject(State(webhook): State<Webhook>, headers: HeaderMap, body: Body) -> Response {
    let began = Instant::now();
    let (response, outcome) = match tokio::time::timeout(PATIENCE, review(&webhook, &headers, body)).await {
        Ok(Ok((body, outcome))) => (json(body), outcome),
        Ok(Err(refusal)) => (refusal.0.into_response(), refusal.1),
        Err(_) => ((StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into_response(), Outcome::Malformed),
    };
    webhook.metrics.reviewed(outcome.as_str(), began.elapsed());
    response
}

struct Refusal((StatusCode, String), Outcome);

impl Refusal {
    fn malformed(status: StatusCode, text: impl Into<String>) -> Self {
        Self((status, text.into()), Outcome::Malformed)
    }
}

async fn review(webhook: &Webhook, headers: &HeaderMap, body: Body) -> Result<(Vec<u8>, Outcome), Refusal> {
    if !is_json(headers.get(header::CONTENT_TYPE)) {
        let text = "send an AdmissionReview as application/json";
        return Err(Refusal::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let (_held, body) = read(&webhook.room, headers, body).await?;
    answer(&body, &webhook.configs).map_err(|error| match error {
        NoAnswer::Malformed(_) => Refusal::malformed(StatusCode::BAD_REQUEST, error.to_string()),
        NoAnswer::NotReady => Refusal((StatusCode::SERVICE_UNAVAILABLE, error.to_string()), Outcome::NotReady),
    })
}

/// The body, once there is room for as much as is announced.
async fn read<'a>(
    room: &'a Semaphore,
    headers: &HeaderMap,
    body: Body,
) -> Result<(SemaphorePermit<'a>, Bytes), Refusal> {
    let too_large = || Refusal::malformed(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {BODY_LIMIT} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length: usize = announced.unwrap_or(BODY_LIMIT);
    if length > BODY_LIMIT {
        return Err(too_large());
    }
    let permits = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
    let held = room.acquire_many(permits).await.map_err(|_| too_large())?;
    let body = to_bytes(body, length).await.map_err(|_| too_large())?;
    Ok((held, body))
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
