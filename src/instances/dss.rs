//! The reconcile of a `DssInstance`. keyturn reads the admin key, the users and keyturn's own API
//! keys of the DSS once, for all configs that use it. It enqueues the configs that a change
//! concerns.

use super::{
    conditions::{Found, warn},
    others::any_config_has,
    secret::{self, Words},
};
use crate::{
    api::{AuthScheme, DssInstance, DssInstanceStatus, Reason, Statement, names, same_ignoring_times},
    clock::{Clock, whole_seconds},
    cluster::{CallError, Calls, Watched},
    credentials::remedy_of_dss,
    dss::{Dss, DssError, Kind, Scheme, SeenUser, Tls},
    dss_cache::DssCache,
    dss_keys::key_label_prefix,
    finalizers,
    memory::Memory,
    schedule::{self, until},
    shards::Duty,
    views::{self, Views},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// Enqueues the configs that use the named instance. If a predicate for logins is given, only the
/// configs are enqueued to which the instance allows a login that satisfies it, and those whose
/// login cannot be determined.
pub type EnqueueUsers = Arc<dyn Fn(&str, Option<&dyn Fn(&str) -> bool>) + Send + Sync>;

/// The handles that the reconcile of a `DssInstance` works with. There is one for all scopes.
#[derive(Clone)]
pub struct InstanceContext {
    /// The cluster's name, which is a part of the label of every API key.
    pub cluster_name: Arc<str>,
    /// The only source of time.
    pub clock: Clock,
    /// The calls to the API server.
    pub calls: Calls,
    /// The view of all `DssInstance`s.
    pub instances: Watched<DssInstance>,
    /// The views of every scope.
    pub views: Arc<[Views]>,
    /// The users and API keys of every DSS, as they were last read.
    pub dss_cache: DssCache,
    /// What this process remembers of each object.
    pub memory: Arc<Memory>,
    /// The time at which this replica began to lead.
    pub started_at: Timestamp,
    /// The operator's part in what belongs to the whole cluster.
    pub duty: Duty,
    /// Enqueues the configs that a change of users or keys concerns.
    pub enqueue_users: EnqueueUsers,
}

/// The result of one read of a DSS.
struct Reading {
    version: Option<String>,
    reachable: Result<(), Statement>,
    authorized: Result<(), Statement>,
    users_read_at: Option<Timestamp>,
    /// Whether the personal API keys were listed too.
    keys_read: bool,
    /// The time for which DSS asked not to be called again (`Retry-After`).
    retry_after: SignedDuration,
}

impl Reading {
    /// Nothing was read, because the API server did not let keyturn read the admin key. The
    /// connection to DSS stays as it was.
    fn of_unread_key(error: &CallError) -> Self {
        Self {
            version: None,
            reachable: Err(Statement::new(Reason::Pending, "it has not been tried")),
            authorized: Err(error.statement()),
            users_read_at: None,
            keys_read: false,
            retry_after: SignedDuration::ZERO,
        }
    }
}

/// The time after which keyturn checks again whether an instance is used by now, or, if it is being
/// deleted, whether it holds no more keys. The check costs no call.
const USE_CHECK: SignedDuration = SignedDuration::from_secs(5);

/// The same time if the configs of other shards count. The check lists the configs of the cluster.
const OTHERS_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// Reconciles one `DssInstance`. Returns the time until the next reconcile.
///
/// The steps, in order:
///
/// 1. Wait two seconds at most until every view is synced. If one stays unsynced, requeue. (client)
/// 2. If the instance is gone, remove it from the cache of DSS. If it is not this operator's, check
///    again after five seconds. (client)
/// 3. If it is being deleted, clean up and stop here. (client)
/// 4. Read the users and, if there may be any, the API keys of the DSS. Enqueue the configs that a
///    change concerns. (client)
/// 5. Write the status if it says something new, unless another shard writes it. (client)
/// 6. Remove the finalizer if no config can have a key in the instance. A shard removes it only
///    from an instance that is being deleted, because its views do not show all configs. (client)
/// 7. Determine the time of the next reconcile: after `spec.refresh`, or earlier after a failure.
///    (pure)
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer. The next reconcile decides
/// anew.
#[tracing::instrument(name = "instance", skip_all, fields(object = instance.name_any()))]
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
    let has_finalizer = finalizers::is_kept(instance.as_ref());
    let now = context.clock.now();
    if !is_ours(context, &instance, has_finalizer, now) {
        return Ok(until(now, now.saturating_add(USE_CHECK).ok()));
    }
    if let Some(Time(deleted)) = &instance.metadata.deletion_timestamp {
        let given_up = schedule::is_given_up(*deleted, context.started_at, now);
        if context.dss_cache.dss(&name).is_none() && has_finalizer {
            // A process that has just started has no client of the DSS yet, and must be able to
            // delete the keys too.
            let _ = reach(context, &instance).await?;
        }
        if !context.duty.reports() {
            if has_keys() {
                (context.enqueue_users)(&name, None);
            }
            return Ok(until(now, now.saturating_add(USE_CHECK).ok()));
        }
        let left = if has_keys() {
            Left::Seen
        } else if has_finalizer
            && !context.duty.sees_every_user()
            && any_config_has(&context.calls, &finalizers::of_keys_in(&name)).await?
        {
            Left::InOtherShards
        } else {
            Left::Nothing
        };
        return cleanup(context, &instance, has_finalizer, left, given_up).await;
    }
    let uid = instance.uid().unwrap_or_default();
    let reading = match read(context, &instance, has_finalizer || has_keys()).await {
        Ok(reading) => reading,
        Err(error) => {
            if error.is_persistent(context.memory.failed_calls_of(&uid)) {
                // A process that has never connected says so to the configs that wait for it.
                if context.dss_cache.dss(&name).is_none() && context.dss_cache.trouble(&name).is_none() {
                    context.dss_cache.failed(&name, DssError::not_connected(format!("DssInstance \"{name}\"")));
                    (context.enqueue_users)(&name, None);
                }
                report(context, &instance, Reading::of_unread_key(&error), context.clock.now()).await?;
            }
            return Err(error);
        }
    };
    let now = context.clock.now();
    let fine = reading.reachable.is_ok() && reading.authorized.is_ok();
    let retry_after = reading.retry_after;
    report(context, &instance, reading, now).await?;
    // The finalizer of the instance stays for as long as there may be a key in it. The finalizers
    // of the configs say whether there may.
    if has_finalizer && context.duty.sees_every_user() && !has_keys() {
        remove_finalizer(context, &instance).await?;
    }
    let refresh = instance.spec.refresh.length().unwrap_or(schedule::RESYNC);
    let wait = if fine {
        context.memory.call_succeeded(&uid);
        refresh
    } else {
        context.memory.call_failed(&uid).max(retry_after).min(refresh)
    };
    Ok(until(now, now.saturating_add(wait).ok()))
}

/// Whether this operator handles an instance. An operator that serves some namespaces only leaves
/// an instance alone that no config uses there, because the finalizer on it may be another
/// release's.
///
/// It keeps managing an instance that it has connected to until the instance holds no more of our
/// keys. It also takes over an instance whose deletion nobody has handled for
/// [`schedule::GIVE_UP`].
fn is_ours(context: &InstanceContext, instance: &DssInstance, has_finalizer: bool, now: Timestamp) -> bool {
    let name = instance.name_any();
    let used = || context.views.iter().any(|views| views.is_used(&name));
    let is_connected = || context.dss_cache.dss(&name).is_some();
    let deleted_at = instance.metadata.deletion_timestamp.as_ref();
    let is_abandoned = || deleted_at.is_some_and(|Time(since)| now.duration_since(*since) > schedule::GIVE_UP);
    context.duty.handles_every_instance() || used() || (has_finalizer && (is_connected() || is_abandoned()))
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
            // keyturn no longer calls a DSS without an admin key, because the admin removed the key
            // to stop it.
            context.dss_cache.lose(&name, DssError::not_connected(format!("DssInstance \"{name}\"")));
            reading.reachable = Err(Statement::new(Reason::Pending, "it has not been tried"));
            reading.authorized = Err(statement);
            return Ok(reading);
        }
    };
    let had_trouble = context.dss_cache.trouble(&name).is_some();
    let answered = async {
        // Some releases of DSS may lack this route, and answer as a proxy would. Therefore keyturn
        // goes on after other failures. It stops only if DSS does not answer, or does not know the
        // admin key.
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
            // The configs are enqueued at once, because a later request to DSS may fail. A login
            // that no listing contains is read by name after each listing, therefore its config is
            // enqueued too.
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
            // This failure concerns no config, because the keys that are known stay known.
            Err(error) => judge(&mut reading, &error),
        }
    }
    Ok(reading)
}

/// Returns the client of the DSS, with the admin key that is in the Secret now. The inner error
/// says why there is none.
async fn reach(context: &InstanceContext, instance: &DssInstance) -> Result<Result<Dss, Statement>, CallError> {
    let spec = &instance.spec;
    let named = &spec.api_key_secret_ref;
    let named = (named.namespace.as_str(), named.name.as_str(), named.key.as_str());
    let words = Words { field: "apiKeySecretRef", key: "admin key", value: "dss.adminKeySecrets" };
    let key = match secret::read(&context.calls, named, &words).await? {
        Ok(key) => key,
        Err(why) => return Ok(Err(Statement::new(Reason::DssDenied, why))),
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
    let statement =
        |reason, what: &str| Err(Statement::new(reason, format!("{what}{error}; {}", remedy_of_dss(error))));
    if error.kind.passes() {
        reading.reachable = statement(Reason::DssUnreachable, "");
        reading.authorized = statement(Reason::DssUnreachable, "not known: ");
    } else if error.kind == Kind::Unauthenticated {
        reading.authorized = statement(Reason::DssDenied, "DSS does not know the admin key: ");
    } else if error.kind == Kind::Denied {
        reading.authorized = statement(Reason::DssDenied, "the admin key lacks a right: ");
    } else {
        reading.authorized = statement(Reason::DssDenied, "DSS refuses what keyturn needs: ");
    }
}

async fn report(
    context: &InstanceContext,
    instance: &DssInstance,
    reading: Reading,
    now: Timestamp,
) -> Result<(), CallError> {
    if !context.duty.reports() {
        return Ok(());
    }
    let before = instance.status.clone().unwrap_or_default();
    let may =
        if reading.keys_read { "the admin key may read users and API keys" } else { "the admin key may read users" };
    let found = Found {
        reachable: &reading.reachable,
        authorized: &reading.authorized,
        answers: "DSS answers",
        may,
        unreachable: Reason::DssUnreachable,
    };
    let recorded = before.users_read_at.as_ref().map(|Time(at)| *at);
    let after = DssInstanceStatus {
        observed_generation: instance.metadata.generation,
        conditions: found.conditions(&before.conditions, instance.metadata.generation, now),
        version: reading.version.or_else(|| before.version.clone()),
        users_read_at: reading
            .users_read_at
            .filter(|at| is_to_be_recorded(instance, recorded, *at))
            .or(recorded)
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
    warn(&before.conditions, &after.conditions);
    let name = instance.name_any();
    let write = context.calls.instance_status(&name, &after);
    context.instances.own_writes().write("", &name, write).await?;
    Ok(())
}

/// Whether the time of the last listing is to be recorded. keyturn does not write the status for
/// every new time: the recorded time may be behind by a twentieth of `maxStale`.
fn is_to_be_recorded(instance: &DssInstance, recorded: Option<Timestamp>, at: Timestamp) -> bool {
    let most = instance.spec.max_stale.length().unwrap_or_default() / 20;
    recorded.is_none_or(|recorded| at.duration_since(recorded) >= most)
}

/// Where configs are that may have keys in an instance.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    /// Nowhere.
    Nothing,
    /// In a namespace of this operator.
    Seen,
    /// In a namespace that only another shard sees.
    InOtherShards,
}

/// Cleans up an instance that is being deleted. It stays until the API keys that keyturn created in
/// it are deleted, but not for ever.
async fn cleanup(
    context: &InstanceContext,
    instance: &DssInstance,
    has_finalizer: bool,
    left: Left,
    given_up: bool,
) -> Result<Duration, CallError> {
    let now = context.clock.now();
    if has_finalizer {
        if left != Left::Nothing && !given_up {
            (context.enqueue_users)(&instance.name_any(), None);
            let wait = if left == Left::InOtherShards { OTHERS_CHECK } else { USE_CHECK };
            return Ok(until(now, now.saturating_add(wait).ok()));
        }
        if left != Left::Nothing {
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
