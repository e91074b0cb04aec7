use super::*;
use axum::{
    body::to_bytes,
    http::StatusCode,
    routing::{get, post},
};
use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

/// The longest time that a test waits for anything. Nothing takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);
const FLOOD: [u8; 4] = [127, 0, 0, 1];
const HONEST: [u8; 4] = [127, 0, 0, 2];

/// A server on a loopback address, and the connections that it has refused.
struct Served {
    at: SocketAddr,
    refused: Arc<AtomicUsize>,
    handle: Handle<SocketAddr>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

fn served(bounds: Bounds) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, handle, refused) = (listener.local_addr().unwrap(), Handle::new(), Arc::new(AtomicUsize::new(0)));
    let counted = refused.clone();
    let refuse: Refused = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let bodies = Bodies::new(4 * 1024 * 1024, 32 * 1024 * 1024);
    let read = move |request: axum::extract::Request| async move {
        let (head, body) = request.into_parts();
        bodies
            .read(&head, body, Duration::from_millis(1500))
            .await
            .map_or(StatusCode::REQUEST_TIMEOUT, |_| StatusCode::OK)
    };
    let routes = Router::new().route("/read", post(read)).route("/large", get(|| async { "x".repeat(1024 * 1024) }));
    let port = Port { listener, handle: handle.clone(), bounds, refused: refuse };
    tokio::spawn(serve(routes, port));
    Served { at, refused, handle }
}

async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(from), 0).into()).unwrap();
    timeout(DEADLINE, socket.connect(to)).await.unwrap().unwrap()
}

/// Sends text through a new connection. A server that closes at once may refuse the bytes.
async fn begun(from: [u8; 4], to: SocketAddr, text: &str) -> TcpStream {
    let mut stream = connect(from, to).await;
    let _ = stream.write_all(text.as_bytes()).await;
    stream
}

/// Whether the server has closed this connection.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 512]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

async fn open_ones(streams: &[TcpStream]) -> usize {
    // The closing of a connection is seen once its readiness has been.
    for stream in streams {
        let _ = timeout(Duration::from_millis(1), stream.readable()).await;
    }
    streams.iter().filter(|stream| !is_closed(stream)).count()
}

/// Waits until no more than `most` of these connections are open.
async fn until_open(streams: &[TcpStream], most: usize) -> usize {
    let began = Instant::now();
    loop {
        let open = open_ones(streams).await;
        if open <= most || began.elapsed() > DEADLINE {
            return open;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

const HONEST_REVIEW: &str = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// The status line of the answer to an honest review.
async fn honest(from: [u8; 4], to: SocketAddr) -> String {
    let mut stream = begun(from, to, HONEST_REVIEW).await;
    let mut answer = String::new();
    let _ = timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn small() -> Bounds {
    Bounds {
        connections: Limits { all: 40, of_peer: 32 },
        requests: Limits { all: 64, of_peer: 32 },
        idle: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn a_flood_from_one_address_is_bounded_and_keeps_no_other_out() {
    let half = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-le";
    let announced = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 4194304\r\n\r\n";
    for (case, text) in [("idle", ""), ("half a request", half), ("an announced body", announced)] {
        let bounds = Bounds { idle: DEADLINE, ..small() };
        let served = served(bounds);
        let mut flood = Vec::new();
        for _ in 0..300 {
            flood.push(begun(FLOOD, served.at, text).await);
        }
        assert_eq!(honest(HONEST, served.at).await, "HTTP/1.1 200 OK", "{case}");
        let open = until_open(&flood, bounds.connections.of_peer).await;
        assert!(open <= bounds.connections.of_peer, "{case}: {open} are open");
        // The others end by themselves after a while, and on a busy machine this makes room.
        assert!(case != "idle" || served.refused.load(Ordering::SeqCst) > 0, "{case}");
        assert_eq!(until_open(&flood, 0).await, 0, "{case}: they go away by themselves");
    }
}

#[tokio::test]
async fn a_flood_from_many_addresses_keeps_no_other_out() {
    let served = served(Bounds { idle: DEADLINE, ..small() });
    let mut flood = Vec::new();
    for last in 10..20 {
        for _ in 0..20 {
            flood.push(begun([127, 0, 0, last], served.at, "").await);
        }
    }
    for _ in 0..3 {
        assert_eq!(honest(HONEST, served.at).await, "HTTP/1.1 200 OK");
    }
    assert!(until_open(&flood, 40).await <= 40);
}

#[tokio::test]
async fn a_connection_without_a_request_ends_by_itself() {
    let served = served(small());
    let ask = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let answered = begun(FLOOD, served.at, ask).await;
    let mut http2 = connect(FLOOD, served.at).await;
    http2.write_all(PREFACE).await.unwrap();
    let refused = request(1, "/read", 2);
    http2.write_all(&[refused, frame(DATA, END, 1, b"{}")].concat()).await.unwrap();
    assert_eq!(until_open(&[answered, http2], 0).await, 0);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_its_connection() {
    let served = served(small());
    let mut stream = connect(FLOOD, served.at).await;
    // The client has no room for an answer, and asks on so that its connection is never idle.
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    stream.write_all(&[PREFACE_TEXT, &settings].concat()).await.unwrap();
    let began = Instant::now();
    for number in 0u32.. {
        let asked = [get_request(2 * number + 1, "/large")].concat();
        if stream.write_all(&asked).await.is_err() || is_closed_after_reading(&stream) {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "it is still open");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
}

fn is_closed_after_reading(stream: &TcpStream) -> bool {
    loop {
        match stream.try_read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

// ---- HTTP/2 by hand -----------------------------------------------------------------------------

const PREFACE_TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The preface and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const DATA: u8 = 0;
const HEADERS_FRAME: u8 = 1;
const END: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header as a literal that is not indexed (RFC 7541, section 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let part = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], part(name), part(value)].concat()
}

fn head(method: &str, path: &str) -> Vec<u8> {
    [literal(":method", method), literal(":scheme", "http"), literal(":authority", "x"), literal(":path", path)]
        .concat()
}

fn request(stream: u32, path: &str, length: usize) -> Vec<u8> {
    let block = [head("POST", path), literal("content-length", &length.to_string())].concat();
    frame(HEADERS_FRAME, END_HEADERS, stream, &block)
}

fn get_request(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS_FRAME, END_HEADERS | END, stream, &head("GET", path))
}

/// Reads frames until the headers of this stream come, and returns the settings that were seen.
async fn until_answered(stream: &mut TcpStream, number: u32) -> Vec<(u16, u32)> {
    let mut settings = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 4 && head[4] == 0 {
            settings.extend(payload.chunks(6).map(|setting| {
                let value = u32::from_be_bytes(setting[2..].try_into().unwrap());
                (u16::from_be_bytes([setting[0], setting[1]]), value)
            }));
        }
        if head[3] == HEADERS_FRAME && u32::from_be_bytes(head[5..].try_into().unwrap()) == number {
            return settings;
        }
    }
}

#[tokio::test]
async fn a_review_beside_announced_bodies_is_answered_at_once() {
    let served = served(Bounds::WEBHOOK);
    let mut flood = connect(FLOOD, served.at).await;
    flood.write_all(PREFACE).await.unwrap();
    for number in 0..64 {
        flood.write_all(&request(2 * number + 1, "/read", 4 * 1024 * 1024)).await.unwrap();
    }
    flood.flush().await.unwrap();
    let mut own = [request(129, "/read", 2), frame(DATA, END, 129, b"{}")].concat();
    let asked = Instant::now();
    flood.write_all(&own.split_off(0)).await.unwrap();
    let settings = timeout(DEADLINE, until_answered(&mut flood, 129)).await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(450), "{:?}", asked.elapsed());
    let setting = |id: u16| settings.iter().find(|(found, _)| *found == id).map(|(_, value)| *value);
    assert_eq!(setting(3), Some(STREAMS), "streams at once: {settings:?}");
    assert_eq!(setting(4).unwrap_or(WINDOW), WINDOW, "the window of a stream: {settings:?}");
    assert_eq!(setting(6), Some(HEADERS), "the size of headers: {settings:?}");
    assert_eq!(honest(HONEST, served.at).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn two_hundred_reviews_of_one_connection_are_answered_at_once() {
    let served = served(Bounds::WEBHOOK);
    let mut stream = connect(HONEST, served.at).await;
    stream.write_all(PREFACE).await.unwrap();
    let body = vec![b' '; 200];
    for number in 0..200 {
        stream.write_all(&request(2 * number + 1, "/read", body.len())).await.unwrap();
    }
    for number in 0..200 {
        stream.write_all(&frame(DATA, END, 2 * number + 1, &body)).await.unwrap();
    }
    timeout(DEADLINE, until_answered(&mut stream, 399)).await.unwrap();
}

#[tokio::test]
async fn a_body_is_read_whole_in_any_number_of_pieces() {
    let bodies = Bodies::new(300 * 1024, 1024 * 1024);
    for (case, piece) in [("one", 300 * 1024), ("many", 1000), ("uneven", 70_001)] {
        let all: Vec<u8> = (0..300 * 1024).map(|n: u32| n.to_le_bytes()[0]).collect();
        let pieces: Vec<io::Result<axum::body::Bytes>> =
            all.chunks(piece).map(|piece| Ok(piece.to_vec().into())).collect();
        let body = axum::body::Body::from_stream(futures::stream::iter(pieces));
        let held =
            bodies.read(&axum::http::Request::new(()).into_parts().0, body, Duration::from_millis(1500)).await.unwrap();
        assert!(held.bytes == all, "{case}");
        assert!(bodies.free() < 1024 * 1024 - 290 * 1024, "{case}");
        let answer = holding(held.bytes, held.room);
        assert!(to_bytes(answer, 300 * 1024).await.unwrap() == all, "{case}");
        assert_eq!(bodies.free(), 1024 * 1024, "{case}");
    }
}

/// A measurement: `cargo test --release --lib -- --ignored --nocapture the_memory_of_a_flood`.
#[tokio::test]
#[ignore = "a measurement of the whole process"]
async fn the_memory_of_a_flood_and_the_latency_beside_it() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let served = served(Bounds::WEBHOOK);
    honest(HONEST, served.at).await;
    let before = resident();
    let half = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-le";
    for (case, peers) in [("one address", 1), ("125 addresses", 125)] {
        let mut flood = Vec::new();
        for number in 0..4000_u16 {
            let [_, last] = (number % peers).to_be_bytes();
            flood.push(begun([127, 0, 3, last], served.at, if number % 2 == 0 { "" } else { half }).await);
        }
        println!("4,000 connections from {case}: {} KiB more, both ends included", resident() - before);
    }
    let announced = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 4194304\r\n\r\n";
    let flooding = tokio::spawn(async move {
        loop {
            let mut held = Vec::new();
            for peer in 0..4 {
                for _ in 0..16 {
                    held.push(begun([127, 0, 0, 10 + peer], served.at, announced).await);
                }
            }
            sleep(Duration::from_millis(400)).await;
        }
    });
    sleep(Duration::from_millis(300)).await;
    let mut times = Vec::new();
    for _ in 0..1000 {
        let asked = Instant::now();
        assert_eq!(honest(HONEST, served.at).await, "HTTP/1.1 200 OK");
        times.push(asked.elapsed());
    }
    flooding.abort();
    times.sort_unstable();
    println!("beside 64 announced bodies: p50 {:?}, p99 {:?}, most {:?}", times[500], times[990], times[999]);
}
