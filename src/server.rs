//! The admin server: `/livez`, `/readyz`, `/metrics`.

use crate::{
    https::{self, Bounds, Port},
    metrics::{Encoded, Ports},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use axum_server::Handle;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The data that the admin server reports.
#[derive(Clone)]
pub struct Admin {
    /// Says in words what the process still waits for. Empty if it is ready.
    pub waits_for: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The metrics of the process, as text.
    pub metrics: Arc<dyn Fn() -> Encoded + Send + Sync>,
}

/// Serves the three paths over HTTP. It ends only if the listener fails, which it logs.
pub async fn serve(admin: Admin, listener: TcpListener, ports: &Ports) {
    let (refused, handle) = (ports.connection_refused("admin"), Handle::new());
    let served = async {
        let listener = listener.into_std()?;
        https::serve(router(admin), Port { listener, handle, bounds: Bounds::ADMIN, refused }).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin server ended");
    }
}

/// The router of the three paths.
fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let mut waits_for = (admin.waits_for)();
    waits_for.sort_unstable();
    waits_for.dedup();
    if waits_for.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}", waits_for.join("; ")))
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match (admin.metrics)() {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, String::new()),
    }
}
