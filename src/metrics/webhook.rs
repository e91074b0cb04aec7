//! The counts of a replica of the webhook.

use super::{Encoded, Ports, registry};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::{fmt, sync::Arc, time::Duration};

/// The metrics of a replica of the webhook. Clones share them.
#[derive(Clone)]
pub struct WebhookMetrics {
    registry: Arc<Registry>,
    ports: Ports,
    reviews: Family<ReviewLabels, Counter>,
    review_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    outcome: &'static str,
}

impl fmt::Debug for WebhookMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookMetrics")
    }
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl WebhookMetrics {
    /// Metrics that are all zero.
    #[must_use]
    pub fn new() -> Self {
        let (mut registry, ports) = registry();
        let reviews = Family::<ReviewLabels, Counter>::default();
        let review_seconds = Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0]);
        registry.register("admission_reviews", "Reviews of pods that the webhook answered", reviews.clone());
        registry.register(
            "admission_review_duration_seconds",
            "How long the webhook took to answer, in seconds",
            review_seconds.clone(),
        );
        Self { registry: Arc::new(registry), ports, reviews, review_seconds }
    }

    /// Counts a review of a pod that the webhook answered, and its duration.
    pub fn reviewed(&self, outcome: &'static str, took: Duration) {
        self.reviews.get_or_create(&ReviewLabels { outcome }).inc();
        self.review_seconds.observe(took.as_secs_f64());
    }

    /// The ports of the process.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// All metrics in the text format of `OpenMetrics`.
    ///
    /// # Errors
    /// The encoder of the metrics library failed.
    pub fn encode(&self) -> Encoded {
        super::encode(&self.registry)
    }
}
