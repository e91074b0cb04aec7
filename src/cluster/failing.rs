//! The kinds of writes that fail now.
//!
//! A refused write is reported in a condition of the object that it concerns. A status that cannot
//! be written cannot report itself. Therefore the process counts failed writes by kind, and says
//! which kinds fail.

use super::{CallError, Failed};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The number of failures in a row after which a kind of write counts as failing. Shorter failures
/// end before anybody could act on them.
const IN_A_ROW: u32 = 3;

/// A kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Write {
    /// The Secret of an `AwsConfig`.
    Secret,
    /// An `AwsRole` that keyturn generates.
    Role,
    /// The status of an `AwsRole`.
    RoleStatus,
    /// The status of an `AwsConfig`.
    ConfigStatus,
    /// The finalizers of an `AwsConfig` or of an instance.
    Finalizers,
    /// The status of a `DssInstance` or a `DataRobotInstance`.
    InstanceStatus,
    /// The status of an `AwsRoleGrant`.
    GrantStatus,
    /// An Event.
    Event,
    /// The authorities in the configuration of the webhook.
    Authority,
    /// The Secret with the certificate of the webhook.
    Certificate,
    /// The annotation that restarts a workload.
    Restart,
    /// The Lease.
    Lease,
}

impl Write {
    /// The name of the kind, as the metric has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Role => "awsroles",
            Self::RoleStatus => "awsroles/status",
            Self::ConfigStatus => "awsconfigs/status",
            Self::Finalizers => "finalizers",
            Self::InstanceStatus => "dssinstances/status",
            Self::GrantStatus => "awsrolegrants/status",
            Self::Event => "events",
            Self::Authority => "caBundle",
            Self::Certificate => "certificate",
            Self::Restart => "workloads",
            Self::Lease => "leases",
        }
    }

    /// Whether nobody but this process can say that such writes fail. All others concern an object
    /// that has a condition for it.
    fn is_of_the_process(self) -> bool {
        matches!(
            self,
            Self::RoleStatus
                | Self::ConfigStatus
                | Self::InstanceStatus
                | Self::GrantStatus
                | Self::Event
                | Self::Authority
                | Self::Certificate
                | Self::Lease
        )
    }
}

/// Counts the failed writes of this process. Clones share the counts.
#[derive(Clone)]
pub struct Failing {
    in_a_row: Arc<Mutex<BTreeMap<Write, u32>>>,
    counted: Arc<dyn Fn(Write) + Send + Sync>,
}

impl fmt::Debug for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failing")
    }
}

impl Failing {
    /// No failures yet. `counted` is called for each failed write.
    #[must_use]
    pub fn new(counted: impl Fn(Write) + Send + Sync + 'static) -> Self {
        Self { in_a_row: Arc::default(), counted: Arc::new(counted) }
    }

    /// Records the result of a write. An answer that tells keyturn of a change by somebody else is
    /// no failure.
    pub fn record<T>(&self, write: Write, result: &Result<T, CallError>) {
        match result {
            Ok(_) => self.succeeded(write),
            Err(error) if is_failure(error.failed) => self.failed(write),
            Err(_) => {}
        }
    }

    /// Records a write that succeeded.
    pub fn succeeded(&self, write: Write) {
        self.in_a_row.lock().remove(&write);
    }

    /// Records a write that failed.
    pub fn failed(&self, write: Write) {
        (self.counted)(write);
        let mut in_a_row = self.in_a_row.lock();
        let count = in_a_row.entry(write).or_default();
        *count = count.saturating_add(1);
    }

    /// What `/readyz` says about the kinds of writes that fail now, and that no condition can
    /// report. Empty if there is none.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        let in_a_row = self.in_a_row.lock();
        let fails = in_a_row.iter().filter(|(write, count)| write.is_of_the_process() && **count >= IN_A_ROW);
        fails.map(|(write, _)| format!("writes of {} to succeed (the log has the refusal)", write.as_str())).collect()
    }
}

fn is_failure(failed: Failed) -> bool {
    match failed {
        Failed::NotFound | Failed::AlreadyExists | Failed::Conflict | Failed::NamespaceEnds | Failed::NotLeading => {
            false
        }
        Failed::Forbidden | Failed::Invalid | Failed::Otherwise => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn error(failed: Failed) -> Result<(), CallError> {
        Err(CallError::of_test(failed))
    }

    #[test]
    fn a_kind_of_write_is_said_to_fail_after_three_failures_in_a_row() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let failing = Failing::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..2 {
            failing.record(Write::ConfigStatus, &error(Failed::Forbidden));
        }
        assert_eq!(failing.said(), [""; 0]);
        failing.record(Write::ConfigStatus, &error(Failed::Otherwise));
        assert_eq!(failing.said(), ["writes of awsconfigs/status to succeed (the log has the refusal)"]);
        assert_eq!(count.load(Ordering::Relaxed), 3);
        failing.record(Write::ConfigStatus, &Ok(()));
        assert_eq!(failing.said(), [""; 0]);
    }

    #[test]
    fn a_change_by_somebody_else_is_no_failure() {
        let failing = Failing::new(|_| ());
        let changes = [Failed::Conflict, Failed::NotFound, Failed::AlreadyExists, Failed::NamespaceEnds];
        for failed in changes.into_iter().chain([Failed::NotLeading]) {
            for _ in 0..3 {
                failing.record(Write::Lease, &error(failed));
            }
        }
        assert_eq!(failing.said(), [""; 0]);
    }

    #[test]
    fn a_write_that_has_a_condition_does_not_concern_readiness() {
        let failing = Failing::new(|_| ());
        for write in [Write::Secret, Write::Role, Write::Finalizers, Write::Restart] {
            for _ in 0..3 {
                failing.record(write, &error(Failed::Forbidden));
            }
        }
        assert_eq!(failing.said(), [""; 0]);
    }
}
