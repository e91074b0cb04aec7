//! The webhook of a replica. Every replica serves it, and the leader maintains its certificate. If
//! the leader does not make the first certificate in time, a replica that waits for it makes it.

use super::AbortOnDrop;
use crate::{
    certificate::{Followed, Kept, follow},
    clock::Clock,
    https::{Bounds, Port, end},
    inject::ConfigsFor,
    metrics::Metrics,
    views::Views,
    webhook::Webhook,
};
use axum_server::Handle;
use kube::Client;
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

/// The time for which a replica that is ending still answers. A Service goes on sending requests to
/// it until every node has learnt that it ends.
const LINGER: Duration = Duration::from_secs(5);

/// The time for which a replica waits for the leader to make the first certificate. After it the
/// replica makes the certificate itself.
const FIRST_CERTIFICATE_WAIT: Duration = Duration::from_secs(5);

/// The settings of the webhook.
#[derive(Debug)]
pub struct WebhookSettings {
    /// The socket on which it listens.
    pub listener: TcpListener,
    /// The namespace of the Secret that holds the certificate.
    pub namespace: String,
    /// The name of that Secret.
    pub secret: String,
    /// The name of the `MutatingWebhookConfiguration`, and the DNS names by which the API server
    /// calls the webhook; `None` if keyturn does not make the certificate.
    pub own: Option<(String, Vec<String>)>,
}

/// A webhook that is being served.
pub(super) struct Served {
    /// The certificate that it serves with, or waits for.
    pub followed: Followed,
    /// The task that serves it. The task ends when this is dropped.
    serving: AbortOnDrop,
    handle: Handle<SocketAddr>,
}

impl WebhookSettings {
    /// The certificate that the leader maintains; `None` if keyturn does not make it.
    pub(super) fn kept(&self) -> Option<Kept> {
        let (configuration, names) = self.own.clone()?;
        Some(Kept { namespace: self.namespace.clone(), secret: self.secret.clone(), configuration, names })
    }

    /// Begins to serve as soon as there is a certificate.
    pub(super) fn serve(self, client: Client, clock: Clock, configs: ConfigsFor, metrics: Metrics) -> Served {
        let (followed, following) = follow(client.clone(), &self.namespace, &self.secret);
        let (kept, waiting) = (self.kept(), followed.clone());
        let first = async move {
            let Some(kept) = kept else { return };
            loop {
                tokio::time::sleep(FIRST_CERTIFICATE_WAIT).await;
                if waiting.unsynced().is_none() {
                    return;
                }
                kept.make_first(client.clone(), &clock).await;
            }
        };
        let handle = Handle::new();
        let (mut certificate, ending) = (followed.clone(), handle.clone());
        let serving = async move {
            let Some(tls) = certificate.tls().await else { return };
            let refused = metrics.connection_refused("webhook");
            let port =
                Port { listener: self.listener, tls: Some(tls), handle: ending, bounds: Bounds::WEBHOOK, refused };
            if let Err(error) = Webhook::new(configs, metrics).serve(port).await {
                tracing::error!(%error, "the webhook ended");
            }
        };
        let serving = AbortOnDrop(tokio::spawn(async move {
            tokio::select! {
                () = following => {}
                () = async { tokio::join!(serving, first); } => {}
            }
        }));
        Served { followed, serving, handle }
    }
}

impl Served {
    /// Answers for [`LINGER`] longer, then ends.
    pub(super) async fn end(mut self) {
        // Without a certificate the webhook answers nobody, and there may never be one.
        if self.followed.unsynced().is_some() {
            return;
        }
        tokio::time::sleep(LINGER).await;
        end(&self.handle);
        let _ = (&mut self.serving.0).await;
    }
}

/// The function that returns the configs a pod may ask for. It returns no config for a pod in a
/// namespace that this operator does not serve, and `None` while the view of the configs is
/// unsynced.
pub(super) fn configs_for(scopes: Vec<(Option<String>, Views)>) -> ConfigsFor {
    std::sync::Arc::new(move |pod| {
        let serves = |scope: &&(Option<String>, Views)| scope.0.as_deref().is_none_or(|served| served == pod.namespace);
        let Some((_, views)) = scopes.iter().find(serves) else { return Some(vec![]) };
        views
            .configs
            .sync_state()
            .unsynced()
            .is_none()
            .then(|| views.configs_for_pod(pod.namespace, pod.labels, pod.named))
    })
}
