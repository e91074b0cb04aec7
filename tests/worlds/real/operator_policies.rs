//! The policies for the operator's own token: the API server lets the ServiceAccount write only the
//! parts of objects that keyturn's work needs. Each test tries the rest with the ServiceAccount's
//! rights.

use super::{
    datarobot::DataRobotServer,
    datarobot_push,
    dss::DssServer,
    ground::{eventually, run},
    install::Install,
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use keyturn::api::{AwsConfig, AwsConfigSpec, DataRobotInstance, DssInstance, Session, names};
use kube::{
    Api, Client, Error, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::ClusterResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// The UID of an object that does not exist.
const NOBODY: &str = "00000000-0000-4000-8000-000000000001";

/// A Secret of `AwsConfig` "gone" as keyturn would create it, with these fields changed or added.
fn ours(name: &str, changes: &Value) -> Secret {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "ownerReferences": [owner(NOBODY)],
            "labels": {names::MANAGED_BY: names::MANAGER, names::AWS_CONFIG_LABEL: "gone", "team": "scoring"},
            "annotations": {names::PERSON: "alice", "note": "of the user"}},
        "stringData": {"AWS_REGION": "eu-west-1"}});
    json_patch::merge(&mut object, changes);
    serde_json::from_value(object).unwrap()
}

/// A reference to an `AwsConfig` with this UID as the controller.
fn owner(uid: &str) -> Value {
    json!({"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "name": "gone", "controller": true,
        "uid": uid})
}

/// The message of the refusal.
fn refusal<T: Debug>(what: &str, answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Api(status)) if status.code == 403 => status.message,
        other => panic!("{what}: not refused: {other:?}"),
    }
}

/// Waits until a policy is in force: until a dry run of `patch` is refused.
async fn until_refused<K>(objects: &Api<K>, name: &str, patch: &Value)
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    eventually("the policy is in force", async || {
        let answer = objects.patch(name, &dry_run, &Patch::Merge(patch)).await;
        answer.map_or_else(|_| Ok(()), |patched| Err(patched.name_any()))
    })
    .await;
}

/// Tries merge patches one after the other. A row has a name, a patch, and words of the refusal, or
/// `None` if the API server has to accept the patch.
async fn try_patches<K>(objects: &Api<K>, name: &str, rows: &[(&str, Value, Option<&str>)])
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    for (row, patch, refused) in rows {
        let answer = objects.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        match refused {
            Some(words) => {
                let message = refusal(row, answer);
                assert!(message.contains(words), "{row}: {message}");
            }
            None => drop(answer.unwrap_or_else(|error| panic!("{row}: {error}"))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_creates_only_secrets_of_aws_configs() {
    let install = Install::scoped().await;
    let operator: Api<Secret> = Api::namespaced(client_with_operator_token(&install).await, &install.namespace);
    let theirs: Secret = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).unwrap();
    install.secrets().create(&PostParams::default(), &theirs).await.unwrap();
    let change = json!({"stringData": {"x": "y"}});
    until_refused(&operator, "theirs", &change).await;

    let (owner_words, key_words) = ("not owned by an AwsConfig", "no data key of a Secret but its own");
    for (row, changes, words) in [
        ("without an owner", json!({"metadata": {"ownerReferences": null}}), owner_words),
        (
            "an owner that does not control it",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
                "name": "gone", "uid": NOBODY}]}}),
            owner_words,
        ),
        (
            "a token of a ServiceAccount",
            json!({"type": "kubernetes.io/service-account-token",
                "metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}}),
            "Opaque Secrets only",
        ),
        ("data of another program", json!({"stringData": {"url": "https://git.example"}}), key_words),
        (
            "the key of a profile that nobody can name",
            json!({"stringData": {"credential-process-a.b.json": "x"}}),
            key_words,
        ),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/hold"]}}), "no finalizer of a Secret"),
        (
            "the label that offers a key",
            json!({"metadata": {"labels": {names::SOURCE: names::SOURCE_OFFERED}}}),
            "no reserved labels",
        ),
        (
            "an annotation of Kubernetes",
            json!({"metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}}),
            "no reserved annotations",
        ),
        (
            "the label of another AwsConfig",
            json!({"metadata": {"labels": {names::AWS_CONFIG_LABEL: "bob"}}}),
            "names the AwsConfig that owns it",
        ),
    ] {
        let answer = operator.create(&PostParams::default(), &ours("made-up", &changes)).await;
        let message = refusal(row, answer);
        assert!(message.contains(words), "{row}: {message}");
    }
    operator.create(&PostParams::default(), &ours("ours", &json!({}))).await.unwrap();

    let adopt = json!({"metadata": {"ownerReferences": [owner(NOBODY)]}});
    try_patches(
        &operator,
        "theirs",
        &[("a write", change.clone(), Some(owner_words)), ("adoption", adopt, Some(owner_words))],
    )
    .await;
    assert!(refusal("deletion", operator.delete("theirs", &DeleteParams::default()).await).contains(owner_words));
    // All other users write as before.
    install.secrets().patch("theirs", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    install.secrets().delete("theirs", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_leaves_foreign_parts_of_a_secret() {
    let install = Install::scoped().await;
    let operator: Api<Secret> = Api::namespaced(client_with_operator_token(&install).await, &install.namespace);
    install.apply_config("gone", |_| {}).await;
    let uid = install.configs().get("gone").await.unwrap().uid().unwrap();
    let made = json!({
        "metadata": {
            "ownerReferences": [owner(&uid)],
            "labels": {names::SOURCE: names::SOURCE_OFFERED},
            "annotations": {names::KEYS: "AWS_REGION,FORMER"},
            "finalizers": ["example.com/hold"],
        },
        "stringData": {"theirs": "x", "FORMER": "x"},
    });
    install.secrets().create(&PostParams::default(), &ours("ours", &made)).await.unwrap();
    until_refused(&operator, "ours", &json!({"stringData": {"theirs": "y"}})).await;

    let (key, label) = (Some("no data key of a Secret but its own"), Some("no reserved labels"));
    let (owned, other) = (Some("not owned by an AwsConfig"), Some("no finalizer of a Secret and no owner"));
    let another =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "00000000-0000-4000-8000-000000000002"});
    try_patches(
        &operator,
        "ours",
        &[
            ("another's data is changed", json!({"stringData": {"theirs": "y"}}), key),
            ("another's data is removed", json!({"data": {"theirs": null}}), key),
            ("another's label is removed", json!({"metadata": {"labels": {names::SOURCE: null}}}), label),
            ("a finalizer is removed", json!({"metadata": {"finalizers": []}}), other),
            ("another owner is added", json!({"metadata": {"ownerReferences": [owner(&uid), another]}}), other),
            ("the owner is replaced", json!({"metadata": {"ownerReferences": [owner(NOBODY)]}}), owned),
            ("the Secret is made immutable", json!({"immutable": true}), other),
            ("keyturn's own data", json!({"stringData": {"AWS_REGION": "eu-west-3"}}), None),
            ("the key of a profile", json!({"stringData": {"credential-process-lake.json": "x"}}), None),
            ("a profile is removed", json!({"data": {"credential-process-lake.json": null}}), None),
            ("the annotation of profiles", json!({"metadata": {"annotations": {names::PROFILES: "x"}}}), None),
            ("a key of another release is removed", json!({"data": {"FORMER": null}}), None),
            ("a label of the user", json!({"metadata": {"labels": {"team": "risk"}}}), None),
            (
                "the label that names the config",
                json!({"metadata": {"labels": {names::AWS_CONFIG_LABEL: "bob"}}}),
                Some("names the AwsConfig that owns it"),
            ),
        ],
    )
    .await;
    let unheld = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    install.secrets().patch("ours", &PatchParams::default(), &unheld).await.unwrap();
    operator.delete("ours", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn foreign_parts_of_a_secret_block_no_renewal_and_no_withdrawal() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |spec| spec.region = Some("eu-west-1".to_owned())).await;
    install.until_ready_is("alice", "True/Issued").await;
    let foreign = json!({
        "metadata": {
            "labels": {names::SOURCE: names::SOURCE_OFFERED, "corp.example/team": "risk"},
            "annotations": {"keyturn.dev/unknown": "x", "example.com/note": "y"},
            "finalizers": ["example.com/hold"],
        },
        "stringData": {"theirs": "x"},
    });
    install.secrets().patch("alice-aws", &PatchParams::default(), &Patch::Merge(foreign)).await.unwrap();

    install.apply_config("alice", |spec| spec.region = Some("eu-west-3".to_owned())).await;
    eventually("the Secret is written", async || {
        let values = install.values("alice").await;
        if values.get("AWS_REGION").is_some_and(|region| region == "eu-west-3") {
            Ok(())
        } else {
            Err(values.into_keys().collect::<Vec<_>>())
        }
    })
    .await;
    let former = install.record("alice").await.unwrap().access_key_id;
    let shorter = |spec: &mut AwsConfigSpec| {
        spec.session = Some(Session { duration: Some("20m".parse().unwrap()), ..Session::default() });
    };
    install.apply_config("alice", shorter).await;
    eventually("another session is issued", async || {
        let record = install.record("alice").await.unwrap();
        if record.access_key_id == former { Err(record.issued_at) } else { Ok(()) }
    })
    .await;
    install.grants().delete(&install.namespace, &DeleteParams::default()).await.unwrap();
    install.until_ready_is("alice", "False/NotGranted").await;

    let secret = install.secret("alice").await.unwrap();
    assert!(install.record("alice").await.unwrap().withdrawn.is_some());
    assert_eq!(secret.data.as_ref().unwrap()["theirs"].0, b"x");
    assert_eq!(secret.labels()["corp.example/team"], "risk");
    assert_eq!(secret.labels()[names::SOURCE], names::SOURCE_OFFERED);
    assert_eq!(secret.annotations()["keyturn.dev/unknown"], "x");
    let unheld = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    install.secrets().patch("alice-aws", &PatchParams::default(), &unheld).await.unwrap();
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_writes_no_spec_and_only_own_finalizers() {
    let install = Install::scoped().await;
    let server = DssServer::start(&install).await;
    let robot = DataRobotServer::start(install.ground).await;
    datarobot_push::apply(&install, &robot, |_| {}).await;
    install.apply_config("alice", |_| {}).await;
    let client = client_with_operator_token(&install).await;
    let configs: Api<AwsConfig> = Api::namespaced(client.clone(), &install.namespace);
    let instances: Api<DssInstance> = Api::all(client.clone());
    let robots: Api<DataRobotInstance> = Api::all(client);
    let hand_over = json!({"spec": {"person": "mallory"}});
    until_refused(&configs, "alice", &hand_over).await;

    let spec = Some("keyturn writes no spec");
    let (finalizer, rest) = (Some("no finalizer but its own"), Some("no label, annotation or owner"));
    let dead = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NOBODY}]}});
    let metadata = [
        // The plugin OwnerReferencesPermissionEnforcement refuses this before the policy does.
        ("an owner that does not exist", dead, Some("owner")),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}}), rest),
        ("an annotation", json!({"metadata": {"annotations": {"a": "b"}}}), rest),
        ("another's finalizer", json!({"metadata": {"finalizers": ["example.com/hold"]}}), finalizer),
        ("its own finalizer", json!({"metadata": {"finalizers": ["keyturn.dev/dss.x"]}}), None),
        ("no finalizer any more", json!({"metadata": {"finalizers": []}}), None),
    ];
    let as_others = json!({"spec": {"login": "admin-${person}"}});
    try_patches(&configs, "alice", &[&[("another person", hand_over, spec)], &metadata[..]].concat()).await;
    try_patches(&instances, &server.instance, &[&[("another login", as_others, spec)], &metadata[..]].concat()).await;
    let everybody = ("everybody", json!({"spec": {"allow": [{"persons": ["*"], "ownTokens": true}]}}), spec);
    let name = datarobot_push::instance_of(&install);
    try_patches(&robots, &name, &[&[everybody], &metadata[..]].concat()).await;
    assert_eq!(install.configs().get("alice").await.unwrap().spec.person.as_deref(), Some("alice"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_changes_only_the_authority_of_the_webhook() {
    let install = Install::scoped().await;
    let name = install.fullname();
    let all: Api<MutatingWebhookConfiguration> = Api::all(install.admin.clone());
    let operator: Api<MutatingWebhookConfiguration> = Api::all(client_with_operator_token(&install).await);
    let before = serde_json::to_value(all.get(&name).await.unwrap()).unwrap();
    until_refused(&operator, &name, &json!({"metadata": {"labels": {"a": "b"}}})).await;

    // A merge patch replaces the whole list.
    let with = |pointer: &str, value: Value| {
        let mut webhooks = before["webhooks"].clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        webhooks.pointer_mut(parent).unwrap()[field] = value;
        json!({"webhooks": webhooks})
    };
    let everything = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}]);
    let mut second = before["webhooks"][0].clone();
    second["name"] = json!("second.keyturn.dev");
    let words = Some("nothing of its webhook configuration but caBundle");
    try_patches(
        &operator,
        &name,
        &[
            ("other rules", with("/0/rules", everything), words),
            ("all namespaces", with("/0/namespaceSelector", json!({})), words),
            ("all objects", with("/0/objectSelector", json!({})), words),
            ("another server", with("/0/clientConfig", json!({"url": "https://evil.example"})), words),
            ("another service", with("/0/clientConfig/service/name", json!("evil")), words),
            ("another path", with("/0/clientConfig/service/path", json!("/evil")), words),
            ("failures count", with("/0/failurePolicy", json!("Fail")), words),
            ("one more webhook", json!({"webhooks": [before["webhooks"][0], second]}), words),
            ("no webhook", json!({"webhooks": []}), words),
            ("a finalizer", json!({"metadata": {"finalizers": ["example.com/hold"]}}), words),
            ("the authority", with("/0/clientConfig/caBundle", json!("LS0tLS1CRUdJTi0tLS0tCg==")), None),
        ],
    )
    .await;
    let mut after = serde_json::to_value(all.get(&name).await.unwrap()).unwrap();
    after["webhooks"][0]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
    assert_eq!(after["webhooks"], before["webhooks"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_instance_needs_the_right_to_read_its_secret() {
    let install = Install::scoped().await;
    let (dss, robot) = (DssServer::start(&install).await, DataRobotServer::start(install.ground).await);
    datarobot_push::apply(&install, &robot, |_| {}).await;
    let changed = json!({"spec": {"authScheme": "Bearer"}});
    needs_the_secret::<DssInstance>(&install, &dss.instance, &changed, ("apiKeySecretRef", "dss-admin")).await;
    let (name, changed) = (datarobot_push::instance_of(&install), json!({"spec": {"allow": []}}));
    needs_the_secret::<DataRobotInstance>(&install, &name, &changed, ("tokenSecretRef", "datarobot-token")).await;
}

/// Checks that dana, who may write this instance, may change it (`changed`) only once she may read
/// the Secret that a field of it names.
async fn needs_the_secret<K>(install: &Install<'_>, instance: &str, changed: &Value, (field, secret): (&str, &str))
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
{
    let (namespace, name) = (&install.system, format!("{}-dana-{instance}", install.fullname()));
    let grant = |role: &str, rights: &[&str]| {
        for create in [
            [&["create", role, &name], rights].concat(),
            vec!["create", &format!("{role}binding"), &name, &format!("--{role}={name}"), "--user=dana"],
        ] {
            run(install.ground.kubectl().args(["--namespace", namespace]).args(create));
        }
    };
    let dana: Api<K> = Api::all(install.ground.client_as("dana", &["instance-admins"]).await);
    let resource = format!("--resource={}.keyturn.dev", K::plural(&()));
    grant("clusterrole", &["--verb=get,patch", &resource, &format!("--resource-name={instance}")]);
    until_refused(&dana, instance, changed).await;

    let words = format!("content of Secret \"{namespace}/{secret}\" to its url");
    let labels = json!({"metadata": {"labels": {"team": "platform"}}});
    let rows = [("another spec", changed.clone(), Some(words.as_str())), ("a label", labels, None)];
    try_patches(&dana, instance, &rows).await;

    grant("role", &["--verb=get", "--resource=secrets", &format!("--resource-name={secret}")]);
    eventually("the right is in force", async || {
        let patch = Patch::Merge(changed);
        dana.patch(instance, &PatchParams::default(), &patch).await.map_err(|error| error.to_string())
    })
    .await;
    let another = json!({"spec": {field: {"name": "token-of-the-operator"}}});
    let words = format!("content of Secret \"{namespace}/token-of-the-operator\" to its url");
    try_patches(&dana, instance, &[("another Secret", another, Some(&words))]).await;
}

/// A client with the token of the operator's ServiceAccount.
pub async fn client_with_operator_token(install: &Install<'_>) -> Client {
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{}", install.system), "system:authenticated"];
    install.ground.client_as(&install.user(), &groups).await
}
