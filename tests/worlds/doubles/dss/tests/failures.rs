//! Paths outside the API, and each way to fail.

use std::time::Duration;

use serde_json::{Value, json};

use super::{acting_as, admin, dss, with_key};
use crate::doubles::dss::{ADMIN_KEY_ID, ADMIN_KEY_MARKER, Behaviour};
use crate::doubles::rules::Times;

#[tokio::test(start_paused = true)]
async fn paths_outside_the_api_are_answered_by_nginx() {
    let dss = dss();
    for url in ["/", "/login", "/public/api", "/public/api/unknown", "/public/apis/auth/info", "/auth/info"] {
        let answer = admin(&dss).send("GET", url, None).await.unwrap();
        assert_eq!(answer.status, 404, "{url}");
        assert!(answer.body.starts_with("<html>") && answer.body.contains("nginx"), "{url}");
    }
    assert_eq!(admin(&dss).delete("/auth/info").await.status, 405);
    dss.set_version("13.5.7");
    assert_eq!(admin(&dss).get("/instance-info").await.json()["dssVersion"], "13.5.7");
    assert_eq!(with_key(&dss, "wrong").get("/instance-info").await.error().0, 401);
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_status_and_content_type() {
    let dss = dss();
    let other = Behaviour::Error { status: 409, error_type: "a.b.C".to_owned(), message: "no".to_owned() };
    let table = [
        (Behaviour::ServerError, 500, "application/json"),
        (other, 409, "application/json"),
        (Behaviour::EchoedKey, 401, "application/json"),
        (Behaviour::BadGateway, 502, "text/html; charset=utf-8"),
        (Behaviour::NoSuchRoute, 404, "text/html; charset=utf-8"),
        (Behaviour::InBetween { status: 403, body: "RBAC: access denied" }, 403, "text/plain; charset=utf-8"),
        (Behaviour::Maintenance, 503, "text/html; charset=utf-8"),
        (Behaviour::LoginPage, 200, "text/html; charset=utf-8"),
        (Behaviour::TooManyRequests { retry_after_seconds: 7 }, 429, "application/json"),
        (Behaviour::RedirectToLogin, 302, "text/html; charset=utf-8"),
        (Behaviour::RedirectTo("/public/api/users/alice".to_owned()), 302, "text/html; charset=utf-8"),
    ];
    for (behaviour, status, content_type) in table {
        dss.once(behaviour.clone());
        let answer = admin(&dss).post("/admin/personal-api-keys/", json!({ "user": "alice" })).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (status, &content_type.parse().unwrap()),
            "{behaviour:?}"
        );
        assert_eq!(dss.calls().last().unwrap().status, Some(status));
        match behaviour {
            Behaviour::TooManyRequests { .. } => assert_eq!(answer.headers["retry-after"], "7"),
            Behaviour::RedirectToLogin => {
                assert_eq!(answer.headers["location"], "https://sso.example.test/login?from=dss");
            }
            Behaviour::RedirectTo(url) => assert_eq!(answer.headers["location"], url.as_str()),
            Behaviour::EchoedKey => assert!(answer.body.contains(ADMIN_KEY_MARKER)),
            _ => {}
        }
    }
    assert_eq!(dss.keys_ever(), 0, "nothing was carried out");
    assert_eq!(admin(&dss).get("/auth/info").await.status, 200, "all rules are used up");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_an_effect_and_a_failed_connection_has_none() {
    let dss = dss();
    let wanted = || Some(json!({ "user": "alice", "label": "keyturn" }));
    for (behaviour, created) in [(Behaviour::ConnectionFailure, 0), (Behaviour::AnswerLost, 1)] {
        dss.once(behaviour);
        let lost = admin(&dss).send("POST", "/public/api/admin/personal-api-keys/", wanted()).await;
        assert!(lost.is_err());
        assert_eq!((dss.keys_ever(), dss.calls().pop().unwrap().status), (created, None));
    }
    dss.once(Behaviour::Garbled);
    let garbled = admin(&dss).post("/admin/personal-api-keys/", wanted().unwrap()).await;
    assert!(serde_json::from_str::<Value>(&garbled.body).is_err());
    assert_eq!((garbled.status, dss.keys_ever()), (200, 2));
    dss.once(Behaviour::HugeBody(200_000));
    let huge = admin(&dss).get("/admin/personal-api-keys/").await;
    assert!(huge.body.len() > 200_000 && !huge.headers.contains_key("content-length"));
    assert_eq!(huge.json().as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_takes_simulated_time_and_a_hang_never_ends() {
    let dss = dss();
    dss.once(Behaviour::Latency(Duration::from_secs(7)));
    let before = tokio::time::Instant::now();
    assert_eq!(admin(&dss).get("/auth/info").await.status, 200);
    assert_eq!(before.elapsed(), Duration::from_secs(7));
    dss.once(Behaviour::Hang);
    let asking = admin(&dss);
    let hung = tokio::time::timeout(Duration::from_secs(100_000), asking.get("/auth/info")).await;
    assert!(hung.is_err());
    assert_eq!(dss.calls()[1].status, None);
    dss.clear();
    assert_eq!(admin(&dss).get("/auth/info").await.status, 200);
    assert_eq!((dss.count(), dss.calls()[0].number), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn listings_can_be_incomplete() {
    let dss = dss();
    dss.add_personal_key("alice", "keyturn");
    let rule = dss.always(Behaviour::MissingFromListing(vec!["alice".to_owned()]));
    let users = admin(&dss).get("/admin/users/").await.json();
    assert_eq!((users.as_array().unwrap().len(), &users[0]["login"]), (1, &json!("bob")));
    assert_eq!(admin(&dss).get("/admin/users/alice").await.status, 200);
    dss.forgive(rule);

    dss.behave_if(Times::N(2), |call| call.path.starts_with("/admin/"), Behaviour::EmptyListing);
    assert_eq!(acting_as(&dss, "alice").get("/personal-api-keys/").await.json().as_array().unwrap().len(), 1);
    assert_eq!(admin(&dss).get("/admin/users/").await.json(), json!([]));
    assert_eq!(admin(&dss).get("/admin/personal-api-keys/").await.json(), json!([]));
    assert_eq!(admin(&dss).get("/admin/users/").await.json().as_array().unwrap().len(), 2);
    assert_eq!(dss.count_where(|call| call.path == "/admin/users/" && call.caller == ADMIN_KEY_ID), 3);
    dss.always(Behaviour::Maintenance);
    dss.behave_well();
    assert_eq!(admin(&dss).get("/admin/users/").await.status, 200);
}
