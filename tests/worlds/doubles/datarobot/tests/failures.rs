//! Each way to fail.

use std::time::Duration;

use serde_json::{Value, json};

use super::{datarobot, id_of, session_of};
use crate::doubles::datarobot::{Behaviour, Call, TOKEN_MARKER};
use crate::doubles::rules::Times;

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_status_and_content_type() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    let named = Behaviour::Error { status: 409, error_type: "Busy".to_owned(), message: "no".to_owned() };
    let (html, data, text) = ("text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8");
    let table = [
        (Behaviour::ServerError, 500, data),
        (named, 409, data),
        (Behaviour::EchoedKey, 401, data),
        (Behaviour::EchoedBody, 422, data),
        (Behaviour::BadGateway, 502, html),
        (Behaviour::NoSuchRoute, 404, html),
        (Behaviour::InBetween { status: 403, body: "RBAC: access denied" }, 403, text),
        (Behaviour::Maintenance, 503, html),
        (Behaviour::LoginPage, 200, html),
        (Behaviour::TooManyRequests { retry_after_seconds: 7 }, 429, data),
        (Behaviour::RedirectToLogin, 302, html),
        (Behaviour::RedirectTo("https://elsewhere.test/api/v2/credentials/".to_owned()), 302, html),
    ];
    for (behaviour, status, content_type) in table {
        datarobot.once(behaviour.clone());
        let answer = svc.patch(&path, session_of(2, json!({}))).await;
        let content_type = content_type.parse().unwrap();
        assert_eq!((answer.status, &answer.headers["content-type"]), (status, &content_type), "{behaviour:?}");
        match behaviour {
            Behaviour::Error { .. } => assert_eq!(answer.json(), json!({"message": "no", "errorName": "Busy"})),
            Behaviour::EchoedKey => assert!(answer.error().1.contains(TOKEN_MARKER)),
            Behaviour::EchoedBody => assert!(answer.error().1.contains("secret-2")),
            Behaviour::TooManyRequests { .. } => assert_eq!(answer.headers["retry-after"], "7"),
            Behaviour::RedirectTo(url) => assert_eq!(answer.headers["location"], url.as_str()),
            Behaviour::RedirectToLogin => {
                assert_eq!(answer.headers["location"], "https://sso.example.test/login?from=datarobot");
            }
            _ => {}
        }
    }
    assert_eq!(datarobot.held("svc", id_of(&path)).len(), 1, "nothing was carried out");
    assert_eq!(svc.get(&path).await.status, 200, "all rules are used up");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_an_effect_and_a_failed_connection_has_none() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    for (behaviour, session, held) in [(Behaviour::ConnectionFailure, 2, "ASIA1"), (Behaviour::AnswerLost, 3, "ASIA3")]
    {
        datarobot.once(behaviour);
        assert!(svc.send("PATCH", &path, Some(session_of(session, json!({})))).await.is_err());
        assert_eq!(datarobot.holds("svc", id_of(&path)).unwrap().access_key_id, held);
        assert_eq!(datarobot.calls().pop().unwrap().status, None);
    }
    datarobot.once(Behaviour::AnswerLost);
    let body = session_of(4, json!({"name": "bob", "credentialType": "s3"}));
    assert!(svc.send("POST", "/credentials/", Some(body.clone())).await.is_err());
    assert_eq!(svc.post("/credentials/", body).await.status, 409, "the first creation had its effect");

    datarobot.once(Behaviour::Garbled);
    let garbled = svc.get("/credentials/").await;
    assert!(serde_json::from_str::<Value>(&garbled.body).is_err());
    datarobot.once(Behaviour::HugeBody(200_000));
    let huge = svc.get("/credentials/").await;
    assert!(huge.body.len() > 200_000 && huge.json()["count"] == 2);
}

#[tokio::test(start_paused = true)]
async fn a_rule_is_about_the_calls_that_fit_it() {
    let (datarobot, svc) = datarobot();
    let path = svc.create("alice", 1).await;
    datarobot.clear();
    let updates = |call: &Call| call.method == "PATCH";
    datarobot.behave_if(Times::N(2), updates, Behaviour::Maintenance);
    for (session, status) in [(2, 503), (3, 503), (4, 200)] {
        assert_eq!(svc.get(&path).await.status, 200);
        assert_eq!(svc.patch(&path, session_of(session, json!({}))).await.status, status);
    }
    assert_eq!((datarobot.count(), datarobot.count_where(updates)), (6, 3));
    let call = datarobot.calls().pop().unwrap();
    assert_eq!((call.base.as_str(), &call.path, call.scheme.as_deref()), ("/api/v2", &path, Some("Bearer")));
    assert_eq!((call.caller.as_str(), call.status), ("svc", Some(200)));
    assert!(call.body.contains("token-4"));

    datarobot.once(Behaviour::Latency(Duration::from_secs(7)));
    let before = tokio::time::Instant::now();
    assert_eq!(svc.get(&path).await.status, 200);
    assert_eq!(before.elapsed(), Duration::from_secs(7));
    datarobot.always(Behaviour::Hang);
    assert!(tokio::time::timeout(Duration::from_secs(100_000), svc.get(&path)).await.is_err());
    datarobot.behave_well();
    assert_eq!(svc.get(&path).await.status, 200);
}
