//! Missed pods: pods that asked for a credential while the webhook was not reachable. keyturn finds
//! and names them, and reports each finding once.

use super::world::World;
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{SCORING, alice, analysts, config},
};
use keyturn::api::AwsConfigSpec;
use serde_json::{from_value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A world at rest whose operator has a webhook and these configs.
async fn world(configs: &[keyturn::api::AwsConfig]) -> World {
    let mut world = World::empty();
    world.apply(&analysts());
    for config in configs {
        world.apply(config);
    }
    world.start_with_webhook();
    let names: Vec<String> = configs.iter().filter_map(|config| config.metadata.name.clone()).collect();
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world
}

/// Stores a pod that names `config` and that the webhook has not seen.
fn missed(world: &World, name: &str, config: &str) {
    let metadata = json!({"name": name, "namespace": SCORING, "annotations": {"keyturn.dev/aws-config": config}});
    world.api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}));
}

fn report(world: &World, name: &str) -> Option<String> {
    world.condition(name, "PodsMissed").map(|(status, reason, message)| format!("{status}/{reason}: {message}"))
}

fn is_reported(world: &World, name: &str, pods: &str) -> bool {
    report(world, name).is_some_and(|report| report.starts_with("True/NotInjected: ") && report.contains(pods))
}

fn selecting(app: &str) -> impl FnOnce(&mut AwsConfigSpec) + use<> {
    let inject = from_value(json!({"podSelector": {"matchLabels": {"app": app}}})).unwrap();
    move |spec| spec.inject = Some(inject)
}

#[tokio::test(start_paused = true)]
async fn a_missed_pod_is_named_once_until_it_is_deleted() {
    let world = world(&[alice()]).await;
    world.pass(10 * SECOND).await;
    missed(&world, "late", "alice");
    world.until("it is named", |world| is_reported(world, "alice", "1 pod asks")).await;
    assert!(is_reported(&world, "alice", "\"late\"") && world.is_ready("alice"), "{:?}", report(&world, "alice"));
    world.count_from_here();
    world.pass(16 * MINUTE).await;
    let events = world.event_reasons();
    assert_eq!(events.iter().filter(|reason| *reason == "NotInjected").count(), 1, "{events:?}");
    assert!(world.api.writes().is_empty(), "{}", world.picture());
    assert_eq!(world.api.count("list", "pods"), 3, "every five minutes");

    world.api.delete("Pod", SCORING, "late");
    world.until("nothing is reported any more", |world| report(world, "alice").is_none()).await;
    assert!(world.is_ready("alice"));
    assert_eq!(world.events().len(), events.len(), "its end is no news");
}

#[tokio::test(start_paused = true)]
async fn a_restart_neither_drops_nor_repeats_a_report_of_missed_pods() {
    let mut world = world(&[alice()]).await;
    missed(&world, "late", "alice");
    world.until("it is named", |world| is_reported(world, "alice", "late")).await;
    for how in ["stopped", "killed"] {
        if how == "stopped" {
            world.stop().await;
        } else {
            world.kill().await;
        }
        world.count_from_here();
        world.start_with_webhook();
        world.pass(MINUTE).await;
        assert!(world.api.count("list", "pods") > 0, "{how}");
        assert!(world.api.writes().is_empty(), "{how}: {}", world.picture());
    }
    world.stop().await;
    world.api.delete("Pod", SCORING, "late");
    world.start_with_webhook();
    world.until("nothing is reported any more", |world| report(world, "alice").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn no_pod_is_listed_or_missed_without_a_webhook() {
    let mut world = world(&[alice()]).await;
    missed(&world, "late", "alice");
    world.until("it is named", |world| is_reported(world, "alice", "late")).await;
    world.stop().await;
    world.count_from_here();
    world.start();
    world.until("nothing is reported any more", |world| report(world, "alice").is_none()).await;
    world.pass(16 * MINUTE).await;
    assert_eq!(world.api.count("list", "pods"), 0);
}

#[tokio::test(start_paused = true)]
async fn only_namespaces_with_configs_and_injection_are_listed() {
    let world = world(&[alice()]).await;
    world.api.namespace("other", &[]);
    world.api.namespace("off", &[("keyturn.dev/inject", "false")]);
    world.apply(&crate::fixtures::config_in("off", "alice", |_| {}));
    world.pass(16 * MINUTE).await;
    let lists = world.api.requests().into_iter().filter(|request| request.is("list", "pods"));
    let lists: Vec<_> = lists.collect();
    assert!(!lists.is_empty() && lists.iter().all(|list| list.namespace == SCORING), "{lists:?}");
    assert!(lists.iter().all(|list| list.accept.contains("as=PartialObjectMetadataList")), "{lists:?}");
    assert_eq!(world.api.count("watch", "pods"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_missed_pod_is_reported_in_a_namespace_without_injection() {
    let world = world(&[alice()]).await;
    missed(&world, "late", "alice");
    world.until("it is named", |world| is_reported(world, "alice", "late")).await;
    world.api.edit("Namespace", "", SCORING, |namespace| {
        namespace["metadata"]["labels"]["keyturn.dev/inject"] = json!("false");
    });
    world.until("nothing is reported any more", |world| report(world, "alice").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn pods_older_than_a_selector_are_reported_within_a_minute() {
    let world = world(&[alice(), config("bob", |_| {})]).await;
    let metadata = json!({"name": "old", "namespace": SCORING, "labels": {"app": "scorer"}});
    world.api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}));
    world.pass(MINUTE).await;
    assert_eq!(report(&world, "alice"), None);
    world.change("alice", selecting("scorer"));
    world.pass(MINUTE).await;
    assert!(is_reported(&world, "alice", "\"old\""), "{}", world.picture());
    assert_eq!(report(&world, "bob"), None);
}

#[tokio::test(start_paused = true)]
async fn five_of_many_missed_pods_are_named_and_finished_ones_not_counted() {
    let world = world(&[alice()]).await;
    for number in 0..1200 {
        missed(&world, &format!("p-{number:04}"), "alice");
    }
    for (name, phase) in [("a-done", "Succeeded"), ("a-lost", "Failed")] {
        missed(&world, name, "alice");
        world.api.edit("Pod", SCORING, name, |pod| pod["status"] = json!({"phase": phase}));
    }
    world.until("they are named", |world| is_reported(world, "alice", "1200 pods ask")).await;
    let report = report(&world, "alice").unwrap();
    assert!(report.contains("\"p-0000\"") && report.contains("\"p-0004\" and 1195 more. "), "{report}");
    assert!(!report.contains("a-done"), "{report}");
    assert_eq!(world.api.count("list", "pods"), 24, "in pages of 50");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_on_its_second_page_is_retried() {
    let world = world(&[alice()]).await;
    for number in 0..600 {
        missed(&world, &format!("p-{number:04}"), "alice");
    }
    world.until("they are named", |world| is_reported(world, "alice", "600 pods")).await;
    for number in 0..10 {
        world.api.delete("Pod", SCORING, &format!("p-{number:04}"));
    }
    world.count_from_here();
    let second_page = |request: &crate::doubles::apiserver::Request| {
        request.is("list", "pods") && request.query.contains_key("continue")
    };
    world.api.fault(Times::Once, second_page, Fault::status(500));
    world.until("a list has failed", |world| world.api.count("list", "pods") == 2).await;
    world.settle().await;
    assert!(is_reported(&world, "alice", "600 pods") && world.api.writes().is_empty());
    world.pass(MINUTE).await;
    assert!(is_reported(&world, "alice", "590 pods"), "{:?}", report(&world, "alice"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_the_wrong_or_no_secret_is_told_of_despite_its_mark() {
    let renamed = config("carol", |spec| spec.target = from_value(json!({"name": "custom"})).unwrap());
    let world = world(&[alice(), renamed]).await;
    let marked = |name: &str, marks: serde_json::Value| {
        let metadata = json!({"name": name, "namespace": SCORING, "annotations": marks});
        world.api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}));
    };
    marked("early", json!({"keyturn.dev/injected": "carol", "keyturn.dev/injected-secret": "carol-aws"}));
    marked("whole", json!({"keyturn.dev/injected": "carol", "keyturn.dev/injected-secret": "custom"}));
    marked("closed", json!({"keyturn.dev/aws-config": "alice", "keyturn.dev/not-injected": "app"}));
    world.until("both are named", |world| report(world, "carol").is_some() && report(world, "alice").is_some()).await;
    assert!(is_reported(&world, "carol", "1 pod mounts or waits for another Secret"), "{:?}", report(&world, "carol"));
    assert!(is_reported(&world, "carol", "\"early\""), "{:?}", report(&world, "carol"));
    assert!(is_reported(&world, "alice", "1 pod has containers that cannot have the Secret: \"closed\""));
    for name in ["early", "closed"] {
        world.api.delete("Pod", SCORING, name);
    }
    world
        .until("nothing is reported", |world| report(world, "carol").is_none() && report(world, "alice").is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_config_with_the_same_pods_says_so_until_a_selector_goes() {
    let world = world(&[config("zoe", selecting("scorer")), config("alice", |_| {})]).await;
    world.pass(2 * SECOND).await;
    let marks = json!({"keyturn.dev/injected": "zoe", "keyturn.dev/injected-secret": "zoe-aws"});
    let metadata = json!({"name": "p", "namespace": SCORING, "labels": {"app": "scorer"}, "annotations": marks});
    world.api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}));
    world.change("alice", selecting("scorer"));
    world.until("the newer one says so", |world| report(world, "alice").is_some()).await;
    let said = report(&world, "alice").unwrap();
    assert!(said.starts_with("True/SelectorOverlaps: 1 pod that podSelector matches has the Secret"), "{said}");
    assert_eq!(report(&world, "zoe"), None, "it has the pod");
    assert!(world.is_ready("alice"));
    world.change("zoe", selecting("web"));
    world.until("nothing is reported any more", |world| report(world, "alice").is_none()).await;
}
