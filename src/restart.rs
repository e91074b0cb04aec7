//! RESTART: workloads that read the credential from their environment, rolled after it was replaced (`spec.restart`).
//!
//! `decide` says which one of a namespace, and when; `workload` what it looks at. Here is what it takes from the cluster:
//! the named workloads are read when something is due and not before, and nothing is watched. What has been restarted
//! since the issue, and is over, is not read again until the next one. Only the leader gets here.

pub mod decide;
pub mod workload;

use crate::{
    api::{AwsConfig, ConditionType, RESTARTED_AT, Reason, Restart, Statement, WorkloadKind, find_condition},
    clock::whole_seconds,
    cluster::{CallError, Failed},
    reconcile::Context,
    report::EventNote,
};
use decide::{Candidate, Decision, Due, Found, Standing, decide, wish};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::{Resource, ResourceExt as _, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use workload::Workload;

/// How soon a restart is looked at that has just begun.
const BEGUN: SignedDuration = SignedDuration::from_secs(5);

/// What is done, so that it is not read again. Losing it costs a read of each workload.
#[derive(Debug, Default)]
pub struct Finished(Mutex<HashMap<String, HashMap<String, Issue>>>);

/// An issue, which its time alone does not tell from another of the same second, and the spec that it was for.
type Issue = (Option<Timestamp>, Option<String>, Option<i64>);

/// Looks at the workloads of one namespace and restarts one of them, if one is due. Returns when to look again, if ever
/// before something changes. `wake` lets a config tell what is found.
///
/// # Errors
/// If the API server refused or did not answer; the same is then decided anew.
#[tracing::instrument(name = "restart", skip_all, fields(namespace))]
pub async fn reconcile(
    namespace: &str,
    context: &Context,
    finished: &Finished,
    wake: impl Fn(&AwsConfig),
) -> Result<Option<Duration>, CallError> {
    let now = context.clock.now();
    let configs = context.views.configs_restarting(namespace);
    let is_known = finished.of(namespace, &configs);
    let (mut concerned, mut due, mut next) = (Vec::new(), Vec::new(), Timestamp::MAX);
    for config in &configs {
        let Some(wish) = wish(config).filter(|_| !is_known(config)) else {
            tell(context, config, &Standing::Done, &wake);
            continue;
        };
        if wish.due_at > now {
            next = next.min(wish.due_at);
            continue;
        }
        let found = find(context, namespace, &config.spec.restart).await?;
        concerned.push(config);
        due.push(Due { wish, found });
    }
    let Decision { candidates, mut standings, again_at } = decide(&due, now);
    next = again_at.map_or(next, |at| next.min(at));
    for candidate in candidates {
        match restart(context, namespace, &candidate).await {
            Ok(begun) => {
                next = next.min(begun);
                announce(context, concerned[candidate.whose], candidate.why).await;
                break;
            }
            Err(error) if matches!(error.failed, Failed::Forbidden | Failed::Invalid) => {
                standings[candidate.whose] = Standing::Blocked(Statement::new(Reason::RestartDenied, denied(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    for (config, standing) in concerned.into_iter().zip(&standings) {
        if *standing == Standing::Done {
            finished.learn(namespace, config);
        }
        tell(context, config, standing, &wake);
    }
    let wait = || Duration::try_from(next.duration_since(context.clock.now())).unwrap_or_default();
    Ok((next < Timestamp::MAX).then(wait))
}

/// Restarts a workload. Says when to look at it again: at once, if it is not as it was seen.
async fn restart(context: &Context, namespace: &str, candidate: &Candidate) -> Result<Timestamp, CallError> {
    let workload = &candidate.workload;
    let now = context.clock.now();
    let patched = match workload.kind {
        WorkloadKind::Deployment => patch::<Deployment>(context, namespace, workload, now).await,
        WorkloadKind::StatefulSet => patch::<StatefulSet>(context, namespace, workload, now).await,
        WorkloadKind::DaemonSet => patch::<DaemonSet>(context, namespace, workload, now).await,
    };
    patched.map(|()| now.saturating_add(BEGUN).unwrap_or(now))
}

async fn patch<K>(context: &Context, namespace: &str, workload: &Workload, now: Timestamp) -> Result<(), CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let seen = (workload.uid.as_deref(), workload.version.as_deref());
    let restarted_at = (RESTARTED_AT, whole_seconds(now));
    context.calls.restart_workload::<K>(namespace, &workload.name, seen, restarted_at).await.map(|_| ())
}

/// What there is of the workloads that a config names.
async fn find(context: &Context, namespace: &str, named: &[Restart]) -> Result<Vec<Found>, CallError> {
    let mut found = Vec::new();
    for restart in named {
        found.extend(match restart.kind {
            WorkloadKind::Deployment => read::<Deployment>(context, namespace, restart).await?,
            WorkloadKind::StatefulSet => read::<StatefulSet>(context, namespace, restart).await?,
            WorkloadKind::DaemonSet => read::<DaemonSet>(context, namespace, restart).await?,
        });
    }
    Ok(found)
}

async fn read<K>(context: &Context, namespace: &str, restart: &Restart) -> Result<Vec<Found>, CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    Workload: for<'a> From<&'a K>,
{
    let kind = restart.kind.as_str();
    let missing =
        |which: String| Found::Not(Statement::new(Reason::WorkloadMissing, format!("there is no {kind} {which}")));
    let (answer, which) = match (&restart.name, &restart.selector) {
        (Some(name), _) => {
            let answer = context.calls.workload::<K>(namespace, name).await;
            (answer.map(|workload| workload.into_iter().collect::<Vec<_>>()), format!("\"{name}\""))
        }
        (None, selector) => match selector.clone().unwrap_or_default().query() {
            Ok(labels) if !labels.is_empty() => {
                (context.calls.workloads::<K>(namespace, &labels).await, format!("with the labels {labels}"))
            }
            Ok(_) => return Ok(vec![]),
            Err(why) => {
                return Ok(vec![Found::Not(Statement::new(Reason::InvalidSpec, format!("spec.restart: {why}")))]);
            }
        },
    };
    match answer {
        Ok(workloads) if workloads.is_empty() => Ok(vec![missing(which)]),
        Ok(workloads) => Ok(workloads.iter().map(|workload| Found::There(workload.into())).collect()),
        Err(error) if error.failed == Failed::Forbidden => {
            Ok(vec![Found::Not(Statement::new(Reason::RestartDenied, denied(&error)))])
        }
        Err(error) => Err(error),
    }
}

fn denied(error: &CallError) -> String {
    format!("keyturn may not restart it; the chart's restart.namespaces gives the right in this namespace: {error}")
}

/// Lets a config tell how its workloads stand, if that is news.
fn tell(context: &Context, config: &AwsConfig, standing: &Standing, wake: &impl Fn(&AwsConfig)) {
    let trouble = if let Standing::Blocked(trouble) = standing { Some(trouble.clone()) } else { None };
    let status = config.status.as_ref();
    let said = status.and_then(|status| find_condition(&status.conditions, ConditionType::RestartFailing));
    let said = said.map(|said| (said.reason.as_str(), said.message.as_str()));
    let is_news = said != trouble.as_ref().map(|trouble| (trouble.reason.as_str(), trouble.message.as_str()));
    context.memory.record_finding(&config.uid().unwrap_or_default(), ConditionType::RestartFailing, trouble);
    if is_news {
        wake(config);
    }
}

/// An Event and a line in the log.
async fn announce(context: &Context, config: &AwsConfig, note: String) {
    let news = EventNote { warning: false, reason: Reason::Restarted.to_string(), action: "Restart", note };
    news.log();
    let event = news.manifest(config, &context.reporter, context.clock.now());
    if let Err(error) = context.calls.create_event(&event).await {
        tracing::warn!(%error, "an Event was lost");
    }
}

impl Finished {
    /// Whether a config is done with its present issue, as it is now asked for; what is no longer there is forgotten.
    fn of(&self, namespace: &str, configs: &[Arc<AwsConfig>]) -> impl Fn(&AwsConfig) -> bool + use<> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = all.remove(namespace).unwrap_or_default();
        known.retain(|uid, _| configs.iter().any(|config| config.metadata.uid.as_ref() == Some(uid)));
        if !known.is_empty() {
            all.insert(namespace.to_owned(), known.clone());
        }
        move |config| {
            let known = config.metadata.uid.as_ref().and_then(|uid| known.get(uid));
            known == Some(&issue_of(config))
        }
    }

    fn learn(&self, namespace: &str, config: &AwsConfig) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(namespace.to_owned()).or_default().insert(config.uid().unwrap_or_default(), issue_of(config));
    }
}

fn issue_of(config: &AwsConfig) -> Issue {
    let status = config.status.as_ref();
    let issued_at = status.and_then(|status| status.issued_at.as_ref()).map(|issued_at| issued_at.0);
    (issued_at, status.and_then(|status| status.access_key_id.clone()), config.metadata.generation)
}
