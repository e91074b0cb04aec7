//! Structured logs on standard error, panics as log lines, and traces.
//!
//! * `telemetry/traces.rs`: the spans that go to a collector

mod traces;

pub use traces::{NoTraces, Traces, spans};

use crate::{api::names, spans::CALL};
use std::panic::PanicHookInfo;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterExt as _, filter_fn},
    fmt::{self, MakeWriter},
    prelude::*,
    registry::LookupSpan,
};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object in each line.
    Json,
    /// Text for people.
    Text,
}

/// Whether a line may be written at all, regardless of `RUST_LOG`. At its finest level the AWS SDK
/// logs whole answers of STS, with the credentials in them. The client of kube logs the text of an
/// answer that it cannot parse, as a warning (`Client::request`). That may be a Secret, and keyturn
/// reports the failure itself.
#[must_use]
pub fn may_be_logged(line: &Metadata<'_>) -> bool {
    let quotes_sts = line.target().starts_with("aws_") && *line.level() == Level::TRACE;
    let quotes_objects = line.target() == "kube_client::client";
    !quotes_sts && !quotes_objects
}

/// Starts logging. `filter` has the form of `RUST_LOG`. It does not apply to the audit lines, which
/// are always written, and always as JSON.
pub fn start(format: LogFormat, filter: &str) {
    // Without a layer for them, spans that no log shows cost nothing.
    subscriber(format, filter, std::io::stderr).init();
    std::panic::set_hook(Box::new(log_panic));
}

/// Starts logging, and recording spans for `traces`. `filter` applies to the log only.
pub fn start_with_traces(format: LogFormat, filter: &str, traces: &Traces) {
    subscriber(format, filter, std::io::stderr).with(traces.layer()).init();
    std::panic::set_hook(Box::new(log_panic));
}

/// The line holds the place of the panic and not its message, because the message may quote a
/// value.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a bug: the process ends here and is started again");
}

fn is_audit(line: &Metadata<'_>) -> bool {
    line.target() == names::AUDIT_TARGET
}

fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let chosen = EnvFilter::builder().parse_lossy(filter);
    let lines = fmt::layer().with_writer(writer.clone()).with_target(false);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let others = filter_fn(|line| !is_audit(line) && may_be_logged(line) && line.target() != CALL);
    let audit = fmt::layer().with_writer(writer).json().flatten_event(true);
    let audit = audit.with_current_span(false).with_span_list(false).with_filter(filter_fn(is_audit));
    // One filter, not one in another: a span that either of two filters would let pass is made.
    tracing_subscriber::registry().with(lines.with_filter(others.and(chosen))).with(audit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_span_of_a_call_is_made_for_traces_only() {
        let provider = opentelemetry_sdk::trace::SdkTracerProvider::default();
        let logs = || subscriber(LogFormat::Json, "trace", std::io::sink);
        let is_made = || !tracing::info_span!(target: CALL, "call").is_disabled();
        assert!(!tracing::subscriber::with_default(logs(), is_made));
        assert!(tracing::subscriber::with_default(logs().with(spans(&provider)), is_made));
    }

    #[test]
    fn no_filter_and_no_format_changes_the_audit_lines() {
        for (format, filter) in [(LogFormat::Text, "off"), (LogFormat::Json, "error"), (LogFormat::Text, "trace")] {
            let lines = Lines::default();
            let writer = lines.clone();
            tracing::subscriber::with_default(subscriber(format, filter, move || writer.clone()), || {
                let _span = tracing::info_span!("config", name = "alice").entered();
                tracing::info!(target: names::AUDIT_TARGET, person = "alice", "credential issued");
                tracing::info!("another line");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let audited: Vec<&str> = text.lines().filter(|line| line.contains("credential issued")).collect();
            assert_eq!(audited.len(), 1, "{filter}: {text}");
            let line: serde_json::Value = serde_json::from_str(audited[0]).unwrap();
            assert_eq!((&line["target"], &line["person"]), (&names::AUDIT_TARGET.into(), &"alice".into()), "{filter}");
            assert_eq!(text.contains("another line"), filter == "trace", "{filter}: {text}");
        }
    }
}
