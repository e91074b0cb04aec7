//! An operator, an API server and an STS under one paused clock.

use super::{
    node_clock::NodeClock,
    typed::Typed,
    wire::{ByHost, InProcess},
};
use crate::{
    doubles::{
        apiserver::ApiServer,
        datarobot::DataRobot,
        dss::Dss,
        s3::S3,
        sts::Sts,
        wire::{Clock, tokio_clock},
    },
    fixtures::{CLUSTER, OPERATORS, SCORING, analysts},
};
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig};
use aws_smithy_async::{rt::sleep::TokioSleep, time::TimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use keyturn::{
    api::{AwsConfig, AwsConfigStatus, AwsRole, DataRobotInstance, DssInstance},
    brake::{self, ConfigMapName},
    certificate::Kept,
    clock, credentials,
    dss::Wire,
    limit::{RateLimits, StsLimits},
    operator::{Operator, WebhookCare},
    secret::Record,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// The start of every simulated history.
pub const START: &str = "2026-01-01T00:00:00Z";
/// The `ConfigMap` by which a cluster admin confirms withdrawals.
pub const WITHDRAWALS: &str = "keyturn-withdrawals";
/// The simulated time after which a test gives up waiting.
const PATIENCE: Duration = Duration::from_secs(900);

/// The world. Its operator can be stopped, killed and started again.
pub struct World {
    /// The API server.
    pub api: ApiServer,
    /// STS.
    pub sts: Sts,
    /// S3, which is used only by configs that ask for it.
    pub s3: S3,
    /// A DSS, which is used only by tests that need one.
    pub dss: Dss,
    /// A DataRobot, likewise.
    pub datarobot: DataRobot,
    clock: Clock,
    typed: Typed,
    node_clock: NodeClock,
    operator: Option<Running>,
}

/// The cost of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Calls to STS.
    pub sts: usize,
    /// Objects that were read one by one.
    pub reads: usize,
    /// Writes, Events included.
    pub writes: usize,
}

impl Cost {
    /// No cost at all.
    pub const NOTHING: Self = Self { sts: 0, reads: 0, writes: 0 };
}

struct Running {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl World {
    /// An API server with the namespace [`SCORING`] and nothing else. No operator runs yet.
    pub fn empty() -> Self {
        let clock = impatient(tokio_clock(START.parse().unwrap()));
        let api = ApiServer::new(clock.clone());
        api.namespace(SCORING, &[("team", "ds")]);
        let sts = Sts::new(clock.clone());
        let (dss, datarobot) = (Dss::new(clock.clone()), DataRobot::new(clock.clone()));
        let s3 = S3::new(sts.clone(), clock.clone());
        let (typed, node_clock) = (Typed::default(), NodeClock::new(clock.clone()));
        Self { api, sts, s3, dss, datarobot, clock, typed, node_clock, operator: None }
    }

    /// Another DSS under the same clock. The operator reaches it only by a wire of the test's.
    pub fn another_dss(&self) -> Dss {
        Dss::new(self.clock.clone())
    }

    /// The same with the grant [`analysts`] and a running operator.
    pub fn started() -> Self {
        let mut world = Self::empty();
        world.apply(&analysts());
        world.start();
        world
    }

    /// The same with these configs, issued and at rest. Nothing is counted yet.
    pub async fn with(configs: &[AwsConfig]) -> Self {
        let world = Self::started();
        for config in configs {
            world.apply(config);
        }
        let names: Vec<String> = configs.iter().filter_map(|config| config.metadata.name.clone()).collect();
        world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
        world.settle().await;
        world.count_from_here();
        world
    }

    /// The clock of the operator's node.
    pub fn node_clock(&self) -> &NodeClock {
        &self.node_clock
    }

    /// The clock of another node.
    pub fn another_node_clock(&self) -> NodeClock {
        NodeClock::new(self.clock.clone())
    }

    /// Starts an operator.
    pub fn start(&mut self) {
        self.start_as(self.operator());
    }

    /// Starts an operator that searches for pods that the webhook missed.
    pub fn start_with_webhook(&mut self) {
        self.start_with_webhook_of(None);
    }

    /// The same. The operator maintains this certificate.
    pub fn start_with_webhook_of(&mut self, certificate: Option<Kept>) {
        let webhook = Some(WebhookCare { namespace: OPERATORS.to_owned(), certificate });
        self.start_as(Operator { webhook, ..self.operator() });
    }

    /// Starts this operator.
    pub fn start_as(&mut self, operator: Operator) {
        self.start_on(operator, None);
    }

    /// Starts this operator with its admin server on a real port.
    pub fn start_on(&mut self, operator: Operator, admin: Option<tokio::net::TcpListener>) {
        assert!(self.operator.is_none(), "one operator at a time");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            operator.check().await.expect("the operator starts");
            let ended = operator.run(admin, async move {
                let _ = stopped.await;
            });
            ended.await.expect("it is the only one");
        });
        self.operator = Some(Running { task, stop });
    }

    /// An operator that is not started, for tests that run it themselves.
    pub fn operator(&self) -> Operator {
        self.operator_on(&self.node_clock)
    }

    /// The same on a node with this clock.
    pub fn operator_on(&self, node: &NodeClock) -> Operator {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url("http://sts.test")
            .credentials_provider(Credentials::new("AKIABASE", "base-secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .sleep_impl(TokioSleep::new())
            .time_source(SimulatedTime(self.clock.clone()))
            .http_client(self.sts.http_client());
        let wire: Arc<dyn Wire> =
            Arc::new(ByHost { datarobot: InProcess(self.datarobot.router()), others: InProcess(self.dss.router()) });
        let node = node.clone();
        let clock = clock::Clock::of_node(move || node.shown()).steady();
        let s3 = SharedHttpConnector::new(self.s3.http_client());
        Operator {
            s3: credentials::S3::new(s3, "eu-west-1".to_owned(), None, clock.clone()),
            connect: Arc::new(move |_| Ok(wire.clone())),
            client: self.api.client(),
            sts: aws_sdk_sts::Client::from_conf(config.build()),
            clock,
            cluster_name: CLUSTER.to_owned(),
            namespaces: vec![],
            namespace_selector: None,
            shard: None,
            configs_per_namespace: None,
            object_metrics: false,
            rate_limits: RateLimits::default(),
            sts_limits: StsLimits::default(),
            max_age: None,
            brake: brake::Settings {
                limit: None,
                config_map: ConfigMapName { namespace: OPERATORS.to_owned(), name: WITHDRAWALS.to_owned() },
            },
            instance: "keyturn-0".to_owned(),
            webhook: None,
            lease: None,
        }
    }

    /// Asks the operator to stop and waits until it has.
    pub async fn stop(&mut self) {
        let Running { task, stop } = self.operator.take().expect("an operator is running");
        let _ = stop.send(());
        tokio::time::timeout(PATIENCE, task).await.expect("the operator stops").expect("and does not panic");
    }

    /// Kills the operator at its current line.
    pub async fn kill(&mut self) {
        let Running { task, .. } = self.operator.take().expect("an operator is running");
        task.abort();
        let _ = task.await;
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets time pass until the renewal of a config is due, and 100 ms more.
    pub async fn pass_until_due(&self, name: &str) {
        let due = self.status(name).renew_at.expect("it has a credential").0;
        self.pass(Duration::try_from(due.duration_since(self.now())).unwrap_or_default()).await;
        self.pass(Duration::from_millis(100)).await;
    }

    /// Lets a second pass. That is enough for everything that happens at once, because nothing else
    /// moves the paused clock.
    pub async fn settle(&self) {
        self.pass(Duration::from_secs(1)).await;
    }

    /// Waits until a condition holds. On time-out it reports what was seen.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = async {
            while !holds(self) {
                self.pass(Duration::from_millis(50)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waited).await.is_ok();
        assert!(came, "never came true: {what}\nseen:\n{}", self.picture());
    }

    /// The same within a simulated second, which is what the project calls "at once".
    pub async fn at_once(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..=20 {
            if holds(self) {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!("not within a second: {what}\nseen:\n{}", self.picture());
    }

    /// Forgets all requests and calls until now.
    pub fn count_from_here(&self) {
        self.api.clear_requests();
        self.sts.clear();
        self.s3.clear();
        self.dss.clear();
    }

    /// The number of objects that were read one by one. Such a read costs the API server more than
    /// a watch.
    pub fn reads(&self) -> usize {
        self.api.count_where(|request| request.verb == "get" && !request.resource.is_empty())
    }

    /// The cost since the count began: calls to STS, reads, and writes (Events included).
    pub fn cost(&self) -> Cost {
        Cost { sts: self.sts.count(), reads: self.reads(), writes: self.api.writes().len() }
    }

    /// Every object of keyturn's and every request, for the message of a failed test.
    pub fn picture(&self) -> String {
        let mut picture = String::new();
        for resource in [
            "awsconfigs",
            "awsroles",
            "awsrolegrants",
            "dssinstances",
            "datarobotinstances",
            "secrets",
            "events.events.k8s.io",
        ] {
            for mut object in self.api.list(resource) {
                object["metadata"].as_object_mut().unwrap().remove("managedFields");
                picture += &serde_json::to_string(&object).unwrap();
                picture.push('\n');
            }
        }
        for request in self.api.requests().iter().filter(|request| !matches!(request.verb, "list" | "watch")) {
            let (at, verb, path) = (request.at, request.verb, &request.path);
            picture += &format!("API: {at} {verb} {path} {:?}\n", request.status);
        }
        for call in self.dss.calls() {
            picture +=
                &format!("DSS: {} {} {} {:?} {:?}\n", call.at, call.method, call.path, call.proxy_user, call.status);
        }
        for head in self.s3.heads() {
            picture += &format!("S3: {head:?}\n");
        }
        for call in self.sts.calls() {
            picture += &format!("STS: {} {:?} {:?}\n", call.at, call.role_arn, call.outcome);
        }
        picture
    }

    /// Applies an object as a user would. An existing object keeps its status.
    pub fn apply(&self, object: &(impl Serialize + kube::Resource<DynamicType = ()>)) {
        let mut wanted = serde_json::to_value(object).unwrap();
        let kind = wanted["kind"].as_str().unwrap().to_owned();
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let name = object.meta().name.clone().unwrap();
        if self.api.get(&kind, &namespace, &name).is_some() {
            self.api.edit(&kind, &namespace, &name, |present| present["spec"] = wanted["spec"].take());
        } else {
            self.api.put(wanted);
        }
    }

    /// Changes a config of [`SCORING`] as a user would.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut keyturn::api::AwsConfigSpec)) {
        self.api.edit("AwsConfig", SCORING, name, |present| {
            let mut spec = serde_json::from_value(present["spec"].take()).unwrap();
            change(&mut spec);
            present["spec"] = serde_json::to_value(spec).unwrap();
        });
    }

    /// Changes a grant as a cluster admin would.
    pub fn change_grant(&self, name: &str, change: impl FnOnce(&mut keyturn::api::AwsRoleGrantSpec)) {
        self.api.edit("AwsRoleGrant", "", name, |present| {
            let mut spec = serde_json::from_value(present["spec"].take()).unwrap();
            change(&mut spec);
            present["spec"] = serde_json::to_value(spec).unwrap();
        });
    }

    /// Applies a user's Secret of [`SCORING`] with a key in it, offered or not.
    pub fn put_key(&self, name: &str, is_offered: bool, id: &str, secret: &str) {
        let data = [("aws_access_key_id", id), ("aws_secret_access_key", secret)];
        let data: BTreeMap<&str, ByteString> =
            data.into_iter().map(|(key, value)| (key, ByteString(value.as_bytes().to_vec()))).collect();
        let labels = if is_offered { json!({"keyturn.dev/source": "true"}) } else { json!({}) };
        if self.api.get("Secret", SCORING, name).is_some() {
            self.api.edit("Secret", SCORING, name, |secret| {
                secret["metadata"]["labels"] = labels;
                secret["data"] = json!(data);
            });
        } else {
            self.api.put(json!({
                "apiVersion": "v1", "kind": "Secret", "data": data,
                "metadata": {"name": name, "namespace": SCORING, "labels": labels},
            }));
        }
    }

    /// The status of an `AwsRole` of [`SCORING`]: whether it is active, whether it is usable, and
    /// the message.
    pub fn role_status(&self, name: &str) -> (bool, bool, String) {
        let role = self.roles().into_iter().find(|role| role.metadata.name.as_deref() == Some(name));
        let status = role.and_then(|role| role.status).unwrap_or_default();
        let usable = status.conditions.first().cloned();
        let (usable, message) = usable.map(|c| (c.status == "True", c.message)).unwrap_or_default();
        (status.active == Some(true), usable, message)
    }

    /// A config of [`SCORING`].
    pub fn config(&self, name: &str) -> Option<AwsConfig> {
        self.read("AwsConfig", SCORING, name)
    }

    /// An instance of DSS.
    pub fn data_robot(&self, name: &str) -> Option<DataRobotInstance> {
        self.read("DataRobotInstance", "", name)
    }

    /// A `DssInstance`.
    pub fn instance(&self, name: &str) -> Option<DssInstance> {
        self.read("DssInstance", "", name)
    }

    /// The statuses of all objects of keyturn's, as text.
    pub fn picture_of_status(&self) -> String {
        let all = ["awsconfigs", "awsroles", "dssinstances", "datarobotinstances"]
            .into_iter()
            .flat_map(|resource| self.api.list(resource));
        all.map(|object| object["status"].to_string()).collect()
    }

    /// The status of a config of [`SCORING`]; empty while there is none.
    pub fn status(&self, name: &str) -> AwsConfigStatus {
        self.config(name).and_then(|config| config.status).unwrap_or_default()
    }

    /// Status, reason and message of a condition.
    pub fn condition(&self, name: &str, type_: &str) -> Option<(String, String, String)> {
        let conditions = self.status(name).conditions;
        conditions.into_iter().find(|c| c.type_ == type_).map(|c| (c.status, c.reason, c.message))
    }

    /// Status and reason of `Ready`, as `True/Issued`.
    pub fn ready(&self, name: &str) -> String {
        self.condition(name, "Ready").map(|(status, reason, _)| format!("{status}/{reason}")).unwrap_or_default()
    }

    /// Whether a config is ready for its current spec.
    pub fn is_ready(&self, name: &str) -> bool {
        let current = self.config(name).is_some_and(|config| {
            config.status.as_ref().and_then(|status| status.observed_generation) == config.metadata.generation
        });
        current && self.ready(name) == "True/Issued"
    }

    /// The Secret of a config that names no target.
    pub fn secret(&self, config: &str) -> Option<Secret> {
        self.read("Secret", SCORING, &format!("{config}-aws"))
    }

    /// A value of that Secret, as text; empty if there is none.
    pub fn value(&self, config: &str, key: &str) -> String {
        let data = self.secret(config).and_then(|secret| secret.data).unwrap_or_default();
        data.get(key).map(|value| String::from_utf8(value.0.clone()).unwrap()).unwrap_or_default()
    }

    /// The record of the credential in that Secret.
    pub fn record(&self, config: &str) -> Option<Record> {
        self.secret(config).and_then(|secret| secret.metadata.annotations).as_ref().and_then(Record::read)
    }

    /// Whether that Secret holds all of a session that STS issued and that has not expired.
    pub fn holds_a_valid_session(&self, config: &str) -> bool {
        let key = self.value(config, "AWS_ACCESS_KEY_ID");
        self.sts.session(&key).is_some_and(|session| {
            session.expiration > self.now()
                && self.value(config, "AWS_SECRET_ACCESS_KEY") == session.secret_access_key
                && self.value(config, "AWS_SESSION_TOKEN") == session.session_token
        })
    }

    /// Whether that Secret exists and holds no part of any session that STS ever issued.
    pub fn is_withdrawn(&self, config: &str) -> bool {
        let Some(secret) = self.secret(config) else { return false };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let values: Vec<String> = secret.data.unwrap_or_default().values().map(|value| text(&value.0)).collect();
        let holds = |part: &str| values.iter().any(|value| value.contains(part));
        let sessions = self.sts.issued();
        let leaks = |session: &crate::doubles::sts::Issued| {
            holds(&session.access_key_id) || holds(&session.secret_access_key) || holds(&session.session_token)
        };
        !sessions.iter().any(leaks)
            && holds("WITHDRAWN")
            && self.record(config).is_some_and(|record| record.withdrawn.is_some())
    }

    /// The `AwsRole`s, by name.
    pub fn roles(&self) -> Vec<AwsRole> {
        self.api.list("AwsRole").into_iter().map(|role| serde_json::from_value(role).unwrap()).collect()
    }

    /// Reasons and notes of all Events, in order.
    pub fn events(&self) -> Vec<(String, String)> {
        let mut events = self.api.list("events.events.k8s.io");
        events.sort_by_key(|event| event["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap());
        let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        events.iter().map(|event| (text(event, "reason"), text(event, "note"))).collect()
    }

    /// The reasons of all Events, in order.
    pub fn event_reasons(&self) -> Vec<String> {
        self.events().into_iter().map(|(reason, _)| reason).collect()
    }

    fn read<K>(&self, kind: &'static str, namespace: &str, name: &str) -> Option<K>
    where
        K: DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let stored = self.api.stored(kind, namespace, name)?;
        Some(self.typed.of((kind, namespace.to_owned(), name.to_owned()), stored))
    }
}

/// A clock that detects a loop in which no time passes. No time-out of a test can end such a loop,
/// because paused time stands still while any task is busy.
fn impatient(clock: Clock) -> Clock {
    let moment = Mutex::new((Timestamp::MIN, 0));
    Arc::new(move || {
        let now = clock();
        let mut moment = moment.lock().unwrap_or_else(PoisonError::into_inner);
        *moment = if moment.0 == now { (now, moment.1 + 1) } else { (now, 0) };
        assert!(moment.1 < BUSY, "something happens again and again at {now} and no time passes");
        now
    })
}

/// How often the time may be read in one moment. A thousand new objects read it about ten thousand
/// times.
const BUSY: u32 = 60_000;

/// The SDK signs with simulated time.
struct SimulatedTime(Clock);

impl std::fmt::Debug for SimulatedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedTime")
    }
}

impl TimeSource for SimulatedTime {
    fn now(&self) -> std::time::SystemTime {
        (self.0)().into()
    }
}
