//! A pod as Dataiku's API deployer creates it: with labels, without a DSS user, without an AWS
//! identity, and without any mention of keyturn.

use super::release::Release;
use crate::{
    fixtures::personal_key,
    real::{dss::DssServer, ground::eventually},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use serde_json::{Value, from_value, json};
use std::collections::BTreeMap;

/// The code of an endpoint: the file that runs, and the one that it imports.
const ENDPOINT: [(&str, &str); 2] =
    [("endpoint.py", include_str!("../real/endpoint.py")), ("buckets.py", include_str!("../real/buckets.py"))];
const SERVICE: &str = "dataiku.com/dku-apideployer-service-id";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn an_endpoint_pod_has_its_person_s_identity_by_labels_alone() {
    let release = Release::with_sessions_of(3_600, &[]).await;
    let install = &release.install;
    let server = DssServer::reached_at(install, &release.node().host).await;
    install.apply_grant(|_| {}).await;
    let apply = install.apply_config("alice", |spec| {
        personal_key(spec);
        spec.dss.as_mut().unwrap().instance.clone_from(&server.instance);
        spec.inject = Some(from_value(json!({"podSelector": {"matchLabels": {SERVICE: "fraud"}}})).unwrap());
    });
    apply.await;
    install.until_ready_is("alice", "True/Issued").await;

    let code: ConfigMap = from_value(json!({"metadata": {"name": "code"}, "data": BTreeMap::from(ENDPOINT)})).unwrap();
    let config_maps = Api::<ConfigMap>::namespaced(install.admin.clone(), &install.namespace);
    config_maps.create(&PostParams::default(), &code).await.unwrap();
    let command = ["python3", "/code/endpoint.py", "/var/run/secrets/keyturn", "-", "endpoint"];
    let mut pod = release.plain_pod("endpoint", &release.node().images.python, &command);
    pod["metadata"]["labels"] = json!({SERVICE: "fraud", "dataiku.com/dku-apideployer-infra-id": "prod"});
    pod["spec"]["restartPolicy"] = json!("Never");
    pod["spec"]["volumes"] = json!([{"name": "code", "configMap": {"name": "code"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "code", "mountPath": "/code"}]);
    release.create(&pod);
    let saw: Value = eventually("the endpoint says what it saw", async || {
        let said = release.log("endpoint");
        match serde_json::from_str(said.lines().last().unwrap_or_default()) {
            Ok(saw) => Ok(saw),
            Err(_) => Err(release.describe("endpoint").await),
        }
    })
    .await;
    assert_eq!(
        (&saw["who"]["associatedDSSUser"], &saw["who_by_variables"]),
        (&json!("alice"), &json!("alice")),
        "{saw}"
    );
    assert_eq!(saw["mounted"], json!({"endpoint": []}), "{saw}");
    let session = release.sts.issued().pop().unwrap();
    assert_eq!((session.session_name.as_str(), release.s3.keys("endpoint")), ("alice", [session.access_key_id].into()));
}
