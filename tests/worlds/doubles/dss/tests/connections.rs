//! The credentials of connections.

use std::sync::Arc;

use serde_json::json;

use super::{PROPERTY, ROLE, acting_as, admin, dss, own_key};
use crate::doubles::dss::{AssumedBy, Connection, HandedOut};
use crate::doubles::sts::LEAK_MARKERS;

#[tokio::test(start_paused = true)]
async fn a_connection_gives_the_credential_of_its_caller() {
    let dss = dss();
    dss.add_connection("own bucket/é", Connection::assume_role("team-${dssUserLogin}").readable_by_all());
    let info = acting_as(&dss, "alice").get("/connections/lake/info?contextualProjectKey=P").await.json();
    assert_eq!((&info["type"], &info["credentialsMode"]), (&json!("EC2"), &json!("GLOBAL")));
    assert_eq!(info["params"], json!({ "credentialsMode": "STS_ASSUME_ROLE", "stsRoleToAssume": PROPERTY }));
    let credential = &info["resolvedAWSCredential"];
    assert!(credential["secretKey"].as_str().unwrap().contains(LEAK_MARKERS[0]));
    assert!(credential["sessionToken"].as_str().unwrap().contains(LEAK_MARKERS[1]));
    assert!(credential.get("expiration").is_none());
    assert_eq!(own_key(&dss, "bob").get("/connections/own%20bucket%2F%C3%A9/info").await.status, 200);
    let call = dss.calls().pop().unwrap();
    assert_eq!((call.path.as_str(), call.base.as_str()), ("/connections/own%20bucket%2F%C3%A9/info", "/public/api"));

    let assumed: Vec<AssumedBy> = dss.handed_out().into_iter().map(|(by, _)| by).collect();
    let by = |role: &str, login: &str| AssumedBy { role: role.to_owned(), session_name: login.to_owned() };
    assert_eq!(assumed, [by(ROLE, "alice"), by("team-bob", "bob")]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_the_right_or_the_property_gives_nothing() {
    let dss = dss();
    assert_eq!(own_key(&dss, "bob").get("/connections/lake/info").await.error().0, 403);
    assert_eq!(own_key(&dss, "bob").get("/connections/sea/info").await.error().0, 404);
    let nobody = admin(&dss).get("/connections/lake/info").await.error();
    assert_eq!(nobody, (400, format!("Cannot resolve variable: {PROPERTY}")), "a global key is no user");
    dss.set_admin_property("alice", "associatedRole", None);
    dss.set_user_property("alice", "associatedRole", Some(ROLE));
    assert_eq!(acting_as(&dss, "alice").get("/connections/lake/info").await.error().0, 400);
    dss.add_connection("hidden", Connection::assume_role(ROLE));
    assert_eq!(own_key(&dss, "alice").get("/connections/hidden/info").await.error().0, 403);
    assert_eq!(admin(&dss).get("/connections/hidden/info").await.status, 200, "a fixed role needs no user");
    assert_eq!(dss.handed_out().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_of_other_types_answer_without_a_session() {
    let dss = dss();
    dss.add_connection("static", Connection::key_pair("AKIASTATIC", "secret").readable_by_all());
    dss.add_connection("machine", Connection::without_credential().readable_by_all());
    dss.add_connection("sql", Connection::other("PostgreSQL").readable_by_all());
    let alice = own_key(&dss, "alice");
    let pair = alice.get("/connections/static/info").await.json();
    assert_eq!(pair["resolvedAWSCredential"], json!({ "accessKey": "AKIASTATIC", "secretKey": "secret" }));
    let machine = alice.get("/connections/machine/info").await.json();
    assert_eq!((&machine["type"], machine.get("resolvedAWSCredential")), (&json!("EC2"), None));
    let sql = alice.get("/connections/sql/info").await.json();
    assert_eq!((&sql["type"], sql.get("resolvedAWSCredential")), (&json!("PostgreSQL"), None));
    assert_eq!(sql["resolvedBasicCredential"]["user"], "dss");
}

#[tokio::test(start_paused = true)]
async fn sessions_can_be_cached_dated_and_supplied_by_the_test() {
    let dss = dss();
    let alice = own_key(&dss, "alice");
    let credential = async || alice.get("/connections/lake/info").await.json()["resolvedAWSCredential"].clone();
    dss.tells_expiration(true);
    assert_eq!(credential().await["expiration"], "2026-11-22T13:00:00Z");
    assert_ne!(credential().await, credential().await);
    dss.caches_sessions(true);
    let cached = credential().await;
    assert_eq!(cached, credential().await);
    dss.forget_sessions();
    assert_ne!(cached, credential().await);

    dss.forget_sessions();
    dss.set_sessions(Arc::new(|by| {
        let session =
            HandedOut { access_key: by.session_name, secret_key: by.role, session_token: None, expiration: None };
        Box::pin(async move { Ok(session) })
    }));
    assert_eq!(credential().await, json!({ "accessKey": "alice", "secretKey": ROLE }));
    dss.forget_sessions();
    dss.set_sessions(Arc::new(|_| Box::pin(async { Err("AccessDenied".to_owned()) })));
    let refused = alice.get("/connections/lake/info").await.error();
    assert_eq!(refused, (500, "Failed to assume role: AccessDenied".to_owned()));
}
