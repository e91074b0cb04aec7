//! What AWS said of the credential that the Secret holds: the condition `Verified`, the digest in
//! status, the Event, and the time of the next trial.

use super::{EventNote, Outcome, attempt::current_record};
use crate::{
    api::{AwsConfigStatus, ConditionType, condition, find_condition, unknown},
    decide::{
        self, Due, Plan, Trial, Tried,
        input::{Observed, Remembered},
        trial,
    },
    verify::Verdict,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The digest of the question that AWS has answered about the credential, and the condition.
pub(super) struct Verified {
    pub(super) request: Option<String>,
    pub(super) condition: Option<Condition>,
}

/// What is known of the credential in the Secret. Nothing if `spec.verify` asks for nothing, or if
/// the Secret holds no valid credential.
pub(super) fn verification(seen: &Observed, plan: &Plan, outcome: &Outcome, now: Timestamp) -> Verified {
    let nothing = Verified { request: None, condition: None };
    let Some(record) = current_record(seen, outcome) else { return nothing };
    let Some(asked) = decide::verification(seen, plan.accepted.as_ref().ok(), record, now) else { return nothing };
    let generation = seen.config.metadata.generation;
    let make = |verdict: &Verdict| {
        let truth = matches!(verdict, Verdict::Verified(_));
        let made = condition(ConditionType::Verified, truth, verdict.statement(), generation, now);
        if verdict.is_answer() { made } else { unknown(made) }
    };
    let tried = match outcome.trial.as_deref() {
        Some(Trial::Made { digest, verdict }) if *digest == asked.digest => Some(verdict),
        _ => {
            let remembered = seen.remembered.tried.as_deref().filter(|tried| tried.digest == asked.digest);
            remembered.and_then(|tried| tried.verdict.as_ref())
        }
    };
    if let Some(verdict) = tried {
        let request = verdict.is_answer().then(|| asked.digest.clone());
        return Verified { request, condition: Some(make(verdict)) };
    }
    let before = seen.config.status.as_ref();
    let recorded = before.and_then(|status| status.verified_request.clone()).filter(|it| *it == asked.digest);
    let said = before.and_then(|status| find_condition(&status.conditions, ConditionType::Verified)).cloned();
    if let (Some(request), Some(said)) = (recorded, said) {
        let said = Condition { observed_generation: generation, ..said };
        return Verified { request: Some(request), condition: Some(said) };
    }
    let why = "keyturn has not tried this credential yet; it does so with the next one, or before";
    Verified { request: None, condition: Some(make(&Verdict::unknown(why))) }
}

/// The time of the next trial; `None` if none is to be made before the next issue.
pub(super) fn next_trial(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    remembered: &Remembered,
    now: Timestamp,
) -> Option<Timestamp> {
    if outcome.trial.is_some() {
        return remembered.tried.as_deref().and_then(Tried::next);
    }
    let record = current_record(seen, outcome)?;
    match trial(seen, plan, record, false, now)? {
        Due::At(at) => Some(at),
        Due::Now(_) => None,
    }
}

/// The note about a refusal by AWS, and about its end. The first success is no news.
pub(super) fn verification_note(before: &AwsConfigStatus, after: &AwsConfigStatus) -> Option<EventNote> {
    let find = |status: &AwsConfigStatus| find_condition(&status.conditions, ConditionType::Verified).cloned();
    let (former, said) = (find(before), find(after)?);
    let was_refused = former.as_ref().is_some_and(|former| former.status == "False");
    let is_same = former.as_ref().is_some_and(|former| {
        (&former.status, &former.reason, &former.message) == (&said.status, &said.reason, &said.message)
    });
    let warning = said.status == "False";
    let is_news = (warning && !is_same) || (said.status == "True" && was_refused);
    is_news.then_some(EventNote { warning, reason: said.reason, action: "Verify", note: said.message })
}

/// The trouble that a refusal is, in one word.
pub(super) fn refusal(conditions: &[Condition]) -> Option<&Condition> {
    find_condition(conditions, ConditionType::Verified).filter(|condition| condition.status == "False")
}
