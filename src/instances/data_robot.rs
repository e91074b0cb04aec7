//! The reconcile of a `DataRobotInstance`. keyturn reads the API token and asks DataRobot with it.

use super::{
    conditions::{Found, warn},
    others::any_config_has,
    secret::{self, Words},
};
use crate::{
    api::{DataRobotInstance, DataRobotInstanceStatus, Reason, Statement, names, same_ignoring_times},
    clock::Clock,
    cluster::{CallError, Calls, Watched},
    credentials::remedy_of_data_robot,
    data_robot::{DataRobot, DataRobots, Kind, RestError},
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

/// Enqueues the configs that use the named instance.
pub type EnqueueUsersOf = Arc<dyn Fn(&str) + Send + Sync>;

/// The handles that the reconcile of a `DataRobotInstance` works with. There is one for all scopes.
#[derive(Clone)]
pub struct DataRobotContext {
    /// The only source of time.
    pub clock: Clock,
    /// The calls to the API server.
    pub calls: Calls,
    /// The view of all `DataRobotInstance`s.
    pub instances: Watched<DataRobotInstance>,
    /// The views of every scope.
    pub views: Arc<[Views]>,
    /// The clients of every DataRobot.
    pub data_robots: DataRobots,
    /// What this process remembers of each object.
    pub memory: Arc<Memory>,
    /// The time at which this replica began to lead.
    pub started_at: Timestamp,
    /// The operator's part in what belongs to the whole cluster.
    pub duty: Duty,
    /// Enqueues the configs that use an instance.
    pub enqueue_users: EnqueueUsersOf,
}

/// The result of one look at a DataRobot.
struct Look {
    version: Option<String>,
    reachable: Result<(), Statement>,
    authorized: Result<(), Statement>,
    /// The time for which DataRobot asked not to be called again (`Retry-After`).
    retry_after: SignedDuration,
}

/// The time after which keyturn checks again whether an instance is used by now, or, if it is being
/// deleted, whether it holds no more credentials. The check costs no call.
const USE_CHECK: SignedDuration = SignedDuration::from_secs(5);

/// The same time if the configs of other shards count. The check lists the configs of the cluster.
const OTHERS_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// Reconciles one `DataRobotInstance`. Returns the time until the next reconcile.
///
/// The steps, in order:
///
/// 1. Wait two seconds at most until every view is synced. If one stays unsynced, requeue. (client)
/// 2. If the instance is gone, forget it. If it is not this operator's, check again after five
///    seconds. (client)
/// 3. Read the token, and ask DataRobot for its version and for a credential. (client)
/// 4. If the instance is being deleted, keep its finalizer until no config has a credential in it,
///    but not for ever. (client)
/// 5. Write the status if it says something new, unless another shard writes it. (client)
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer. The next reconcile decides
/// anew.
#[tracing::instrument(name = "datarobot", skip_all, fields(object = instance.name_any()))]
pub async fn reconcile_data_robot(
    instance: Arc<DataRobotInstance>,
    context: &DataRobotContext,
) -> Result<Duration, CallError> {
    let name = instance.name_any();
    for views in context.views.iter() {
        if !views.synced().await {
            return Ok(views::SYNC_WAIT);
        }
    }
    let Some(instance) = context.instances.get("", &name) else {
        context.data_robots.forget(&name);
        return Ok(until(context.clock.now(), None));
    };
    let now = context.clock.now();
    let used = context.views.iter().any(|views| views.is_data_robot_used(&name));
    let is_kept = finalizers::is_kept(instance.as_ref());
    let deleted_at = instance.metadata.deletion_timestamp.as_ref().map(|Time(at)| *at);
    let is_abandoned = deleted_at.is_some_and(|since| now.duration_since(since) > schedule::GIVE_UP);
    if !(context.duty.handles_every_instance() || used || (is_kept && is_abandoned)) {
        return Ok(until(now, now.saturating_add(USE_CHECK).ok()));
    }
    let uid = instance.uid().unwrap_or_default();
    let had_token = context.data_robots.token((&name, &uid)).is_some();
    let look = look(context, &instance).await?;
    if had_token != context.data_robots.token((&name, &uid)).is_some() {
        (context.enqueue_users)(&name);
    }
    let has_credentials = context.views.iter().any(|views| views.has_credentials_in(&name));
    if let Some(deleted_at) = deleted_at {
        if !context.duty.reports() {
            if has_credentials {
                (context.enqueue_users)(&name);
            }
            return Ok(until(now, now.saturating_add(USE_CHECK).ok()));
        }
        let is_seen = has_credentials;
        let has_credentials = is_seen
            || (is_kept
                && !context.duty.sees_every_user()
                && any_config_has(&context.calls, &finalizers::of_credentials_in(&name)).await?);
        let given_up = schedule::is_given_up(deleted_at, context.started_at, now);
        if is_kept && has_credentials && given_up {
            tracing::error!(
                "S3 credentials of keyturn may be left in this DataRobot: they could not be deleted in time; status.push.dataRobot of the \
                 AwsConfigs names them"
            );
        }
        let check = if is_seen { USE_CHECK } else { OTHERS_CHECK };
        return cleanup(context, &instance, is_kept, (has_credentials && !given_up).then_some(check)).await;
    }
    let (fine, retry_after) = (look.reachable.is_ok() && look.authorized.is_ok(), look.retry_after);
    report(context, &instance, look, context.clock.now()).await?;
    if is_kept && context.duty.sees_every_user() && !has_credentials {
        remove_finalizer(context, &instance).await?;
    }
    let wait = if fine {
        context.memory.call_succeeded(&uid);
        schedule::RESYNC
    } else {
        context.memory.call_failed(&uid).max(retry_after).min(schedule::RESYNC)
    };
    Ok(until(now, now.saturating_add(wait).ok()))
}

async fn look(context: &DataRobotContext, instance: &DataRobotInstance) -> Result<Look, CallError> {
    let (name, uid, spec) = (instance.name_any(), instance.uid().unwrap_or_default(), &instance.spec);
    let this = (name.as_str(), uid.as_str());
    let untried = |authorized: Statement| Look {
        version: None,
        reachable: Err(Statement::new(Reason::Pending, "it has not been tried")),
        authorized: Err(authorized),
        retry_after: SignedDuration::ZERO,
    };
    let client = match context.data_robots.client(this, &spec.endpoint(), spec.ca_bundle.as_deref()) {
        Ok(client) => client,
        Err(error) => return Ok(untried(Statement::new(Reason::InvalidSpec, error.to_string()))),
    };
    let words = Words { field: "tokenSecretRef", key: "API token", value: "dataRobot.tokenSecrets" };
    let token = match &spec.token_secret_ref {
        None => None,
        Some(it) => match secret::read(&context.calls, (&it.namespace, &it.name, &it.key), &words).await? {
            Ok(token) => Some(token),
            Err(why) => {
                // keyturn no longer calls a DataRobot without a token, because the admin removed
                // the token to stop it.
                context.data_robots.set_token(this, None);
                return Ok(untried(Statement::new(Reason::DataRobotDenied, why)));
            }
        },
    };
    context.data_robots.set_token(this, token.clone());
    Ok(match token {
        Some(token) => with_token(&client.with_token(&token)).await,
        None => without_token(&client).await,
    })
}

/// Asks with the token of the instance: for the version, and for one credential of the account.
async fn with_token(client: &DataRobot) -> Look {
    let version = match client.version().await {
        Ok(version) => version,
        Err(error) => return Look::failed(None, &error),
    };
    match client.may_list().await {
        Ok(()) => Look { version, reachable: Ok(()), authorized: Ok(()), retry_after: SignedDuration::ZERO },
        Err(error) => Look::failed(version, &error),
    }
}

/// Asks without a token. A refusal of DataRobot itself shows that it answers.
async fn without_token(client: &DataRobot) -> Look {
    match client.version().await {
        Err(error) if error.kind.passes() => Look::failed(None, &error),
        answer => Look {
            version: answer.ok().flatten(),
            reachable: Ok(()),
            authorized: Ok(()),
            retry_after: SignedDuration::ZERO,
        },
    }
}

impl Look {
    fn failed(version: Option<String>, error: &RestError) -> Self {
        let statement = |reason, what: &str| {
            Err(Statement::new(reason, format!("{what}{error}; {}", remedy_of_data_robot(error.kind))))
        };
        let (reachable, authorized) = if error.kind.passes() {
            let reason = Reason::DataRobotUnreachable;
            (statement(reason, ""), statement(reason, "not known: "))
        } else {
            let what = match error.kind {
                Kind::Unauthenticated => "DataRobot does not know the API token: ",
                Kind::Denied => "the API token lacks a right: ",
                _ => "DataRobot refuses what keyturn needs: ",
            };
            (Ok(()), statement(Reason::DataRobotDenied, what))
        };
        let retry_after = error.retry_after.and_then(|wait| wait.try_into().ok()).unwrap_or_default();
        Self { version, reachable, authorized, retry_after }
    }
}

async fn report(
    context: &DataRobotContext,
    instance: &DataRobotInstance,
    look: Look,
    now: Timestamp,
) -> Result<(), CallError> {
    if !context.duty.reports() {
        return Ok(());
    }
    let before = instance.status.clone().unwrap_or_default();
    let may = if instance.spec.token_secret_ref.is_some() {
        "DataRobot takes the API token"
    } else {
        "each AwsConfig brings an API token of its own"
    };
    let found = Found {
        reachable: &look.reachable,
        authorized: &look.authorized,
        answers: "DataRobot answers",
        may,
        unreachable: Reason::DataRobotUnreachable,
    };
    let generation = instance.metadata.generation;
    let after = DataRobotInstanceStatus {
        observed_generation: generation,
        conditions: found.conditions(&before.conditions, generation, now),
        version: look.version.or_else(|| before.version.clone()),
    };
    let same = same_ignoring_times(&before.conditions, &after.conditions)
        && (&before.version, before.observed_generation) == (&after.version, generation);
    if same {
        return Ok(());
    }
    warn(&before.conditions, &after.conditions);
    let name = instance.name_any();
    let write = context.calls.data_robot_status(&name, &after);
    context.instances.own_writes().write("", &name, write).await?;
    Ok(())
}

/// Cleans up an instance that is being deleted. It stays until the credentials that keyturn keeps
/// in it are deleted: it is looked at again after `waits`.
async fn cleanup(
    context: &DataRobotContext,
    instance: &DataRobotInstance,
    is_kept: bool,
    waits: Option<SignedDuration>,
) -> Result<Duration, CallError> {
    let now = context.clock.now();
    if let Some(wait) = waits.filter(|_| is_kept) {
        (context.enqueue_users)(&instance.name_any());
        return Ok(until(now, now.saturating_add(wait).ok()));
    }
    if is_kept {
        remove_finalizer(context, instance).await?;
    }
    Ok(until(now, None))
}

async fn remove_finalizer(context: &DataRobotContext, instance: &DataRobotInstance) -> Result<(), CallError> {
    let is_ours = |finalizer: &str| finalizer == names::DATA_ROBOT_INSTANCE_FINALIZER;
    finalizers::remove(&context.calls, &context.instances, instance, is_ours).await
}
