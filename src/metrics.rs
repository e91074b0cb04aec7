//! The metrics, of the operator ([`Metrics`]) and of the webhook ([`WebhookMetrics`]). Labels come
//! from closed lists, and the number of series does not grow with the number of objects, unless the
//! operator is asked for metrics of each object (`metrics/objects.rs`). Figures about the objects
//! (their number, their remaining lifetime) are computed at each scrape.

mod objects;
mod process;
mod states;
mod sts;
mod webhook;

pub use objects::ObjectState;
pub use states::{DssState, State, States};
pub use webhook::WebhookMetrics;

use crate::{
    api::{CredentialProvider, Reason},
    credentials::Answered,
    process::usage,
    push::Slot,
};
use objects::ObjectMetrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use states::{DssLabels, StateLabels, TimeLeftLabels};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use sts::StsMetrics;

/// All metrics of a process as text, or the failure of the encoder.
pub type Encoded = Result<String, fmt::Error>;

/// The metrics of the operator. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// One scrape at a time, because the gauges of the states are computed at each scrape.
    scrape: Arc<Mutex<()>>,
    ports: Ports,
    issues: Family<IssueLabels, Counter>,
    pushes: Family<PushLabels, Counter>,
    issue_seconds: Histogram,
    sts_requests: Family<StsLabels, Counter>,
    sts: StsMetrics,
    drift_repairs: Counter,
    held_back: Family<ScopeLabels, Counter>,
    writes_failed: Family<WriteLabels, Counter>,
    withdrawals: Family<ReasonLabels, Counter>,
    withdrawals_held: Gauge,
    credentials: Family<StateLabels, Gauge>,
    remaining_min: Gauge,
    remaining: Family<TimeLeftLabels, Gauge>,
    persons: Gauge,
    dss_instances: Family<DssLabels, Gauge>,
    pods_missed: Gauge,
    leader: Gauge,
    /// The metrics of each object; `None` if nobody asked for them.
    objects: Option<ObjectMetrics>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssueLabels {
    provider: &'static str,
    outcome: &'static str,
    reason: ReasonLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    store: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReasonLabel(Reason);

impl EncodeLabelValue for ReasonLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StsLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScopeLabels {
    scope: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: ReasonLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    port: &'static str,
}

/// The counts about the ports of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Ports(Family<PortLabels, Counter>);

impl Ports {
    /// A callback that counts a connection to this port that was closed because there were too
    /// many.
    #[must_use]
    pub fn connection_refused(&self, port: &'static str) -> Arc<dyn Fn() + Send + Sync> {
        let counter = self.0.get_or_create_owned(&PortLabels { port });
        Arc::new(move || {
            counter.inc();
        })
    }
}

/// A registry with the metrics that every process has.
fn registry() -> (Registry, Ports) {
    let mut registry = Registry::with_prefix("keyturn");
    let refused = Family::<PortLabels, Counter>::default();
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register(
        "connections_refused",
        "Connections that were closed because there were too many",
        refused.clone(),
    );
    registry.register("build", "The release that is running", build);
    (registry, Ports(refused))
}

fn encode(registry: &Registry) -> Encoded {
    let mut text = String::new();
    if let Some(usage) = usage() {
        text::encode_registry(&mut text, &process::registry(&usage))?;
    }
    text::encode(&mut text, registry)?;
    Ok(text)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that are all zero, without those of each object.
    #[must_use]
    pub fn new() -> Self {
        Self::built(false)
    }

    /// Metrics that are all zero, with those of each object.
    #[must_use]
    pub fn with_objects() -> Self {
        Self::built(true)
    }

    fn built(has_objects: bool) -> Self {
        let (mut registry, ports) = registry();
        let objects = has_objects.then(|| ObjectMetrics::registered(&mut registry));
        let issues = Family::<IssueLabels, Counter>::default();
        let pushes = Family::<PushLabels, Counter>::default();
        let seconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let issue_seconds = Histogram::new(seconds);
        let sts_requests = Family::<StsLabels, Counter>::default();
        let sts = StsMetrics::registered(&mut registry);
        let drift_repairs = Counter::default();
        let held_back = Family::<ScopeLabels, Counter>::default();
        let writes_failed = Family::<WriteLabels, Counter>::default();
        let withdrawals = Family::<ReasonLabels, Counter>::default();
        let withdrawals_held = Gauge::default();
        let credentials = Family::<StateLabels, Gauge>::default();
        let remaining_min = Gauge::default();
        let remaining = Family::<TimeLeftLabels, Gauge>::default();
        let persons = Gauge::default();
        let dss_instances = Family::<DssLabels, Gauge>::default();
        let pods_missed = Gauge::default();
        let leader = Gauge::default();
        registry.register("issues", "Attempts to issue a credential", issues.clone());
        registry.register(
            "pushes",
            "Calls to the places outside the cluster that spec.push names, by store and outcome",
            pushes.clone(),
        );
        registry.register("issue_duration_seconds", "How long STS took, in seconds", issue_seconds.clone());
        registry.register("sts_requests", "Calls to STS", sts_requests.clone());
        registry.register(
            "drift_repairs",
            "Secrets put right after somebody edited or deleted them",
            drift_repairs.clone(),
        );
        registry.register(
            "requests_held_back",
            "Requests to outside systems that were not made, because they would have come too soon",
            held_back.clone(),
        );
        registry.register(
            "writes_failed",
            "Writes that the API server refused or did not answer",
            writes_failed.clone(),
        );
        registry.register(
            "withdrawals",
            "Credentials that keyturn took out of their Secrets, by reason",
            withdrawals.clone(),
        );
        registry.register(
            "withdrawals_held",
            "AwsConfigs whose withdrawal is held back, because many credentials would go at once",
            withdrawals_held.clone(),
        );
        registry.register("credentials", "AwsConfigs by state and reason", credentials.clone());
        registry.register(
            "credential_remaining_seconds_min",
            "The least time that is left of any credential, in seconds",
            remaining_min.clone(),
        );
        registry.register("credentials_remaining", "Sessions that end within so many seconds", remaining.clone());
        registry.register("persons", "Persons who have a credential", persons.clone());
        registry.register("dss_instances", "DssInstances by state", dss_instances.clone());
        registry.register(
            "pods_missed",
            "Pods that ask for a Secret and have not got it, as the leader last saw",
            pods_missed.clone(),
        );
        registry.register("leader", "Whether this replica leads: 1 or 0", leader.clone());
        Self {
            registry: Arc::new(registry),
            scrape: Arc::default(),
            ports,
            issues,
            pushes,
            issue_seconds,
            sts_requests,
            sts,
            drift_repairs,
            held_back,
            writes_failed,
            withdrawals,
            withdrawals_held,
            credentials,
            remaining_min,
            remaining,
            persons,
            dss_instances,
            pods_missed,
            leader,
            objects,
        }
    }

    /// A callback for [`crate::credentials::Sts`] that counts a call to STS and its duration.
    #[must_use]
    pub fn sts_answered(&self) -> Answered {
        let (seconds, requests) = (self.issue_seconds.clone(), self.sts_requests.clone());
        Arc::new(move |took, failed| {
            seconds.observe(took.as_secs_f64());
            let outcome = match failed {
                None => "success",
                Some(Reason::Throttled) => "throttled",
                Some(_) => "error",
            };
            requests.get_or_create(&StsLabels { outcome }).inc();
        })
    }

    /// Counts a credential that was issued and written.
    pub fn issued(&self, provider: CredentialProvider, reason: Reason) {
        self.issue(provider, "success", reason);
    }

    /// Counts a step for a place outside the cluster.
    pub fn pushed(&self, slot: Slot, is_done: bool) {
        let outcome = if is_done { "success" } else { "failure" };
        self.pushes.get_or_create(&PushLabels { store: slot.as_str(), outcome }).inc();
    }

    /// Counts a credential that could not be issued.
    pub fn failed(&self, provider: CredentialProvider, reason: Reason) {
        self.issue(provider, "failure", reason);
    }

    fn issue(&self, provider: CredentialProvider, outcome: &'static str, reason: Reason) {
        let labels = IssueLabels { provider: provider.as_str(), outcome, reason: ReasonLabel(reason) };
        self.issues.get_or_create(&labels).inc();
    }

    /// The ports of the process.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Sets the number of pods that ask for a Secret and do not have it.
    pub fn pods_missed(&self, count: usize) {
        self.pods_missed.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets the gauge that says that this replica leads.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Counts a Secret that keyturn repaired.
    pub fn repaired(&self) {
        self.drift_repairs.inc();
    }

    /// Counts a credential that keyturn took out of its Secret for this reason.
    pub fn withdrawn(&self, reason: Reason) {
        self.withdrawals.get_or_create(&ReasonLabels { reason: ReasonLabel(reason) }).inc();
    }

    /// Counts a request to an outside system that keyturn did not make yet. `scope` says whose rate
    /// or share is used up: `object`, `namespace`, `all` or `places`.
    pub fn held_back(&self, scope: &'static str) {
        self.held_back.get_or_create(&ScopeLabels { scope }).inc();
    }

    /// A callback that counts a write to this resource that the API server refused or did not
    /// answer.
    #[must_use]
    pub fn write_failed(&self) -> Arc<dyn Fn(&'static str) + Send + Sync> {
        let failed = self.writes_failed.clone();
        Arc::new(move |resource| {
            failed.get_or_create(&WriteLabels { resource }).inc();
        })
    }

    /// All metrics in the text format of `OpenMetrics`, with `states` as the current states.
    ///
    /// # Errors
    /// The encoder of the metrics library failed.
    pub fn encode(&self, states: &States) -> Encoded {
        let _alone = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_states(states);
        encode(&self.registry)
    }
}

#[cfg(test)]
mod tests;
