use super::*;
use crate::https::Peer;
use axum::{
    body::{Body, Bytes},
    http::Request,
};
use futures::{StreamExt as _, stream};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt as _;

fn webhook() -> Webhook {
    Webhook::new(Arc::new(|_| None), WebhookMetrics::new())
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
    let metrics = webhook.metrics.encode().unwrap();
    assert!(metrics.contains("admission_reviews_total{outcome=\"malformed\"} 4"), "{metrics}");
    assert_eq!(webhook.bodies.free(), HELD, "what was held is given back");
}

/// Sends these bodies, which announce as much as they may have, and returns their statuses and the
/// time that they took.
async fn answered_all(webhook: &Webhook, bodies: Vec<Body>) -> (Vec<StatusCode>, Duration) {
    let began = Instant::now();
    let answers = bodies.into_iter().map(|body| answered(webhook, "application/json", Some(BODY_LIMIT), body));
    (futures::future::join_all(answers).await, began.elapsed())
}

/// A body that brings `size` bytes at once and then nothing.
fn beginning(size: usize) -> Body {
    Body::from_stream(stream::iter([Ok::<_, io::Error>(Bytes::from(vec![b' '; size]))]).chain(stream::pending()))
}

/// A body that brings `size` bytes at once and then a byte now and then.
fn trickling(size: usize) -> Body {
    let trickle = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Some((Ok::<_, io::Error>(Bytes::from_static(b" ")), ()))
    });
    Body::from_stream(stream::iter([Ok(Bytes::from(vec![b' '; size]))]).chain(trickle))
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_dropped_and_occupies_only_what_it_has_brought() {
    for (case, body, most_ms) in [
        ("nothing", never as fn() -> Body, 501),
        ("a beginning", || beginning(1), 501),
        ("a byte now and then", || trickling(1), 1_501),
    ] {
        let webhook = webhook();
        let (all, least) = (webhook.clone(), webhook.clone());
        let watching = async move {
            tokio::time::sleep(Duration::from_millis(450)).await;
            least.bodies.free()
        };
        let bodies = (0..64).map(|_| body()).collect();
        let ((statuses, took), free) = tokio::join!(answered_all(&all, bodies), watching);
        assert!(statuses.iter().all(|status| *status == 408), "{case}: {statuses:?}");
        assert!(took <= Duration::from_millis(most_ms), "{case}: {took:?}");
        assert!(free >= HELD - 64 * 16 * 1024, "{case}: {free} bytes are free");
        assert_eq!(webhook.bodies.free(), HELD, "{case}: all is given back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_review_is_not_behind_bodies_that_are_only_announced() {
    for (case, size) in [("nothing is sent", 0), ("all but a part is sent", BODY_LIMIT - 1)] {
        let webhook = webhook();
        for _ in 0..64 {
            let webhook = webhook.clone();
            let body = if size == 0 { never() } else { beginning(size) };
            tokio::spawn(async move { answered(&webhook, "application/json", Some(BODY_LIMIT), body).await });
        }
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(answered(&webhook, "application/json", Some(2), Body::from("{}")).await, 400, "{case}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{case}: it is answered at once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_fills_its_share_keeps_no_large_body_of_another_out() {
    let webhook = webhook();
    let request = |last: u8, body: Body| {
        let peer = Peer([10, 0, 0, last].into());
        let request = Request::post(PATH).header(header::CONTENT_TYPE, "application/json").extension(peer);
        webhook.clone().router().oneshot(request.body(body).unwrap())
    };
    for _ in 0..16 {
        tokio::spawn(request(1, trickling(BODY_LIMIT - 10)));
    }
    tokio::task::yield_now().await;
    let began = Instant::now();
    assert_eq!(request(2, Body::from(vec![b' '; 1024 * 1024])).await.unwrap().status(), 400);
    assert_eq!(began.elapsed(), Duration::ZERO, "there is room");
    assert_eq!(request(1, Body::from(vec![b' '; 1024 * 1024])).await.unwrap().status(), 503, "its share is full");
}

#[tokio::test(start_paused = true)]
async fn a_body_without_room_is_refused_before_the_api_server_gives_up() {
    let webhook = webhook();
    let bodies = (0..8).map(|_| trickling(BODY_LIMIT - 10)).collect();
    let (statuses, took) = answered_all(&webhook, bodies).await;
    let no_room = statuses.iter().filter(|status| **status == 503).count();
    assert!(no_room > 0 && statuses.iter().all(|status| [408, 503].contains(&status.as_u16())), "{statuses:?}");
    assert!(took <= Duration::from_millis(1_501), "{took:?}");
}

#[tokio::test]
async fn an_answer_occupies_the_room_of_its_review_until_it_is_sent() {
    let webhook = Webhook::new(Arc::new(|_| Some(vec![])), WebhookMetrics::new());
    let review = serde_json::json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "resource": {"resource": "pods"}, "operation": "DELETE"}});
    let request = Request::post(PATH).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(review.to_string())).unwrap();
    let response = webhook.clone().router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(webhook.bodies.free() < HELD);
    let length = response.headers()[header::CONTENT_LENGTH].clone();
    let body = axum::body::to_bytes(response.into_body(), BODY_LIMIT).await.unwrap();
    assert_eq!(length, body.len().to_string());
    assert_eq!(webhook.bodies.free(), HELD);
}

#[test]
fn a_body_has_three_quarters_of_the_api_servers_time_out() {
    for (uri, millis) in [
        ("/inject?timeout=2s", 1500),
        ("/inject?dryRun=All&timeout=4s", 3000),
        ("/inject?timeout=1m0s", 7500),
        ("/inject", 1500),
        ("/inject?timeout=soon", 1500),
        ("/inject?timeout=-4s", 1500),
        ("/inject?mytimeout=4s", 1500),
    ] {
        assert_eq!(within(&uri.parse().unwrap()), Duration::from_millis(millis), "{uri}");
    }
}
