//! The views that all scopes share: grants, namespaces and `DssInstance`s.

use super::{Enqueuer, GrantController, InstanceController, enqueuer::QueueSender, instances::follow_changes};
use crate::{
    api::{AwsRoleGrant, DataRobotInstance, DssInstance},
    cluster::{Change, Name, Watched, follow},
    data_robot::DataRobots,
    dss_cache::DssCache,
    views::{self, Served},
};
use futures::{
    StreamExt as _,
    future::{join, join4},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _, core::PartialObjectMeta, runtime::watcher};
use std::{collections::HashMap, sync::Arc};

/// The views that all scopes share.
#[derive(Clone)]
pub struct Shared {
    /// All grants.
    pub grants: Watched<AwsRoleGrant>,
    /// All namespaces.
    pub namespaces: Watched<PartialObjectMeta<Namespace>>,
    /// All `DssInstance`s.
    pub instances: Watched<DssInstance>,
    /// All `DataRobotInstance`s.
    pub data_robots: Watched<DataRobotInstance>,
}

/// The controllers of what all scopes share.
pub struct SharedControllers {
    /// The controller of `DssInstance`s.
    pub instances: InstanceController<DssInstance>,
    /// The controller of `DataRobotInstance`s.
    pub data_robots: InstanceController<DataRobotInstance>,
    /// The controller of grants.
    pub grants: GrantController,
}

impl SharedControllers {
    /// Discards every queued request, without a reconcile. Never ends.
    pub async fn drain(&mut self) {
        let instances = join(self.instances.drain(), self.data_robots.drain());
        join(instances, self.grants.drain()).await;
    }
}

/// Enqueues the objects of the controllers in [`SharedControllers`].
pub struct SharedQueues {
    instances: QueueSender,
    data_robots: QueueSender,
    grants: QueueSender,
}

impl Shared {
    /// Makes empty views, and the controllers of instances and of grants with their queues.
    #[must_use]
    pub fn new() -> (Self, SharedQueues, SharedControllers) {
        let (grants, namespaces) = (views::grants(), views::namespaces());
        let (instances, data_robots) = (views::instances(), views::data_robots());
        let (instance_controller, instance_queue) = InstanceController::new(instances.clone());
        let (data_robot_controller, data_robot_queue) = InstanceController::new(data_robots.clone());
        let (grant_controller, grant_queue) = GrantController::new();
        let queues = SharedQueues { instances: instance_queue, data_robots: data_robot_queue, grants: grant_queue };
        let controllers = SharedControllers {
            instances: instance_controller,
            data_robots: data_robot_controller,
            grants: grant_controller,
        };
        (Self { grants, namespaces, instances, data_robots }, queues, controllers)
    }

    /// Keeps the shared views up to date, and enqueues the objects that a change concerns. Never
    /// ends.
    pub async fn watch(
        self,
        client: Client,
        queues: SharedQueues,
        (enqueuers, served): (Vec<Enqueuer>, Served),
        dss_cache: DssCache,
        data_robots: DataRobots,
    ) {
        let all = watcher::Config::default;
        let grants = follow(Api::all(client.clone()), all(), &self.grants);
        let namespaces = follow(Api::all(client.clone()), all(), &self.namespaces);
        let instances = follow(Api::all(client.clone()), all(), &self.instances);
        let robots = follow(Api::all(client), all(), &self.data_robots);
        let mut known = Known::default();
        let mut seen_any = false;
        let grants = grants.for_each(|change| {
            // Until the first grant is seen, no credential is withdrawn for lack of a grant.
            // Therefore the first grant concerns every config.
            let first = !std::mem::replace(&mut seen_any, self.grants.has_shown_any()) && seen_any;
            match change {
                Change::One(grant) if !first => {
                    // The grant before the change counts too, because the change may end what it
                    // allowed.
                    let versions = known.replace(&grant.name_any(), self.grants.get("", &grant.name_any()));
                    queues.grants.enqueue(Name::of(&grant));
                    for enqueuer in &enqueuers {
                        enqueuer.grants_changed(&versions);
                    }
                }
                Change::One(_) | Change::All => {
                    queues.grants.all();
                    known = Known::of(self.grants.all());
                    enqueuers.iter().for_each(Enqueuer::all);
                }
            }
            std::future::ready(())
        });
        let namespaces = namespaces.for_each(|change| {
            match &change {
                Change::One(namespace) => {
                    let name = namespace.name_any();
                    served.learn(&name, self.namespaces.get("", &name).as_ref().map(|namespace| namespace.labels()));
                }
                Change::All => {
                    let all: Vec<_> = self.namespaces.all().collect();
                    served.learn_all(all.iter().map(|namespace| (namespace.name_any(), namespace.labels())));
                }
            }
            for enqueuer in &enqueuers {
                match &change {
                    Change::One(namespace) => enqueuer.namespace_changed(&namespace.name_any()),
                    Change::All => enqueuer.all(),
                }
            }
            std::future::ready(())
        });
        let enqueue_users = |enqueuer: &Enqueuer, name: &str| enqueuer.users_changed(name, None);
        let forget = |name: &str| dss_cache.forget(name);
        let (shown, queue) = (self.instances.clone(), queues.instances);
        let instances = follow_changes(shown, instances, queue, enqueuers.clone(), enqueue_users, forget);
        let (shown, queue) = (self.data_robots.clone(), queues.data_robots);
        let forget = |name: &str| data_robots.forget(name);
        let robots = follow_changes(shown, robots, queue, enqueuers.clone(), Enqueuer::data_robot_changed, forget);
        Box::pin(join4(grants, namespaces, instances, robots)).await;
    }
}

/// The grants as they were before the change that is being handled, by name.
#[derive(Default)]
struct Known(HashMap<String, Arc<AwsRoleGrant>>);

impl Known {
    fn of(grants: impl Iterator<Item = Arc<AwsRoleGrant>>) -> Self {
        Self(grants.map(|grant| (grant.name_any(), grant)).collect())
    }

    /// Records the grant after a change, and returns the versions before and after it. A grant that
    /// was created or deleted has one version only. A change of the status has none, because it
    /// concerns no config.
    fn replace(&mut self, name: &str, now: Option<Arc<AwsRoleGrant>>) -> Vec<Arc<AwsRoleGrant>> {
        let before = match &now {
            Some(grant) => self.0.insert(name.to_owned(), grant.clone()),
            None => self.0.remove(name),
        };
        let spec = |grant: &Arc<AwsRoleGrant>| (grant.uid(), grant.metadata.generation);
        if before.is_some() && before.as_ref().map(spec) == now.as_ref().map(spec) {
            return vec![];
        }
        before.into_iter().chain(now).collect()
    }
}
