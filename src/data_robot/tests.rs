//! The requests on the wire, and the reading of answers.

use super::*;
use crate::rest::{Lost, Received};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use std::collections::VecDeque;

const TOKEN: &str = "token-0123456789";

#[derive(Debug, Default)]
struct Script {
    answers: parking_lot::Mutex<VecDeque<(u16, String)>>,
    sent: parking_lot::Mutex<Vec<(String, String)>>,
}

impl Wire for Script {
    fn send(&self, request: Request<String>, _: usize) -> BoxFuture<'_, Result<Received, Lost>> {
        assert_eq!(request.headers()[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
        let sent = (format!("{} {}", request.method(), request.uri()), request.body().clone());
        self.sent.lock().push(sent);
        let (status, body) = self.answers.lock().pop_front().unwrap_or((503, String::new()));
        let answer = Response::builder().status(status).body(Bytes::from(body)).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn data_robot(answers: &[(u16, Value)]) -> (DataRobot, Arc<Script>) {
    let answers = answers.iter().map(|(status, body)| (*status, body.to_string())).collect();
    let script = Arc::new(Script { answers: parking_lot::Mutex::new(answers), ..Script::default() });
    let client = DataRobot::new("https://robot.test/base/api/v2", script.clone()).unwrap();
    (client.with_token(&TOKEN.into()), script)
}

fn session() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "a secret of forty letters".into(),
        session_token: Some("a token that is longer".into()),
    }
}

fn shown(id: &str) -> Value {
    json!({"credentialId": id, "name": "n", "credentialType": "s3", "creationDate": "2026-01-01T00:00:00Z", "description": ""})
}

#[tokio::test]
async fn each_call_goes_to_its_route_and_an_update_is_one_write() {
    let (client, script) = data_robot(&[
        (200, json!({"versionString": "2.49.0"})),
        (201, shown("1f")),
        (200, shown("1f")),
        (404, json!({"message": "Not found"})),
    ]);
    assert_eq!(client.version().await.unwrap().as_deref(), Some("2.49.0"));
    assert_eq!(client.create_s3("n", "d", &session()).await.unwrap(), "1f");
    client.update_s3("1f", &session()).await.unwrap();
    client.delete("../1f").await.unwrap();
    let sent = script.sent.lock().clone();
    let routes: Vec<&str> = sent.iter().map(|(route, _)| route.as_str()).collect();
    assert_eq!(
        routes,
        [
            "GET https://robot.test/base/api/v2/version/",
            "POST https://robot.test/base/api/v2/credentials/",
            "PATCH https://robot.test/base/api/v2/credentials/1f/",
            "DELETE https://robot.test/base/api/v2/credentials/..%2F1f/",
        ]
    );
    let body: Value = serde_json::from_str(&sent[2].1).unwrap();
    let all = json!({
        "awsAccessKeyId": "ASIAEXAMPLE", "awsSecretAccessKey": "a secret of forty letters",
        "awsSessionToken": "a token that is longer",
    });
    assert_eq!(body, all, "neither the name nor the description");
}

#[tokio::test]
async fn a_long_listing_is_read_page_by_page_at_one_address() {
    let page = |id: &str, next: Option<&str>| json!({"data": [shown(id)], "next": next});
    let (client, script) =
        data_robot(&[(200, page("1", Some("https://elsewhere.test/credentials/?offset=100"))), (200, page("2", None))]);
    let ids: Vec<String> = client.credentials().await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, ["1", "2"]);
    let sent = script.sent.lock().clone();
    assert!(
        sent[1].0.ends_with("robot.test/base/api/v2/credentials/?limit=100&offset=1"),
        "the page may be short: {sent:?}"
    );
}

#[tokio::test]
async fn an_account_that_is_too_large_is_an_error_and_not_a_part() {
    let page = |number: usize| (200, json!({"data": [shown(&number.to_string())], "next": "https://robot.test/more"}));
    let pages: Vec<_> = (0..=PAGES).map(page).collect();
    let (client, script) = data_robot(&pages);
    let error = client.credentials().await.unwrap_err();
    assert_eq!((error.kind, script.sent.lock().len()), (Kind::Refused, PAGES));
    assert!(error.to_string().contains("the account has more than 200 credentials"), "{error}");
    client.may_list().await.unwrap();
    assert_eq!(script.sent.lock().len(), PAGES + 1, "one page shows whether the token is taken");
}

#[tokio::test]
async fn each_answer_has_its_kind_and_no_error_quotes_what_was_sent() {
    for (status, body, kind) in [
        (401, json!({"message": "Invalid Authorization header"}), Kind::Unauthenticated),
        (403, json!({"message": "no"}), Kind::Denied),
        (404, json!({"message": "Not found"}), Kind::NotFound),
        (409, json!({"message": "exists"}), Kind::Refused),
        (422, json!({"message": "a secret of forty letters is invalid"}), Kind::Refused),
        (422, json!({"message": format!("{TOKEN} is invalid")}), Kind::Refused),
        (502, json!("gateway"), Kind::Unreachable),
        (404, json!("no such page"), Kind::NoRoute),
        (200, json!("a login page"), Kind::Unreadable),
    ] {
        let (client, script) = data_robot(&[(status, body)]);
        let error = client.create_s3("n", "d", &session()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind, kind, "{text}");
        assert!(text.contains("POST /credentials/ at https://robot.test"), "{text}");
        assert!(!text.contains("secret of forty") && !text.contains(TOKEN), "{text}");
        assert_eq!(script.sent.lock().len(), 1, "a creation is not repeated");
    }
}
