//! The views that all scopes share: grants, namespaces and `DssInstance`s.

use super::{
    Enqueuer, GrantController, InstanceController,
    grants::GrantQueue,
    instances::{InstanceQueue, follow_changes},
};
use crate::{
    api::{AwsRoleGrant, DataRobotInstance, DssInstance},
    cluster::{Change, Watched, follow},
    data_robot::DataRobots,
    dss_cache::DssCache,
    views::{self, Served},
};
use futures::{
    StreamExt as _,
    future::{join, join4},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{reflector::store::Writer, watcher},
};
use std::{collections::HashMap, sync::Arc};

/// The views that all scopes share, without their writers.
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

/// The writers of the views in [`Shared`], and the queues of the controllers.
pub struct SharedWriters {
    grants: Writer<AwsRoleGrant>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
    instances: Writer<DssInstance>,
    data_robots: Writer<DataRobotInstance>,
    instance_queue: InstanceQueue<DssInstance>,
    data_robot_queue: InstanceQueue<DataRobotInstance>,
    grant_queue: GrantQueue,
}

impl Shared {
    /// Makes empty views, their writers, and the controllers of instances and of grants.
    #[must_use]
    pub fn new() -> (Self, SharedWriters, SharedControllers) {
        let (grants, grants_writer) = views::grants();
        let (namespaces, namespaces_writer) = views::namespaces();
        let (instances, instances_writer) = views::instances();
        let (data_robots, data_robots_writer) = views::data_robots();
        let (instance_controller, instance_queue) = InstanceController::new(instances.store().clone());
        let (data_robot_controller, data_robot_queue) = InstanceController::new(data_robots.store().clone());
        let (grant_controller, grant_queue) = GrantController::new(grants.store().clone());
        let writers = SharedWriters {
            grants: grants_writer,
            namespaces: namespaces_writer,
            instances: instances_writer,
            data_robots: data_robots_writer,
            instance_queue,
            data_robot_queue,
            grant_queue,
        };
        let controllers = SharedControllers {
            instances: instance_controller,
            data_robots: data_robot_controller,
            grants: grant_controller,
        };
        (Self { grants, namespaces, instances, data_robots }, writers, controllers)
    }

    /// Keeps the shared views up to date, and enqueues the objects that a change concerns. Never
    /// ends.
    pub async fn watch(
        self,
        client: Client,
        writers: SharedWriters,
        (enqueuers, served): (Vec<Enqueuer>, Served),
        dss_cache: DssCache,
        data_robots: DataRobots,
    ) {
        let all = watcher::Config::default;
        let grants = follow(Api::all(client.clone()), all(), &self.grants, writers.grants);
        let namespaces = follow(Api::all(client.clone()), all(), &self.namespaces, writers.namespaces);
        let instances = follow(Api::all(client.clone()), all(), &self.instances, writers.instances);
        let robots = follow(Api::all(client), all(), &self.data_robots, writers.data_robots);
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
                    writers.grant_queue.enqueue(&grant);
                    for enqueuer in &enqueuers {
                        enqueuer.grants_changed(&versions);
                    }
                }
                Change::One(_) | Change::All => {
                    let all = self.grants.store().state();
                    for grant in &all {
                        writers.grant_queue.enqueue(grant);
                    }
                    known = Known::of(all);
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
                    let all = self.namespaces.store().state();
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
        let store = self.instances.store().clone();
        let enqueue_users = |enqueuer: &Enqueuer, name: &str| enqueuer.users_changed(name, None);
        let forget = |name: &str| dss_cache.forget(name);
        let queue = writers.instance_queue;
        let instances = follow_changes(store, instances, queue, enqueuers.clone(), enqueue_users, forget);
        let (store, queue) = (self.data_robots.store().clone(), writers.data_robot_queue);
        let forget = |name: &str| data_robots.forget(name);
        let robots = follow_changes(store, robots, queue, enqueuers.clone(), Enqueuer::data_robot_changed, forget);
        Box::pin(join4(grants, namespaces, instances, robots)).await;
    }
}

/// The grants as they were before the change that is being handled, by name.
#[derive(Default)]
struct Known(HashMap<String, Arc<AwsRoleGrant>>);

impl Known {
    fn of(grants: Vec<Arc<AwsRoleGrant>>) -> Self {
        Self(grants.into_iter().map(|grant| (grant.name_any(), grant)).collect())
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
