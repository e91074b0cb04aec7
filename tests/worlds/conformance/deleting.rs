//! Deletion: preconditions, finalizers, and what goes with an owner.

use super::{KEYTURN, SOMEBODY, Server, name, pass_a_second, refusal, uid, version};
use kube::api::{DeleteParams, Preconditions};
use serde_json::{Value, json};

fn only(uid: Option<&str>, version: Option<&str>) -> DeleteParams {
    let (uid, resource_version) = (uid.map(str::to_owned), version.map(str::to_owned));
    DeleteParams::default().preconditions(Preconditions { uid, resource_version })
}

pub async fn a_delete_may_say_which_object_it_means(server: &Server) {
    let made = server.create(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let wrong = server.delete_with("secrets", "alice", &only(Some("another"), None)).await;
    assert_eq!(
        refusal(wrong),
        format!(
            "409 Conflict: Operation cannot be fulfilled on Secret \"alice\": the UID in the precondition (another) \
             does not match the UID in record ({}). The object might have been deleted and then recreated",
            uid(&made)
        )
    );
    let changed = server.label("secrets", "alice", "seen", Some("yes")).await;
    let stale = server.delete_with("secrets", "alice", &only(Some(uid(&made)), Some(version(&made)))).await;
    assert_eq!(
        refusal(stale),
        format!(
            "409 Conflict: Operation cannot be fulfilled on Secret \"alice\": the ResourceVersion in the \
             precondition ({}) does not match the ResourceVersion in record ({}). The object might have been modified",
            version(&made),
            version(&changed)
        )
    );
    server.delete_with("secrets", "alice", &only(Some(uid(&made)), Some(version(&changed)))).await.unwrap();
    let custom = server.create(KEYTURN, &server.config("alice")).await.unwrap();
    let wrong = server.delete_with("awsconfigs", "alice", &only(Some("another"), None)).await;
    assert_eq!(
        refusal(wrong),
        format!(
            "409 Conflict: Operation cannot be fulfilled on AwsConfig.keyturn.dev \"alice\": the UID in the \
             precondition (another) does not match the UID in record ({}). The object might have been deleted and \
             then recreated",
            uid(&custom)
        )
    );
    let absent = server.delete_with("secrets", "alice", &only(Some(uid(&made)), None)).await;
    assert_eq!(refusal(absent), "404 NotFound: secrets \"alice\" not found");
}

pub async fn an_answer_says_whether_an_object_is_gone_or_waits(server: &Server) {
    let made = server.create(KEYTURN, &server.secret("alice", &[])).await.unwrap();
    let gone = server.delete("secrets", "alice").await.unwrap();
    assert_eq!(
        gone,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": { "name": "alice", "kind": "secrets", "uid": uid(&made) },
        })
    );
    let made = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let gone = server.delete("awsconfigs", "alice").await.unwrap();
    assert_eq!(
        gone["details"],
        json!({ "name": "alice", "group": "keyturn.dev", "kind": "awsconfigs", "uid": uid(&made) })
    );
    let mut held = server.config("bob");
    held["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    server.create(SOMEBODY, &held).await.unwrap();
    let waits = server.delete("awsconfigs", "bob").await.unwrap();
    assert_eq!((&waits["kind"], name(&waits)), (&json!("AwsConfig"), "bob"));
    assert!(waits["metadata"]["deletionTimestamp"].is_string(), "{waits}");
    server.merge(KEYTURN, "awsconfigs", "bob", &json!({ "metadata": { "finalizers": [] } })).await.unwrap();
}

pub async fn finalizers_hold_an_object_until_the_last_one_is_removed(server: &Server) {
    let mut body = server.config("alice");
    body["metadata"]["finalizers"] = json!(["example.com/keep", "keyturn.dev/cleanup"]);
    server.create(SOMEBODY, &body).await.unwrap();
    server.delete("awsconfigs", "alice").await.unwrap();
    let waiting = server.get("awsconfigs", "alice").await.unwrap();
    assert!(waiting["metadata"]["deletionTimestamp"].is_string(), "{waiting}");
    assert_eq!(waiting["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(waiting["metadata"]["generation"], 2);

    pass_a_second().await;
    server.delete("awsconfigs", "alice").await.unwrap();
    assert_eq!(server.get("awsconfigs", "alice").await.unwrap(), waiting, "a second delete changes nothing");
    // It can still be written.
    let status = json!({ "status": { "person": "alice" } });
    server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();

    let one = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
    server.merge(KEYTURN, "awsconfigs", "alice", &one).await.unwrap();
    assert!(server.get("awsconfigs", "alice").await.is_ok());
    let last = server.merge(SOMEBODY, "awsconfigs", "alice", &json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(last.unwrap()["metadata"].get("finalizers"), None);
    let gone = server.get("awsconfigs", "alice").await;
    assert_eq!(refusal(gone), "404 NotFound: awsconfigs.keyturn.dev \"alice\" not found");
}

pub async fn an_object_that_is_being_deleted_takes_no_new_finalizer(server: &Server) {
    let mut body = server.config("alice");
    body["metadata"]["finalizers"] = json!(["example.com/keep"]);
    server.create(SOMEBODY, &body).await.unwrap();
    server.delete("awsconfigs", "alice").await.unwrap();
    let more = json!({ "metadata": { "finalizers": ["example.com/keep", "keyturn.dev/cleanup"] } });
    let refused = refusal(server.merge(KEYTURN, "awsconfigs", "alice", &more).await);
    let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
               new finalizers []string{\"keyturn.dev/cleanup\"}";
    assert_eq!(refused, format!("422 Invalid: AwsConfig.keyturn.dev \"alice\" is invalid: {why}"));
    server.merge(KEYTURN, "awsconfigs", "alice", &json!({ "metadata": { "finalizers": [] } })).await.unwrap();
}

pub async fn an_object_made_again_is_another_one(server: &Server) {
    let first = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let status = json!({ "status": { "person": "alice" } });
    server.merge_status(KEYTURN, "awsconfigs", "alice", &status).await.unwrap();
    server.delete("awsconfigs", "alice").await.unwrap();
    let second = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    assert_ne!(uid(&first), uid(&second));
    assert_eq!((&second["metadata"]["generation"], &second["status"]), (&json!(1), &first["status"]));
}

pub async fn the_garbage_collector_deletes_what_no_owner_keeps(server: &Server) {
    let reference = |owner: &Value| {
        json!({
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "name": name(owner), "uid": uid(owner),
        })
    };
    let mut held = server.config("alice");
    held["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    let alice = server.create(SOMEBODY, &held).await.unwrap();
    let bob = server.create(SOMEBODY, &server.config("bob")).await.unwrap();
    for (name, owners) in
        [("of-alice", vec![reference(&alice)]), ("of-both", vec![reference(&alice), reference(&bob)]), ("free", vec![])]
    {
        let mut dependent = server.secret(name, &[]);
        dependent["metadata"]["ownerReferences"] = json!(owners);
        server.create(KEYTURN, &dependent).await.unwrap();
    }
    server.delete("awsconfigs", "alice").await.unwrap();
    assert!(server.get("secrets", "of-alice").await.is_ok(), "its owner is still there");
    server.merge(KEYTURN, "awsconfigs", "alice", &json!({ "metadata": { "finalizers": null } })).await.unwrap();
    server.until_gone("secrets", "of-alice").await;
    // An owner that never was keeps nothing either.
    let mut stray = server.secret("stray", &[]);
    let mut nobody = reference(&bob);
    nobody["uid"] = json!("00000000-0000-4000-8000-0000000000ff");
    stray["metadata"]["ownerReferences"] = json!([nobody]);
    server.create(KEYTURN, &stray).await.unwrap();
    server.until_gone("secrets", "stray").await;
    for kept in ["of-both", "free"] {
        assert!(server.get("secrets", kept).await.is_ok(), "{kept}");
    }
}

pub async fn a_deleted_namespace_takes_what_is_in_it_along(server: &Server) {
    server.create(KEYTURN, &server.secret("alice", &[])).await.unwrap();
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let namespace = server.namespace.clone();
    server.delete("namespaces", &namespace).await.unwrap();
    server.until_gone("secrets", "alice").await;
    server.until_gone("awsconfigs", "alice").await;
    server.until_gone("namespaces", &namespace).await;
}
