//! Watches: what they show of each change, how they begin, end, and begin anew.

use super::{Events, KEYTURN, PATIENCE, SOMEBODY, Server, base64, next, next_event, until, version, word};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, WatchParams},
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use serde_json::{Value, json};

const LABEL: &str = "keyturn.dev/aws-config";

/// A Secret with the label that the watches of these cases select.
fn ours(server: &Server, name: &str) -> Value {
    let mut body = server.secret(name, &[("a", "1")]);
    body["metadata"]["labels"] = json!({ LABEL: name });
    body
}

fn selected() -> WatchParams {
    WatchParams::default().labels(LABEL)
}

/// The version from which a watch shows what comes now.
async fn now(server: &Server, resource: &str) -> String {
    let list = server.list(resource, &ListParams::default()).await.unwrap();
    version(&list).to_owned()
}

/// Makes an object that ends what a case looks at, and gives the events before it.
async fn all_until_a_marker(server: &Server, events: &mut Events) -> Vec<String> {
    server.create(SOMEBODY, &ours(server, "marker")).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match next(events).await {
            marker if marker == "ADDED marker" => return seen,
            event => seen.push(event),
        }
    }
}

pub async fn an_object_enters_and_leaves_the_selection(server: &Server) {
    let since = now(server, "secrets").await;
    server.create(SOMEBODY, &server.secret("other", &[])).await.unwrap();
    server.create(KEYTURN, &ours(server, "alice")).await.unwrap();
    server.label("secrets", "alice", LABEL, Some("bob")).await;
    let left = server.label("secrets", "alice", LABEL, None).await;
    server.edit("secrets", "alice", |secret| secret["data"]["x"] = base64("99")).await;
    server.label("secrets", "alice", LABEL, Some("alice")).await;
    server.delete("secrets", "alice").await.unwrap();
    let mut events = server.watch("secrets", &selected(), &since).await;
    for expected in ["ADDED alice", "MODIFIED alice"] {
        assert_eq!(next(&mut events).await, expected);
    }
    let event = next_event(&mut events).await;
    assert_eq!(word(&event), "DELETED alice");
    // It is shown as it was while it was selected, in the version in which it no longer is.
    assert_eq!(event["object"]["metadata"]["labels"], json!({ LABEL: "bob" }));
    assert_eq!(version(&event["object"]), version(&left));
    assert_eq!(all_until_a_marker(server, &mut events).await, ["ADDED alice", "DELETED alice"]);
}

pub async fn a_deletion_with_a_finalizer_shows_twice(server: &Server) {
    let mut body = ours(server, "alice");
    body["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    let since = now(server, "secrets").await;
    server.create(KEYTURN, &body).await.unwrap();
    server.delete("secrets", "alice").await.unwrap();
    let patch = json!({ "metadata": { "finalizers": null } });
    server.merge(KEYTURN, "secrets", "alice", &patch).await.unwrap();
    let mut events = server.watch("secrets", &selected(), &since).await;
    for expected in ["ADDED alice", "MODIFIED alice"] {
        assert_eq!(next(&mut events).await, expected);
    }
    // The removal of the last finalizer is no change of its own, and the object is shown as it was
    // before.
    let event = next_event(&mut events).await;
    assert_eq!(word(&event), "DELETED alice");
    assert_eq!(event["object"]["metadata"]["finalizers"], json!(["keyturn.dev/cleanup"]));
    assert_eq!(all_until_a_marker(server, &mut events).await, [""; 0]);
}

pub async fn what_changes_nothing_shows_nothing(server: &Server) {
    let body = ours(server, "alice");
    let made = server.apply(KEYTURN, &body).await.unwrap();
    let mut events = server.watch("secrets", &selected(), version(&made)).await;
    server.apply(KEYTURN, &body).await.unwrap();
    server.replace(SOMEBODY, &made).await.unwrap();
    server.label("secrets", "alice", LABEL, Some("alice")).await;
    assert_eq!(all_until_a_marker(server, &mut events).await, [""; 0]);
}

pub async fn a_watch_without_a_version_begins_with_what_there_is(server: &Server) {
    for name in ["alice", "bob"] {
        server.create(KEYTURN, &ours(server, name)).await.unwrap();
    }
    for since in ["", "0"] {
        let mut events = server.watch("secrets", &selected(), since).await;
        let mut seen = [next(&mut events).await, next(&mut events).await];
        seen.sort();
        assert_eq!(seen, ["ADDED alice", "ADDED bob"], "{since:?}");
    }
}

pub async fn a_streaming_list_ends_with_its_bookmark(server: &Server) {
    if !server.streams_lists {
        return;
    }
    server.create(SOMEBODY, &server.secret("other", &[])).await.unwrap();
    let made = server.create(KEYTURN, &ours(server, "alice")).await.unwrap();
    let mut events = server.watch("secrets", &selected().initial_events(), "").await;
    assert_eq!(next(&mut events).await, "ADDED alice");
    let end = next_event(&mut events).await;
    assert_eq!(word(&end), "BOOKMARK of the end of the list");
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert!(number(version(&end["object"])) >= number(version(&made)), "{end}");
    server.label("secrets", "alice", LABEL, None).await;
    assert_eq!(next(&mut events).await, "DELETED alice");
}

pub async fn a_watch_ends_with_its_time_and_a_bookmark_before(server: &Server) {
    let since = now(server, "secrets").await;
    server.create(KEYTURN, &ours(server, "alice")).await.unwrap();
    let params = selected().timeout(4);
    let events = server.watch("secrets", &params, &since).await;
    let events: Vec<Value> = tokio::time::timeout(PATIENCE, events.collect()).await.unwrap();
    let words: Vec<String> = events.iter().map(word).collect();
    assert_eq!(words.last().map(String::as_str), Some("BOOKMARK"), "{words:?}");
    // The real server may send more of them.
    let told: Vec<&String> = words.iter().filter(|it| *it != "BOOKMARK").collect();
    assert_eq!(told, ["ADDED alice"]);
    // From there a watch goes on without a gap and without a repetition.
    let last = events.last().unwrap();
    let mut events = server.watch("secrets", &selected(), version(&last["object"])).await;
    assert_eq!(all_until_a_marker(server, &mut events).await, [""; 0]);
}

pub async fn a_watch_may_be_of_metadata_alone(server: &Server) {
    let since = now(server, "secrets").await;
    server.create(KEYTURN, &ours(server, "alice")).await.unwrap();
    server.delete("secrets", "alice").await.unwrap();
    let mut events = server.watch_metadata("secrets", &selected(), &since).await;
    for expected in ["ADDED alice", "DELETED alice"] {
        let event = next_event(&mut events).await;
        let object = &event["object"];
        assert_eq!(word(&event), expected);
        assert_eq!(
            (&object["kind"], &object["apiVersion"]),
            (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1"))
        );
        assert_eq!(object.get("data"), None);
    }
}

pub async fn a_watch_from_before_the_history_is_told_so(server: &Server) {
    let forgotten = (server.forget)(server);
    let mut events = server.watch("awsconfigs", &WatchParams::default(), &forgotten).await;
    assert_eq!(next(&mut events).await, "ERROR 410 Expired");
    let end = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    assert_eq!(end, None, "nothing follows");
    let since = now(server, "awsconfigs").await;
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let mut events = server.watch("awsconfigs", &WatchParams::default(), &since).await;
    assert_eq!(next(&mut events).await, "ADDED alice");
}

pub async fn kubes_reflector_ends_with_what_there_is(server: &Server) {
    let streaming = server.streams_lists.then(|| watcher::Config::default().streaming_lists());
    for config in [watcher::Config::default()].into_iter().chain(streaming) {
        server.apply(KEYTURN, &ours(server, "alice")).await.unwrap();
        let api: Api<Secret> = Api::namespaced(server.client.clone(), &server.namespace);
        let (store, writer) = reflector::store();
        let events = watcher(api, config.labels(LABEL)).default_backoff();
        let following = tokio::spawn(reflector(writer, events).for_each(|_| async {}));
        store.wait_until_ready().await.unwrap();
        let names = async |expected: &str| {
            until(&format!("the store has {expected:?}"), async || {
                let state = store.state();
                let mut names: Vec<_> = state.iter().filter_map(|secret| secret.metadata.name.clone()).collect();
                names.sort();
                if names.join(" ") == expected { Ok(()) } else { Err(format!("{names:?}")) }
            })
            .await;
        };
        names("alice").await;
        server.apply(KEYTURN, &ours(server, "bob")).await.unwrap();
        names("alice bob").await;
        server.label("secrets", "alice", LABEL, None).await;
        names("bob").await;
        server.delete("secrets", "bob").await.unwrap();
        names("").await;
        following.abort();
    }
}
