//! MATRIX: what `tests/matrix` needs of keyturn. The matrix runs real AWS clients with the
//! environment and the files of injected pods. The additions to the pods are the webhook's answers
//! ([`crate::inject`]), and the files are those of the Secret ([`crate::secret`]). The matrix
//! writes neither by hand. The operator does not contain this room.

use crate::{
    api::{AwsConfig, Reason},
    credentials::Credentials,
    inject::{ConfigsFor, Demand, Settings, answer},
    secret::{Content, Rendering, Unrenderable, render, render_withdrawn},
};
use jiff::Timestamp;
use std::sync::Arc;

/// The `AwsConfig` whose Secret the pods get. It is ready, because the webhook otherwise warns.
const CONFIG: &str = r#"{
    "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "metadata": {"name": "alice", "namespace": "scoring"},
    "spec": {"person": "alice", "region": "eu-west-1"},
    "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Issued", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
}"#;
/// The access key ID in the Secrets. The matrix appends a number, and knows the person by it.
const ACCESS_KEY_ID: &str = "ASIAPERSON";
/// The end of the session in the Secrets. The matrix replaces it by a time that is still to come.
const EXPIRES_AT: &str = "2001-01-01T00:00:00Z";

/// Returns the webhook's answer to the review of a pod.
///
/// # Errors
/// The body is not a review of a pod.
pub fn answered(review: &[u8]) -> Result<Vec<u8>, String> {
    let config = Arc::new(config()?);
    let configs: ConfigsFor = Arc::new(move |_| Some(vec![config.clone()]));
    let settings = Settings { image: Some("keyturn".to_owned()), ..Settings::default() };
    answer(review, &configs, &settings, Demand::Optional).map(|(body, _)| body).map_err(|error| error.to_string())
}

fn config() -> Result<AwsConfig, String> {
    serde_json::from_str(CONFIG).map_err(|error| error.to_string())
}

/// Returns the data of the Secret with a session, with a static key (provider `default`), and
/// withdrawn.
///
/// # Errors
/// A value cannot be rendered.
pub fn secrets() -> Result<[(&'static str, Content); 3], String> {
    let rendering = Rendering::of(&config()?, None);
    let with = |session_token: Option<&str>| Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: "secret".into(),
        session_token: session_token.map(Into::into),
    };
    let end: Timestamp = EXPIRES_AT.parse().map_err(|error: jiff::Error| error.to_string())?;
    let text = |error: Unrenderable| error.to_string();
    Ok([
        ("session", render(&rendering, &with(Some("token")), Some(end), None).map_err(text)?),
        ("key", render(&rendering, &with(None), None, None).map_err(text)?),
        ("withdrawn", render_withdrawn(&rendering, Reason::Suspended).map_err(text)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_slice, json, to_vec};
    use std::{env, fs, path::PathBuf};

    #[test]
    fn a_pod_of_the_matrix_gets_the_secret_and_the_variables() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "annotations": {"keyturn.dev/aws-config": "alice"}},
            "spec": {"containers": [{"name": "app", "image": "x"}]},
        });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "1", "resource": {"resource": "pods"}, "operation": "CREATE", "object": pod},
        });
        let answer: Value = from_slice(&answered(&to_vec(&review).unwrap()).unwrap()).unwrap();
        assert!(answer["response"]["patch"].is_string(), "{answer}");
        assert!(answer["response"]["warnings"].is_null(), "{answer}");
        let held = secrets().unwrap().map(|(_, content)| content.0.contains_key("credential-process.json"));
        assert_eq!(held, [true; 3]);
    }

    /// Answers the reviews in the folder that `tests/matrix/run` names, and writes the Secrets
    /// there.
    #[test]
    #[ignore = "tests/matrix/run calls it: make matrix"]
    #[expect(clippy::disallowed_methods, reason = "the folder is the caller's choice")]
    fn the_matrix_gets_its_pods_and_secrets() {
        let folder = PathBuf::from(env::var_os("KEYTURN_MATRIX").expect("KEYTURN_MATRIX names a folder"));
        for (name, content) in secrets().unwrap() {
            let data: serde_json::Map<String, Value> =
                content.0.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap().into())).collect();
            fs::write(folder.join(format!("secret-{name}.json")), to_vec(&data).unwrap()).unwrap();
        }
        let reviews: Vec<Value> = from_slice(&fs::read(folder.join("reviews.json")).unwrap()).unwrap();
        let answers = reviews.iter().map(|review| answered(&to_vec(review).unwrap()).unwrap());
        let answers: Vec<Value> = answers.map(|answer| from_slice(&answer).unwrap()).collect();
        fs::write(folder.join("answers.json"), to_vec(&answers).unwrap()).unwrap();
    }
}
