//! The connection to the API server: the kubeconfig or the pod's ServiceAccount, the proxy, and
//! the time-outs.

use super::{InvalidProxy, Proxies, Proxy};
use kube::{
    Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{error::Error, time::Duration};

/// The reason why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum NoCluster {
    /// There is neither a kubeconfig nor a ServiceAccount.
    #[error(
        "no Kubernetes configuration: {kubeconfig} (KUBECONFIG or ~/.kube/config), and this is no pod: {in_cluster}"
    )]
    NoConfiguration {
        /// The reason why the kubeconfig cannot be used.
        kubeconfig: String,
        /// The reason why there is no ServiceAccount.
        in_cluster: String,
    },
    /// `NO_PROXY` has an entry that the client of Kubernetes cannot read.
    #[error(
        "NO_PROXY: {0}; write hosts, addresses and networks with a comma between them, such as 10.0.0.0/8,.svc,.cluster.local"
    )]
    NoProxy(String),
    /// The kubeconfig names no proxy that keyturn can use.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
}

/// The settings of the client of the API server, as kubectl finds them: the kubeconfig, otherwise
/// the pod's ServiceAccount.
///
/// * With a kubeconfig, its `proxy-url` counts before `HTTPS_PROXY`, and `NO_PROXY` is about the
///   API server's host. `NO_PROXY` does not concern `proxy-url`.
/// * In a pod, keyturn calls the API server directly, whatever the variables say, because
///   `KUBERNETES_SERVICE_HOST` is an address inside the cluster.
///
/// # Errors
/// [`NoCluster`] says why there are none.
pub async fn api_server(proxies: &Proxies) -> Result<Config, NoCluster> {
    let mut config = match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(mut config) => {
            // kube compares NO_PROXY with the proxy's own host, and not with the API server's.
            config.proxy_url = match proxy_of_kubeconfig()? {
                Some(proxy) => Some(proxy),
                None => proxies.for_api_server(&config.cluster_url).cloned(),
            }
            .map(|proxy| proxy.url().clone());
            config
        }
        Err(KubeconfigError::ParseNoProxy(error)) => return Err(NoCluster::NoProxy(error.to_string())),
        Err(kubeconfig) => Config::incluster().map_err(|error| none(&kubeconfig, &error))?,
    };
    config.apply_debug_overrides();
    // Every call has a time-out of keyturn's own, within which the client may retry a 429 or a 503.
    // A list has none, therefore the read time-out is for a connection that died unnoticed. It is
    // longer than the 290 s after which a quiet watch ends.
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(Duration::from_secs(330));
    config.reset_reader_on_write = true;
    Ok(config)
}

fn none(kubeconfig: &KubeconfigError, in_cluster: &InClusterError) -> NoCluster {
    NoCluster::NoConfiguration { kubeconfig: with_cause(kubeconfig), in_cluster: with_cause(in_cluster) }
}

/// An error with its innermost cause.
fn with_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let (outer, inner) = (error.to_string(), cause.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

/// The `proxy-url` of the current context's cluster.
fn proxy_of_kubeconfig() -> Result<Option<Proxy>, InvalidProxy> {
    let Ok(kubeconfig) = Kubeconfig::read() else { return Ok(None) };
    let current = kubeconfig.current_context.as_deref();
    let context = kubeconfig.contexts.iter().find(|context| Some(context.name.as_str()) == current);
    let named = context.and_then(|context| context.context.as_ref()).map(|context| context.cluster.as_str());
    let cluster = kubeconfig.clusters.iter().find(|cluster| Some(cluster.name.as_str()) == named);
    let url = cluster.and_then(|cluster| cluster.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.as_deref());
    url.filter(|url| !url.is_empty()).map(|url| Proxy::new("proxy-url of the kubeconfig", url)).transpose()
}
