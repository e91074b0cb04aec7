//! Two shards on one API server, each with the chart's rights and a namespace of its own: the audit
//! log shows that neither touched an object of the other.

use super::{
    ground::{Ground, eventually},
    injection::{Serving, create, get, mounted, pod, serving},
    install::{Install, Process, labels},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PatchParams};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn two_shards_share_a_cluster_and_touch_no_object_of_each_other() {
    // The policies of an owner are for all namespaces, therefore this needs its own control plane.
    let ground = Ground::own();
    let by_label = "shard.namespaceSelector=shard in (b\\,c)";
    let owner = ["shard.name=a", "shard.ownsCluster=true", "shard.namespaceSelector=shard=a"];
    let a = Install::of_all_namespaces(&ground, &owner).await;
    let b = a.beside("b", ("shard", "b"), &["shard.name=b", by_label]).await;
    label(&a, &a.namespace, "a").await;
    let Serving { operator: of_a, webhook, .. } = serving(&a).await;
    let of_b = b.spawn_at_aws().await.ready().await;
    for install in [&a, &b] {
        install.apply_grant(|_| {}).await;
        install.apply_config("alice", |_| {}).await;
        install.until_ready_is("alice", "True/Issued").await;
        install.until_its_role().await;
    }

    // The owner's webhook serves the namespaces of both.
    for install in [&a, &b] {
        create(install, &pod("named", &json!({"annotations": {"keyturn.dev/aws-config": "alice"}})));
        assert_eq!(mounted(&get(install, "named").await).as_deref(), Some("alice-aws"), "{}", install.namespace);
    }
    an_overlapping_shard_ends_with_one_line(&a).await;
    assert_eq!(foreign(&a, &b), [""; 0], "of a in the namespace of b");
    assert_eq!(foreign(&b, &a), [""; 0], "of b in the namespace of a");
    let of_the_cluster = |install: &Install<'_>| {
        let asked = install.ground.audit(&install.user());
        asked.iter().filter(|it| it.writes() && it.namespace.is_empty()).count()
    };
    assert!(of_the_cluster(&a) > 0 && of_the_cluster(&b) == 0, "the owner alone writes what belongs to the cluster");
    for (name, install) in [("a", &a), ("b", &b)] {
        let refused = install.ground.audit(&install.user()).into_iter().filter(|request| request.code == 403);
        assert_eq!(refused.collect::<Vec<_>>(), [], "{name} has the rights that it needs");
    }

    a_relabelled_namespace_moves(&a, &b).await;
    for process in [of_a, of_b, webhook] {
        assert!(process.stop().await.success());
    }
}

async fn label(install: &Install<'_>, namespace: &str, shard: &str) {
    let namespaces: Api<Namespace> = Api::all(install.admin.clone());
    namespaces.patch(namespace, &PatchParams::default(), &labels(&[("shard", Some(shard))])).await.unwrap();
}

/// The requests of one shard for objects in the namespace of another.
fn foreign(one: &Install<'_>, other: &Install<'_>) -> Vec<String> {
    let asked = one.ground.audit(&one.user());
    assert!(asked.iter().any(|request| request.writes() && request.namespace == one.namespace), "it worked");
    let foreign = asked.into_iter().filter(|request| request.namespace == other.namespace);
    foreign.map(|request| format!("{} {} {}", request.verb, request.resource, request.name)).collect()
}

async fn an_overlapping_shard_ends_with_one_line(a: &Install<'_>) {
    let c = a.beside("c", ("shard", "c"), &["shard.name=c", "shard.namespaceSelector=shard notin (x)"]).await;
    let mut process: Process = c.spawn_at_aws().await;
    assert_eq!(process.ended().await.code(), Some(1), "{}", process.log());
    let log = process.log();
    let last = log.lines().last().unwrap_or_default();
    let parts =
        ["keyturn: the shard \"c\", which serves the namespaces \"shard notin (x)\", does not start beside the shard"];
    assert!(parts.iter().all(|part| last.contains(part)) && last.contains("held by"), "{log}");
    let wrote = c.ground.audit(&c.user()).into_iter().filter(super::ground::Audited::writes).count();
    assert_eq!(wrote, 0, "not even its Lease");
}

async fn a_relabelled_namespace_moves(a: &Install<'_>, b: &Install<'_>) {
    let record = a.record("alice").await.unwrap();
    let since = a.ground.audit(&a.user()).len();
    label(a, &a.namespace, "c").await;
    // a has to see the label before the new spec: the API server shows them on two watches.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // b writes the status for the new spec, without another session.
    a.apply_config("alice", |spec| spec.default_bucket = Some(a.aws.buckets[1].clone())).await;
    a.until_ready_is("alice", "True/Issued").await;
    eventually("b writes in the namespace", async || {
        let asked = b.ground.audit(&b.user());
        let is_there = asked.iter().any(|request| request.writes() && request.namespace == a.namespace);
        if is_there { Ok(()) } else { Err(asked.len()) }
    })
    .await;
    let after = a.record("alice").await.unwrap();
    assert_eq!(after.access_key_id, record.access_key_id, "the session moves with the namespace");
    let by_a = a.ground.audit(&a.user()).split_off(since);
    let written = by_a.into_iter().filter(|request| request.writes() && request.namespace == a.namespace);
    assert_eq!(written.collect::<Vec<_>>(), []);
}
