//! Finds the objects that a change concerns, and enqueues them.

use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, CredentialProvider, names},
    cluster::Name,
    decide::dss_access,
    grants::{self, Requested},
    views::Views,
};
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    stream,
};
use kube::{Resource, ResourceExt as _};
use std::{collections::BTreeSet, sync::Arc};

/// Enqueues objects of one scope. Clones share the same queues.
#[derive(Clone)]
pub struct Enqueuer {
    views: Views,
    configs: QueueSender,
    roles: QueueSender,
    restarts: QueueSender,
    trails: QueueSender,
}

/// The receiving ends of all queues of an enqueuer.
pub(super) struct Queues {
    /// Configs that are to be reconciled.
    pub(super) configs: Queue,
    /// Roles that are to be reconciled.
    pub(super) roles: Queue,
    /// Namespaces in which a restart may be due.
    pub(super) restarts: Queue,
    /// Configs of whose trail something may be missing.
    pub(super) trails: Queue,
}

/// The sending end of a queue. Clones send to the same queue.
#[derive(Clone)]
pub(super) struct QueueSender {
    one: UnboundedSender<Name>,
    every: UnboundedSender<()>,
}

/// A queue of the names of objects of one kind: requests for one object, and requests for all.
pub(super) struct Queue {
    pub(super) one: UnboundedReceiver<Name>,
    pub(super) every: UnboundedReceiver<()>,
}

impl Queue {
    /// Discards every queued request. Never ends. No request is lost by this: before a new leader
    /// runs its controllers, it has everything relisted, and a list enqueues every object.
    pub(super) async fn drain(&mut self) {
        let (one, every) = ((&mut self.one).map(drop), &mut self.every);
        stream::select(one, every).for_each(std::future::ready).await;
    }
}

/// Makes a queue.
pub(super) fn queue() -> (QueueSender, Queue) {
    let ((one, queue), (every, every_queue)) = (unbounded(), unbounded());
    (QueueSender { one, every }, Queue { one: queue, every: every_queue })
}

impl QueueSender {
    // A failed send is ignored: the receiver is dropped together with the controller, and then
    // there is nothing to enqueue.
    fn one(&self, namespace: &str, name: &str) {
        self.enqueue(Name::new(namespace, name));
    }

    /// Enqueues one object.
    pub(super) fn enqueue(&self, object: Name) {
        let _ = self.one.unbounded_send(object);
    }

    /// Enqueues every object.
    pub(super) fn all(&self) {
        let _ = self.every.unbounded_send(());
    }
}

impl Enqueuer {
    pub(super) fn new(views: Views) -> (Self, Queues) {
        let ((configs, configs_queue), (roles, roles_queue)) = (queue(), queue());
        let ((restarts, restarts_queue), (trails, trails_queue)) = (queue(), queue());
        let queues =
            Queues { configs: configs_queue, roles: roles_queue, restarts: restarts_queue, trails: trails_queue };
        (Self { views, configs, roles, restarts, trails }, queues)
    }

    /// Enqueues the trail of a config, because its reconcile has left something to it.
    pub(super) fn trail(&self, config: &AwsConfig) {
        self.trails.one(&config.namespace().unwrap_or_default(), &config.name_any());
    }

    /// Enqueues every object of the scope, because all objects of some kind were listed. A
    /// reconcile of a config enqueues its trail.
    pub fn all(&self) {
        self.configs.all();
        self.roles.all();
        self.restarts.all();
    }

    /// Enqueues a config, because a finding about it changed: about the restarts of its workloads,
    /// or about its generated `AwsRole`s.
    pub(super) fn finding_changed(&self, config: &AwsConfig) {
        self.configs.one(&config.namespace().unwrap_or_default(), &config.name_any());
    }

    /// Enqueues a config and its roles. The status of a role depends on its config: it says whether
    /// the role is the active one, and whether it is usable.
    pub(super) fn config_changed(&self, config: &AwsConfig) {
        let (namespace, name) = (config.namespace().unwrap_or_default(), config.name_any());
        self.configs.one(&namespace, &name);
        for role in self.views.names_of_roles(&namespace, &name) {
            self.roles.enqueue(role);
        }
        if !config.spec.restart.is_empty() {
            self.restarts.one("", &namespace);
        }
    }

    pub(super) fn role_changed(&self, role: &AwsRole) {
        let namespace = role.namespace().unwrap_or_default();
        self.roles.one(&namespace, &role.name_any());
        self.configs.one(&namespace, &role.spec.aws_config_ref.name);
        self.owners(role);
    }

    /// Enqueues the owner of a Secret, and the configs that want a Secret of this name. Such a
    /// config may wait until the Secret is deleted.
    pub(super) fn secret_changed(&self, secret: &impl Resource) {
        self.owners(secret);
        self.wanting(&secret.meta().namespace.clone().unwrap_or_default(), &secret.name_any());
    }

    /// Enqueues the configs that have the target of a config that is gone. The oldest of them may
    /// create the Secret now.
    pub(super) fn target_left(&self, gone: &AwsConfig) {
        self.wanting(&gone.namespace().unwrap_or_default(), &gone.target_name());
    }

    /// Enqueues the configs that were refused because the namespace of a config had no room. The
    /// config is gone or is being deleted.
    pub(super) fn place_left(&self, gone: &AwsConfig) {
        let namespace = gone.namespace().unwrap_or_default();
        for config in self.views.names_without_room(&namespace) {
            self.configs.enqueue(config);
        }
    }

    fn wanting(&self, namespace: &str, secret: &str) {
        for config in self.views.names_wanting(namespace, secret) {
            self.configs.enqueue(config);
        }
    }

    /// Enqueues the configs that read a key from this Secret. The Secret is one that its owner
    /// offers as a source.
    pub(super) fn source_changed(&self, secret: &impl Resource) {
        let (namespace, name) = (secret.meta().namespace.clone().unwrap_or_default(), secret.name_any());
        for config in self.views.names_fed_by(&namespace, &name) {
            self.configs.enqueue(config);
        }
    }

    /// Enqueues a config, because its missed pods changed. A pod is missed if it asked for the
    /// Secret of the config and did not get it.
    pub fn missed_pods_changed(&self, namespace: &str, config: &str) {
        self.configs.one(namespace, config);
    }

    /// Enqueues a config whose withdrawal is held back, because the confirmation changed.
    pub fn confirmation_changed(&self, namespace: &str, config: &str) {
        self.configs.one(namespace, config);
    }

    /// Enqueues a config, because its turn in the budget of STS has come.
    pub fn turn_came(&self, namespace: &str, config: &str) {
        self.configs.one(namespace, config);
    }

    pub(super) fn namespace_changed(&self, namespace: &str) {
        for config in self.views.configs_in(namespace) {
            self.config_changed(&config);
        }
    }

    /// Enqueues what a change of a grant concerns. `versions` are the grant before and after the
    /// change. Only an object that one of the versions is about can be affected.
    pub(super) fn grants_changed(&self, versions: &[Arc<AwsRoleGrant>]) {
        let named = versions.iter().filter_map(|grant| grant.spec.namespaces.as_ref()).flat_map(|about| &about.names);
        let mut namespaces: BTreeSet<String> = named.cloned().collect();
        let by_label =
            |grant: &AwsRoleGrant| grant.spec.namespaces.as_ref().is_some_and(|about| about.selector.is_some());
        if versions.iter().any(|grant| by_label(grant) || grant.spec.is_about_every_namespace()) {
            let chosen = self.views.namespaces.all().filter(|namespace| {
                let (name, labels) = (namespace.name_any(), namespace.labels());
                versions.iter().any(|grant| grants::is_about_namespace(grant, &name, labels))
            });
            namespaces.extend(chosen.map(|namespace| namespace.name_any()));
        }
        for namespace in namespaces {
            for config in self.views.configs_in(&namespace) {
                self.enqueue_if_concerned(versions, &namespace, &config);
            }
        }
    }

    /// Enqueues the configs that use this DSS instance, because its users or keys may have changed.
    /// If `logins` is given, only the configs are enqueued to which the instance allows a login
    /// that satisfies it, and those whose login cannot be determined, because the instance or the
    /// subject is missing.
    pub fn users_changed(&self, instance: &str, logins: Option<&dyn Fn(&str) -> bool>) {
        let found = self.views.instances.get("", instance);
        for config in self.views.configs_using(instance) {
            let namespace = config.namespace().unwrap_or_default();
            let concerned = match (logins, &found, config.subject()) {
                (Some(logins), Some(found), Some(subject)) => {
                    let labels = self.views.namespaces.get("", &namespace).map(|namespace| namespace.labels().clone());
                    let allowed = dss_access::allowed(found, &namespace, &labels.unwrap_or_default(), &subject);
                    allowed.is_some_and(|allowed| logins(&allowed.login))
                }
                _ => true,
            };
            if concerned {
                self.config_changed(&config);
            }
        }
    }

    /// Enqueues the configs that use this instance of DataRobot, because it may have changed.
    pub fn data_robot_changed(&self, instance: &str) {
        for config in self.views.configs_using_data_robot(instance) {
            self.config_changed(&config);
        }
    }

    fn enqueue_if_concerned(&self, versions: &[Arc<AwsRoleGrant>], namespace: &str, config: &AwsConfig) {
        let Some(subject) = config.subject() else { return };
        let Some(labels) = self.views.namespaces.get("", namespace).map(|namespace| namespace.labels().clone()) else {
            return;
        };
        let is_about = |what: Requested<'_>| {
            versions.iter().any(|grant| grants::is_about(grant, namespace, &labels, &subject, what))
        };
        let mut concerned = match (config.spec.credential_provider, config.spec.role.as_deref()) {
            (CredentialProvider::Default, _) => is_about(Requested::Key),
            (CredentialProvider::Connection, _) => is_about(Requested::Connection),
            // If the role has variables, the ARN that results from them is known from its AwsRole,
            // once that exists.
            // Without a role, only a grant concerns the config that denies every role.
            (CredentialProvider::Temporary, role) => is_about(Requested::Role(role.unwrap_or_default())),
        };
        // Roles of profiles that an AwsRole names are among the AwsRoles.
        let mut of_profiles = config.spec.profiles.iter().filter_map(|profile| profile.role.as_deref());
        concerned |= of_profiles.any(|role| is_about(Requested::Role(role)));
        for role in self.views.roles_of(namespace, &config.name_any()) {
            if is_about(Requested::Role(&role.spec.role)) {
                concerned = true;
                self.roles.one(namespace, &role.name_any());
            }
        }
        if concerned {
            self.configs.one(namespace, &config.name_any());
        }
    }

    /// Enqueues the configs that own an object of ours. The label and the owner reference of the
    /// object name the same config, unless somebody edited one of them. In that case both configs
    /// are enqueued.
    fn owners(&self, object: &impl Resource) {
        let meta = object.meta();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let labelled = meta.labels.as_ref().and_then(|labels| labels.get(names::AWS_CONFIG_LABEL)).cloned();
        let kind = AwsConfig::kind(&());
        let owners = meta.owner_references.iter().flatten().filter(|owner| owner.kind == kind);
        let configs: BTreeSet<String> = owners.map(|owner| owner.name.clone()).chain(labelled).collect();
        for config in configs {
            self.configs.one(namespace, &config);
        }
    }
}

#[cfg(test)]
mod tests;
