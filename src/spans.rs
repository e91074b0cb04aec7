//! The spans of calls to other systems. Traces have them; logs do not.
//!
//! A span says which system was called, the kind of the call, the object, and the outcome. It never
//! has a body, a header, a query or the text of an answer.

use std::fmt::Display;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of the spans of calls. A log has the span of the reconcile beside each line, and not
/// the span of a call.
pub const CALL: &str = "keyturn::call";

/// A call before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The kind of the call, such as `get Secret`. It becomes the name of the span. There are few
    /// of them.
    pub kind: String,
    /// The object of the call.
    pub object: Option<String>,
}

impl Described {
    /// Reads a text such as `get Secret scoring/alice-aws`, whose last word is the object.
    #[must_use]
    pub fn with_object_last(text: &str) -> Self {
        match text.rsplit_once(' ') {
            Some((kind, object)) => Self { kind: kind.to_owned(), object: Some(object.to_owned()) },
            None => Self { kind: text.to_owned(), object: None },
        }
    }
}

/// Makes a call in a span of its own. `system` is the system that is called. `described` is asked
/// only if somebody listens. `outcome` says in a word how the call failed.
///
/// # Errors
/// The error of the call.
pub async fn traced<T, E, O: Display>(
    system: &'static str,
    described: impl FnOnce() -> Described,
    outcome: impl FnOnce(&E) -> O,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = tracing::info_span!(
        target: CALL,
        "call",
        otel.name = Empty,
        otel.kind = "client",
        otel.status_code = Empty,
        peer.service = system,
        object = Empty,
        outcome = Empty,
    );
    if span.is_disabled() {
        return call.await;
    }
    let Described { kind, object } = described();
    span.record("otel.name", kind);
    if let Some(object) = object {
        span.record("object", object);
    }
    let result = call.await;
    match &result {
        Ok(_) => span.record("outcome", "success"),
        Err(error) => span.record("outcome", outcome(error).to_string()).record("otel.status_code", "ERROR"),
    };
    result
}

/// Adds an attribute to the present span in traces. Logs do not have it.
pub fn attribute(name: &'static str, value: impl Display) {
    Span::current().set_attribute(name, value.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_split_into_its_kind_and_its_object() {
        for (text, kind, object) in [
            ("get Secret scoring/alice-aws", "get Secret", Some("scoring/alice-aws")),
            ("write status of AwsConfig scoring/alice", "write status of AwsConfig", Some("scoring/alice")),
            ("identity", "identity", None),
        ] {
            let expected = Described { kind: kind.to_owned(), object: object.map(str::to_owned) };
            assert_eq!(Described::with_object_last(text), expected, "{text}");
        }
    }
}
