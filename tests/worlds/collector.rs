//! The OpenTelemetry Collector itself takes the spans of the operator, and prints them.

use crate::real::{
    ground::{eventually, ground},
    install::{Install, free_address},
};
use std::{
    fs::{self, File},
    net::TcpStream,
    process::{Child, Command},
};

/// The collector. It ends with this.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the collector: make traces"]
async fn the_opentelemetry_collector_takes_the_spans_of_an_issue() {
    let install = Install::scoped().await;
    let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
    let (settings, printed) = (dir.path().join("collector.yaml"), dir.path().join("printed"));
    let yaml = serde_json::json!({
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": address}}}},
        "exporters": {"debug": {"verbosity": "detailed"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}},
        },
    });
    fs::write(&settings, yaml.to_string()).unwrap();
    let mut command = Command::new(ground(&["which", "otelcol"]).trim());
    command.arg(format!("--config={}", settings.display())).stderr(File::create(&printed).unwrap());
    let _collector = Collector(command.spawn().unwrap());
    eventually("the collector listens", async || TcpStream::connect(&address).map_err(|error| error.to_string())).await;

    install.apply_grant(|_| {}).await;
    let operator = install.start_besides(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"))]).await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    let values = install.values("alice").await;
    assert!(operator.stop().await.success());

    let role = install.role("ds-analyst");
    let wanted = [
        "service.name: Str(keyturn)",
        ": reconcile",
        ": AssumeRole",
        ": create Secret",
        "person: Str(alice)",
        &format!("role: Str({role})"),
        "outcome: Str(success)",
    ];
    let printed = eventually("the collector has printed the spans", async || {
        let text = fs::read_to_string(&printed).unwrap();
        let missing: Vec<&str> = wanted.into_iter().filter(|part| !text.contains(part)).collect();
        if missing.is_empty() { Ok(text) } else { Err(format!("{missing:?} not in {text}")) }
    })
    .await;
    for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        assert!(values[name].len() > 10 && !printed.contains(&values[name]), "{name} is not printed");
    }
}
