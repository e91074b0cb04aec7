//! `AdmissionReview`s: anybody who creates pods writes them, and anybody who reaches the webhook.

use super::promise;
use crate::{
    api::{
        AwsConfig, AwsConfigSpec,
        names::{POD_INJECTED, POD_NOT_INJECTED, POD_SECRET},
    },
    inject::{ConfigsFor, Demand, Settings, answer},
};
use k8s_openapi::{ByteString, api::core::v1::Pod};
use serde::Deserialize;
use serde_json::{Value, from_slice, from_str};
use std::sync::{Arc, LazyLock};

/// The configs of every namespace: one is only named by pods, one selects pods and is not ready,
/// and one has no files.
const CONFIGS: [(&str, &str); 3] = [
    ("alice", r#"{"person": "alice"}"#),
    ("bob", r#"{"person": "bob", "inject": {"podSelector": {"matchLabels": {"app": "scorer"}}, "home": "/home/a"}}"#),
    ("env", r#"{"person": "carol", "target": {"formats": ["Env"]}, "defaultBucket": "b", "region": "eu-west-1"}"#),
];

static CONFIGS_FOR: LazyLock<Result<ConfigsFor, String>> = LazyLock::new(|| {
    let config = |(name, spec): (&str, &str)| {
        let spec = from_str::<AwsConfigSpec>(spec).map_err(|error| format!("the config {name}: {error}"))?;
        Ok(Arc::new(AwsConfig::new(name, spec)))
    };
    let configs = CONFIGS.into_iter().map(config).collect::<Result<Vec<_>, String>>()?;
    Ok(Arc::new(move |_| Some(configs.clone())))
});

/// The parts of an answer.
#[derive(Deserialize)]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    uid: String,
    allowed: bool,
    patch: Option<ByteString>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// An answer echoes the UID, and refuses a pod only if the Secret is required. Its patch only adds;
/// the pod stays a pod, and a second review of the pod adds nothing.
///
/// # Errors
/// The promise that the review breaks.
pub(super) fn a_review_only_adds_and_only_once(data: &[u8]) -> Result<(), String> {
    let required = answered(data, Demand::Required)?;
    let Some(response) = answered(data, Demand::Optional)? else {
        return promise(required.is_none(), || "the demand decides whether a review is malformed".to_owned());
    };
    // serde does not look into a text that it skips, and the API server sends UTF-8 only.
    if std::str::from_utf8(data).is_err() {
        return Ok(());
    }
    let review: Value = from_slice(data).map_err(|error| format!("an answer to no JSON: {error}"))?;
    // serde reads a struct from a list too, which the API server never sends.
    if !review["request"].is_object() {
        return Ok(());
    }
    promise(review["request"]["uid"] == response.uid, || format!("another UID: {}", response.uid))?;
    promise(response.allowed, || "a pod is refused that requires nothing".to_owned())?;
    if let Some(required) = required.filter(|required| !required.allowed) {
        promise(required.patch.is_none(), || "a refused pod has a patch".to_owned())?;
    }
    promise(response.warnings.len() <= 10, || format!("{} warnings", response.warnings.len()))?;
    let long = response.warnings.iter().find(|warning| warning.chars().count() > 256);
    promise(long.is_none(), || format!("a long warning: {long:?}"))?;
    let Some(patch) = response.patch else { return Ok(()) };
    only_adds_once(review, &patch.0)
}

/// The answer to a review; `None` if there is none.
fn answered(data: &[u8], demand: Demand) -> Result<Option<Response>, String> {
    let configs = CONFIGS_FOR.as_ref().map_err(Clone::clone)?;
    let image = Some("keyturn".to_owned());
    let settings = Settings { image, ..Settings::default() };
    let Ok((bytes, _)) = answer(data, configs, &settings, demand) else { return Ok(None) };
    let answer: Answer = from_slice(&bytes).map_err(|error| format!("an unreadable answer: {error}"))?;
    Ok(Some(answer.response))
}

fn only_adds_once(mut review: Value, patch: &[u8]) -> Result<(), String> {
    let before = review["request"]["object"].clone();
    // The API server sends only what its own type of a pod can hold.
    if Pod::deserialize(&before).is_err() {
        return Ok(());
    }
    let patch: Value = from_slice(patch).map_err(|error| format!("an unreadable patch: {error}"))?;
    let mut after = before.clone();
    apply(&mut after, &patch)?;
    promise(Pod::deserialize(&after).is_ok(), || format!("a pod that is none after {patch}"))?;
    let kept = without_endpoint(&before, unmarked(after.clone()));
    promise(keeps(&unmarked(before), &kept), || format!("a part of the pod is lost by {patch}"))?;
    review["request"]["object"] = after;
    let again = answered(review.to_string().as_bytes(), Demand::Optional)?;
    let again = again.ok_or("the patched pod has no answer")?;
    promise(again.patch.is_none(), || format!("a second patch after {patch}"))
}

/// The pod without the endpoint, which is the first init container, if `before` had none more.
fn without_endpoint(before: &Value, mut after: Value) -> Value {
    let count = |pod: &Value| pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
    if count(&after) > count(before)
        && let Some(list) = after.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut)
    {
        list.remove(0);
    }
    after
}

/// The pod without keyturn's own marks. keyturn corrects marks that were copied from another pod.
fn unmarked(mut pod: Value) -> Value {
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        for mark in [POD_INJECTED, POD_SECRET, POD_NOT_INJECTED] {
            annotations.remove(mark);
        }
    }
    pod
}

/// The addresses and folders of Amazon's webhooks, whose values a patch may replace.
const AMAZONS: [&str; 4] = [
    "http://169.254.170.23/",
    "http://[fd00:ec2::23]/",
    "/var/run/secrets/pods.eks.amazonaws.com/",
    "/var/run/secrets/eks.amazonaws.com/",
];

/// Applies a patch (RFC 6902) that may only add, and replace values of Amazon's webhooks.
fn apply(pod: &mut Value, patch: &Value) -> Result<(), String> {
    for operation in patch.as_array().ok_or("a patch that is no list")? {
        let path = operation["path"].as_str().ok_or("an operation without a path")?;
        if operation["op"] == "replace" {
            let value = pod.pointer_mut(path).ok_or("a replacement of nothing")?;
            let is_amazons =
                |value: &Value| value.as_str().is_some_and(|it| AMAZONS.iter().any(|of| it.starts_with(of)));
            promise(is_amazons(value), || format!("{operation} replaces the author's {value}"))?;
            *value = operation["value"].clone();
            continue;
        }
        promise(operation["op"] == "add", || format!("{operation} is no addition"))?;
        let (parent, name) = path.rsplit_once('/').ok_or("a path without a slash")?;
        match pod.pointer_mut(parent) {
            Some(Value::Array(list)) if name == "-" => list.push(operation["value"].clone()),
            Some(Value::Array(list)) if name == "0" => list.insert(0, operation["value"].clone()),
            Some(Value::Object(fields)) => {
                fields.insert(name.replace("~1", "/").replace("~0", "~"), operation["value"].clone());
            }
            other => return Err(format!("{operation} adds to {other:?}")),
        }
    }
    Ok(())
}

/// Whether everything of `before` is in `after`, at its place. A null is the same as nothing.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(name, value)| value.is_null() || after.get(name).is_some_and(|after| keeps(value, after))),
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(before, after)| keeps(before, after))
        }
        (Value::String(before), _) if AMAZONS.iter().any(|of| before.starts_with(of)) => after.is_string(),
        (before, after) => before == after,
    }
}
