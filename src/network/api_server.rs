//! The connection to the API server: the kubeconfig or the pod's ServiceAccount, the proxy, and
//! the time-outs.

use super::{InvalidProxy, Proxies, Proxy, with_cause};
use kube::{
    Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The length of a watch in seconds. Then the API server ends it, and keyturn continues it where it
/// ended. If the connection has died without a word, that end never comes, and the watcher of
/// `kube` gives the watch up 5 s later. So keyturn notices a dead watch within 50 s. Each watch
/// costs the API server one cheap request in this time.
pub const WATCH_SECONDS: u32 = 45;
/// The longest time in which nothing comes over a connection. It is longer than a quiet watch.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The cluster that a caller names. The default is kubectl's: `KUBECONFIG` or `~/.kube/config`, its
/// current context, and otherwise the pod's ServiceAccount.
#[derive(Clone, Debug, Default)]
pub struct NamedCluster {
    /// The path of the kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// The name of the context.
    pub context: Option<String>,
}

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
    /// The caller named a kubeconfig or a context, and it cannot be used.
    #[error("cannot use {which}: {why}")]
    Named {
        /// The kubeconfig and the context, in words.
        which: String,
        /// The reason.
        why: String,
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
pub async fn api_server(proxies: &Proxies, cluster: &NamedCluster) -> Result<Config, NoCluster> {
    let mut config = match of_kubeconfig(proxies, cluster).await? {
        Ok(config) => config,
        Err(KubeconfigError::ParseNoProxy(error)) => return Err(NoCluster::NoProxy(error.to_string())),
        Err(kubeconfig) if cluster.is_named() => {
            return Err(NoCluster::Named { which: cluster.in_words(), why: with_cause(&kubeconfig) });
        }
        Err(kubeconfig) => Config::incluster().map_err(|error| none(&kubeconfig, &error))?,
    };
    config.apply_debug_overrides();
    // Every call has a time-out of keyturn's own, within which the client may retry a 429 or a 503.
    // A list and the beginning of a watch have none, therefore the read time-out is for a
    // connection that died without a word.
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    Ok(config)
}

/// The settings of the kubeconfig, or the reason why it cannot be used.
async fn of_kubeconfig(
    proxies: &Proxies,
    cluster: &NamedCluster,
) -> Result<Result<Config, KubeconfigError>, NoCluster> {
    let read = cluster.kubeconfig.as_deref().map_or_else(Kubeconfig::read, Kubeconfig::read_from::<&Path>);
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(error) => return Ok(Err(error)),
    };
    let proxy = proxy_of(&kubeconfig, cluster.context.as_deref())?;
    let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
    Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await.map(|mut config| {
        // kube compares NO_PROXY with the proxy's own host, and not with the API server's.
        let proxy = proxy.or_else(|| proxies.for_api_server(&config.cluster_url).cloned());
        config.proxy_url = proxy.map(|proxy| proxy.url().clone());
        config
    }))
}

impl NamedCluster {
    fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    fn in_words(&self) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|path| format!("kubeconfig {}", path.display()));
        let context = self.context.as_ref().map(|context| format!("context \"{context}\""));
        [context, kubeconfig].into_iter().flatten().collect::<Vec<_>>().join(" of ")
    }
}

fn none(kubeconfig: &KubeconfigError, in_cluster: &InClusterError) -> NoCluster {
    NoCluster::NoConfiguration { kubeconfig: with_cause(kubeconfig), in_cluster: with_cause(in_cluster) }
}

/// The `proxy-url` of the cluster of a context, by default the current one.
fn proxy_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<Option<Proxy>, InvalidProxy> {
    let current = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|context| Some(context.name.as_str()) == current);
    let named = context.and_then(|context| context.context.as_ref()).map(|context| context.cluster.as_str());
    let cluster = kubeconfig.clusters.iter().find(|cluster| Some(cluster.name.as_str()) == named);
    let url = cluster.and_then(|cluster| cluster.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.as_deref());
    url.filter(|url| !url.is_empty()).map(|url| Proxy::new("proxy-url of the kubeconfig", url)).transpose()
}

#[cfg(test)]
mod tests;
