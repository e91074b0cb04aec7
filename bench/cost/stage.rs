//! The objects that exist before pods are created: namespaces for which the API server calls one
//! webhook, another or none, and the configurations of these webhooks.
//!
//! The API server calls the webhooks by their addresses, because the bench has no network for
//! Services.

use crate::{Result, fleet, ground::RELEASE, nothing::Reached, pods::Place, reviews::Reviews};
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use keyturn::{
    api::names::{INJECT, INJECT_OFF, POD_AWS_CONFIG},
    webhook::PATH,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::time::sleep;

/// The namespace in which keyturn is asked about pods that name an `AwsConfig`.
pub const KEYTURN: &str = "pods";
/// The namespace in which keyturn is asked about pods that none of many `AwsConfigs` selects.
pub const CROWD: &str = "pods-crowd";
/// The namespace in which the webhook that does nothing is asked.
pub const NOTHING: &str = "pods-nothing";
/// The namespace in which the webhook that adds one annotation is asked.
pub const MARKING: &str = "pods-marking";
/// The namespace in which no webhook is asked.
pub const NOBODY: &str = "pods-nobody";
/// The `AwsConfig` that pods name.
pub const NAMED: &str = "named";
/// The name of keyturn's webhook in its configuration and in the API server's metrics.
pub const KEYTURN_WEBHOOK: &str = "pods.keyturn.dev";
/// The name of the webhook that does nothing.
pub const NOTHING_WEBHOOK: &str = "nothing.bench.keyturn.dev";
/// The name of the webhook that adds one annotation.
pub const MARKING_WEBHOOK: &str = "marking.bench.keyturn.dev";
/// The configuration of the webhook that does nothing.
pub const NOTHING_CONFIGURATION: &str = "nothing";

/// The label of a namespace. Its value is the name of the other webhook that is asked there.
const ASKED: &str = "bench.keyturn.dev/asked";
/// How many `AwsConfigs` with a selector are in [`CROWD`].
const SELECTING: usize = 300;
/// The person of all `AwsConfigs` here.
const PERSON: &str = "pods";

/// Creates all of this, with keyturn's webhook at this address. Every `AwsConfig` then has its
/// Secret.
pub async fn set(client: &Client, keyturn: SocketAddr, nothing: &Reached) -> Result {
    let off = |asked: &str| [(INJECT, INJECT_OFF), (ASKED, asked)].map(owned).into();
    for (namespace, asked) in [(NOTHING, NOTHING_WEBHOOK), (MARKING, MARKING_WEBHOOK), (NOBODY, "nobody")] {
        fleet::namespace(client, namespace, off(asked)).await?;
    }
    fleet::apply(client, KEYTURN, NAMED, fleet::spec(PERSON)?).await?;
    for number in 0..SELECTING {
        let mut spec = fleet::spec(PERSON)?;
        let labels = json!({"app": format!("app-{number}")});
        spec.inject = Some(serde_json::from_value(json!({"podSelector": {"matchLabels": labels}}))?);
        fleet::apply(client, CROWD, &format!("selecting-{number:03}"), spec).await?;
    }
    let all = 1 + SELECTING;
    fleet::all_ready(client, PERSON, all, || all).await?;
    configure(client, keyturn, nothing).await
}

/// Writes keyturn's address into its configuration, and copies it for the other webhooks, with
/// their names, URLs, authority and namespaces.
async fn configure(client: &Client, keyturn: SocketAddr, nothing: &Reached) -> Result {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let at = "/webhooks/0/clientConfig";
    let url = format!("https://{keyturn}{PATH}");
    let operations = json!([{"op": "remove", "path": format!("{at}/service")},
                            {"op": "add", "path": format!("{at}/url"), "value": url}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations)?);
    let configured = api.patch(RELEASE, &PatchParams::default(), &patch).await?;

    let ours =
        configured.webhooks.and_then(|webhooks| webhooks.into_iter().next()).ok_or("the chart has no webhook")?;
    let others =
        [(NOTHING_CONFIGURATION, NOTHING_WEBHOOK, &nothing.url), ("marking", MARKING_WEBHOOK, &nothing.marking)];
    for (name, webhook, url) in others {
        let mut its = MutatingWebhook { name: webhook.to_owned(), ..ours.clone() };
        its.client_config.url = Some(url.clone());
        its.client_config.ca_bundle = Some(ByteString(nothing.authority.clone().into_bytes()));
        let asked = [(ASKED, webhook)].map(owned).into();
        its.namespace_selector = Some(LabelSelector { match_labels: Some(asked), ..LabelSelector::default() });
        let mut configuration = MutatingWebhookConfiguration { webhooks: Some(vec![its]), ..Default::default() };
        configuration.metadata.name = Some(name.to_owned());
        api.create(&PostParams::default(), &configuration).await?;
    }
    Ok(())
}

/// Waits until the API server creates pods in these places, the pods come back as they should, and
/// the webhook that does nothing is asked.
pub async fn until_served(client: &Client, places: &[Place]) -> Result {
    let mut seen = Vec::new();
    for _ in 0..300 {
        let [before] = Reviews::of(client, [NOTHING_WEBHOOK]).await?;
        seen.clear();
        for place in places {
            // At first the namespace has no ServiceAccount yet, and keyturn's configuration has no
            // authority.
            match place.create().await {
                Ok(true) => {}
                Ok(false) => seen.push("a pod came back otherwise than it should".to_owned()),
                Err(error) => seen.push(error.to_string()),
            }
        }
        let [after] = Reviews::of(client, [NOTHING_WEBHOOK]).await?;
        if after.count == before.count {
            seen.push("the webhook that does nothing is not asked".to_owned());
        }
        if seen.is_empty() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the webhooks are not called as they should: {}", seen.join("; ")).into())
}

/// The annotations of a pod that gets a Secret in [`KEYTURN`].
pub fn asking() -> BTreeMap<String, String> {
    [(POD_AWS_CONFIG, NAMED)].map(owned).into()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
