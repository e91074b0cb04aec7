//! The double as an HTTP client sees it.
//!
//! Beside these tests, the Python package `dataiku-api-client` 15.2.0 was run against the double by
//! hand.

mod callers;
mod connections;
mod failures;
mod users_and_keys;

use std::io;

use axum::http::{Request, header};
use jiff::Timestamp;
use serde_json::Value;

use super::{ADMIN_KEY, Connection, Dss};
use crate::doubles::asking::{Answer, ask};
use crate::doubles::wire::tokio_clock;

const PROPERTY: &str = "${adminProperty:associatedRole}";
const ROLE: &str = "arn:aws:iam::123456789012:role/analyst";

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// Alice is an analyst with a role, Bob is not; `lake` is for analysts.
fn dss() -> Dss {
    let dss = Dss::new(tokio_clock(start()));
    dss.add_user("alice", &["analysts"]);
    dss.set_admin_property("alice", "associatedRole", Some(ROLE));
    dss.add_user("bob", &["interns"]);
    dss.add_connection("lake", Connection::assume_role(PROPERTY).readable_by(&["analysts"]));
    dss
}

/// A client: a key, the form in which it is sent, and the user to act as.
#[derive(Clone)]
struct Asking<'a> {
    dss: &'a Dss,
    authorization: String,
    proxy_user: Option<&'a str>,
}

fn with_key<'a>(dss: &'a Dss, key: &str) -> Asking<'a> {
    Asking { dss, authorization: format!("Bearer {key}"), proxy_user: None }
}

fn admin(dss: &Dss) -> Asking<'_> {
    with_key(dss, ADMIN_KEY)
}

fn acting_as<'a>(dss: &'a Dss, login: &'a str) -> Asking<'a> {
    Asking { proxy_user: Some(login), ..admin(dss) }
}

fn own_key<'a>(dss: &'a Dss, login: &str) -> Asking<'a> {
    with_key(dss, &dss.add_personal_key(login, "by hand").key)
}

impl Asking<'_> {
    async fn send(&self, method: &str, url: &str, body: Option<Value>) -> io::Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        request = request.header(header::AUTHORIZATION, &self.authorization);
        if let Some(login) = self.proxy_user {
            request = request.header("X-DKU-ProxyUser", login);
        }
        let answer = ask(self.dss.router(), request, body).await?;
        let is_json = answer.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if answer.status >= 400 && is_json {
            let body = answer.json();
            assert!(body["errorType"].is_string() && body["detailedMessage"].is_string(), "{body}");
        }
        Ok(answer)
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", &format!("/public/api{path}"), None).await.expect("an answer")
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", &format!("/public/api{path}"), Some(body)).await.expect("an answer")
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", &format!("/public/api{path}"), Some(body)).await.expect("an answer")
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", &format!("/public/api{path}"), None).await.expect("an answer")
    }
}
