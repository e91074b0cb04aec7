//! The webhook's route. It receives reviews of pods and answers with patches, over the bounded
//! server of [`crate::https`].

use crate::{
    https::{Bodies, HeldBody, NoBody, Port, Room, holding, serve_tls},
    inject::{ConfigsFor, Demand, NoAnswer, Outcome, Settings, answer},
    metrics::WebhookMetrics,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::tls_rustls::RustlsConfig;
use http::{HeaderValue, Uri};
use jiff::SignedDuration;
use std::{io, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The path to which the API server sends reviews of pods.
pub const PATH: &str = "/inject";
/// The path to which the API server sends reviews of pods that must not start without the Secret
/// that they ask for.
pub const REQUIRED_PATH: &str = "/inject/required";

/// The largest body, in bytes. A pod has at most 1.5 MiB, which is etcd's limit, and a review may
/// hold the pod twice. An answer may have as many.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// The bytes of bodies that the webhook holds at most at the same time.
const HELD: usize = 32 * 1024 * 1024;

/// The time-out of the API server, if it names none. The chart's default.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time-out that counts. A connection ends when an answer takes longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The webhook of one replica.
#[derive(Clone)]
pub struct Webhook {
    configs: ConfigsFor,
    settings: Arc<Settings>,
    metrics: WebhookMetrics,
    bodies: Bodies,
}

impl Webhook {
    /// Makes a webhook that injects the Secrets of these configs, as files.
    #[must_use]
    pub fn new(configs: ConfigsFor, metrics: WebhookMetrics) -> Self {
        Self { configs, settings: Arc::default(), metrics, bodies: Bodies::new(BODY_LIMIT, HELD) }
    }

    /// The same webhook with these settings.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings: Arc::new(settings), ..self }
    }

    /// The webhook's routes, without TLS.
    pub fn router(self) -> Router {
        let optional = |State(webhook), request| inject(webhook, request, Demand::Optional);
        let required = |State(webhook), request| inject(webhook, request, Demand::Required);
        Router::new().route(PATH, post(optional)).route(REQUIRED_PATH, post(required)).with_state(self)
    }

    /// Serves the routes on `port` until the server is ended: [`serve_tls`].
    ///
    /// # Errors
    /// [`io::Error`] if the listener fails.
    pub async fn serve(self, tls: RustlsConfig, port: Port) -> io::Result<()> {
        serve_tls(self.router(), tls, port).await
    }
}

async fn inject(webhook: Webhook, request: Request, demand: Demand) -> Response {
    let began = Instant::now();
    let (response, outcome) = match review(&webhook, request, demand).await {
        Ok((body, room, outcome)) => (json(body, room), outcome),
        Err(refusal) => (refusal.0.into_response(), refusal.1),
    };
    webhook.metrics.reviewed(outcome.as_str(), began.elapsed());
    response
}

struct Refusal((StatusCode, String), Outcome);

impl Refusal {
    fn malformed(status: StatusCode, text: impl Into<String>) -> Self {
        Self((status, text.into()), Outcome::Malformed)
    }
}

impl From<NoBody> for Refusal {
    fn from(error: NoBody) -> Self {
        let status = match error {
            NoBody::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            NoBody::Late => StatusCode::REQUEST_TIMEOUT,
            NoBody::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            NoBody::Broken => StatusCode::BAD_REQUEST,
        };
        let outcome = if error == NoBody::NoRoom { Outcome::NotReady } else { Outcome::Malformed };
        Self((status, error.to_string()), outcome)
    }
}

async fn review(webhook: &Webhook, request: Request, demand: Demand) -> Result<(Vec<u8>, Room, Outcome), Refusal> {
    let (head, body) = request.into_parts();
    if !is_json(head.headers.get(header::CONTENT_TYPE)) {
        let text = "send an AdmissionReview as application/json";
        return Err(Refusal::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let HeldBody { bytes, room } = webhook.bodies.read(&head, body, within(&head.uri)).await?;
    let (answer, outcome) =
        answer(&bytes, &webhook.configs, &webhook.settings, demand).map_err(|error| match error {
            NoAnswer::Malformed(_) => Refusal::malformed(StatusCode::BAD_REQUEST, error.to_string()),
            NoAnswer::NotReady => Refusal((StatusCode::SERVICE_UNAVAILABLE, error.to_string()), Outcome::NotReady),
        })?;
    if answer.len() > BODY_LIMIT {
        let text = format!("the answer is too large: at most {BODY_LIMIT} bytes");
        return Err(Refusal::malformed(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok((answer, room, outcome))
}

/// The longest time for a body: three quarters of the time after which the API server gives up. The
/// API server names that time in the query, such as `timeout=2s` (`callAttrMutatingHook` in
/// k8s.io/apiserver `pkg/admission/plugin/webhook/mutating/dispatcher.go`).
fn within(uri: &Uri) -> Duration {
    let parameters = uri.query().unwrap_or_default().split('&');
    let named = parameters.filter_map(|parameter| parameter.strip_prefix("timeout=")).find_map(|text| {
        let length: SignedDuration = text.parse().ok()?;
        Duration::try_from(length).ok()
    });
    named.unwrap_or(TIMEOUT).min(LONGEST_TIMEOUT) * 3 / 4
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn json(body: Vec<u8>, room: Room) -> Response {
    let length = HeaderValue::from(body.len());
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), (header::CONTENT_LENGTH, length)];
    (headers, holding(body, room)).into_response()
}

#[cfg(test)]
mod tests;
