//! A release as users have it: `helm install` of the chart with the image of the Dockerfile. Its
//! AWS are the doubles of STS and S3 in the test's own process, because sessions have to expire
//! within a test.

use crate::{
    doubles::{
        s3::S3,
        sts::{Behaviour, Sts},
        tls::{Vouched, in_front_of, vouched},
        wire::Listening,
    },
    real::{
        ground::{Ground, Node, eventually, real_time, run, run_with_input},
        install::{CHART, Install},
    },
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::{Value, from_value, json};
use std::{
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// The releases that start at the same time. A release is four pods, and a node on two cores takes
/// three seconds to start one: if all tests started theirs at once, each would wait for all others.
pub static STARTING: Semaphore = Semaphore::const_new(2);

/// A release whose operator runs in pods.
pub struct Release {
    pub install: Install<'static>,
    pub sts: Sts,
    pub s3: S3,
    /// Where pods reach S3.
    pub s3_url: String,
    _listening: [Listening; 2],
}

/// The cluster that the tests of this run share, with the operator's image in it.
pub fn ground() -> &'static Ground {
    static SHARED: OnceLock<Ground> = OnceLock::new();
    SHARED.get_or_init(|| {
        let image = operator_image();
        let ground = Ground::with_node();
        let dir = ground.at.kubeconfig.parent().unwrap();
        run(tool().arg("load").arg(image).arg("--dir").arg(dir));
        ground
    })
}

fn tool() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/ground"))
}

/// The image of the Dockerfile with a static program from a debug build. A release build takes
/// minutes more.
fn operator_image() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    run(Command::new(root.join("tests/cluster/operator-image")).current_dir(root));
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/cluster/keyturn.oci.tar"))
}

impl Release {
    /// Installs a release and waits until all replicas are available. Sessions of its STS live for
    /// `seconds`.
    pub async fn with_sessions_of(seconds: i64, values: &[&str]) -> Self {
        Self::of_chart(CHART, seconds, values).await
    }

    /// The same from another chart than the project's.
    pub async fn of_chart(chart: &str, seconds: i64, values: &[&str]) -> Self {
        let ground = tokio::task::spawn_blocking(ground).await.unwrap();
        let sts = Sts::new(Arc::new(real_time));
        sts.always(Behaviour::Lifetime(seconds));
        let s3 = S3::new(sts.clone(), Arc::new(real_time));
        let anywhere = || ([0, 0, 0, 0], 0).into();
        let listening = [sts.serve(anywhere()).await.unwrap(), s3.serve(anywhere()).await.unwrap()];
        let host = &node(ground).host;
        let s3_url = format!("http://{host}:{}", listening[1].addr().port());
        // The operator talks to STS over TLS only.
        let Vouched { ca, server } = vouched(host);
        let plain = ([127, 0, 0, 1], listening[0].addr().port()).into();
        let sts_port = in_front_of(plain, "0.0.0.0", server).await;
        let own = [
            format!("aws.stsEndpoint=https://{host}:{sts_port}"),
            "extraVolumes[0].name=aws-ca".to_owned(),
            "extraVolumes[0].configMap.name=aws-ca".to_owned(),
            "extraVolumeMounts[0].name=aws-ca".to_owned(),
            "extraVolumeMounts[0].mountPath=/etc/aws-ca".to_owned(),
            "extraEnv[2].name=AWS_CA_BUNDLE".to_owned(),
            "extraEnv[2].value=/etc/aws-ca/ca.pem".to_owned(),
            "image.repository=localhost/keyturn".to_owned(),
            "image.tag=dev".to_owned(),
            "image.pullPolicy=Never".to_owned(),
            "extraEnv[0].name=AWS_ACCESS_KEY_ID".to_owned(),
            "extraEnv[0].value=AKIABASE".to_owned(),
            "extraEnv[1].name=AWS_SECRET_ACCESS_KEY".to_owned(),
            "extraEnv[1].value=base".to_owned(),
        ];
        let values: Vec<&str> = own.iter().map(String::as_str).chain(values.iter().copied()).collect();
        let _starting = STARTING.acquire().await.unwrap();
        let install = Install::of_chart(ground, chart, &values).await;
        // Until it exists, the operator's pods wait for it.
        let authority: ConfigMap = from_value(json!({"metadata": {"name": "aws-ca"}, "data": {"ca.pem": ca}})).unwrap();
        let config_maps: Api<ConfigMap> = Api::namespaced(install.admin.clone(), &install.system);
        config_maps.create(&PostParams::default(), &authority).await.unwrap();
        let release = Self { install, sts, s3, s3_url, _listening: listening };
        release.until_available().await;
        release.until_pods_are_injected().await;
        release
    }

    /// The address of the node, and its images.
    pub fn node(&self) -> &'static Node {
        node(self.install.ground)
    }

    /// Waits until every replica of the operator and of the webhook is available and none of a
    /// former revision is left.
    pub async fn until_available(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.install.admin.clone(), &self.install.system);
        eventually("everything is available", async || {
            let found = deployments.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let waiting: Vec<Deployment> = found.into_iter().filter(|deployment| !is_available(deployment)).collect();
            let status = waiting.iter().map(|deployment| (deployment.name_any(), &deployment.status));
            if waiting.is_empty() {
                return Ok(());
            }
            Err(format!("{:?}\n{}", status.collect::<Vec<_>>(), self.operator_log()))
        })
        .await;
    }

    /// Waits until the API server reaches the webhook through its Service. The kubelet and
    /// kube-proxy have to learn of the Service first. Nothing is created.
    pub async fn until_pods_are_injected(&self) {
        eventually("pods are injected", async || {
            let said = self.probe();
            if said.contains("AWS_CONFIG_FILE") { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Replaces every pod by an upgrade to the project's chart. The task ends when the last one is
    /// available.
    pub fn upgrade(&self) -> JoinHandle<()> {
        let mut helm = self.install.upgrade();
        helm.args(["--set", "podAnnotations.revision=two", "--wait=watcher"]);
        tokio::task::spawn_blocking(move || drop(run(&mut helm)))
    }

    /// A pod as the API server would store it now, and the warnings.
    pub fn probe(&self) -> String {
        let probe = self.pod("probe", "none", &[]);
        self.install.kubectl_create(&probe, &["--dry-run=server", "-o", "json"]).1
    }

    /// The pods of the operator.
    pub async fn operator_pods(&self) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.install.admin.clone(), &self.install.system);
        pods.list(&ListParams::default().labels("app.kubernetes.io/component=operator")).await.unwrap().items
    }

    /// How many pods the webhook has of its own.
    pub async fn webhook_pods(&self) -> usize {
        let pods: Api<Pod> = Api::namespaced(self.install.admin.clone(), &self.install.system);
        pods.list(&ListParams::default().labels("app.kubernetes.io/component=webhook")).await.unwrap().items.len()
    }

    /// The last lines that the pods of keyturn logged.
    pub fn operator_log(&self) -> String {
        let label = "app.kubernetes.io/part-of=keyturn";
        self.kubectl(&self.install.system, &["logs", "-l", label, "--prefix", "--tail=20"]).1
    }

    /// Runs kubectl in a namespace. Returns whether it succeeded, and its output.
    pub fn kubectl(&self, namespace: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = self.install.ground.kubectl();
        command.args(["-n", namespace]).args(arguments);
        tokio::task::block_in_place(|| run_with_input(&mut command, ""))
    }

    /// Creates an object in the users' namespace, as users do.
    pub fn create(&self, object: &Value) {
        let (ok, said) = self.install.kubectl_create(object, &[]);
        assert!(ok, "{said}");
    }

    /// A pod of one container that reaches S3 and asks for no credential.
    pub fn plain_pod(&self, name: &str, image: &str, command: &[&str]) -> Value {
        let env = json!([{"name": "AWS_ENDPOINT_URL", "value": self.s3_url}]);
        let container =
            json!({"name": "app", "image": image, "imagePullPolicy": "Never", "command": command, "env": env});
        let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [container]});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
    }

    /// The same pod, which asks for alice's credential.
    pub fn pod(&self, name: &str, image: &str, command: &[&str]) -> Value {
        let mut pod = self.plain_pod(name, image, command);
        pod["metadata"]["annotations"] = json!({"keyturn.dev/aws-config": "alice"});
        pod
    }

    /// The log of a pod.
    pub fn log(&self, pod: &str) -> String {
        self.kubectl(&self.install.namespace, &["logs", pod]).1
    }

    /// The status and last lines of a pod, for a message.
    pub async fn describe(&self, pod: &str) -> String {
        let pods: Api<Pod> = Api::namespaced(self.install.admin.clone(), &self.install.namespace);
        let status = pods.get_opt(pod).await.ok().flatten().and_then(|pod| pod.status);
        let last = self.kubectl(&self.install.namespace, &["logs", pod, "--tail=3"]).1;
        format!("{}\n{last}", serde_json::to_string(&status).unwrap())
    }

    /// The name of the leading pod.
    pub async fn leader(&self) -> String {
        let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
            Api::namespaced(self.install.admin.clone(), &self.install.system);
        eventually("somebody leads", async || {
            let lease = leases.list(&ListParams::default()).await.unwrap().items.pop().ok_or("no lease")?;
            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            let pods = self.operator_pods().await;
            let pod = pods.iter().map(ResourceExt::name_any).find(|name| holder.starts_with(name.as_str()));
            pod.ok_or("nobody")
        })
        .await
    }
}

fn is_available(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    let all = [status.replicas, status.updated_replicas, status.available_replicas];
    status.observed_generation == deployment.metadata.generation && all.map(|count| count.unwrap_or(0)) == [wanted; 3]
}

pub fn node(ground: &Ground) -> &Node {
    ground.at.node.as_ref().expect("a ground with a node")
}
