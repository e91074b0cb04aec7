//! Writing: applies and who owns what, merges, status, preconditions, finalizers, garbage.
//!
//! Each test is a rule of the real server that the operator's way to write depends on. "Nothing
//! changed" is always told by the version: the same version means no write and no event.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_identical_apply_changes_nothing() {
    let api = server();
    let body = secret("alice", &[("a", "1"), ("b", "2")]);
    let first = apply(&api, "keyturn", &body).await.unwrap();
    assert_eq!(texts(&first), pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!(first.metadata.creation_timestamp.unwrap().0, start());
    let before = api.version();
    sleep(60).await;
    apply(&api, "keyturn", &body).await.unwrap();
    assert_eq!(api.version(), before);
}

#[tokio::test(start_paused = true)]
async fn an_apply_removes_only_the_fields_that_no_other_manager_owns() {
    let api = server();
    apply(&api, "keyturn", &secret("alice", &[("a", "1"), ("b", "2")])).await.unwrap();
    let mut other = secret("alice", &[("c", "3")]);
    other["metadata"]["labels"] = json!({ "somebody": "else" });
    let both = apply(&api, "other", &other).await.unwrap();
    let managers = both.metadata.managed_fields.unwrap().into_iter();
    let managers: Vec<_> = managers.map(|entry| entry.manager.unwrap()).collect();
    assert_eq!(managers, ["keyturn", "other"]);

    let after = apply(&api, "keyturn", &secret("alice", &[("a", "1")])).await.unwrap();
    assert_eq!(texts(&after), pairs(&[("a", "1"), ("c", "3")]));
    assert_eq!(after.metadata.labels.unwrap()["somebody"], "else");

    // What two own goes only when both have let go of it.
    apply(&api, "other", &secret("alice", &[("a", "1")])).await.unwrap();
    let shared = apply(&api, "keyturn", &secret("alice", &[("b", "2")])).await.unwrap();
    assert_eq!(texts(&shared), pairs(&[("a", "1"), ("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn created_fields_and_applied_fields_have_separate_owners() {
    let api = server();
    let new: Secret = serde_json::from_value(secret("alice", &[("a", "1"), ("b", "2")])).unwrap();
    let params = PostParams { field_manager: Some("keyturn".to_owned()), ..PostParams::default() };
    secrets(&api).create(&params, &new).await.unwrap();
    let after = apply(&api, "keyturn", &secret("alice", &[("a", "9")])).await.unwrap();
    // `b` still belongs to the same manager, but by its create: an apply does not take it away.
    assert_eq!(texts(&after), pairs(&[("a", "9"), ("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_edited_or_removed_comes_back_by_force_only() {
    let api = server();
    let body = secret("alice", &[("a", "1"), ("b", "2")]);
    apply(&api, "keyturn", &body).await.unwrap();
    api.edit("secrets", NS, "alice", |secret| {
        secret["data"]["a"] = json!("OTk=");
        secret["data"].as_object_mut().unwrap().remove("b");
        secret["data"]["mine"] = json!("OTk=");
    });
    let gentle = PatchParams::apply("keyturn");
    let result = secrets(&api).patch("alice", &gentle, &Patch::Apply(&body)).await;
    assert_eq!(refusal(result), refused(409, "Conflict"));
    let after = apply(&api, "keyturn", &body).await.unwrap();
    assert_eq!(texts(&after), pairs(&[("a", "1"), ("b", "2"), ("mine", "99")]));
    // A foreign label moves the version; the next apply of ours does not.
    api.edit("Secret", NS, "alice", |secret| {
        secret["metadata"]["labels"]["seen"] = json!("yes");
    });
    let before = api.version();
    apply(&api, "keyturn", &body).await.unwrap();
    assert_eq!(api.version(), before);
}

#[tokio::test(start_paused = true)]
async fn an_apply_with_a_uid_is_about_that_object_only() {
    let api = server();
    let mut body = secret("alice", &[("a", "1")]);
    let first = apply(&api, "keyturn", &body).await.unwrap();
    body["metadata"]["uid"] = json!(first.metadata.uid.unwrap());
    assert!(apply(&api, "keyturn", &body).await.is_ok());
    api.recreate("secrets", NS, "alice");
    let recreated = apply(&api, "keyturn", &body).await;
    assert_eq!(refusal(recreated), refused(409, "Conflict"));
    api.delete("secrets", NS, "alice");
    let absent = apply(&api, "keyturn", &body).await;
    assert_eq!(refusal(absent), refused(409, "Conflict"));
}

#[tokio::test(start_paused = true)]
async fn owner_references_and_finalizers_are_merged_by_key() {
    let api = server();
    let owner = api.put(config("alice"));
    let reference = json!({
        "apiVersion": "keyturn.dev/v1alpha1",
        "kind": "AwsConfig",
        "name": "alice",
        "uid": owner["metadata"]["uid"],
    });
    let mut ours = secret("alice", &[("a", "1")]);
    ours["metadata"]["ownerReferences"] = json!([reference]);
    apply(&api, "keyturn", &ours).await.unwrap();
    let mut theirs = secret("alice", &[]);
    theirs["metadata"]["finalizers"] = json!(["example.com/keep"]);
    apply(&api, "other", &theirs).await.unwrap();
    let after = apply(&api, "keyturn", &ours).await.unwrap();
    assert_eq!(after.metadata.finalizers.unwrap(), ["example.com/keep"]);
    assert_eq!(after.metadata.owner_references.unwrap().len(), 1);
    ours["metadata"]["ownerReferences"] = json!([]);
    let after = apply(&api, "keyturn", &ours).await.unwrap();
    assert_eq!(after.metadata.owner_references, None);
}

#[tokio::test(start_paused = true)]
async fn an_immutable_secret_refuses_other_data() {
    let api = server();
    let mut body = secret("alice", &[("a", "1")]);
    apply(&api, "keyturn", &body).await.unwrap();
    api.edit("secrets", NS, "alice", |secret| {
        secret["immutable"] = json!(true);
    });
    assert!(apply(&api, "keyturn", &body).await.is_ok());
    body["stringData"]["a"] = json!("2");
    assert_eq!(refusal(apply(&api, "keyturn", &body).await), refused(422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn create_and_replace_know_what_is_there() {
    let api = server();
    let params = PostParams::default();
    let new: Secret = serde_json::from_value(secret("alice", &[("a", "1")])).unwrap();
    let made = secrets(&api).create(&params, &new).await.unwrap();
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert_eq!(texts(&made), pairs(&[("a", "1")]));
    let again = secrets(&api).create(&params, &new).await;
    assert_eq!(refusal(again), refused(409, "AlreadyExists"));

    let nowhere: Api<Secret> = Api::namespaced(api.client(), "nowhere");
    let mut elsewhere = new.clone();
    elsewhere.metadata.namespace = None;
    let missing = nowhere.create(&params, &elsewhere).await;
    assert_eq!(refusal(missing), refused(404, "NotFound"));

    api.edit("secrets", NS, "alice", |secret| {
        secret["data"]["b"] = json!("OTk=");
    });
    let stale = secrets(&api).replace("alice", &params, &made).await;
    assert_eq!(refusal(stale), refused(409, "Conflict"));
    let fresh = secrets(&api).get("alice").await.unwrap();
    let same = secrets(&api).replace("alice", &params, &fresh).await.unwrap();
    assert_eq!(version(&same), version(&fresh));
}

#[tokio::test(start_paused = true)]
async fn spec_and_status_are_written_apart_and_generations_count_specs() {
    let api = server();
    let params = PatchParams::apply("keyturn").force();
    let mut body = config("alice");
    body["status"] = json!({ "activeRole": "ignored" });
    let made = configs(&api).patch("alice", &params, &Patch::Apply(&body)).await.unwrap();
    assert_eq!(made.data.get("status"), None);
    assert_eq!(made.metadata.generation, Some(1));

    body["spec"]["person"] = json!("ignored");
    let status = configs(&api).patch_status("alice", &params, &Patch::Apply(&body)).await.unwrap();
    assert_eq!(status.data["status"]["activeRole"], "ignored");
    assert_eq!(status.data["spec"]["person"], "alice");
    assert_eq!(status.metadata.generation, Some(1));

    let params = PatchParams::default();
    let patch = json!({ "status": { "activeRole": null, "person": "alice" } });
    let merged = configs(&api).patch_status("alice", &params, &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(merged.data["status"], json!({ "person": "alice" }));
    let before = api.version();
    configs(&api).patch_status("alice", &params, &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(api.version(), before, "an identical merge patch changes nothing");

    let edited = api.edit("awsconfigs", NS, "alice", |config| {
        config["spec"]["x"] = json!(1);
    });
    assert_eq!(edited["metadata"]["generation"], 2);
    let absent = configs(&api).patch_status("bob", &params, &Patch::Merge(&patch)).await;
    assert_eq!(refusal(absent), refused(404, "NotFound"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_may_say_which_object_it_means() {
    let api = server();
    let made = apply(&api, "keyturn", &secret("alice", &[("a", "1")])).await.unwrap();
    let only = |uid: Option<&str>, resource_version: Option<String>| {
        DeleteParams::default().preconditions(Preconditions { uid: uid.map(str::to_owned), resource_version })
    };
    let wrong = secrets(&api).delete("alice", &only(Some("another"), None)).await;
    assert_eq!(refusal(wrong), refused(409, "Conflict"));
    let stale = secrets(&api).delete("alice", &only(None, Some("1".to_owned()))).await;
    assert_eq!(refusal(stale), refused(409, "Conflict"));
    let right = only(made.metadata.uid.as_deref(), Some(version(&made)));
    secrets(&api).delete("alice", &right).await.unwrap();
    assert_eq!(api.get("secrets", NS, "alice"), None);
}

#[tokio::test(start_paused = true)]
async fn objects_without_owners_are_collected_and_finalizers_wait() {
    let api = server();
    let mut owner = config("alice");
    owner["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    let uid = api.put(owner)["metadata"]["uid"].clone();
    let reference = json!([{ "apiVersion": "v1", "kind": "X", "name": "alice", "uid": uid }]);
    let mut dependent = secret("alice", &[]);
    dependent["metadata"]["ownerReferences"] = reference;
    api.put(dependent);
    api.put(secret("free", &[]));

    configs(&api).delete("alice", &DeleteParams::default()).await.unwrap();
    let waiting = configs(&api).get("alice").await.unwrap();
    assert!(waiting.metadata.deletion_timestamp.is_some());
    assert!(api.get("secrets", NS, "alice").is_some());

    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    configs(&api).patch("alice", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(api.get("awsconfigs", NS, "alice"), None);
    assert_eq!(api.get("secrets", NS, "alice"), None);
    assert!(api.get("secrets", NS, "free").is_some());
    api.delete("namespaces", "", NS);
    assert_eq!(api.get("secrets", NS, "free"), None);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let api = server();
    let params = PatchParams::apply("keyturn").dry_run();
    let before = api.version();
    let body = secret("alice", &[("a", "1")]);
    let shown = secrets(&api).patch("alice", &params, &Patch::Apply(&body)).await.unwrap();
    assert_eq!(texts(&shown), pairs(&[("a", "1")]));
    assert_eq!(api.version(), before);
}
