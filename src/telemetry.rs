//! Structured logs on standard error, and panics as log lines.

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, prelude::*};

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

/// Starts logging. `filter` has the form of `RUST_LOG`.
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::builder().parse_lossy(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    match format {
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_current_span(true).with_span_list(false)).init();
        }
        LogFormat::Text => registry.with(lines).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        // The line holds the place of the panic and not its message, because the message may quote
        // a value.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: the process ends here and is started again");
    }));
}
