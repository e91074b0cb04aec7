//! RESTART: restarts the workloads that read the credential from their environment, after the
//! credential was replaced (`spec.restart`).
//!
//! The module `decide` chooses the workload of a namespace and the time. The module `workload`
//! holds the fields that the decision reads. This module makes the calls. It reads the named
//! workloads only once a restart is due, and watches none. It does not read a workload again that
//! was restarted since the issue and whose rollout is over, until the next issue. Only the leader
//! runs this.

pub mod decide;
pub mod workload;

use crate::{
    act::Context,
    api::{AwsConfig, ConditionType, RESTARTED_AT, Reason, Restart, Statement, WorkloadKind, find_condition},
    clock::whole_seconds,
    cluster::{CallError, Failed},
    report::EventNote,
};
use decide::{Candidate, Decision, Due, Found, INTERVAL, Standing, decide, wish};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::{Resource, ResourceExt as _, core::NamespaceResourceScope};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};
use workload::Workload;

/// The time after which a restart that has just begun is read again.
const BEGUN: SignedDuration = SignedDuration::from_secs(5);

/// The memory of the process about restarts. A new process starts without this and reads each
/// workload once more.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The configs of each namespace that are finished with their present issue. Their workloads
    /// are not read again.
    finished: Mutex<HashMap<String, HashMap<String, Issue>>>,
    /// The times of the restarts that this process made, by UID of the workload, for as long as
    /// the interval between two restarts.
    made: Mutex<HashMap<String, Timestamp>>,
}

/// The issue that a config is finished with: its time, its access key ID and the generation of the
/// spec. The access key ID distinguishes two issues of the same second.
type Issue = (Option<Timestamp>, Option<String>, Option<i64>);

/// Reads the workloads of one namespace that are due and restarts one of them if the decision
/// allows it. Returns the time until the next reconcile; `None` if only a change makes one
/// necessary. `enqueue` enqueues a config whose restart trouble has changed.
///
/// # Errors
/// [`CallError`] if the API server refused a call or did not answer. A denied or invalid restart of
/// one config is not an error, but that config's trouble. The next reconcile decides anew.
#[tracing::instrument(name = "restart", skip_all, fields(namespace))]
pub async fn reconcile(
    namespace: &str,
    context: &Context,
    remembered: &Remembered,
    enqueue: impl Fn(&AwsConfig),
) -> Result<Option<Duration>, CallError> {
    let now = context.clock.now();
    let configs: Vec<_> = context.views.configs_restarting(namespace).collect();
    let is_known = remembered.finished_in(namespace, &configs);
    let (mut concerned, mut due, mut next) = (Vec::new(), Vec::new(), Timestamp::MAX);
    for config in &configs {
        let Some(wish) = wish(config).filter(|_| !is_known(config)) else {
            record_standing(context, config, &Standing::Done, &enqueue);
            continue;
        };
        if wish.due_at > now {
            next = next.min(wish.due_at);
            continue;
        }
        let mut found = find(context, namespace, &config.spec.restart).await?;
        remembered.recall(&mut found, now);
        concerned.push(config);
        due.push(Due { wish, found });
    }
    let Decision { candidates, mut standings, again_at } = decide(&due, now);
    next = again_at.map_or(next, |at| next.min(at));
    for candidate in candidates {
        match restart(context, namespace, &candidate).await {
            Ok(begun) => {
                remembered.made(&candidate.workload, now);
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
            remembered.finish(namespace, config);
        }
        record_standing(context, config, standing, &enqueue);
    }
    let wait = || Duration::try_from(next.duration_since(context.clock.now())).unwrap_or_default();
    Ok((next < Timestamp::MAX).then(wait))
}

/// Restarts a workload. Returns the time of the next read, which is `BEGUN` from now.
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

/// Reads the workloads that a config names.
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

/// Records the standing of a config's restarts, and enqueues the config if its condition differs.
fn record_standing(context: &Context, config: &AwsConfig, standing: &Standing, enqueue: &impl Fn(&AwsConfig)) {
    let trouble = if let Standing::Blocked(trouble) = standing { Some(trouble.clone()) } else { None };
    let status = config.status.as_ref();
    let recorded = status.and_then(|status| find_condition(&status.conditions, ConditionType::RestartFailing));
    let recorded = recorded.map(|recorded| (recorded.reason.as_str(), recorded.message.as_str()));
    let differs = recorded != trouble.as_ref().map(|trouble| (trouble.reason.as_str(), trouble.message.as_str()));
    context.memory.record_finding(&config.uid().unwrap_or_default(), ConditionType::RestartFailing, trouble);
    if differs {
        enqueue(config);
    }
}

/// Writes an Event and a line in the log.
async fn announce(context: &Context, config: &AwsConfig, note: String) {
    let note = EventNote { warning: false, reason: Reason::Restarted.to_string(), action: "Restart", note };
    context.record_event(config, &note).await;
}

impl Remembered {
    /// Records that a workload is being restarted.
    fn made(&self, workload: &Workload, now: Timestamp) {
        self.made.lock().insert(workload.uid.clone().unwrap_or_default(), whole_seconds(now));
    }

    /// Adds to workloads when this process restarted them last.
    fn recall(&self, found: &mut [Found], now: Timestamp) {
        let mut made = self.made.lock();
        made.retain(|_, at| now.duration_since(*at) < INTERVAL);
        for found in found {
            if let Found::There(workload) = found {
                workload.made_at = workload.uid.as_ref().and_then(|uid| made.get(uid)).copied();
            }
        }
    }

    /// Returns whether a config is finished with its present issue and its present spec. Configs
    /// that no longer exist are removed from the record.
    fn finished_in(&self, namespace: &str, configs: &[Arc<AwsConfig>]) -> impl Fn(&AwsConfig) -> bool + use<> {
        let mut all = self.finished.lock();
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

    fn finish(&self, namespace: &str, config: &AwsConfig) {
        let mut all = self.finished.lock();
        all.entry(namespace.to_owned()).or_default().insert(config.uid().unwrap_or_default(), issue_of(config));
    }
}

fn issue_of(config: &AwsConfig) -> Issue {
    let status = config.status.as_ref();
    let issued_at = status.and_then(|status| status.issued_at.as_ref()).map(|issued_at| issued_at.0);
    (issued_at, status.and_then(|status| status.access_key_id.clone()), config.metadata.generation)
}
