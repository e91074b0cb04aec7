//! A connection: it is admitted, it serves requests, and it ends by itself.

use super::{
    ANSWERED_WITHIN, BUFFER, Bounds, Peer, Refused,
    places::{Admission, Place, Places},
};
use axum::{
    Router,
    body::{Body, BodyDataStream, Bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use axum_server::accept::Accept;
use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::{Ready, ready},
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep},
};

/// The most time between two checks of a connection.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Admits connections within the bounds.
#[derive(Clone)]
pub(super) struct Acceptor {
    connections: Arc<Places>,
    requests: Arc<Places>,
    idle: Duration,
    refused: Refused,
}

impl Acceptor {
    pub(super) fn new(bounds: Bounds, refused: Refused) -> Self {
        let (connections, requests) = (Places::new(bounds.connections), Places::new(bounds.requests));
        Self { connections, requests, idle: bounds.idle, refused }
    }

    fn admit(&self, stream: TcpStream, routes: Router) -> io::Result<(Connection, Router)> {
        let peer = stream.peer_addr()?.ip().to_canonical();
        let place = match self.connections.take(peer) {
            Admission::Free(place) => place,
            Admission::InsteadOfAnother(place) => {
                (self.refused)();
                place
            }
            Admission::Refused => {
                (self.refused)();
                return Err(io::Error::other("too many connections"));
            }
        };
        // Without TCP_NODELAY an answer of several packets waits for the client's acknowledgement
        // of the first packet. The API server delays that acknowledgement by 40 ms.
        stream.set_nodelay(true)?;
        let activity = Arc::new(Activity::new());
        let requests = Requests { places: self.requests.clone(), peer, activity: activity.clone() };
        let connection = Connection { stream, over: Some(Box::pin(over(place, activity, self.idle))) };
        Ok((connection, routes.layer(from_fn_with_state(requests, serve_request))))
    }
}

impl Accept<TcpStream, Router> for Acceptor {
    type Stream = Connection;
    type Service = Router;
    type Future = Ready<io::Result<(Connection, Router)>>;

    fn accept(&self, stream: TcpStream, routes: Router) -> Self::Future {
        ready(self.admit(stream, routes))
    }
}

/// The activity of a connection.
#[derive(Debug)]
struct Activity(Mutex<Doing>);

#[derive(Debug)]
struct Doing {
    /// The open requests, by the number of their place, with the time at which they began.
    open: BTreeMap<u64, Instant>,
    /// The time at which the last request began or ended.
    last: Instant,
}

impl Activity {
    fn new() -> Self {
        Self(Mutex::new(Doing { open: BTreeMap::new(), last: Instant::now() }))
    }

    fn begin(&self, number: u64) {
        let (mut doing, now) = (self.0.lock(), Instant::now());
        doing.open.insert(number, now);
        doing.last = now;
    }

    fn finish(&self, number: u64) {
        let mut doing = self.0.lock();
        doing.open.remove(&number);
        doing.last = Instant::now();
    }

    /// Whether the connection has had no request for `idle`, or an answer has not been taken.
    fn is_over(&self, idle: Duration) -> bool {
        let doing = self.0.lock();
        match doing.open.values().next() {
            Some(oldest) => oldest.elapsed() > ANSWERED_WITHIN,
            None => doing.last.elapsed() > idle,
        }
    }
}

/// Ends when the connection has to end. Holds its place until then.
async fn over(mut place: Place, activity: Arc<Activity>, idle: Duration) {
    while !activity.is_over(idle) {
        tokio::select! {
            () = place.lost() => return,
            () = sleep(CHECK_WITHIN.min(idle)) => {}
        }
    }
}

/// A connection that ends by itself.
pub(super) struct Connection {
    stream: TcpStream,
    /// `None` after the end.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Connection {
    /// The stream, unless the connection is over.
    fn open(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(context).is_ready()) {
            self.over = None;
        }
        if self.over.is_none() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.open(context)?.poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open(context)?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open(context)?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The places for the requests of one connection.
#[derive(Clone)]
struct Requests {
    places: Arc<Places>,
    peer: IpAddr,
    activity: Arc<Activity>,
}

/// An open request. It is over when this is dropped.
struct OpenRequest {
    place: Place,
    activity: Arc<Activity>,
}

impl Requests {
    fn open(&self) -> Option<OpenRequest> {
        match self.places.take(self.peer) {
            Admission::Free(place) | Admission::InsteadOfAnother(place) => {
                self.activity.begin(place.number());
                Some(OpenRequest { place, activity: self.activity.clone() })
            }
            Admission::Refused => None,
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.finish(self.place.number());
    }
}

async fn serve_request(State(requests): State<Requests>, mut request: Request, next: Next) -> Response {
    let Some(mut open) = requests.open() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    request.extensions_mut().insert(Peer(requests.peer));
    tokio::select! {
        response = next.run(request) => response.map(|body| {
            Body::from_stream(Answer { body: body.into_data_stream(), rest: Bytes::new(), _open: open })
        }),
        () = open.place.lost() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The body of an answer. The request is open until the client has taken all of it. It comes in
/// small pieces, because HTTP/2 buffers a whole piece for a client that has room for one byte.
struct Answer {
    body: BodyDataStream,
    rest: Bytes,
    _open: OpenRequest,
}

impl Stream for Answer {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rest.is_empty() {
            match std::task::ready!(self.body.poll_next_unpin(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                ended => return Poll::Ready(ended),
            }
        }
        let piece = self.rest.len().min(BUFFER);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
