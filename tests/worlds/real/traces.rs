//! Traces at a collector: what the operator's binary sends over HTTP, read by the definitions of
//! OTLP.

use super::{ground::eventually, install::Install};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use std::sync::{Arc, Mutex};

/// Requests to a collector.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Listens on this machine, and returns the address for OTLP as well.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let take = |State(collector): State<Self>, headers: HeaderMap, body: Bytes| async move {
            collector.0.lock().unwrap().push((headers, body));
        };
        let router = Router::new().route("/otlp/v1/traces", post(take)).with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/otlp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, url)
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let read = |(_, body): &(HeaderMap, Bytes)| ExportTraceServiceRequest::decode(body.clone()).unwrap();
        self.0.lock().unwrap().iter().map(read).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let of_resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        of_resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn value(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_collector_gets_the_first_issue_with_its_calls_and_no_secret() {
    let install = Install::scoped().await;
    let (collector, url) = Collector::start().await;
    install.apply_grant(|_| {}).await;
    let operator = install
        .start_besides(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=ground"),
        ])
        .await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    let values = install.values("alice").await;
    let log = operator.log.clone();
    assert!(operator.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("collector"), "nothing failed, and no header is logged: {log}");

    let requests = collector.requests();
    let resource = requests[0].resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!(
        (value(&resource, "service.name"), value(&resource, "k8s.cluster.name")),
        ("keyturn".into(), "ground".into())
    );
    let spans = collector.spans();
    let assume = spans.iter().find(|span| span.name == "AssumeRole").unwrap();
    let root = spans.iter().find(|span| span.span_id == assume.parent_span_id).unwrap();
    assert_eq!((root.name.as_str(), root.parent_span_id.len()), ("reconcile", 0));
    assert_eq!(value(&root.attributes, "object"), "alice");
    assert_eq!(value(&root.attributes, "role"), install.role("ds-analyst"));
    for (name, system) in
        [("AssumeRole", "sts"), ("create Secret", "kubernetes"), ("write status of AwsConfig", "kubernetes")]
    {
        let is_such = |span: &&Span| span.name == name && span.trace_id == root.trace_id;
        let call = spans.iter().find(is_such).unwrap_or_else(|| panic!("no {name} among {spans:#?}"));
        assert_eq!(
            (value(&call.attributes, "peer.service"), call.parent_span_id == root.span_id),
            (system.into(), true)
        );
        assert!(root.start_time_unix_nano <= call.start_time_unix_nano);
        assert!(call.end_time_unix_nano <= root.end_time_unix_nano);
    }

    let sent = collector.0.lock().unwrap().clone();
    assert!(sent.iter().all(|(headers, _)| headers["authorization"] == "Bearer of-the-collector"));
    let secrets = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(|name| values[name].clone());
    for (_, body) in &sent {
        for secret in secrets.iter().chain([&install.aws.secret_access_key]) {
            assert!(secret.len() > 10 && !body.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_collector_that_is_away_is_one_line_of_the_log() {
    let install = Install::scoped().await;
    install.apply_grant(|_| {}).await;
    let away = super::install::free_address();
    let operator = install
        .start_besides(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{away}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ])
        .await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    eventually("the log says so", async || {
        let log = operator.log();
        if log.contains("the collector does not take spans") { Ok(()) } else { Err(log) }
    })
    .await;
    install.apply_config("bob", |_| {}).await;
    install.until_ready_is("bob", "True/Issued").await;
    let log = operator.log.clone();
    assert!(operator.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("the collector does not take spans").count(), 1, "{log}");
}
