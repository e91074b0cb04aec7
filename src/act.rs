//! ACT: carries out a plan. The API server refuses a write if the object is not the one that the
//! plan was made for. This module holds a client.

mod context;
mod profiles;
mod push;
mod role;
mod secret;
mod sts;
mod verify;

pub use context::Context;
pub use role::write_roles;

use crate::{
    api::Reason,
    clock::whole_seconds,
    credentials::{Credentials, IssueError, Issued, Request, Retry},
    decide::{
        Accepted, Plan, ProfilePlan, Refusal, SecretAction, Trial, Trigger, awaits_own_key,
        input::{Observed, rendering},
        target::{ReadData, SecretData, Target},
    },
    dss_keys::{ApiKeyOutcome, ApiKeyPlan, HeldKey},
    limit::{Budget, Place, StsTurn},
    report::{Outcome, audit},
    secret::{ApiKeyRecord, Content, Main, Record, Rendering, Unrenderable, render_all},
    stores::{self, A_CREDENTIAL, A_RECONCILE, delete_surplus},
};
use kube::ResourceExt as _;
use profiles::Parts;
use secrecy::SecretString;
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use verify::InHand;

/// Carries out the action on the Secret. Afterwards it deletes the surplus API keys in DSS, pushes
/// the credential to the places of `spec.push`, and tries the credential if that is due. A failure
/// becomes a part of the outcome.
pub async fn act(context: &Context, budget: &Budget, seen: &Observed, plan: &Plan) -> Outcome {
    let trigger = match plan.action() {
        Some(SecretAction::Issue(trigger)) => Some(*trigger),
        _ => None,
    };
    let is_due = trigger == Some(Trigger::Due);
    let act = Act {
        context,
        budget,
        seen,
        accepted: &plan.accepted,
        api_key: &plan.api_key,
        profiles: &plan.profiles,
        trigger,
        withdraws: matches!(plan.action(), Some(SecretAction::Withdraw(_))),
        sts_turn: OnceLock::new(),
        asked: AtomicBool::new(false),
        in_hand: OnceLock::new(),
    };
    let secret = async {
        match (plan.action(), &plan.accepted) {
            (Some(SecretAction::Issue(trigger)), Ok(accepted)) => act.issue(accepted, *trigger).await,
            (Some(SecretAction::Render(trigger)), Ok(accepted)) => act.render_again(accepted, *trigger).await,
            (Some(SecretAction::Withdraw(why)), _) => act.withdraw(why.reason).await,
            (Some(SecretAction::Profiles { .. }), _) => act.write_profiles().await,
            _ => Outcome::default(),
        }
    };
    let mut outcome = Box::pin(secret).await;
    outcome.asked = act.asked.load(Ordering::Relaxed);
    // keyturn deletes an API key only after the Secret has ceased to hold it.
    let all_written = outcome.call_failed.is_none() && !outcome.blocked;
    if !plan.surplus_keys.is_empty() && all_written {
        let deleting = delete_surplus(context.stores(budget), &seen.config, &plan.surplus_keys, &mut outcome.api_key);
        if let Err(error) = Box::pin(deleting).await {
            outcome.call_failed = Some(error);
        }
    }
    let in_hand = act.in_hand.into_inner();
    let pushed = Box::pin(push::push(context, budget, seen, plan, &outcome, in_hand.as_ref(), is_due)).await;
    outcome.asked |= pushed.asked;
    outcome.pushes = pushed.tried;
    if outcome.call_failed.is_none() {
        outcome.call_failed = pushed.call_failed;
    }
    // The trial comes last, because it must not delay anything.
    outcome.trial = Box::pin(verify::verify(context, budget, seen, plan, &outcome, in_hand)).await.map(Box::new);
    outcome.asked |= matches!(outcome.trial.as_deref(), Some(Trial::Made { .. }));
    outcome
}

/// The action on the Secret of one config, with what it works on.
struct Act<'a> {
    context: &'a Context,
    budget: &'a Budget,
    seen: &'a Observed,
    accepted: &'a Result<Accepted, Refusal>,
    api_key: &'a ApiKeyPlan,
    profiles: &'a [ProfilePlan],
    /// The trigger of the issue, if the action is one.
    trigger: Option<Trigger>,
    /// Whether the action is a withdrawal. It waits for nobody.
    withdraws: bool,
    /// The turn for all calls to STS of this reconcile, or the reason why it has none.
    sts_turn: OnceLock<Result<StsTurn, IssueError>>,
    /// Whether STS or DSS was asked for something that is not such a renewal.
    asked: AtomicBool,
    /// The credential that the Secret holds now, if this reconcile has it in memory.
    in_hand: OnceLock<InHand>,
}

impl Act<'_> {
    async fn issue(&self, accepted: &Accepted, trigger: Trigger) -> Outcome {
        let Self { context, seen, .. } = self;
        let (provider, request) = (seen.config.spec.credential_provider, &accepted.request);
        let mut first = None;
        if awaits_own_key(seen) {
            match self.obtain_api_key(accepted, A_RECONCILE).await.map(ApiKeyOutcome::while_of_wrong_owner) {
                Ok(api_key) if api_key.failed.is_some() && !api_key.is_of_administrator() => {
                    return self.take_back(api_key).await;
                }
                Ok(api_key) => first = Some(api_key),
                Err(outcome) => return outcome,
            }
        }
        let kept = self.take_kept(request);
        let is_new = kept.is_none();
        let obtained = match kept {
            Some(kept) => Ok(Some(kept)),
            None => self.obtain(request).await,
        };
        if self.profiles.is_empty() || obtained.is_err() {
            self.end_sts_turn();
        }
        let issued = match obtained {
            Ok(Some(issued)) => issued,
            Ok(None) => return Outcome { api_key: first.unwrap_or_default(), ..Outcome::default() },
            Err(error) => {
                if error.retry.is_of_a_call() {
                    context.metrics.failed(provider, error.why.reason);
                }
                let api_key = first.unwrap_or_default();
                return Outcome { issue_failed: Some(error), api_key, ..Outcome::default() };
            }
        };
        let is_renewal = trigger.is_renewal();
        if is_renewal && self.is_there_already(request, &issued) {
            let _ = self.in_hand.set(InHand { credentials: issued.credentials, is_new: true });
            return Outcome { checked: true, ..Outcome::default() };
        }
        if is_new {
            audit::obtained(&seen.config, &self.subject(), None, accepted, &issued, trigger);
        }
        let obtained = match first {
            Some(obtained) => Ok(obtained),
            None => self.obtain_api_key(accepted, A_CREDENTIAL).await,
        };
        let api_key = match obtained {
            Ok(api_key) if api_key.is_of_wrong_owner() => {
                self.keep(accepted, issued);
                return self.take_back(api_key).await;
            }
            Ok(api_key) => api_key,
            Err(outcome) => {
                self.keep(accepted, issued);
                return outcome;
            }
        };
        let parts = match self.parts().await {
            Ok(parts) => parts,
            Err(outcome) => {
                self.keep(accepted, issued);
                return Outcome { api_key, ..outcome };
            }
        };
        let rendering = rendering(seen);
        let (key_record, api_key_value) = in_hand(&api_key);
        let token = match self.data_robot_token(&rendering).await {
            Ok(token) => token,
            Err(outcome) => {
                self.keep(accepted, issued);
                return Outcome { api_key, ..outcome };
            }
        };
        let data_robot_token = token.as_ref();
        let Issued { credentials, expires_at, .. } = &issued;
        let main = Main::Live { credentials, expires_at: *expires_at, api_key: api_key_value, data_robot_token };
        let content = match render_all(&rendering, main, &parts.all) {
            Ok(content) => content,
            Err(error) => return unrenderable(&error),
        };
        let record = Record::of(request, &issued, &self.subject(), rendering.digest(), key_record, &content);
        let outcome = Outcome { api_key, ..self.write(&rendering, record, content, parts).await };
        if outcome.written.is_some() {
            context.metrics.issued(provider, if is_renewal { Reason::Renewed } else { Reason::Issued });
            if trigger == Trigger::Drifted {
                context.metrics.repaired();
            }
            let _ = self.in_hand.set(InHand { credentials: issued.credentials, is_new: true });
        } else {
            self.keep(accepted, issued);
        }
        outcome
    }

    /// Obtains the credential: a session from STS, the credential of a connection from DSS, or the
    /// static key that was read before. `None` if the static key has not been read.
    async fn obtain(&self, request: &Request) -> Result<Option<Issued>, IssueError> {
        let Self { context, budget, seen, .. } = self;
        match request {
            Request::Session(session) => self.assume(session, self.is_due()).await.map(Some),
            Request::Connection(connection) => {
                let instance = seen.dss.as_ref().and_then(|dss| dss.instance.as_ref());
                let lifetime =
                    instance.and_then(|instance| instance.spec.session_lifetime.length().ok()).unwrap_or_default();
                let client = context.dss_cache.dss(&connection.instance);
                let client = client.ok_or_else(|| IssueError::not_connected(&connection.instance))?;
                let _place = self.turn(1)?;
                let live = seen.target.record().filter(|record| record.withdrawn.is_none());
                let former = live.map(|record| record.access_key_id.as_str());
                let what = format!("reading connection \"{}\" as \"{}\"", connection.connection, connection.login);
                let (name, login) = (&connection.instance, &connection.login);
                let talk = async {
                    if !context.dss_cache.is_confirmed(name, login) {
                        connection.confirm(&client).await?;
                        context.dss_cache.confirm(name, login);
                    }
                    connection.obtain(&client, lifetime, former, || context.clock.now()).await
                };
                context.stores(budget).within(&connection.instance, &what, A_RECONCILE, talk).await?.map(Some)
            }
            Request::Key(_) => Ok(seen.source.key().map(|key| Issued {
                credentials: Credentials::clone(key),
                issued_at: whole_seconds(context.clock.now()),
                expires_at: None,
            })),
        }
    }

    /// Takes a turn to ask DSS for the credential or its API key. A renewal that is due does not
    /// wait for its turn.
    fn turn(&self, requests: u32) -> Result<Place, IssueError> {
        let Self { context, seen, .. } = self;
        if self.is_due() {
            return Ok(context.turns.take_due(&seen.config.namespace().unwrap_or_default()));
        }
        let place = context.take_turn(&seen.config, requests)?;
        self.asked.store(true, Ordering::Relaxed);
        Ok(place)
    }

    /// Obtains the API key that goes into the Secret beside the credential, if the config asks for
    /// one. The call to DSS takes no longer than `most`.
    async fn obtain_api_key(&self, accepted: &Accepted, most: Duration) -> Result<ApiKeyOutcome, Outcome> {
        let Some(request) = &accepted.dss else { return Ok(ApiKeyOutcome::default()) };
        let _place = match self.api_key {
            ApiKeyPlan::Create { former } | ApiKeyPlan::Deliver { former, .. } => match self.turn(1) {
                Ok(place) => Some(place),
                Err(error) => {
                    let failed = Some(error);
                    return Ok(ApiKeyOutcome { held: former.clone(), failed, ..ApiKeyOutcome::default() });
                }
            },
            ApiKeyPlan::None | ApiKeyPlan::Keep(_) | ApiKeyPlan::Hold { .. } => None,
        };
        let access = self.context.stores(self.budget);
        let obtaining = stores::obtain(access, &self.seen.config, request, self.api_key, most);
        obtaining.await.map_err(|error| Outcome { call_failed: Some(error), ..Outcome::default() })
    }

    /// The person's own API token of DataRobot, if the Secret is to hold it. If the Secret with the
    /// token holds none, keyturn writes the credential without it; `Pushed` says why.
    async fn data_robot_token(&self, rendering: &Rendering) -> Result<Option<SecretString>, Outcome> {
        let Self { context, budget, seen, .. } = self;
        let wanted = rendering.data_robot.as_ref().is_some_and(|it| it.token_version.is_some());
        let named = seen.data_robot.as_ref().and_then(|it| it.own_token.as_ref()).filter(|_| wanted);
        let Some(named) = named else { return Ok(None) };
        let namespace = seen.config.namespace().unwrap_or_default();
        let token = stores::own_token(context.stores(budget), &namespace, named).await;
        token.map(Result::ok).map_err(|error| Outcome { call_failed: Some(error), ..Outcome::default() })
    }

    /// Whether the credential is a static key, and the Secret holds it already. In that case there
    /// is nothing to write.
    fn is_there_already(&self, request: &Request, issued: &Issued) -> bool {
        let digest = self.seen.target.record().map(|record| record.issue_digest.as_str());
        issued.expires_at.is_none() && digest == Some(request.issue_digest(&issued.credentials).as_str())
    }

    /// Writes the credential of the Secret again, in the form that the config asks for now. This
    /// costs no call to STS.
    async fn render_again(&self, accepted: &Accepted, trigger: Trigger) -> Outcome {
        let Self { context, seen, .. } = self;
        let Some((record, read)) = read_data(&seen.target) else { return Outcome::default() };
        let Some(credentials) = &read.credentials else { return Outcome::default() };
        let api_key = match self.obtain_api_key(accepted, A_RECONCILE).await {
            Ok(api_key) if api_key.is_of_wrong_owner() => return self.take_back(api_key).await,
            Ok(api_key) => api_key,
            Err(outcome) => return outcome,
        };
        if trigger == Trigger::ApiKey && in_hand(&api_key).0 == record.api_key {
            return Outcome { api_key, ..Outcome::default() };
        }
        let parts = match self.parts().await {
            Ok(parts) => parts,
            Err(outcome) => return Outcome { api_key, ..outcome },
        };
        let rendering = rendering(seen);
        let (key_record, api_key_value) = in_hand(&api_key);
        let token = match self.data_robot_token(&rendering).await {
            Ok(token) => token,
            Err(outcome) => return Outcome { api_key, ..outcome },
        };
        let data_robot_token = token.as_ref();
        let expires_at = record.expires_at;
        let main = Main::Live { credentials, expires_at, api_key: api_key_value, data_robot_token };
        let content = match render_all(&rendering, main, &parts.all) {
            Ok(content) => content,
            Err(error) => return unrenderable(&error),
        };
        let record = record.rendered_again(rendering.digest(), key_record, &content);
        let outcome = Outcome { api_key, ..self.write(&rendering, record, content, parts).await };
        if outcome.written.is_some() {
            if trigger == Trigger::Drifted {
                context.metrics.repaired();
            }
            let _ = self.in_hand.set(InHand { credentials: Credentials::clone(credentials), is_new: false });
        }
        outcome
    }

    /// Takes the credential out of the Secret. The profiles stay as the plan says.
    async fn withdraw(&self, reason: Reason) -> Outcome {
        match self.parts().await {
            Ok(parts) => self.withdraw_beside(reason, parts).await,
            // A credential that is not allowed must not stay because the others cannot be read.
            Err(outcome) => {
                let withdrawn = self.withdraw_beside(reason, self.withdrawn_parts(Reason::Pending)).await;
                Outcome { profiles: outcome.profiles, ..withdrawn }
            }
        }
    }

    async fn withdraw_beside(&self, reason: Reason, parts: Parts) -> Outcome {
        let Self { context, seen, .. } = self;
        let Target::Ours(ours) = &seen.target else { return Outcome::default() };
        let record = ours.record.clone().unwrap_or_else(|| Record::lost(&self.subject(), context.clock.now()));
        let keys = match secret::keys_of_ours(context, seen, ours, &record).await {
            Ok(keys) => keys,
            Err(error) => return Outcome { call_failed: Some(error), ..Outcome::default() },
        };
        let rendering = rendering(seen);
        match self.withdrawn_for(reason, &rendering, &parts, keys) {
            Ok((record, content)) => self.write(&rendering, record, content, parts).await,
            Err(error) => unrenderable(&error),
        }
    }

    /// Withdraws the whole Secret, if DSS says that the API key belongs to another user.
    async fn take_back(&self, api_key: ApiKeyOutcome) -> Outcome {
        let record = self.seen.target.record();
        let is_withdrawn = record.is_some_and(|record| record.is_withdrawn_for(Reason::DssUserMismatch));
        if is_withdrawn || !api_key.is_of_wrong_owner() {
            return Outcome { api_key, ..Outcome::default() };
        }
        // The former key is not kept for later either.
        let api_key = ApiKeyOutcome { held: None, ..api_key };
        let none = self.withdrawn_parts(Reason::DssUserMismatch);
        Outcome { api_key, ..self.withdraw_beside(Reason::DssUserMismatch, none).await }
    }

    fn subject(&self) -> String {
        self.seen.config.subject().map(|subject| subject.to_string()).unwrap_or_default()
    }

    async fn write(&self, rendering: &Rendering, record: Record, content: Content, parts: Parts) -> Outcome {
        let record = record.with_profiles(parts.records(), &content);
        let outcome = secret::write(self.context, self.seen, rendering, record, content).await;
        self.with_parts(parts, outcome)
    }
}

fn in_hand(api_key: &ApiKeyOutcome) -> (ApiKeyRecord, Option<&SecretString>) {
    match &api_key.held {
        Some(HeldKey { record, key }) => (record.clone(), Some(key)),
        None => (ApiKeyRecord::default(), None),
    }
}

/// The record and the data of a Secret that the decision has read.
fn read_data(target: &Target) -> Option<(&Record, &ReadData)> {
    let Target::Ours(ours) = target else { return None };
    let SecretData::Read(read) = &ours.content else { return None };
    Some((ours.record.as_ref()?, read))
}

fn unrenderable(error: &Unrenderable) -> Outcome {
    let error = IssueError::new(Reason::InvalidSpec, Retry::Durable, error.to_string());
    Outcome { issue_failed: Some(error), ..Outcome::default() }
}
