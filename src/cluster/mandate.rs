//! Whether this process may write: one of several replicas leads, as long as it holds the Lease.
//!
//! A process may stand still for any time between a step and the next, for example between the
//! answer of STS and the write of the Secret. When it goes on, another replica may lead. Its tasks
//! go on in any order, therefore every write asks for itself, right before each of its steps.

use tokio::{sync::watch, time::Instant};

/// The permission to write.
#[derive(Clone, Debug)]
pub struct Mandate(Option<watch::Receiver<Instant>>);

impl Mandate {
    /// The mandate of the only process, or of a write that every replica may make.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// The mandate of a leader. It ends at the time that the channel shows, by the monotonic clock
    /// of this process, or when the sender is dropped.
    #[must_use]
    pub fn until(deadline: watch::Receiver<Instant>) -> Self {
        Self(Some(deadline))
    }

    /// Whether the process may write now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.as_ref().is_none_or(|until| until.has_changed().is_ok() && Instant::now() < *until.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_mandate_ends_at_its_deadline_and_with_its_sender() {
        let second = Duration::from_secs(1);
        let (renewed, until) = watch::channel(Instant::now() + second);
        let mandate = Mandate::until(until);
        assert!(mandate.holds());
        tokio::time::advance(second).await;
        assert!(!mandate.holds(), "the deadline");
        renewed.send_replace(Instant::now() + second);
        assert!(mandate.holds(), "renewed");
        drop(renewed);
        assert!(!mandate.holds(), "no sender");
        assert!(Mandate::unlimited().holds());
    }
}
