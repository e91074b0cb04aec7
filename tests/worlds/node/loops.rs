//! Pods that list a bucket of their own name repeatedly, and the results of their calls.

use super::release::Release;
use crate::real::ground::within;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const LOOP: &str = include_str!("loop.py");

/// The result of one call, as a workload logged it.
#[derive(Clone, Debug, Deserialize)]
pub struct CallResult {
    pub ok: bool,
    #[serde(default)]
    pub error: String,
}

/// The command of a pod that lists the bucket `name` by boto3.
pub fn boto3(name: &str) -> [&str; 5] {
    ["python3", "-c", LOOP, "boto3", name]
}

/// The same by the AWS CLI, with a new process for each call.
pub fn cli(name: &str) -> [&str; 5] {
    ["python3", "-c", LOOP, "cli", name]
}

/// The same by the AWS SDK for Go.
pub fn go(name: &str) -> [&str; 5] {
    ["/usr/bin/sdk-go", "-bucket", name, "-every", "500ms"]
}

/// Adds alice's credential to the pod's environment. The pod has it nowhere else.
pub fn by_variables(mut pod: Value) -> Value {
    let variables = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"] {
        variables.push(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "alice-aws", "key": name}}}));
    }
    pod
}

impl Release {
    /// The results of a workload so far.
    pub fn results(&self, pod: &str) -> Vec<CallResult> {
        self.log(pod).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until a workload has listed its bucket with this many access keys.
    pub async fn until_keys_used(&self, pod: &str, keys: usize, limit: Duration) {
        within(limit, &format!("{pod} has used {keys} keys"), async || {
            let used = self.s3.keys(pod).len();
            if used >= keys { Ok(()) } else { Err(format!("{used}; {}", self.describe(pod).await)) }
        })
        .await;
    }

    /// Waits until the result of a workload's last call fits.
    pub async fn until_last_call(
        &self,
        pod: &str,
        limit: Duration,
        wanted: impl Fn(&CallResult) -> bool,
    ) -> CallResult {
        within(limit, &format!("{pod} says it"), async || {
            let results = self.results(pod);
            match results.last() {
                Some(last) if wanted(last) => Ok(last.clone()),
                last => Err(format!("{last:?}; {}", self.describe(pod).await)),
            }
        })
        .await
    }
}
