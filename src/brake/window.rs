//! The withdrawals of the last minute, and whether one more may be made.

use super::AT_ONCE;
use crate::api::{AwsConfigStatus, ConditionType, Reason, find_condition};
use jiff::Timestamp;
use std::collections::HashMap;

/// Whether a withdrawal may be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Go,
    /// As many as the limit have been made within the last minute.
    Held,
}

/// The withdrawals of the last minute.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The times of those that a former leader made.
    former: Vec<Timestamp>,
    /// The times of those of this process, by the UID of the config.
    own: HashMap<String, Timestamp>,
}

impl Window {
    pub(super) fn of(former: Vec<Timestamp>) -> Self {
        Self { former, own: HashMap::new() }
    }

    /// The turn of the config with this UID. A withdrawal that is tried again counts once.
    pub(super) fn take(&mut self, uid: &str, limit: usize, now: Timestamp) -> Turn {
        let is_recent = |at: &Timestamp| now.duration_since(*at) < AT_ONCE;
        self.former.retain(is_recent);
        self.own.retain(|_, at| is_recent(at));
        if !self.own.contains_key(uid) && self.former.len() + self.own.len() >= limit {
            return Turn::Held;
        }
        self.own.entry(uid.to_owned()).or_insert(now);
        Turn::Go
    }
}

/// The time at which keyturn withdrew the credential of a config for want of a grant, as its status
/// shows it; `None` if keyturn did not.
#[must_use]
pub fn went_at(status: &AwsConfigStatus) -> Option<Timestamp> {
    let accepted = find_condition(&status.conditions, ConditionType::Accepted)?;
    let is_refused = accepted.status == "False" && accepted.reason == Reason::NotGranted.as_str();
    let had_one = status.former.is_some() && status.access_key_id.is_none();
    (is_refused && had_one).then_some(accepted.last_transition_time.0)
}
