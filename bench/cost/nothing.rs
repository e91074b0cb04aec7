//! The floor of an admission: a webhook that does nothing. At another path it adds one annotation,
//! which is the smallest patch.
//!
//! The webhook is a process of its own, which is this program started once more. It uses keyturn's
//! own server: the same HTTP and TLS, the same bounds, and a certificate that is made in the same
//! way. It reads the `uid` of the review, because the answer has to repeat it, and allows the pod.
//! It reads no pod, has no config and no metric, and changes nothing.

use crate::{Result, process};
use axum::{Json, Router, routing::post};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use k8s_openapi::ByteString;
use keyturn::{
    certificate,
    clock::Clock,
    https::{Bounds, Port, serve_tls},
    webhook::PATH,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    net::TcpListener,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// keyturn promises that its answer to a review takes at most this many times the answer of this
/// webhook, and the creation of a pod this many times the creation of a pod with this webhook. Both
/// promises are about the median, one after the other and with many in flight.
pub const AT_MOST: f64 = 2.0;
/// The annotation that it adds.
pub const MARKED: &str = "bench.keyturn.dev/marked";
/// The path at which it adds the annotation.
const MARK: &str = "/mark";

/// The option that makes this program the webhook.
const OPTION: &str = "--do-nothing";

/// A webhook that does nothing. Its process ends when this value is dropped.
pub struct Nothing {
    /// Its addresses.
    pub at: Reached,
    child: Child,
}

/// The addresses of the webhook, which it prints once it listens.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reached {
    /// The URL that allows every review.
    pub url: String,
    /// The URL that adds an annotation.
    pub marking: String,
    /// The authority of its certificate, in PEM.
    pub authority: String,
}

/// The part of a review that the answer needs.
#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
}

impl Nothing {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(OPTION)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the webhook has no output")?).lines();
        let line = lines.next_line().await?.ok_or("the webhook that does nothing did not start (see above)")?;
        Ok(Self { at: serde_json::from_str(&line)?, child })
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu([self.child.id().ok_or("the webhook that does nothing has ended")?])
    }
}

/// Runs the webhook until standard input ends, which is at the latest when its parent process ends.
pub async fn serve() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let made = certificate::make(&[address.ip().to_string()], Clock::system().now())?;
    let tls = RustlsConfig::from_config(certificate::configuration(&made.data())?);
    let [url, marking] = [PATH, MARK].map(|path| format!("https://{address}{path}"));
    let at = Reached { url, marking, authority: made.authority };
    writeln!(io::stdout(), "{}", serde_json::to_string(&at)?)?;
    let routes = Router::new().route(PATH, post(allow)).route(MARK, post(mark));
    let port = Port { listener, handle: Handle::new(), bounds: Bounds::WEBHOOK, refused: Arc::new(|| {}) };
    let leash = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    tokio::select! {
        served = serve_tls(routes, tls, port) => served?,
        _ = leash => {}
    }
    Ok(())
}

async fn allow(Json(review): Json<Review>) -> Json<Value> {
    answer(&json!({"uid": review.request.uid, "allowed": true}))
}

/// Adds the annotation. The pods of the bench have annotations, which the path of the patch needs.
async fn mark(Json(review): Json<Review>) -> Json<Value> {
    let path = format!("/metadata/annotations/{}", MARKED.replace('/', "~1"));
    let patch = json!([{"op": "add", "path": path, "value": "true"}]);
    let patch = ByteString(patch.to_string().into_bytes());
    answer(&json!({"uid": review.request.uid, "allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

fn answer(response: &Value) -> Json<Value> {
    Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}
