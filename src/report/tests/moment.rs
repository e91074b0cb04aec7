//! One reconcile of one config as plain values: what keyturn saw, what came of the plan, and when.

use crate::{
    api::{
        AwsConfig, AwsConfigSpec, AwsConfigStatus, AwsRoleGrant, AwsRoleGrantSpec, ConditionType, DssInstance, Reason,
        Statement,
    },
    brake::{Brake, ConfigMapName, Confirmation, Settings, Turn},
    credentials::{Credentials, IssueError, Issued, Retry},
    decide::{
        Plan, RoleStep, SecretAction, Trial, Tried,
        backoff::{Failures, transient_after},
        decide,
        dss_access::{SeenDss, role_of},
        input::{Observed, Remembered, SeenRole, rendering},
        target::{Ours, ReadData, SecretData, Target},
        verification,
    },
    dss_keys::{HeldKey, KeyPlace},
    report::{EventNote, Outcome, Written, event_notes, failed, next_reconcile, status},
    secret::{ApiKeyRecord, Content, Record, whole},
    verify::Verdict,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{from_value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/ds-analyst";

/// One reconcile, from what was seen to what came of it.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) seen: Observed,
    pub(crate) outcome: Outcome,
    pub(crate) now: Timestamp,
}

/// A time of the day on which everything happens, such as `00:45:00`.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-01-01T{time}Z").parse().unwrap()
}

/// A failure that somebody has to mend.
pub(crate) fn denied() -> IssueError {
    IssueError::new(Reason::AssumeRoleDenied, Retry::Durable, "IAM refused")
}

/// A failure that passes, of a server that asks for a wait of 20 s.
pub(crate) fn unreachable() -> IssueError {
    let wait = Retry::TransientAfter(SignedDuration::from_secs(20));
    IssueError::new(Reason::Unreachable, wait, "STS could not be reached")
}

/// alice as she was applied at 00:00, with a grant. There is no Secret.
pub(crate) fn fresh() -> Moment {
    let spec: AwsConfigSpec = from_value(json!({"person": "alice", "role": ROLE, "renewBefore": "20m"})).unwrap();
    let mut config = AwsConfig::new("alice", spec);
    config.metadata.namespace = Some("scoring".into());
    config.metadata.uid = Some("uid-of-alice".into());
    config.metadata.generation = Some(1);
    let grant = json!({"roles": [ROLE], "namespaces": {"names": ["scoring"]}, "persons": ["*"]});
    let grant = AwsRoleGrant::new("analysts", from_value::<AwsRoleGrantSpec>(grant).unwrap());
    let mut seen = Observed::of(Arc::new(config), "prod", at("00:00:00"));
    seen.namespace_labels = Some(BTreeMap::new());
    seen.grants = vec![Arc::new(grant)];
    seen.grants_seen = true;
    seen.target = Target::Absent;
    Moment { seen, outcome: Outcome::default(), now: at("00:00:00") }
}

/// alice at 00:15. Her session of 00:00 expires at 01:00 and is due at 00:40.
pub(crate) fn live() -> Moment {
    fresh().issues().then("00:15:00")
}

impl Moment {
    pub(crate) fn plan(&self) -> Plan {
        decide(&self.seen, self.now)
    }

    pub(crate) fn status(&self) -> AwsConfigStatus {
        status(&self.seen, &self.plan(), &self.outcome, self.now)
    }

    pub(crate) fn event_notes(&self) -> Vec<EventNote> {
        let before = self.seen.config.status.clone().unwrap_or_default();
        event_notes(&self.seen, &self.plan(), &self.outcome, &before, &self.status())
    }

    pub(crate) fn next_reconcile(&self) -> Timestamp {
        next_reconcile(&self.seen, &self.plan(), &self.outcome, &self.remembered(), self.now)
    }

    /// What the process remembers after this reconcile.
    fn remembered(&self) -> Remembered {
        let (plan, mut remembered) = (self.plan(), self.seen.remembered.clone());
        if self.outcome.written.is_some() {
            remembered.transient = None;
        }
        if let Some((error, attempt)) = failed(&plan, &self.outcome) {
            let failures = Failures::of(&self.seen.config, remembered.transient.as_ref());
            remembered.transient = transient_after(failures, error, &attempt, "uid-of-alice", self.now);
        }
        if let Some(trial) = &self.outcome.trial {
            let before = remembered.tried.as_deref();
            remembered.tried = Some(Box::new(Tried::after(trial, before, self.now)));
        }
        remembered
    }

    /// The next reconcile, at this time. It sees the status and the Secret of this one.
    pub(crate) fn then(mut self, time: &str) -> Self {
        let (status, remembered) = (self.status(), self.remembered());
        if let Some(Written { record, version }) = std::mem::take(&mut self.outcome).written {
            let mut metadata = self.metadata(&record);
            metadata.resource_version = version;
            self.seen.target =
                Target::Ours(Box::new(Ours { metadata, record: Some(record), content: SecretData::Known }));
        }
        self.seen.remembered = remembered;
        self.has_its_role().config(|config| config.status = Some(status)).at(time)
    }

    /// The generated role exists.
    pub(crate) fn has_its_role(mut self) -> Self {
        if let RoleStep::Write { role, .. } = self.plan().roles.step {
            self.seen.role = SeenRole::Shown(Arc::new(*role));
        }
        self
    }

    fn metadata(&self, record: &Record) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        whole(&self.seen.config, &rendering(&self.seen), record, Content(BTreeMap::new())).metadata
    }

    /// The same at another time.
    pub(crate) fn at(mut self, time: &str) -> Self {
        self.now = at(time);
        self
    }

    // ---- What keyturn sees ------------------------------------------------------------------

    fn config(mut self, change: impl FnOnce(&mut AwsConfig)) -> Self {
        change(Arc::make_mut(&mut self.seen.config));
        self.seen.asked_role = role_of(&self.seen.config, self.seen.dss.as_ref());
        self
    }

    /// The user changes the spec.
    pub(crate) fn spec(self, change: impl FnOnce(&mut AwsConfigSpec)) -> Self {
        self.config(|config| {
            config.metadata.generation = config.metadata.generation.map(|generation| generation + 1);
            change(&mut config.spec);
        })
    }

    /// Somebody changes what keyturn has recorded.
    pub(crate) fn recorded(self, change: impl FnOnce(&mut AwsConfigStatus)) -> Self {
        self.config(|config| change(config.status.as_mut().unwrap()))
    }

    /// The admin changes the grant.
    pub(crate) fn grant(mut self, change: impl FnOnce(&mut AwsRoleGrantSpec)) -> Self {
        change(&mut Arc::make_mut(&mut self.seen.grants[0]).spec);
        self
    }

    /// The admin creates another grant.
    pub(crate) fn another_grant(mut self, name: &str, spec: serde_json::Value) -> Self {
        self.seen.grants.push(Arc::new(AwsRoleGrant::new(name, from_value(spec).unwrap())));
        self
    }

    /// The admin deletes the grant of this name.
    pub(crate) fn deletes_grant(mut self, name: &str) -> Self {
        self.seen.grants.retain(|grant| grant.metadata.name.as_deref() != Some(name));
        self
    }

    /// The admin deletes the grant.
    pub(crate) fn without_grant(mut self) -> Self {
        self.seen.grants.clear();
        self
    }

    /// The grant asks for another external ID, so that another credential is needed.
    pub(crate) fn changed(self) -> Self {
        self.grant(|grant| grant.external_id = Some("another".into()))
    }

    /// The Secret is as given.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.seen.target = target;
        self
    }

    pub(crate) fn foreign(self) -> Self {
        self.target(Target::Foreign { owner: "the Deployment controller's".into(), is_marked: false })
    }

    pub(crate) fn ours(&mut self) -> &mut Ours {
        let Target::Ours(ours) = &mut self.seen.target else { panic!("the Secret is keyturn's") };
        ours
    }

    /// The credential in the Secret has no end.
    pub(crate) fn without_end(mut self) -> Self {
        self.ours().record.as_mut().unwrap().expires_at = None;
        self
    }

    /// keyturn read the Secret's data.
    pub(crate) fn reads(mut self, intact: bool) -> Self {
        let credentials = Some(Arc::new(session()));
        let api_key = Some("the-api-key".into());
        self.ours().content =
            SecretData::Read(ReadData { intact, confirmed: true, credentials, api_key, ..ReadData::default() });
        self
    }

    /// keyturn read a Secret whose digest fits, and of which status has another digest.
    pub(crate) fn reads_unconfirmed(self) -> Self {
        let mut moment = self.reads(true);
        if let SecretData::Read(read) = &mut moment.ours().content {
            read.confirmed = false;
        }
        moment
    }

    /// Another writer has changed the Secret eight times in a row, the last time a moment ago.
    pub(crate) fn fought_over(mut self) -> Self {
        self.seen.remembered.repairs = 8;
        self.seen.remembered.repaired_at = Some(self.now);
        self
    }

    /// Another room has found this out.
    pub(crate) fn finds(mut self, type_: ConditionType, finding: Option<(Reason, &str)>) -> Self {
        let finding = finding.map(|(reason, message)| Statement::new(reason, message));
        self.seen.remembered.findings.insert(type_, finding);
        self
    }

    /// The config was created at this time, and has to be confirmed again after these days.
    pub(crate) fn created(mut self, at: Timestamp, max_age_days: i64) -> Self {
        self.seen.max_age = Some(SignedDuration::from_hours(24 * max_age_days));
        self.config(|config| config.metadata.creation_timestamp = Some(Time(at)))
    }

    /// Many credentials go at once, and the brake holds back the withdrawal of this one.
    pub(crate) fn braked(mut self) -> Self {
        let config_map = ConfigMapName { namespace: "keyturn-system".into(), name: "keyturn-withdrawals".into() };
        let settings = Settings { limit: Some(5), config_map };
        self.seen.brake = Brake::new(settings, Box::new(|_| vec![])).seen("uid-of-alice");
        self.seen.brake.turn = Some(Turn::Held);
        self
    }

    /// A cluster admin confirms what is held back at this time.
    pub(crate) fn confirmed(mut self, time: &str) -> Self {
        self.seen.brake.confirmation = Confirmation::At(at(time));
        self
    }

    /// keyturn is restarted.
    pub(crate) fn restarted(mut self) -> Self {
        self.seen.remembered = Remembered::default();
        self
    }

    /// The config names a DSS and asks for a personal API key of this rotation.
    pub(crate) fn with_api_key(mut self, rotation: &str) -> Self {
        let instance = json!({"url": "https://dss", "apiKeySecretRef": {"namespace": "keyturn", "name": "admin"}});
        self.seen.dss = Some(SeenDss::allowing(DssInstance::new("design", from_value(instance).unwrap()), "dss-alice"));
        self.seen.key_places = vec![KeyPlace { instance: "design".into(), exists: true, keys: None }];
        let dss = json!({"instance": "design", "apiKey": "Personal", "apiKeyRotation": rotation});
        self.spec(|spec| spec.dss = Some(from_value(dss).unwrap()))
    }

    // ---- What comes of the plan -------------------------------------------------------------

    /// keyturn writes a session that begins now.
    pub(crate) fn issues(self) -> Self {
        let expires_at = Some(self.now + SignedDuration::from_hours(1));
        let issued = Issued { credentials: session(), issued_at: self.now, expires_at };
        let accepted = self.plan().accepted.unwrap();
        let rendering = rendering(&self.seen).digest();
        let content = Content(BTreeMap::new());
        let api_key = ApiKeyRecord::default();
        let mut record = Record::of(&accepted.request, &issued, "alice", rendering, api_key, &content);
        record.access_key_id = format!("ASIA{}", self.now.as_second() % 86_400);
        self.writes(record)
    }

    fn writes(mut self, record: Record) -> Self {
        let version = Some((self.now.as_second() % 86_400 + 1).to_string());
        self.outcome.written = Some(Written { record, version });
        self
    }

    /// keyturn writes the Secret without the credential, for the reason of the plan.
    pub(crate) fn withdraws(self) -> Self {
        let Some(SecretAction::Withdraw(why)) = self.plan().action().cloned() else {
            panic!("the plan is to {:?}", self.plan().next);
        };
        self.withdraws_for(why.reason)
    }

    /// keyturn deletes the Secret, because the API server refuses to have it withdrawn.
    pub(crate) fn deletes(mut self) -> Self {
        self.outcome.deleted = true;
        self
    }

    fn withdraws_for(mut self, reason: Reason) -> Self {
        let rendering = rendering(&self.seen).digest();
        let record = self.ours().record.clone().unwrap();
        self.writes(record.withdrawn_for(reason, rendering, &Content(BTreeMap::new())))
    }

    /// keyturn tries the credential that the Secret holds, with this result.
    pub(crate) fn tries(mut self, verdict: Verdict) -> Self {
        let written = self.outcome.written.as_ref().map(|written| &written.record);
        let record = written.or(self.seen.target.record()).unwrap();
        let digest = verification(&self.seen, None, record, self.now).unwrap().digest;
        self.outcome.trial = Some(Box::new(Trial::Made { digest, verdict }));
        self
    }

    /// No credential is obtained.
    pub(crate) fn fails(mut self, error: IssueError) -> Self {
        self.outcome.issue_failed = Some(error);
        self
    }

    /// keyturn obtains the API key with this ID. It goes into the Secret if that is written.
    pub(crate) fn obtains_key(mut self, id: &str) -> Self {
        let request = self.plan().accepted.unwrap().dss.unwrap();
        let held = HeldKey { record: request.record(id.into(), &"".into()), key: "the-api-key".into() };
        if let Some(written) = &mut self.outcome.written {
            written.record.api_key = held.record.clone();
        }
        self.outcome.api_key.held = Some(held);
        self
    }

    /// No API key is obtained.
    pub(crate) fn key_fails(mut self, reason: Reason) -> Self {
        self.outcome.api_key.failed = Some(IssueError::new(reason, Retry::Durable, "DSS refused"));
        self
    }

    /// DSS says that the API key is another user's, so that keyturn withdraws the whole Secret.
    pub(crate) fn takes_back(self) -> Self {
        self.key_fails(Reason::DssUserMismatch).withdraws_for(Reason::DssUserMismatch)
    }
}

fn session() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "secret".into(),
        session_token: Some("token".into()),
    }
}
