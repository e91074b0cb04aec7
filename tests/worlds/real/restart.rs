//! `spec.restart` on a real control plane: the rights that the chart gives, the people who may ask
//! for a restart, and how little the operator's token may do with these rights. No pod runs here,
//! so the rollout of a Deployment without replicas ends as soon as its controller has seen it.

use super::{
    ground::{eventually, real_time, within},
    install::{Install, Process},
    operator_policies::client_with_operator_token,
    people::{People, refusal},
};
use crate::doubles::sts::{Behaviour, Sts};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use keyturn::api::AwsConfigSpec;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};
use std::{sync::Arc, time::Duration};

const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// How long sessions live here, in seconds: not renewed within the test, and restarts are spread
/// over a tenth of it.
const LIFETIME: i64 = 300;
/// Half a minute, a tenth of the lifetime, and a moment more.
const SPREAD: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_workload_is_restarted_once_the_chart_grants_the_right() {
    let install = Install::scoped().await;
    deploy(&install, "scorer").await;
    let sts = Sts::new(Arc::new(real_time));
    sts.always(Behaviour::Lifetime(LIFETIME));
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let operator = install.start_at_sts(&listening.url()).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", restarting(&json!([{"kind": "Deployment", "name": "scorer"}]), "16m")).await;
    install.until_ready_is("alice", "True/Issued").await;

    issue_again(&install, "15m").await;
    let denied = reported_failure(&install, &operator).await;
    assert!(denied.starts_with("RestartDenied: ") && denied.contains("restart.namespaces"), "{denied}");
    assert_eq!(restarted_at(&install, "scorer").await, None);
    let ready = install.until_ready_is("alice", "True/Issued").await;
    assert!(ready.status.unwrap().former.is_some(), "Ready does not depend on it");

    install.may_restart();
    // A change of the config enqueues it.
    install
        .configs()
        .patch("alice", &PatchParams::default(), &Patch::Merge(json!({"spec": {"region": "eu-west-3"}})))
        .await
        .unwrap();
    within(SPREAD, "it is restarted", async || restarted_at(&install, "scorer").await.ok_or("not yet")).await;
    eventually("and nothing is in its way", async || condition(&install).await.map_or(Ok(()), Err)).await;
    let events = install.events("alice").await;
    let of = |reason: &str| events.iter().filter(|event| event.starts_with(reason)).count();
    assert_eq!((of("RestartDenied: "), of("Restarted: ")), (1, 1), "{events:#?}");
    assert!(operator.stop().await.success());

    let mut asked = install.ground.audit(&install.user());
    asked.retain(|request| request.resource == "deployments");
    let patches = asked.iter().filter(|request| request.verb == "patch").count();
    assert_eq!(patches, 1, "{asked:#?}");
    assert!(asked.iter().all(|request| ["get", "patch"].contains(&request.verb.as_str())), "{asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_changes_only_the_restart_time_of_a_workload() {
    let install = Install::scoped().await;
    install.may_restart();
    deploy(&install, "scorer").await;
    let client = client_with_operator_token(&install).await;
    let operator: Api<Deployment> = Api::namespaced(client.clone(), &install.namespace);
    let (for_good, dry_run) = (PatchParams::default(), PatchParams { dry_run: true, ..PatchParams::default() });
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "evil"}]}}}});
    eventually("the policy is in force", async || {
        operator.patch("scorer", &dry_run, &Patch::Strategic(image.clone())).await.map_or_else(
            |error| if error.to_string().contains("keyturn changes nothing") { Ok(()) } else { Err(error.to_string()) },
            |_| Err("it was let through".to_owned()),
        )
    })
    .await;

    let restart = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z"}}}}});
    for attempt in [
        json!({"spec": {"replicas": 3}}),
        json!({"spec": {"paused": true}}),
        json!({"spec": {"minReadySeconds": 5}}),
        json!({"spec": {"template": {"metadata": {"annotations": {"other": "x"}}}}}),
        json!({"spec": {"template": {"metadata": {"annotations": {"theirs": null}}}}}),
        json!({"spec": {"template": {"metadata": {"labels": {"more": "x"}}}}}),
        json!({"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}}),
        json!({"spec": {"template": {"spec": {"hostNetwork": true}}}}),
        json!({"metadata": {"labels": {"more": "x"}}}),
        json!({"metadata": {"annotations": {"more": "x"}}}),
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
    ] {
        let said = refusal(operator.patch("scorer", &for_good, &Patch::Merge(attempt.clone())).await).message;
        assert!(said.contains("keyturn changes nothing"), "{attempt}: {said}");
    }
    operator.patch("scorer", &for_good, &Patch::Merge(restart.clone())).await.unwrap();
    assert_eq!(restarted_at(&install, "scorer").await.as_deref(), Some("2026-01-01T00:00:00Z"));

    // The policy is the same for other kinds: the first restart is allowed, and another image is
    // not.
    let template = template();
    let selector = json!({"matchLabels": {"app": "scorer"}});
    let sets: Api<StatefulSet> = Api::namespaced(install.admin.clone(), &install.namespace);
    let set = json!({"metadata": {"name": "set"}, "spec": {"serviceName": "x", "replicas": 0, "selector": selector, "template": template}});
    sets.create(&PostParams::default(), &from_value(set).unwrap()).await.unwrap();
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &install.namespace);
    sets.patch("set", &for_good, &Patch::Merge(restart.clone())).await.unwrap();
    refusal(sets.patch("set", &for_good, &Patch::Strategic(image.clone())).await);
    let everywhere: Api<DaemonSet> = Api::namespaced(install.admin.clone(), &install.namespace);
    let set = json!({"metadata": {"name": "set"}, "spec": {"selector": selector, "template": template}});
    everywhere.create(&PostParams::default(), &from_value(set).unwrap()).await.unwrap();
    let everywhere: Api<DaemonSet> = Api::namespaced(client, &install.namespace);
    everywhere.patch("set", &for_good, &Patch::Merge(restart)).await.unwrap();
    refusal(everywhere.patch("set", &for_good, &Patch::Strategic(image)).await);
    // All other users write as before.
    let admin: Api<Deployment> = Api::namespaced(install.admin.clone(), &install.namespace);
    admin.patch("scorer", &for_good, &Patch::Merge(json!({"spec": {"paused": true}}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn asking_for_a_restart_needs_the_right_to_patch_each_workload() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, bob) = (people.person("alice").await, people.person("bob").await);
    let all = |count: usize| {
        (0..count).map(|n| json!({"kind": "Deployment", "name": format!("scorer-{n}")})).collect::<Vec<_>>()
    };
    people.may_patch("alice", "deployments", &(0..8).map(|n| format!("scorer-{n}")).collect::<Vec<_>>()).await;

    eventually("alice may patch them", async || {
        alice.creates_with("eight", "alice", restarting(&json!(all(8)), "1h")).await.map(|_| ())
    })
    .await;
    for (restart, missing) in [
        (json!([{"kind": "Deployment", "name": "other"}]), "restart[0]"),
        (json!([{"kind": "StatefulSet", "name": "scorer-0"}]), "statefulsets.apps \"scorer-0\""),
        (json!([{"kind": "Deployment", "selector": {"matchLabels": {"app": "scorer"}}}]), "all of them"),
    ] {
        let said = refusal(alice.creates_with("more", "alice", restarting(&restart, "1h")).await).message;
        assert!(said.contains("the verb \"patch\" on") && said.contains(missing), "{said}");
    }
    let mut last = all(7);
    last.push(json!({"kind": "DaemonSet", "name": "scorer-7"}));
    let said = refusal(alice.edits("eight", json!({"restart": last})).await).message;
    assert!(said.contains("restart[7]") && said.contains("daemonsets.apps \"scorer-7\""), "{said}");

    let said = refusal(bob.creates_with("bob", "bob", restarting(&json!(all(1)), "1h")).await).message;
    assert!(said.contains("user \"bob\" may not write restart[0]"), "{said}");
    // An existing entry is no request. A user who lost the right may still change the rest, and
    // remove entries.
    people.may_use("User", "bob", &["alice"], &install.namespace).await;
    bob.edits("eight", json!({"region": "eu-west-3"})).await.unwrap();
    bob.edits("eight", json!({"restart": all(8)[2..]})).await.unwrap();
    let empty = json!([{"kind": "Deployment", "selector": {}}]);
    let said = refusal(alice.edits("eight", json!({"restart": empty})).await).message;
    assert!(said.contains("restart.selector must not be empty"), "{said}");
    let both = json!([{"kind": "Deployment", "name": "x", "selector": {"matchLabels": {"a": "b"}}}]);
    let said = refusal(alice.edits("eight", json!({"restart": both})).await).message;
    assert!(said.contains("exactly one of name and selector"), "{said}");
}

// ---- helpers ------------------------------------------------------------------------------------

fn restarting(workloads: &Value, duration: &str) -> impl FnOnce(&mut AwsConfigSpec) {
    let (restart, session) = (from_value(workloads.clone()).unwrap(), json!({"duration": duration}));
    move |spec| (spec.restart, spec.session) = (restart, from_value(session).unwrap())
}

async fn deploy(install: &Install<'_>, name: &str) {
    let deployments: Api<Deployment> = Api::namespaced(install.admin.clone(), &install.namespace);
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "scorer"}}, "template": template()});
    let deployment = json!({"metadata": {"name": name}, "spec": spec});
    deployments.create(&PostParams::default(), &from_value(deployment).unwrap()).await.unwrap();
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "scorer"}, "annotations": {"theirs": "x"}},
        "spec": {"containers": [{"name": "app", "image": "none"}]}})
}

async fn restarted_at(install: &Install<'_>, name: &str) -> Option<String> {
    let deployments: Api<Deployment> = Api::namespaced(install.admin.clone(), &install.namespace);
    let metadata = deployments.get(name).await.unwrap().spec?.template.metadata?;
    metadata.annotations?.get(RESTARTED_AT).cloned()
}

async fn issue_again(install: &Install<'_>, duration: &str) {
    let before = install.record("alice").await.unwrap().access_key_id;
    let longer = Patch::Merge(json!({"spec": {"session": {"duration": duration}}}));
    install.configs().patch("alice", &PatchParams::default(), &longer).await.unwrap();
    eventually("it is issued again", async || {
        let now = install.record("alice").await.unwrap().access_key_id;
        if now == before { Err(now) } else { Ok(()) }
    })
    .await;
}

async fn condition(install: &Install<'_>) -> Option<String> {
    let status = install.configs().get("alice").await.unwrap().status.unwrap_or_default();
    let failing = status.conditions.into_iter().find(|condition| condition.type_ == "RestartFailing");
    failing.map(|failing| format!("{}: {}", failing.reason, failing.message))
}

async fn reported_failure(install: &Install<'_>, operator: &Process) -> String {
    within(SPREAD, "it is reported", async || condition(install).await.ok_or_else(|| operator.log())).await
}
