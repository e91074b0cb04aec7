//! The decision: a pure function from what keyturn has observed, and from `now`, to a [`Plan`].
//!
//! The decision answers two questions. Each is a chain of named checks, which is read from top to
//! bottom. The first check that does not pass determines the answer.
//!
//! 1. *May this config have what it asks for?* (`accept`). If not, keyturn withdraws what the
//!    config has, unless the view is incomplete.
//! 2. *Does the Secret hold exactly that?* (`deliver`). If not, the plan is the smallest step that
//!    makes it so: a read, a rendering, or an issue.
//!
//! A failure changes neither answer. It only postpones an issue until the time of the next attempt
//! (`backoff`).

mod accept;
pub mod action;
mod api_key;
pub mod backoff;
mod check;
mod confirmation;
mod confirmed;
pub mod data_robot_access;
mod deliver;
pub mod dss_access;
mod generated;
mod held;
pub mod input;
mod key;
mod profiles;
mod pushing;
mod role;
mod session_request;
pub mod target;
mod usable;
mod verification;
mod withdrawal;

pub use accept::default_external_id;
pub use api_key::{api_key_attempt, awaits_own_key};
pub use confirmation::Confirmation;
pub use deliver::{check_at, renew_at};
pub use generated::{GeneratedRoles, RoleStep, generated_roles};
pub use held::{held_since, hold};
pub use profiles::{ProfilePlan, ProfileStep, profile_renew_at};
pub use pushing::{has_left_data_robot, in_secret, push_steps, push_waits, wanted_place};
pub use session_request::session_name;
pub use usable::role_status;
pub use verification::{Due, Trial, Tried, trial, verification};

pub use action::{Blocker, HoldCause, Next, Read, Refusal, SecretAction, Trigger};
pub use check::{Check, Checked};

use crate::{
    api::ActiveRole,
    credentials::Request,
    dss_keys::{ApiKeyPlan, DssRequest, SurplusKeys},
};
use input::Observed;
use jiff::Timestamp;
use std::cell::{OnceCell, RefCell};

/// The decision about one `AwsConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The request that a grant allows, or the refusal.
    pub accepted: Result<Accepted, Refusal>,
    /// The next step for the Secret.
    pub next: Next,
    /// The `AwsRole` in use, whether or not a grant allows it; `None` if no role is in use.
    pub active_role: Option<ActiveRole>,
    /// The generated `AwsRole`s. The trail of the credential writes and deletes them, after it has
    /// decided about them again ([`generated_roles`]).
    pub roles: GeneratedRoles,
    /// The API key of DSS that goes into the Secret, if keyturn writes the Secret.
    pub api_key: ApiKeyPlan,
    /// The plans for the profiles, in the order of `spec.profiles`. They are carried out with the
    /// action on the Secret.
    pub profiles: Vec<ProfilePlan>,
    /// The API keys to delete in DSS, once the Secret is as planned.
    pub surplus_keys: Vec<SurplusKeys>,
    /// The checks that were made, in order. They explain the decision.
    pub trace: Vec<Checked>,
}

impl Plan {
    /// The action on the Secret; `None` if keyturn has to read something first.
    #[must_use]
    pub fn action(&self) -> Option<&SecretAction> {
        match &self.next {
            Next::Do(action) => Some(action),
            Next::Read(_) => None,
        }
    }

    /// Whether the brake holds the withdrawal back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.action().is_some_and(SecretAction::is_held)
    }
}

/// A request that a grant allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The credential to obtain: a session, a key, or the credential of a DSS connection.
    pub request: Request,
    /// The name of the grant.
    pub grant: String,
    /// The request to the DSS that the pod's code talks to; `None` if the config names no DSS.
    pub dss: Option<DssRequest>,
    /// A digest of the request and of the present version of the grant. A failure holds back only
    /// the attempt with its digest. A change of the request or of the grant makes another attempt,
    /// which is not held back.
    pub attempt: String,
}

/// Decides about the config in `seen` at the time `now`. If the plan asks for a read, the caller
/// makes the read and decides again.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case::new(seen, now);
    let accepted = case.accept();
    let (next, api_key) = match &accepted {
        Ok(accepted) => match &accepted.dss {
            None => (case.possible(accepted, case.deliver(accepted)), ApiKeyPlan::None),
            Some(request) => case.step_with_api_key(accepted, request),
        },
        Err(refusal) => {
            let next = case.withdrawal(refusal);
            let alone = match &next {
                Next::Do(SecretAction::Keep) => case.profiles_alone(None),
                Next::Do(SecretAction::Hold { until, cause: HoldCause::Brake }) => case.profiles_despite_brake(*until),
                _ => None,
            };
            (alone.unwrap_or(next), ApiKeyPlan::None)
        }
    };
    let next = case.profiles_need().map_or(next, Next::from);
    let profiles = case.profiles_beside(&next);
    let (active_role, roles) = (case.active_role(), case.generated_roles());
    let surplus_keys = case.surplus_keys(&accepted, &next);
    Plan { accepted, next, active_role, roles, api_key, profiles, surplus_keys, trace: case.trace.into_inner() }
}

/// One config at one moment.
struct Case<'a> {
    seen: &'a Observed,
    now: Timestamp,
    trace: RefCell<Vec<Checked>>,
    profiles: OnceCell<Vec<ProfilePlan>>,
}

impl<'a> Case<'a> {
    fn new(seen: &'a Observed, now: Timestamp) -> Self {
        Self { seen, now, trace: RefCell::default(), profiles: OnceCell::new() }
    }

    /// The step that is possible now instead of `next`: a wait for the time of the next attempt, or
    /// a read of the key that `next` delivers.
    fn possible(&self, accepted: &Accepted, next: Next) -> Next {
        self.with_key_in_hand(accepted, self.hold_back(accepted, next))
    }

    /// Records in the trace whether a check passed.
    fn check<T, E>(&self, check: Check, result: Result<T, E>) -> Result<T, E> {
        self.trace.borrow_mut().push(Checked { check, passed: result.is_ok() });
        result
    }
}

#[cfg(test)]
mod tests;
