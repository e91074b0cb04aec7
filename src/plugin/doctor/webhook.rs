//! Whether the webhook answers: a pod that requires it, created as a dry run.

use super::{Finding, Mark, facts::Facts};
use crate::{
    api::names::{INJECT, INJECT_OFF, INJECT_REQUIRED, POD_AWS_CONFIG, POD_INJECTED},
    network::with_cause,
    plugin::{Caller, Failed},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{from_value, json};

const PART: &str = "webhook";

/// Asks the API server for a pod that requires the webhook, without creating it.
///
/// # Errors
/// [`Failed`] if the plugin makes no pod, which is a fault of the plugin.
pub(super) async fn finding(caller: &Caller, facts: &Facts) -> Result<Finding, Failed> {
    if facts.webhooks.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Finding::new(Mark::Note, PART, "it is not installed (webhook.enabled of the chart)"));
    }
    let namespace = &caller.namespace;
    let labels = caller.namespace_labels().await.unwrap_or_default();
    let is_off = labels.get(INJECT).is_some_and(|value| value == INJECT_OFF);
    if is_off || ["kube-system", "kube-node-lease", "kube-public"].contains(&namespace.as_str()) {
        let text = format!("it changes no pods in namespace {namespace}; name another by -n, to try it");
        return Ok(Finding::new(Mark::Unknown, PART, text));
    }
    let of_namespace = facts.configs.iter().flatten().find(|it| it.namespace().as_deref() == Some(namespace));
    let asked = of_namespace.map(kube::ResourceExt::name_any);
    let pod = pod(asked.as_deref())?;
    let pods: Api<Pod> = Api::namespaced(caller.client.clone(), namespace);
    let created = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await;
    Ok(judged(created, namespace, asked.as_deref()))
}

/// A pod that does nothing. It complies with the restricted Pod Security Standard.
fn pod(asked: Option<&str>) -> Result<Pod, Failed> {
    let annotations = asked.map(|name| json!({POD_AWS_CONFIG: name}));
    let pod = json!({
        "metadata": {"generateName": "keyturn-doctor-", "labels": {INJECT: INJECT_REQUIRED}, "annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65_532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "nothing", "image": "nothing.invalid/nothing",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
            }],
        },
    });
    from_value(pod).map_err(|error| Failed::new(error.to_string()))
}

fn judged(created: Result<Pod, kube::Error>, namespace: &str, asked: Option<&str>) -> Finding {
    match created {
        Ok(pod) if pod.annotations().contains_key(POD_INJECTED) => {
            Finding::new(Mark::Fine, PART, format!("it gives pods of namespace {namespace} the Secret"))
        }
        Ok(_) => match asked {
            Some(config) => Finding::new(
                Mark::Bad,
                PART,
                format!(
                    "a pod of namespace {namespace} that asks for AwsConfig \"{config}\" gets nothing; compare \
                     webhook.namespaceSelector and watchNamespaces of the chart with the namespace"
                ),
            ),
            None => Finding::new(Mark::Fine, PART, format!("it answers for pods of namespace {namespace}")),
        },
        // A webhook that refuses was reached.
        Err(kube::Error::Api(status)) if status.message.contains("denied the request") => {
            Finding::new(Mark::Fine, PART, format!("it answers for pods of namespace {namespace}: {}", status.message))
        }
        Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => Finding::new(
            Mark::Bad,
            PART,
            format!(
                "the API server does not reach it: {}; look at the webhook's pods, the network policies and the certificate \
                 (docs/pods.md)",
                status.message
            ),
        ),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Finding::new(Mark::Unknown, PART, format!("it was not tried: {}", status.message))
        }
        Err(error) => Finding::new(Mark::Unknown, PART, format!("it was not tried: {}", with_cause(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn the_answer_of_the_api_server_about_a_pod_tells_of_the_webhook() {
        let with =
            |annotations: serde_json::Value| Ok(from_value(json!({"metadata": {"annotations": annotations}})).unwrap());
        let refused = |code: u16, message: &str| {
            Err(kube::Error::Api(Status { code, message: message.to_owned(), ..Status::default() }.boxed()))
        };
        let rows = [
            ("injected", with(json!({POD_INJECTED: "alice"})), Some("alice"), Mark::Fine),
            ("not injected", with(json!({})), Some("alice"), Mark::Bad),
            ("nothing to inject", with(json!({})), None, Mark::Fine),
            (
                "unreachable",
                refused(500, "failed calling webhook \"required-pods.keyturn.dev\": timeout"),
                None,
                Mark::Bad,
            ),
            ("refused by it", refused(403, "admission webhook \"x\" denied the request: no"), None, Mark::Fine),
            ("no right", refused(403, "pods is forbidden"), None, Mark::Unknown),
            ("a quota", refused(422, "quota"), None, Mark::Unknown),
        ];
        for (row, created, asked, mark) in rows {
            assert_eq!(judged(created, "scoring", asked).mark, mark, "{row}");
        }
        assert!(pod(Some("alice")).unwrap().annotations().contains_key(POD_AWS_CONFIG));
    }
}
