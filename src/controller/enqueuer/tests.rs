//! Which objects a change enqueues: each row is a change and the objects that it concerns.

use super::*;
use crate::{api::DssInstance, views};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use serde_json::{Value, from_value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/analyst";
const LAKE: &str = "arn:aws:iam::123456789012:role/lake";
const OTHER: &str = "arn:aws:iam::123456789012:role/other";

fn config(namespace: &str, name: &str, spec: Value) -> AwsConfig {
    let mut config = AwsConfig::new(name, from_value(spec).unwrap());
    config.metadata.namespace = Some(namespace.into());
    config
}

fn alice() -> AwsConfig {
    let lake = json!({"name": "lake", "role": LAKE});
    config("scoring", "alice", json!({"person": "alice", "role": ROLE, "profiles": [lake]}))
}

fn bob() -> AwsConfig {
    let restart = json!([{"kind": "Deployment", "name": "api"}]);
    let key = json!({"name": "bobs-key"});
    let spec = json!({"person": "bob", "credentialProvider": "default", "keySecretRef": key, "restart": restart});
    config("scoring", "bob", spec)
}

fn role(namespace: &str, name: &str, config: &str, arn: &str) -> AwsRole {
    let spec = json!({"awsConfigRef": {"name": config}, "person": config, "role": arn});
    let mut role = AwsRole::new(name, from_value(spec).unwrap());
    role.metadata.namespace = Some(namespace.into());
    role
}

/// The metadata of a Secret with keyturn's label for `labelled` and an owner reference to `owner`.
fn secret(namespace: &str, name: &str, labelled: Option<&str>, owner: Option<&str>) -> PartialObjectMeta<Secret> {
    let mut secret = PartialObjectMeta::<Secret>::default();
    secret.metadata.namespace = Some(namespace.into());
    secret.metadata.name = Some(name.into());
    secret.metadata.labels = labelled.map(|config| [(names::AWS_CONFIG_LABEL.into(), config.into())].into());
    secret.metadata.owner_references = owner.map(|config| vec![AwsConfig::new(config, alice().spec).owner_reference()]);
    secret
}

fn grant(spec: Value) -> Arc<AwsRoleGrant> {
    Arc::new(AwsRoleGrant::new("grant", from_value(spec).unwrap()))
}

/// In "scoring", alice asks for a role, has a profile, and has an `AwsRole` for another role. bob
/// takes a key from a Secret and names a workload to restart. In "lab", carol and dora use the DSS
/// "design". carol's role has variables, and keyturn has generated an `AwsRole` for it. dora uses a
/// connection and an API key of her own. gus names a DSS that does not exist. "team" is a config
/// for the namespace. In "attic", hal asks for no role yet.
fn views() -> Views {
    let dss = |name: &str| json!({"instance": name});
    let own_key = json!({"instance": "design", "apiKeySecretRef": {"name": "doras-key"}});
    let configs = [
        alice(),
        bob(),
        config("lab", "carol", json!({"person": "carol", "role": "${adminProperty:role}", "dss": dss("design")})),
        config(
            "lab",
            "dora",
            json!({"person": "dora", "credentialProvider": "connection", "connection": "s3", "dss": own_key}),
        ),
        config("lab", "gus", json!({"person": "gus", "role": ROLE, "dss": dss("gone")})),
        config("lab", "team", json!({"mode": "System", "role": ROLE})),
        config("attic", "hal", json!({"person": "hal"})),
    ];
    let roles = [role("scoring", "own", "alice", OTHER), role("lab", "carols", "carol", ROLE)];
    let namespace = |(name, team): (&str, &str)| {
        let mut namespace = PartialObjectMeta::<Namespace>::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.labels = Some([("team".into(), team.into())].into());
        namespace
    };
    let instance = json!({
        "url": "https://dss", "apiKeySecretRef": {"namespace": "keyturn", "name": "admin"}, "login": "dss-${person}",
        "allow": [{"namespaces": {"selector": {"matchLabels": {"team": "ml"}}}, "persons": ["*"]}],
    });
    let (namespaces, instances) = (views::namespaces(), views::instances());
    namespaces.show([("scoring", "ds"), ("lab", "ml"), ("attic", "old")].map(namespace));
    instances.show([DssInstance::new("design", from_value(instance).unwrap())]);
    let views = Views::new(views::grants(), namespaces, instances, views::data_robots());
    views.configs.show(configs);
    views.roles.show(roles);
    views
}

type Change = fn(&Enqueuer);

/// The objects that a change enqueues.
fn enqueued(change: Change) -> Vec<String> {
    let (enqueuer, Queues { mut configs, mut roles, mut restarts, mut trails }) = Enqueuer::new(views());
    change(&enqueuer);
    let found = [
        drain("config", &mut configs),
        drain("role", &mut roles),
        drain("restarts", &mut restarts),
        drain("trail", &mut trails),
    ];
    found.into_iter().flatten().collect()
}

fn drain(kind: &str, queue: &mut Queue) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while let Some(Some(object)) = queue.one.next().now_or_never() {
        found.insert(format!("{kind} {}", format!("{object:?}").trim_start_matches('/')));
    }
    while let Some(Some(())) = queue.every.next().now_or_never() {
        found.insert(format!("every {kind}"));
    }
    found
}

fn check(rows: &[(&str, Change, &[&str])]) {
    for (row, change, expected) in rows {
        assert_eq!(enqueued(*change), *expected, "{row}");
    }
}

const NOTHING: &[&str] = &[];

#[test]
fn a_config_enqueues_itself_its_roles_and_the_restarts_of_its_namespace() {
    check(&[
        ("with a role", |to| to.config_changed(&alice()), &["config scoring/alice", "role scoring/own"]),
        ("with restarts", |to| to.config_changed(&bob()), &["config scoring/bob", "restarts scoring"]),
        ("another finding about its workloads or its role", |to| to.finding_changed(&bob()), &["config scoring/bob"]),
        ("what trails behind its credential", |to| to.trail(&bob()), &["trail scoring/bob"]),
        ("other missed pods", |to| to.missed_pods_changed("lab", "carol"), &["config lab/carol"]),
        ("a list of everything", Enqueuer::all, &["every config", "every role", "every restarts"]),
    ]);
}

#[test]
fn a_role_enqueues_the_configs_that_it_names_or_belonged_to() {
    check(&[
        (
            "its config's",
            |to| to.role_changed(&role("scoring", "own", "alice", OTHER)),
            &["config scoring/alice", "role scoring/own"],
        ),
        (
            "labelled for another config",
            |to| {
                let mut role = role("scoring", "own", "alice", OTHER);
                role.metadata.labels = Some([(names::AWS_CONFIG_LABEL.into(), "bob".into())].into());
                to.role_changed(&role);
            },
            &["config scoring/alice", "config scoring/bob", "role scoring/own"],
        ),
    ]);
}

#[test]
fn a_secret_enqueues_its_owner_and_the_configs_that_want_its_name() {
    check(&[
        (
            "of keyturn",
            |to| to.secret_changed(&secret("scoring", "alice-aws", Some("alice"), Some("alice"))),
            &["config scoring/alice"],
        ),
        (
            "of keyturn, under a name that nobody wants",
            |to| to.secret_changed(&secret("scoring", "former", Some("alice"), None)),
            &["config scoring/alice"],
        ),
        (
            "of keyturn, with the label of another config",
            |to| to.secret_changed(&secret("scoring", "former", Some("bob"), Some("alice"))),
            &["config scoring/alice", "config scoring/bob"],
        ),
        (
            "foreign, of a wanted name",
            |to| to.secret_changed(&secret("scoring", "alice-aws", None, None)),
            &["config scoring/alice"],
        ),
        (
            "of another config, under a wanted name",
            |to| to.secret_changed(&secret("scoring", "alice-aws", Some("bob"), Some("bob"))),
            &["config scoring/alice", "config scoring/bob"],
        ),
        ("foreign, of no wanted name", |to| to.secret_changed(&secret("scoring", "web", None, None)), NOTHING),
        ("foreign, elsewhere", |to| to.secret_changed(&secret("lab", "alice-aws", None, None)), NOTHING),
        (
            "owned by a Deployment of the config's name",
            |to| {
                let mut secret = secret("scoring", "web", None, Some("alice"));
                secret.metadata.owner_references.as_mut().unwrap()[0].kind = "Deployment".into();
                to.secret_changed(&secret);
            },
            NOTHING,
        ),
    ]);
}

#[test]
fn an_offered_source_enqueues_the_configs_that_take_a_key_from_it() {
    check(&[
        ("an AWS key", |to| to.source_changed(&secret("scoring", "bobs-key", None, None)), &["config scoring/bob"]),
        ("an API key", |to| to.source_changed(&secret("lab", "doras-key", None, None)), &["config lab/dora"]),
        ("of nobody", |to| to.source_changed(&secret("scoring", "alice-aws", None, None)), NOTHING),
        ("elsewhere", |to| to.source_changed(&secret("lab", "bobs-key", None, None)), NOTHING),
    ]);
}

#[test]
fn a_namespace_enqueues_its_configs_with_their_roles() {
    let lab: &[&str] = &["config lab/carol", "config lab/dora", "config lab/gus", "config lab/team", "role lab/carols"];
    let scoring: &[&str] = &["config scoring/alice", "config scoring/bob", "role scoring/own", "restarts scoring"];
    check(&[
        ("lab", |to| to.namespace_changed("lab"), lab),
        ("scoring", |to| to.namespace_changed("scoring"), scoring),
        ("one without configs", |to| to.namespace_changed("empty"), NOTHING),
    ]);
}

fn granting(to: &Enqueuer, versions: &[Value]) {
    let versions: Vec<_> = versions.iter().cloned().map(grant).collect();
    to.grants_changed(&versions);
}

#[test]
fn a_grant_enqueues_the_configs_that_it_is_about() {
    check(&[
        (
            "a role, by name",
            |to| granting(to, &[json!({"roles": [ROLE], "namespaces": {"names": ["scoring"]}, "persons": ["*"]})]),
            &["config scoring/alice"],
        ),
        (
            "the role of an AwsRole",
            |to| granting(to, &[json!({"roles": [OTHER], "namespaces": {"names": ["scoring"]}, "persons": ["*"]})]),
            &["config scoring/alice", "role scoring/own"],
        ),
        (
            "the role of a profile",
            |to| granting(to, &[json!({"roles": [LAKE], "namespaces": {"names": ["scoring"]}, "persons": ["*"]})]),
            &["config scoring/alice"],
        ),
        (
            "a role, by selector",
            |to| {
                let namespaces = json!({"selector": {"matchLabels": {"team": "ml"}}});
                granting(to, &[json!({"roles": [ROLE], "namespaces": namespaces, "persons": ["*"]})]);
            },
            &["config lab/carol", "config lab/gus", "role lab/carols"],
        ),
        (
            "one person",
            |to| granting(to, &[json!({"roles": [ROLE], "namespaces": {"names": ["lab"]}, "persons": ["gus"]})]),
            &["config lab/gus"],
        ),
        (
            "a namespace's own credential",
            |to| granting(to, &[json!({"roles": [ROLE], "namespaces": {"names": ["lab"]}, "persons": ["system:lab"]})]),
            &["config lab/team"],
        ),
        (
            "keys",
            |to| {
                let namespaces = json!({"names": ["scoring", "lab"]});
                granting(to, &[json!({"providers": ["default"], "namespaces": namespaces, "persons": ["*"]})]);
            },
            &["config scoring/bob"],
        ),
        (
            "connections",
            |to| {
                let namespaces = json!({"names": ["scoring", "lab"]});
                granting(to, &[json!({"providers": ["connection"], "namespaces": namespaces, "persons": ["*"]})]);
            },
            &["config lab/dora"],
        ),
        (
            "before and after it was moved",
            |to| {
                let version =
                    |namespace| json!({"roles": [ROLE], "namespaces": {"names": [namespace]}, "persons": ["*"]});
                granting(to, &[version("scoring"), version("lab")]);
            },
            &["config lab/carol", "config lab/gus", "config scoring/alice", "role lab/carols"],
        ),
        (
            "before and after the selector was changed",
            |to| {
                let version = |team| {
                    let namespaces = json!({"selector": {"matchLabels": {"team": team}}});
                    json!({"roles": [ROLE], "namespaces": namespaces, "persons": ["*"]})
                };
                granting(to, &[version("ds"), version("none")]);
            },
            &["config scoring/alice"],
        ),
        (
            "before and after a person was left out",
            |to| {
                let namespaces = json!({"names": ["lab"]});
                let version = |except: &[&str]| json!({"roles": [ROLE], "namespaces": namespaces, "persons": ["*"], "exceptPersons": except});
                granting(to, &[version(&["carol"]), version(&["carol", "gus"])]);
            },
            &["config lab/gus"],
        ),
        ("no namespace", |to| granting(to, &[json!({"roles": [ROLE], "persons": ["*"]})]), NOTHING),
        (
            "a namespace that does not exist",
            |to| granting(to, &[json!({"roles": [ROLE], "namespaces": {"names": ["gone"]}, "persons": ["*"]})]),
            NOTHING,
        ),
        ("no version", |to| granting(to, &[]), NOTHING),
    ]);
}

#[test]
fn a_denial_enqueues_the_configs_that_it_is_about() {
    check(&[
        (
            "a denial of a person, everywhere",
            |to| granting(to, &[json!({"effect": "Deny", "persons": ["alice", "dora"]})]),
            &["config lab/dora", "config scoring/alice", "role scoring/own"],
        ),
        (
            "a denial of everything in a namespace",
            |to| {
                let namespaces = json!({"names": ["lab"]});
                granting(to, &[json!({"effect": "Deny", "persons": ["*", "system:*"], "namespaces": namespaces})]);
            },
            &["config lab/carol", "config lab/dora", "config lab/gus", "config lab/team", "role lab/carols"],
        ),
        (
            "a denial of a role",
            |to| granting(to, &[json!({"effect": "Deny", "persons": ["*"], "roles": [ROLE]})]),
            &["config lab/carol", "config lab/gus", "config scoring/alice", "role lab/carols"],
        ),
        (
            "a denial of the role of a profile",
            |to| granting(to, &[json!({"effect": "Deny", "persons": ["*"], "roles": [LAKE]})]),
            &["config scoring/alice"],
        ),
        (
            "a denial for a config without a role",
            |to| granting(to, &[json!({"effect": "Deny", "persons": ["hal"]})]),
            &["config attic/hal"],
        ),
    ]);
}

#[test]
fn the_users_of_a_dss_enqueue_the_configs_that_use_it() {
    let all: &[&str] = &["config lab/carol", "config lab/dora", "role lab/carols"];
    check(&[
        (
            "one login",
            |to| to.users_changed("design", Some(&|login| login == "dss-carol")),
            &["config lab/carol", "role lab/carols"],
        ),
        ("a login of nobody", |to| to.users_changed("design", Some(&|login| login == "carol")), NOTHING),
        ("every login", |to| to.users_changed("design", None), all),
        ("a DSS that does not exist", |to| to.users_changed("gone", Some(&|_| false)), &["config lab/gus"]),
        ("a DSS that nobody uses", |to| to.users_changed("other", None), NOTHING),
    ]);
}
