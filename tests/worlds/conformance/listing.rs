//! Lists: selections, versions, pages, metadata; and what the server says of itself.

use super::{KEYTURN, SOMEBODY, Server, names, refusal, until, version};
use kube::api::ListParams;
use serde_json::{Value, json};

/// Three Secrets: of the teams `ds`, `web` and `db`, each with a label of its own name.
async fn three(server: &Server) {
    for (name, team) in [("a", "ds"), ("b", "web"), ("c", "db")] {
        let mut body = server.secret(name, &[("key", name)]);
        body["metadata"]["labels"] = json!({ "team": team, name: "yes" });
        server.create(SOMEBODY, &body).await.unwrap();
    }
}

pub async fn selectors_in_all_their_forms(server: &Server) {
    three(server).await;
    let labels = [
        ("equal", "team=ds", "a"),
        ("equal, spelled otherwise, and present", "team==ds,a", "a"),
        ("not equal", "team!=ds", "b c"),
        ("one of several", "team in (ds, web)", "a b"),
        ("one of several and absent", "team in (ds,web),!a", "b"),
        ("none of several", "team notin (ds,web)", "c"),
        ("none of several, or absent", "a notin (yes)", "b c"),
        ("present", "a", "a"),
        ("absent", "!a", "b c"),
        ("all", "", "a b c"),
    ];
    for (case, selector, expected) in labels {
        let found = server.list("secrets", &ListParams::default().labels(selector).limit(500)).await.unwrap();
        assert_eq!(names(&found).join(" "), expected, "{case}");
    }
    let fields = [("metadata.name=b", "b"), ("metadata.name!=b", "a c"), ("type=Opaque,metadata.name!=a", "b c")];
    for (selector, expected) in fields {
        let found = server.list("secrets", &ListParams::default().fields(selector)).await.unwrap();
        assert_eq!(names(&found).join(" "), expected, "{selector}");
    }
}

pub async fn a_field_that_cannot_be_selected_is_a_bad_request(server: &Server) {
    for (resource, selector, why) in [
        ("secrets", "data.a=1", "field label not supported: data.a"),
        ("pods", "spec.priority=1", "field label not supported: spec.priority"),
        ("awsconfigs", "spec.region=eu-west-1", "field label not supported: spec.region"),
    ] {
        let refused = refusal(server.list(resource, &ListParams::default().fields(selector)).await);
        assert!(refused.starts_with("400 BadRequest: ") && refused.contains(why), "{refused}");
    }
}

pub async fn pods_are_selected_by_their_phase(server: &Server) {
    for (name, phase) in [("done", "Succeeded"), ("failed", "Failed"), ("runs", "Running")] {
        server.create(SOMEBODY, &server.pod(name)).await.unwrap();
        server.merge_status(SOMEBODY, "pods", name, &json!({ "status": { "phase": phase } })).await.unwrap();
    }
    let waits = server.create(SOMEBODY, &server.pod("waits")).await.unwrap();
    assert_eq!(waits["status"]["phase"], "Pending");
    let unfinished = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed").limit(500);
    let found = server.list("pods", &unfinished).await.unwrap();
    assert_eq!(names(&found), ["runs", "waits"]);
}

pub async fn a_list_is_at_least_as_new_as_the_write_before_it(server: &Server) {
    let number = |object: &Value| version(object).parse::<u64>().unwrap();
    let before = server.list("secrets", &ListParams::default()).await.unwrap();
    let made = server.create(KEYTURN, &server.secret("alice", &[])).await.unwrap();
    let after = server.list("secrets", &ListParams::default()).await.unwrap();
    assert!(number(&before) < number(&made) && number(&made) <= number(&after), "{before}\n{made}\n{after}");
    assert_eq!(names(&after), ["alice"]);
}

pub async fn resource_version_zero_lists_what_a_cache_has(server: &Server) {
    three(server).await;
    // A cache may be late. kube's watcher begins with this list.
    until("all three are listed", async || {
        let found = server.list("secrets", &ListParams::default().match_any()).await.unwrap();
        let found = names(&found).join(" ");
        if found == "a b c" { Ok(()) } else { Err(found) }
    })
    .await;
}

pub async fn pages_show_the_moment_of_the_first_one(server: &Server) {
    three(server).await;
    let first = server.list("secrets", &ListParams::default().limit(2)).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    server.create(SOMEBODY, &server.secret("bb", &[])).await.unwrap();
    server.delete("secrets", "c").await.unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.list("secrets", &ListParams::default().limit(2).continue_token(token)).await.unwrap();
    assert_eq!(names(&second), ["c"]);
    assert_eq!(version(&second), version(&first));
    assert_eq!(second["metadata"].get("continue"), None);
    // It can be read twice, as after a lost answer.
    let again = server.list("secrets", &ListParams::default().limit(2).continue_token(token)).await.unwrap();
    assert_eq!(again, second);
    let whole = server.list("secrets", &ListParams::default().limit(2000)).await.unwrap();
    assert_eq!(names(&whole), ["a", "b", "bb"]);
    let bad = server.list("secrets", &ListParams::default().limit(2).continue_token("nonsense")).await;
    assert!(refusal(bad).starts_with("400 BadRequest: invalid continue token: continue key is not valid: "));
}

pub async fn only_an_unselected_list_says_how_many_are_left(server: &Server) {
    three(server).await;
    let all = server.list("secrets", &ListParams::default().limit(1)).await.unwrap();
    assert_eq!(all["metadata"]["remainingItemCount"], 2);
    let selected = ListParams::default().labels("team").limit(1);
    let some = server.list("secrets", &selected).await.unwrap();
    assert_eq!(names(&some), ["a"]);
    assert_eq!(some["metadata"].get("remainingItemCount"), None);
    assert!(some["metadata"]["continue"].is_string(), "{some}");
}

pub async fn a_page_of_metadata_has_no_data(server: &Server) {
    three(server).await;
    let all = server.all("secrets");
    let first = server.ask(all.list_metadata(&ListParams::default().limit(2))).await.unwrap();
    assert_eq!((&first["kind"], &first["apiVersion"]), (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1")));
    assert_eq!(names(&first), ["a", "b"]);
    for item in first["items"].as_array().unwrap() {
        assert_eq!((&item["kind"], &item["apiVersion"]), (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1")));
        assert_eq!(item.get("data"), None);
        assert!(item["metadata"]["labels"]["team"].is_string(), "{item}");
    }
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = server.ask(all.list_metadata(&ListParams::default().continue_token(token))).await.unwrap();
    assert_eq!(names(&rest), ["c"]);
}

pub async fn items_of_built_in_kinds_do_not_repeat_their_kind(server: &Server) {
    server.create(SOMEBODY, &server.secret("alice", &[])).await.unwrap();
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let secrets = server.list("secrets", &ListParams::default()).await.unwrap();
    assert_eq!((&secrets["kind"], &secrets["apiVersion"]), (&json!("SecretList"), &json!("v1")));
    assert_eq!((secrets["items"][0].get("kind"), secrets["items"][0].get("apiVersion")), (None, None));
    let configs = server.list("awsconfigs", &ListParams::default()).await.unwrap();
    assert_eq!(configs["kind"], "AwsConfigList");
    assert_eq!(configs["items"][0]["kind"], "AwsConfig");
    assert_eq!(configs["items"][0]["apiVersion"], "keyturn.dev/v1alpha1");
}

pub async fn the_server_says_what_it_serves(server: &Server) {
    assert_eq!(server.client.apiserver_version().await.unwrap().major, "1");
    let served = server.client.list_api_group_resources("keyturn.dev/v1alpha1").await.unwrap();
    let mut served: Vec<String> = served.resources.into_iter().map(|resource| resource.name).collect();
    served.sort();
    let expected = [
        "awsconfigs",
        "awsconfigs/status",
        "awsrolegrants",
        "awsrolegrants/status",
        "awsroles",
        "awsroles/status",
        "datarobotinstances",
        "datarobotinstances/status",
        "dssinstances",
        "dssinstances/status",
    ];
    assert_eq!(served, expected);
    let absent = server.client.list_api_group_resources("absent.keyturn.dev/v1").await;
    assert!(matches!(&absent, Err(kube::Error::Api(status)) if status.code == 404), "{absent:?}");
    let request = http::Request::get("/version").body(kube::client::Body::empty()).unwrap();
    let answer = server.client.send(request).await.unwrap();
    let date = answer.headers()["date"].to_str().unwrap();
    let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    assert!(((server.clock)() - date).get_seconds().abs() < 60, "{date}");
}
