//! The reconcile of a `DssInstance`: keyturn reads its admin key, its users and keyturn's own API keys once for all configs
//! that use it, and enqueues the configs that something new concerns.

use crate::{
    api::{
        AuthScheme, ConditionType, DssInstance, DssInstanceStatus, Reason, Statement, condition, names,
        same_ignoring_times, set_conditions,
    },
    clock::{Clock, whole_seconds},
    cluster::{CallError, Calls, Failed, Watched, data_of},
    credentials::read_api_key,
    dss::{Dss, DssError, Kind, Scheme, SeenUser, Tls},
    dss_cache::DssCache,
    dss_keys::key_label_prefix,
    finalizers,
    reconcile::{Memory, until},
    schedule,
    views::{self, Views},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Enqueues the configs that use an instance: those with a login of which this holds, or all.
pub type EnqueueUsers = Arc<dyn Fn(&str, Option<&dyn Fn(&str) -> bool>) + Send + Sync>;

/// Everything that the look at an instance works with. One for all scopes.
#[derive(Clone)]
pub struct InstanceContext {
    /// Half of every label.
    pub cluster_name: Arc<str>,
    /// The only source of time.
    pub clock: Clock,
    /// What we ask of the API server.
    pub calls: Calls,
    /// All instances.
    pub instances: Watched<DssInstance>,
    /// The views of every scope.
    pub views: Arc<[Views]>,
    /// What is known of every DSS.
    pub dss_cache: DssCache,
    /// What this process remembers.
    pub memory: Arc<Memory>,
    /// When this process started.
    pub started_at: Timestamp,
    /// Whether every instance is of interest. Who serves some namespaces only has to do with those that are used there:
    /// others may be another release's.
    pub all: bool,
    /// Enqueues the configs that something new concerns.
    pub enqueue_users: EnqueueUsers,
}

/// What came of a reading.
struct Reading {
    version: Option<String>,
    reachable: Result<(), Statement>,
    authorized: Result<(), Statement>,
    users_read_at: Option<Timestamp>,
    /// Whether the personal keys were listed, too.
    keys_read: bool,
    /// How long DSS asked to be left alone.
    retry_after: SignedDuration,
}

/// How often it is looked whether an instance is used by now, or, if it is being deleted, no longer. Costs no call.
const GLANCE: SignedDuration = SignedDuration::from_secs(5);

/// Looks at an instance. Returns when to look again.
///
/// # Errors
/// If the API server refused or did not answer a call.
#[tracing::instrument(name = "instance", skip_all, fields(name = instance.name_any()))]
pub async fn reconcile(instance: Arc<DssInstance>, context: &InstanceContext) -> Result<Duration, CallError> {
    let name = instance.name_any();
    for views in context.views.iter() {
        if !views.synced().await {
            return Ok(views::SYNC_WAIT);
        }
    }
    let Some(instance) = context.instances.get("", &name) else {
        context.dss_cache.forget(&name);
        return Ok(until(context.clock.now(), None));
    };
    let has_keys = || context.views.iter().any(|views| views.has_keys_in(&name));
    let has_finalizer = finalizers::is_kept(&instance);
    let now = context.clock.now();
    if !is_ours(context, &instance, has_finalizer, now) {
        return Ok(until(now, now.saturating_add(GLANCE).ok()));
    }
    if let Some(Time(deleted)) = &instance.metadata.deletion_timestamp {
        let given_up = schedule::is_given_up(*deleted, context.started_at, now);
        if context.dss_cache.dss(&name).is_none() && has_finalizer {
            // A process that has just started has to be able to delete the keys, too.
            let _ = reach(context, &instance).await?;
        }
        return cleanup(context, &instance, has_finalizer, has_keys(), given_up).await;
    }
    let reading = read(context, &instance, has_finalizer || has_keys()).await?;
    let now = context.clock.now();
    let fine = reading.reachable.is_ok() && reading.authorized.is_ok();
    let retry_after = reading.retry_after;
    report(context, &instance, reading, now).await?;
    // The finalizer is there while there may be a key; the configs' own say whether there may.
    if has_finalizer && !has_keys() {
        remove_finalizer(context, &instance).await?;
    }
    let uid = instance.uid().unwrap_or_default();
    let refresh = instance.spec.refresh.length().unwrap_or(schedule::RESYNC);
    let wait = if fine {
        context.memory.call_succeeded(&uid);
        refresh
    } else {
        context.memory.call_failed(&uid).max(retry_after).min(refresh)
    };
    Ok(until(now, now.saturating_add(wait).ok()))
}

/// Whether an instance is any business of this operator's. One that serves some namespaces only leaves alone what nobody
/// uses there: the finalizer on it may be another release's. It sees to what it has spoken to until no key is left; and
/// to one that is being deleted and that nobody saw to for so long.
fn is_ours(context: &InstanceContext, instance: &DssInstance, has_finalizer: bool, now: Timestamp) -> bool {
    let name = instance.name_any();
    let used = || context.views.iter().any(|views| views.is_used(&name));
    let spoken_to = || context.dss_cache.dss(&name).is_some();
    let going = instance.metadata.deletion_timestamp.as_ref();
    let left = || going.is_some_and(|Time(since)| now.duration_since(*since) > schedule::GIVE_UP);
    context.all || used() || (has_finalizer && (spoken_to() || left()))
}

async fn read(context: &InstanceContext, instance: &DssInstance, keys: bool) -> Result<Reading, CallError> {
    let name = instance.name_any();
    let mut reading = Reading {
        version: None,
        reachable: Ok(()),
        authorized: Ok(()),
        users_read_at: None,
        keys_read: false,
        retry_after: SignedDuration::ZERO,
    };
    let dss = match reach(context, instance).await? {
        Ok(dss) => dss,
        Err(statement) => {
            // Without its key it is no longer spoken to: who takes the key away means that.
            context.dss_cache.lose(&name, DssError::not_spoken_to(&name));
            reading.reachable = Err(Statement::new(Reason::Pending, "it has not been tried"));
            reading.authorized = Err(statement);
            return Ok(reading);
        }
    };
    let had_trouble = context.dss_cache.trouble(&name).is_some();
    let answered = async {
        // Some releases may have no such route, and say so as a proxy would. Only who does not answer, or does not know
        // the key, is asked nothing more.
        match dss.version().await {
            Ok(version) => reading.version = version,
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Unauthenticated) => return Err(error),
            Err(_) => {}
        }
        let began = context.clock.now();
        Ok((began, dss.users().await?))
    };
    match answered.await {
        Ok((began, users)) => {
            tracing::debug!(users = users.len(), "read the users of DSS");
            reading.users_read_at = Some(began);
            let changed = context.dss_cache.learn_users(&name, began, users);
            // At once: whatever else is asked of DSS may fail. Who is in no listing is asked for by name after each.
            let concerned =
                |login: &str| changed.contains(login) || context.dss_cache.user(&name, login) == SeenUser::Unlisted;
            (context.enqueue_users)(&name, if had_trouble { None } else { Some(&concerned) });
        }
        Err(error) => {
            judge(&mut reading, &error);
            context.dss_cache.failed(&name, error);
            if !had_trouble {
                (context.enqueue_users)(&name, None);
            }
            return Ok(reading);
        }
    }
    if keys {
        match context.dss_cache.list_keys_anew(&name, &dss, &key_label_prefix(&context.cluster_name)).await {
            Ok(changed) => {
                reading.keys_read = true;
                if changed {
                    (context.enqueue_users)(&name, None);
                }
            }
            // It concerns nobody: what is known of keys stays known.
            Err(error) => judge(&mut reading, &error),
        }
    }
    Ok(reading)
}

/// The DSS, spoken to with the admin key as it is now.
async fn reach(context: &InstanceContext, instance: &DssInstance) -> Result<Result<Dss, Statement>, CallError> {
    let spec = &instance.spec;
    let named = &spec.api_key_secret_ref;
    let denied = |what: String| Ok(Err(Statement::new(Reason::DssDenied, what)));
    let secret = match context.calls.secret(&named.namespace, &named.name).await {
        Err(error) if error.failed == Failed::Forbidden => {
            return denied(format!(
                "{error}; where keyturn serves some namespaces only, dss.adminKeySecrets of its chart names the Secrets that it may read"
            ));
        }
        secret => secret?,
    };
    let Some(secret) = secret else {
        return denied(format!(
            "Secret \"{}/{}\", which apiKeySecretRef names, does not exist",
            named.namespace, named.name
        ));
    };
    let key = match read_api_key(&data_of(secret), &named.key) {
        Ok(key) => key,
        Err(why) => return denied(format!("Secret \"{}/{}\" holds no admin key: {why}", named.namespace, named.name)),
    };
    let tls = Tls { ca_bundle: spec.ca_bundle.clone(), insecure_skip_verify: spec.insecure_skip_verify };
    let scheme = match spec.auth_scheme {
        AuthScheme::Basic => Scheme::Basic,
        AuthScheme::Bearer => Scheme::Bearer,
    };
    let reached = context.dss_cache.reach(&instance.name_any(), &spec.url, &key, scheme, &tls);
    Ok(reached.map_err(|error| Statement::new(Reason::InvalidSpec, error.to_string())))
}

fn judge(reading: &mut Reading, error: &DssError) {
    reading.retry_after = error.retry_after.and_then(|wait| wait.try_into().ok()).unwrap_or_default();
    let statement = |reason, what: &str| Err(Statement::new(reason, format!("{what}{error}")));
    if error.kind.passes() {
        reading.reachable = statement(Reason::DssUnreachable, "");
        reading.authorized = statement(Reason::DssUnreachable, "not known: ");
    } else if error.kind == Kind::Unauthenticated {
        reading.authorized =
            statement(Reason::DssDenied, "DSS does not know the admin key; put a valid one into its Secret: ");
    } else {
        let what =
            "the admin key lacks a right; it has to be a global API key with admin rights, or an administrator's: ";
        reading.authorized = statement(Reason::DssDenied, what);
    }
}

async fn report(
    context: &InstanceContext,
    instance: &DssInstance,
    reading: Reading,
    now: Timestamp,
) -> Result<(), CallError> {
    let before = instance.status.clone().unwrap_or_default();
    let make = |type_: ConditionType, outcome: &Result<(), Statement>, fine: &str| {
        let generation = instance.metadata.generation;
        match outcome {
            Ok(()) => condition(type_, true, &Statement::new(Reason::Granted, fine), generation, now),
            Err(statement) => condition(type_, false, statement, generation, now),
        }
    };
    let reachable = make(ConditionType::Reachable, &reading.reachable, "DSS answers");
    let may =
        if reading.keys_read { "the admin key may read users and API keys" } else { "the admin key may read users" };
    let authorized = make(ConditionType::Authorized, &reading.authorized, may);
    // Who cannot be reached says nothing about rights: what was last true stays.
    let known = before.conditions.iter().find(|condition| condition.type_ == authorized.type_);
    let authorized = match (&reading.reachable, known) {
        (Err(why), Some(known)) if why.reason == Reason::DssUnreachable => known.clone(),
        _ => authorized,
    };
    let told = before.users_read_at.as_ref().map(|Time(at)| *at);
    let after = DssInstanceStatus {
        observed_generation: instance.metadata.generation,
        conditions: set_conditions(&before.conditions, vec![reachable, authorized]),
        version: reading.version.or_else(|| before.version.clone()),
        users_read_at: reading
            .users_read_at
            .filter(|at| is_news(instance, told, *at))
            .or(told)
            .map(whole_seconds)
            .map(Time),
    };
    let same = same_ignoring_times(&before.conditions, &after.conditions)
        && before.version == after.version
        && before.users_read_at == after.users_read_at
        && before.observed_generation == after.observed_generation;
    if same {
        return Ok(());
    }
    for condition in after.conditions.iter().filter(|condition| condition.status == "False") {
        tracing::warn!(condition = condition.type_, reason = condition.reason, "{}", condition.message);
    }
    let name = instance.name_any();
    let write = context.calls.instance_status(&name, &after);
    context.instances.own_writes().write("", &name, write).await?;
    Ok(())
}

/// A time alone is no reason to write status: it is told to within a twentieth of `maxStale`.
fn is_news(instance: &DssInstance, told: Option<Timestamp>, at: Timestamp) -> bool {
    let most = instance.spec.max_stale.length().unwrap_or_default() / 20;
    told.is_none_or(|told| at.duration_since(told) >= most)
}

/// An instance that is being deleted stays until the API keys that were created in it are deleted; not for ever.
async fn cleanup(
    context: &InstanceContext,
    instance: &DssInstance,
    has_finalizer: bool,
    has_keys: bool,
    given_up: bool,
) -> Result<Duration, CallError> {
    let now = context.clock.now();
    if has_finalizer {
        if has_keys && !given_up {
            (context.enqueue_users)(&instance.name_any(), None);
            return Ok(until(now, now.saturating_add(GLANCE).ok()));
        }
        if has_keys {
            let prefix = key_label_prefix(&context.cluster_name);
            tracing::error!(
                prefix,
                "API keys whose label begins so may be left in this DSS: they could not be deleted in time"
            );
        }
        remove_finalizer(context, instance).await?;
    }
    Ok(until(now, None))
}

async fn remove_finalizer(context: &InstanceContext, instance: &DssInstance) -> Result<(), CallError> {
    let is_ours = |finalizer: &str| finalizer == names::DSS_INSTANCE_FINALIZER;
    finalizers::remove(&context.calls, &context.instances, instance, is_ours).await
}
