//! The leader's care for withdrawals in number: it reports many of them as one, and reads the
//! confirmation while the brake holds any back.

use crate::{
    api::names::WITHDRAWALS_CONFIRMED,
    brake::{AT_ONCE, Brake, ConfigMapName, Confirmation, Fate, Whole, went_at},
    clock::{Clock, whole_seconds},
    cluster::Calls,
    controller::Enqueuer,
    report::EventNote,
    views::Views,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use std::{sync::Arc, time::Duration};

/// The time between two looks. While nothing is held back, a look reads memory only.
const TICK: Duration = Duration::from_secs(5);

/// The handles that the care works with.
pub(super) struct Withdrawals {
    pub(super) calls: Calls,
    pub(super) views: Arc<[Views]>,
    pub(super) enqueuers: Vec<Enqueuer>,
    pub(super) brake: Arc<Brake>,
    pub(super) clock: Clock,
    pub(super) reporter: Arc<str>,
}

/// The times of the withdrawals within [`AT_ONCE`] before a time, as the status of each config
/// shows them.
pub(super) fn former(views: Arc<[Views]>) -> Box<dyn Fn(Timestamp) -> Vec<Timestamp> + Send + Sync> {
    Box::new(move |now| {
        let configs = views.iter().flat_map(|views| views.configs.all());
        let went = configs.filter_map(|config| config.status.as_ref().and_then(went_at));
        went.filter(|at| now.duration_since(*at) < AT_ONCE).collect()
    })
}

/// A config whose withdrawal is held back.
struct Held {
    /// The number of its scope.
    scope: usize,
    namespace: String,
    name: String,
    since: Timestamp,
}

impl Withdrawals {
    /// Looks for ever.
    pub(super) async fn run(self) {
        // Status counts whole seconds. A hold within this second is this process's own.
        let began = whole_seconds(self.clock.now());
        let mut is_new_leader = true;
        let mut known = None;
        loop {
            tokio::time::sleep(TICK).await;
            if self.views.iter().any(|views| views.configs.sync_state().unsynced().is_some()) {
                continue;
            }
            let held = self.held();
            let now = self.clock.now();
            if std::mem::take(&mut is_new_leader) {
                // The former leader may have ended before it could report them.
                let former = held.iter().filter(|held| held.since < began);
                former.for_each(|held| self.brake.record(&held.namespace, Fate::Held, now));
            }
            if let Some(whole) = self.brake.tell(now) {
                self.report(&whole).await;
            }
            if !held.is_empty() {
                self.look_for_confirmation(&held, &mut known).await;
            }
        }
    }

    fn held(&self) -> Vec<Held> {
        let mut held = Vec::new();
        for (scope, views) in self.views.iter().enumerate() {
            for config in views.configs_held() {
                let status = config.status.as_ref();
                let Some(hold) = status.and_then(|status| status.withdrawal_held.as_ref()) else { continue };
                let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
                held.push(Held { scope, namespace, name, since: hold.since.0 });
            }
        }
        held
    }

    /// Reads the confirmation. If it says something new, or its time has come, enqueues what is
    /// held back. `known` is what was read before, and whether its time had come.
    async fn look_for_confirmation(&self, held: &[Held], known: &mut Option<(Confirmation, bool)>) {
        let ConfigMapName { namespace, name } = &self.brake.settings().config_map;
        let confirmation = match self.calls.config_map_metadata(namespace, name).await {
            Ok(Some(found)) => Confirmation::read(found.annotations().get(WITHDRAWALS_CONFIRMED).map(String::as_str)),
            Ok(None) => Confirmation::Failed(format!("there is no ConfigMap \"{name}\" in namespace \"{namespace}\"")),
            Err(error) => Confirmation::Failed(error.to_string()),
        };
        let has_come = matches!(confirmation, Confirmation::At(at) if at <= self.clock.now());
        let read = Some((confirmation.clone(), has_come));
        if *known == read {
            return;
        }
        if let Confirmation::Failed(why) = &confirmation {
            tracing::warn!(why, "the confirmation of withdrawals cannot be read; it will be tried again");
        }
        *known = read;
        self.brake.learn(confirmation);
        for Held { scope, namespace, name, .. } in held {
            if let Some(enqueuer) = self.enqueuers.get(*scope) {
                enqueuer.confirmation_changed(namespace, name);
            }
        }
    }

    /// Writes a log line and an Event about the whole. An Event that the API server does not take
    /// is lost, and the log says so.
    async fn report(&self, whole: &Whole) {
        let said = whole.statement(self.brake.settings());
        let action = if whole.held > 0 { "Hold" } else { "Withdraw" };
        let note = EventNote { warning: true, reason: said.reason.to_string(), action, note: said.message };
        note.log();
        let ConfigMapName { namespace, name } = self.brake.settings().config_map.clone();
        // `kubectl describe` finds the Events of an object by its UID.
        let found = self.calls.config_map_metadata(&namespace, &name).await;
        let uid = found.ok().flatten().and_then(|found| found.metadata.uid);
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(namespace),
            name: Some(name),
            uid,
            ..ObjectReference::default()
        };
        let event = note.manifest(regarding, &self.reporter, self.clock.now());
        if let Err(error) = self.calls.create_event(&event).await {
            tracing::warn!(%error, "an Event was lost");
        }
    }
}
