//! The decision: what is seen and `now` in, a [`Plan`] out. Pure.
//!
//! It asks two questions, each a chain of named checks that is read from top to bottom; the first check that does not
//! pass decides.
//!
//! 1. *May this config have what it asks for?* (`accept`). If not, what it has is taken away, except where
//!    that would be a decision on half a view.
//! 2. *Does the Secret hold exactly that?* (`deliver`). If not, the plan is the smallest step that makes it so:
//!    a look, a rendering, or an issue.
//!
//! A failure changes neither answer: it only holds an issue back until its time has come (`backoff`).

mod accept;
pub mod action;
mod api_key;
pub mod backoff;
mod check;
mod deliver;
pub mod dss_access;
mod generated;
pub mod grants;
pub mod input;
mod key;
mod role;
mod session_request;
mod usable;
mod withdrawal;

pub use accept::default_external_id;
pub use api_key::{api_key_attempt, awaits_own_key};
pub use deliver::{check_at, renew_at};
pub use generated::RoleStep;
pub use usable::role_status;

pub use action::{Next, Read, Refusal, SecretAction, Trigger};
pub use check::{Check, Checked};

use crate::{
    api::{ActiveRole, AwsRole},
    credentials::Request,
    dss_keys::{ApiKeyPlan, DssRequest, SurplusKeys},
};
use input::Observed;
use jiff::Timestamp;
use std::{cell::RefCell, sync::Arc};

/// What is to be done about one `AwsConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whether the config may have what it asks for.
    pub accepted: Result<Accepted, Refusal>,
    /// What comes next for the Secret.
    pub next: Next,
    /// The `AwsRole` in use, allowed or not.
    pub active_role: Option<ActiveRole>,
    /// What is to be done about the generated `AwsRole`.
    pub role: RoleStep,
    /// The generated `AwsRole`s that are to be deleted.
    pub prune: Vec<Arc<AwsRole>>,
    /// Which API key of DSS goes into the Secret, if it is written.
    pub api_key: ApiKeyPlan,
    /// Which API keys of DSS are to be deleted, once the Secret is as planned.
    pub surplus_keys: Vec<SurplusKeys>,
    /// The checks that were made, in order. The decision's own chain is what explains it.
    pub trace: Vec<Checked>,
}

impl Plan {
    /// What is to be done about the Secret; `None` if something has to be read first.
    #[must_use]
    pub fn action(&self) -> Option<&SecretAction> {
        match &self.next {
            Next::Do(action) => Some(action),
            Next::Read(_) => None,
        }
    }
}

/// A request that a grant allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// What STS is to be asked for.
    pub request: Request,
    /// The name of the grant.
    pub grant: String,
    /// The DSS that the pod's code talks to.
    pub dss: Option<DssRequest>,
    /// A digest of the request and of the grant as it stands: a failure holds back this attempt only, so that
    /// changing either tries again at once.
    pub attempt: String,
}

/// Decides. If the plan asks for something to be read, the caller reads it and decides again.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case::new(seen, now);
    let accepted = case.accept();
    let wrong_owner = accepted.as_ref().ok().and_then(|accepted| case.is_of_wrong_owner(accepted));
    let (next, api_key) = match (&accepted, wrong_owner) {
        (_, Some((until, refusal))) => match case.withdrawal(&refusal) {
            Next::Do(SecretAction::Keep) => (SecretAction::Hold { until }.into(), ApiKeyPlan::None),
            next => (next, ApiKeyPlan::None),
        },
        (Ok(accepted), None) => {
            let next = case.with_key_in_hand(accepted, case.hold_back(accepted, case.deliver(accepted)));
            match &accepted.dss {
                Some(request) => case.with_api_key(accepted, request, next),
                None => (next, ApiKeyPlan::None),
            }
        }
        (Err(refusal), None) => (case.withdrawal(refusal), ApiKeyPlan::None),
    };
    let (active_role, role, prune) = (case.active_role(), case.role_step(), case.roles_to_prune());
    let surplus_keys = case.surplus_keys(&accepted, &next);
    Plan { accepted, next, active_role, role, prune, api_key, surplus_keys, trace: case.trace.into_inner() }
}

/// One object at one moment.
struct Case<'a> {
    seen: &'a Observed,
    now: Timestamp,
    trace: RefCell<Vec<Checked>>,
}

impl<'a> Case<'a> {
    fn new(seen: &'a Observed, now: Timestamp) -> Self {
        Self { seen, now, trace: RefCell::default() }
    }

    /// Notes whether a check passed.
    fn check<T, E>(&self, check: Check, result: Result<T, E>) -> Result<T, E> {
        self.trace.borrow_mut().push(Checked { check, passed: result.is_ok() });
        result
    }
}

#[cfg(test)]
mod tests;
