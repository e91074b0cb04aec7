//! The refusals of an API server with quotas and policies, and what the user
//! reads about it.

use super::{ground::eventually, install::Install};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::ResourceQuota,
};
use keyturn::api::Target;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_quota_for_secrets_is_quoted_in_the_condition() {
    let install = Install::scoped().await;
    let quotas: Api<ResourceQuota> = Api::namespaced(install.admin.clone(), &install.namespace);
    let quota = json!({"metadata": {"name": "no-secrets"}, "spec": {"hard": {"count/secrets": "0"}}});
    quotas.create(&PostParams::default(), &from_value(quota).unwrap()).await.unwrap();
    eventually("the quota is in force", async || {
        let quota = quotas.get("no-secrets").await.map_err(|error| error.to_string())?;
        quota.status.and_then(|status| status.used).map(drop).ok_or("no status yet".to_owned())
    })
    .await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    install.apply_config("alice", |_| {}).await;
    let config = install.until_ready_is("alice", "False/ApiCallFailed").await;
    let message = &config.status.unwrap().conditions.into_iter().find(|it| it.type_ == "Ready").unwrap().message;
    for words in ["create Secret", "exceeded quota: no-secrets", "keyturn tries again"] {
        assert!(message.contains(words), "{message}");
    }
    quotas.delete("no-secrets", &DeleteParams::default()).await.unwrap();
    install.until_ready_is("alice", "True/Issued").await;
    operator.stop().await;
}

/// A policy of the cluster for one namespace.
struct Policy<'a> {
    name: String,
    install: &'a Install<'a>,
}

impl<'a> Policy<'a> {
    /// Installs a policy for writes of this resource of the namespace, and waits until it refuses
    /// `probe`.
    async fn install(
        install: &'a Install<'a>,
        rule: Value,
        (expression, message): (&str, &str),
        probe: impl AsyncFn() -> Result<(), String>,
    ) -> Self {
        let name = format!("{}-policy", install.namespace);
        let policy = json!({"metadata": {"name": name}, "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": install.namespace}},
                "resourceRules": [rule]},
            "validations": [{"expression": expression, "message": message}]}});
        let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(install.admin.clone());
        policies.create(&PostParams::default(), &from_value(policy).unwrap()).await.unwrap();
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(install.admin.clone());
        bindings.create(&PostParams::default(), &from_value(binding).unwrap()).await.unwrap();
        eventually("the policy is in force", async || match probe().await {
            Err(said) if said.contains(message) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Self { name, install }
    }

    async fn remove(self) {
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.install.admin.clone());
        bindings.delete(&self.name, &DeleteParams::default()).await.unwrap();
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.install.admin.clone());
        policies.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

fn writes_of(group: &str, resource: &str) -> Value {
    json!({"apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": ["CREATE", "UPDATE"]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_policy_that_wants_labels_is_satisfied_from_the_first_write() {
    let install = Install::scoped().await;
    let rule = ("has(object.metadata.labels) && 'team' in object.metadata.labels", "every Secret has a label team");
    let policy = Policy::install(&install, writes_of("", "secrets"), rule, async || {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let probe = from_value(json!({"metadata": {"name": "probe"}})).unwrap();
        install.secrets().create(&dry_run, &probe).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    install.apply_config("bob", |_| {}).await;
    let config = install.until_ready_is("bob", "False/ApiCallFailed").await;
    let conditions = format!("{:?}", config.status.unwrap().conditions);
    assert!(conditions.contains("every Secret has a label team"), "{conditions}");
    let labels = from_value::<Target>(json!({"labels": {"team": "risk"}})).unwrap();
    install.apply_config("alice", |spec| spec.target = Some(labels)).await;
    install.until_ready_is("alice", "True/Issued").await;
    policy.remove().await;
    install.until_ready_is("bob", "True/Issued").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_status_that_cannot_be_written_is_told_by_readiness_and_metric() {
    let install = Install::scoped().await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    assert!(operator.get("readyz").await.is_ok());
    let rule = ("has(object.status) && has(object.status.frozen)", "the status is frozen");
    let policy = Policy::install(&install, writes_of("keyturn.dev", "awsconfigs/status"), rule, async || {
        let status = Patch::Merge(json!({"status": {"renewAt": "2026-01-01T00:00:00Z"}}));
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let patched = install.configs().patch_status("alice", &dry_run, &status).await;
        patched.map(drop).map_err(|error| error.to_string())
    })
    .await;
    install.apply_config("alice", |spec| spec.suspend = true).await;
    eventually("readiness says so", async || match operator.get("readyz").await {
        Err(said) if said.contains("writes of awsconfigs/status to succeed") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let metrics = operator.get("metrics").await.unwrap();
    let counted =
        metrics.lines().find(|line| line.starts_with("keyturn_writes_failed_total{resource=\"awsconfigs/status\"}"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    assert!(operator.log().contains("the status is frozen"), "{}", operator.log());
    policy.remove().await;
    install.until_ready_is("alice", "False/Suspended").await;
    eventually("the operator is ready", async || operator.get("readyz").await).await;
    operator.stop().await;
}
