//! The webhook's certificate: the writes that making it costs. A restart over a valid certificate
//! costs nothing.

use super::world::{Cost, World};
use crate::fixtures::OPERATORS;
use keyturn::certificate::Kept;
use serde_json::{Value, json};
use std::time::Duration;

const CONFIGURATIONS: &str = "mutatingwebhookconfigurations";
const NAME: &str = "keyturn-webhook";

/// What the chart installs: an empty Secret and a configuration without an authority.
fn installed() -> World {
    let world = World::empty();
    let version = "admissionregistration.k8s.io/v1";
    world.api.namespace(OPERATORS, &[]);
    world.api.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": OPERATORS}}));
    let webhooks = json!([{"name": "pods.keyturn.dev", "clientConfig": {}}]);
    let metadata = json!({"name": NAME});
    let configuration = json!({"apiVersion": version, "kind": "MutatingWebhookConfiguration", "metadata": metadata, "webhooks": webhooks});
    world.api.put(configuration);
    world
}

fn start(world: &mut World) {
    let names = vec![format!("{NAME}.{OPERATORS}.svc")];
    let (namespace, secret, configuration) = (OPERATORS.to_owned(), NAME.to_owned(), NAME.to_owned());
    world.start_with_webhook_of(Some(Kept { namespace, secret, configuration, names }));
}

/// A world whose operator has started and has published its authority.
async fn in_order() -> World {
    let mut world = installed();
    start(&mut world);
    world.until("an authority is published", |world| authority(world).is_string()).await;
    world.settle().await;
    world
}

fn authority(world: &World) -> Value {
    world.api.get(CONFIGURATIONS, "", NAME).unwrap()["webhooks"][0]["clientConfig"]["caBundle"].take()
}

#[tokio::test(start_paused = true)]
async fn a_restart_over_a_valid_certificate_reads_and_writes_nothing() {
    let mut world = in_order().await;
    assert_eq!(world.cost().writes, 2, "the Secret and the configuration: {}", world.picture());
    let made = authority(&world);

    world.stop().await;
    world.count_from_here();
    start(&mut world);
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(world.cost(), Cost { sts: world.sts.count(), ..Cost::NOTHING }, "{}", world.picture());
    assert_eq!(authority(&world), made);
}

#[tokio::test(start_paused = true)]
async fn a_removed_authority_is_published_again_at_once() {
    let world = in_order().await;
    let made = authority(&world);
    world.api.edit(CONFIGURATIONS, "", NAME, |configuration| {
        configuration["webhooks"][0]["clientConfig"] = json!({});
    });
    world.at_once("it is published again", |world| authority(world) == made).await;
}
