//! A reason and a sentence: what keyturn says of anything that stands in somebody's way.

use super::Reason;

/// A reason from the closed list, and the sentence for the person who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// For conditions, Events and metrics.
    pub reason: Reason,
    /// The attempt, the cause of its failure and the next step, in one sentence or a few.
    pub message: String,
}

impl Statement {
    /// A statement of this reason and message.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
