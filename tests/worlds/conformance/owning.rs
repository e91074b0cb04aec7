//! `metadata.managedFields`: who owns what after each way to write.
//!
//! The real server has an entry `.` for each map that a create or an update made. The cases leave
//! it out, because keyturn reads no managed fields and the double does not have it.

use super::{KEYTURN, SOMEBODY, Server, base64, bytes};
use kube::api::PostParams;
use serde_json::{Value, json};

/// The entries of an object as words, one for each manager and way to write: `keyturn Apply:
/// data.a`.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut owners: Vec<String> = entries
        .map(|entry| {
            let mut fields = Vec::new();
            gather("", &entry["fieldsV1"], &mut fields);
            fields.sort();
            let text = |field: &str| entry[field].as_str().unwrap_or_default();
            let way = format!("{} {} {}", text("manager"), text("operation"), text("subresource"));
            format!("{}: {}", way.trim_end(), fields.join(" "))
        })
        .collect();
    owners.sort();
    owners
}

fn gather(path: &str, fields: &Value, into: &mut Vec<String>) {
    let inner: Vec<(&String, &Value)> = fields.as_object().unwrap().iter().filter(|(field, _)| *field != ".").collect();
    if inner.is_empty() && !path.is_empty() {
        into.push(path.to_owned());
    }
    for (field, fields) in inner {
        let field = field.strip_prefix("f:").unwrap_or(field);
        let path = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        gather(&path, fields, into);
    }
}

pub async fn an_apply_owns_what_it_names(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1"), ("b", "2")]);
    body["metadata"]["labels"] = json!({ "team": "ds" });
    body["metadata"]["annotations"] = json!({ "keyturn.dev/record": "r" });
    let made = server.apply(KEYTURN, &body).await.unwrap();
    let expected = "keyturn Apply: data.a data.b metadata.annotations.keyturn.dev/record metadata.labels.team";
    assert_eq!(owners(&made), [expected]);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!((&entry["apiVersion"], &entry["fieldsType"]), (&json!("v1"), &json!("FieldsV1")));
    assert_eq!(entry["time"], made["metadata"]["creationTimestamp"]);
}

pub async fn a_create_owns_all_that_it_sets(server: &Server) {
    let made = server.create(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    // The type is the server's default, but what is created has an owner as a whole.
    assert_eq!(owners(&made), ["keyturn Update: data.a type"]);
}

pub async fn a_manager_without_a_name_is_the_client(server: &Server) {
    let body = server.secret("alice", &[("a", "1")]);
    let made = server.ask(server.all("secrets").create(&PostParams::default(), bytes(&body))).await.unwrap();
    assert_eq!(owners(&made), ["keyturn Update: data.a type"]);
}

pub async fn each_way_to_write_has_an_entry_of_its_own(server: &Server) {
    let mut body = server.config("alice");
    body["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    body["spec"] = json!({ "person": "alice" });
    server.apply(KEYTURN, &body).await.unwrap();
    server.label("awsconfigs", "alice", "seen", Some("yes")).await;
    let status = json!({ "status": { "person": "alice", "conditions": [] } });
    let after = server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    let expected = [
        "keyturn Apply: metadata.finalizers.v:\"keyturn.dev/cleanup\" spec.person",
        "keyturn Update status: status.person",
        "somebody Update: metadata.labels.seen",
    ];
    assert_eq!(owners(&after), expected);
    server.merge(KEYTURN, "awsconfigs", "alice", &json!({ "metadata": { "finalizers": null } })).await.unwrap();
}

pub async fn an_edit_takes_what_it_changes_and_leaves_the_rest(server: &Server) {
    server.apply(KEYTURN, &server.secret("alice", &[("a", "1"), ("b", "2"), ("c", "3")])).await.unwrap();
    let after = server.edit("secrets", "alice", |secret| {
        secret["data"]["a"] = base64("99");
        secret["data"].as_object_mut().unwrap().remove("b");
    });
    // What is gone has no owner.
    assert_eq!(owners(&after.await), ["keyturn Apply: data.c", "somebody Update: data.a"]);
    let after = server.apply(KEYTURN, &server.secret("alice", &[("a", "1"), ("c", "3")])).await.unwrap();
    assert_eq!(owners(&after), ["keyturn Apply: data.a data.c"]);
}

pub async fn an_owner_without_fields_is_forgotten(server: &Server) {
    server.apply(SOMEBODY, &server.secret("alice", &[("a", "1")])).await.unwrap();
    server.apply(KEYTURN, &server.secret("alice", &[("a", "2")])).await.unwrap();
    let after = server.get("secrets", "alice").await.unwrap();
    assert_eq!(owners(&after), ["keyturn Apply: data.a"]);
}
