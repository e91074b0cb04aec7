//! The objects that the API server shows the caller, as the input of the operator's decision.
//!
//! Values that live in the memory of the operator are taken from status: the name of the cluster,
//! the role that DSS gave, and whether the brake holds a withdrawal back.

use super::{
    Failed,
    connect::{Caller, listed},
};
use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, DataRobotInstance, DssInstance, names},
    brake::Braking,
    decide::{
        data_robot_access::{self, SeenDataRobot},
        dss_access::{SeenDss, allowed_to, role_of},
        input::{Observed, SeenRole, older_claim, role_name},
        target::Target,
    },
    dss::SeenUser,
    dss_keys::KeyPlace,
    finalizers,
    secret::{SeenKey, Source, is_offered},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// A config with what the decision about it depends on.
pub(super) struct Live {
    pub seen: Observed,
    /// The resources that the caller may not read, by their plural names.
    pub unreadable: Vec<&'static str>,
}

/// The answer to a read.
enum Read<T> {
    Found(T),
    Absent,
    Forbidden,
}

impl Live {
    /// Reads the config and everything else. A missing right to another object is no error.
    ///
    /// # Errors
    /// [`Failed`] if the config cannot be read, or the API server does not answer.
    pub async fn read(caller: &Caller, name: &str) -> Result<Self, Failed> {
        let config = Arc::new(caller.config(name).await?);
        let namespace = caller.namespace.clone();
        let mut unreadable = Vec::new();
        let mut seen = Observed::of(config.clone(), &cluster_of(&config), Timestamp::UNIX_EPOCH);
        match get::<Namespace>(&Api::all(caller.client.clone()), &namespace).await? {
            Read::Found(found) => seen.namespace_labels = Some(found.labels().clone()),
            Read::Absent => {}
            Read::Forbidden => {
                // The chain goes on, and says that this check is not decided.
                seen.namespace_labels = Some(BTreeMap::new());
                unreadable.push("namespaces");
            }
        }
        let grants = listed::<AwsRoleGrant>(&Api::all(caller.client.clone()), None).await;
        match reading("cannot list AwsRoleGrants", grants)? {
            Read::Found(grants) => {
                seen.grants = grants.into_iter().map(Arc::new).collect();
                seen.grants_seen = true;
            }
            _ => unreadable.push("awsrolegrants"),
        }
        if let Some(dss) = &config.spec.dss {
            let instance = get::<DssInstance>(&Api::all(caller.client.clone()), &dss.instance).await?;
            if matches!(instance, Read::Forbidden) {
                unreadable.push("dssinstances");
            }
            seen.dss = Some(dss_of(&seen, if let Read::Found(instance) = instance { Some(instance) } else { None }));
            seen.asked_role = role_of(&config, seen.dss.as_ref());
        }
        // The API keys are in the memory of the operator. A finalizer says where there may be some.
        let place = |instance: &str| KeyPlace { instance: instance.to_owned(), exists: true, keys: None };
        seen.key_places = finalizers::key_places(&config).map(place).collect();
        if config.status.as_ref().is_some_and(|status| status.withdrawal_held.is_some()) {
            seen.brake = Braking::known_to_hold();
        }
        let asked = seen.asked_role.as_ref().ok().and_then(Option::as_ref);
        let roles: Api<AwsRole> = Api::namespaced(caller.client.clone(), &namespace);
        if let Some(role) = role_name(&config, asked) {
            seen.role = role_named(&roles, &role, &mut unreadable).await?;
        }
        for named in config.spec.profiles.iter().filter_map(|profile| profile.active_role_ref.as_ref()) {
            let role = role_named(&roles, &named.name, &mut unreadable).await?;
            seen.profile_roles.insert(named.name.clone(), role);
        }
        let secrets: Api<Secret> = Api::namespaced(caller.client.clone(), &namespace);
        let mut readable = true;
        if let Some(named) = &config.spec.key_secret_ref {
            seen.source = source(&secrets, &named.name, &mut readable).await?;
        }
        if let Some(named) = config.spec.dss.as_ref().and_then(|dss| dss.api_key_secret_ref.as_ref()) {
            seen.api_key_source = source(&secrets, &named.name, &mut readable).await?;
        }
        if config.spec.push.as_ref().is_some_and(|push| push.data_robot.is_some()) {
            seen.data_robot = data_robot(caller, &seen, &secrets, &mut readable, &mut unreadable).await?;
        }
        let target = secrets.get_metadata_opt(&config.target_name()).await;
        match reading("cannot read the Secret", target)? {
            Read::Found(Some(found)) => {
                // Whether somebody edited the data is said by the operator, which has read it.
                let version = found.metadata.resource_version.clone();
                seen.target = Target::of(&config, &found.metadata, version.as_deref());
            }
            Read::Found(None) | Read::Absent => seen.target = Target::Absent,
            Read::Forbidden => readable = false,
        }
        if !readable {
            unreadable.push("secrets");
        }
        if matches!(seen.target, Target::Absent) {
            let mut others = caller.configs(false, None).await?;
            others.retain(|other| other.target_name() == config.target_name() && other.uid() != config.uid());
            seen.older_claim = older_claim(&config, others.into_iter().map(Arc::new));
        }
        Ok(Self { seen, unreadable })
    }
}

/// The DataRobot that the config names.
async fn data_robot(
    caller: &Caller,
    seen: &Observed,
    secrets: &Api<Secret>,
    readable: &mut bool,
    unreadable: &mut Vec<&'static str>,
) -> Result<Option<SeenDataRobot>, Failed> {
    let config = &seen.config;
    let Some(asked) = config.spec.push.as_ref().and_then(|push| push.data_robot.as_ref()) else { return Ok(None) };
    let instance = match get::<DataRobotInstance>(&Api::all(caller.client.clone()), &asked.instance).await? {
        Read::Found(instance) => Some(Arc::new(instance)),
        Read::Absent => None,
        Read::Forbidden => {
            unreadable.push("datarobotinstances");
            None
        }
    };
    let labels = seen.namespace_labels.as_ref();
    let allowed = instance.as_ref().and_then(|instance| data_robot_access::allowed_to(config, instance, labels));
    let own_token = asked.token_secret_ref.clone();
    let token_version = match &own_token {
        // As in `Views::offered_token`.
        Some(named) => {
            match reading("cannot read the Secret with the token", secrets.get_metadata_opt(&named.name).await)? {
                Read::Found(Some(found)) if found.labels().contains_key(names::AWS_CONFIG_LABEL) => None,
                Read::Found(Some(found)) => found.resource_version().filter(|_| is_offered(&found.metadata)),
                Read::Found(None) | Read::Absent => None,
                Read::Forbidden => {
                    *readable = false;
                    None
                }
            }
        }
        None => None,
    };
    Ok(Some(SeenDataRobot { name: asked.instance.clone(), instance, allowed, own_token, token_version }))
}

/// The `AwsRole` of this name.
async fn role_named(roles: &Api<AwsRole>, name: &str, unreadable: &mut Vec<&'static str>) -> Result<SeenRole, Failed> {
    Ok(match get(roles, name).await? {
        Read::Found(role) => SeenRole::Shown(Arc::new(role)),
        Read::Absent => SeenRole::Absent,
        Read::Forbidden => {
            if !unreadable.contains(&"awsroles") {
                unreadable.push("awsroles");
            }
            SeenRole::NotShown
        }
    })
}

/// The name of the cluster, as the external ID in status has it.
fn cluster_of(config: &AwsConfig) -> String {
    let namespace = format!("/{}", config.namespace().unwrap_or_default());
    let external_id = config.status.as_ref().and_then(|status| status.external_id.as_deref());
    external_id.and_then(|id| id.strip_suffix(&namespace)).unwrap_or_default().to_owned()
}

/// The DSS that a config names. What DSS itself says of users is in the memory of the operator
/// only. The role that status has recorded stands for it.
fn dss_of(seen: &Observed, instance: Option<DssInstance>) -> SeenDss {
    let allowed = allowed_to(&seen.config, instance.as_ref(), seen.namespace_labels.as_ref());
    SeenDss {
        admin_keys: allowed.as_ref().is_some_and(|allowed| allowed.admin_keys),
        push: allowed.as_ref().is_some_and(|allowed| allowed.push),
        login: allowed.map(|allowed| allowed.login),
        instances_seen: instance.is_some(),
        instance: instance.map(Arc::new),
        user: SeenUser::Unread,
        fresh: true,
        trouble: None,
    }
}

/// The Secret with a key that a config names. Its data is not read: the operator has judged it.
async fn source<K>(secrets: &Api<Secret>, name: &str, readable: &mut bool) -> Result<Source<K>, Failed> {
    let tried = format!("cannot read Secret \"{name}\"");
    Ok(match reading(&tried, secrets.get_metadata_opt(name).await)? {
        Read::Found(Some(found)) if !is_offered(&found.metadata) => Source::NotOffered,
        Read::Found(Some(found)) => Source::Offered { version: found.resource_version(), key: SeenKey::Delivered },
        Read::Found(None) | Read::Absent => Source::Absent,
        Read::Forbidden => {
            *readable = false;
            Source::NotShown
        }
    })
}

async fn get<K>(api: &Api<K>, name: &str) -> Result<Read<K>, Failed>
where
    K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()>,
{
    reading(&format!("cannot read {} \"{name}\"", K::kind(&())), api.get(name).await)
}

fn reading<T>(tried: &str, answered: Result<T, kube::Error>) -> Result<Read<T>, Failed> {
    match answered {
        Ok(found) => Ok(Read::Found(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Read::Absent),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Read::Forbidden),
        Err(error) => Err(Failed::of_call(tried, &error)),
    }
}
