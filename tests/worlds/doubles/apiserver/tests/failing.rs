//! Failing: each fault, where it strikes, and what the log shows of it.
//!
//! For the client a lost request and a lost answer are the same; for the objects they are not,
//! and that is what these tests look at. What a client shows whose watches fail, kube's reflector
//! says.

use std::pin::pin;

use futures::StreamExt;
use jiff::SignedDuration;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::doubles::apiserver::{Failure, Fault};
use crate::doubles::rules::Times;

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn before_the_effect_nothing_happened() {
    let api = server();
    for code in [403, 404, 409, 429, 500, 503, 504] {
        api.fault_on(Times::Once, "patch", "secrets", Fault::status(code));
        let result = apply(&api, "keyturn", &secret("alice", &[])).await;
        assert_eq!(refusal(result).0, code);
    }
    let rule = api.fault_on(Times::UntilCleared, "*", "secrets", Fault::RefuseConnection);
    for _ in 0..3 {
        let result = apply(&api, "keyturn", &secret("alice", &[])).await;
        assert!(matches!(result, Err(kube::Error::Service(_))), "{result:?}");
    }
    assert_eq!(api.get("secrets", NS, "alice"), None);
    api.forgive(rule);
    assert!(apply(&api, "keyturn", &secret("alice", &[])).await.is_ok());
    let statuses: Vec<_> = api.writes().iter().map(|request| request.status).collect();
    let refusals = [403, 404, 409, 429, 500, 503, 504].map(Some);
    assert_eq!(statuses, [&refusals[..], &[None, None, None, Some(201)]].concat());
}

#[tokio::test(start_paused = true)]
async fn after_the_effect_everything_did() {
    let api = server();
    api.fault_on(Times::Once, "patch", "secrets", Fault::LoseAnswer);
    let lost = apply(&api, "keyturn", &secret("alice", &[("a", "1")])).await;
    assert!(matches!(lost, Err(kube::Error::Service(_))), "{lost:?}");
    assert!(api.get("secrets", NS, "alice").is_some());

    let gateway = Fault::RefuseAfter(Failure::new(504, "gateway time-out"));
    api.fault_on(Times::Once, "patch", "secrets", gateway);
    let late = apply(&api, "keyturn", &secret("bob", &[("a", "1")])).await;
    assert_eq!(refusal(late), refused(504, "Timeout"));
    assert!(api.get("secrets", NS, "bob").is_some());

    api.fault_on(Times::Once, "patch", "secrets", Fault::HangAfter);
    let body = secret("carol", &[]);
    assert!(timeout(MINUTE, apply(&api, "keyturn", &body)).await.is_err());
    assert!(api.get("secrets", NS, "carol").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_late_effect_takes_place_even_if_the_client_has_given_up() {
    let api = server();
    api.fault_on(Times::Once, "patch", "secrets", Fault::Delay(2 * MINUTE));
    let body = secret("alice", &[]);
    assert!(timeout(MINUTE, apply(&api, "keyturn", &body)).await.is_err());
    assert_eq!(api.get("secrets", NS, "alice"), None);
    timeout(2 * MINUTE, api.until(|api| api.get("secrets", NS, "alice").is_some())).await.unwrap();
    api.fault_on(Times::Once, "patch", "secrets", Fault::Hang);
    let body = secret("bob", &[]);
    assert!(timeout(MINUTE, apply(&api, "keyturn", &body)).await.is_err());
    assert_eq!(api.get("secrets", NS, "bob"), None);
}

#[tokio::test(start_paused = true)]
async fn a_held_list_waits_for_its_release() {
    let api = server();
    let hold = api.hold(|request| request.lists("secrets"));
    let client = secrets(&api);
    let list = tokio::spawn(async move { client.list(&ListParams::default()).await });
    let asked = api.seen(|request| request.lists("secrets")).await;
    assert_eq!(asked.user_agent.as_deref(), Some("keyturn"));
    sleep(3600).await;
    assert_eq!(hold.waiting(), 1);
    api.put(secret("late", &[]));
    hold.release();
    assert_eq!(list.await.unwrap().unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_a_fault_too() {
    let api = server();
    api.put(secret("alice", &[]));
    api.fault_on(Times::Once, "list", "secrets", Fault::EmptyList);
    let count = async || {
        let list = secrets(&api).list(&ListParams::default()).await;
        list.unwrap().items.len()
    };
    assert_eq!([count().await, count().await], [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn another_writer_can_win_the_race() {
    let api = server();
    let hook = Fault::before(|api| {
        api.put(secret("alice", &[("a", "theirs")]));
    });
    api.fault_on(Times::Once, "create", "secrets", hook);
    let new: Secret = serde_json::from_value(secret("alice", &[])).unwrap();
    let params = kube::api::PostParams::default();
    let lost = secrets(&api).create(&params, &new).await;
    assert_eq!(refusal(lost), refused(409, "AlreadyExists"));
    let hook = Fault::after(|api| {
        api.delete("secrets", NS, "alice");
    });
    api.fault_on(Times::Once, "patch", "secrets", hook);
    assert!(apply(&api, "keyturn", &secret("alice", &[])).await.is_ok());
    assert_eq!(api.get("secrets", NS, "alice"), None);
}

#[tokio::test(start_paused = true)]
async fn the_log_names_what_was_asked() {
    let api = server();
    api.put(config("alice"));
    let params = PatchParams::apply("keyturn").force();
    let status = json!({
        "apiVersion": "keyturn.dev/v1alpha1",
        "kind": "AwsConfig",
        "metadata": { "name": "alice" },
        "status": { "person": "alice" },
    });
    configs(&api).patch_status("alice", &params, &Patch::Apply(&status)).await.unwrap();
    let request = api.writes().remove(0);
    assert_eq!((request.verb, request.resource.as_str()), ("patch", "awsconfigs"));
    assert_eq!((request.subresource.as_str(), request.namespace.as_str()), ("status", NS));
    assert_eq!(request.query["fieldManager"], "keyturn");
    assert_eq!(request.body.as_ref().unwrap()["status"]["person"], "alice");
    assert!(request.is_apply() && request.status == Some(200) && request.at == start());
    assert_eq!(api.count("patch", "awsconfigs"), 0);
    assert_eq!(api.count("patch", "awsconfigs/status"), 1);
    assert_eq!(api.count("*", "awsconfigs/*"), 1);
    api.clear_requests();
    assert!(api.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_clock_can_be_wrong_and_a_group_absent() {
    let api = server();
    api.skew(SignedDuration::from_hours(-1));
    let client = api.client();
    let request = http::Request::get("/version").body(kube::client::Body::empty()).unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.headers()["date"], "Sun, 22 Nov 2026 11:00:00 GMT");

    api.serve_group("keyturn.dev", false);
    assert!(client.list_api_group_resources("keyturn.dev/v1alpha1").await.is_err());
    let absent = configs(&api).list(&ListParams::default()).await;
    assert_eq!(refusal(absent).0, 404);
    api.serve_group("keyturn.dev", true);
    assert!(configs(&api).list(&ListParams::default()).await.is_ok());
}

#[tokio::test]
async fn over_tcp_it_is_the_same_server() {
    let api = ApiServer::new(tokio_clock(start()));
    api.namespace(NS, &[]);
    let listening = api.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut config = kube::Config::new(listening.url().parse().unwrap());
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, NS);
    assert!(secrets.list(&ListParams::default()).await.unwrap().items.is_empty());
}

// ---- watches ----

fn ours() -> Value {
    let mut body = secret("alice", &[("a", "1")]);
    body["metadata"]["labels"] = json!({ "keyturn.dev/aws-config": "alice" });
    body
}

fn label(api: &ApiServer, name: &str, value: Option<&str>) {
    api.edit("secrets", NS, name, |secret| {
        secret["metadata"]["labels"]["keyturn.dev/aws-config"] = json!(value);
    });
}

/// A reflector over the Secrets of ours, driven in the background.
fn reflected(api: &ApiServer, config: watcher::Config) -> reflector::Store<Secret> {
    let (store, writer) = reflector::store();
    let config = config.labels("keyturn.dev/aws-config");
    let events = watcher(secrets(api), config).default_backoff();
    tokio::spawn(reflector(writer, events).for_each(|_| async {}));
    store
}

fn text_of_a(store: &reflector::Store<Secret>) -> Option<String> {
    let secret = store.state().into_iter().next()?;
    texts(&secret).into_iter().next().map(|(_, text)| text)
}

#[tokio::test(start_paused = true)]
async fn a_reflector_follows_through_all_that_happens_to_watches() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let api = server();
        api.put(ours());
        let store = reflected(&api, config);
        store.wait_until_ready().await.unwrap();
        assert_eq!(text_of_a(&store).as_deref(), Some("1"));
        let troubles: [fn(&ApiServer); 5] = [
            |_| {},
            ApiServer::break_watches,
            ApiServer::end_watches,
            ApiServer::compact,
            |api| {
                api.break_watches();
                api.compact();
            },
        ];
        for (round, trouble) in troubles.iter().enumerate() {
            trouble(&api);
            let mut body = ours();
            body["stringData"]["a"] = json!(round.to_string());
            api.put(body);
            sleep(120).await;
            assert_eq!(text_of_a(&store), Some(round.to_string()));
        }
        label(&api, "alice", None);
        sleep(1).await;
        assert_eq!(text_of_a(&store), None, "it left the selection");
        // Days of nothing but time-outs of the watch.
        sleep(200_000).await;
        label(&api, "alice", Some("alice"));
        sleep(1).await;
        assert_eq!(text_of_a(&store).as_deref(), Some("4"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lagging_watch_shows_the_past() {
    let api = server();
    api.put(ours());
    let store = reflected(&api, watcher::Config::default());
    store.wait_until_ready().await.unwrap();
    sleep(1).await;
    api.lag("secrets", Duration::from_secs(30));
    let mut body = ours();
    body["stringData"]["a"] = json!("2");
    api.put(body);
    sleep(29).await;
    assert_eq!(text_of_a(&store).as_deref(), Some("1"));
    assert_eq!(texts(&secrets(&api).get("alice").await.unwrap()), pairs(&[("a", "2")]));
    sleep(2).await;
    assert_eq!(text_of_a(&store).as_deref(), Some("2"));
    label(&api, "alice", None);
    sleep(1).await;
    assert!(text_of_a(&store).is_some());
    api.lag("secrets", Duration::ZERO);
    sleep(1).await;
    assert_eq!(text_of_a(&store), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_kept_open_goes_on_after_a_bookmark() {
    let api = server();
    api.keep_watches_open();
    let since = api.version().to_string();
    let mut events = pin!(
        secrets(&api).watch(&WatchParams::default().labels("keyturn.dev/aws-config").timeout(5), &since).await.unwrap()
    );
    for _ in 0..2 {
        assert!(matches!(events.next().await, Some(Ok(WatchEvent::Bookmark(_)))));
    }
    api.put(ours());
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_says_nothing_and_does_not_end() {
    let api = server();
    let since = api.version().to_string();
    let watch = || async {
        let parameters = WatchParams::default().labels("keyturn.dev/aws-config").timeout(5);
        secrets(&api).watch(&parameters, &since).await.unwrap().boxed()
    };
    let (mut dead, hour) = (watch().await, Duration::from_secs(3600));
    api.silence_watches();
    api.put(ours());
    assert!(tokio::time::timeout(hour, dead.next()).await.is_err());
    assert!(matches!(watch().await.next().await, Some(Ok(WatchEvent::Added(_)))), "a new one is alive");
}
