//! The leader's part: a certificate in the Secret, its authority in the webhook configuration.

use super::{NoCertificate, Seen, Step, beside, bundled, decide, make};
use crate::{
    clock::Clock,
    cluster::{CallError, Calls, changes_of, data_of},
};
use futures::{StreamExt as _, future, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{Api, Client};
use std::{collections::BTreeMap, pin::pin, time::Duration};

/// How long API servers are given to see an authority before a certificate of its is served: they watch the
/// configuration, so this is seconds more than it takes.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How long until the next look after a failure.
const AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// The longest time between two looks: a day.
const RARELY: SignedDuration = SignedDuration::from_hours(24);

/// What is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret, which exists.
    pub secret: String,
    /// The name of the `MutatingWebhookConfiguration`.
    pub configuration: String,
    /// The names and addresses by which the API server calls the webhook.
    pub names: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the webhook's certificate: {0}")]
    Certificate(#[from] NoCertificate),
    #[error("there is no {0}: the chart installs it (webhook.enabled=true)")]
    Gone(String),
}

/// What the watches show.
#[derive(Default)]
struct Shown {
    secret: Option<Secret>,
    configuration: Option<MutatingWebhookConfiguration>,
}

enum Change {
    Secret(Option<Secret>),
    Configuration(Option<MutatingWebhookConfiguration>),
}

/// Keeps it, for ever: whenever the Secret or the configuration changes, and when something is due. As long as all is in
/// order by what the watches show, nothing is read; before anything is written, both are.
pub async fn keep(kept: Kept, client: Client, clock: Clock) {
    let calls = Calls::new(client.clone());
    let mut secrets = pin!(changes_of(Api::<Secret>::namespaced(client.clone(), &kept.namespace), &kept.secret));
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let mut configurations = pin!(changes_of(configurations, &kept.configuration));
    // By one alone nothing can be said. A watch that shows nothing for long may be refused; whoever reads then, says so.
    let both = future::join(secrets.next(), configurations.next());
    let mut shown = match tokio::time::timeout(AGAIN.unsigned_abs(), both).await {
        Ok((secret, configuration)) => Shown { secret: secret.flatten(), configuration: configuration.flatten() },
        Err(_) => Shown::default(),
    };
    let mut changes = stream::select(secrets.map(Change::Secret), configurations.map(Change::Configuration));
    loop {
        let until = match shown.step(&kept, clock.now()) {
            Some(Step::Wait(until)) => until,
            _ => kept.look(&calls, &clock).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "pods may not be injected; it will be tried again");
                clock.now() + AGAIN
            }),
        };
        let wait = until.duration_since(clock.now()).clamp(SignedDuration::from_secs(1), RARELY);
        match tokio::time::timeout(wait.unsigned_abs(), changes.next()).await {
            Ok(Some(Change::Secret(secret))) => shown.secret = secret,
            Ok(Some(Change::Configuration(configuration))) => shown.configuration = configuration,
            Ok(None) | Err(_) => {}
        }
    }
}

impl Shown {
    /// What is due by what is shown, if both objects are there.
    fn step(&self, kept: &Kept, now: Timestamp) -> Option<Step> {
        let (secret, configuration) = (self.secret.as_ref()?, self.configuration.as_ref()?);
        Some(kept.step(&data_of(secret.clone()), configuration, now))
    }
}

impl Kept {
    /// Makes the first certificate, if there is none at all: for a replica that waits for one and does not lead.
    ///
    /// That is the leader's, but in an upgrade the leader may be of a release that had no webhook, or cert-manager's
    /// certificate. It knows nothing of this Secret, and would lead for ever: no replica that knows is ready without a
    /// certificate, so none of the former ones is ended. The Secret is written in the version that was seen; of two
    /// replicas that make one at once, the other is refused.
    pub async fn make_the_first(&self, client: Client, clock: &Clock) {
        let calls = Calls::new(client);
        let made = async {
            let (secret, configuration) = self.there_is(&calls).await?;
            match Seen::read(&data_of(secret.clone())) {
                Ok(_) => Ok(()),
                Err(_) => self.make(&calls, clock.now(), &secret, &configuration).await,
            }
        };
        if let Err(error) = made.await {
            tracing::warn!(%error, "there is no certificate for the webhook; it will be tried again");
        }
    }

    async fn there_is(&self, calls: &Calls) -> Result<(Secret, MutatingWebhookConfiguration), NotKept> {
        let secret = calls.secret(&self.namespace, &self.secret).await?;
        let secret = secret.ok_or_else(|| NotKept::Gone(format!("Secret {}/{}", self.namespace, self.secret)))?;
        let configuration = calls.webhook_configuration(&self.configuration).await?;
        let configuration = configuration
            .ok_or_else(|| NotKept::Gone(format!("MutatingWebhookConfiguration {}", self.configuration)))?;
        Ok((secret, configuration))
    }

    /// Makes one where there is none that could be served. What is published stays beside its authority for now: other
    /// replicas may still serve a certificate of cert-manager's.
    async fn make(
        &self,
        calls: &Calls,
        now: Timestamp,
        secret: &Secret,
        configuration: &MutatingWebhookConfiguration,
    ) -> Result<(), NotKept> {
        let made = make(&self.names, now)?;
        calls.apply_data(secret, made.data()).await?;
        let former = bundle(configuration).unwrap_or_default();
        calls.publish_authority(configuration, &beside(former, &made.authority)).await?;
        tracing::info!(names = self.names.join(","), "made a certificate for the webhook");
        Ok(())
    }

    fn step(
        &self,
        data: &BTreeMap<String, Vec<u8>>,
        configuration: &MutatingWebhookConfiguration,
        now: Timestamp,
    ) -> Step {
        decide(Seen::read(data).ok().as_ref(), &self.names, &published(configuration), now)
    }

    /// Does what is due, until nothing is; says when something will be.
    async fn look(&self, calls: &Calls, clock: &Clock) -> Result<Timestamp, NotKept> {
        loop {
            let (secret, configuration) = self.there_is(calls).await?;
            let (data, now) = (data_of(secret.clone()), clock.now());
            match self.step(&data, &configuration, now) {
                Step::Wait(until) => return Ok(until),
                Step::Make => self.make(calls, now, &secret, &configuration).await?,
                Step::Publish => {
                    let authority = data.get(super::AUTHORITY).map(Vec::as_slice).unwrap_or_default();
                    calls.publish_authority(&configuration, authority).await?;
                    tracing::info!(
                        configuration = self.configuration,
                        "published the authority of the webhook's certificate"
                    );
                }
                Step::Replace => {
                    let made = make(&self.names, now)?;
                    let before = data.get(super::AUTHORITY).map(Vec::as_slice).unwrap_or_default();
                    let both = [before, made.authority.as_bytes()].concat();
                    calls.publish_authority(&configuration, &both).await?;
                    tokio::time::sleep(SEEN_WITHIN).await;
                    calls.apply_data(&secret, made.data()).await?;
                    tracing::info!(names = self.names.join(","), "replaced the webhook's certificate");
                }
            }
        }
    }
}

/// The first webhook's authorities, in PEM.
fn bundle(configuration: &MutatingWebhookConfiguration) -> Option<&[u8]> {
    configuration.webhooks.as_ref()?.first()?.client_config.ca_bundle.as_ref().map(|bundle| &bundle.0[..])
}

/// The authorities that every webhook of the configuration has.
fn published(configuration: &MutatingWebhookConfiguration) -> Vec<Vec<u8>> {
    let mut bundles =
        configuration.webhooks.iter().flatten().map(|webhook| {
            webhook.client_config.ca_bundle.as_ref().map(|bundle| bundled(&bundle.0)).unwrap_or_default()
        });
    let first = bundles.next().unwrap_or_default();
    if bundles.all(|bundle| bundle == first) { first } else { vec![] }
}
