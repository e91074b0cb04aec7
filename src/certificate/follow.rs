//! The certificate in use: always the one that the Secret holds now.

use super::{NoCertificate, serving};
use crate::cluster::{changes_of, data_of};
use axum_server::tls_rustls::RustlsConfig;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::ServerConfig;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// The certificate in use, or none yet. Clones share it.
#[derive(Clone, Debug)]
pub struct Followed {
    secret: Arc<str>,
    seen: watch::Receiver<Option<RustlsConfig>>,
}

impl Followed {
    /// Waits for the first certificate. The returned configuration changes with the Secret.
    pub async fn tls(&mut self) -> Option<RustlsConfig> {
        self.seen.wait_for(Option::is_some).await.ok().and_then(|tls| tls.clone())
    }

    /// The missing certificate, in words. `None` if there is one.
    #[must_use]
    pub fn unsynced(&self) -> Option<String> {
        self.seen.borrow().is_none().then(|| format!("the webhook's certificate in Secret {}", self.secret))
    }
}

/// Follows the certificate in a Secret. The future never ends. While the Secret holds an invalid
/// certificate, the one before it stays in use.
pub fn follow(client: Client, namespace: &str, name: &str) -> (Followed, impl Future<Output = ()> + Send + use<>) {
    let secret: Arc<str> = format!("{namespace}/{name}").into();
    let (sender, seen) = watch::channel(None);
    let followed = Followed { secret: secret.clone(), seen };
    let changes = changes_of(Api::<Secret>::namespaced(client, namespace), name);
    let following = async move {
        let mut changes = std::pin::pin!(changes);
        while let Some(found) = changes.next().await {
            match configuration(&found.map(data_of).unwrap_or_default()) {
                Ok(tls) => {
                    sender.send_modify(|used| match used {
                        Some(used) => used.reload_from_config(tls),
                        None => *used = Some(RustlsConfig::from_config(tls)),
                    });
                    tracing::info!(%secret, "the webhook serves this Secret's certificate");
                }
                Err(error) => tracing::warn!(%secret, %error, "the Secret holds no certificate for the webhook"),
            }
        }
    };
    (followed, following)
}

/// The TLS configuration with the certificate of a Secret with this data.
///
/// # Errors
/// A data key is missing or invalid. The error never quotes a value.
pub fn configuration(data: &BTreeMap<String, Vec<u8>>) -> Result<Arc<ServerConfig>, NoCertificate> {
    let (chain, key) = serving(data)?;
    let not_made = |error: rustls::Error| NoCertificate::NotMade(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(not_made)?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).map_err(not_made)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
