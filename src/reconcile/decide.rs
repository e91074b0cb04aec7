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
//! A failure changes neither answer: it only holds an issue back until its time has come (`pace`).

mod accept;
mod api_key;
mod deliver;
mod generated;
mod key;
mod pace;
mod role;
mod tidy;
mod usable;

pub use accept::default_external_id;
pub(super) use accept::refuse;
pub use api_key::{DssAsk, KeyAsk, KeyStep, api_key_attempt, check_at};
pub use deliver::renew_at;
pub use generated::RoleStep;
pub use tidy::Tidy;
pub(super) use tidy::is_look;
pub use usable::role_status;

use super::observed::Observed;
use crate::{
    api::{ActiveRole, AwsRole, Reason},
    credentials::Request,
};
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
    pub dss: Option<DssAsk>,
    /// A digest of the request and of the grant as it stands: a failure holds back this attempt only, so that
    /// changing either tries again at once.
    pub attempt: String,
}

/// Why a config may not have what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// For the conditions.
    pub reason: Reason,
    /// For the person who reads them.
    pub message: String,
    /// Whether what it has is taken away. Not so where something is merely unknown.
    pub withdraws: bool,
    /// What has to be looked at before that is certain.
    pub look: Option<Step>,
}

/// What is to be done about the Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the Secret's metadata, then decide again.
    LookForTarget,
    /// Read the Secret, then decide again.
    LookInside,
    /// Read the `AwsRole` that is named and not shown, then decide again.
    LookForRole,
    /// Read the metadata of the Secret that the key is in and that is not shown, then decide again.
    LookForSource,
    /// Read the Secret that the key is in, which its owner offers, then decide again.
    LookAtSource,
    /// Ask DSS for the person's user by name, then decide again.
    LookForUser,
    /// Read the metadata of the Secret that the API key of DSS is in and that is not shown, then decide again.
    LookForApiKey,
    /// Read the Secret that the API key of DSS is in, which its owner offers, then decide again.
    LookAtApiKey,
    /// Nothing.
    Keep,
    /// Nothing before `until`: an attempt failed.
    Hold {
        /// When it is time.
        until: Timestamp,
    },
    /// Nothing may be done: the Secret is somebody else's.
    Blocked {
        /// Who else it belongs to, in words.
        owner: String,
    },
    /// Obtain a new credential and write it.
    Issue(Why),
    /// Write the credential that is there in the form that is asked for.
    Render(Why),
    /// Take the credential out of the Secret.
    Withdraw {
        /// Why.
        reason: Reason,
        /// For the person.
        message: String,
    },
}

/// Why a credential is obtained or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is none yet.
    First,
    /// The one that there was has been withdrawn.
    Restored,
    /// Something else is asked for now.
    Changed,
    /// Somebody edited or deleted the Secret.
    Drifted,
    /// It is time.
    Due,
    /// Another API key of DSS is asked for.
    ApiKey,
}

/// Decides. Looks are answered by gathering more and deciding again.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Plan {
    let case = Case { seen, now };
    let accepted = case.accept();
    let (step, api_key) = match &accepted {
        Ok(accepted) => {
            let step = case.with_key_in_hand(accepted, case.pace(accepted, case.deliver(accepted)));
            case.with_api_key(accepted, step)
        }
        Err(refusal) => (case.take_away(refusal), KeyStep::None),
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
