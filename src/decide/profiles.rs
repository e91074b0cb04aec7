//! The profiles of a config: further roles, whose sessions lie in the Secret beside the credential
//! of the config.
//!
//! Each profile goes the way of the config's own role: the same grants, the same request, the same
//! retries. A refusal or a failure of one profile concerns no other and not the credential of the
//! config. A refusal of the config, its person or its namespace as a whole withdraws all.

use super::{
    Accepted, Case, HoldCause, Next, Read, Refusal, SecretAction, Trigger,
    action::refuse,
    api_key::awaits_own_key,
    backoff::Failures,
    input::{Observed, SeenRole},
    target::{Ours, SecretData, Target},
};
use crate::{
    api::{Profile, Reason, RoleArn, Statement},
    schedule,
    secret::{ProfileRecord, Record},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

/// The plan for one profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfilePlan {
    /// The name of the profile.
    pub name: String,
    /// The request that a grant allows, or the refusal.
    pub accepted: Result<Accepted, Refusal>,
    /// The step for the part of the Secret that is the profile's.
    pub step: ProfileStep,
}

/// The step for one profile.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileStep {
    /// Leave the profile in the Secret as it is.
    Keep,
    /// The same, because an attempt is held back until then.
    Hold {
        /// The time of the next attempt.
        until: Timestamp,
        /// The reason for the wait.
        cause: HoldCause,
    },
    /// Obtain a new session and write it.
    Issue(Trigger),
    /// Take the session out of the Secret, for this reason.
    Withdraw(Statement),
}

impl ProfileStep {
    /// Whether the step has to write the Secret.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self, Self::Issue(_) | Self::Withdraw(_))
    }
}

impl ProfilePlan {
    /// Whether a renewal is due that has not failed yet. Only such a renewal makes keyturn renew
    /// other sessions of the Secret before their time.
    fn is_first_renewal(&self, seen: &Observed) -> bool {
        let failed = |accepted: &Accepted| seen.failures_of(&self.name).why(&accepted.attempt).is_some();
        self.step == ProfileStep::Issue(Trigger::Due) && !self.accepted.as_ref().is_ok_and(failed)
    }
}

impl Case<'_> {
    /// The plans for the profiles, without the sessions that are renewed along with others.
    pub(super) fn profiles(&self) -> &[ProfilePlan] {
        self.profiles.get_or_init(|| {
            let asked = &self.seen.config.spec.profiles;
            if asked.is_empty() {
                return vec![];
            }
            // The trace of the decision tells of the credential of the config.
            let aside = Case::new(self.seen, self.now);
            let of_all = aside.refusal_of_all();
            let plan = |profile: &Profile| {
                let accepted = match &of_all {
                    Some(refusal) => Err(refusal.clone()),
                    None => aside.may_use_profile(profile),
                };
                let step = aside.profile_step(&profile.name, &accepted);
                ProfilePlan { name: profile.name.clone(), accepted, step }
            };
            asked.iter().map(plan).collect()
        })
    }

    /// The plans for the profiles beside this step. Sessions that expire together are renewed
    /// together, in one write: a renewal takes along each session of which 30 % of the lifetime has
    /// passed.
    pub(super) fn profiles_beside(&self, next: &Next) -> Vec<ProfilePlan> {
        let trigger = match next {
            Next::Do(SecretAction::Issue(trigger)) if trigger.is_renewal() => Some(*trigger),
            _ => self.profile_is_due().then_some(Trigger::Due),
        };
        let goes_along = |plan: &ProfilePlan, trigger: Trigger| {
            let record = self.seen.target.record().and_then(|record| record.profile(&plan.name));
            let session = record.filter(|record| record.is_live(self.now));
            let may_be_renewed = session.is_some_and(|session| {
                let times = session.issued_at.zip(session.expires_at);
                times.is_some_and(|(issued, expires)| schedule::may_renew(issued, expires, self.now))
            });
            let is_wanted = may_be_renewed || (trigger == Trigger::Requested && session.is_some());
            plan.step == ProfileStep::Keep && plan.accepted.is_ok() && is_wanted
        };
        if matches!(next, Next::Do(action) if action.is_held()) {
            // keyturn asks nobody for anything, and withdraws what does not wait for the brake.
            let waits = |step: &ProfileStep| !matches!(step, ProfileStep::Withdraw(_)) || is_braked(step);
            let mut plans = self.profiles().to_vec();
            for plan in plans.iter_mut().filter(|plan| waits(&plan.step)) {
                plan.step = ProfileStep::Keep;
            }
            return plans;
        }
        let beside = |plan: &ProfilePlan| match trigger.filter(|trigger| goes_along(plan, *trigger)) {
            Some(trigger) => ProfilePlan { step: ProfileStep::Issue(trigger), ..plan.clone() },
            None => plan.clone(),
        };
        self.profiles().iter().map(beside).collect()
    }

    /// Whether a profile has a session in the Secret that it may not have any more.
    pub(super) fn profile_is_to_go(&self) -> bool {
        self.profiles().iter().any(|plan| self.is_to_go(plan))
    }

    fn is_to_go(&self, plan: &ProfilePlan) -> bool {
        let held = self.seen.target.record().and_then(|record| record.profile(&plan.name));
        matches!(plan.step, ProfileStep::Withdraw(_)) && held.is_some_and(|held| held.withdrawn.is_none())
    }

    /// Whether the session of a profile is due for renewal.
    pub(super) fn profile_is_due(&self) -> bool {
        self.profiles().iter().any(|plan| plan.is_first_renewal(self.seen))
    }

    /// Passes if the Secret, whose credential is as planned, holds the profiles as planned.
    pub(super) fn holds_the_profiles(&self, ours: &Ours, record: &Record) -> Result<(), Next> {
        if !self.profiles_differ(Some(record)) {
            return Ok(());
        }
        Err(match &ours.content {
            SecretData::Read(read) if read.credentials.is_none() => SecretAction::Issue(Trigger::Drifted).into(),
            SecretData::Read(_) => SecretAction::Profiles { held: None }.into(),
            SecretData::Unknown | SecretData::Known => Read::TargetData.into(),
        })
    }

    /// The step for the profiles while nothing is to be done about the credential of the config, or
    /// while it is `held`. `None` if the profiles are as planned, or cannot be written now. The
    /// credential stays in the Secret as it is. Without a Secret, keyturn creates one in which that
    /// credential is withdrawn.
    pub(super) fn profiles_alone(&self, held: Option<(Timestamp, HoldCause)>) -> Option<Next> {
        let write = || SecretAction::Profiles { held }.into();
        let issues = || self.profiles().iter().any(|plan| matches!(plan.step, ProfileStep::Issue(_)));
        match &self.seen.target {
            Target::NotWatched => issues().then(|| Read::Target.into()),
            Target::Absent => (self.seen.older_claim.is_none() && issues()).then(write),
            Target::Foreign { .. } => None,
            Target::Ours(ours) => {
                let record = ours.record.as_ref()?;
                if ours.is_edited() {
                    return self.profile_is_to_go().then(|| withdrawal_of_edited().into());
                }
                if !self.profiles_differ(Some(record)) {
                    return None;
                }
                Some(if matches!(ours.content, SecretData::Read(_)) { write() } else { Read::TargetData.into() })
            }
        }
    }

    /// The step for the profiles while the brake holds back the withdrawal of the credential until
    /// this time. The brake holds back what goes for want of a grant, and nothing else. `None` if
    /// no session of a profile has to go for another reason.
    pub(super) fn profiles_despite_brake(&self, until: Timestamp) -> Option<Next> {
        let is_to_go = |plan: &ProfilePlan| self.is_to_go(plan) && !is_braked(&plan.step);
        let Target::Ours(ours) = &self.seen.target else { return None };
        if !self.profiles().iter().any(is_to_go) {
            return None;
        }
        Some(match &ours.content {
            SecretData::Read(_) if ours.is_edited() => withdrawal_of_edited().into(),
            SecretData::Read(_) => SecretAction::Profiles { held: Some((until, HoldCause::Brake)) }.into(),
            SecretData::Unknown | SecretData::Known => Read::TargetData.into(),
        })
    }

    /// The read without which a refusal of a profile is not certain.
    pub(super) fn profiles_need(&self) -> Option<Read> {
        self.profiles().iter().find_map(|plan| plan.accepted.as_ref().err()?.needs)
    }

    /// Whether a write has to change the profiles in the Secret.
    fn profiles_differ(&self, record: Option<&Record>) -> bool {
        let is_asked = |held: &ProfileRecord| self.profiles().iter().any(|plan| plan.name == held.name);
        let is_surplus = record.is_some_and(|record| !record.profiles.iter().all(is_asked));
        is_surplus || self.profiles().iter().any(|plan| plan.step.writes())
    }

    /// The refusal that concerns every profile, whatever its role.
    fn refusal_of_all(&self) -> Option<Refusal> {
        if let Err(refusal) = self.accept_config() {
            return Some(refusal);
        }
        if let Target::Ours(ours) = &self.seen.target
            && let Some(record) = &ours.record
            && (record.withdrawn.is_none() || record.profiles.iter().any(|held| held.withdrawn.is_none()))
            && let Some(why) = self.former_person(ours, record)
        {
            return Some(Refusal { why, withdraws: true, needs: None });
        }
        if self.seen.config.spec.dss.is_some() && awaits_own_key(self.seen) {
            let unsaid =
                || Statement::new(Reason::DssUserMismatch, "DSS says that the last API key was somebody else's");
            let why = self.failures().wrong_owner().unwrap_or_else(unsaid);
            return Some(Refusal { why, withdraws: true, needs: None });
        }
        self.namespace_has_room().err()
    }

    /// Whether a grant allows the config a session of the profile's role. The grant is asked for
    /// each profile anew.
    fn may_use_profile(&self, profile: &Profile) -> Result<Accepted, Refusal> {
        let role = match (&profile.role, &profile.active_role_ref) {
            (Some(role), None) => {
                role.parse::<RoleArn>().or_else(|error| refuse(Reason::InvalidSpec, format!("role: {error}")))?
            }
            (None, Some(named)) => self.role_of_profile(&profile.name, &named.name)?,
            _ => return refuse(Reason::InvalidSpec, "a profile needs either role or activeRoleRef"),
        };
        self.may_use(&role)
    }

    /// The role of the `AwsRole` that a profile names.
    fn role_of_profile(&self, profile: &str, name: &str) -> Result<RoleArn, Refusal> {
        let seen = self.seen.profile_roles.get(name).unwrap_or(&SeenRole::NotShown);
        if let Some(role) = seen.there() {
            self.role_is_of_this_config(role)?;
            let arn = role.spec.role.parse::<RoleArn>();
            return arn
                .or_else(|error| refuse(Reason::InvalidSpec, format!("AwsRole \"{}\": {error}", role.name_any())));
        }
        let record = self.seen.target.record().and_then(|record| record.profile(profile));
        let held = record.filter(|record| record.withdrawn.is_none());
        let missing = Reason::ActiveRoleMissing;
        let was_in_use = held.is_some() || record.is_some_and(|it| it.withdrawn.as_deref() == Some(missing.as_str()));
        let (reason, state) = if was_in_use {
            (missing, "has been deleted; create it again, or name another")
        } else {
            (Reason::RolePending, "does not exist yet")
        };
        let why = Statement::new(reason, format!("AwsRole \"{name}\", which the profile names, {state}"));
        // The watch may not show an AwsRole that exists.
        let is_unread = held.is_some() && *seen == SeenRole::NotShown;
        Err(Refusal { why, withdraws: true, needs: is_unread.then_some(Read::ProfileRoles) })
    }

    fn profile_step(&self, name: &str, accepted: &Result<Accepted, Refusal>) -> ProfileStep {
        let ours = if let Target::Ours(ours) = &self.seen.target { Some(ours) } else { None };
        let record = ours.and_then(|ours| ours.record.as_ref()).and_then(|record| record.profile(name));
        let is_edited = ours.is_some_and(|ours| ours.is_edited());
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) if !refusal.withdraws => return self.expired_profile(record).unwrap_or(ProfileStep::Keep),
            Err(refusal) => {
                let reason = refusal.why.reason.as_str();
                let is_done = record.is_some_and(|record| record.withdrawn.as_deref() == Some(reason)) && !is_edited;
                return if is_done { ProfileStep::Keep } else { ProfileStep::Withdraw(refusal.why.clone()) };
            }
        };
        let trigger = match record {
            _ if is_edited => Trigger::Drifted,
            None => Trigger::First,
            Some(record) if record.withdrawn.is_some() => Trigger::Restored,
            Some(record) if !accepted.request.is_answered_by(&record.digest, None) => Trigger::Changed,
            Some(record) if profile_renew_at(self.seen, record).is_none_or(|at| at <= self.now) => Trigger::Due,
            Some(_) => return ProfileStep::Keep,
        };
        let backing_off = self.seen.failures_of(name).held_until(&accepted.attempt, self.now);
        let too_often = self.asked_too_often_until().filter(|_| trigger != Trigger::Due);
        let Some(until) = backing_off.max(too_often) else { return ProfileStep::Issue(trigger) };
        let cause = if too_often > backing_off { HoldCause::AskedTooOften } else { HoldCause::Backoff };
        self.expired_profile(record).unwrap_or(ProfileStep::Hold { until, cause })
    }

    /// The withdrawal of a session that has expired. A failed renewal never withdraws a session
    /// that is still live.
    fn expired_profile(&self, record: Option<&ProfileRecord>) -> Option<ProfileStep> {
        let record = record.filter(|record| record.withdrawn.is_none() && record.has_expired(self.now))?;
        let at = record.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let message = format!("the session expired at {at} and could not be renewed");
        Some(ProfileStep::Withdraw(Statement::new(Reason::Expired, message)))
    }
}

/// Whether the brake may hold back this step of a profile, together with the credential.
fn is_braked(step: &ProfileStep) -> bool {
    matches!(step, ProfileStep::Withdraw(why) if why.reason == Reason::NotGranted)
}

/// The withdrawal of an edited Secret, in which a session is no longer allowed. What is in such a
/// Secret cannot be written again.
fn withdrawal_of_edited() -> SecretAction {
    let message = "somebody else changed the Secret, and a session in it is no longer allowed";
    SecretAction::Withdraw(Statement::new(Reason::Pending, message))
}

impl Observed {
    /// The failures so far of the profile of this name.
    #[must_use]
    pub fn failures_of(&self, profile: &str) -> Failures<'_> {
        Failures::of_profile(&self.config, profile, self.remembered.profiles.get(profile)).with_turn(self.has_turn)
    }
}

/// The time at which keyturn renews the session of a profile; `None` if there is none.
#[must_use]
pub fn profile_renew_at(seen: &Observed, record: &ProfileRecord) -> Option<Timestamp> {
    let margin = seen.config.spec.renew_before.as_ref().and_then(|margin| margin.length().ok());
    let uid = seen.config.uid().unwrap_or_default();
    let (issued_at, expires_at) = record.issued_at.zip(record.expires_at)?;
    Some(schedule::renew_at(&uid, issued_at, expires_at, margin))
}
