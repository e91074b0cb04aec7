//! The part of status about DSS. `dss_keys` makes it from what this module gathers.

use super::{
    Outcome,
    attempt::{consistent_record, current_record},
};
use crate::{
    api::{AskedRole, DssStatus, ResolvedRole},
    decide::{Plan, input::Observed},
    dss_keys::Known,
};
use jiff::Timestamp;

/// The part of status about DSS; `None` if it is empty.
pub(super) fn dss(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<DssStatus> {
    let before = seen.config.status.as_ref().and_then(|status| status.dss.clone());
    let record = current_record(seen, outcome);
    let known = Known {
        request: plan.accepted.as_ref().ok().and_then(|accepted| accepted.dss.as_ref()),
        unknown: plan.is_held() || plan.accepted.as_ref().is_err_and(|refusal| !refusal.withdraws),
        record,
        replaced: consistent_record(seen).filter(|_| outcome.written.is_some()),
        may_have_keys: !seen.key_places.is_empty(),
        outcome: &outcome.api_key,
        now,
    };
    known.status(before, resolved(seen))
}

fn resolved(seen: &Observed) -> Option<ResolvedRole> {
    let Ok(Some(AskedRole::Template(template))) = seen.config.spec.asked_role() else { return None };
    let role = seen.asked_role.as_ref().ok()?.as_ref()?;
    Some(ResolvedRole { from: template.to_string(), role: role.to_string() })
}
