//! A proxy as companies have one between a cluster and the internet: `CONNECT` for https, requests
//! with a whole URL for http.
//!
//! The proxy knows the hosts of its routes and leads each to a server on this machine. It counts
//! the requests, and can demand a user and a password.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The longest head of a request.
const LONGEST_HEAD: usize = 16 << 10;

/// A proxy. It runs until the runtime ends.
#[derive(Clone, Debug)]
pub struct Proxy {
    addr: SocketAddr,
    routes: Arc<Mutex<HashMap<String, u16>>>,
    password: Option<String>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy on any port of this machine. `password` is `user:password`, if the proxy demands
    /// one.
    pub async fn start(password: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Self { addr, routes: Arc::default(), password: password.map(str::to_owned), asked: Arc::default() };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = serving.clone();
                tokio::spawn(async move { proxy.serve(stream).await });
            }
        });
        proxy
    }

    /// Leads requests for `host:port` to this port of 127.0.0.1.
    pub fn route(&self, host: &str, port: u16) {
        self.routes.lock().unwrap().insert(host.to_owned(), port);
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> String {
        let user = self.password.as_ref().map(|password| format!("{password}@")).unwrap_or_default();
        format!("http://{user}{}", self.addr)
    }

    /// The number of requests for this `host:port`, with every outcome.
    pub fn count(&self, host: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == host).count()
    }

    /// The `host:port` of each request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let host = target.strip_prefix("http://").map_or(target, |rest| rest.split('/').next().unwrap_or_default());
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        self.asked.lock().unwrap().push(host.clone());
        if self
            .password
            .as_ref()
            .is_some_and(|password| !text.contains(&format!("Basic {}", STANDARD.encode(password))))
        {
            let refusal =
                "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(refusal.as_bytes()).await;
        }
        let port = self.routes.lock().unwrap().get(&host).copied();
        let Some(port) = port else {
            return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
        };
        let mut onward = TcpStream::connect(("127.0.0.1", port)).await?;
        if method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        } else {
            onward.write_all(&head).await?;
        }
        copy_bidirectional(&mut stream, &mut onward).await.map(drop)
    }
}
