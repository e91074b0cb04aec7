//! The conditions of an instance. Pure.

use crate::api::{
    ConditionType, Reason, Statement, condition, find_condition, ready_as, same_ignoring_times, set_conditions, stalled,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The findings about an instance.
pub(super) struct Found<'a> {
    /// Whether the system answers. `Pending` if keyturn did not ask.
    pub(super) reachable: &'a Result<(), Statement>,
    /// Whether keyturn has the rights that it needs.
    pub(super) authorized: &'a Result<(), Statement>,
    /// The message of `Reachable` while the system answers.
    pub(super) answers: &'static str,
    /// The message of `Authorized` while keyturn has the rights.
    pub(super) may: &'static str,
    /// The reason of `Reachable` while the system does not answer.
    pub(super) unreachable: Reason,
}

impl Found<'_> {
    /// The conditions, after those that the object has.
    pub(super) fn conditions(&self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
        let make = |type_: ConditionType, outcome: &Result<(), Statement>, fine: &str| match outcome {
            Ok(()) => condition(type_, true, &Statement::new(Reason::Granted, fine), generation, now),
            Err(statement) => condition(type_, false, statement, generation, now),
        };
        let reachable = make(ConditionType::Reachable, self.reachable, self.answers);
        // A system that does not answer says nothing about rights. Therefore the condition stays as
        // it was.
        let known = find_condition(before, ConditionType::Authorized);
        let authorized = match (self.reachable, known) {
            (Err(why), Some(known)) if why.reason == self.unreachable => known.clone(),
            _ => make(ConditionType::Authorized, self.authorized, self.may),
        };
        let ready = ready_as(obstacle(&reachable, &authorized));
        let needs_another_spec = ready.status == "False" && ready.reason == Reason::InvalidSpec.as_str();
        let stalled = needs_another_spec.then(|| stalled(&ready));
        set_conditions(before, [ready, reachable, authorized].into_iter().chain(stalled).collect())
    }
}

/// The condition that `Ready` repeats: the one that is in the way. If keyturn did not try to reach
/// the system, that is the one about the key.
fn obstacle<'a>(reachable: &'a Condition, authorized: &'a Condition) -> &'a Condition {
    let is_tried = reachable.reason != Reason::Pending.as_str();
    if (reachable.status == "False" && is_tried) || authorized.status == "True" { reachable } else { authorized }
}

/// Writes to the log what is in the way, if it is news. `Ready` repeats one of the others.
pub(super) fn warn(before: &[Condition], after: &[Condition]) {
    if same_ignoring_times(before, after) {
        return;
    }
    let is_news =
        |condition: &&Condition| condition.status == "False" && condition.type_ != ConditionType::Ready.as_str();
    for condition in after.iter().filter(is_news) {
        tracing::warn!(condition = condition.type_, reason = condition.reason, "{}", condition.message);
    }
}
