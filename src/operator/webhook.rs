//! The webhook of a replica: every replica serves it, the leader keeps its certificate. The first one is made by whoever waits for it
//! too long.

use super::AbortOnDrop;
use crate::{
    certificate::{Followed, Kept, follow},
    clock::Clock,
    https::end,
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

/// How long a replica that is ending still answers: Services go on sending to it until all have heard of its end.
const LINGER: Duration = Duration::from_secs(5);

/// How long a replica waits for the leader to make the first certificate, before it makes one itself.
const LEADER_S_TURN: Duration = Duration::from_secs(5);

/// How the webhook is served.
#[derive(Debug)]
pub struct WebhookSettings {
    /// Where.
    pub listener: TcpListener,
    /// The namespace of the Secret that holds the certificate.
    pub namespace: String,
    /// The name of that Secret.
    pub secret: String,
    /// The `MutatingWebhookConfiguration` and the names in it by which the webhook is called, if the certificate is of
    /// the operator's making.
    pub own: Option<(String, Vec<String>)>,
}

/// A webhook that is being served.
pub(super) struct Served {
    /// What it waits for.
    pub followed: Followed,
    /// Serves it; does not end by itself.
    serving: AbortOnDrop,
    handle: Handle<SocketAddr>,
}

impl WebhookSettings {
    /// What the leader keeps.
    pub(super) fn kept(&self) -> Option<Kept> {
        let (configuration, names) = self.own.clone()?;
        Some(Kept { namespace: self.namespace.clone(), secret: self.secret.clone(), configuration, names })
    }

    /// Begins to serve, as soon as there is a certificate.
    pub(super) fn serve(self, client: Client, clock: Clock, configs: ConfigsFor, metrics: Metrics) -> Served {
        let (followed, following) = follow(client.clone(), &self.namespace, &self.secret);
        let (kept, waiting) = (self.kept(), followed.clone());
        let first = async move {
            let Some(kept) = kept else { return };
            loop {
                tokio::time::sleep(LEADER_S_TURN).await;
                if waiting.unsynced().is_none() {
                    return;
                }
                kept.make_the_first(client.clone(), &clock).await;
            }
        };
        let handle = Handle::new();
        let (webhook, mut certificate, ending) = (Webhook::new(configs, metrics), followed.clone(), handle.clone());
        let serving = async move {
            if let Some(tls) = certificate.tls().await
                && let Err(error) = webhook.serve(self.listener, tls, ending).await
            {
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
    /// Answers a moment longer, and ends.
    pub(super) async fn end(mut self) {
        // Nobody is answered before there is a certificate, and one may never come.
        if self.followed.unsynced().is_some() {
            return;
        }
        tokio::time::sleep(LINGER).await;
        end(&self.handle);
        let _ = (&mut self.serving.0).await;
    }
}

/// The configs for the pods of a namespace that this operator serves; those of another are none of its business.
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
