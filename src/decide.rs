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
mod backoff;
mod deliver;
pub mod dss_access;
mod generated;
pub mod grants;
pub mod input;
mod key;
mod role;
pub mod schedule;
mod tidy;
mod usable;

pub use accept::default_external_id;
pub use api_key::{ApiKeyRequest, DssRequest, KeyStep, api_key_attempt, awaits_own_key, check_at};
pub use deliver::renew_at;
pub use generated::RoleStep;
pub use tidy::Tidy;
pub use usable::role_status;

pub use action::{Refusal, Step, Trigger};

use crate::{
    api::{ActiveRole, AwsRole},
    credentials::Request,
};
use input::Observed;
use jiff::Timestamp;
use std::sync::Arc;

/// What is to be done about one `AwsConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whether the config may have what it asks for.
    pub accepted: Result<Accepted, Refusal>,
    /// What is to be done about the Secret.
    pub step: Step,
    /// The `AwsRole` in use, allowed or not.
    pub active_role: Option<ActiveRole>,
    /// What is to be done about the generated `AwsRole`.
    pub role: RoleStep,
    /// The generated `AwsRole`s that are to be deleted.
    pub prune: Vec<Arc<AwsRole>>,
    /// Which API key of DSS goes into the Secret, if it is written.
    pub api_key: KeyStep,
    /// Which API keys of DSS are to be deleted, once the Secret is as planned.
    pub tidy: Vec<Tidy>,
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

/// Decides. Looks are answered by gathering more and deciding again.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case { seen, now };
    let accepted = case.accept();
    let mismatch = accepted.as_ref().ok().and_then(|accepted| case.is_somebody_elses(accepted));
    let (step, api_key) = match (&accepted, mismatch) {
        (_, Some((until, refusal))) => match case.withdrawal(&refusal) {
            Step::Keep => (Step::Hold { until }, KeyStep::None),
            step => (step, KeyStep::None),
        },
        (Ok(accepted), None) => {
            let step = case.with_key_in_hand(accepted, case.hold_back(accepted, case.deliver(accepted)));
            case.with_api_key(accepted, step)
        }
        (Err(refusal), None) => (case.withdrawal(refusal), KeyStep::None),
    };
    let (active_role, role, prune) = (case.active_role(), case.role_step(), case.roles_to_prune());
    let tidy = case.tidy(&accepted, &step);
    Plan { accepted, step, active_role, role, prune, api_key, tidy }
}

/// One object at one moment.
struct Case<'a> {
    seen: &'a Observed,
    now: Timestamp,
}

#[cfg(test)]
mod tests;
