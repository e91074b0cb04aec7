//! An `AdmissionReview` and its answer. Pure: the input is bytes and configs, the output is bytes.
//!
//! The answer allows every pod, except a pod that requires the Secret and would not get it.

use super::{
    Asking, ConfigsFor,
    choose::named,
    endpoint::Settings,
    pod::{Injection, ephemeral_containers, new_pod},
    pod_view::Pod,
};
use crate::api::names::{INJECT, INJECT_REQUIRED};
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The longest warning, in characters. The API server may truncate longer ones (KEP-1693), and the
/// advice stands at the end of a warning.
const WARNING_LIMIT: usize = 256;
/// The largest number of warnings in an answer. The API server keeps 4,096 bytes of them.
const WARNINGS: usize = 10;

/// Whether a pod may start without the Secret that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The pod may start without the Secret. A warning says why it has none.
    Optional,
    /// The pod or its namespace has the label `keyturn.dev/inject: required`.
    Required,
}

/// The outcome of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// keyturn added a Secret to the pod.
    Injected,
    /// Nothing was added, because the pod asked for nothing or has everything already.
    Untouched,
    /// The pod asked for a Secret and could not get it.
    Declined,
    /// The pod required a Secret and could not get it. The API server refuses the pod.
    Refused,
    /// The configs have not been listed yet.
    NotReady,
    /// The body is not a review of a pod.
    Malformed,
}

impl Outcome {
    /// The outcome's name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Untouched => "untouched",
            Self::Declined => "declined",
            Self::Refused => "refused",
            Self::NotReady => "not_ready",
            Self::Malformed => "malformed",
        }
    }
}

/// The reason why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The body is not a review of a pod. The text says where it is wrong and quotes nothing of it.
    #[error("not an AdmissionReview of a Pod (admission.k8s.io/v1): {0}")]
    Malformed(String),
    /// The configs have not been listed yet.
    #[error("the AwsConfigs have not been listed yet")]
    NotReady,
}

/// The parts of a review that keyturn reads ("Webhook request and response" in the Kubernetes
/// documentation).
///
/// keyturn has types of its own here, because the creation of every pod in the cluster waits for
/// them. `kube` 5.0 copies the whole review before it reads it, and writes a patch as a list of
/// numbers, one for each byte. The API server accepts such a list, but takes longer to read it.
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
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The reason of a refusal, as the API server shows it to the pod's author.
#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Status {
    fn of(lacking: &str) -> Self {
        let message = format!(
            "the pod or its namespace requires the Secret of an AwsConfig (label {INJECT}: {INJECT_REQUIRED}), and {lacking}"
        );
        Self { code: 403, reason: "Forbidden", message }
    }
}

/// Returns the answer to a review, as JSON, and the outcome.
///
/// # Errors
/// [`NoAnswer::Malformed`] if the body is not a review of a pod; [`NoAnswer::NotReady`] if the
/// configs have not been listed yet.
pub fn answer(
    body: &[u8],
    configs: &ConfigsFor,
    settings: &Settings,
    demand: Demand,
) -> Result<(Vec<u8>, Outcome), NoAnswer> {
    let malformed = |error: String| NoAnswer::Malformed(error);
    let question: Question = serde_json::from_slice(body).map_err(|error| malformed(position(&error)))?;
    if (question.api_version.as_str(), question.kind.as_str()) != (API_VERSION, KIND) {
        return Err(malformed("it is of another kind or version".to_owned()));
    }
    let request = question.request.ok_or_else(|| malformed("it holds no request".to_owned()))?;
    let uid = request.uid.clone();
    let Injection { config, given, mut patch, warnings, lacking } = injection(request, configs, settings)?;
    let refused = lacking.filter(|_| demand == Demand::Required).map(|lacking| Status::of(&lacking));
    if refused.is_some() {
        patch.clear();
    }
    let outcome = match (&config, patch.is_empty()) {
        _ if refused.is_some() => Outcome::Refused,
        (Some(_), _) if !given && !warnings.is_empty() => Outcome::Declined,
        (_, false) => Outcome::Injected,
        _ => Outcome::Untouched,
    };
    let patch = (!patch.is_empty()).then(|| serde_json::to_vec(&patch).map(ByteString)).transpose();
    let patch = patch.map_err(|error| malformed(error.to_string()))?;
    let response = Response {
        uid,
        allowed: refused.is_none(),
        status: refused,
        patch_type: patch.as_ref().map(|_| "JSONPatch"),
        patch,
        warnings: warnings.iter().take(WARNINGS).map(|text| warning(text)).collect(),
    };
    let answer = Answer { api_version: API_VERSION, kind: KIND, response };
    let bytes = serde_json::to_vec(&answer).map_err(|error| malformed(error.to_string()))?;
    Ok((bytes, outcome))
}

fn injection(request: Request, configs: &ConfigsFor, settings: &Settings) -> Result<Injection, NoAnswer> {
    let Some(pod) = request.object.filter(|_| request.resource.resource == "pods") else {
        return Ok(Injection::default());
    };
    match (request.operation.as_str(), request.sub_resource.as_deref()) {
        ("CREATE", None | Some("")) => {
            let namespace = request.namespace.as_deref().unwrap_or_default();
            let (labels, named) = (pod.metadata.labels(), named(pod.metadata.annotations()));
            let configs = configs(Asking { namespace, labels, named }).ok_or(NoAnswer::NotReady)?;
            Ok(new_pod(&pod, &configs, settings))
        }
        ("UPDATE", Some("ephemeralcontainers")) => Ok(ephemeral_containers(&pod, request.old_object.as_ref())),
        _ => Ok(Injection::default()),
    }
}

/// Says where a body is wrong. The text does not contain serde's message, because that quotes the
/// body, and the body may hold a pod's variables.
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
