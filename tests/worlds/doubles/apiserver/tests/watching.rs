//! Watching: kube's watcher and reflector over the double, selections, resumption, lag.
//!
//! Raw watches show which events there are, in words; a reflector shows that the real machinery
//! ends with the right picture whatever happens to its connections.

use std::pin::pin;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::{ListParams, PartialObjectMeta, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use serde_json::json;

use super::*;

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

fn selected() -> WatchParams {
    WatchParams::default().labels("keyturn.dev/aws-config")
}

/// The next events of a raw watch, as words.
async fn words(events: impl Stream<Item = kube::Result<WatchEvent<Secret>>>) -> Vec<String> {
    let events = events.map(|event| match event.unwrap() {
        WatchEvent::Added(secret) => format!("added {}", secret.metadata.name.unwrap()),
        WatchEvent::Modified(secret) => format!("modified {}", secret.metadata.name.unwrap()),
        WatchEvent::Deleted(secret) => format!("deleted {}", secret.metadata.name.unwrap()),
        WatchEvent::Bookmark(bookmark) => {
            let ends = !bookmark.metadata.annotations.is_empty();
            let word = if ends { "end of initial events" } else { "bookmark" };
            word.to_owned()
        }
        WatchEvent::Error(status) => format!("error {}", status.code),
    });
    events.collect().await
}

#[tokio::test(start_paused = true)]
async fn an_object_enters_and_leaves_the_selection() {
    let api = server();
    let since = api.version().to_string();
    api.put(secret("other", &[]));
    api.put(ours());
    label(&api, "alice", Some("bob"));
    label(&api, "alice", None);
    api.edit("secrets", NS, "alice", |secret| {
        secret["data"]["x"] = json!("OTk=");
    });
    label(&api, "alice", Some("alice"));
    api.delete("secrets", NS, "alice");
    let events = secrets(&api).watch(&selected().timeout(5), &since).await.unwrap();
    let expected = ["added", "modified", "deleted", "added", "deleted"];
    let mut expected: Vec<String> = expected.map(|word| format!("{word} alice")).to_vec();
    expected.push("bookmark".to_owned());
    assert_eq!(words(events).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_with_its_bookmark() {
    let api = server();
    api.put(secret("other", &[]));
    api.put(ours());
    let params = selected().initial_events().timeout(5);
    let events = secrets(&api).watch(&params, "").await.unwrap();
    let expected = ["added alice", "end of initial events", "bookmark"];
    assert_eq!(words(events).await, expected);
}

#[tokio::test(start_paused = true)]
async fn selectors_in_all_their_forms() {
    let api = server();
    for (name, team) in [("a", "ds"), ("b", "web"), ("c", "db")] {
        let mut body = secret(name, &[]);
        body["metadata"]["labels"] = json!({ "team": team, name: "yes" });
        api.put(body);
    }
    let table = [
        ("team=ds", "a"),
        ("team==ds,a", "a"),
        ("team!=ds", "bc"),
        ("team in (ds, web)", "ab"),
        ("team in (ds,web),!a", "b"),
        ("team notin (ds,web)", "c"),
        ("a", "a"),
        ("!a", "bc"),
        ("", "abc"),
    ];
    for (selector, expected) in table {
        let params = ListParams::default().labels(selector).limit(500);
        let found = secrets(&api).list(&params).await.unwrap();
        let names: String = found.iter().map(|secret| secret.metadata.name.clone().unwrap()).collect();
        assert_eq!(names, expected, "{selector}");
    }
    let params = ListParams::default().fields("metadata.name=b");
    assert_eq!(secrets(&api).list(&params).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_only_is_metadata_only() {
    let api = server();
    api.put(ours());
    let meta: Api<PartialObjectMeta<Secret>> = Api::namespaced(api.client(), NS);
    let config = watcher::Config::default().labels("keyturn.dev/aws-config");
    let mut events = pin!(watcher(meta, config).applied_objects());
    let seen = events.try_next().await.unwrap().unwrap();
    assert_eq!(seen.metadata.name.as_deref(), Some("alice"));
    assert!(api.count("list", "secrets") + api.count("watch", "secrets") > 0);
    assert!(api.count_where(|request| request.accept.contains("PartialObjectMetadata")) > 0);
    let one = secrets(&api).get_metadata("alice").await.unwrap();
    assert_eq!(one.types.unwrap().kind, "PartialObjectMetadata");
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
async fn a_reflector_follows_through_everything_that_happens_to_watches() {
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
async fn a_watch_from_before_the_compaction_is_told_so() {
    let api = server();
    let since = api.version().to_string();
    api.put(ours());
    api.compact();
    let events = secrets(&api).watch(&selected().timeout(5), &since).await.unwrap();
    assert_eq!(words(events).await, ["error 410"]);
    let since = api.version().to_string();
    let events = secrets(&api).watch(&selected().timeout(5), &since).await.unwrap();
    assert_eq!(words(events).await, ["bookmark"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_kept_open_gets_a_bookmark_and_goes_on() {
    let api = server();
    api.keep_watches_open();
    let since = api.version().to_string();
    let mut events = pin!(secrets(&api).watch(&selected().timeout(5), &since).await.unwrap());
    for _ in 0..2 {
        assert!(matches!(events.next().await, Some(Ok(WatchEvent::Bookmark(_)))));
    }
    api.put(ours());
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
}
