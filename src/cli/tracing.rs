//! The settings of traces, under the names that OpenTelemetry has for them.

use clap::Args;
use url::Url;

/// The settings of traces. The SDK of OpenTelemetry reads others from the environment itself.
#[derive(Debug, Args)]
pub struct Tracing {
    /// The address of an OpenTelemetry collector that takes OTLP over HTTP, for example
    /// `http://collector:4318`. Its path gets `/v1/traces`. Default: no traces.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = http_url)]
    pub otlp_endpoint: Option<Url>,

    /// The whole URL for traces, instead of --otlp-endpoint.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_parser = http_url)]
    pub otlp_traces_endpoint: Option<Url>,

    /// The name of this service in traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "keyturn")]
    pub otel_service_name: String,
}

impl Tracing {
    /// The URL to which traces go; `None` if there are none. The path is appended as the
    /// specification says (OpenTelemetry, "OTLP exporter configuration", "Endpoint URLs for
    /// OTLP/HTTP").
    #[must_use]
    pub fn collector(&self) -> Option<Url> {
        self.otlp_traces_endpoint.clone().or_else(|| {
            let mut url = self.otlp_endpoint.clone()?;
            if let Ok(mut path) = url.path_segments_mut() {
                path.pop_if_empty().extend(["v1", "traces"]);
            }
            Some(url)
        })
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "a URL of http or https, of a collector that takes OTLP over HTTP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        tracing: Tracing,
    }

    #[test]
    fn the_path_for_traces_is_appended_to_the_general_address_only() {
        let table: [(&str, &[&str], Option<&str>); 5] = [
            ("nothing is set", &[], None),
            ("an address", &["--otlp-endpoint", "http://c:4318"], Some("http://c:4318/v1/traces")),
            ("with a slash", &["--otlp-endpoint", "http://c:4318/"], Some("http://c:4318/v1/traces")),
            ("with a path", &["--otlp-endpoint", "https://c/otlp/"], Some("https://c/otlp/v1/traces")),
            (
                "both",
                &["--otlp-endpoint", "http://c:4318", "--otlp-traces-endpoint", "http://d/traces"],
                Some("http://d/traces"),
            ),
        ];
        for (case, arguments, expected) in table {
            let alone = Alone::try_parse_from(["keyturn"].iter().chain(arguments)).unwrap();
            assert_eq!(alone.tracing.collector().as_ref().map(Url::as_str), expected, "{case}");
        }
    }
}
