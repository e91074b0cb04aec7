//! A DSS beside a release: the double, served on TCP, with an admin key in the operator's namespace
//! and a `DssInstance` that names both. The sessions of its connections are real sessions of the
//! ground's AWS.

use super::{
    aws_admin::role_for,
    aws_cli::AwsCli,
    ground::{eventually, real_time, run},
    install::Install,
};
use crate::{
    doubles::{
        dss::{ADMIN_KEY, AssumedBy, Dss, HandedOut},
        wire::Listening,
    },
    fixtures::instance,
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use keyturn::api::{DssInstance, DssInstanceSpec};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A running DSS with its `DssInstance`.
pub struct DssServer {
    /// The double.
    pub dss: Dss,
    /// The name of its `DssInstance`.
    pub instance: String,
    url: String,
    _listening: Listening,
}

impl DssServer {
    /// Starts a DSS that knows alice and bob, with an instance that allows everybody in the
    /// release's namespace.
    pub async fn start(install: &Install<'_>) -> Self {
        Self::reached_at(install, "127.0.0.1").await
    }

    /// The same, for an operator and pods that reach this process by another address.
    pub async fn reached_at(install: &Install<'_>, host: &str) -> Self {
        let dss = Dss::new(Arc::new(real_time));
        let listening = dss.serve(([0, 0, 0, 0], 0).into()).await.unwrap();
        let url = format!("http://{host}:{}", listening.addr().port());
        let server = Self { dss, instance: format!("dss-{}", install.account), url, _listening: listening };
        for login in ["alice", "bob"] {
            server.dss.add_user(login, &["analysts"]);
            server.dss.set_admin_property(login, "associatedRole", Some("ds-analyst"));
        }
        put_admin_key(install).await;
        server.apply(install, |_| {}).await;
        server
    }

    /// The URL of DSS.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Applies the `DssInstance`, changed as the test needs it.
    pub async fn apply(&self, install: &Install<'_>, change: impl FnOnce(&mut DssInstanceSpec)) {
        let wanted = instance(&self.instance, &self.url, |spec| {
            spec.api_key_secret_ref.namespace.clone_from(&install.system);
            spec.aws_account_id = Some(install.account.clone());
            spec.refresh = "1m".parse().unwrap();
            spec.allow[0].namespaces.names = vec![install.namespace.clone()];
            change(spec);
        });
        let instances: Api<DssInstance> = Api::all(install.admin.clone());
        let admin = PatchParams::apply("cluster-admin").force();
        instances.patch(&self.instance, &admin, &Patch::Apply(&wanted)).await.unwrap();
    }

    /// Waits until a condition of the instance has this status and reason.
    pub async fn until(&self, install: &Install<'_>, type_: &str, wanted: &str) -> String {
        let instances: Api<DssInstance> = Api::all(install.admin.clone());
        eventually(&format!("{type_} is {wanted}"), async || {
            let found = instances.get(&self.instance).await.map_err(|error| error.to_string())?;
            let conditions = found.status.unwrap_or_default().conditions;
            let condition = conditions.into_iter().find(|condition| condition.type_ == type_).ok_or("not said")?;
            let seen = format!("{}/{}", condition.status, condition.reason);
            if seen == wanted { Ok(condition.message) } else { Err(format!("{seen}: {}", condition.message)) }
        })
        .await
    }

    /// Gives DSS an AWS identity that may assume `role`. The role may list the release's first
    /// bucket.
    pub fn assumes(&self, install: &Install<'_>, role: &str) {
        let bucket = format!("arn:aws:s3:::{}", install.aws.buckets[0]);
        self.assumes_with(
            install,
            role,
            &json!([{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket}]),
        );
    }

    /// The same with a role that has these statements as its policy.
    pub fn assumes_with(&self, install: &Install<'_>, role: &str, statements: &Value) {
        let dss = format!("arn:aws:iam::{}:user/keyturn", install.account);
        let trust = json!({"Effect": "Allow", "Principal": {"AWS": dss}, "Action": "sts:AssumeRole"});
        role_for(&install.account, role, &trust).allows(install, statements);
        let aws = Arc::new(Aws {
            cli: AwsCli::of(install.ground),
            key: (install.aws.access_key_id.clone(), install.aws.secret_access_key.clone()),
            account: install.account.clone(),
        });
        self.dss.set_sessions(Arc::new(move |by| {
            let aws = aws.clone();
            Box::pin(async move { tokio::task::spawn_blocking(move || aws.assume(&by)).await.unwrap() })
        }));
    }
}

/// The AWS that DSS uses.
struct Aws {
    cli: AwsCli,
    key: (String, String),
    account: String,
}

impl Aws {
    fn assume(&self, by: &AssumedBy) -> Result<HandedOut, String> {
        let role = format!("arn:aws:iam::{}:role/{}", self.account, by.role);
        let arguments = ["sts", "assume-role", "--role-arn", &role, "--role-session-name", &by.session_name];
        let arguments = [&arguments[..], &["--output", "json"]].concat();
        let said = self.cli.run((&self.key.0, &self.key.1, None), &arguments, b"")?;
        let answer: Value = serde_json::from_slice(&said).map_err(|error| error.to_string())?;
        let text = |name: &str| answer["Credentials"][name].as_str().unwrap_or_default().to_owned();
        Ok(HandedOut {
            access_key: text("AccessKeyId"),
            secret_key: text("SecretAccessKey"),
            session_token: Some(text("SessionToken")),
            expiration: None,
        })
    }
}

async fn put_admin_key(install: &Install<'_>) {
    let secrets: Api<Secret> = Api::namespaced(install.admin.clone(), &install.system);
    let secret = Secret {
        metadata: ObjectMeta { name: Some("dss-admin".to_owned()), ..ObjectMeta::default() },
        data: Some([("apiKey".to_owned(), ByteString(ADMIN_KEY.into()))].into()),
        ..Secret::default()
    };
    let admin = PatchParams::apply("cluster-admin").force();
    secrets.patch("dss-admin", &admin, &Patch::Apply(&secret)).await.unwrap();
}

/// Runs the code of an endpoint ([`endpoint.py`](endpoint.py)) with the mounted Secret, the buckets
/// to list and the connection to ask, and returns what it saw.
pub async fn endpoint(install: &Install<'_>, config: &str, variables: &[(&str, String)], arguments: &[&str]) -> Value {
    let mount = install.mount(config).await;
    let mut command = install.in_pod(install.ground.at.bin.python.as_ref().unwrap(), &mount);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worlds/real/endpoint.py")).arg(&mount).args(arguments);
    command.args(&install.aws.buckets).envs(variables.iter().map(|(name, value)| (name, value)));
    let said = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}
