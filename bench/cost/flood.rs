//! The webhook under a flood, from outside: over TLS, with its own certificate. Anybody who reaches
//! its port can open connections, and announce bodies that never come.
//!
//! The clients of the flood have other addresses than the client that stands for the API server, as
//! pods have. All of them are addresses of the loopback interface.

use crate::{
    Bench, Result,
    cell::Cell,
    ground::RELEASE,
    numbers::{fine_milliseconds, percentile},
    report::progress,
};
use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use keyturn::webhook::{BODY_LIMIT, PATH};
use kube::Api;
use reqwest::{Certificate, header::CONTENT_TYPE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How many connections announce a body, from two addresses.
const ANNOUNCING: u8 = 64;
/// How many connections send nothing, and how many send half a request.
const IDLE: usize = 2_000;
/// How many connections each of the other addresses has.
const EACH: usize = 40;
/// The bytes that these connections may cost.
const MOST: u64 = 16_000_000;
/// The longest time until all of them have ended.
const ENDED: Duration = Duration::from_secs(30);

/// An open connection, with or without TLS.
type Connection = Box<dyn AsyncRead + Send + Unpin>;

/// The webhook as a client sees it.
#[derive(Clone)]
struct Target {
    at: SocketAddr,
    authority: Vec<u8>,
    tls: TlsConnector,
}

/// Measures reviews beside announced bodies, and the memory that many connections cost.
pub async fn flood(bench: &mut Bench) -> Result {
    progress("a flood");
    let mut webhook = bench.launcher.start_webhook().await?;
    webhook.ready().await?;
    let target = Target::of(bench).await?;
    let reviews = bench.options.pods;
    let mut quiet = target.answered(reviews).await?;
    let mut announcing: JoinSet<()> = (0..ANNOUNCING).map(|n| target.announcing(n % 2)).collect();
    let mut beside = target.answered(reviews).await?;
    announcing.shutdown().await;
    for percent in [50, 99] {
        let times = [&mut beside, &mut quiet].map(|times| fine_milliseconds(percentile(times, percent)));
        let what = format!("a review beside {ANNOUNCING} announced bodies, p{percent}");
        bench.report.row(&what, &format!("{} ({} without)", times[0], times[1]), "–", None, "–");
    }

    let before = webhook.memory()?.resident;
    let open = target.many_connections().await?;
    let peak = webhook.memory()?.peak;
    let what = format!("{} connections to the webhook, half of them with half a request: memory", 2 * IDLE);
    bench.report.row(&what, Cell::Bytes(peak.saturating_sub(before)), "–", None, "–");
    bench.report.at_most(&what, peak.saturating_sub(before), MOST);
    let open = still_open(open).await;
    bench.report.promise("connections that do not end by themselves", 0, open);
    webhook.stop().await
}

impl Target {
    async fn of(bench: &Bench) -> Result<Self> {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(bench.ground.client.clone());
        let webhooks = configurations.get(RELEASE).await?.webhooks.unwrap_or_default();
        let authority = webhooks.into_iter().find_map(|webhook| webhook.client_config.ca_bundle);
        let authority = authority.ok_or("the webhook has no authority yet")?.0;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { at: bench.launcher.webhook, authority, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The times of this many reviews, one after the other, through one connection.
    async fn answered(&self, count: usize) -> Result<Vec<Duration>> {
        let trusted = Certificate::from_pem(&self.authority)?;
        let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build()?;
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
                         "spec": {"containers": [{"name": "app", "image": "none"}]}});
        let request = json!({"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "default",
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE", "object": pod});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let (review, url) = (review.to_string(), format!("https://{}{PATH}?timeout=2s", self.at));
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            let asked = client.post(&url).header(CONTENT_TYPE, "application/json").body(review.clone());
            asked.send().await?.error_for_status()?.bytes().await?;
            took.push(begun.elapsed());
        }
        Ok(took)
    }

    /// A connection from another address, before TLS.
    async fn connect(&self, from: Ipv4Addr) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        Ok(socket.connect(self.at).await?)
    }

    /// The same with TLS.
    async fn connect_tls(&self, from: Ipv4Addr) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(self.at.ip().into());
        Ok(self.tls.connect(name, self.connect(from).await?).await?)
    }

    /// Announces the largest body, sends none of it, and begins anew whenever the webhook closes
    /// the connection.
    fn announcing(&self, address: u8) -> impl Future<Output = ()> + Send + 'static {
        let (from, target) = (Ipv4Addr::new(127, 0, 0, 2 + address), self.clone());
        async move {
            let head = format!(
                "POST {PATH}?timeout=2s HTTP/1.1\r\nhost: webhook\r\ncontent-type: application/json\r\ncontent-length: {BODY_LIMIT}\r\n\r\n"
            );
            loop {
                let Ok(mut connection) = target.connect_tls(from).await else { continue };
                let _ = connection.write_all(head.as_bytes()).await;
                let _ = connection.read_to_end(&mut Vec::new()).await;
            }
        }
    }

    /// Opens [`IDLE`] connections that send nothing, and as many that send half a request. The
    /// webhook may close any of them at once. Returns those that it has not closed yet.
    async fn many_connections(&self) -> Result<Vec<Connection>> {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
        let mut open: Vec<Connection> = Vec::with_capacity(2 * IDLE);
        for number in 0..2 * IDLE {
            let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number / EACH)?);
            if number % 2 == 0 {
                open.push(Box::new(self.connect(from).await?));
            } else if let Ok(mut connection) = self.connect_tls(from).await {
                let _ = connection.write_all(b"POST /inject HTTP/1.1\r\nhost: web").await;
                open.push(Box::new(connection));
            }
        }
        Ok(open)
    }
}

/// How many of these the webhook has not closed within [`ENDED`].
async fn still_open(connections: Vec<Connection>) -> usize {
    let ends = connections.into_iter().map(|mut connection| async move {
        let read = async { connection.read_to_end(&mut Vec::new()).await };
        timeout(ENDED, read).await.is_err()
    });
    join_all(ends).await.into_iter().filter(|is_open| *is_open).count()
}
