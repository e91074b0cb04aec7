//! The sessions of the profiles: obtained, kept from the Secret, or withdrawn.

use super::Act;
use crate::{
    api::{Reason, SECRET_KEYS, Statement},
    cluster::CallError,
    credentials::{Credentials, IssueError, Issued, Request, Retry},
    decide::{
        Accepted, ProfilePlan, ProfileStep, Trigger,
        input::{Observed, rendering},
        target::{SecretData, Target},
    },
    report::{Outcome, ProfileOutcome, audit},
    secret::{Content, Main, ProfilePart, ProfileRecord, Record, Rendering, Unrenderable, WITHDRAWN, render_all},
};
use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt as _;
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};

/// The profiles for a write of the Secret.
#[derive(Default)]
pub(super) struct Parts {
    /// The profiles, in the order of `spec.profiles`.
    pub(super) all: Vec<ProfilePart>,
    /// The attempts that were made.
    outcomes: Vec<ProfileOutcome>,
    /// The sessions that were obtained now.
    issued: Vec<(String, Request, Issued)>,
}

impl Parts {
    /// The records, for the annotation.
    pub(super) fn records(&self) -> Vec<ProfileRecord> {
        self.all.iter().map(|part| part.record.clone()).collect()
    }

    /// Whether the Secret gets a session of any profile.
    fn holds_any(&self) -> bool {
        self.all.iter().any(|part| part.credentials.is_some())
    }
}

/// An attempt to obtain the session of a profile.
struct Obtained<'a> {
    plan: &'a ProfilePlan,
    result: Result<Issued, IssueError>,
}

impl Act<'_> {
    /// Obtains the sessions that the plan asks for, all at once, and puts them together with those
    /// that stay in the Secret. A session that could not be obtained leaves the former one in its
    /// place, as long as that is valid.
    ///
    /// # Errors
    /// [`Outcome`] if keyturn needs the sessions in the Secret and could not read them. keyturn
    /// keeps what it obtained in memory.
    pub(super) async fn parts(&self) -> Result<Parts, Outcome> {
        if self.profiles.is_empty() {
            return Ok(Parts::default());
        }
        let attempts = self.profiles.iter().filter_map(|plan| match (&plan.accepted, &plan.step) {
            // A withdrawal does not wait for STS. The next reconcile follows at once.
            (Ok(accepted), ProfileStep::Issue(trigger)) if !self.withdraws => {
                Some(self.attempt(plan, accepted, *trigger))
            }
            _ => None,
        });
        let mut obtained: Vec<Obtained<'_>> = join_all(attempts).await;
        self.end_sts_turn();
        let now = self.context.clock.now();
        let is_obtained = |plan: &ProfilePlan| obtained.iter().any(|it| it.plan.name == plan.name && it.result.is_ok());
        let stays = |plan: &ProfilePlan| {
            let stays = !matches!(plan.step, ProfileStep::Withdraw(_)) && !is_obtained(plan);
            stays && self.recorded(&plan.name).is_some_and(|record| record.is_live(now))
        };
        let former = if self.profiles.iter().any(stays) { self.former_sessions().await } else { Ok(BTreeMap::new()) };
        let mut parts = Parts::default();
        for plan in self.profiles {
            let at = obtained.iter().position(|it| it.plan.name == plan.name);
            let obtained = at.map(|at| obtained.swap_remove(at));
            let former = former.as_ref().ok().and_then(|former| former.get(&plan.name));
            let part = self.part(plan, obtained.as_ref(), former, now);
            parts.all.push(part);
            if let (Some(Obtained { result, .. }), Ok(accepted)) = (obtained, &plan.accepted) {
                let (name, attempt) = (plan.name.clone(), accepted.attempt.clone());
                let failed = match result {
                    Ok(issued) => {
                        parts.issued.push((name.clone(), accepted.request.clone(), issued));
                        None
                    }
                    Err(error) => Some(error),
                };
                parts.outcomes.push(ProfileOutcome { name, attempt, failed });
            }
        }
        match former {
            Ok(_) => Ok(parts),
            Err(error) => {
                self.keep_parts(&mut parts);
                Err(Outcome { call_failed: Some(error), profiles: parts.outcomes, ..Outcome::default() })
            }
        }
    }

    /// Every profile without session, for this reason.
    pub(super) fn withdrawn_parts(&self, reason: Reason) -> Parts {
        let withdrawn = |plan: &ProfilePlan| ProfilePart::withdrawn_for(&plan.name, self.recorded(&plan.name), reason);
        Parts { all: self.profiles.iter().map(withdrawn).collect(), ..Parts::default() }
    }

    /// The outcome of a write with these parts. If the write failed, keyturn keeps in memory what
    /// it obtained.
    pub(super) fn with_parts(&self, mut parts: Parts, outcome: Outcome) -> Outcome {
        if outcome.written.is_some() {
            let provider = self.seen.config.spec.credential_provider;
            for (name, ..) in &parts.issued {
                let plan = self.profiles.iter().find(|plan| plan.name == *name);
                let is_renewal =
                    plan.is_some_and(|plan| matches!(plan.step, ProfileStep::Issue(trigger) if trigger.is_renewal()));
                self.context.metrics.issued(provider, if is_renewal { Reason::Renewed } else { Reason::Issued });
            }
        } else {
            self.keep_parts(&mut parts);
        }
        Outcome { profiles: parts.outcomes, ..outcome }
    }

    /// Writes the profiles, and leaves the credential of the config in the Secret as it is. If
    /// nothing changes, keyturn writes nothing.
    pub(super) async fn write_profiles(&self) -> Outcome {
        let parts = match self.parts().await {
            Ok(parts) => parts,
            Err(outcome) => return outcome,
        };
        let former = self.seen.target.record();
        if former.is_some_and(|record| record.profiles == parts.records()) {
            return Outcome { profiles: parts.outcomes, ..Outcome::default() };
        }
        if former.is_none() && !parts.holds_any() {
            return Outcome { profiles: parts.outcomes, ..Outcome::default() };
        }
        let rendering = rendering(self.seen);
        let token = match self.data_robot_token(&rendering).await {
            Ok(token) => token,
            Err(outcome) => return Outcome { profiles: parts.outcomes, ..outcome },
        };
        let live = self.live_beside(&rendering, &parts, token.as_ref());
        match live.unwrap_or_else(|| self.withdrawn_beside(&rendering, &parts)) {
            Ok((record, content)) => self.write(&rendering, record, content, parts).await,
            Err(error) => super::unrenderable(&error),
        }
    }

    /// The Secret in which the credential of the config is withdrawn, as it is or as it begins.
    fn withdrawn_beside(&self, rendering: &Rendering, parts: &Parts) -> Result<(Record, Content), Unrenderable> {
        let reason = self.withdrawn_reason();
        let held = self.seen.target.record().map(|record| record.keys.as_slice()).unwrap_or_default();
        let own = SECRET_KEYS.iter().map(|key| key.name).filter(|name| held.iter().any(|key| key == name));
        self.withdrawn_for(reason, rendering, parts, own)
    }

    /// The Secret in which the credential of the config is withdrawn for this reason. An object
    /// that the rendering depends on may be gone, such as the `DssInstance`. Therefore every data
    /// key that is there stays in the Secret, with a withdrawn value. The sessions of profiles are
    /// of the present subject.
    pub(super) fn withdrawn_for(
        &self,
        reason: Reason,
        rendering: &Rendering,
        parts: &Parts,
        keys: impl IntoIterator<Item = &'static str>,
    ) -> Result<(Record, Content), Unrenderable> {
        let mut content = render_all(rendering, Main::Withdrawn(reason), &parts.all)?;
        for key in keys {
            content.0.entry(key.to_owned()).or_insert_with(|| WITHDRAWN.into());
        }
        let former = self.seen.target.record().cloned();
        let mut record = former.unwrap_or_else(|| Record::lost(&self.subject(), self.context.clock.now()));
        if parts.holds_any() {
            record.person = self.subject();
        }
        Ok((record.withdrawn_for(reason, rendering.digest(), &content), content))
    }

    /// The reason for which the credential of the config is not in the Secret.
    fn withdrawn_reason(&self) -> Reason {
        let recorded = self.seen.target.record().and_then(|record| record.withdrawn.as_deref());
        let failed = || match self.accepted {
            Err(refusal) => Some(refusal.why.reason),
            Ok(accepted) => self.seen.failures().why(&accepted.attempt).map(|why| why.reason),
        };
        recorded.and_then(Reason::named).or_else(failed).unwrap_or(Reason::Pending)
    }

    /// The Secret with the credential of the config that it holds, which was read before; `None` if
    /// it holds none.
    fn live_beside(
        &self,
        rendering: &Rendering,
        parts: &Parts,
        data_robot_token: Option<&SecretString>,
    ) -> Option<Result<(Record, Content), Unrenderable>> {
        let (record, read) = super::read_data(&self.seen.target)?;
        if record.withdrawn.is_some() || !read.is_as_written() {
            return None;
        }
        let (credentials, api_key) = (read.credentials.as_deref()?, read.api_key.as_ref());
        let main = Main::Live { credentials, expires_at: record.expires_at, api_key, data_robot_token };
        let key_record = api_key.map(|_| record.api_key.clone()).unwrap_or_default();
        let content = render_all(rendering, main, &parts.all);
        Some(content.map(|content| (record.rendered_again(rendering.digest(), key_record, &content), content)))
    }

    /// The record of a profile in the Secret, which nobody has edited.
    fn recorded(&self, name: &str) -> Option<&ProfileRecord> {
        match &self.seen.target {
            Target::Ours(ours) if !ours.is_edited() => ours.record.as_ref()?.profile(name),
            _ => None,
        }
    }

    async fn attempt<'a>(&self, plan: &'a ProfilePlan, accepted: &Accepted, trigger: Trigger) -> Obtained<'a> {
        let Self { context, seen, .. } = self;
        let provider = seen.config.spec.credential_provider;
        let Request::Session(session) = &accepted.request else {
            let error =
                IssueError::new(Reason::InvalidSpec, Retry::Durable, "profiles belong to credentialProvider temporary");
            return Obtained { plan, result: Err(error) };
        };
        let kept = context.memory.take_kept(&place(seen, &plan.name), &accepted.request, context.clock.now());
        if let Some(issued) = kept {
            return Obtained { plan, result: Ok(issued) };
        }
        let result = self.assume(session, trigger == Trigger::Due).await;
        match &result {
            Ok(issued) => {
                audit::obtained(&seen.config, &self.subject(), Some(&plan.name), accepted, issued, trigger);
            }
            Err(error) if error.retry.is_of_a_call() => context.metrics.failed(provider, error.why.reason),
            Err(_) => {}
        }
        Obtained { plan, result }
    }

    /// The profile in the Secret after its step.
    fn part(
        &self,
        plan: &ProfilePlan,
        obtained: Option<&Obtained<'_>>,
        former: Option<&Arc<Credentials>>,
        now: Timestamp,
    ) -> ProfilePart {
        let record = self.recorded(&plan.name);
        let withdrawn = |reason| ProfilePart::withdrawn_for(&plan.name, record, reason);
        let failed = match (&plan.step, &plan.accepted, obtained.map(|it| &it.result)) {
            (ProfileStep::Withdraw(why), ..) => return withdrawn(why.reason),
            (_, Ok(accepted), Some(Ok(issued))) => {
                return ProfilePart {
                    record: ProfileRecord::of(&plan.name, &accepted.request, issued),
                    credentials: Some(issued.credentials.clone()),
                };
            }
            (_, _, Some(Err(error))) => Some(error.why.clone()),
            (_, Ok(accepted), None) => self.seen.failures_of(&plan.name).why(&accepted.attempt),
            (_, Err(refusal), _) => Some(refusal.why.clone()),
        };
        let failure = obtained.and_then(|it| it.result.as_ref().err());
        let is_durable = failure.is_some_and(|error| error.retry == Retry::Durable);
        let reason = failed.as_ref().map_or(Reason::Pending, |Statement { reason, .. }| *reason);
        match record {
            Some(record) if record.is_live(now) => match former {
                Some(session) => ProfilePart { record: record.clone(), credentials: Some(Credentials::clone(session)) },
                // Somebody has edited the Secret since keyturn looked at it.
                None => withdrawn(Reason::Pending),
            },
            Some(record) if record.withdrawn.is_none() => withdrawn(Reason::Expired),
            // A failure that passes is no reason to write the Secret.
            Some(record) if !is_durable => ProfilePart { record: record.clone(), credentials: None },
            _ => withdrawn(reason),
        }
    }

    /// The sessions of the profiles in the Secret, as keyturn wrote them.
    async fn former_sessions(&self) -> Result<BTreeMap<String, Arc<Credentials>>, CallError> {
        let Self { context, seen, .. } = self;
        let Target::Ours(ours) = &seen.target else { return Ok(BTreeMap::new()) };
        if let SecretData::Read(read) = &ours.content {
            return Ok(if read.is_as_written() { read.profiles.clone() } else { BTreeMap::new() });
        }
        let Target::Ours(found) = context.read_target(seen).await? else { return Ok(BTreeMap::new()) };
        // The records that the plan was made for describe this very content.
        let is_same = found.record == ours.record;
        Ok(match &found.content {
            SecretData::Read(read) if is_same && read.is_as_written() => read.profiles.clone(),
            _ => BTreeMap::new(),
        })
    }

    /// Keeps in memory the sessions that could not be written.
    fn keep_parts(&self, parts: &mut Parts) {
        for (name, request, issued) in parts.issued.drain(..) {
            self.context.memory.keep(&place(self.seen, &name), &request, issued);
        }
    }
}

/// The place in memory of a session that could not be written.
fn place(seen: &Observed, profile: &str) -> String {
    format!("{}/{profile}", seen.config.uid().unwrap_or_default())
}
