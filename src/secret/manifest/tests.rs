use super::*;
use crate::{
    api::{Format, Reason},
    clock::whole_seconds,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::from_value;

/// Alice's config with these labels and annotations in `spec.target`.
fn config(labels: &[&str], annotations: &[&str]) -> AwsConfig {
    let values = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!("x"))).collect::<Value>();
    let target = json!({"labels": values(labels), "annotations": values(annotations)});
    let mut config = AwsConfig::new("alice", from_value(json!({"person": "alice", "target": target})).unwrap());
    (config.metadata.namespace, config.metadata.uid) = (Some("scoring".into()), Some("uid-of-alice".into()));
    config
}

fn content(keys: &[&str]) -> Content {
    Content(keys.iter().map(|key| ((*key).to_owned(), b"value".to_vec())).collect())
}

fn record(keys: &[&str]) -> Record {
    let lost = Record::lost("alice", whole_seconds("2026-01-01T00:00:00Z".parse().unwrap()));
    lost.rendered_again(String::new(), lost.api_key.clone(), &content(keys))
}

/// The metadata of the Secret of this config, as the API server returns it.
fn written(config: &AwsConfig, keys: &[&str]) -> ObjectMeta {
    let secret = whole(config, &Rendering::of(config, None), &record(keys), content(keys));
    ObjectMeta { uid: Some("uid-of-secret".into()), resource_version: Some("7".into()), ..secret.metadata }
}

fn patched(config: &AwsConfig, keys: &[&str], seen: &ObjectMeta, former: Option<&Record>) -> Value {
    patch(config, &Rendering::of(config, None), &record(keys), content(keys), seen, former, true)
}

#[test]
fn a_secret_is_created_with_everything_that_the_config_asks_for() {
    let config = config(&["team"], &["example.com/owner"]);
    let secret = whole(&config, &Rendering::of(&config, None), &record(&["config"]), content(&["config"]));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "x");
    let annotations = secret.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["example.com/owner"], "x");
    assert_eq!(annotations[names::METADATA], "label:team,annotation:example.com/owner");
    assert_eq!(Record::read(annotations), Some(record(&["config"])));
    assert_eq!(secret.data.unwrap()["config"].0, b"value");
    assert_eq!(secret.metadata.owner_references.unwrap()[0].uid, "uid-of-alice");
}

#[test]
fn a_patch_removes_the_keys_that_the_former_record_names() {
    let config = config(&[], &[]);
    let seen = written(&config, &["config", "credentials"]);
    let patch = patched(&config, &["config"], &seen, Some(&record(&["config", "credentials"])));
    assert_eq!(patch["data"], json!({"config": "dmFsdWU=", "credentials": null}));
    assert_eq!(patch["metadata"]["uid"], "uid-of-secret");
    assert_eq!(patch["metadata"].get("ownerReferences"), None, "they are as they should be");
}

#[test]
fn a_patch_without_a_former_record_removes_every_key_of_keyturn_s_own() {
    let config = config(&[], &[]);
    let patch = patched(&config, &["config"], &written(&config, &[]), None);
    let data = patch["data"].as_object().unwrap();
    assert_eq!(data.len(), SECRET_KEYS.len());
    assert!(data.iter().all(|(key, value)| value.is_null() != (key == "config")), "{data:?}");
}

#[test]
fn a_patch_removes_the_metadata_that_is_no_longer_asked_for() {
    let former = config(&["team", "stays"], &["example.com/owner"]);
    let seen = written(&former, &[]);
    let some = patched(&config(&["stays"], &[]), &[], &seen, None);
    assert_eq!(some["metadata"]["labels"]["team"], Value::Null);
    assert_eq!(some["metadata"]["labels"]["stays"], "x");
    assert_eq!(some["metadata"]["annotations"]["example.com/owner"], Value::Null);
    assert_eq!(some["metadata"]["annotations"][names::METADATA], "label:stays");
    let none = patched(&config(&[], &[]), &[], &seen, None);
    assert_eq!(none["metadata"]["annotations"].get(names::METADATA), Some(&Value::Null));
}

#[test]
fn a_patch_names_no_label_or_annotation_of_others() {
    let config = config(&["team"], &[]);
    let mut seen = written(&config, &[]);
    seen.labels.get_or_insert_default().insert("theirs".into(), "x".into());
    let annotations = seen.annotations.get_or_insert_default();
    annotations.insert("theirs".into(), "x".into());
    // Somebody edited the list of names: reserved names in it do not count.
    annotations.insert(names::METADATA.into(), "label:keyturn.dev/aws-config,annotation:kubernetes.io/x,,other".into());
    let patch = patched(&config, &[], &seen, None);
    let named = |field: &str| -> Vec<String> {
        patch["metadata"][field]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, v)| v.is_null())
            .map(|(k, _)| k.clone())
            .collect()
    };
    assert_eq!((named("labels"), named("annotations")), (vec![], vec![]));
    assert!(patch["metadata"]["labels"].get("theirs").is_none());
}

#[test]
fn a_damaged_owner_reference_is_repaired_beside_the_others() {
    let config = config(&[], &[]);
    let mut seen = written(&config, &[]);
    let theirs = OwnerReference { uid: "theirs".into(), kind: "Team".into(), ..OwnerReference::default() };
    let owners = seen.owner_references.get_or_insert_default();
    owners[0].block_owner_deletion = Some(false);
    owners.push(theirs);
    let whole = patched(&config, &[], &seen, None);
    let uids: Vec<&str> =
        whole["metadata"]["ownerReferences"].as_array().unwrap().iter().map(|it| it["uid"].as_str().unwrap()).collect();
    assert_eq!((uids, &whole["metadata"]["resourceVersion"]), (vec!["theirs", "uid-of-alice"], &json!("7")));
    let rendering = Rendering::of(&config, None);
    let partly = patch(&config, &rendering, &record(&[]), content(&[]), &seen, None, false);
    assert_eq!(partly["metadata"].get("ownerReferences"), None, "the list may be incomplete");
}

#[test]
fn a_withdrawal_keeps_the_metadata_that_the_config_asks_for() {
    let config = config(&["team"], &[]);
    let seen = written(&config, &["config"]);
    let withdrawn = record(&["config"]).withdrawn_for(Reason::Suspended, String::new(), &content(&["config"]));
    let rendering = Rendering { formats: vec![Format::Files], ..Rendering::of(&config, None) };
    let patch = patch(&config, &rendering, &withdrawn, content(&["config"]), &seen, None, true);
    assert_eq!(patch["metadata"]["labels"]["team"], "x");
    assert_eq!(patch["metadata"]["annotations"][names::WITHDRAWN], "Suspended");
}
