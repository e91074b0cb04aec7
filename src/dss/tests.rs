//! The requests on the wire, and the reading of answers. The answers are written out here. The
//! double of DSS, which other tests use, also knows rights.

use super::*;
use crate::{network::Proxies, rest::Received};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

const KEY: &str = "admin-key-0123456789";

#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Received, Lost>>>,
    sent: Mutex<Vec<(Instant, Request<String>)>>,
}

impl Wire for Script {
    fn send(&self, request: Request<String>, most: usize) -> BoxFuture<'_, Result<Received, Lost>> {
        self.sent.lock().push((Instant::now(), request));
        let answer = self.answers.lock().pop_front().unwrap_or(Err(Lost::Unreachable("refused".into())));
        let answer = answer.and_then(|answer| if answer.body().len() > most { Err(Lost::TooLong) } else { Ok(answer) });
        Box::pin(std::future::ready(answer))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among answers that are lost")]
fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Received, Lost> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    Ok(answer.body(Bytes::from(body.to_owned())).unwrap())
}

fn dss(answers: Vec<Result<Received, Lost>>) -> (Dss, Arc<Script>) {
    let script = Arc::new(Script { answers: Mutex::new(answers.into()), ..Script::default() });
    (Dss::new("https://dss.example.com:11200/base", &KEY.into(), Scheme::Basic, script.clone()).unwrap(), script)
}

impl Script {
    fn sent(&self) -> Vec<String> {
        let sent = self.sent.lock();
        sent.iter().map(|(_, request)| format!("{} {}", request.method(), request.uri())).collect()
    }
}

#[tokio::test]
async fn each_call_goes_to_its_route_with_the_key_as_the_user_name() {
    let (dss, script) = dss(vec![
        answer(200, &[], r#"{"dssVersion": "14.2.2"}"#),
        answer(200, &[], "[]"),
        answer(200, &[], r#"{"login": "a/b?c@x"}"#),
        answer(200, &[], r#"{"type": "EC2"}"#),
        answer(200, &[], r#"{"id": "1", "key": "k"}"#),
        answer(204, &[], ""),
    ]);
    assert_eq!(dss.version().await.unwrap().as_deref(), Some("14.2.2"));
    dss.users().await.unwrap();
    dss.user("a/b?c@x").await.unwrap().unwrap();
    dss.as_user("alice").connection("s3", Some("FRAUD")).await.unwrap();
    dss.create_personal_key("alice", "label", "why").await.unwrap();
    dss.delete_personal_key("1", "alice").await.unwrap();
    let base = "https://dss.example.com:11200/base/public/api";
    assert_eq!(
        script.sent(),
        [
            format!("GET {base}/instance-info"),
            format!("GET {base}/admin/users/?includeSettings=true"),
            format!("GET {base}/admin/users/a%2Fb%3Fc@x"),
            format!("GET {base}/connections/s3/info?contextualProjectKey=FRAUD"),
            format!("POST {base}/admin/personal-api-keys/"),
            format!("DELETE {base}/personal-api-keys/1"),
        ]
    );
    let sent = script.sent.lock();
    let header = |at: usize, name: &str| sent[at].1.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header(0, "authorization"), Some("Basic YWRtaW4ta2V5LTAxMjM0NTY3ODk6"));
    assert_eq!((header(3, "x-dku-proxyuser"), header(2, "x-dku-proxyuser")), (Some("alice"), None));
    assert_eq!(sent[4].1.body(), r#"{"description":"why","label":"label","user":"alice"}"#);
}

#[tokio::test]
async fn a_version_is_short_and_never_quotes_the_key() {
    let (long, basic) = ("1".repeat(65), format!("v {}", encoded(KEY)));
    for (row, version, expected) in [
        ("a version", "14.2.2-beta1", Some("14.2.2-beta1")),
        ("the key", KEY, None),
        ("the key as it is sent", basic.as_str(), None),
        ("a long text", long.as_str(), None),
    ] {
        let (dss, _) = dss(vec![answer(200, &[], &json!({"dssVersion": version}).to_string())]);
        assert_eq!(dss.version().await.unwrap().as_deref(), expected, "{row}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_host_that_quotes_the_key_is_not_named() {
    let to = format!("https://{}.example.com/login", KEY.to_ascii_uppercase());
    let (dss, _) = dss(vec![answer(302, &[("location", &to)], "")]);
    let said = dss.auth_info().await.unwrap_err().to_string();
    assert!(said.contains("it redirects, where the API key is not sent"), "{said}");
    assert!(!said.to_ascii_lowercase().contains(KEY), "{said}");
}

#[tokio::test]
async fn the_bearer_scheme_sends_the_key_as_a_token() {
    let script = Arc::new(Script { answers: Mutex::new([answer(200, &[], "[]")].into()), ..Script::default() });
    let dss = Dss::new("https://dss.example.com", &KEY.into(), Scheme::Bearer, script.clone()).unwrap();
    dss.users().await.unwrap();
    let sent = script.sent.lock();
    assert_eq!(sent[0].1.headers()["authorization"], format!("Bearer {KEY}"));
    assert!(sent[0].1.headers()["authorization"].is_sensitive());
}

#[tokio::test(start_paused = true)]
async fn idempotent_calls_are_retried_and_creations_are_not() {
    let (reading, script) = dss(vec![
        Err(Lost::Unreachable("reset".into())),
        answer(503, &[("retry-after", "4")], "<html>maintenance</html>"),
        answer(200, &[], "[]"),
    ]);
    assert!(reading.personal_keys().await.is_ok());
    let at: Vec<Instant> = script.sent.lock().iter().map(|(at, _)| *at).collect();
    assert!(at[2] - at[1] >= Duration::from_secs(4), "Retry-After is kept to");

    let (creating, script) = dss(vec![Err(Lost::Unreachable("reset".into()))]);
    let error = creating.create_personal_key("alice", "l", "d").await.unwrap_err();
    assert_eq!((error.kind, script.sent().len()), (Kind::Unreachable, 1));
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_ends_the_call() {
    let (dss, script) = dss(vec![answer(429, &[("retry-after", "120")], "{}")]);
    assert_eq!(dss.users().await.unwrap_err().kind, Kind::Unreachable);
    assert_eq!(script.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_answer_has_its_kind_and_a_sentence_that_names_the_route() {
    let denied = r#"{"errorType": "java.lang.SecurityException", "message": "not an admin"}"#;
    let echo =
        format!(r#"{{"errorType": "a.B", "message": "bad key {KEY}\nsecond line YWRtaW4ta2V5LTAxMjM0NTY3ODk6"}}"#);
    let no_such = r#"{"errorType": "a.B", "message": "no"}"#;
    let table = [
        (answer(401, &[], r#"{"errorType": "a.B", "message": "bad key"}"#), Kind::Unauthenticated, "a.B: bad key"),
        (answer(403, &[], denied), Kind::Denied, "java.lang.SecurityException: not an admin"),
        (
            answer(400, &[], r#"{"errorType": "a.B", "message": "m", "detailedMessage": "more"}"#),
            Kind::Refused,
            "HTTP 400, a.B: more",
        ),
        (answer(200, &[], "<html>login</html>"), Kind::Unreadable, "a web page"),
        (answer(403, &[], "<html>waf</html>"), Kind::Unreadable, "a web page"),
        (answer(200, &[], r#"{"login": "#), Kind::Unreadable, "something that is no answer"),
        (answer(200, &[], ""), Kind::Unreadable, "nothing"),
        (answer(302, &[("location", "https://sso.example/login?t=1")], ""), Kind::Unreadable, "https://sso.example,"),
        (answer(404, &[], no_such), Kind::NotFound, "HTTP 404"),
        (answer(400, &[], &echo), Kind::Refused, "bad key …"),
        (answer(200, &[], &format!("\"{}\"", "x".repeat(2 << 20))), Kind::Unreadable, "longer than 1024 KiB"),
    ];
    for (answer, kind, words) in table {
        let (dss, _) = dss(vec![answer]);
        let error = dss.auth_info().await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind, kind, "{said}");
        assert!(said.starts_with("GET /auth/info at https://dss.example.com:11200: "), "{said}");
        assert!(
            said.contains(words)
                && !said.contains(KEY)
                && !said.contains("YWRtaW4")
                && !said.contains('\n')
                && said.len() < 500,
            "{said}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_dss_s_own_only_with_an_error_type() {
    let not_dss = [
        "404 page not found",
        "RBAC: access denied",
        " \r\n<html>waf</html>",
        "",
        "{}",
        "[]",
        r#"{"message": "Forbidden"}"#,
        r#"{"errorType": null, "message": "no"}"#,
        r#"["java.lang.SecurityException"]"#,
    ];
    for body in not_dss {
        for status in [400, 401, 403, 404, 405, 409] {
            let each = || answer(status, &[], body);
            let (dss, _) = dss(vec![each(), each(), each(), each()]);
            let kind = if matches!(status, 404 | 405) { Kind::NoRoute } else { Kind::Unreadable };
            assert_eq!(dss.users().await.unwrap_err().kind, kind, "{status} {body}");
            assert_eq!(dss.user("alice").await.unwrap_err().kind, kind, "{status} {body}");
            assert_eq!(dss.delete_personal_key("7", "alice").await.unwrap_err().kind, kind);
        }
        let (dss, _) = dss(vec![answer(500, &[], body), answer(500, &[], body), answer(500, &[], body)]);
        assert_eq!(dss.users().await.unwrap_err().kind, Kind::Unreachable, "{body}");
    }
    let own = || answer(500, &[], r#"{"errorType": "a.B", "message": "no"}"#);
    let (failed, _) = dss(vec![own(), own(), own()]);
    let error = failed.users().await.unwrap_err();
    assert_eq!((error.kind, error.said.as_str()), (Kind::Failed, "HTTP 500, a.B: no"));
    let (dss, _) = dss(vec![answer(200, &[], ""), answer(204, &[], "")]);
    assert_eq!(dss.user("alice").await.unwrap_err().kind, Kind::Unreadable, "nothing is no word on anybody");
    assert_eq!(dss.user("alice").await.unwrap_err().kind, Kind::Unreadable);
}

#[tokio::test]
async fn a_key_of_somebody_else_is_deleted_as_its_owner_where_an_admin_may_not() {
    let not_yours = || answer(403, &[], r#"{"errorType": "a.B", "message": "not yours"}"#);
    let (as_owner, script) = dss(vec![not_yours(), answer(204, &[], "")]);
    as_owner.delete_personal_key("7", "alice").await.expect("it is hers");
    assert_eq!(script.sent.lock()[1].1.headers()["x-dku-proxyuser"], "alice");

    // "Not found" may mean the key or its owner. The list of all keys decides.
    let not_found = || answer(404, &[], r#"{"errorType": "a.B", "message": "not found"}"#);
    for (listed, gone) in [(r#"[{"id": "8", "user": "bob"}]"#, true), (r#"[{"id": "7", "user": "alice"}]"#, false)] {
        let (dss, script) = dss(vec![not_yours(), not_found(), answer(200, &[], listed)]);
        let deleted = dss.delete_personal_key("7", "alice").await;
        assert_eq!(deleted.map_err(|error| error.kind), if gone { Ok(()) } else { Err(Kind::Denied) });
        assert!(
            script.sent()[2].ends_with("GET https://dss.example.com:11200/base/public/api/admin/personal-api-keys/")
        );
    }
    let (gone, script) = dss(vec![not_found()]);
    gone.delete_personal_key("7", "alice").await.expect("what is gone is gone");
    assert_eq!(script.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_refusal_of_dss_itself_shows_that_a_key_is_no_admin_s() {
    let own = r#"{"errorType": "a.B", "message": "no"}"#;
    for (row, status, body, expected) in [
        ("the settings of the user", 200, r#"{"login": "alice"}"#, Ok(true)),
        ("an empty answer", 200, "", Err(Kind::Unreadable)),
        ("JSON of another form", 200, r#"{"ok": true}"#, Err(Kind::Unreadable)),
        ("a missing right", 403, own, Ok(false)),
        ("a missing right, with the other status", 401, own, Ok(false)),
        ("no such user", 404, own, Err(Kind::NotFound)),
        ("another refusal", 400, own, Err(Kind::Refused)),
        ("a failure of DSS", 500, own, Err(Kind::Failed)),
        ("a proxy's refusal", 403, "<html>waf</html>", Err(Kind::Unreadable)),
        ("a login page", 200, "<html>login</html>", Err(Kind::Unreadable)),
    ] {
        let each = || answer(status, &[], body);
        let (dss, script) = dss(vec![each(), each(), each()]);
        let asked = dss.may_administer("alice").await;
        assert_eq!(asked.map_err(|error| error.kind), expected, "{row}");
        assert!(script.sent()[0].ends_with("/public/api/admin/users/alice"), "{row}");
    }
}

#[tokio::test]
async fn a_login_that_is_no_header_sends_nothing() {
    let (dss, script) = dss(vec![]);
    assert!(dss.as_user("alice\r\nx: y").auth_info().await.is_err());
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn a_user_of_another_login_than_the_one_asked_for_is_missing() {
    for (row, asked, found, is_there) in [
        ("exactly", "alice", r#"{"login": "alice"}"#, true),
        ("another case", "ALICE", r#"{"login": "alice"}"#, false),
        ("another person", "alice", r#"{"login": "bob"}"#, false),
        ("with a blank", "alice", r#"{"login": "alice "}"#, false),
    ] {
        let (dss, _) = dss(vec![answer(200, &[], found)]);
        assert_eq!(dss.user(asked).await.unwrap().is_some(), is_there, "{row}");
    }
}

#[tokio::test]
async fn a_listing_is_read_up_to_16_mib() {
    let padded = |bytes: usize| answer(200, &[], &format!("{}[]", " ".repeat(bytes - 2)));
    let (dss, _) = dss(vec![padded(16 << 20), padded((16 << 20) + 1)]);
    assert!(dss.users().await.is_ok());
    let error = dss.users().await.unwrap_err();
    assert!(error.kind == Kind::Unreadable && error.to_string().contains("longer than 16384 KiB"), "{error}");
}

#[test]
fn a_bundle_without_certificates_is_refused() {
    let tls = |pem: &str| Tls { ca_bundle: Some(pem.to_owned()), insecure_skip_verify: false };
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"] {
        assert!(connect(&tls(pem), &Proxies::default()).is_err(), "{pem}");
    }
}

#[tokio::test]
async fn a_name_that_no_route_can_hold_is_never_sent() {
    for name in [".", ".."] {
        let (dss, script) = dss(vec![answer(200, &[], "[]")]);
        assert_eq!(dss.user(name).await.unwrap(), None);
        assert_eq!(dss.connection(name, None).await.unwrap_err().kind, Kind::NotFound);
        assert!(script.sent().is_empty(), "{:?}", script.sent());
    }
}

#[tokio::test]
async fn missing_fields_spoil_no_listing() {
    let keys = r#"[{"id": "1", "user": "a", "label": null}, {"id": "2", "label": "l"}, {"id": "3", "user": null}]"#;
    let users = r#"[{"login": "a", "enabled": null, "adminProperties": null}, {"login": "b", "enabled": false}]"#;
    let (dss, _) = dss(vec![answer(200, &[], keys), answer(200, &[], users)]);
    let keys = dss.personal_keys().await.unwrap();
    let shown: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.user.as_str(), key.label.as_str())).collect();
    assert_eq!(shown, [("1", "a", ""), ("2", "", "l"), ("3", "", "")]);
    let enabled: Vec<bool> = dss.users().await.unwrap().iter().map(|user| user.enabled).collect();
    assert_eq!(enabled, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_read_in_seconds_or_as_a_date() {
    let at = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let table = [
        (vec![("retry-after", "120")], Some(120)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT"), at], Some(120)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:40:00 GMT"), at], Some(0)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")], None),
        (vec![("retry-after", "soon"), at], None),
    ];
    for (headers, seconds) in table {
        let each = || answer(429, &headers, "{}");
        let (dss, _) = dss(vec![each(), each(), each()]);
        let error = dss.users().await.unwrap_err();
        assert_eq!(error.retry_after, seconds.map(Duration::from_secs), "{headers:?}");
    }
}

const OF_ALICE: &str = r#"{"login": "alice", "enabled": false, "secrets": [{"name": "MINE", "value": "e:AES:AbCdEfGhIjKl", "secret": true}]}"#;

#[tokio::test]
async fn secrets_are_written_alone_and_others_are_sent_back_as_read() {
    let (dss, script) =
        dss(vec![answer(200, &[], OF_ALICE), answer(200, &[], r#"[{"login": "alice", "status": "SUCCESS"}]"#)]);
    let secrets = dss.secrets_of("alice").await.unwrap().unwrap();
    assert_eq!(secrets.names().collect::<Vec<_>>(), ["MINE"]);
    dss.set_secrets_of("alice", &secrets.with("A", "new")).await.unwrap();
    assert_eq!(script.sent()[1], "PUT https://dss.example.com:11200/base/public/api/admin/users/actions/bulk");
    let body: serde_json::Value = serde_json::from_str(script.sent.lock()[1].1.body()).unwrap();
    let mine = json!({"name": "MINE", "value": "e:AES:AbCdEfGhIjKl", "secret": true});
    let new = json!({"name": "A", "value": "new", "secret": true});
    assert_eq!(body, json!([{"login": "alice", "secrets": [mine, new]}]), "no other field of the user");
}

#[tokio::test]
async fn an_answer_that_does_not_show_what_others_wrote_is_unreadable() {
    for (row, said) in [
        ("no secrets", r#"{"login": "alice", "credentials": {}}"#),
        ("no list of secrets", r#"{"login": "alice", "secrets": null, "credentials": {}}"#),
    ] {
        let (dss, _) = dss(vec![answer(200, &[], said)]);
        assert_eq!(dss.secrets_of("alice").await.unwrap_err().kind, Kind::Unreadable, "{row}");
    }
    for (row, said) in [
        ("no credentials", r#"{"login": "alice", "secrets": []}"#),
        ("no map of credentials", r#"{"login": "alice", "secrets": [], "credentials": []}"#),
        ("no login", r#"{"secrets": [], "credentials": {}}"#),
    ] {
        let (dss, _) = dss(vec![answer(200, &[], said)]);
        assert_eq!(
            dss.as_user("alice").own_settings().await.err().map(|error| error.kind),
            Some(Kind::Unreadable),
            "{row}"
        );
    }
}

#[tokio::test]
async fn a_write_of_secrets_fails_unless_dss_says_that_it_succeeded() {
    let wrote = r#"[{"login": "alice", "status": "SUCCESS"}]"#;
    for (row, said, kind) in [
        ("success", answer(200, &[], wrote), None),
        (
            "failure",
            answer(200, &[], r#"[{"login": "alice", "status": "FAILURE", "error": "no"}]"#),
            Some(Kind::Refused),
        ),
        ("another user", answer(200, &[], r#"[{"login": "bob", "status": "SUCCESS"}]"#), Some(Kind::Unreadable)),
        ("nothing", answer(200, &[], "[]"), Some(Kind::Unreadable)),
        ("no such route", answer(404, &[], "<html>"), Some(Kind::NoRoute)),
        ("another method", answer(405, &[], ""), Some(Kind::NoRoute)),
        ("once only", answer(503, &[], ""), Some(Kind::Unreachable)),
    ] {
        // A second answer would be that to a retry.
        let (dss, script) = dss(vec![said, answer(200, &[], wrote)]);
        let secrets: UserSecrets = serde_json::from_str(OF_ALICE).unwrap();
        let failed = dss.set_secrets_of("alice", &secrets).await.err();
        assert_eq!((failed.map(|error| error.kind), script.sent().len()), (kind, 1), "{row}");
    }
}

#[tokio::test]
async fn no_error_quotes_a_part_of_what_was_sent() {
    let secrets: UserSecrets = serde_json::from_str(OF_ALICE).unwrap();
    let secrets = secrets.with("A", "wJalrXUtnFEMIK7MDENG");
    for (row, status, body) in [
        ("a new value", 400, r#"{"errorType": "Bad", "message": "cannot read wJalrXUtnFEMIK7MDENG"}"#),
        ("a part of it", 400, r#"{"errorType": "Bad", "message": "unexpected token at XUtnFEMI"}"#),
        ("what others wrote", 500, r#"{"errorType": "Bad", "message": "e:AES:AbCdEfGhIjKl"}"#),
        (
            "in the status of a user",
            200,
            r#"[{"login": "alice", "status": "FAILURE", "error": "wJalrXUtnFEMIK7MDENG"}]"#,
        ),
    ] {
        let (dss, _) = dss(vec![answer(status, &[], body)]);
        let said = dss.set_secrets_of("alice", &secrets).await.unwrap_err().to_string();
        assert!(said.contains("is not repeated here"), "{row}: {said}");
    }
    let (dss, _) = dss(vec![answer(403, &[], r#"{"errorType": "Denied", "message": "user is disabled"}"#)]);
    let settings: OwnSettings = serde_json::from_value(json!({"login": "alice", "credentials": {}})).unwrap();
    let settings = settings.with_credential("lake", "AKIA", "wJalrXUtnFEMIK7MDENG");
    let said = dss.set_own_settings(&settings).await.unwrap_err().to_string();
    assert!(said.contains("user is disabled"), "its own words, otherwise: {said}");
    assert!(!format!("{settings:?} {secrets:?}").contains("wJalr"));
}

#[tokio::test]
async fn own_settings_are_sent_back_with_one_credential_changed() {
    let own = r#"{"login": "alice", "userProperties": {"a": "b"}, "credentials": {"x": {"type": "BASIC", "user": "u", "password": "e:AES:1"}}}"#;
    let (dss, script) = dss(vec![answer(200, &[], own), answer(204, &[], ""), answer(200, &[], "{}")]);
    let alice = dss.as_user("alice");
    let settings = alice.own_settings().await.unwrap().with_credential("lake", "AKIA", "s");
    assert!(settings.has_credential("lake") && settings.has_credential("x"));
    alice.set_own_settings(&settings).await.unwrap();
    {
        let sent = script.sent.lock();
        let body: serde_json::Value = serde_json::from_str(sent[1].1.body()).unwrap();
        assert_eq!(body["userProperties"], json!({"a": "b"}));
        assert_eq!(body["credentials"]["x"]["password"], json!("e:AES:1"));
        assert_eq!(body["credentials"]["lake"], json!({"type": "BASIC", "user": "AKIA", "password": "s"}));
        assert!(sent.iter().all(|(_, request)| request.headers()["x-dku-proxyuser"] == "alice"));
    }
    assert!(!settings.without_credential("lake").has_credential("lake"));
    assert_eq!(alice.own_settings().await.unwrap_err().kind, Kind::Unreadable, "an answer that names nobody");
}
