//! An `AdmissionReview` and its answer. Pure: bytes and configs in, bytes out.
//!
//! The answer always allows: keyturn adds to pods, and forbids none.

use super::{
    ConfigsOf,
    pod::{Injection, ephemeral_containers, new_pod},
};
use k8s_openapi::api::core::v1::Pod;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};

/// How long a warning may be: longer ones "may be truncated" (KEP-1693), which would cut off what to do.
const WARNING_LIMIT: usize = 256;
/// How many there may be; the API server keeps 4,096 bytes of them.
const WARNINGS: usize = 10;

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
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
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Untouched => "untouched",
            Self::Declined => "declined",
            Self::NotReady => "not_ready",
            Self::Malformed => "malformed",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("not an AdmissionReview of a Pod (admission.k8s.io/v1): {0}")]
    Malformed(String),
    #[error("the AwsConfigs have not been listed yet")]
    NotReady,
}

/// The answer to a review.
pub(super) fn answer(body: &[u8], configs: &ConfigsOf) -> Result<(Vec<u8>, Outcome), NoAnswer> {
    let malformed = |error: String| NoAnswer::Malformed(error);
    let review: AdmissionReview<Pod> = serde_json::from_slice(body).map_err(|error| malformed(position(&error)))?;
    let request: AdmissionRequest<Pod> = review.try_into().map_err(|_| malformed("it holds no request".to_owned()))?;
    let injection = injection(&request, configs)?;
    let outcome = match (&injection.config, injection.patch.0.is_empty()) {
        (_, false) => Outcome::Injected,
        (Some(_), true) if !injection.given && !injection.warnings.is_empty() => Outcome::Declined,
        _ => Outcome::Untouched,
    };
    let mut response = AdmissionResponse::from(&request);
    if !injection.patch.0.is_empty() {
        response = response.with_patch(injection.patch).map_err(|error| malformed(error.to_string()))?;
    }
    if !injection.warnings.is_empty() {
        response.warnings = Some(injection.warnings.iter().take(WARNINGS).map(|text| warning(text)).collect());
    }
    let bytes = serde_json::to_vec(&response.into_review()).map_err(|error| malformed(error.to_string()))?;
    Ok((bytes, outcome))
}

fn injection(request: &AdmissionRequest<Pod>, configs: &ConfigsOf) -> Result<Injection, NoAnswer> {
    let Some(pod) = request.object.as_ref().filter(|_| request.resource.resource == "pods") else {
        return Ok(Injection::default());
    };
    match (&request.operation, request.sub_resource.as_deref()) {
        (Operation::Create, None | Some("")) => {
            let namespace = request.namespace.as_deref().unwrap_or_default();
            Ok(new_pod(pod, &configs(namespace).ok_or(NoAnswer::NotReady)?))
        }
        (Operation::Update, Some("ephemeralcontainers")) => Ok(ephemeral_containers(pod, request.old_object.as_ref())),
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
