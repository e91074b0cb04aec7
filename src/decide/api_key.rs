//! The API key of DSS beside the credential: the request for it, and its effect on the decision
//! about the Secret.

use super::{
    Accepted, Case, Check, HoldCause, Next, Read, Refusal, SecretAction, Trigger,
    input::Observed,
    key::{is_known, is_offered},
    target::{SecretData, Target},
};
use crate::{
    api::{ApiKey, ApiKeySecretRef, DssKey, Reason, Statement},
    digest::Digest,
    dss_keys::{ApiKeyPlan, ApiKeyRequest, DssRequest, Input, Needs, SurplusKeys},
    push::{System, all_recorded, wanted_names},
    secret::Source,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

impl Case<'_> {
    /// The request of the config to DSS; `None` if it names no DSS.
    pub(super) fn asks_of_dss(&self) -> Result<Option<DssRequest>, Refusal> {
        let (Some(spec), Some(dss)) = (&self.seen.config.spec.dss, &self.seen.dss) else { return Ok(None) };
        let (instance, login) = self.check(Check::DssAllowsLogin, dss.usable(&self.seen.config))?;
        let api_key = match (&spec.api_key_secret_ref, spec.api_key) {
            (Some(named), _) => {
                let shown =
                    if let Source::Offered { version, .. } = &self.seen.api_key_source { version } else { &None };
                ApiKeyRequest::Offered { named: named.clone(), version: shown.clone() }
            }
            (None, ApiKey::Personal) => {
                ApiKeyRequest::Personal { rotation: spec.api_key_rotation.clone().unwrap_or_default() }
            }
            (None, ApiKey::None) => ApiKeyRequest::None,
        };
        let (instance, login) = (instance.name_any(), login.to_owned());
        Ok(Some(DssRequest { instance, login, api_key, admin_keys: dss.admin_keys }))
    }

    /// Passes if keyturn knows the API key that a user offers, or if the config names none.
    pub(super) fn api_key_is_known(&self) -> Result<(), Refusal> {
        let named = self.seen.config.spec.dss.as_ref().and_then(|dss| dss.api_key_secret_ref.as_ref());
        let Some(ApiKeySecretRef { name, .. }) = named else { return Ok(()) };
        let source = &self.seen.api_key_source;
        let offered = is_offered(source, name, "spec.dss.apiKeySecretRef", Read::ApiKeySource);
        self.check(Check::ApiKeyIsOffered, offered)?;
        self.check(Check::ApiKeyIsKnown, is_known(source, name, "API key", Read::ApiKey))
    }

    /// If DSS says that the API key belongs to another user, keyturn withdraws the whole Secret.
    /// The withdrawal lasts until the next attempt is due, or until another key is offered.
    fn is_of_wrong_owner(&self, accepted: &Accepted) -> Option<(Timestamp, Refusal)> {
        accepted.dss.as_ref().filter(|request| request.api_key != ApiKeyRequest::None)?;
        let until = self.backing_off(&api_key_attempt(accepted)).filter(|_| awaits_own_key(self.seen));
        let passed = if until.is_some() { Err(()) } else { Ok(()) };
        let _ = self.check(Check::ApiKeyIsTheirs, passed);
        let unsaid = || Statement::new(Reason::DssUserMismatch, "DSS says that the last API key was somebody else's");
        let why = self.failures().wrong_owner().unwrap_or_else(unsaid);
        Some((until?, Refusal { why, withdraws: true, needs: None }))
    }

    /// The next step for the Secret of a config that names a DSS, with the plan for the API key.
    pub(super) fn step_with_api_key(&self, accepted: &Accepted, request: &DssRequest) -> (Next, ApiKeyPlan) {
        if let Some((until, refusal)) = self.is_of_wrong_owner(accepted) {
            let next = match self.withdrawal(&refusal) {
                Next::Do(SecretAction::Keep) => SecretAction::Hold { until, cause: HoldCause::Backoff }.into(),
                next => next,
            };
            return (next, ApiKeyPlan::None);
        }
        let next = match self.deliver(accepted) {
            Next::Do(SecretAction::Keep) => {
                let holds = self.check(Check::HoldsApiKey, self.holds_the_api_key(accepted, request));
                holds.err().unwrap_or(SecretAction::Keep.into())
            }
            next => next,
        };
        self.with_api_key(accepted, request, self.possible(accepted, next))
    }

    /// Passes if the Secret, whose credential is as planned, holds the API key as well.
    fn holds_the_api_key(&self, accepted: &Accepted, request: &DssRequest) -> Result<(), Next> {
        let Target::Ours(ours) = &self.seen.target else { return Ok(()) };
        let Some(record) = &ours.record else { return Ok(()) };
        if self.api_key_input(accepted, request).is_settled(record) {
            return Ok(());
        }
        match &ours.content {
            SecretData::Read(read) if read.credentials.is_none() => Err(SecretAction::Issue(Trigger::Drifted).into()),
            SecretData::Read(_) => Err(SecretAction::Render(Trigger::ApiKey).into()),
            SecretData::Unknown | SecretData::Known => Err(Read::TargetData.into()),
        }
    }

    /// The next step, with the plan for the API key. If keyturn does not have the key that is to
    /// stay, the next step is to read it.
    fn with_api_key(&self, accepted: &Accepted, request: &DssRequest, next: Next) -> (Next, ApiKeyPlan) {
        let input = self.api_key_input(accepted, request);
        match next {
            Next::Do(SecretAction::Issue(_) | SecretAction::Render(_)) => match input.for_write() {
                Ok(plan) => (next, plan),
                Err(Needs::TargetData) => (Read::TargetData.into(), ApiKeyPlan::None),
                Err(Needs::OfferedKey) => (Read::ApiKey.into(), ApiKeyPlan::None),
            },
            Next::Do(SecretAction::Keep | SecretAction::Profiles { .. }) => (next, input.without_write()),
            _ => (next, ApiKeyPlan::None),
        }
    }

    /// The keys to delete, once the Secret is as planned.
    pub(super) fn surplus_keys(&self, accepted: &Result<Accepted, Refusal>, next: &Next) -> Vec<SurplusKeys> {
        let unknown = accepted.as_ref().is_err_and(|refusal| !refusal.withdraws);
        let is_held = matches!(next, Next::Do(action) if action.is_held());
        // Nothing is deleted while a part of the view is merely unknown, or while the Secret keeps
        // its key.
        if unknown || is_held || matches!(next, Next::Read(_)) {
            return vec![];
        }
        let wanted = |instance: &str| {
            let accepted = accepted.as_ref().ok()?;
            let request = accepted.dss.as_ref().filter(|request| request.instance == instance)?;
            let is_withdrawn = matches!(next, Next::Do(SecretAction::Withdraw(_)));
            let is_personal = matches!(request.api_key, ApiKeyRequest::Personal { .. });
            (is_personal && !is_withdrawn).then(|| self.api_key_input(accepted, request).staying())
        };
        // The finalizer stays for as long as something that keyturn pushed is in the instance, or
        // is about to be.
        let pushed = |instance: &str| {
            let may_push = self.seen.dss.as_ref().is_some_and(|dss| dss.push);
            let asks = may_push
                && wanted_names(self.seen.config.spec.push.as_deref()).any(|(slot, _)| slot.system() == System::Dss)
                && accepted.as_ref().is_ok_and(|it| it.dss.as_ref().is_some_and(|dss| dss.instance == instance));
            let mut recorded = all_recorded(self.seen.config.pushed());
            asks || recorded.any(|(slot, place)| slot.system() == System::Dss && place.instance == instance)
        };
        let stay = |instance: &str| wanted(instance).or_else(|| pushed(instance).then(Vec::new));
        let places = self.seen.key_places.iter();
        places.filter_map(|place| SurplusKeys::of(place, self.recorded_keys(), stay(&place.instance))).collect()
    }

    fn api_key_input<'b>(&'b self, accepted: &Accepted, request: &'b DssRequest) -> Input<'b> {
        let ours = if let Target::Ours(ours) = &self.seen.target { Some(ours) } else { None };
        let read = ours.and_then(|ours| if let SecretData::Read(read) = &ours.content { Some(read) } else { None });
        // While keyturn needs a key of the person's own first, it obtains that key or issues
        // nothing.
        let too_often = self.asked_too_often_until().filter(|_| !awaits_own_key(self.seen));
        Input {
            request,
            source: &self.seen.api_key_source,
            record: self.seen.target.record(),
            in_target: read.filter(|read| read.intact).and_then(|read| read.api_key.as_ref()),
            target_is_confirmed: read.is_some_and(|read| read.confirmed),
            target_is_unread: ours.is_some() && read.is_none(),
            remembered: self.seen.remembered.api_key.as_ref(),
            places: &self.seen.key_places,
            recorded: self.recorded_keys(),
            held_until: self.backing_off(&api_key_attempt(accepted)).max(too_often),
            now: self.now,
        }
    }

    fn recorded_keys(&self) -> &[DssKey] {
        let status = self.seen.config.status.as_ref().and_then(|status| status.dss.as_ref());
        status.map(|dss| dss.keys.as_slice()).unwrap_or_default()
    }
}

/// Whether DSS said that the last API key belongs to another user. keyturn then issues nothing
/// until it has a key that belongs to the person.
#[must_use]
pub fn awaits_own_key(seen: &Observed) -> bool {
    let withdrawn = seen.target.record().is_some_and(|record| record.is_withdrawn_for(Reason::DssUserMismatch));
    withdrawn || seen.failures().wrong_owner().is_some()
}

/// The digest of the attempt to obtain the API key. keyturn counts its failures apart from those of
/// the credential.
#[must_use]
pub fn api_key_attempt(accepted: &Accepted) -> String {
    let whose = accepted.dss.as_ref().map(|request| {
        let admin_keys = if request.admin_keys { ", also an administrator's" } else { "" };
        format!("{:?}{admin_keys}", request.api_key)
    });
    let whose = whose.unwrap_or_default();
    Digest::default().with("api key").with(&accepted.attempt).with(whose).short()
}
