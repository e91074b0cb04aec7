//! Create, replace and merge patch; and what a Secret's data may be.

use super::{KEYTURN, SOMEBODY, Server, base64, data, pass_a_second, refusal, uid, version};
use serde_json::{Value, json};

pub async fn a_create_fills_in_what_the_server_knows(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1")]);
    body["metadata"]["namespace"].take();
    body["metadata"]["uid"] = json!("mine");
    body["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    body["metadata"]["generation"] = json!(7);
    let made = server.create(KEYTURN, &body).await.unwrap();
    let metadata = &made["metadata"];
    assert_eq!(metadata["namespace"], server.namespace);
    assert_ne!(uid(&made), "mine");
    assert_eq!(uid(&made).len(), 36);
    assert!(version(&made).parse::<u64>().is_ok(), "{made}");
    let created: jiff::Timestamp = metadata["creationTimestamp"].as_str().unwrap().parse().unwrap();
    assert!(((server.clock)() - created).get_seconds().abs() < 60, "{created}");
    assert_eq!((data(&made).as_str(), &made["type"]), ("a=1", &json!("Opaque")));
    assert_eq!(server.get("secrets", "alice").await.unwrap(), made);
}

pub async fn string_data_becomes_data_in_base64(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1"), ("b", "2")]);
    body["stringData"] = json!({ "b": "zwei", "c": "ü" });
    let made = server.create(KEYTURN, &body).await.unwrap();
    assert_eq!(made["data"], json!({ "a": "MQ==", "b": base64("zwei"), "c": "w7w=" }));
    assert_eq!(made.get("stringData"), None);
    let merged = server.merge(KEYTURN, "secrets", "alice", &json!({ "stringData": { "a": "eins" } })).await.unwrap();
    assert_eq!(data(&merged), "a=eins b=zwei c=ü");
}

pub async fn data_that_is_not_base64_is_refused(server: &Server) {
    let mut body = server.secret("alice", &[]);
    body["data"] = json!({ "a": "!" });
    let made = refusal(server.create(KEYTURN, &body).await);
    let applied = refusal(server.apply(KEYTURN, &body).await);
    for (answer, code) in [(made, "400 BadRequest: "), (applied, "500 : ")] {
        assert!(answer.starts_with(code) && answer.contains("illegal base64 data"), "{answer}");
    }
    body["data"] = json!({ "a/b": "MQ==" });
    let refused = refusal(server.create(KEYTURN, &body).await);
    let expected = "422 Invalid: Secret \"alice\" is invalid: data[a/b]: Invalid value: \"a/b\": ";
    assert!(refused.starts_with(expected), "{refused}");
}

pub async fn a_replace_needs_the_version_that_is_there(server: &Server) {
    let first = server.create(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let mut next = first.clone();
    next["data"] = json!({ "b": base64("2") });
    let second = server.replace(KEYTURN, &next).await.unwrap();
    assert_eq!(data(&second), "b=2");
    assert_eq!(uid(&second), uid(&first));
    let stale = server.replace(KEYTURN, &next).await;
    assert!(refusal(stale).starts_with("409 Conflict: Operation cannot be fulfilled on secrets \"alice\": "));
    let mut another = second.clone();
    another["metadata"]["uid"] = json!("another");
    let refused = server.replace(KEYTURN, &another).await;
    let why = format!("Precondition failed: UID in precondition: another, UID in object meta: {}", uid(&first));
    let refused = refusal(refused);
    assert!(refused.starts_with("409 Conflict: ") && refused.ends_with(&why), "{refused}");
}

pub async fn an_identical_replace_changes_nothing(server: &Server) {
    server.create(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let there = server.get("secrets", "alice").await.unwrap();
    pass_a_second().await;
    assert_eq!(server.replace(KEYTURN, &there).await.unwrap(), there);
    // By another manager, too.
    assert_eq!(server.replace(SOMEBODY, &there).await.unwrap(), there);
}

pub async fn a_replace_without_a_version_depends_on_the_kind(server: &Server) {
    let why = "metadata.resourceVersion: Invalid value: ";
    let (secret, lease) = (server.secret("alice", &[("a", "2")]), server.lease("alice", "two"));
    server.create(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    server.create(KEYTURN, &server.lease("alice", "one")).await.unwrap();
    server.create(KEYTURN, &server.config("alice")).await.unwrap();
    assert_eq!(data(&server.replace(KEYTURN, &secret).await.unwrap()), "a=2");
    let refused = refusal(server.replace(KEYTURN, &lease).await);
    assert!(refused.starts_with("422 Invalid: ") && refused.contains(why), "{refused}");
    let refused = refusal(server.replace(KEYTURN, &server.config("alice")).await);
    assert!(refused.starts_with("422 Invalid: ") && refused.contains(why), "{refused}");
}

pub async fn a_lease_that_is_absent_is_made_by_a_replace(server: &Server) {
    let made = server.create(KEYTURN, &server.lease("alice", "one")).await.unwrap();
    let mut renewed = made.clone();
    renewed["spec"]["holderIdentity"] = json!("two");
    let renewed = server.replace(KEYTURN, &renewed).await.unwrap();
    assert_eq!(renewed["spec"]["holderIdentity"], "two");
    let stale = server.replace(KEYTURN, &made).await;
    assert!(refusal(stale).starts_with("409 Conflict: "));
    let absent = server.replace(KEYTURN, &server.lease("bob", "one")).await.unwrap();
    assert_eq!(absent["spec"]["holderIdentity"], "one");
    server.delete("leases", "alice").await.unwrap();
    // But not one that somebody has seen.
    let refused = refusal(server.replace(KEYTURN, &renewed).await);
    assert!(refused.starts_with("409 Conflict: "), "{refused}");
    let secret = server.replace(KEYTURN, &server.secret("nobody", &[])).await;
    assert_eq!(refusal(secret), "404 NotFound: secrets \"nobody\" not found");
}

pub async fn a_merge_patch_sets_replaces_and_removes(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1"), ("b", "2")]);
    body["metadata"]["annotations"] = json!({ "x": "1", "y": "2" });
    body["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    server.create(KEYTURN, &body).await.unwrap();
    let patch = json!({
        "metadata": { "annotations": { "x": null, "z": "3" }, "finalizers": ["example.com/two"] },
        "data": { "a": base64("9"), "b": null, "absent": null },
    });
    let after = server.merge(KEYTURN, "secrets", "alice", &patch).await.unwrap();
    assert_eq!(data(&after), "a=9");
    assert_eq!(after["metadata"]["annotations"], json!({ "y": "2", "z": "3" }));
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/two"]));
    let same = server.merge(SOMEBODY, "secrets", "alice", &patch).await.unwrap();
    assert_eq!(same, after);
    let patch = json!({ "metadata": { "annotations": null, "finalizers": null }, "data": null });
    let emptied = server.merge(KEYTURN, "secrets", "alice", &patch).await.unwrap();
    for (field, left) in
        [("annotations", &emptied["metadata"]), ("finalizers", &emptied["metadata"]), ("data", &emptied)]
    {
        assert_eq!(left.get(field), None, "{field}");
    }
}

pub async fn finalizers_are_merged_if_the_version_is_the_one_seen(server: &Server) {
    let seen = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let patch = |seen: &Value, finalizers: Value| json!({ "metadata": { "uid": uid(seen), "resourceVersion": version(seen), "finalizers": finalizers } });
    let ours = patch(&seen, json!(["keyturn.dev/cleanup"]));
    let held = server.merge(KEYTURN, "awsconfigs", "alice", &ours).await.unwrap();
    assert_eq!(held["metadata"]["finalizers"], json!(["keyturn.dev/cleanup"]));
    assert_eq!(held["metadata"]["generation"], 1);
    let stale = server.merge(KEYTURN, "awsconfigs", "alice", &patch(&seen, json!([]))).await;
    assert_eq!(
        refusal(stale),
        "409 Conflict: Operation cannot be fulfilled on awsconfigs.keyturn.dev \"alice\": the object has been \
         modified; please apply your changes to the latest version and try again"
    );
    let freed = server.merge(KEYTURN, "awsconfigs", "alice", &patch(&held, json!([]))).await.unwrap();
    assert_eq!(freed["metadata"].get("finalizers"), None);
    server.delete("awsconfigs", "alice").await.unwrap();
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let another = server.merge(KEYTURN, "awsconfigs", "alice", &patch(&freed, json!([]))).await;
    assert!(refusal(another).starts_with("409 Conflict: "));
    // Without a version the uid alone is no precondition, but it cannot change.
    let by_uid = json!({ "metadata": { "uid": uid(&freed), "finalizers": ["keyturn.dev/cleanup"] } });
    let refused = refusal(server.merge(KEYTURN, "awsconfigs", "alice", &by_uid).await);
    let expected = format!("metadata.uid: Invalid value: \"{}\": field is immutable", uid(&freed));
    assert_eq!(refused, format!("422 Invalid: AwsConfig.keyturn.dev \"alice\" is invalid: {expected}"));
}

pub async fn the_type_of_a_secret_does_not_change(server: &Server) {
    server.create(KEYTURN, &server.secret("alice", &[])).await.unwrap();
    let refused = server.merge(KEYTURN, "secrets", "alice", &json!({ "type": "example.com/another" })).await;
    assert_eq!(
        refusal(refused),
        "422 Invalid: Secret \"alice\" is invalid: type: Invalid value: \"example.com/another\": field is immutable"
    );
}

pub async fn an_immutable_secret_takes_no_other_data(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1")]);
    body["immutable"] = json!(true);
    server.create(KEYTURN, &body).await.unwrap();
    let why = |field: &str| {
        format!(
            "422 Invalid: Secret \"alice\" is invalid: {field}: Forbidden: field is immutable when `immutable` is set"
        )
    };
    let other = server.apply(KEYTURN, &server.secret("alice", &[("a", "2")])).await;
    assert_eq!(refusal(other), why("data"));
    let more = server.merge(KEYTURN, "secrets", "alice", &json!({ "stringData": { "b": "2" } })).await;
    assert_eq!(refusal(more), why("data"));
    let unset = server.merge(KEYTURN, "secrets", "alice", &json!({ "immutable": false })).await;
    assert_eq!(refusal(unset), why("immutable"));
    // Its metadata is not its data, and it can be deleted.
    server.apply(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    server.label("secrets", "alice", "seen", Some("yes")).await;
    server.delete("secrets", "alice").await.unwrap();
}
