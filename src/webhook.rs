//! The webhook's route. It receives reviews of pods and answers with patches, over the bounded
//! server of [`crate::https`].

use crate::{
    https::{Bodies, PATIENCE, serve},
    inject::{ConfigsFor, NoAnswer, Outcome, answer},
    metrics::Metrics,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use http::HeaderValue;
use std::{
    io,
    net::{SocketAddr, TcpListener},
};
use tokio::time::Instant;

/// The path to which the API server sends reviews of pods.
pub const PATH: &str = "/inject";

/// The largest body, in bytes. A pod has at most 1.5 MiB, which is etcd's limit, and a review may
/// hold the pod twice.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// The bytes of bodies that the webhook holds at most at the same time.
const HELD: usize = 32 * 1024 * 1024;

/// The webhook of one replica.
#[derive(Clone)]
pub struct Webhook {
    configs: ConfigsFor,
    metrics: Metrics,
    bodies: Bodies,
}

impl Webhook {
    /// Makes a webhook that injects the Secrets of these configs.
    #[must_use]
    pub fn new(configs: ConfigsFor, metrics: Metrics) -> Self {
        Self { configs, metrics, bodies: Bodies::new(BODY_LIMIT, HELD) }
    }

    /// The webhook's routes, without TLS.
    pub fn router(self) -> Router {
        Router::new().route(PATH, post(inject)).with_state(self)
    }

    /// Serves the routes over TLS until the server is ended: [`serve`].
    ///
    /// # Errors
    /// [`io::Error`] if the listener fails.
    pub async fn serve(self, listener: TcpListener, tls: RustlsConfig, handle: Handle<SocketAddr>) -> io::Result<()> {
        serve(self.router(), listener, tls, handle).await
    }
}

async fn inject(State(webhook): State<Webhook>, headers: HeaderMap, body: Body) -> Response {
    let began = Instant::now();
    let (response, outcome) = match tokio::time::timeout(PATIENCE, review(&webhook, &headers, body)).await {
        Ok(Ok((body, outcome))) => (json(body), outcome),
        Ok(Err(refusal)) => (refusal.0.into_response(), refusal.1),
        Err(_) => ((StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into_response(), Outcome::Malformed),
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

async fn review(webhook: &Webhook, headers: &HeaderMap, body: Body) -> Result<(Vec<u8>, Outcome), Refusal> {
    if !is_json(headers.get(header::CONTENT_TYPE)) {
        let text = "send an AdmissionReview as application/json";
        return Err(Refusal::malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let held = webhook.bodies.read(headers, body).await;
    let held = held.map_err(|error| Refusal::malformed(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    answer(&held.bytes, &webhook.configs).map_err(|error| match error {
        NoAnswer::Malformed(_) => Refusal::malformed(StatusCode::BAD_REQUEST, error.to_string()),
        NoAnswer::NotReady => Refusal((StatusCode::SERVICE_UNAVAILABLE, error.to_string()), Outcome::NotReady),
    })
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
