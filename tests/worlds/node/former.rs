//! An upgrade from a release whose operator answered the webhook itself.

use super::release::Release;
use crate::real::install::CHART;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{from_value, json};
use std::{fs, path::Path, process::Command, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// The pause between two pods: 20 a second.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn an_upgrade_that_sets_the_webhook_apart_misses_no_pod() {
    let dir = tempfile::tempdir().unwrap();
    let release = Release::of_chart(former_chart(dir.path()).as_str(), 3_600, &[]).await;
    let install = &release.install;
    assert_eq!(release.webhook_pods().await, 0, "the operator's pods answer");

    let upgrading = release.upgrade();
    let pods: Api<Pod> = Api::namespaced(install.admin.clone(), &install.namespace);
    let (mut ticks, mut created, mut missed) = (interval(PAUSE), 0, Vec::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !upgrading.is_finished() {
        ticks.tick().await;
        let mut pod = release.pod(&format!("p{created}"), "none", &[]);
        // No scheduler has this name, so the pod stays an object.
        pod["spec"]["schedulerName"] = json!("none");
        let stored = pods.create(&PostParams::default(), &from_value(pod).unwrap()).await.unwrap();
        let volumes = stored.spec.and_then(|spec| spec.volumes).unwrap_or_default();
        if volumes.iter().all(|volume| volume.secret.is_none()) {
            missed.push(created);
        }
        created += 1;
    }
    upgrading.await.unwrap();
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await.unwrap();
    assert!(created > 40, "{created} pods during the upgrade");
    assert!(missed.is_empty(), "of {created} pods these were missed: {missed:?}");
    release.until_available().await;
    assert_eq!(release.webhook_pods().await, 2);
    release.until_pods_are_injected().await;
}

/// Writes a chart of which the operator's pods answer the webhook, as those of former releases did:
/// there is no Deployment of the webhook, the Service selects the operator's pods, and they have
/// the port. Returns its folder.
fn former_chart(dir: &Path) -> String {
    let chart = dir.join("keyturn");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = Command::new("cp").arg("-R").arg(root.join(CHART)).arg(&chart).status().unwrap();
    assert!(copied.success());
    let templates = chart.join("templates");
    fs::remove_file(templates.join("webhook-deployment.yaml")).unwrap();
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(templates.join(file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(templates.join(file), text.replace(from, to)).unwrap();
    };
    change(
        "webhook-configuration.yaml",
        "app.kubernetes.io/part-of: keyturn",
        r#"app.kubernetes.io/name: {{ include "keyturn.name" . }}"#,
    );
    // The webhook is a second program in the operator's pod here, because one program does not run
    // both any more.
    let webhook = r#"      containers:
        - name: webhook
          {{- include "keyturn.containerSettings" . | nindent 10 }}
          args: [webhook, --admin-addr=0.0.0.0:8081]
          env:
            {{- with .Values.watchNamespaces }}
            - {name: KEYTURN_WATCH_NAMESPACES, value: {{ join "," . | quote }}}
            {{- end }}
            {{- include "keyturn.commonEnv" . | nindent 12 }}
          ports:
            - {name: webhook, containerPort: 9443}
          readinessProbe:
            httpGet: {path: /readyz, port: 8081}
            periodSeconds: 5
"#;
    change("deployment.yaml", "      containers:\n", webhook);
    chart.to_str().unwrap().to_owned()
}
