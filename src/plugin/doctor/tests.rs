//! Findings about clusters that are in order, and that are not.

use super::{facts::Facts, findings::findings, *};
use crate::{
    api::{AwsConfig, DataRobotInstance, Reason, UNSEEN},
    plugin::operators::Running,
};
use serde_json::{Value, from_value, json};

fn now() -> Timestamp {
    "2026-01-01T00:30:00Z".parse().unwrap()
}

fn operator() -> Running {
    Running {
        namespace: "keyturn-system".to_owned(),
        name: "keyturn".to_owned(),
        component: "operator".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        image: "keyturn".to_owned(),
        ready: 2,
        wanted: 2,
        variables: vec![],
    }
}

fn config(name: &str, status: &Value) -> AwsConfig {
    from_value(json!({
        "metadata": {"name": name, "namespace": "scoring", "uid": name}, "spec": {"person": name}, "status": status,
    }))
    .unwrap()
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "said", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn healthy() -> Facts {
    let ready = json!({"conditions": [condition("Ready", "True", "Issued")], "issuedAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-01-01T01:00:00Z"});
    let lease = json!({"spec": {"holderIdentity": "keyturn-0", "renewTime": "2026-01-01T00:29:58.000000Z"}});
    let grant = json!({"metadata": {"name": "g"}, "spec": {"persons": ["*"]}});
    Facts {
        served: ["awsconfigs", "awsroles", "awsrolegrants", "dssinstances", "datarobotinstances"]
            .map(str::to_owned)
            .into(),
        scope: "the cluster".to_owned(),
        running: Some(vec![operator()]),
        leases: vec![(operator(), Some(from_value(lease).unwrap()))],
        namespaces: None,
        webhooks: Some(vec![]),
        configs: Some(vec![config("alice", &ready)]),
        roles: Some(vec![]),
        secrets: Some(vec![]),
        grants: Some(vec![from_value(grant).unwrap()]),
        instances: Some(vec![]),
        data_robots: Some(vec![]),
    }
}

#[test]
fn a_cluster_in_order_has_no_finding_that_is_bad() {
    let found = findings(&healthy(), now());
    assert!(found.iter().all(|it| it.mark == Mark::Fine), "{found:#?}");
    let said = answer(&found, Paint::NONE);
    assert!(said.is_fine() && said.text.ends_with("keyturn is in order\n"), "{said:?}");
}

/// A case, what it disturbs, and the mark, the part and a piece of the text of the finding.
type Row = (&'static str, fn(&mut Facts), Mark, &'static str, &'static str);

/// Cases about keyturn itself.
fn of_keyturn() -> [Row; 9] {
    [
        ("no resources", |it| it.served.clear(), Mark::Bad, "custom resources", "installs or upgrades the chart"),
        ("no operator", |it| it.running = Some(vec![]), Mark::Bad, "operator", "no Deployment"),
        ("no right", |it| it.running = None, Mark::Unknown, "operator", "you may not list Deployments"),
        (
            "no replica",
            |it| it.running.as_mut().unwrap()[0].ready = 0,
            Mark::Bad,
            "operator",
            "describe deployment keyturn",
        ),
        ("one replica", |it| it.running.as_mut().unwrap()[0].ready = 1, Mark::Note, "operator", "1 of 2 replicas"),
        (
            "another version",
            |it| "9.9.9".clone_into(&mut it.running.as_mut().unwrap()[0].version),
            Mark::Note,
            "operator",
            "runs version 9.9.9",
        ),
        (
            "nobody leads",
            |it| it.leases[0].1 = Some(from_value(json!({})).unwrap()),
            Mark::Bad,
            "lease",
            "nobody leads",
        ),
        (
            "an old lease",
            |it| {
                let lease =
                    json!({"spec": {"holderIdentity": "keyturn-0", "renewTime": "2026-01-01T00:20:00.000000Z"}});
                it.leases[0].1 = Some(from_value(lease).unwrap());
            },
            Mark::Bad,
            "lease",
            "has not renewed the lease",
        ),
        (
            "no base credentials",
            |it| {
                let reason = Reason::BaseCredentialsMissing.as_str();
                let conditions = [condition("Ready", "False", reason)];
                it.configs.as_mut().unwrap().push(config("bob", &json!({"conditions": conditions})));
            },
            Mark::Bad,
            "AWS",
            "BaseCredentialsMissing at scoring/bob: said. A cluster admin",
        ),
    ]
}

/// Cases about what keyturn serves.
fn of_objects() -> [Row; 10] {
    [
        (
            "a config in trouble",
            |it| {
                let trouble = json!({"word": "NotGranted", "message": "no grant"});
                it.configs.as_mut().unwrap().push(config("bob", &json!({"trouble": trouble})));
            },
            Mark::Bad,
            "AwsConfigs",
            "of 2 in the cluster: NotGranted: scoring/bob",
        ),
        (
            "no status",
            |it| it.configs.as_mut().unwrap().push(config("bob", &Value::Null)),
            Mark::Bad,
            "AwsConfigs",
            "no status: scoring/bob",
        ),
        (
            "the status of an object that keyturn has not seen",
            |it| it.configs.as_mut().unwrap().push(config("bob", &json!({"observedGeneration": UNSEEN}))),
            Mark::Bad,
            "AwsConfigs",
            "no status: scoring/bob",
        ),
        (
            "a missed renewal",
            |it| it.configs.as_mut().unwrap().push(config("bob", &json!({"expiresAt": "2026-01-01T00:33:00Z"}))),
            Mark::Bad,
            "sessions",
            "scoring/bob",
        ),
        (
            "a missed pod",
            |it| {
                let conditions = [condition("PodsMissed", "True", "NotInjected")];
                it.configs.as_mut().unwrap().push(config("bob", &json!({"conditions": conditions})));
            },
            Mark::Bad,
            "pods",
            "scoring/bob",
        ),
        (
            "a held withdrawal",
            |it| {
                let held = json!({"since": "2026-01-01T00:29:00Z", "until": "2026-01-01T01:00:00Z"});
                let conditions = [condition("Ready", "False", "WithdrawalHeld")];
                let status = json!({"withdrawalHeld": held, "conditions": conditions});
                it.configs.as_mut().unwrap().push(config("bob", &status));
            },
            Mark::Bad,
            "withdrawals",
            "held back: scoring/bob: said",
        ),
        (
            "an instance that does not allow pushes",
            |it| {
                let conditions = [condition("Ready", "True", "Issued"), condition("Pushed", "False", "PushRefused")];
                it.configs.as_mut().unwrap().push(config("bob", &json!({"conditions": conditions})));
            },
            Mark::Bad,
            "pushes",
            "PushRefused at scoring/bob: said",
        ),
        (
            "a DataRobot that refuses the token",
            |it| {
                let mut instance = DataRobotInstance::new("prod", from_value(json!({"url": "https://robot"})).unwrap());
                let conditions = [condition("Ready", "False", "DataRobotDenied")];
                instance.status = from_value(json!({"conditions": conditions})).unwrap();
                it.data_robots = Some(vec![instance]);
            },
            Mark::Bad,
            "DataRobot",
            "\"prod\": DataRobotDenied: said",
        ),
        (
            "an orphan",
            |it| {
                let role = json!({"metadata": {"name": "old", "namespace": "scoring"}, "spec": {"awsConfigRef": {"name": "gone"}, "role": "r"}});
                it.roles = Some(vec![from_value(role).unwrap()]);
            },
            Mark::Bad,
            "orphans",
            "AwsRole scoring/old",
        ),
        ("no grant", |it| it.grants = Some(vec![]), Mark::Note, "grants", "kubectl keyturn grant writes one"),
    ]
}

#[test]
fn every_part_that_is_not_in_order_is_named_with_the_next_step() {
    for (row, disturb, mark, part, text) in of_keyturn().into_iter().chain(of_objects()) {
        let mut facts = healthy();
        disturb(&mut facts);
        let found = findings(&facts, now());
        let about = found.iter().find(|it| it.part == part && it.mark == mark);
        assert!(about.is_some_and(|it| it.text.contains(text)), "{row}: {found:#?}");
        assert_eq!(answer(&found, Paint::NONE).is_fine(), found.iter().all(|it| it.mark != Mark::Bad), "{row}");
    }
}

/// A healthy cluster with these shards (name, selector of namespaces, whether it is the owner).
fn with_shards(shards: &[(&str, &str, bool)]) -> Facts {
    let leases = shards.iter().map(|(name, namespaces, owns_cluster)| {
        let lease = json!({
            "metadata": {"labels": {"keyturn.dev/shard": name}, "annotations": {
                "keyturn.dev/shard-namespaces": namespaces, "keyturn.dev/shard-owns-cluster": owns_cluster.to_string(),
            }},
            "spec": {"holderIdentity": "keyturn-0", "renewTime": "2026-01-01T00:29:58.000000Z"},
        });
        (operator(), Some(from_value(lease).unwrap()))
    });
    let namespace = json!({"metadata": {"name": "scoring", "labels": {"team": "ds"}}});
    Facts { leases: leases.collect(), namespaces: Some(vec![from_value(namespace).unwrap()]), ..healthy() }
}

#[test]
fn a_namespace_without_a_shard_and_shards_without_an_owner_are_found() {
    for (case, shards, mark, part) in [
        ("one operator", &[("", "", true)][..], None, ""),
        ("by name", &[("a", "kubernetes.io/metadata.name in (scoring)", true)], Some(Mark::Fine), "serve every"),
        ("by label", &[("a", "team in (ds)", true), ("b", "team in (x)", false)], Some(Mark::Fine), "2 serve every"),
        ("no owner", &[("a", "team in (ds)", false)], Some(Mark::Bad), "shard.ownsCluster=true"),
        ("not served", &[("a", "team in (x)", true)], Some(Mark::Bad), "1 namespaces (scoring)"),
        ("not served by a release", &[("", "team in (x)", true)], Some(Mark::Bad), "1 namespaces (scoring)"),
    ] {
        let found = findings(&with_shards(shards), now());
        let about: Vec<&Finding> = found.iter().filter(|it| it.part == "shards").collect();
        match mark {
            None => assert!(about.is_empty(), "{case}: {about:?}"),
            Some(mark) => {
                assert!(about.iter().any(|it| it.mark == mark && it.text.contains(part)), "{case}: {about:?}");
            }
        }
    }
    let unread = Facts { namespaces: None, ..with_shards(&[("a", "team in (ds)", true)]) };
    let found = findings(&unread, now());
    assert!(found.iter().any(|it| it.part == "shards" && it.mark == Mark::Unknown), "{found:#?}");
}
