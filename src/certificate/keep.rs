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

/// The wait between the publication of an authority and the use of its certificate. API servers
/// watch the configuration; they see the authority seconds earlier.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// The wait after a failure.
const AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// The longest wait between two checks: a day.
const RARELY: SignedDuration = SignedDuration::from_hours(24);

/// The objects that the leader maintains.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret. The Secret has to exist.
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

/// The objects as the watches show them.
#[derive(Default)]
struct Shown {
    secret: Option<Secret>,
    configuration: Option<MutatingWebhookConfiguration>,
}

enum Change {
    Secret(Option<Secret>),
    Configuration(Option<MutatingWebhookConfiguration>),
}

/// Maintains the certificate forever: at each change of the Secret or of the configuration, and
/// when a step is due. While the watched objects are in order, nothing is read. Before a write,
/// both objects are read.
pub async fn keep(kept: Kept, client: Client, calls: Calls, clock: Clock) {
    let mut secrets = pin!(changes_of(Api::<Secret>::namespaced(client.clone(), &kept.namespace), &kept.secret));
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let mut configurations = pin!(changes_of(configurations, &kept.configuration));
    // Both objects are needed for a decision. If a watch shows nothing for long, the API server may
    // refuse it. The read that follows then reports the refusal.
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
    /// The next step by the watched objects. `None` if one of them is missing.
    fn step(&self, kept: &Kept, now: Timestamp) -> Option<Step> {
        let (secret, configuration) = (self.secret.as_ref()?, self.configuration.as_ref()?);
        Some(kept.step(&data_of(secret.clone()), configuration, now))
    }
}

impl Kept {
    async fn read(&self, calls: &Calls) -> Result<(Secret, MutatingWebhookConfiguration), NotKept> {
        let secret = calls.secret(&self.namespace, &self.secret).await?;
        let secret = secret.ok_or_else(|| NotKept::Gone(format!("Secret {}/{}", self.namespace, self.secret)))?;
        let configuration = calls.webhook_configuration(&self.configuration).await?;
        let configuration = configuration
            .ok_or_else(|| NotKept::Gone(format!("MutatingWebhookConfiguration {}", self.configuration)))?;
        Ok((secret, configuration))
    }

    /// Makes a certificate, because there is no usable one. The published authorities stay beside
    /// the new one for now, because other replicas may still serve a certificate of cert-manager's.
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

    /// Takes all steps that are due, and returns the time of the next one.
    async fn look(&self, calls: &Calls, clock: &Clock) -> Result<Timestamp, NotKept> {
        loop {
            let (secret, configuration) = self.read(calls).await?;
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

/// The authorities that all webhooks of the configuration have in common, as DER. Empty if they
/// differ.
fn published(configuration: &MutatingWebhookConfiguration) -> Vec<Vec<u8>> {
    let mut bundles =
        configuration.webhooks.iter().flatten().map(|webhook| {
            webhook.client_config.ca_bundle.as_ref().map(|bundle| bundled(&bundle.0)).unwrap_or_default()
        });
    let first = bundles.next().unwrap_or_default();
    if bundles.all(|bundle| bundle == first) { first } else { vec![] }
}
