//! The operator's own AWS identity: an instance role, a web identity token, EKS Pod Identity. The
//! operator is the binary as a process with the variables that these set. The API server, STS, the
//! metadata service of the machine and the agent of Pod Identity are doubles.

use crate::{
    doubles::{
        apiserver::ApiServer,
        rules::Times,
        sts::{Behaviour, Issued, Outcome, Sts},
        wire::{self, Listening, tokio_clock},
    },
    fixtures::{CLUSTER, SCORING, analysts, config, role},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, put},
};
use futures::future::join_all;
use jiff::Timestamp;
use keyturn::api::AwsConfig;
use serde_json::{Value, json};
use std::{fs, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The operator's own sessions live this many seconds. STS refuses a session that has ended.
const LIFETIME: i64 = 5;
const OWN_ROLE: &str = "keyturn";
/// The key of the metadata service's second version.
const METADATA_TOKEN: &str = "imds-token";
const METADATA_HEADER: &str = "x-aws-ec2-metadata-token";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    InstanceRole,
    WebIdentity,
    PodIdentity,
}

/// A source of the operator's identity as an HTTP server: the metadata service of a machine, and
/// the agent of Pod Identity.
#[derive(Clone)]
struct Giver {
    sts: Sts,
    /// The file whose content the agent expects.
    token: std::path::PathBuf,
}

type Given = Result<Json<Value>, StatusCode>;

impl Giver {
    fn router(self) -> Router {
        const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
        const TTL: [(&str, &str); 1] = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
        Router::new()
            .route("/latest/api/token", put(async || (TTL, METADATA_TOKEN)))
            .route(CREDENTIALS, get(profile))
            .route(&format!("{CREDENTIALS}{{role}}"), get(of_machine))
            .route("/v1/credentials", get(of_pod))
            .with_state(self)
    }
}

/// The second version of the metadata service answers nobody without its token.
fn check_version(headers: &HeaderMap) -> Result<(), StatusCode> {
    let is_second = headers.get(METADATA_HEADER).is_some_and(|token| token == METADATA_TOKEN);
    if is_second { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

async fn profile(headers: HeaderMap) -> Result<&'static str, StatusCode> {
    check_version(&headers).map(|()| OWN_ROLE)
}

async fn of_machine(State(giver): State<Giver>, headers: HeaderMap, Path(name): Path<String>) -> Given {
    check_version(&headers)?;
    let session = giver.sts.issue(&role(&name), "i-0123456789abcdef0", LIFETIME);
    let mut answer = credentials(&session);
    let more = json!({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": session.at});
    answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Ok(Json(answer))
}

async fn of_pod(State(giver): State<Giver>, headers: HeaderMap) -> Given {
    let expected = fs::read_to_string(&giver.token).unwrap();
    if headers.get("authorization").is_none_or(|token| token != expected.as_str()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(Json(credentials(&giver.sts.issue(&role(OWN_ROLE), "eks-ground-keyturn-0", LIFETIME))))
}

fn credentials(session: &Issued) -> Value {
    json!({
        "AccessKeyId": session.access_key_id, "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token, "Expiration": session.expiration,
    })
}

#[expect(clippy::disallowed_methods, reason = "a process cannot have a simulated clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// An operator whose only identity is that of a source.
struct World {
    source: Source,
    api: ApiServer,
    sts: Sts,
    operator: Child,
    files: TempDir,
    _listening: [Listening; 3],
}

impl World {
    async fn start(source: Source) -> Self {
        let clock = tokio_clock(now());
        let api = ApiServer::new(clock.clone());
        api.namespace(SCORING, &[]);
        api.put(serde_json::to_value(analysts()).unwrap());
        let sts = Sts::new(clock);
        let of_token = |call: &crate::doubles::sts::Call| call.action == "AssumeRoleWithWebIdentity";
        sts.behave_if(Times::UntilCleared, of_token, Behaviour::Lifetime(LIFETIME));
        let files = TempDir::new().unwrap();
        let token = files.path().join("token");
        sts.trust_web_identity("token-1");
        fs::write(&token, "token-1").unwrap();
        let giver = Giver { sts: sts.clone(), token: token.clone() };
        let any = ([127, 0, 0, 1], 0).into();
        let listening = [
            api.serve(any).await.unwrap(),
            sts.serve(any).await.unwrap(),
            wire::serve(giver.router(), any).await.unwrap(),
        ];
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": listening[0].url()}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": {"token": "t"}}],
        });
        fs::write(files.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let (given, token) = (listening[2].url(), token.to_str().unwrap().to_owned());
        let variables = match source {
            Source::InstanceRole => vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", given)],
            Source::WebIdentity => vec![
                ("AWS_ROLE_ARN", role(OWN_ROLE)),
                ("AWS_ROLE_SESSION_NAME", "keyturn-0".to_owned()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ],
            Source::PodIdentity => vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{given}/v1/credentials")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ],
        };
        let log = fs::File::create(files.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn"));
        command
            .args(["run", "--cluster-name", CLUSTER, "--admin-addr", "127.0.0.1:0"])
            .env_clear()
            .env("KUBECONFIG", files.path().join("kubeconfig"))
            .env("HOME", files.path())
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL_STS", listening[1].url())
            .envs(variables)
            .stderr(Stdio::from(log))
            .kill_on_drop(true);
        Self { source, api, sts, operator: command.spawn().unwrap(), files, _listening: listening }
    }

    /// Writes another token into the pod's file, as the kubelet does. STS and the agent no longer
    /// accept the former one.
    fn rotate(&self, token: &str) {
        self.sts.trust_web_identity(token);
        fs::write(self.files.path().join("token"), token).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap()
    }

    fn put(&self, config: &AwsConfig) {
        self.api.put(serde_json::to_value(config).unwrap());
    }

    fn ready(&self, name: &str) -> Option<Value> {
        let config = self.api.get("awsconfigs", SCORING, name)?;
        config["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready").cloned()
    }

    /// Waits until `Ready` of a config has this reason. Returns its message.
    async fn until(&self, name: &str, reason: &str) -> String {
        let is_so = |condition: &Value| condition["reason"] == reason;
        let waited = self.api.until(|_| self.ready(name).is_some_and(|condition| is_so(&condition)));
        let in_time = tokio::time::timeout(PATIENCE, waited).await.is_ok();
        assert!(in_time, "{:?}: {name} is not {reason}: {:?}\n{}", self.source, self.ready(name), self.log());
        self.ready(name).unwrap()["message"].as_str().unwrap().to_owned()
    }

    /// The identity of the session that signed the call for a person.
    fn signed_by(&self, person: &str) -> Issued {
        let calls = self.sts.calls().into_iter();
        let mut calls = calls.filter(|call| call.session_name.as_deref() == Some(person));
        let call = calls.find(|call| matches!(call.outcome, Outcome::Issued { .. })).unwrap();
        self.sts.session(call.access_key_id.as_ref().unwrap()).unwrap()
    }
}

async fn is_refreshed(source: Source) {
    let mut world = World::start(source).await;
    world.put(&config("alice", |_| {}));
    world.until("alice", "Issued").await;
    let first = world.signed_by("alice");
    assert!(first.arn.contains(":assumed-role/keyturn/"), "{source:?}: {}", first.arn);
    let waited = async {
        while !world.log().contains(&first.arn) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let logged = tokio::time::timeout(PATIENCE, waited).await;
    assert!(logged.is_ok(), "{source:?}: the ARN {} is logged: {}", first.arn, world.log());

    let long = |spec: &mut keyturn::api::AwsConfigSpec| {
        spec.session = serde_json::from_value(json!({"duration": "2h"})).unwrap();
    };
    world.put(&config("long", long));
    let said = world.until("long", "DurationTooLong").await;
    assert!(said.contains("longer than the 1h") && said.contains(&first.arn), "{source:?}: {said}");
    assert_eq!(world.sts.count_where(|call| call.duration_seconds == Some(7200)), 0, "{source:?}: STS was not asked");

    world.rotate("token-2");
    tokio::time::sleep(Duration::from_secs(LIFETIME.unsigned_abs())).await;
    world.put(&config("bob", |_| {}));
    world.until("bob", "Issued").await;
    let second = world.signed_by("bob");
    assert_eq!(second.arn, first.arn, "{source:?}");
    assert!(second.number > first.number, "{source:?}: {second:?}");
    assert!(world.operator.try_wait().unwrap().is_none(), "{source:?}: the same process runs");
    let log = world.log();
    for secret in ["token-1", "token-2", "LeakedSecretKey", "LeakedSessionToken"] {
        assert!(!log.contains(secret), "{source:?}: {secret} is logged: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_source_of_the_operators_identity_is_refreshed() {
    let sources = [Source::InstanceRole, Source::WebIdentity, Source::PodIdentity];
    join_all(sources.map(is_refreshed)).await;
}
