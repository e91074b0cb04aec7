//! What the operator knows and no object shows: its settings, its identity in AWS, the users of
//! DSS, and the calls that failed. Its conditions say it. Pure.

use crate::{
    api::{AwsConfig, ConditionType, Reason, Statement, find_condition},
    decide::{Check, Checked, Next, Plan, SecretAction},
};

/// The obstacle that only the operator sees, if there is one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Known {
    /// The check that fails.
    check: Option<Check>,
    /// The obstacle.
    pub(super) why: Option<Statement>,
}

impl Known {
    /// The obstacle in the conditions of this config that the plan does not show.
    pub(super) fn of(config: &AwsConfig, plan: &Plan) -> Self {
        let waits = plan.accepted.as_ref().is_err_and(|refusal| refusal.why.reason == Reason::Pending);
        let failing = plan.trace.iter().find(|it| !it.passed).map(|it| it.check);
        // The first check of the chain that fails is the answer.
        let comes_first = |reason| check_of(reason).zip(failing).is_some_and(|(known, failing)| known < failing);
        // The operator has read what the plan waits for, so that each of its reasons counts.
        let counts = |why: &Statement| {
            waits || comes_first(why.reason) || (plan.accepted.is_ok() && is_only_the_operators(why.reason))
        };
        if let Some(why) = refusal(config, ConditionType::Accepted).filter(counts) {
            let check = check_of(why.reason).or_else(|| of_grants(why.reason));
            return Self { check, why: Some(why) };
        }
        let is_done = matches!(plan.next, Next::Do(SecretAction::Keep | SecretAction::Blocked(_)));
        let of_issued = refusal(config, ConditionType::Issued).filter(|why| why.reason != Reason::Pending);
        match of_issued {
            Some(why) if plan.accepted.is_ok() && !is_done => Self { check: None, why: Some(why) },
            _ => Self::default(),
        }
    }

    /// Whether the obstacle is that this check fails.
    pub(super) fn is_about(&self, check: Check) -> bool {
        self.check == Some(check)
    }

    /// The checks of the trace and whether they passed, up to the one that fails for the operator.
    pub(super) fn checks(&self, trace: &[Checked]) -> Vec<(Check, bool)> {
        let mut checks: Vec<(Check, bool)> = trace.iter().map(|it| (it.check, it.passed)).collect();
        if let Some(failing) = self.check {
            checks.retain(|(check, passed)| *passed && *check < failing);
            checks.push((failing, false));
        }
        checks
    }
}

/// The statement of a condition that is false for the present spec.
fn refusal(config: &AwsConfig, type_: ConditionType) -> Option<Statement> {
    let status = config.status.as_ref()?;
    let is_current = status.observed_generation == config.metadata.generation;
    let condition = find_condition(&status.conditions, type_).filter(|it| is_current && it.status == "False")?;
    Some(Statement::new(Reason::named(&condition.reason)?, condition.message.clone()))
}

/// Whether a request may be refused for this reason although all objects are in order.
fn is_only_the_operators(reason: Reason) -> bool {
    check_of(reason).is_some() || matches!(reason, Reason::ApiCallFailed | Reason::Internal)
}

/// The check that fails for a reason that only the operator can see.
fn check_of(reason: Reason) -> Option<Check> {
    match reason {
        // A setting of the operator (`--max-age`).
        Reason::NotConfirmed => Some(Check::ConfirmedInTime),
        // A setting of the operator (`--awsconfigs-per-namespace`).
        Reason::TooManyConfigs => Some(Check::NamespaceHasRoom),
        // The users of DSS are in the memory of the operator.
        Reason::DssUserMissing | Reason::DssUnreachable | Reason::DssDenied => Some(Check::DssAllowsLogin),
        Reason::DssPropertyMissing => Some(Check::RoleIsNamed),
        // The identity of the operator in AWS: its partition, and whether it is a session.
        Reason::InvalidSpec | Reason::DurationTooLong => Some(Check::IdentityReachesRole),
        // The plugin reads no key.
        Reason::KeySecretInvalid => Some(Check::KeyIsKnown),
        _ => None,
    }
}

/// The check that fails for a request that grants refuse.
fn of_grants(reason: Reason) -> Option<Check> {
    matches!(reason, Reason::NotGranted | Reason::Denied).then_some(Check::GrantAllows)
}
