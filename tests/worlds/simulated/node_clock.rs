//! The clock of a node, which may be wrong, jump, and stand still. The node's monotonic clock is
//! tokio's and stays right.

use crate::doubles::wire::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex};

/// The clock of a node. Clones are the same clock.
#[derive(Clone)]
pub struct NodeClock {
    truth: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
struct State {
    ahead: SignedDuration,
    stopped_at: Option<Timestamp>,
}

impl NodeClock {
    /// A clock that shows the true time.
    pub fn new(truth: Clock) -> Self {
        let state = State { ahead: SignedDuration::ZERO, stopped_at: None };
        Self { truth, state: Arc::new(Mutex::new(state)) }
    }

    /// The time that it shows.
    pub fn shown(&self) -> Timestamp {
        let State { ahead, stopped_at } = *self.state.lock().unwrap();
        stopped_at.unwrap_or_else(|| (self.truth)()) + ahead
    }

    /// Sets it ahead of the true time (behind, if negative). A clock that stands still jumps and
    /// goes on standing still.
    pub fn set_ahead(&self, ahead: SignedDuration) {
        self.state.lock().unwrap().ahead = ahead;
    }

    /// Stops it at what it shows now.
    pub fn stand_still(&self) {
        self.state.lock().unwrap().stopped_at = Some((self.truth)());
    }

    /// Sets it right, as a time service does.
    pub fn set_right(&self) {
        *self.state.lock().unwrap() = State { ahead: SignedDuration::ZERO, stopped_at: None };
    }
}
