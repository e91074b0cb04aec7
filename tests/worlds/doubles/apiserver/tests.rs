//! The double as the real kube client sees it: the cases that the real API server passes as well
//! ([`crate::conformance`]), and what only a double can do ([`failing`]).

mod failing;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use super::ApiServer;
use crate::conformance::{Server, for_each_case};
use crate::doubles::wire::tokio_clock;

macro_rules! against_the_double {
    ($($module:ident: $($case:ident)*;)*) => {$(
        mod $module {
            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    crate::conformance::$module::$case(&super::under_test()).await;
                }
            )*
        }
    )*};
}
for_each_case!(against_the_double);

/// The double with a namespace of its own.
fn under_test() -> Server {
    let clock = tokio_clock(start());
    let api = ApiServer::new(clock.clone());
    api.namespace(NS, &[]);
    let forget = |server: &Server| {
        let api = server.double.as_ref().unwrap();
        let before = api.version().to_string();
        api.put(config("forgotten"));
        api.delete("awsconfigs", NS, "forgotten");
        api.compact();
        before
    };
    let namespace = NS.to_owned();
    Server { client: api.client(), namespace, clock, streams_lists: true, forget, double: Some(api) }
}

const NS: &str = "scoring";

fn start() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A server with one namespace.
fn server() -> ApiServer {
    let api = ApiServer::new(tokio_clock(start()));
    api.namespace(NS, &[("team", "ds")]);
    api
}

fn secrets(api: &ApiServer) -> Api<Secret> {
    Api::namespaced(api.client(), NS)
}

fn configs(api: &ApiServer) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("keyturn.dev", "v1alpha1", "AwsConfig");
    let resource = ApiResource::from_gvk_with_plural(&kind, "awsconfigs");
    Api::namespaced_with(api.client(), NS, &resource)
}

fn config(name: &str) -> Value {
    json!({
        "apiVersion": "keyturn.dev/v1alpha1",
        "kind": "AwsConfig",
        "metadata": { "name": name, "namespace": NS },
        "spec": { "person": name },
    })
}

/// A Secret as somebody applies it: only what is said.
fn secret(name: &str, texts: &[(&str, &str)]) -> Value {
    let texts: serde_json::Map<String, Value> =
        texts.iter().map(|&(key, text)| (key.to_owned(), json!(text))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": NS },
        "stringData": texts,
    })
}

async fn apply(api: &ApiServer, manager: &str, body: &Value) -> kube::Result<Secret> {
    let params = PatchParams::apply(manager).force();
    let name = body["metadata"]["name"].as_str().unwrap();
    secrets(api).patch(name, &params, &Patch::Apply(body)).await
}

/// The keys and texts of a Secret.
fn texts(secret: &Secret) -> Vec<(String, String)> {
    let data = secret.data.clone().unwrap_or_default().into_iter();
    data.map(|(key, bytes)| (key, String::from_utf8(bytes.0).unwrap())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs.map(|&(key, text)| (key.to_owned(), text.to_owned())).collect()
}

fn version(secret: &Secret) -> String {
    secret.metadata.resource_version.clone().unwrap()
}

/// The code and reason of a refusal.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.reason),
        other => panic!("no refusal: {other:?}"),
    }
}

fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
