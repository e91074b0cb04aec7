//! The wire between a double and its client: time, the `Date` header, and lost connections.
//!
//! An axum router cannot fail, because it always has an answer. A broken connection is therefore an
//! answer with a mark, [`ConnectionLost`]. A client in the process turns the mark into the error
//! that its library knows. A server on TCP closes the socket without having written a byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The source of a double's time. A double never reads the system's clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that shows `start` now and runs as tokio's clock does: under a paused clock it moves
/// when tokio's does. Call it from within the runtime.
pub fn tokio_clock(start: Timestamp) -> Clock {
    let origin = tokio::time::Instant::now();
    Arc::new(move || start + origin.elapsed())
}

/// A time in the form of the `Date` header, e.g. `Sun, 22 Nov 2026 13:33:54 GMT`.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The mark of an answer that never arrives because the connection broke.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLost;

impl ConnectionLost {
    /// The answer that stands for a broken connection.
    pub fn answer() -> Response {
        let mut answer = Response::new(Body::empty());
        answer.extensions_mut().insert(Self);
        answer
    }

    /// The error in place of an answer with the mark.
    pub fn check(answer: Response) -> io::Result<Response> {
        if answer.extensions().get::<Self>().is_some() {
            let reset = io::ErrorKind::ConnectionReset;
            return Err(io::Error::new(reset, "connection lost (by a test)"));
        }
        Ok(answer)
    }
}

/// A double that listens on TCP for as long as this value lives.
#[derive(Debug)]
pub struct Listening {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
}

impl Listening {
    /// The address that it was bound to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(stop) = self.stop.take() {
            // The receiver is gone if the runtime has ended before. That is fine.
            let _ = stop.send(());
        }
    }
}

/// Serves a router on TCP. Port 0 takes a free one.
pub async fn serve(router: Router, addr: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (stop, on_stop) = oneshot::channel();
    let lines = Lines { listener, stopped: Arc::clone(&stopped) };
    let service = router.layer(from_fn(cut_lost_connections)).into_make_service_with_connect_info::<Scissors>();
    tokio::spawn(async move {
        let server = axum::serve(lines, service).with_graceful_shutdown(async {
            let _ = on_stop.await;
        });
        let _ = server.await;
    });
    Ok(Listening { addr, stopped, stop: Some(stop) })
}

async fn cut_lost_connections(
    Extension(ConnectInfo(scissors)): Extension<ConnectInfo<Scissors>>,
    request: Request,
    next: Next,
) -> Response {
    let answer = next.run(request).await;
    if answer.extensions().get::<ConnectionLost>().is_some() {
        scissors.0.store(true, Ordering::SeqCst);
    }
    answer
}

/// Accepts connections that can be cut, one by one or all together.
struct Lines {
    listener: TcpListener,
    stopped: Arc<AtomicBool>,
}

impl Listener for Lines {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        let line = Line { stream, cut: Arc::default(), stopped: Arc::clone(&self.stopped) };
        (line, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Cuts the connection of a request.
#[derive(Clone)]
struct Scissors(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Lines>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

/// A connection. After a cut nothing can be written to it, which makes the server close it.
struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.load(Ordering::SeqCst) || self.stopped.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
