//! HTTP and HTTPS for clients that nobody vouches for. Every connection, request and body is
//! bounded.
//!
//! Anybody who reaches the port may send anything. This room bounds
//!
//! * the number of connections and of open requests, in all and for each peer address
//!   ([`Bounds`]). If all places are taken, a peer with few takes one from the peer with most, so
//!   that a flood from some addresses does not keep another address out;
//! * the time for a handshake, a header, a body and an answer, and the time without a request;
//! * the bytes of bodies that the process holds at the same time ([`Bodies`]). A body occupies room
//!   as its bytes arrive. Announced bytes cost nothing.
//!
//! A port thus costs at most, beside the program itself:
//!
//! | what | bytes |
//! | --- | --- |
//! | bytes that a connection has sent and nobody has read | connections × 256 KiB: the HTTP/2 window |
//! | buffers of TLS and of frames | connections × about 112 KiB |
//! | open requests, each with its task and a piece of its answer | requests × about 24 KiB |
//! | bodies and answers | [`Bodies`]: 32 MiB |
//!
//! For the webhook (128 connections, 1,024 requests) these are 32 + 14 + 24 + 32 = 102 MiB; for the
//! admin port of each process (64 connections, 64 requests, no bodies) 16 + 7 + 2 = 25 MiB. The
//! most that one peer address can occupy without bodies is a quarter to a half of that.

mod bodies;
mod connection;
mod listen;
mod places;

pub use bodies::{Bodies, HeldBody, NoBody, Peer, Room, holding};
pub use listen::listen;

use axum::Router;
use axum_server::{
    Handle, Server,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use connection::Acceptor;
use places::Limits;
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// The longest time that a client may take for a handshake and for a header. An HTTP/1 connection
/// that is kept alive ends after this time without a request.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The longest time from a request to the end of its answer. A client that does not read its answer
/// loses its connection.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// The most requests that one connection may have in flight.
const STREAMS: u32 = 256;
/// The largest headers of a request, in bytes. The headers of the API server take some 300 bytes.
const HEADERS: u32 = 8 * 1024;
/// The bytes that a client may send before they are read, for each HTTP/2 stream. This is the
/// initial window of RFC 9113, section 6.9.2, in bytes.
const WINDOW: u32 = 65_535;
/// The same for all streams of a connection together. The API server sends all its reviews through
/// one connection, and must not wait for each of them.
const WINDOW_OF_CONNECTION: u32 = 4 * WINDOW;
/// The bytes of an answer that HTTP/2 buffers for one stream, and the read buffer of HTTP/1.
const BUFFER: usize = 16 * 1024;
/// The interval of the pings that find out whether a silent connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The longest time for the answer to a ping.
const PING_ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// The time that requests in flight have left after the server is told to end.
const ENDING: Duration = Duration::from_secs(2);

/// The bounds of a port.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most connections, in all and of one peer address.
    connections: Limits,
    /// The most open requests, in all and of one peer address. A request is open until its answer
    /// has been sent.
    requests: Limits,
    /// The time without a request after which a connection ends.
    idle: Duration,
}

impl Bounds {
    /// The bounds of the webhook.
    ///
    /// An API server needs one connection, and another for each 256 reviews at once. By default it
    /// works on at most 600 requests at once (`--max-requests-inflight` and
    /// `--max-mutating-requests-inflight`). Several API servers may have one address, if they reach
    /// the pods through an agent such as konnectivity.
    ///
    /// The API server itself closes a connection that it has not used for 90 s
    /// (`SetOldTransportDefaults` in k8s.io/apimachinery `pkg/util/net/http.go`). The webhook waits
    /// longer, so that it never closes a connection to which the API server just sends a review.
    pub const WEBHOOK: Self = Self {
        connections: Limits { all: 128, of_peer: 32 },
        requests: Limits { all: 1024, of_peer: 768 },
        idle: Duration::from_secs(120),
    };

    /// The bounds of the admin port: the probes of one kubelet, and some scrapers of metrics.
    pub const ADMIN: Self = Self {
        connections: Limits { all: 64, of_peer: 16 },
        requests: Limits { all: 64, of_peer: 16 },
        idle: Duration::from_secs(120),
    };

    /// The bounds of the endpoint in a pod. All its clients have the loopback address. An SDK asks
    /// once in a minute at most, and opens a connection each time.
    pub const ENDPOINT: Self = Self {
        connections: Limits { all: 32, of_peer: 32 },
        requests: Limits { all: 32, of_peer: 32 },
        idle: Duration::from_secs(15),
    };
}

/// Called for each connection that is closed because of the bounds on their number.
pub type Refused = Arc<dyn Fn() + Send + Sync>;

/// A port on which to serve.
pub struct Port {
    /// The socket.
    pub listener: TcpListener,
    /// The handle by which the server is ended: [`end`].
    pub handle: Handle<SocketAddr>,
    /// The bounds.
    pub bounds: Bounds,
    /// Called for each refused connection.
    pub refused: Refused,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("listener", &self.listener).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Serves `routes` over HTTP until [`end`] is called with a clone of the port's handle. A program
/// that calls only this holds no code of TLS, because the linker drops it.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub async fn serve(routes: Router, port: Port) -> io::Result<()> {
    let (server, acceptor) = bounded(port)?;
    server.acceptor(acceptor).serve(routes.into_make_service()).await
}

/// Serves `routes` over HTTPS until [`end`] is called with a clone of the port's handle. Each
/// handshake uses the certificate that `tls` holds at that time.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub async fn serve_tls(routes: Router, tls: RustlsConfig, port: Port) -> io::Result<()> {
    let (server, acceptor) = bounded(port)?;
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(PATIENCE).acceptor(acceptor);
    server.acceptor(acceptor).serve(routes.into_make_service()).await
}

/// The server of a port, and what admits its connections.
fn bounded(port: Port) -> io::Result<(Server<SocketAddr>, Acceptor)> {
    let Port { listener, handle, bounds, refused } = port;
    let mut server = axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(PATIENCE);
    bound(&mut server);
    Ok((server, Acceptor::new(bounds, refused)))
}

fn bound(server: &mut Server<SocketAddr>) {
    server.http_builder().http1().header_read_timeout(PATIENCE).max_buf_size(BUFFER);
    // The API server sends all reviews through one connection. Without HTTP/2, two hundred pods at
    // once would be two hundred handshakes within the API server's 2 s.
    let mut http2 = server.http_builder().http2();
    http2.max_concurrent_streams(STREAMS).max_header_list_size(HEADERS).max_send_buf_size(BUFFER);
    http2.initial_connection_window_size(WINDOW_OF_CONNECTION).initial_stream_window_size(WINDOW);
    http2.keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(PING_ANSWERED_WITHIN);
}

/// Ends the server that has this handle. The server takes no new connections, and requests in
/// flight have 2 s to finish.
pub fn end(handle: &Handle<SocketAddr>) {
    handle.graceful_shutdown(Some(ENDING));
}

#[cfg(test)]
mod tests;
