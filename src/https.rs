//! HTTPS for clients that nobody vouches for. Every connection, request and body is bounded.
//!
//! Anybody who reaches the port may send anything. This room bounds the time for a handshake, a
//! header and a body. It also bounds the size of a body, and the bytes of bodies that the process
//! holds at the same time.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest time that a client may take for a handshake, for a header, and for a body. The API
/// server gives up on a webhook after 2 s, because the chart sets that time-out.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most requests that one connection may have in flight.
const STREAMS: u32 = 256;
/// The largest headers of a request, in bytes.
const HEADERS: u32 = 16 * 1024;
/// The interval of the pings that find out whether a silent connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The time that requests in flight have left after the server is told to end.
const ENDING: Duration = Duration::from_secs(2);

/// Serves `routes` until [`end`] is called with a clone of `handle`. Each handshake uses the
/// certificate that `tls` holds at that time.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub async fn serve(
    routes: Router,
    listener: TcpListener,
    tls: RustlsConfig,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    // Without TCP_NODELAY an answer of several packets waits for the client's acknowledgement of
    // the first packet. The API server delays that acknowledgement by 40 ms.
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(PATIENCE).acceptor(NoDelayAcceptor::new());
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).first_request_timeout(PATIENCE);
    server.http_builder().http1().header_read_timeout(PATIENCE);
    // The API server sends all reviews through one connection. Without HTTP/2, two hundred pods at
    // once would be two hundred handshakes within the API server's 2 s.
    let mut http2 = server.http_builder().http2();
    http2.max_concurrent_streams(STREAMS).max_header_list_size(HEADERS).keep_alive_interval(KEEP_ALIVE);
    server.serve(routes.into_make_service()).await
}

/// Ends the server that has this handle. The server takes no new connections, and requests in
/// flight have 2 s to finish.
pub fn end(handle: &Handle<SocketAddr>) {
    handle.graceful_shutdown(Some(ENDING));
}

/// Reads bodies within two bounds: the size of each body, and the bytes of all bodies that are held
/// at the same time.
#[derive(Clone, Debug)]
pub struct Bodies {
    limit: usize,
    /// One permit stands for 1 KiB of bodies.
    room: Arc<Semaphore>,
}

/// A body and the permits that it occupies until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The body.
    pub bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The error for a body that is larger than the limit or than its `Content-Length`.
#[derive(Debug, thiserror::Error)]
#[error("at most {limit} bytes")]
pub struct TooLarge {
    limit: usize,
}

impl Bodies {
    /// Bounds each body to `limit` bytes, and all bodies that are held at the same time to `held`
    /// bytes.
    #[must_use]
    pub fn new(limit: usize, held: usize) -> Self {
        Self { limit, room: Arc::new(Semaphore::new(held / 1024)) }
    }

    /// Reads a body. The call first waits until there is room for the bytes that `Content-Length`
    /// announces. Without that header the call waits for room for the limit.
    ///
    /// # Errors
    /// [`TooLarge`] if the body is larger than the limit or than its `Content-Length`, or if the
    /// connection fails.
    pub async fn read(&self, headers: &HeaderMap, body: Body) -> Result<HeldBody, TooLarge> {
        let too_large = TooLarge { limit: self.limit };
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: usize = announced.unwrap_or(self.limit);
        if length > self.limit {
            return Err(too_large);
        }
        let permits = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().acquire_many_owned(permits).await else { return Err(too_large) };
        let Ok(bytes) = to_bytes(body, length).await else { return Err(too_large) };
        Ok(HeldBody { bytes, _room: room })
    }

    /// The KiB of bodies for which there is room now.
    #[must_use]
    pub fn free_kib(&self) -> usize {
        self.room.available_permits()
    }
}
