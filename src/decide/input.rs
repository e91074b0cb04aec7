//! The input of a decision. It is made of values only; `observe` gathers them, or a test.

use super::{
    Tried,
    action::Refusal,
    backoff::{Backoff, Failures},
    data_robot_access::SeenDataRobot,
    dss_access::{SeenDss, role_of},
    target::Target,
};
use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, ConditionType, CredentialProvider, RoleArn, Statement, Subject},
    brake::Braking,
    credentials::{Identity, KeyRequest},
    dss_keys::{HeldKey, KeyPlace},
    push::{Failed, Slot},
    secret::{DataRobotRendering, Rendering, Source},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Everything that a decision about one `AwsConfig` depends on, except the time.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The config, with keyturn's own writes laid over the watch cache.
    pub config: Arc<AwsConfig>,
    /// The name of the cluster, which is the first half of the default external ID.
    pub cluster: Arc<str>,
    /// The labels of the config's namespace; `None` while the namespace has not been seen.
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// The grants that may be about the config's namespace.
    pub grants: Vec<Arc<AwsRoleGrant>>,
    /// Whether the process has seen any grant since it started. Until then an empty list may be
    /// incomplete.
    pub grants_seen: bool,
    /// keyturn's own identity in AWS; `None` until STS has reported it.
    pub identity: Option<Identity>,
    /// The DSS that the config names, if it names one.
    pub dss: Option<SeenDss>,
    /// The DataRobot that the config names, if it names one.
    pub data_robot: Option<SeenDataRobot>,
    /// The instances of DSS that may hold API keys which keyturn created for the config.
    pub key_places: Vec<KeyPlace>,
    /// The role that `spec.role` stands for, or the refusal ([`super::dss_access::role_of`]).
    pub asked_role: Result<Option<RoleArn>, Refusal>,
    /// The `AwsRole` with the name that the config asks for ([`role_name`]), whoever owns it.
    pub role: SeenRole,
    /// The `AwsRole`s that profiles name, by name, whoever owns them.
    pub profile_roles: BTreeMap<String, SeenRole>,
    /// The other `AwsRole`s that name this config in `spec.awsConfigRef`.
    pub other_roles: Vec<Arc<AwsRole>>,
    /// The Secret that holds the AWS key, if the config names one.
    pub source: Source,
    /// The Secret that holds the API key of DSS, if the config names one.
    pub api_key_source: Source<SecretString>,
    /// The Secret that keyturn writes.
    pub target: Target,
    /// The name of an older config that has the same target ([`older_claim`]).
    pub older_claim: Option<String>,
    /// The limit of the number of configs in the namespace, if the config is beyond it
    /// ([`beyond_limit`]).
    pub beyond_limit: Option<usize>,
    /// The places of `spec.push` that another config has or comes first for, each with the
    /// namespace and the name of that config. A place that keyturn has written for this config is
    /// not listed.
    pub push_taken: BTreeMap<Slot, String>,
    /// The time after which a config has to be confirmed again; `None` for no limit.
    pub max_age: Option<SignedDuration>,
    /// The brake on withdrawals.
    pub brake: Braking,
    /// What this process remembers of the config. If it is lost, that costs a read or a retry, and
    /// never a credential.
    pub remembered: Remembered,
    /// Whether it is the turn of the config in the budget of STS.
    pub has_turn: bool,
    /// The time at which the process started.
    pub started_at: Timestamp,
}

impl Observed {
    /// The input for a config of which nothing else is known yet. `cluster` is the name of the
    /// cluster, and `started_at` the time at which the process started.
    #[must_use]
    pub fn of(config: Arc<AwsConfig>, cluster: &str, started_at: Timestamp) -> Self {
        let asked_role = role_of(&config, None);
        Self {
            config,
            cluster: cluster.into(),
            namespace_labels: None,
            grants: vec![],
            grants_seen: false,
            identity: None,
            dss: None,
            data_robot: None,
            key_places: vec![],
            asked_role,
            role: SeenRole::NotShown,
            profile_roles: BTreeMap::new(),
            other_roles: vec![],
            source: Source::NotShown,
            api_key_source: Source::NotShown,
            older_claim: None,
            beyond_limit: None,
            push_taken: BTreeMap::new(),
            max_age: None,
            brake: Braking::off(),
            target: Target::NotWatched,
            remembered: Remembered::default(),
            has_turn: false,
            started_at,
        }
    }

    /// The failures of the config so far.
    #[must_use]
    pub fn failures(&self) -> Failures<'_> {
        Failures::of(&self.config, self.remembered.transient.as_ref()).with_turn(self.has_turn)
    }
}

/// An `AwsRole`, as far as keyturn knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum SeenRole {
    /// The watch does not show the role, or the config asks for none.
    NotShown,
    /// The role does not exist.
    Absent,
    /// The role exists.
    Shown(Arc<AwsRole>),
}

impl SeenRole {
    /// The role; `None` if it does not exist or is being deleted.
    #[must_use]
    pub fn there(&self) -> Option<&Arc<AwsRole>> {
        match self {
            Self::Shown(role) if role.metadata.deletion_timestamp.is_none() => Some(role),
            _ => None,
        }
    }
}

/// What a process remembers of one config.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The resourceVersion of the target at which its content is known to be keyturn's.
    pub known_version: Option<String>,
    /// The content digest of the last write of the target that failed. The API server may have made
    /// the write all the same.
    pub attempted: Option<String>,
    /// The resourceVersion of the user's Secret at which its AWS key is known to be the one that
    /// keyturn delivered.
    pub known_source: Option<String>,
    /// The resourceVersion of the user's Secret at which its API key is known to be the one that
    /// keyturn delivered.
    pub known_api_key_source: Option<String>,
    /// The API key of DSS that keyturn created or delivered last. A renewal need not read it again.
    pub api_key: Option<HeldKey>,
    /// The time at which keyturn last asked DSS for a key that never expires.
    pub checked_at: Option<Timestamp>,
    /// The consecutive transient failures, if the last attempt ended in one.
    pub transient: Option<Backoff>,
    /// The consecutive transient failures of each profile whose last attempt ended in one.
    pub profiles: BTreeMap<String, Backoff>,
    /// The text of the last request for a new session that keyturn carried out. Status records it
    /// too, but status may not be writable.
    pub renewed: Option<String>,
    /// The time until which the config has used up its requests to STS and DSS
    /// ([`crate::schedule::used_until`]).
    pub used_until: Option<Timestamp>,
    /// The last trial of the credential ([`super::Trial`]).
    pub tried: Option<Box<Tried>>,
    /// The steps of pushes that failed, by the kind of the place.
    pub pushes: BTreeMap<Slot, Failed>,
    /// The time at which the API server last showed no Secret with the name of the target, before a
    /// first issue.
    pub looked_at: Option<Timestamp>,
    /// Whether this process knows that the Event of the first issue has been written.
    pub told: bool,
    /// Whether this process has seen or written the generated `AwsRole`. One that is missing then
    /// was deleted by somebody else.
    pub had_role: bool,
    /// The number of consecutive repairs.
    pub repairs: i32,
    /// The time of the last repair.
    pub repaired_at: Option<Timestamp>,
    /// The findings of other rooms about the config; `None` if nothing is wrong. If a type is
    /// absent, this process has not examined it yet, and its condition stays as it is.
    pub findings: BTreeMap<ConditionType, Option<Statement>>,
}

/// The name of the `AwsRole` that a config asks for, generated or not; `None` if it asks for none.
#[must_use]
pub fn role_name(config: &AwsConfig, asked: Option<&RoleArn>) -> Option<String> {
    if config.spec.credential_provider != CredentialProvider::Temporary {
        return None;
    }
    let named = config.spec.active_role_ref.as_ref().map(|role| role.name.clone());
    named.or_else(|| asked.map(|role| generated_role_name(config, role)))
}

/// The Secret that holds the AWS key of a config, and the names of its keys; `None` if the config
/// names no Secret.
#[must_use]
pub fn key_request(config: &AwsConfig) -> Option<KeyRequest> {
    let named = config.spec.key_secret_ref.clone()?;
    Some(KeyRequest {
        secret: named.name,
        access_key_id_key: named.access_key_id_key,
        secret_access_key_key: named.secret_access_key_key,
    })
}

/// The name of the generated `AwsRole` of a config for a role: the config's name, and 8 hex digits
/// of a hash of the subject and the role. The `AwsRole` of another person has another name.
#[must_use]
pub fn generated_role_name(config: &AwsConfig, role: &RoleArn) -> String {
    let subject = config.subject();
    let hash = Sha256::new()
        .chain_update(subject.as_ref().map_or("", Subject::as_str))
        .chain_update([0])
        .chain_update(role.as_str())
        .finalize();
    format!("{}-{:02x}{:02x}{:02x}{:02x}", config.name_any(), hash[0], hash[1], hash[2], hash[3])
}

/// The name of the oldest other config that asks for the same target and is older than `config`.
/// Only the oldest config may create the Secret. Otherwise another person's config could take over
/// the name when the Secret is deleted, and running pods would work as that person. A config that
/// is being deleted asks for nothing. `asking` are configs with this target.
#[must_use]
pub fn older_claim(config: &AwsConfig, asking: impl IntoIterator<Item = Arc<AwsConfig>>) -> Option<String> {
    older(config, asking).min_by(|one, other| one.age().cmp(&other.age())).map(|oldest| oldest.name_any())
}

/// The limit, if the config is beyond it: if at least as many other configs of the namespace are
/// older. `None` if there is no limit. `configs` returns those of the namespace, if it is called.
#[must_use]
pub fn beyond_limit<I>(config: &AwsConfig, limit: Option<usize>, configs: impl FnOnce() -> I) -> Option<usize>
where
    I: IntoIterator<Item = Arc<AwsConfig>>,
{
    limit.filter(|limit| older(config, configs()).take(*limit).count() >= *limit)
}

/// The configs of these that are older than `config` and are not being deleted.
fn older<I>(config: &AwsConfig, others: I) -> impl Iterator<Item = Arc<AwsConfig>>
where
    I: IntoIterator<Item = Arc<AwsConfig>>,
{
    let age_of_it = config.age();
    let present = others.into_iter().filter(|other| other.metadata.deletion_timestamp.is_none());
    present.filter(move |other| other.age() < age_of_it)
}

/// The rendering of the Secret of what is seen.
#[must_use]
pub fn rendering(seen: &Observed) -> Rendering {
    let rendering = Rendering::of(&seen.config, seen.dss.as_ref().and_then(|dss| dss.instance.as_deref()));
    let data_robot = seen.data_robot.as_ref().and_then(|seen_it| data_robot_rendering(seen, seen_it));
    Rendering { data_robot, ..rendering }
}

/// The part of the rendering about DataRobot; `None` if the Secret holds nothing about it. The
/// Secret holds the token only while the config may use it.
fn data_robot_rendering(seen: &Observed, data_robot: &SeenDataRobot) -> Option<DataRobotRendering> {
    let asked = seen.config.spec.push.as_ref()?.data_robot.as_ref()?;
    let instance = data_robot.instance.as_ref()?;
    let recorded = seen.config.pushed().and_then(|pushed| pushed.data_robot.as_ref());
    let subject = seen.config.subject()?.to_string();
    let recorded = recorded
        .filter(|place| (&place.instance, &place.name, &place.login) == (&data_robot.name, &asked.name, &subject));
    let version = data_robot.token_version.clone().filter(|_| asked.deliver_token && data_robot.usable().is_ok());
    Some(DataRobotRendering {
        endpoint: instance.spec.endpoint(),
        credential_id: recorded.and_then(|place| place.credential_id.clone()),
        token_version: version,
    })
}
