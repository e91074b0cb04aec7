//! Work that nobody waits for goes after work that somebody waits for. Both ask the same API
//! server, and a cold start has as much of one as of the other.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Counts the urgent work that is under way. Clones share the count.
#[derive(Clone, Debug)]
pub struct Precedence {
    urgent: watch::Sender<usize>,
    /// The one place of other work beside urgent work.
    beside: Arc<Semaphore>,
}

/// Urgent work that is under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Urgent(watch::Sender<usize>);

/// The right to do other work. It ends when this is dropped.
#[derive(Debug)]
pub struct Way {
    _beside: Option<OwnedSemaphorePermit>,
}

impl Precedence {
    /// Begins urgent work. It never waits.
    #[must_use]
    pub fn begin(&self) -> Urgent {
        self.urgent.send_modify(|urgent| *urgent += 1);
        Urgent(self.urgent.clone())
    }

    /// Waits until other work may begin: at once while nothing urgent is under way, and otherwise
    /// one after the other. Other work therefore is slow beside urgent work, and never stands
    /// still.
    pub async fn give_way(&self) -> Way {
        let mut urgent = self.urgent.subscribe();
        tokio::select! {
            biased;
            // The sender is in `self`, therefore it is not gone.
            _ = urgent.wait_for(|urgent| *urgent == 0) => Way { _beside: None },
            beside = self.beside.clone().acquire_owned() => Way { _beside: beside.ok() },
        }
    }
}

impl Default for Precedence {
    fn default() -> Self {
        Self { urgent: watch::Sender::new(0), beside: Arc::new(Semaphore::new(1)) }
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        self.0.send_modify(|urgent| *urgent = urgent.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn other_work_goes_one_by_one_beside_urgent_work_and_else_at_once() {
        let precedence = Precedence::default();
        let free = [precedence.give_way().now_or_never(), precedence.give_way().now_or_never()];
        assert!(free.iter().all(Option::is_some), "nothing is urgent");
        let urgent = [precedence.begin(), precedence.begin()];
        let beside = precedence.give_way().now_or_never();
        assert!(beside.is_some(), "one goes on");
        assert!(precedence.give_way().now_or_never().is_none(), "the next one waits");
        drop(beside);
        let beside = precedence.give_way().now_or_never();
        assert!(beside.is_some(), "the next one has the place");
        let [first, second] = urgent;
        drop(first);
        let waiting = tokio::spawn({
            let precedence = precedence.clone();
            async move { precedence.give_way().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "something is urgent still");
        drop(second);
        assert!(waiting.await.is_ok(), "it is woken by the end of what was urgent");
    }
}
