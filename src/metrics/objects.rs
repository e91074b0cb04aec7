//! The metrics of each `AwsConfig`, for operators of clusters who ask for them. The number of their
//! series grows with the number of objects.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// The state of one `AwsConfig` at a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it has a credential that is valid.
    pub is_ready: bool,
    /// The end of its credential in seconds since 1970; `None` without a credential, and for a key.
    pub expires_at: Option<i64>,
    /// The time of the next renewal in seconds since 1970; `None` if there is none.
    pub renew_at: Option<i64>,
    /// The time of the last issue in seconds since 1970; `None` without a credential.
    pub issued_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    namespace: String,
    name: String,
}

type Gauges = Family<ObjectLabels, Gauge>;

/// The gauges with the labels `namespace` and `name`.
#[derive(Clone)]
pub(super) struct ObjectMetrics {
    ready: Gauges,
    expiration: Gauges,
    next_renewal: Gauges,
    last_renewal: Gauges,
}

impl ObjectMetrics {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let mut gauges = |name: &str, help: &str| {
            let gauges = Gauges::default();
            registry.register(format!("awsconfig_{name}"), help, gauges.clone());
            gauges
        };
        Self {
            ready: gauges("ready", "Whether this AwsConfig has a valid credential: 1 or 0"),
            expiration: gauges("expiration_timestamp_seconds", "The end of the session of this AwsConfig"),
            next_renewal: gauges("next_renewal_timestamp_seconds", "The time of the next renewal of this AwsConfig"),
            last_renewal: gauges("last_renewal_timestamp_seconds", "The time of the last issue for this AwsConfig"),
        }
    }

    /// Sets the gauges to these objects. An object that is gone has no series.
    pub(super) fn set(&self, objects: &[ObjectState]) {
        for gauges in [&self.ready, &self.expiration, &self.next_renewal, &self.last_renewal] {
            gauges.clear();
        }
        for object in objects {
            let labels = ObjectLabels { namespace: object.namespace.clone(), name: object.name.clone() };
            self.ready.get_or_create(&labels).set(object.is_ready.into());
            for (gauges, time) in [
                (&self.expiration, object.expires_at),
                (&self.next_renewal, object.renew_at),
                (&self.last_renewal, object.issued_at),
            ] {
                if let Some(time) = time {
                    gauges.get_or_create(&labels).set(time);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, States};
    use super::*;

    fn alice(is_ready: bool, expires_at: Option<i64>) -> ObjectState {
        let (namespace, name) = ("scoring".to_owned(), "alice".to_owned());
        ObjectState { namespace, name, is_ready, expires_at, renew_at: None, issued_at: Some(1_767_225_600) }
    }

    fn lines(metrics: &Metrics, objects: Vec<ObjectState>) -> Vec<String> {
        let mut states = States::default();
        for object in objects {
            states.object(object);
        }
        let text = metrics.encode(&states).unwrap();
        text.lines().filter(|line| line.starts_with("keyturn_awsconfig_")).map(str::to_owned).collect()
    }

    #[test]
    fn an_object_has_the_series_that_it_has_values_for() {
        let metrics = Metrics::with_objects();
        let series = |name: &str, value: i64| {
            format!("keyturn_awsconfig_{name}{{namespace=\"scoring\",name=\"alice\"}} {value}")
        };
        let ready = lines(&metrics, vec![alice(true, Some(1_767_229_200))]);
        assert_eq!(
            ready,
            [
                series("ready", 1),
                series("expiration_timestamp_seconds", 1_767_229_200),
                series("last_renewal_timestamp_seconds", 1_767_225_600),
            ]
        );
        let withdrawn = lines(&metrics, vec![alice(false, None)]);
        assert_eq!(withdrawn, [series("ready", 0), series("last_renewal_timestamp_seconds", 1_767_225_600)]);
        assert!(lines(&metrics, vec![]).is_empty(), "it is gone");
    }

    #[test]
    fn an_operator_that_was_not_asked_serves_no_series_of_objects() {
        assert!(lines(&Metrics::new(), vec![alice(true, None)]).is_empty());
    }
}
