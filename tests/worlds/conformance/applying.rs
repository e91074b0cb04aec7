//! Server-side apply: what it writes, whom it asks, and when it is no write at all.

use super::{KEYTURN, SOMEBODY, Server, base64, data, pass_a_second, refusal, uid, version};
use kube::api::{GetParams, Patch, PatchParams};
use serde_json::{Value, json};

pub async fn an_apply_creates_and_the_same_again_changes_nothing(server: &Server) {
    let body = server.secret("alice", &[("a", "1"), ("b", "2")]);
    let first = server.apply(KEYTURN, &body).await.unwrap();
    assert_eq!(data(&first), "a=1 b=2");
    assert_eq!(first["type"], "Opaque");
    pass_a_second().await;
    assert_eq!(server.apply(KEYTURN, &body).await.unwrap(), first);
    assert_eq!(server.get("secrets", "alice").await.unwrap(), first);
}

pub async fn what_a_manager_stops_applying_goes_and_what_others_own_stays(server: &Server) {
    server.apply(KEYTURN, &server.secret("alice", &[("a", "1"), ("b", "2")])).await.unwrap();
    let mut theirs = server.secret("alice", &[("c", "3")]);
    theirs["metadata"]["labels"] = json!({ "somebody": "else" });
    server.apply(SOMEBODY, &theirs).await.unwrap();
    let after = server.apply(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    assert_eq!(data(&after), "a=1 c=3");
    assert_eq!(after["metadata"]["labels"], json!({ "somebody": "else" }));
}

pub async fn what_two_managers_apply_goes_when_both_have_let_go(server: &Server) {
    for manager in [KEYTURN, SOMEBODY] {
        server.apply(manager, &server.secret("alice", &[("a", "1")])).await.unwrap();
    }
    let after = server.apply(KEYTURN, &server.secret("alice", &[("b", "2")])).await.unwrap();
    assert_eq!(data(&after), "a=1 b=2");
    let after = server.apply(SOMEBODY, &server.secret("alice", &[("c", "3")])).await.unwrap();
    assert_eq!(data(&after), "b=2 c=3");
}

pub async fn created_fields_and_applied_fields_have_separate_owners(server: &Server) {
    server.create(KEYTURN, &server.secret("alice", &[("a", "1"), ("b", "2")])).await.unwrap();
    let after = server.apply(KEYTURN, &server.secret("alice", &[("a", "9")])).await.unwrap();
    // `b` belongs to the same manager, but by its create. An apply does not remove it.
    assert_eq!(data(&after), "a=9 b=2");
}

pub async fn without_force_a_value_of_another_owner_is_a_conflict(server: &Server) {
    server.apply(KEYTURN, &server.secret("alice", &[("a", "1"), ("b", "2"), ("c", "3")])).await.unwrap();
    let gently = PatchParams::apply(SOMEBODY);
    let one = server.apply_with(&gently, &server.secret("alice", &[("a", "9")])).await;
    assert_eq!(refusal(one), "409 Conflict: Apply failed with 1 conflict: conflict with \"keyturn\": .data.a");
    let two = server.apply_with(&gently, &server.secret("alice", &[("a", "9"), ("b", "9"), ("d", "4")])).await;
    assert_eq!(
        refusal(two),
        "409 Conflict: Apply failed with 2 conflicts: conflicts with \"keyturn\":\n- .data.a\n- .data.b"
    );
    assert_eq!(data(&server.get("secrets", "alice").await.unwrap()), "a=1 b=2 c=3");
}

pub async fn the_same_value_is_shared_without_a_conflict(server: &Server) {
    server.apply(KEYTURN, &server.secret("alice", &[("a", "1"), ("b", "2")])).await.unwrap();
    let gently = PatchParams::apply(SOMEBODY);
    server.apply_with(&gently, &server.secret("alice", &[("a", "1")])).await.unwrap();
    // Now both own it, and neither may change it without force.
    let changed = server.apply_with(&PatchParams::apply(KEYTURN), &server.secret("alice", &[("a", "9")])).await;
    assert_eq!(refusal(changed), "409 Conflict: Apply failed with 1 conflict: conflict with \"somebody\": .data.a");
}

pub async fn by_force_a_value_changes_hands(server: &Server) {
    server.apply(SOMEBODY, &server.secret("alice", &[("a", "1"), ("b", "2")])).await.unwrap();
    let after = server.apply(KEYTURN, &server.secret("alice", &[("a", "9")])).await.unwrap();
    assert_eq!(data(&after), "a=9 b=2");
    // The former owner no longer owns it: what it stops applying stays.
    let after = server.apply(SOMEBODY, &server.secret("alice", &[("b", "2")])).await.unwrap();
    assert_eq!(data(&after), "a=9 b=2");
}

pub async fn a_value_removed_by_another_comes_back_with_the_next_apply(server: &Server) {
    let body = server.secret("alice", &[("a", "1"), ("b", "2")]);
    server.apply(KEYTURN, &body).await.unwrap();
    let edited = server.edit("secrets", "alice", |secret| {
        secret["data"] = json!({ "a": base64("99"), "mine": base64("99") });
    });
    assert_eq!(data(&edited.await), "a=99 mine=99");
    let gently = server.apply_with(&PatchParams::apply(KEYTURN), &body).await;
    assert_eq!(
        refusal(gently),
        "409 Conflict: Apply failed with 1 conflict: conflict with \"somebody\" using v1: .data.a"
    );
    let after = server.apply(KEYTURN, &body).await.unwrap();
    assert_eq!(data(&after), "a=1 b=2 mine=99");
}

pub async fn a_foreign_label_does_not_make_the_next_apply_a_write(server: &Server) {
    let body = server.secret("alice", &[("a", "1")]);
    let first = server.apply(KEYTURN, &body).await.unwrap();
    let labelled = server.label("secrets", "alice", "seen", Some("yes")).await;
    assert_ne!(version(&labelled), version(&first));
    pass_a_second().await;
    let after = server.apply(KEYTURN, &body).await.unwrap();
    assert_eq!(version(&after), version(&labelled));
}

pub async fn an_empty_map_that_is_applied_removes_no_value(server: &Server) {
    server.apply(SOMEBODY, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let mut ours = server.secret("alice", &[]);
    ours["data"] = json!({});
    ours["metadata"]["labels"] = json!({});
    assert_eq!(data(&server.apply(KEYTURN, &ours).await.unwrap()), "a=1");
}

pub async fn owner_references_and_finalizers_are_merged_by_key(server: &Server) {
    let owner = server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let reference = json!({
        "apiVersion": "keyturn.dev/v1alpha1",
        "kind": "AwsConfig",
        "name": "alice",
        "uid": uid(&owner),
    });
    let mut ours = server.secret("alice", &[("a", "1")]);
    ours["metadata"]["ownerReferences"] = json!([reference]);
    ours["metadata"]["finalizers"] = json!(["keyturn.dev/cleanup"]);
    server.apply(KEYTURN, &ours).await.unwrap();
    let mut theirs = server.secret("alice", &[]);
    theirs["metadata"]["finalizers"] = json!(["example.com/keep"]);
    let both = server.apply(SOMEBODY, &theirs).await.unwrap();
    assert_eq!(both["metadata"]["finalizers"], json!(["keyturn.dev/cleanup", "example.com/keep"]));
    let after = server.apply(KEYTURN, &ours).await.unwrap();
    assert_eq!(after["metadata"]["ownerReferences"], json!([reference]));

    ours["metadata"]["ownerReferences"] = json!([]);
    ours["metadata"]["finalizers"] = json!([]);
    let after = server.apply(KEYTURN, &ours).await.unwrap();
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/keep"]));
    assert_eq!(after["metadata"].get("ownerReferences"), None);
    // What keeps it would keep its namespace, too.
    server.merge(SOMEBODY, "secrets", "alice", &json!({ "metadata": { "finalizers": null } })).await.unwrap();
}

pub async fn items_of_a_list_by_key_belong_to_those_who_apply_them(server: &Server) {
    server.create(SOMEBODY, &server.config("alice")).await.unwrap();
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "Said", "message": "",
            "lastTransitionTime": "2026-11-22T12:00:00Z",
        })
    };
    let with = |conditions: Value| {
        json!({
            "apiVersion": "keyturn.dev/v1alpha1",
            "kind": "AwsConfig",
            "metadata": { "name": "alice" },
            "status": { "conditions": conditions },
        })
    };
    let types = |config: &Value| -> String {
        let conditions = config["status"]["conditions"].as_array().unwrap().iter();
        let words = conditions.map(|it| format!("{}={}", it["type"].as_str().unwrap(), it["status"].as_str().unwrap()));
        words.collect::<Vec<_>>().join(" ")
    };
    server
        .apply_status(KEYTURN, &with(json!([condition("Ready", "True"), condition("Synced", "True")])))
        .await
        .unwrap();
    let both = server.apply_status(SOMEBODY, &with(json!([condition("Seen", "True")]))).await.unwrap();
    assert_eq!(types(&both), "Ready=True Synced=True Seen=True");
    let after = server.apply_status(KEYTURN, &with(json!([condition("Ready", "False")]))).await.unwrap();
    assert_eq!(types(&after), "Ready=False Seen=True");
}

pub async fn an_authority_is_applied_beside_what_the_chart_wrote(server: &Server) {
    let name = server.namespace.as_str();
    let configuration = |webhooks: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name }, "webhooks": webhooks,
        })
    };
    // Nobody asks for anything of this group, so no webhook is called.
    let webhook = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
            "clientConfig": { "service": { "namespace": "nowhere", "name": "webhook" } },
            "rules": [{
                "apiGroups": ["absent.keyturn.dev"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
            }],
        })
    };
    let chart = configuration(json!([webhook("one.keyturn.dev"), webhook("two.keyturn.dev")]));
    server.apply(SOMEBODY, &chart).await.unwrap();
    let with = |text: &str| json!({ "name": "one.keyturn.dev", "clientConfig": { "caBundle": base64(text) } });
    let bundle = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let made = server.apply(KEYTURN, &configuration(json!([with(bundle)]))).await.unwrap();
    assert_eq!(made["webhooks"][0]["clientConfig"]["caBundle"], base64(bundle));
    for (number, name) in [(0, "one.keyturn.dev"), (1, "two.keyturn.dev")] {
        let webhook = &made["webhooks"][number];
        assert_eq!((&webhook["name"], &webhook["sideEffects"]), (&json!(name), &json!("None")));
        assert_eq!(webhook["clientConfig"]["service"]["name"], "webhook");
    }
    // The chart applies what it wrote before, and the authority stays.
    let upgraded = server.apply(SOMEBODY, &chart).await.unwrap();
    assert_eq!(version(&upgraded), version(&made));
    let again = server.apply(KEYTURN, &configuration(json!([with(bundle)]))).await.unwrap();
    assert_eq!(version(&again), version(&made));
    server.delete("mutatingwebhookconfigurations", name).await.unwrap();
}

pub async fn an_apply_by_uid_means_that_object_alone(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1")]);
    let first = server.apply(KEYTURN, &body).await.unwrap();
    body["metadata"]["uid"] = first["metadata"]["uid"].clone();
    server.apply(KEYTURN, &body).await.unwrap();

    server.delete("secrets", "alice").await.unwrap();
    let absent = server.apply(KEYTURN, &body).await;
    assert_eq!(
        refusal(absent),
        format!(
            "409 Conflict: Operation cannot be fulfilled on secrets \"alice\": uid mismatch: the provided object \
             specified uid {}, and no existing object was found",
            uid(&first)
        )
    );
    let second = server.create(SOMEBODY, &server.secret("alice", &[])).await.unwrap();
    let another = server.apply(KEYTURN, &body).await;
    assert_eq!(
        refusal(another),
        format!(
            "422 Invalid: Secret \"alice\" is invalid: metadata.uid: Invalid value: \"{}\": field is immutable",
            uid(&first)
        )
    );
    // With the version that was seen, the version is what is refused.
    body["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"].clone();
    let another = server.apply(KEYTURN, &body).await;
    assert!(refusal(another).starts_with("409 Conflict: "));
    assert_eq!(server.get("secrets", "alice").await.unwrap(), second);
}

pub async fn an_apply_by_version_is_refused_once_it_is_stale(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1")]);
    let first = server.apply(KEYTURN, &body).await.unwrap();
    body["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"].clone();
    body["data"]["a"] = base64("2");
    let second = server.apply(KEYTURN, &body).await.unwrap();
    assert_eq!(data(&second), "a=2");
    body["data"]["a"] = base64("3");
    let stale = server.apply(KEYTURN, &body).await;
    assert_eq!(
        refusal(stale),
        "409 Conflict: Operation cannot be fulfilled on secrets \"alice\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    // A version is no claim that there is an object: only a uid keeps an apply from making one.
    server.delete("secrets", "alice").await.unwrap();
    let made = server.apply(KEYTURN, &body).await.unwrap();
    assert_ne!(uid(&made), uid(&second));
}

pub async fn an_apply_may_answer_with_metadata_alone(server: &Server) {
    let body = server.secret("alice", &[("a", "1")]);
    let parameters = PatchParams::apply(KEYTURN).force();
    let all = server.all("secrets");
    let answer = server.ask(all.patch_metadata("alice", &parameters, &Patch::Apply(&body))).await.unwrap();
    assert_eq!(answer["kind"], "PartialObjectMetadata");
    assert_eq!(answer["apiVersion"], "meta.k8s.io/v1");
    assert_eq!(answer.get("data"), None);
    let there = server.get("secrets", "alice").await.unwrap();
    assert_eq!(answer["metadata"], there["metadata"]);
    let got = server.ask(all.get_metadata("alice", &GetParams::default())).await.unwrap();
    assert_eq!(got, answer);
}

pub async fn a_dry_run_changes_nothing(server: &Server) {
    let parameters = PatchParams::apply(KEYTURN).dry_run();
    let shown = server.apply_with(&parameters, &server.secret("alice", &[("a", "1")])).await.unwrap();
    assert_eq!(data(&shown), "a=1");
    assert!(refusal(server.get("secrets", "alice").await).starts_with("404 NotFound"));
    let there = server.apply(KEYTURN, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let shown = server.apply_with(&parameters, &server.secret("alice", &[("a", "2")])).await.unwrap();
    assert_eq!(data(&shown), "a=2");
    assert_eq!(server.get("secrets", "alice").await.unwrap(), there);
}
