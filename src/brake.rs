//! Withdrawals in number: the credentials that go within a minute for want of a grant or of a
//! namespace's label, the brake that holds the rest of them back until a cluster admin confirms,
//! and the report of the whole. Pure: the caller gives the time.
//!
//! A credential goes or is held back, and nothing between. The state that matters is in the
//! cluster: the hold is in the status of each `AwsConfig`, the confirmation is an annotation of one
//! `ConfigMap`. The memory of the process only counts.

mod confirmation;
mod settings;
mod wave;
mod window;

pub use confirmation::Confirmation;
pub use settings::{ConfigMapName, Settings};
pub use wave::{Fate, Whole};
pub use window::{Turn, went_at};

use crate::api::{Statement, WithdrawalHeld};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, sync::Arc};
use wave::Wave;
use window::Window;

/// Withdrawals within this time go at once.
pub const AT_ONCE: SignedDuration = SignedDuration::from_secs(60);
/// The longest time for which a withdrawal is held back. A key never expires by itself.
pub const LONGEST_HOLD: SignedDuration = SignedDuration::from_hours(1);

/// The brake of a process. Its scopes share it.
pub struct Brake {
    settings: Arc<Settings>,
    /// The times of the withdrawals that a former leader made, as far as the cluster shows them.
    former: Box<dyn Fn(Timestamp) -> Vec<Timestamp> + Send + Sync>,
    state: Mutex<State>,
}

impl fmt::Debug for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brake").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// `None` until the first withdrawal asks.
    window: Option<Window>,
    /// The time at which each hold began, by UID. Status has it, too, but may not be writable.
    held: HashMap<String, Timestamp>,
    confirmation: Confirmation,
    wave: Wave,
}

/// The brake, as the decision about one config sees it.
#[derive(Clone, Debug)]
pub struct Braking {
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// Whether the withdrawal may be made now; `None` until the decision asks.
    pub turn: Option<Turn>,
    /// The time at which this process began to hold the withdrawal back.
    pub held_since: Option<Timestamp>,
    /// The last confirmation.
    pub confirmation: Confirmation,
}

impl Brake {
    /// The brake of a process that has just begun to lead. `former` gives the times of the
    /// withdrawals within [`AT_ONCE`] before a time, as the cluster shows them.
    #[must_use]
    pub fn new(settings: Settings, former: Box<dyn Fn(Timestamp) -> Vec<Timestamp> + Send + Sync>) -> Self {
        Self { settings: Arc::new(settings), former, state: Mutex::default() }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The brake, as the decision about the config with this UID sees it.
    #[must_use]
    pub fn seen(&self, uid: &str) -> Braking {
        let state = self.state.lock();
        Braking {
            settings: self.settings.clone(),
            turn: None,
            held_since: state.held.get(uid).copied(),
            confirmation: state.confirmation.clone(),
        }
    }

    /// Asks whether the credential of the config with this UID may go now. Of many reconciles that
    /// ask at the same time, no more than the limit may.
    #[must_use]
    pub fn take(&self, uid: &str, now: Timestamp) -> Turn {
        let Some(limit) = self.settings.limit else { return Turn::Go };
        let mut state = self.state.lock();
        state.window.get_or_insert_with(|| Window::of((self.former)(now))).take(uid, limit, now)
    }

    /// Records that the withdrawal of a config is held back since a time.
    pub fn hold(&self, uid: &str, since: Timestamp) {
        self.state.lock().held.insert(uid.to_owned(), since);
    }

    /// Records that the withdrawal of a config is not held back.
    pub fn release(&self, uid: &str) {
        self.state.lock().held.remove(uid);
    }

    /// Records the fate of a credential of this namespace, for the report of the whole.
    pub fn record(&self, namespace: &str, fate: Fate, now: Timestamp) {
        self.state.lock().wave.add(namespace, fate, now);
    }

    /// Records the confirmation that was read.
    pub fn learn(&self, confirmation: Confirmation) {
        self.state.lock().confirmation = confirmation;
    }

    /// The report of the whole, if enough credentials went or were held back and it is time to say
    /// so. It is given once.
    #[must_use]
    pub fn tell(&self, now: Timestamp) -> Option<Whole> {
        self.state.lock().wave.tell(self.settings.many(), now)
    }
}

impl Braking {
    /// No brake, for a decision outside the operator.
    #[must_use]
    pub fn off() -> Self {
        let config_map = ConfigMapName { namespace: String::new(), name: String::new() };
        let settings = Settings { limit: None, config_map }.into();
        Self { settings, turn: None, held_since: None, confirmation: Confirmation::default() }
    }

    /// The brake of an operator that holds this withdrawal back, for a decision outside the
    /// operator. Status has the time at which the hold began.
    #[must_use]
    pub fn known_to_hold() -> Self {
        let config_map = ConfigMapName { namespace: String::new(), name: String::new() };
        let settings = Settings { limit: Some(0), config_map }.into();
        Self { settings, ..Self::off() }
    }

    /// The hold of a withdrawal that began at `since`, of a credential that expires at
    /// `expires_at`.
    #[must_use]
    pub fn hold(since: Timestamp, expires_at: Option<Timestamp>) -> WithdrawalHeld {
        let end = since.saturating_add(LONGEST_HOLD).unwrap_or(Timestamp::MAX);
        let until = expires_at.map_or(end, |at| at.min(end));
        WithdrawalHeld { since: Time(since), until: Time(until) }
    }

    /// Whether a hold has ended: its time is over, or somebody confirmed the withdrawal.
    #[must_use]
    pub fn has_ended(&self, hold: &WithdrawalHeld, now: Timestamp) -> bool {
        hold.until.0 <= now || self.confirmation.confirms(hold.since.0, now)
    }

    /// The statement that a withdrawal is held back. `why` is the reason of the withdrawal.
    #[must_use]
    pub fn statement(&self, why: &Statement, hold: &WithdrawalHeld, now: Timestamp) -> Statement {
        self.settings.held(why, hold.until.0, self.confirmation.trouble(hold.since.0, now))
    }
}

#[cfg(test)]
mod tests;
