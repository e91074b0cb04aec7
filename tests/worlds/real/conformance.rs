//! The cases of [`crate::conformance`] against the ground's kube-apiserver.
//!
//! The same cases run against the double of the API server.

use super::ground::{Ground, number, real_time};
use crate::conformance::{Server, for_each_case};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::sync::Arc;

macro_rules! against_the_real_one {
    ($($module:ident: $($case:ident)*;)*) => {$(
        mod $module {
            $(
                #[tokio::test]
                #[ignore = "needs the ground: make test"]
                async fn $case() {
                    let server = super::server().await;
                    crate::conformance::$module::$case(&server).await;
                }
            )*
        }
    )*};
}
for_each_case!(against_the_real_one);

/// The ground's API server, and a namespace of its own.
async fn server() -> Server {
    let client = Ground::shared().client_called("keyturn").await;
    let namespace = format!("conformance-{}-{}", std::process::id(), number());
    let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &created).await.unwrap();
    // The server's history of custom resources begins when their CRDs are installed, which is
    // after version 1.
    let streams_lists = !Ground::shared().at.server_version.starts_with("v1.33.");
    let (clock, forget) = (Arc::new(real_time), |_: &Server| "1".to_owned());
    Server { client, namespace, clock, streams_lists, forget, double: None }
}
