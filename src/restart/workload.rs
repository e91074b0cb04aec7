//! The fields of a workload that a restart depends on. Pure.
//!
//! A rollout is over when `kubectl rollout status` reports that it is.

use crate::api::{RESTARTED_AT, WorkloadKind};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

/// A workload of one of the kinds that `spec.restart` may name.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The workload's kind.
    pub kind: WorkloadKind,
    /// The workload's name.
    pub name: String,
    /// The workload's UID.
    pub uid: Option<String>,
    /// The workload's version when it was read.
    pub version: Option<String>,
    /// The time when the workload was created.
    pub created_at: Option<Timestamp>,
    /// The time of the last restart according to the pod template's annotation. keyturn, `kubectl`
    /// or anybody else may have written it.
    pub restarted_at: Option<Timestamp>,
    /// The time of the last restart that this process made, within the interval between two
    /// restarts.
    pub made_at: Option<Timestamp>,
    /// The state of the workload's rollout.
    pub rollout: Rollout,
}

/// The state of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// The rollout is over: every pod has the present template and is available.
    Finished,
    /// Every pod has the present template, but not every pod is available.
    Unready,
    /// Some pods have a former template, or the controller has not observed the present one yet.
    Rolling,
    /// Somebody paused the rollout.
    Paused,
    /// The update strategy is `OnDelete`, therefore a change of the template restarts nothing.
    OnDelete,
}

impl Rollout {
    fn of(is_rolling: bool, is_available: bool) -> Self {
        match (is_rolling, is_available) {
            (true, _) => Self::Rolling,
            (false, false) => Self::Unready,
            (false, true) => Self::Finished,
        }
    }
}

impl Workload {
    fn new(kind: WorkloadKind, metadata: &ObjectMeta, template: Option<&PodTemplateSpec>, rollout: Rollout) -> Self {
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.as_ref());
        Self {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone(),
            version: metadata.resource_version.clone(),
            created_at: metadata.creation_timestamp.as_ref().map(|Time(at)| *at),
            restarted_at: annotations.and_then(|annotations| annotations.get(RESTARTED_AT)?.parse().ok()),
            made_at: None,
            rollout,
        }
    }

    /// The kind and the name, for messages.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} \"{}\"", self.kind.as_str(), self.name)
    }
}

fn is_unseen(metadata: &ObjectMeta, observed: Option<i64>) -> bool {
    observed.unwrap_or_default() < metadata.generation.unwrap_or_default()
}

impl From<&Deployment> for Workload {
    fn from(deployment: &Deployment) -> Self {
        let (spec, status) = (deployment.spec.as_ref(), deployment.status.clone().unwrap_or_default());
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let updated = status.updated_replicas.unwrap_or_default();
        let is_rolling = is_unseen(&deployment.metadata, status.observed_generation)
            || updated < wanted
            || status.replicas.unwrap_or_default() > updated;
        let rollout = if spec.and_then(|spec| spec.paused).unwrap_or_default() {
            Rollout::Paused
        } else {
            Rollout::of(is_rolling, status.available_replicas.unwrap_or_default() >= updated)
        };
        let template = spec.map(|spec| &spec.template);
        Self::new(WorkloadKind::Deployment, &deployment.metadata, template, rollout)
    }
}

impl From<&StatefulSet> for Workload {
    fn from(set: &StatefulSet) -> Self {
        let (spec, status) = (set.spec.as_ref(), set.status.clone().unwrap_or_default());
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or_default();
        let updated = status.updated_replicas.unwrap_or_default();
        let is_rolling = is_unseen(&set.metadata, status.observed_generation)
            || if partition > 0 {
                updated < wanted - partition
            } else {
                status.update_revision != status.current_revision
            };
        let rollout = if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            Rollout::OnDelete
        } else {
            Rollout::of(is_rolling, status.ready_replicas.unwrap_or_default() >= wanted)
        };
        let template = spec.map(|spec| &spec.template);
        Self::new(WorkloadKind::StatefulSet, &set.metadata, template, rollout)
    }
}

impl From<&DaemonSet> for Workload {
    fn from(set: &DaemonSet) -> Self {
        let (spec, status) = (set.spec.as_ref(), set.status.clone().unwrap_or_default());
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref()?.type_.as_deref());
        let wanted = status.desired_number_scheduled;
        let is_rolling = is_unseen(&set.metadata, status.observed_generation)
            || status.updated_number_scheduled.unwrap_or_default() < wanted;
        let rollout = if strategy == Some("OnDelete") {
            Rollout::OnDelete
        } else {
            Rollout::of(is_rolling, status.number_available.unwrap_or_default() >= wanted)
        };
        let template = spec.map(|spec| &spec.template);
        Self::new(WorkloadKind::DaemonSet, &set.metadata, template, rollout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn deployment(spec: &Value, status: &Value) -> Rollout {
        let object = json!({"metadata": {"generation": 2}, "spec": with_template(spec), "status": status});
        Workload::from(&from_value::<Deployment>(object).unwrap()).rollout
    }

    fn stateful_set(spec: &Value, status: &Value) -> Rollout {
        let object = json!({"metadata": {"generation": 2}, "spec": with_template(spec), "status": status});
        Workload::from(&from_value::<StatefulSet>(object).unwrap()).rollout
    }

    fn daemon_set(spec: &Value, status: &Value) -> Rollout {
        let object = json!({"metadata": {"generation": 2}, "spec": with_template(spec), "status": status});
        Workload::from(&from_value::<DaemonSet>(object).unwrap()).rollout
    }

    fn with_template(spec: &Value) -> Value {
        let mut spec = spec.clone();
        (spec["template"], spec["selector"]) = (json!({}), json!({}));
        spec
    }

    fn of_deployment(seen: i64, updated: i32, all: i32, available: i32) -> Value {
        json!({"observedGeneration": seen, "updatedReplicas": updated, "replicas": all, "availableReplicas": available})
    }

    #[test]
    fn a_deployment_has_finished_when_kubectl_rollout_status_says_so() {
        let two = json!({"replicas": 2});
        for (case, status, rollout) in [
            ("all updated and available", of_deployment(2, 2, 2, 2), Rollout::Finished),
            ("not observed yet", of_deployment(1, 2, 2, 2), Rollout::Rolling),
            ("not all updated", of_deployment(2, 1, 2, 2), Rollout::Rolling),
            ("a former pod left", of_deployment(2, 2, 3, 3), Rollout::Rolling),
            ("not all available", of_deployment(2, 2, 2, 1), Rollout::Unready),
            ("no status yet", json!({}), Rollout::Rolling),
        ] {
            assert_eq!(deployment(&two, &status), rollout, "{case}: {status}");
        }
        assert_eq!(deployment(&json!({"replicas": 0}), &json!({"observedGeneration": 2})), Rollout::Finished);
        let paused = json!({"replicas": 2, "paused": true});
        assert_eq!(deployment(&paused, &of_deployment(2, 2, 2, 2)), Rollout::Paused);
    }

    #[test]
    fn a_stateful_set_has_finished_when_its_revision_covers_the_partition() {
        let status = |seen: i64, current: &str, updated: i32, ready: i32| {
            json!({"observedGeneration": seen, "currentRevision": current, "updateRevision": "b", "replicas": 3,
                "updatedReplicas": updated, "readyReplicas": ready})
        };
        let three = json!({"replicas": 3});
        let upper_two = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}});
        let by_hand = json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}});
        for (case, spec, status, rollout) in [
            ("all updated and ready", &three, status(2, "b", 3, 3), Rollout::Finished),
            ("not observed yet", &three, status(1, "b", 3, 3), Rollout::Rolling),
            ("not all updated", &three, status(2, "a", 2, 3), Rollout::Rolling),
            ("not all ready", &three, status(2, "b", 3, 2), Rollout::Unready),
            ("updated down to the partition", &upper_two, status(2, "a", 2, 3), Rollout::Finished),
            ("not updated down to the partition", &upper_two, status(2, "a", 1, 3), Rollout::Rolling),
            ("restarted by hand only", &by_hand, status(2, "b", 3, 3), Rollout::OnDelete),
        ] {
            assert_eq!(stateful_set(spec, &status), rollout, "{case}: {status}");
        }
    }

    #[test]
    fn a_daemon_set_has_finished_when_updated_and_available_on_every_node() {
        let status = |seen: i64, updated: i32, available: i32| {
            json!({"observedGeneration": seen, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
                "numberAvailable": available, "currentNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 3})
        };
        let by_hand = json!({"updateStrategy": {"type": "OnDelete"}});
        for (case, spec, status, rollout) in [
            ("all updated and available", &json!({}), status(2, 3, 3), Rollout::Finished),
            ("not observed yet", &json!({}), status(1, 3, 3), Rollout::Rolling),
            ("not all updated", &json!({}), status(2, 2, 3), Rollout::Rolling),
            ("not all available", &json!({}), status(2, 3, 2), Rollout::Unready),
            ("restarted by hand only", &by_hand, status(2, 3, 3), Rollout::OnDelete),
        ] {
            assert_eq!(daemon_set(spec, &status), rollout, "{case}: {status}");
        }
    }

    #[test]
    fn the_time_of_the_last_restart_is_read_whoever_wrote_it() {
        let at = |text: &str| {
            let template = json!({"metadata": {"annotations": {RESTARTED_AT: text}}});
            let object = json!({"metadata": {}, "spec": {"selector": {}, "template": template}});
            Workload::from(&from_value::<Deployment>(object).unwrap()).restarted_at
        };
        // `kubectl` writes the time in its own time zone.
        assert_eq!(at("2026-01-01T02:00:00+02:00"), "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(at("yesterday"), None);
    }
}
