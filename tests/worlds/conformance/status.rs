//! The status subresource: written apart from everything else, and without a generation.

use super::{KEYTURN, SOMEBODY, Server, pass_a_second, refusal};
use serde_json::{Value, json};

pub async fn spec_and_status_are_written_apart(server: &Server) {
    let mut body = server.config("alice");
    body["status"] = json!({ "person": "ignored" });
    let made = server.create(SOMEBODY, &body).await.unwrap();
    assert_eq!(made["status"], json!({ "observedGeneration": -1, "conditions": [] }), "a default of the CRD");

    body["spec"]["person"] = json!("ignored");
    body["status"]["person"] = json!("alice");
    let written = server.apply_status(KEYTURN, &body).await.unwrap();
    assert_eq!((&written["status"]["person"], &written["spec"]["person"]), (&json!("alice"), &json!("alice")));

    let both = json!({
        "metadata": { "labels": { "seen": "yes" } },
        "spec": { "person": "bob" },
        "status": { "person": "bob" },
    });
    let by_status = server.merge_status(KEYTURN, "awsconfigs", "alice", &both).await.unwrap();
    assert_eq!((&by_status["status"]["person"], &by_status["spec"]["person"]), (&json!("bob"), &json!("alice")));
    assert_eq!(by_status["metadata"].get("labels"), None);
    let by_object = server.merge(SOMEBODY, "awsconfigs", "alice", &both).await.unwrap();
    assert_eq!((&by_object["status"]["person"], &by_object["spec"]["person"]), (&json!("bob"), &json!("bob")));
    let replaced = server.edit("awsconfigs", "alice", |config| config["status"] = json!({})).await;
    assert_eq!(replaced["status"]["person"], "bob");
}

pub async fn generations_count_specs_alone(server: &Server) {
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    let made = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    assert_eq!(generation(&made), Some(1));
    let labelled = server.label("awsconfigs", "alice", "seen", Some("yes")).await;
    assert_eq!(generation(&labelled), Some(1));
    let status = json!({ "status": { "person": "alice" } });
    let told = server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    assert_eq!(generation(&told), Some(1));
    let edited = server.edit("awsconfigs", "alice", |config| config["spec"]["suspend"] = json!(true)).await;
    assert_eq!(generation(&edited), Some(2));
    // Kinds that have no spec have none.
    let secret = server.create(SOMEBODY, &server.secret("alice", &[])).await.unwrap();
    assert_eq!(generation(&secret), None);
    let lease = server.create(SOMEBODY, &server.lease("alice", "one")).await.unwrap();
    assert_eq!(generation(&lease), None);
}

pub async fn a_status_is_merged_and_null_removes(server: &Server) {
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let status = json!({ "status": { "conditions": [], "person": "alice", "accessKeyId": "AKIA", "expiresAt": null } });
    let first = server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    let expected = json!({ "conditions": [], "person": "alice", "accessKeyId": "AKIA", "observedGeneration": -1 });
    assert_eq!(first["status"], expected);
    let status = json!({ "status": { "accessKeyId": null, "observedGeneration": 1 } });
    let second = server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    assert_eq!(second["status"], json!({ "conditions": [], "person": "alice", "observedGeneration": 1 }));
    let absent = server.merge_status(KEYTURN, "awsconfigs", "bob", &status).await;
    assert_eq!(refusal(absent), "404 NotFound: awsconfigs.keyturn.dev \"bob\" not found");
}

pub async fn an_identical_status_changes_nothing(server: &Server) {
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let status = json!({ "status": { "person": "alice", "accessKeyId": null } });
    let first = server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    pass_a_second().await;
    assert_eq!(server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap(), first);
}

pub async fn a_kind_without_the_subresource_has_no_such_path(server: &Server) {
    let status = json!({ "status": { "seen": true } });
    server.create(SOMEBODY, &server.secret("alice", &[])).await.unwrap();
    let refused = server.merge_status(KEYTURN, "secrets", "alice", &status).await;
    assert_eq!(refusal(refused), "404 NotFound: the server could not find the requested resource");
}
