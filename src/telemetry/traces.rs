//! Traces: the spans of reconciles and of calls go to a collector, by OTLP over HTTP.
//!
//! The SDK of OpenTelemetry sends from a thread of its own. It logs nothing, therefore this module
//! logs that spans cannot be sent, at most once in ten minutes.

use crate::{
    network::Proxies,
    rest::{InvalidTls, Lost, Received, Tls, client, exchange},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::{runtime::Handle, time::Instant};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::Url;

/// The name of the instrumentation in traces, and the beginning of the targets of keyturn's spans.
const NAME: &str = "keyturn";
/// The longest time of one attempt to send. The default of OTLP for a whole export is the same (the
/// variable `OTEL_EXPORTER_OTLP_TIMEOUT`).
const ATTEMPT: Duration = Duration::from_secs(10);
/// The longest time for which the end of the process waits for the last spans.
const FLUSH: Duration = Duration::from_secs(3);
/// The time after which the log repeats that spans cannot be sent.
const REPEATED: Duration = Duration::from_secs(600);
/// The longest answer of a collector that is read, in bytes.
const ANSWER: usize = 64 << 10;

/// The spans that are on their way to a collector.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// The reason why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NoTraces {
    /// The connection cannot be configured.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The SDK refuses the configuration.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sends spans to the URL of a collector for traces. The SDK itself reads more settings from
    /// the environment: headers, the sampler, attributes of the resource, and the bounds of its
    /// queue (docs/operations.md). Call it within a Tokio runtime.
    ///
    /// # Errors
    /// [`NoTraces`] if the client or the exporter cannot be made. Nothing is sent yet.
    pub fn to(collector: &Url, service: String, proxies: &Proxies) -> Result<Self, NoTraces> {
        let sender =
            Sender { client: client(&Tls::default(), proxies)?, runtime: Handle::current(), failing: Mutex::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.as_str())
            .build()?;
        let resource = Resource::builder().with_service_name(service).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// The layer that records the spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        spans(&self.0)
    }

    /// Sends the last spans, for 3 s at most.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent to the collector");
        }
    }
}

/// A layer that gives keyturn's own spans to `provider`, and neither events nor the spans of
/// libraries, because those may hold what is secret.
pub fn spans<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(NAME))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_traced))
}

fn is_traced(line: &Metadata<'_>) -> bool {
    line.is_span() && *line.level() <= Level::INFO && line.target().starts_with(NAME)
}

/// Sends what the SDK exports. The SDK calls it from a thread without a runtime, therefore the
/// request itself is made on the runtime of the process.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    /// The time of the last line of the log about a failure; `None` while sending works.
    failing: Mutex<Option<Instant>>,
}

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Received, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            match tokio::time::timeout(ATTEMPT, exchange(&client, request, ANSWER)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(Lost::Unreachable(why))) => Err(why),
                Ok(Err(Lost::TooLong)) => Err("the answer is too long".to_owned()),
                Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
            }
        });
        Box::pin(async move {
            let answer = sent.await.unwrap_or_else(|_| Err("the process ends".to_owned()));
            match &answer {
                Ok(answer) if answer.status().is_success() => self.succeeded(),
                Ok(answer) => self.failed(&format!("HTTP {}", answer.status().as_u16())),
                Err(why) => self.failed(why),
            }
            Ok(answer?)
        })
    }
}

impl Sender {
    fn failed(&self, error: &str) {
        let mut failing = self.failing.lock();
        if failing.is_none_or(|said| said.elapsed() >= REPEATED) {
            *failing = Some(Instant::now());
            tracing::warn!(error, "the collector does not take spans; those that it does not take are lost");
        }
    }

    fn succeeded(&self) {
        if self.failing.lock().take().is_some() {
            tracing::info!("the collector takes spans again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
    use std::{net::SocketAddr, sync::Arc};
    use tracing_subscriber::prelude::*;

    type Requests = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

    /// A collector that answers with this status, and what it was sent.
    async fn collector(status: StatusCode) -> (SocketAddr, Requests) {
        let requests = Requests::default();
        let take = move |State(requests): State<Requests>, headers: HeaderMap, body: Bytes| async move {
            requests.lock().push((headers, body));
            status
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(requests.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, requests)
    }

    fn traces_to(address: SocketAddr) -> Traces {
        let url = format!("http://{address}/v1/traces").parse().unwrap();
        Traces::to(&url, "keyturn-test".to_owned(), &Proxies::default()).unwrap()
    }

    fn holds(body: &[u8], text: &str) -> bool {
        body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_spans_of_keyturn_and_nothing_else_go_to_the_collector() {
        let (address, requests) = collector(StatusCode::OK).await;
        let traces = traces_to(address);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
            let _ours = tracing::info_span!("reconcile", name = "alice").entered();
            tracing::info!("a line of the log");
            let _of_a_library = tracing::info_span!(target: "aws_smithy", "try_op", body = "of an answer").entered();
            let _too_fine = tracing::debug_span!("detail").entered();
        });
        traces.end().await;
        let requests = requests.lock();
        let [(headers, body)] = &requests[..] else { panic!("{} requests", requests.len()) };
        assert_eq!(headers["content-type"], "application/x-protobuf");
        for (text, expected) in [
            ("keyturn-test", true),
            ("reconcile", true),
            ("alice", true),
            ("a line of the log", false),
            ("try_op", false),
            ("of an answer", false),
            ("detail", false),
        ] {
            assert_eq!(holds(body, text), expected, "{text}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_that_refuses_or_is_away_holds_nothing_up() {
        let (refusing, requests) = collector(StatusCode::BAD_REQUEST).await;
        let away = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (case, address) in [("refusing", refusing), ("away", away)] {
            let traces = traces_to(address);
            let began = Instant::now();
            tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
                drop(tracing::info_span!("reconcile"));
            });
            assert!(began.elapsed() < Duration::from_secs(1), "{case}: a span waits for nobody");
            traces.end().await;
            assert!(began.elapsed() < FLUSH + Duration::from_secs(2), "{case}: {:?}", began.elapsed());
        }
        assert_eq!(requests.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_logged_once_in_ten_minutes_and_its_end_once() {
        tokio::time::pause();
        let sender = Sender {
            client: client(&Tls::default(), &Proxies::default()).unwrap(),
            runtime: Handle::current(),
            failing: Mutex::default(),
        };
        let said = |sender: &Sender| *sender.failing.lock();
        sender.failed("away");
        let first = said(&sender);
        assert!(first.is_some());
        tokio::time::advance(Duration::from_secs(599)).await;
        sender.failed("away");
        assert_eq!(said(&sender), first, "not yet");
        tokio::time::advance(Duration::from_secs(1)).await;
        sender.failed("away");
        assert_ne!(said(&sender), first, "again");
        sender.succeeded();
        assert_eq!(said(&sender), None);
    }
}
