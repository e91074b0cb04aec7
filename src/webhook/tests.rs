use super::*;
use crate::metrics::States;
use axum::{body::Bytes, http::Request};
use futures::stream;
use std::{sync::Arc, time::Duration};
use tower::ServiceExt as _;

fn webhook() -> Webhook {
    Webhook::new(Arc::new(|_| None), Metrics::new())
}

async fn answered(webhook: &Webhook, content_type: &str, length: Option<usize>, body: Body) -> StatusCode {
    let mut request = Request::post(PATH).header(header::CONTENT_TYPE, content_type);
    if let Some(length) = length {
        request = request.header(header::CONTENT_LENGTH, length);
    }
    webhook.clone().router().oneshot(request.body(body).unwrap()).await.unwrap().status()
}

/// A body that never sends a byte.
fn never() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, io::Error>>())
}

#[tokio::test]
async fn each_kind_of_malformed_request_gets_its_status() {
    let webhook = webhook();
    let json = "Application/JSON; charset=utf-8";
    for (case, content_type, length, body, status) in [
        ("another content type", "text/plain", None, Body::from("{}"), 415),
        ("not a review", json, None, Body::from("{}"), 400),
        ("a length above the limit", json, Some(BODY_LIMIT + 1), never(), 413),
        ("a body above the limit", json, None, Body::from(vec![b' '; BODY_LIMIT + 1]), 413),
    ] {
        assert_eq!(answered(&webhook, content_type, length, body).await, status, "{case}");
    }
    let metrics = webhook.metrics.encode(States::default()).unwrap();
    assert!(metrics.contains("admission_reviews_total{outcome=\"malformed\"} 4"), "{metrics}");
    assert_eq!(webhook.bodies.free_kib(), HELD / 1024, "what was held is given back");
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_are_not_waited_for_and_hold_a_bounded_room() {
    let webhook = webhook();
    let began = Instant::now();
    let slow: Vec<_> = (0..HELD / BODY_LIMIT + 3)
        .map(|_| {
            let webhook = webhook.clone();
            tokio::spawn(async move { answered(&webhook, "application/json", Some(BODY_LIMIT), never()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(webhook.bodies.free_kib(), 0, "the rest wait without holding a byte");
    for slow in slow {
        assert_eq!(slow.await.unwrap(), 408);
    }
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(answered(&webhook, "application/json", None, Body::from("{}")).await, 400, "and it goes on");
}
