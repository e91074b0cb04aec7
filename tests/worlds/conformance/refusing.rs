//! Refusals: the code and reason that decide what a client does next, and the message that people
//! read.

use super::{Answer, KEYTURN, SOMEBODY, Server, bytes, names, refusal};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

pub async fn refusals_have_a_code_a_reason_and_a_message(server: &Server) {
    let alice = server.secret("alice", &[("a", "1")]);
    let old = server.create(KEYTURN, &alice).await.unwrap();
    server.label("secrets", "alice", "seen", Some("yes")).await;
    let mut misnamed = server.secret("bob", &[]);
    misnamed["metadata"]["namespace"] = json!("elsewhere");
    let mut versioned = server.secret("bob", &[]);
    versioned["metadata"]["resourceVersion"] = json!("1");
    let table = [
        (
            "the name is taken",
            server.create(KEYTURN, &alice).await,
            "409 AlreadyExists: secrets \"alice\" already exists",
        ),
        (
            "the version is stale",
            server.replace(KEYTURN, &old).await,
            "409 Conflict: Operation cannot be fulfilled on secrets \"alice\": the object has been modified; please \
             apply your changes to the latest version and try again",
        ),
        ("a built-in kind, absent", server.get("secrets", "bob").await, "404 NotFound: secrets \"bob\" not found"),
        (
            "a custom kind, absent",
            server.get("awsconfigs", "bob").await,
            "404 NotFound: awsconfigs.keyturn.dev \"bob\" not found",
        ),
        (
            "no object to merge into",
            server.merge(KEYTURN, "secrets", "bob", &json!({})).await,
            "404 NotFound: secrets \"bob\" not found",
        ),
        (
            "no object to delete",
            server.delete("awsconfigs", "bob").await,
            "404 NotFound: awsconfigs.keyturn.dev \"bob\" not found",
        ),
        (
            "another namespace in the body",
            server.create(KEYTURN, &misnamed).await,
            "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "a version in a create",
            server.create(KEYTURN, &versioned).await,
            "500 : resourceVersion should not be set on objects to be created",
        ),
    ];
    for (case, answer, expected) in table {
        assert_eq!(refusal(answer), expected, "{case}");
    }
}

pub async fn refusals_name_what_they_are_about(server: &Server) {
    server.create(KEYTURN, &server.secret("alice", &[])).await.unwrap();
    let details = |answer: Answer| match answer {
        Err(kube::Error::Api(status)) => serde_json::to_value(status.details).unwrap(),
        other => panic!("no refusal: {other:?}"),
    };
    assert_eq!(
        details(server.create(KEYTURN, &server.secret("alice", &[])).await),
        json!({ "name": "alice", "kind": "secrets" })
    );
    assert_eq!(
        details(server.get("awsconfigs", "bob").await),
        json!({ "name": "bob", "group": "keyturn.dev", "kind": "awsconfigs" })
    );
    server.apply(SOMEBODY, &server.secret("alice", &[("a", "1")])).await.unwrap();
    let gently = PatchParams::apply(KEYTURN);
    assert_eq!(
        details(server.apply_with(&gently, &server.secret("alice", &[("a", "2")])).await),
        json!({ "causes": [
            { "reason": "FieldManagerConflict", "message": "conflict with \"somebody\"", "field": ".data.a" },
        ] })
    );
}

pub async fn an_absent_namespace_takes_no_object(server: &Server) {
    let mut body = server.secret("alice", &[]);
    body["metadata"]["namespace"] = json!("nowhere");
    let all = Server::all_in("nowhere", "secrets");
    let created = server.ask(all.create(&PostParams::default(), bytes(&body))).await;
    assert_eq!(refusal(created), "404 NotFound: namespaces \"nowhere\" not found");
    let applied = server.ask(all.patch("alice", &PatchParams::apply(KEYTURN), &Patch::Apply(&body))).await;
    assert_eq!(refusal(applied), "404 NotFound: namespaces \"nowhere\" not found");
    let listed = server.ask(all.list(&ListParams::default())).await.unwrap();
    assert!(names(&listed).is_empty());
}

pub async fn an_apply_needs_a_manager_and_no_managed_fields(server: &Server) {
    let mut body = server.secret("alice", &[("a", "1")]);
    let nameless = http::Request::patch(format!("/api/v1/namespaces/{}/secrets/alice", server.namespace))
        .header("content-type", "application/apply-patch+yaml")
        .body(bytes(&body))
        .unwrap();
    let nameless = server.client.request(nameless).await;
    assert_eq!(
        refusal(nameless),
        "422 Invalid: PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply \
         patch"
    );
    body["metadata"]["managedFields"] = json!([{
        "manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {},
    }]);
    let managed = server.apply(KEYTURN, &body).await;
    assert_eq!(refusal(managed), "400 BadRequest: metadata.managedFields must be nil");
}
