//! The policies for the operator's own token: the API server lets the ServiceAccount write only
//! Secrets of `AwsConfig`s, and no spec.

use super::{dss::DssServer, ground::eventually, install::Install};
use k8s_openapi::api::core::v1::Secret;
use keyturn::api::{AwsConfig, DssInstance};
use kube::{
    Api, Client, Error,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn secret(name: &str, more: Value) -> Secret {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        for (key, value) in more {
            object.insert(key, value);
        }
    }
    serde_json::from_value(object).unwrap()
}

fn owned(name: &str) -> Value {
    json!({"name": name, "ownerReferences": [{"apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "name": "gone",
        "uid": "00000000-0000-4000-8000-000000000000", "controller": true}]})
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Api(status)) if status.code == 403 => status.message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_writes_only_secrets_of_aws_configs() {
    let install = Install::scoped().await;
    let operator: Api<Secret> = Api::namespaced(client_with_operator_token(&install).await, &install.namespace);
    let bare = secret("bare", json!({}));
    eventually("the policy is in force", async || {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        operator.create(&dry_run, &bare).await.map_or_else(|_| Ok(()), |created| Err(created.metadata.name))
    })
    .await;

    let words = "not owned by an AwsConfig";
    assert!(refusal(operator.create(&PostParams::default(), &bare).await).contains(words));
    let token = secret(
        "token",
        json!({"type": "kubernetes.io/service-account-token", "metadata": {
            "name": "token", "ownerReferences": owned("token")["ownerReferences"],
            "annotations": {"kubernetes.io/service-account.name": "default"}}}),
    );
    assert!(refusal(operator.create(&PostParams::default(), &token).await).contains("Opaque Secrets only"));

    install.secrets().create(&PostParams::default(), &secret("theirs", json!({}))).await.unwrap();
    let change = Patch::Merge(json!({"stringData": {"x": "y"}}));
    assert!(refusal(operator.patch("theirs", &PatchParams::default(), &change).await).contains(words));
    let adopt = Patch::Merge(json!({"metadata": owned("theirs")}));
    assert!(
        refusal(operator.patch("theirs", &PatchParams::default(), &adopt).await).contains(words),
        "no adoption either"
    );
    assert!(refusal(operator.delete("theirs", &DeleteParams::default()).await).contains(words));

    let ours = secret("ours", json!({"metadata": owned("ours")}));
    operator.create(&PostParams::default(), &ours).await.unwrap();
    // All other users write as before.
    install.secrets().patch("theirs", &PatchParams::default(), &change).await.unwrap();
    install.secrets().delete("theirs", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_operator_s_token_writes_no_spec() {
    let install = Install::scoped().await;
    let server = DssServer::start(&install).await;
    install.apply_config("alice", |_| {}).await;
    let client = client_with_operator_token(&install).await;
    let configs: Api<AwsConfig> = Api::namespaced(client.clone(), &install.namespace);
    let instances: Api<DssInstance> = Api::all(client);
    let change = PatchParams::default();
    let hand_over = Patch::Merge(json!({"spec": {"person": "mallory"}}));
    eventually("the policy is in force", async || {
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        configs.patch("alice", &dry_run, &hand_over).await.map_or_else(|_| Ok(()), |patched| Err(patched.spec.person))
    })
    .await;

    let words = "keyturn writes no spec";
    assert!(refusal(configs.patch("alice", &change, &hand_over).await).contains(words));
    let as_others = Patch::Merge(json!({"spec": {"login": "admin-${person}"}}));
    assert!(refusal(instances.patch(&server.instance, &change, &as_others).await).contains(words));
    for finalizers in [json!(["keyturn.dev/dss.x"]), json!([])] {
        let finalizers = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        configs.patch("alice", &change, &finalizers).await.expect("a finalizer is no spec");
    }
    assert_eq!(install.configs().get("alice").await.unwrap().spec.person.as_deref(), Some("alice"));
}

/// A client with the token of the operator's ServiceAccount.
pub async fn client_with_operator_token(install: &Install<'_>) -> Client {
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{}", install.system), "system:authenticated"];
    install.ground.client_as(&install.user(), &groups).await
}
