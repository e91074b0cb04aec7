//! The latency of a webhook's answer. One client, which keeps its connections, sends the same
//! review again and again to keyturn and to the webhook that does nothing, in turns. The latency
//! excludes the work of the API server before and after the review. Kubernetes measures the latency
//! of a webhook in the same way, and excludes it from its own
//! (`apiserver_request_slo_duration_seconds`).

use crate::{Result, ground::RELEASE, nothing::AT_MOST, pods::Place, report::Report, stage::NOTHING_CONFIGURATION};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{Api, Client};
use reqwest::{Certificate, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How many reviews a turn sends to each webhook, one after the other.
const TURN: usize = 20;

/// Compares the latency of the two webhooks for the pod of `place`, and reports it: one review
/// after the other, and with `in_flight` reviews at once. The pod is taken from `nowhere`, where no
/// webhook changes it. keyturn should patch the pod if `place` expects a Secret.
pub async fn compare(
    client: &Client,
    what: &str,
    [place, nowhere]: [&Place; 2],
    count: usize,
    in_flight: usize,
    report: &mut Report,
) -> Result {
    let review = review(&nowhere.created().await?, &place.namespace)?;
    let mut keyturn = Answers::of(client, RELEASE, review.clone(), place.secret.is_some()).await?;
    let mut nothing = Answers::of(client, NOTHING_CONFIGURATION, review, false).await?;
    for (at_once, in_flight) in [("", 1), (&*format!(", {in_flight} at once"), in_flight)] {
        let turn = TURN.max(in_flight);
        for warm in [true, false] {
            for _ in 0..count.div_ceil(turn) {
                keyturn.ask(turn, in_flight).await?;
                nothing.ask(turn, in_flight).await?;
            }
            if warm {
                keyturn.took.clear();
                nothing.took.clear();
            }
        }
        let times = [&mut *keyturn.took, &mut *nothing.took];
        report.median_and_p99(&format!("{what}: answered{at_once}"), times, AT_MOST);
    }
    report.promise(&format!("{what}: answered otherwise than it should"), 0, keyturn.wrong + nothing.wrong);
    Ok(())
}

/// One webhook and its answers.
struct Answers {
    /// How long the client waited for each answer.
    took: Vec<Duration>,
    /// How many answers were wrong.
    wrong: usize,
    client: reqwest::Client,
    url: String,
    review: String,
    /// Whether the answer should hold a patch.
    patched: bool,
}

impl Answers {
    /// Nothing asked yet of the webhook that this configuration calls.
    async fn of(client: &Client, configuration: &str, review: String, patched: bool) -> Result<Self> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let webhook = api.get(configuration).await?.webhooks.and_then(|webhooks| webhooks.into_iter().next());
        let called = webhook.ok_or_else(|| format!("{configuration} has no webhook"))?.client_config;
        let (Some(url), Some(authority)) = (called.url, called.ca_bundle) else {
            return Err(format!("{configuration} does not say whom to call, or has no authority yet").into());
        };
        let trusted = Certificate::from_pem(&authority.0)?;
        let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build()?;
        Ok(Self { took: Vec::new(), wrong: 0, client, url, review, patched })
    }

    /// Sends the review `count` times, with `in_flight` at once.
    async fn ask(&mut self, count: usize, in_flight: usize) -> Result {
        let answers = stream::iter((0..count).map(|_| self.answer())).buffer_unordered(in_flight);
        let answers: Vec<(Duration, bool)> = answers.try_collect().await?;
        self.took.extend(answers.iter().map(|(took, _)| took));
        self.wrong += answers.iter().filter(|(_, right)| !right).count();
        Ok(())
    }

    /// Sends the review once. Returns how long the answer took, and whether it was right.
    async fn answer(&self) -> Result<(Duration, bool)> {
        let (question, json) = (self.review.clone(), "application/json");
        let begun = Instant::now();
        let answer = self.client.post(&self.url).header(CONTENT_TYPE, json).body(question).send().await?;
        let answer = answer.error_for_status()?.bytes().await?;
        let took = begun.elapsed();
        let answer: Value = serde_json::from_slice(&answer)?;
        let (allowed, patch) = (answer["response"]["allowed"] == true, answer["response"]["patch"].is_string());
        Ok((took, allowed && patch == self.patched))
    }
}

/// The review of the creation of this pod, which the API server has completed, in that namespace.
fn review(pod: &Pod, namespace: &str) -> Result<String> {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let mut object = serde_json::to_value(pod)?;
    object["metadata"]["namespace"] = json!(namespace);
    let request = json!({
        "uid": "f6d1a9de-30cf-4a3a-a4a6-9e3d2fb0cf3e", "kind": kind, "requestKind": kind, "resource": resource,
        "requestResource": resource, "name": pod.metadata.name, "namespace": namespace, "operation": "CREATE",
        "userInfo": {"username": "bench", "groups": ["system:authenticated"]}, "object": object, "oldObject": null,
        "dryRun": true, "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions", "dryRun": ["All"]},
    });
    Ok(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string())
}
