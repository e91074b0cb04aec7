//! What the operator logs at every level while a test listens, and the spans that a collector would
//! get.

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::{filter::filter_fn, fmt::MakeWriter, prelude::*};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that this thread logs.
pub struct Log {
    lines: Lines,
    spans: InMemorySpanExporter,
    listening: DefaultGuard,
    _second: Dispatch,
}

impl Log {
    /// Begins to record.
    pub fn listen() -> Self {
        let lines = Lines::default();
        // With one subscriber in the process, tracing asks only the thread that first reaches a log
        // line whether it is enabled. With two subscribers tracing asks both. The threads of other
        // tests have none.
        let second = Dispatch::new(tracing_subscriber::registry());
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let harmless = filter_fn(keyturn::telemetry::may_be_logged);
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let recorded = keyturn::telemetry::spans(&provider);
        let listening = tracing_subscriber::registry().with(layer).with(recorded).with(harmless).set_default();
        Self { lines, spans, listening, _second: second }
    }

    /// Ends recording and returns the log.
    pub fn end(self) -> String {
        self.end_with_spans().0
    }

    /// Ends recording and returns the log, and the spans that have ended.
    pub fn end_with_spans(self) -> (String, Vec<SpanData>) {
        let spans = self.spans.get_finished_spans().unwrap();
        drop(self.listening);
        (String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap(), spans)
    }
}
