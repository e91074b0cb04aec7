use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn nothing_there() -> ConfigsFor {
    Arc::new(|_| Some(vec![]))
}

fn review_of(pod: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "scoring", "operation": "CREATE", "userInfo": {"username": "alice"}, "object": pod, "dryRun": true,
    }})
}

fn annotated() -> Value {
    json!({"metadata": {"annotations": {"keyturn.dev/aws-config": "alice"}}, "spec": {"containers": [{"name": "app"}]}})
}

fn answered(review: &Value) -> (Value, Outcome) {
    let (body, outcome) =
        answer(review.to_string().as_bytes(), &nothing_there(), &Settings::default(), Demand::Optional).unwrap();
    (serde_json::from_slice(&body).unwrap(), outcome)
}

#[test]
fn a_pod_that_asks_is_allowed_with_a_patch_and_the_request_s_uid() {
    let (answer, outcome) = answered(&review_of(&annotated()));
    assert_eq!(outcome, Outcome::Injected);
    let response = &answer["response"];
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(
        (&response["uid"], &response["allowed"]),
        (&json!("705ab4f5-6393-11e8-b7cc-42010a800002"), &json!(true))
    );
    assert_eq!(response["patchType"], "JSONPatch");
    let patch: ByteString = serde_json::from_value(response["patch"].clone()).expect("base64");
    let patch: Value = serde_json::from_slice(&patch.0).unwrap();
    assert!(patch.as_array().unwrap().iter().any(|operation| operation["path"] == "/spec/volumes"), "{patch}");
    assert!(response["warnings"][0].as_str().unwrap().starts_with("keyturn: there is no AwsConfig \"alice\""));
}

#[test]
fn a_review_that_asks_for_nothing_is_allowed_without_a_patch() {
    let mut of_a_deployment = review_of(&annotated());
    of_a_deployment["request"]["resource"]["resource"] = json!("deployments");
    let mut deletion = review_of(&Value::Null);
    deletion["request"]["operation"] = json!("DELETE");
    for (case, review) in [
        ("a pod that does not ask", review_of(&json!({"metadata": {}, "spec": {"containers": []}}))),
        ("another resource", of_a_deployment),
        ("a deletion", deletion),
    ] {
        let (answer, outcome) = answered(&review);
        assert_eq!((outcome, &answer["response"]["allowed"]), (Outcome::Untouched, &json!(true)), "{case}");
        assert_eq!(answer["response"].get("patch"), None, "{case}");
    }
}

#[test]
fn a_pod_that_requires_the_secret_is_refused_where_it_would_lack_it() {
    let hidden = json!([{"name": "x", "mountPath": "/var/run/secrets/keyturn"}]);
    let with = |pointer: &str, value: Value| {
        let mut pod = annotated();
        pod["metadata"]["labels"] = json!({});
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value;
        pod
    };
    // The container of this name mounts something else in the Secret's place.
    let skipping = |hidden_in: &str, names: &str| {
        let mut pod = annotated();
        pod["metadata"]["annotations"]["keyturn.dev/skip-containers"] = json!(names);
        let side = json!({"name": hidden_in, "volumeMounts": hidden.clone()});
        pod["spec"]["containers"].as_array_mut().unwrap().push(side);
        pod
    };
    let nameless = json!({"metadata": {"labels": {"keyturn.dev/inject": "required"}}, "spec": {"containers": []}});
    for (case, pod, lacking) in [
        ("it gets the Secret", annotated(), None),
        ("it asks for nothing", json!({"metadata": {}, "spec": {"containers": []}}), None),
        ("it asks for nothing but requires it", nameless, Some("has no annotation keyturn.dev/aws-config")),
        ("one of two is left out", skipping("side", "side"), None),
        ("all are left out", skipping("side", "app,side"), Some("leave out every container")),
        ("its label is off", with("/metadata/labels/keyturn.dev~1inject", json!("false")), None),
        ("no name", with("/metadata/annotations", json!({"keyturn.dev/aws-config": "A B"})), Some("holds no name")),
        (
            "a mount in the way",
            with("/spec/containers/0/volumeMounts", hidden.clone()),
            Some("container \"app\" mounts"),
        ),
        (
            "in one of two",
            with("/spec/initContainers", json!([{"name": "i", "volumeMounts": hidden}])),
            Some("\"i\" mounts"),
        ),
    ] {
        let review = review_of(&pod).to_string();
        for demand in [Demand::Optional, Demand::Required] {
            let (body, outcome) = answer(review.as_bytes(), &nothing_there(), &Settings::default(), demand).unwrap();
            let response = serde_json::from_slice::<Value>(&body).unwrap()["response"].clone();
            let refused = lacking.filter(|_| demand == Demand::Required);
            assert_eq!(response["allowed"], refused.is_none(), "{case}, {demand:?}");
            assert_eq!(outcome == Outcome::Refused, refused.is_some(), "{case}, {demand:?}");
            let Some(words) = refused else { continue };
            let message = response["status"]["message"].as_str().unwrap();
            assert!(
                message.contains("requires the Secret of an AwsConfig") && message.contains(words),
                "{case}: {message}"
            );
            assert_eq!((&response["status"]["code"], response.get("patch")), (&json!(403), None), "{case}");
        }
    }
}

#[test]
fn before_the_configs_are_listed_there_is_no_answer() {
    let not_yet: ConfigsFor = Arc::new(|_| None);
    let refused =
        answer(review_of(&annotated()).to_string().as_bytes(), &not_yet, &Settings::default(), Demand::Optional)
            .unwrap_err();
    assert_eq!(refused, NoAnswer::NotReady);
}

#[test]
fn a_body_that_is_no_review_is_refused_without_quoting_it() {
    let mut odd = review_of(&annotated());
    odd["request"]["object"]["spec"]["containers"][0]["env"] = json!("hunter2");
    let mut of_another_version = review_of(&annotated());
    of_another_version["apiVersion"] = json!("hunter2/v1");
    for (case, body) in [
        ("no bytes", ""),
        ("no fields", "{}"),
        ("no JSON", "hunter2"),
        ("a field of another type", &odd.to_string()),
        ("another version", &of_another_version.to_string()),
    ] {
        let error =
            answer(body.as_bytes(), &nothing_there(), &Settings::default(), Demand::Optional).unwrap_err().to_string();
        let is_quoted = error.contains("hunter2");
        assert!(error.starts_with("not an AdmissionReview of a Pod") && !is_quoted, "{case}: {error}");
        assert!(!error.contains('\n'), "{case}: {error}");
    }
}

#[test]
fn warnings_are_short_and_few() {
    let containers: Vec<Value> = (0..40)
        .map(|n| json!({"name": format!("c{n}-{}", "x".repeat(60)), "env": [{"name": "AWS_PROFILE", "value": "x"}]}))
        .collect();
    let mut pod = annotated();
    pod["spec"]["containers"] = json!(containers);
    pod["metadata"]["annotations"]["keyturn.dev/aws-config"] = json!("a".repeat(59));
    let (answer, _) = answered(&review_of(&pod));
    let warnings = answer["response"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), WARNINGS);
    assert!(warnings.iter().all(|warning| warning.as_str().unwrap().chars().count() <= WARNING_LIMIT));
}

/// Any JSON. Many of its keys and texts are those of a review.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["CREATE", "UPDATE", "pods", "alice", "", "ephemeralcontainers"])
            .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "request",
        "uid",
        "kind",
        "resource",
        "object",
        "oldObject",
        "spec",
        "metadata",
        "containers",
        "env",
        "name",
        "annotations",
        "keyturn.dev/aws-config",
        "operation",
        "volumes",
        "subResource",
        "apiVersion",
        "group",
    ]);
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(answer(&bytes, &nothing_there(), &Settings::default(), Demand::Optional).is_err());
    }

    #[test]
    fn a_review_with_anything_in_the_place_of_any_part_is_answered_or_refused(
        odd in any_json(),
        place in prop::sample::select(vec!["/request", "/request/object", "/request/object/spec", "/request/object/metadata",
            "/request/object/spec/containers", "/request/object/spec/containers/0", "/request/operation", "/kind"]),
    ) {
        let mut review = review_of(&annotated());
        *review.pointer_mut(place).unwrap() = odd;
        let body = review.to_string();
        if let Ok((answer, _)) = answer(body.as_bytes(), &nothing_there(), &Settings::default(), Demand::Optional) {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            prop_assert_eq!(&answer["response"]["allowed"], &json!(true));
        }
    }
}
