//! The connection by a kubeconfig that the caller names.

use super::*;
use std::fs;

fn kubeconfig() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = r#"
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: one, user: me}}
- {name: two, context: {cluster: two, user: me, namespace: scoring}}
clusters:
- {name: one, cluster: {server: "https://one.example.com"}}
- {name: two, cluster: {server: "https://two.example.com", proxy-url: "http://p:1"}}
users:
- {name: me, user: {token: t}}
"#;
    fs::write(file.path(), text).unwrap();
    file
}

fn proxies() -> Proxies {
    let variable = |name: &str| match name {
        "HTTPS_PROXY" => Some("http://env:1".to_owned()),
        "NO_PROXY" => Some("one.example.com".to_owned()),
        _ => None,
    };
    Proxies::new(variable).unwrap()
}

#[tokio::test]
async fn a_named_context_has_its_own_server_and_proxy() {
    let file = kubeconfig();
    let rows = [
        ("the current context", None, "https://one.example.com/", None, "default"),
        ("another one", Some("two"), "https://two.example.com/", Some("http://p:1/"), "scoring"),
    ];
    for (row, context, server, proxy, namespace) in rows {
        let cluster = NamedCluster { kubeconfig: Some(file.path().to_owned()), context: context.map(str::to_owned) };
        let config = api_server(&proxies(), &cluster).await.unwrap();
        let found = (config.cluster_url.to_string(), config.proxy_url.map(|url| url.to_string()));
        assert_eq!(found, (server.to_owned(), proxy.map(str::to_owned)), "{row}");
        assert_eq!(config.default_namespace, namespace, "{row}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_used_is_named_in_the_error() {
    let file = kubeconfig();
    let rows = [
        ("no such context", Some(file.path().to_owned()), Some("three"), "context \"three\" of kubeconfig "),
        ("no such file", Some("/nowhere/config".into()), None, "cannot use kubeconfig /nowhere/config: "),
    ];
    for (row, kubeconfig, context, part) in rows {
        let cluster = NamedCluster { kubeconfig, context: context.map(str::to_owned) };
        let error = api_server(&proxies(), &cluster).await.unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("no pod"), "{row}: {error}");
    }
}
