//! The double as an HTTP client sees it.
//!
//! `real::datarobot_client` runs the Python package `datarobot` against the double.

mod credentials;
mod failures;
mod lists;
mod predictions;

use axum::http::{Request, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io;

use super::{DataRobot, NOBODY};
use crate::doubles::asking::{Answer, ask};
use crate::doubles::wire::tokio_clock;

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A DataRobot with an account, and a client with its token.
fn datarobot() -> (DataRobot, Asking) {
    let datarobot = DataRobot::new(tokio_clock(start()));
    let token = datarobot.add_account("svc");
    let asking = Asking::with(&datarobot, &format!("Bearer {token}"));
    (datarobot, asking)
}

/// A client with an `Authorization`.
#[derive(Clone)]
struct Asking {
    datarobot: DataRobot,
    authorization: String,
}

impl Asking {
    fn with(datarobot: &DataRobot, authorization: &str) -> Self {
        Self { datarobot: datarobot.clone(), authorization: authorization.to_owned() }
    }

    /// Sends a request. `url` is a path below the API, or a whole URL.
    async fn send(&self, method: &str, url: &str, body: Option<Value>) -> io::Result<Answer> {
        let url = if url.starts_with("http") { url.to_owned() } else { format!("/api/v2{url}") };
        let request = Request::builder().method(method).uri(url).header(header::AUTHORIZATION, &self.authorization);
        ask(self.datarobot.router(), request, body).await
    }

    async fn get(&self, url: &str) -> Answer {
        self.send("GET", url, None).await.expect("an answer")
    }

    async fn post(&self, url: &str, body: Value) -> Answer {
        self.send("POST", url, Some(body)).await.expect("an answer")
    }

    async fn patch(&self, url: &str, body: Value) -> Answer {
        self.send("PATCH", url, Some(body)).await.expect("an answer")
    }

    async fn delete(&self, url: &str) -> Answer {
        self.send("DELETE", url, None).await.expect("an answer")
    }

    /// Creates an S3 credential with the session of this number. Returns its path.
    async fn create(&self, name: &str, session: usize) -> String {
        let created =
            self.post("/credentials/", session_of(session, json!({"name": name, "credentialType": "s3"}))).await;
        assert_eq!(created.status, 201, "{}", created.body);
        format!("/credentials/{}/", created.json()["credentialId"].as_str().unwrap())
    }
}

/// The body, with the three values of the session of this number.
fn session_of(number: usize, mut body: Value) -> Value {
    body["awsAccessKeyId"] = json!(format!("ASIA{number}"));
    body["awsSecretAccessKey"] = json!(format!("secret-{number}"));
    body["awsSessionToken"] = json!(format!("token-{number}"));
    body
}

/// The ID at the end of a path.
fn id_of(path: &str) -> &str {
    path.split('/').nth(2).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_accepted_in_two_forms_and_names_its_account() {
    let (datarobot, asking) = datarobot();
    let token = asking.authorization.trim_start_matches("Bearer ").to_owned();
    let other = datarobot.add_account("other");
    for (row, authorization, status, caller) in [
        ("the Python client", format!("Token {token}"), 200, "svc"),
        ("the REST documentation", format!("Bearer {token}"), 200, "svc"),
        ("another account", format!("bearer {other}"), 200, "other"),
        ("an unknown token", "Bearer wrong".to_owned(), 401, NOBODY),
        ("a token without a scheme", token.clone(), 401, NOBODY),
        ("another scheme", format!("Basic {token}"), 401, NOBODY),
    ] {
        let answer = Asking::with(&datarobot, &authorization).get("/version/").await;
        assert_eq!((answer.status, datarobot.calls().pop().unwrap().caller.as_str()), (status, caller), "{row}");
        if status == 401 {
            assert!(!answer.error().1.contains(&token), "{row}");
        }
    }
    let version = asking.get("/version/").await.json();
    assert_eq!(version, json!({"versionString": "2.49.0", "major": 2, "minor": 49}));

    let next = datarobot.rotate_token("svc");
    assert_eq!(asking.get("/version/").await.status, 401, "the token before");
    assert_eq!(Asking::with(&datarobot, &format!("Token {next}")).get("/version/").await.status, 200);
    datarobot.revoke_token("svc");
    assert_eq!(Asking::with(&datarobot, &format!("Token {next}")).get("/version/").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn an_account_sees_and_changes_its_own_credentials_only() {
    let (datarobot, svc) = datarobot();
    let other = Asking::with(&datarobot, &format!("Bearer {}", datarobot.add_account("other")));
    let path = svc.create("alice", 1).await;
    assert_eq!(other.get("/credentials/").await.json()["data"], json!([]));
    assert_eq!(other.get(&path).await.error(), (404, "Not found".to_owned()));
    assert_eq!(other.patch(&path, json!({"awsAccessKeyId": "ASIA9"})).await.status, 404);
    assert_eq!(other.delete(&path).await.status, 404);
    other.create("alice", 2).await;
    assert_eq!(datarobot.holds("svc", id_of(&path)).unwrap().access_key_id, "ASIA1");
    assert_eq!(datarobot.holds("other", id_of(&path)), None);

    datarobot.may_use_credentials("svc", false);
    assert_eq!((svc.get(&path).await.status, svc.get("/version/").await.status), (403, 200));
    assert_eq!(other.get("/credentials/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods_outside_the_api_are_refused_in_json() {
    let (_, svc) = datarobot();
    for (path, method, status) in [
        ("/unknown/", "GET", 404),
        ("/credentials", "GET", 404),
        ("/credentials/", "PUT", 405),
        ("/version/", "POST", 405),
    ] {
        let answer = svc.send(method, path, None).await.unwrap();
        assert_eq!(
            (answer.error().0, &answer.headers["content-type"]),
            (status, &"application/json".parse().unwrap()),
            "{path}"
        );
    }
}
