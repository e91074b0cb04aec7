//! Collects the input of a decision. The views answer nearly everything. Only a read that the
//! decision asks for makes a call.

use crate::{
    act::Context,
    api::{AwsConfig, AwsRole, ConditionType, DssInstance, Reason, RoleArn, TokenSecretRef, find_condition},
    cluster::CallError,
    decide::{
        Read, Refusal,
        data_robot_access::{self, SeenDataRobot},
        dss_access::{SeenDss, allowed_to, is_fresh, role_of},
        input::{Observed, SeenRole, beyond_limit, older_claim, role_name},
        renew_at,
        target::Target,
    },
    dss::SeenUser,
    dss_keys::{KeyPlace, key_label},
    finalizers,
    limit::Budget,
    push::{Place, Slot, System, recorded, wanted_names},
    schedule, sources,
    stores::{A_RECONCILE, NotAsked},
    views::is_abridged,
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::{collections::BTreeMap, sync::Arc};

/// Collects what the views, the cache of DSS and the memory hold about a config. `None` if the
/// config is gone or is being deleted: garbage collection then deletes what it owns.
pub(super) fn observe(context: &Context, config: &AwsConfig) -> Option<Observed> {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let views = &context.views;
    let config = views.configs.get(&namespace, &name)?;
    if config.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let namespace_labels = views.namespaces.get("", &namespace).map(|namespace| namespace.labels().clone());
    let dss = seen_dss(context, &config, namespace_labels.as_ref(), context.clock.now());
    let data_robot = seen_data_robot(context, &config, namespace_labels.as_ref());
    let asked_role = role_of(&config, dss.as_ref());
    let (role, other_roles) = roles(context, &config, &asked_role);
    let profile_roles = profile_roles(context, &config);
    let remembered = context.memory.recall(&config.uid().unwrap_or_default());
    let target = match views.secrets.get(&namespace, &config.target_name()) {
        Some(secret) => Target::of(&config, &secret.metadata, remembered.known_version.as_deref()),
        None => Target::NotWatched,
    };
    // The configs of the namespace are read only if there are more than the limit allows.
    let limit = context.configs_per_namespace.filter(|limit| views.number_in(&namespace) > *limit);
    Some(Observed {
        beyond_limit: beyond_limit(&config, limit, || views.configs_in(&namespace)),
        push_taken: push_taken(context, &config, dss.as_ref(), data_robot.as_ref()),
        max_age: context.max_age,
        brake: context.brake.seen(&config.uid().unwrap_or_default()),
        cluster: context.cluster_name.clone(),
        namespace_labels,
        dss,
        data_robot,
        key_places: key_places(context, &config),
        asked_role,
        grants: views.grants_about(&namespace),
        identity: context.sts.identity().cloned(),
        grants_seen: views.grants.has_shown_any(),
        role,
        other_roles,
        profile_roles,
        source: sources::shown_key(views, &config, remembered.known_source.as_deref()),
        older_claim: older_claim(&config, views.others_wanting_target(&config)),
        api_key_source: sources::shown_api_key(
            views,
            &config,
            target.record(),
            remembered.known_api_key_source.as_deref(),
        ),
        target,
        has_turn: context.sts_budget.has_turn(&config.uid().unwrap_or_default()),
        remembered,
        started_at: context.started_at,
        config,
    })
}

/// Whether the view keeps only a part of the target's metadata, and the config asks for labels or
/// annotations that may be in the other part. A decision without them would repair what is intact.
pub(super) fn lacks_metadata(seen: &Observed) -> bool {
    let asks = seen.config.spec.target.as_ref().is_some_and(|it| !it.labels.is_empty() || !it.annotations.is_empty());
    asks && matches!(&seen.target, Target::Ours(ours) if is_abridged(&ours.metadata))
}

/// Makes a read that a decision asks for, and records the answer in `seen`. Returns `false` if it
/// was not made, because others come first.
///
/// # Errors
/// [`CallError`] if the API server refused the call or did not answer.
pub(super) async fn read(
    context: &Context,
    budget: &Budget,
    what: Read,
    seen: &mut Observed,
) -> Result<bool, CallError> {
    match what {
        Read::Role => find_role(context, seen).await?,
        Read::ProfileRoles => find_profile_roles(context, seen).await?,
        Read::KeySource => seen.source = sources::find_key(&context.calls, &seen.config).await?,
        Read::Key => seen.source = sources::read_key(&context.calls, &seen.config).await?,
        Read::DssUser => return Ok(find_user(context, budget, seen).await),
        Read::ApiKeySource => seen.api_key_source = sources::find_api_key(&context.calls, &seen.config).await?,
        Read::ApiKey => seen.api_key_source = sources::read_api_key(&context.calls, &seen.config).await?,
        Read::Target => find_target(context, seen).await?,
        Read::TargetData => seen.target = context.read_target(seen).await?,
        Read::Turn => {
            let uid = seen.config.uid().unwrap_or_default();
            seen.brake.turn = Some(context.brake.take(&uid, context.clock.now()));
        }
    }
    Ok(true)
}

/// Returns the `AwsRole` that the config asks for, and the other roles that name the config as
/// theirs.
fn roles(
    context: &Context,
    config: &AwsConfig,
    asked: &Result<Option<RoleArn>, Refusal>,
) -> (SeenRole, Vec<Arc<AwsRole>>) {
    let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
    let role = role_name(config, asked.as_ref().ok().and_then(Option::as_ref));
    let others = context.views.roles_beside(&namespace, &name, role.as_deref()).collect();
    let role = role.and_then(|role| context.views.roles.get(&namespace, &role));
    (role.map_or(SeenRole::NotShown, SeenRole::Shown), others)
}

/// Returns the `AwsRole`s that the profiles of the config name, by name.
fn profile_roles(context: &Context, config: &AwsConfig) -> BTreeMap<String, SeenRole> {
    let namespace = config.namespace().unwrap_or_default();
    let named = config.spec.profiles.iter().filter_map(|profile| profile.active_role_ref.as_ref());
    let seen = named.map(|named| {
        let role = context.views.roles.get(&namespace, &named.name);
        (named.name.clone(), role.map_or(SeenRole::NotShown, SeenRole::Shown))
    });
    seen.collect()
}

/// Collects what is known of the DSS that a config names. `None` if it names none.
fn seen_dss(
    context: &Context,
    config: &AwsConfig,
    labels: Option<&BTreeMap<String, String>>,
    now: Timestamp,
) -> Option<SeenDss> {
    let named = &config.spec.dss.as_ref()?.instance;
    let views = &context.views;
    let instance = views.instances.get("", named);
    let allowed = allowed_to(config, instance.as_deref(), labels);
    let admin_keys = allowed.as_ref().is_some_and(|allowed| allowed.admin_keys);
    let push = allowed.as_ref().is_some_and(|allowed| allowed.push);
    let login = allowed.map(|allowed| allowed.login);
    let user = login.as_deref().map_or(SeenUser::Unread, |login| context.dss_cache.user(named, login));
    let (read_at, trouble) = (context.dss_cache.users_read_at(named), context.dss_cache.trouble(named));
    let fresh = instance.as_ref().is_some_and(|instance| is_fresh(instance, read_at, trouble.is_none(), now));
    let instances_seen = views.instances.has_shown_any();
    Some(SeenDss { instance, instances_seen, login, admin_keys, push, user, fresh, trouble })
}

/// Collects what is known of the DataRobot that a config names. `None` if it names none.
fn seen_data_robot(
    context: &Context,
    config: &AwsConfig,
    labels: Option<&BTreeMap<String, String>>,
) -> Option<SeenDataRobot> {
    let asked = config.spec.push.as_ref()?.data_robot.as_ref()?;
    let instance = context.views.data_robots.get("", &asked.instance);
    let allowed = instance.as_ref().and_then(|instance| data_robot_access::allowed_to(config, instance, labels));
    let shown =
        |token: &TokenSecretRef| context.views.offered_token(&config.namespace().unwrap_or_default(), &token.name);
    let own_token = asked.token_secret_ref.clone();
    let token_version = own_token.as_ref().and_then(shown);
    Some(SeenDataRobot { name: asked.instance.clone(), instance, allowed, own_token, token_version })
}

/// The places of `spec.push` that another config has or comes first for. Configs of the same
/// account could otherwise overwrite each other's entries, because DSS does not say whose an entry
/// is, and the names of a DataRobot account are unique.
///
/// A config whose status records a place keeps it, because keyturn may have written there even if
/// the system gave no answer. If two have recorded the same place before the first answer, the
/// older one keeps it. Of configs that only ask for a place, the older one comes first, as with
/// targets.
fn push_taken(
    context: &Context,
    config: &AwsConfig,
    dss: Option<&SeenDss>,
    data_robot: Option<&SeenDataRobot>,
) -> BTreeMap<Slot, String> {
    let mut taken = BTreeMap::new();
    for (slot, name) in wanted_names(config.spec.push.as_deref()) {
        let Some(place) = asked_place(config, dss, data_robot, slot, name) else { continue };
        let own = recorded(config.pushed(), slot).filter(|own| Place::of(slot, own) == place);
        if own.is_some_and(|own| own.digest.is_some()) {
            continue;
        }
        let others = context.views.configs_pushing(slot, &place.instance, &place.name);
        let first = others.filter(|other| other.uid() != config.uid()).find(|other| {
            if place.token.is_some() && other.namespace() != config.namespace() {
                return false;
            }
            let is_older = other.age() < config.age();
            let theirs = recorded(other.pushed(), slot).filter(|it| Place::of(slot, it).collides(&place));
            match (own, theirs) {
                (Some(_), Some(theirs)) => theirs.digest.is_some() || is_older,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (None, None) => is_older && is_asked_for(context, other, slot, &place),
            }
        });
        if let Some(first) = first {
            taken.insert(slot, format!("{}/{}", first.namespace().unwrap_or_default(), first.name_any()));
        }
    }
    taken
}

/// The place that a config asks for, if its instance allows it.
fn asked_place(
    config: &AwsConfig,
    dss: Option<&SeenDss>,
    data_robot: Option<&SeenDataRobot>,
    slot: Slot,
    name: String,
) -> Option<Place> {
    match slot.system() {
        System::Dss => {
            let dss = dss?;
            let (instance, login) = (dss.instance.as_ref()?.name_any(), dss.login.clone()?);
            Some(Place { slot, instance, login, name, token: None })
        }
        System::DataRobot => {
            let data_robot = data_robot.filter(|data_robot| data_robot.allowed.is_some())?;
            let (instance, token) = (data_robot.name.clone(), data_robot.own_token.clone());
            Some(Place { slot, instance, login: config.subject()?.to_string(), name, token })
        }
    }
}

/// Whether another config asks for a place, and its instance allows it.
fn is_asked_for(context: &Context, other: &AwsConfig, slot: Slot, place: &Place) -> bool {
    let asked = other.spec.push.as_deref().and_then(|push| slot.wanted_name(push));
    let Some(name) = asked.filter(|name| *name == place.name && other.metadata.deletion_timestamp.is_none()) else {
        return false;
    };
    let namespace = context.views.namespaces.get("", &other.namespace().unwrap_or_default());
    let labels = namespace.as_ref().map(|namespace| namespace.labels());
    match slot.system() {
        System::Dss => {
            let instance: Option<Arc<DssInstance>> = context.views.instances.get("", &place.instance);
            let allowed = allowed_to(other, instance.as_deref(), labels);
            allowed.is_some_and(|allowed| allowed.push && allowed.login == place.login)
        }
        System::DataRobot => {
            let seen = seen_data_robot(context, other, labels);
            asked_place(other, None, seen.as_ref(), slot, name).is_some_and(|asked| asked.collides(place))
        }
    }
}

/// The DSS instances in which the config may have API keys, as its finalizers say, with the keys
/// that are known.
fn key_places(context: &Context, config: &AwsConfig) -> Vec<KeyPlace> {
    let label = key_label(&context.cluster_name, config);
    let place = |instance: &str| KeyPlace {
        instance: instance.to_owned(),
        exists: context.views.instances.get("", instance).is_some(),
        keys: context.dss_cache.keys(instance, &label),
    };
    finalizers::key_places(config).map(place).collect()
}

/// Answers `Read::DssUser`: reads the user with the person's login from DSS. If DSS does not
/// answer, the user stays unread. Returns `false` if others come first and keyturn did not ask. A
/// renewal that is due does not wait for others.
async fn find_user(context: &Context, budget: &Budget, seen: &mut Observed) -> bool {
    let renewal = seen.target.record().and_then(|record| renew_at(seen, record));
    let is_due = renewal.is_some_and(|at| at <= context.clock.now());
    let Some(dss) = &mut seen.dss else { return true };
    let (Some(instance), Some(login)) = (&dss.instance, &dss.login) else { return true };
    let instance = instance.name_any();
    let Some(client) = context.dss_cache.dss(&instance) else { return true };
    let _place = if is_due {
        context.turns.take_due(&seen.config.namespace().unwrap_or_default())
    } else {
        match context.take_turn(&seen.config, 1) {
            Ok(place) => place,
            Err(_) => return false,
        }
    };
    let what = format!("looking for user \"{login}\"");
    match context.stores(budget).within(&instance, &what, A_RECONCILE, client.user(login)).await {
        Ok(Ok(user)) => {
            context.dss_cache.learn_user(&instance, login, context.clock.now(), user);
            dss.user = context.dss_cache.user(&instance, login);
        }
        Ok(Err(error)) | Err(NotAsked::Late(error)) => {
            dss.user = SeenUser::Unread;
            dss.trouble = Some(error);
        }
        Err(NotAsked::Saturated(_)) => {
            dss.user = SeenUser::Unread;
            dss.trouble = None;
        }
    }
    seen.asked_role = role_of(&seen.config, seen.dss.as_ref());
    (seen.role, seen.other_roles) = roles(context, &seen.config, &seen.asked_role);
    true
}

/// Answers `Read::Target`. The read is necessary because the watch shows only Secrets with
/// keyturn's label. keyturn reads only the metadata, because the Secret may belong to another
/// owner.
///
/// Before a first issue, keyturn asks the API server's watch cache. If the cache shows no Secret
/// and there is one, the creation of keyturn's own fails, keyturn keeps the session, and the next
/// read is an exact one. So the answer also holds for the next reconcile, if the config waited for
/// its turn to call STS in between. keyturn reads exactly each Secret that the cache does show,
/// because no decision may depend on a Secret that is gone.
async fn find_target(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let (namespace, name) = (seen.config.namespace().unwrap_or_default(), seen.config.target_name());
    if !had_a_secret(&seen.config) {
        let now = context.clock.now();
        let looked = seen.remembered.looked_at.filter(|at| now.duration_since(*at) < schedule::LOOKED);
        if looked.is_some() || context.calls.cached_secret_metadata(&namespace, &name).await?.is_none() {
            seen.remembered.looked_at = looked.or(Some(now));
            seen.target = Target::Absent;
            return Ok(());
        }
    }
    let found = context.calls.secret_metadata(&namespace, &name).await?;
    let known = seen.remembered.known_version.as_deref();
    seen.target = found.map_or(Target::Absent, |found| Target::of(&seen.config, &found.metadata, known));
    Ok(())
}

/// Whether status says that a Secret with the name of the target exists or existed: the config's
/// own, or another's.
fn had_a_secret(config: &AwsConfig) -> bool {
    let Some(status) = &config.status else { return false };
    let is_foreign = find_condition(&status.conditions, ConditionType::Issued)
        .is_some_and(|issued| issued.reason == Reason::ForeignTarget.as_str());
    let own = status.target.as_ref().is_some_and(|target| target.content_digest.is_some());
    own || status.access_key_id.is_some() || is_foreign
}

/// Answers `Read::Role`. The view may not show a role yet that was created a moment ago.
async fn find_role(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    let asked = seen.asked_role.as_ref().ok().and_then(Option::as_ref);
    let Some(name) = role_name(&seen.config, asked) else { return Ok(()) };
    seen.role = read_role(context, &seen.config, &name).await?;
    Ok(())
}

/// Answers `Read::ProfileRoles`, in the same way.
async fn find_profile_roles(context: &Context, seen: &mut Observed) -> Result<(), CallError> {
    for (name, role) in &mut seen.profile_roles {
        if *role == SeenRole::NotShown {
            *role = read_role(context, &seen.config, name).await?;
        }
    }
    Ok(())
}

async fn read_role(context: &Context, config: &AwsConfig, name: &str) -> Result<SeenRole, CallError> {
    let namespace = config.namespace().unwrap_or_default();
    Ok(match context.calls.role(&namespace, name).await? {
        // The role that was read may be newer than the watch cache. Therefore it is laid over the
        // cache in the same way as our own writes.
        Some(role) => SeenRole::Shown(
            context.views.roles.own_writes().write(&namespace, name, async { Ok::<_, CallError>(role) }).await?,
        ),
        None => SeenRole::Absent,
    })
}
