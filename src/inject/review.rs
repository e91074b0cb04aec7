//! An `AdmissionReview` and its answer. Pure: bytes and configs in, bytes out.
//!
//! The answer always allows: keyturn adds to pods, and forbids none.

use super::{
    Asking, ConfigsFor,
    choose::named,
    pod::{Injection, ephemeral_containers, new_pod},
    pod_view::Pod,
};
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// How long a warning may be: longer ones "may be truncated" (KEP-1693), which would cut off what to do.
const WARNING_LIMIT: usize = 256;
/// How many there may be; the API server keeps 4,096 bytes of them.
const WARNINGS: usize = 10;

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pod got a Secret.
    Injected,
    /// There was nothing to add: it asked for none, or has it already.
    Untouched,
    /// It asked for one, and could not get it.
    Declined,
    /// The configs have not been listed yet.
    NotReady,
    /// It is not a review of a pod.
    Malformed,
}

impl Outcome {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Untouched => "untouched",
            Self::Declined => "declined",
            Self::NotReady => "not_ready",
            Self::Malformed => "malformed",
        }
    }
}

/// Trigger there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The body is no review of a pod.
    #[error("not an AdmissionReview of a Pod (admission.k8s.io/v1): {0}")]
    Malformed(String),
    /// The configs have not been listed yet.
    #[error("the AwsConfigs have not been listed yet")]
    NotReady,
}

/// As much of a question as is looked at ("Webhook request and response" in the Kubernetes documentation). These types
/// are ours because every pod of a cluster waits for them: `kube` 5.0 copies a question whole before it reads it, and
/// writes a patch as a list of numbers, one for each byte. The API server accepts that, and takes its time.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    resource: ResourceOf,
    sub_resource: Option<String>,
    namespace: Option<String>,
    operation: String,
    object: Option<Pod>,
    old_object: Option<Pod>,
}

#[derive(Deserialize)]
struct ResourceOf {
    resource: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The answer to a review, as JSON, and what became of it.
///
/// # Errors
/// If the body is no review of a pod, or the configs have not been listed yet.
pub fn answer(body: &[u8], configs: &ConfigsFor) -> Result<(Vec<u8>, Outcome), NoAnswer> {
    let malformed = |error: String| NoAnswer::Malformed(error);
    let question: Question = serde_json::from_slice(body).map_err(|error| malformed(position(&error)))?;
    if (question.api_version.as_str(), question.kind.as_str()) != (API_VERSION, KIND) {
        return Err(malformed("it is of another kind or version".to_owned()));
    }
    let request = question.request.ok_or_else(|| malformed("it holds no request".to_owned()))?;
    let uid = request.uid.clone();
    let Injection { config, given, patch, warnings } = injection(request, configs)?;
    let outcome = match (&config, patch.is_empty()) {
        (_, false) => Outcome::Injected,
        (Some(_), true) if !given && !warnings.is_empty() => Outcome::Declined,
        _ => Outcome::Untouched,
    };
    let patch = (!patch.is_empty()).then(|| serde_json::to_vec(&patch).map(ByteString)).transpose();
    let patch = patch.map_err(|error| malformed(error.to_string()))?;
    let response = Response {
        uid,
        allowed: true,
        patch_type: patch.as_ref().map(|_| "JSONPatch"),
        patch,
        warnings: warnings.iter().take(WARNINGS).map(|text| warning(text)).collect(),
    };
    let answer = Answer { api_version: API_VERSION, kind: KIND, response };
    let bytes = serde_json::to_vec(&answer).map_err(|error| malformed(error.to_string()))?;
    Ok((bytes, outcome))
}

fn injection(request: Request, configs: &ConfigsFor) -> Result<Injection, NoAnswer> {
    let Some(pod) = request.object.filter(|_| request.resource.resource == "pods") else {
        return Ok(Injection::default());
    };
    match (request.operation.as_str(), request.sub_resource.as_deref()) {
        ("CREATE", None | Some("")) => {
            let namespace = request.namespace.as_deref().unwrap_or_default();
            let (labels, named) = (pod.metadata.labels(), named(pod.metadata.annotations()));
            let configs = configs(Asking { namespace, labels, named }).ok_or(NoAnswer::NotReady)?;
            Ok(new_pod(&pod, &configs))
        }
        ("UPDATE", Some("ephemeralcontainers")) => Ok(ephemeral_containers(&pod, request.old_object.as_ref())),
        _ => Ok(Injection::default()),
    }
}

/// Where a body is not what it should be. Not with serde's words, which quote the body: it may hold a pod's variables.
fn position(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "a field has another type" } else { "it is no JSON" };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

fn warning(text: &str) -> String {
    let text = format!("keyturn: {text}");
    if text.chars().count() <= WARNING_LIMIT {
        return text;
    }
    text.chars().take(WARNING_LIMIT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
