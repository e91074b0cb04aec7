//! Event notes: the news about a config that a person should know.

use super::{
    Outcome,
    confirmation::confirmation_note,
    findings::finding_notes,
    first_issue::{is_told_later, issued_note},
    profiles::profile_notes,
    push::push_note,
    verification::verification_note,
};
use crate::{
    api::{AwsConfigStatus, ConditionType, Reason, find_condition, names},
    decide::{
        Check, Checked, Plan, SecretAction, Trigger,
        input::Observed,
        target::{SecretData, Target},
    },
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta},
};
use sha2::{Digest as _, Sha256};

/// An event note, from which keyturn writes an Event and a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Whether the Event is a warning.
    pub warning: bool,
    /// The reason of the Event.
    pub reason: String,
    /// The action of the Event, as a verb.
    pub action: &'static str,
    /// The note of the Event, as a sentence.
    pub note: String,
}

/// The event notes of a reconcile: the first issue (if it is not told later, by
/// [`super::first_issue()`]) and every unusual one, a repair, a withdrawal,
/// the beginning and the end of a failure, and new findings of other rooms. A routine renewal is no
/// news.
#[must_use]
pub fn event_notes(
    seen: &Observed,
    plan: &Plan,
    outcome: &Outcome,
    before: &AwsConfigStatus,
    after: &AwsConfigStatus,
) -> Vec<EventNote> {
    let find = |status: &AwsConfigStatus, type_: ConditionType| find_condition(&status.conditions, type_).cloned();
    let (ready_before, ready) = (find(before, ConditionType::Ready), find(after, ConditionType::Ready));
    let failing = (find(before, ConditionType::RenewalFailing), find(after, ConditionType::RenewalFailing));
    let mut notes = Vec::new();
    let repair =
        matches!(plan.action(), Some(SecretAction::Issue(Trigger::Drifted) | SecretAction::Render(Trigger::Drifted)));
    let drifted = repair && outcome.written.is_some();
    if drifted {
        let name = seen.config.target_name();
        let note = if is_unconfirmed(seen) {
            format!(
                "Secret \"{name}\" held another credential than status has, because somebody else changed it or keyturn \
                 ended before it could write status; a new one has been issued"
            )
        } else {
            format!("Secret \"{name}\" was changed or deleted by somebody else and has been put right")
        };
        notes.push(EventNote { warning: true, reason: Reason::Drifted.to_string(), action: "Repair", note });
    }
    if outcome.deleted {
        let note = format!(
            "Secret \"{}\" was deleted, because the API server refused as invalid to have its credential withdrawn; \
             look for another writer of that Secret (its managedFields)",
            seen.config.target_name()
        );
        notes.push(EventNote { warning: true, reason: Reason::Drifted.to_string(), action: "Delete", note });
    }
    notes.extend(finding_notes(&before.conditions, &after.conditions));
    notes.extend(profile_notes(before, after));
    notes.extend(confirmation_note(&before.conditions, &after.conditions));
    notes.extend(verification_note(before, after));
    notes.extend(push_note(before, after));
    notes.extend(denial_ended(seen, plan, find(before, ConditionType::Accepted).as_ref()));
    let Some(ready) = ready else { return notes };
    let was_ready = ready_before.as_ref().is_some_and(|condition| condition.status == "True");
    if ready.status == "True" {
        let issued = outcome.written.as_ref().filter(|_| matches!(plan.action(), Some(SecretAction::Issue(_))));
        let replaced = matches!(plan.action(), Some(SecretAction::Issue(Trigger::Changed))) && issued.is_some();
        if !was_ready || replaced {
            if !is_told_later(plan, outcome, after) {
                notes.push(issued_note(&ready.message, after));
            }
        } else if failing.0.is_some() && failing.1.is_none() {
            let note = "renewal works again".to_owned();
            notes.push(EventNote { warning: false, reason: Reason::Renewed.to_string(), action: "Renew", note });
        } else if plan.action() == Some(&SecretAction::Issue(Trigger::Requested)) && outcome.has_issued(plan) {
            let note = format!("{}, because the annotation {} asked for it", ready.message, names::RENEW);
            notes.push(EventNote { warning: false, reason: Reason::Renewed.to_string(), action: "Renew", note });
        }
        if let (None, Some(failing)) = failing {
            notes.push(EventNote { warning: true, reason: failing.reason, action: "Renew", note: failing.message });
        }
    } else if was_ready || ready_before.is_none_or(|before| before.reason != ready.reason) {
        let action = match plan.action() {
            Some(SecretAction::Withdraw(_)) => "Withdraw",
            Some(action) if action.is_held() => "Hold",
            _ => "Issue",
        };
        notes.push(EventNote { warning: true, reason: ready.reason, action, note: ready.message });
    }
    notes
}

/// Whether the Secret was consistent in itself, and status did not confirm it.
fn is_unconfirmed(seen: &Observed) -> bool {
    matches!(&seen.target, Target::Ours(ours) if matches!(&ours.content, SecretData::Read(read) if read.intact && !read.confirmed))
}

/// The note that a denial has ended. A grant has no status, and a deleted grant is gone. Therefore
/// each `AwsConfig` reports that it no longer denies.
fn denial_ended(seen: &Observed, plan: &Plan, accepted_before: Option<&Condition>) -> Option<EventNote> {
    let denied = Reason::Denied.as_str();
    accepted_before.filter(|before| before.reason == denied)?;
    let passed = Checked { check: Check::SubjectIsNotDenied, passed: true };
    let denied_now = plan.accepted.as_ref().is_err_and(|refusal| refusal.why.reason == Reason::Denied);
    // A process that has seen no grant yet does not know whether one denies.
    if denied_now || !seen.grants_seen || !plan.trace.contains(&passed) {
        return None;
    }
    Some(EventNote {
        warning: false,
        reason: Reason::DenialEnded.to_string(),
        action: "Allow",
        note: "no AwsRoleGrant denies this request any more".to_owned(),
    })
}

impl EventNote {
    /// Writes the note to the log.
    pub fn log(&self) {
        if self.warning {
            tracing::warn!(reason = self.reason, action = self.action, "{}", self.note);
        } else {
            tracing::info!(reason = self.reason, action = self.action, "{}", self.note);
        }
    }

    /// The Event about an object, which the replica `instance` reports at `now`. Its note is cut at
    /// 1,024 bytes (events.k8s.io/v1).
    #[must_use]
    pub fn manifest(&self, regarding: ObjectReference, instance: &str, now: Timestamp) -> Event {
        let mut note = self.note.clone();
        while note.len() > 1_024 {
            note.pop();
        }
        // The hash gives two Events of the same moment different names.
        let hash = Sha256::new().chain_update(&self.reason).chain_update(&note).finalize();
        let unique = format!("{:x}{:02x}{:02x}", now.as_nanosecond(), hash[0], hash[1]);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{unique}", regarding.name.as_deref().unwrap_or_default())),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: Some(self.action.to_owned()),
            reason: Some(self.reason.clone()),
            note: Some(note),
            type_: Some(if self.warning { "Warning" } else { "Normal" }.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some(format!("{}/{}", names::GROUP, names::MANAGER)),
            reporting_instance: Some(instance.to_owned()),
            ..Event::default()
        }
    }
}
