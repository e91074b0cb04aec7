//! The admin server: `/livez`, `/readyz`, `/metrics`.

use crate::{
    api::{ConditionType, find_condition},
    certificate::Followed,
    clock::Clock,
    https::{self, Bounds, Port},
    metrics::{Metrics, States},
    views::Views,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use axum_server::Handle;
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The data that the admin server reports.
#[derive(Clone)]
pub struct Admin {
    /// The views of every scope.
    pub views: Arc<[Views]>,
    /// The certificate of the webhook, if there is a webhook.
    pub certificate: Option<Followed>,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// The clock for remaining lifetimes.
    pub clock: Clock,
}

/// Serves the three paths over HTTP. Never ends.
///
/// # Errors
/// [`io::Error`] if the listener fails.
pub async fn serve(admin: Admin, listener: TcpListener) -> io::Result<()> {
    let refused = admin.metrics.connection_refused("admin");
    let listener = listener.into_std()?;
    https::serve(router(admin), Port { listener, tls: None, handle: Handle::new(), bounds: Bounds::ADMIN, refused })
        .await
}

/// The router of the three paths.
fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready after everything has been listed, because keyturn neither issues nor withdraws before.
/// With a webhook, ready only after it has a certificate, because the API server calls the webhook
/// of ready replicas only.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let mut unsynced: Vec<String> = admin.views.iter().flat_map(Views::unsynced).collect();
    unsynced.extend(admin.certificate.as_ref().and_then(Followed::unsynced));
    unsynced.sort_unstable();
    unsynced.dedup();
    if unsynced.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}", unsynced.join("; ")))
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match admin.metrics.encode(states(&admin)) {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, String::new()),
    }
}

/// The states are computed at the scrape, because a routine renewal should have nothing to update.
fn states(admin: &Admin) -> States {
    let now = admin.clock.now();
    let mut states = States::default();
    for config in admin.views.iter().flat_map(|views| views.configs.store().state()) {
        let Some(status) = &config.status else {
            states.not_ready += 1;
            continue;
        };
        let is = |type_: ConditionType| {
            find_condition(&status.conditions, type_).is_some_and(|condition| condition.status == "True")
        };
        match (is(ConditionType::Ready), is(ConditionType::RenewalFailing)) {
            (true, false) => states.ready += 1,
            (true, true) => states.renewal_failing += 1,
            (false, _) => states.not_ready += 1,
        }
        if let Some(expires_at) = &status.expires_at {
            let remaining = expires_at.0.duration_since(now).as_secs();
            states.remaining_min_seconds =
                Some(states.remaining_min_seconds.map_or(remaining, |least| least.min(remaining)));
        }
    }
    states
}
