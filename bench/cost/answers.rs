//! How soon a webhook answers: the same review, sent again and again to keyturn and to the webhook that does nothing, in
//! turns, by one client that keeps its connections. What the API server does before and after is not in it. So Kubernetes,
//! too, reckons the latency of a webhook, which it leaves out of its own (`apiserver_request_slo_duration_seconds`).

use crate::{Result, ground::RELEASE, nothing::AT_MOST, pods::Place, report::Report, stage::NOTHING_CONFIGURATION};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{Api, Client};
use reqwest::{Certificate, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How many questions are asked in a turn, one after the other.
const TURN: usize = 20;

/// Compares the two about the pod of `place`, which keyturn should patch or not, and reports it: what is asked alone, and
/// what is asked with so many in flight.
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

/// One webhook, and what it said.
struct Answers {
    /// How long each answer took, as the client sees it.
    took: Vec<Duration>,
    /// How many were otherwise than they should be.
    wrong: usize,
    client: reqwest::Client,
    url: String,
    review: String,
    /// Whether the answer should hold a patch.
    patched: bool,
}

impl Answers {
    /// Of the webhook that this configuration calls.
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

    /// Asks so often, with so many in flight.
    async fn ask(&mut self, count: usize, in_flight: usize) -> Result {
        let answers = stream::iter((0..count).map(|_| self.answer())).buffer_unordered(in_flight);
        let answers: Vec<(Duration, bool)> = answers.try_collect().await?;
        self.took.extend(answers.iter().map(|(took, _)| took));
        self.wrong += answers.iter().filter(|(_, right)| !right).count();
        Ok(())
    }

    /// How long an answer takes, and whether it is as it should be.
    async fn answer(&self) -> Result<(Duration, bool)> {
        let (question, json) = (self.review.clone(), "application/json");
        let begun = Instant::now();
        let answer = self.client.post(&self.url).header(CONTENT_TYPE, json).body(question).send().await?;
        let answer = answer.error_for_status()?.bytes().await?;
        let took = begun.elapsed();
        let said: Value = serde_json::from_slice(&answer)?;
        let (allowed, patch) = (said["response"]["allowed"] == true, said["response"]["patch"].is_string());
        Ok((took, allowed && patch == self.patched))
    }
}

/// The question whether this pod, which the API server has completed, may be created in that namespace.
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
