//! The views of the cluster, one for each kind of object, and the keys under which objects are
//! found.

mod of_pods;
mod served;
mod slim;

pub use of_pods::ConfigsOfPods;
pub use served::{Entered, Served};
pub use slim::{is_abridged, shows, shows_status};

use crate::{
    api::{AwsConfig, AwsRole, AwsRoleGrant, ConditionType, DataRobotInstance, DssInstance, Reason, find_condition},
    cluster::{Kept, Name, SyncState, Watched},
    finalizers::{credential_places, key_places},
    push::{Slot, all_recorded, wanted_names},
};
use futures::{
    FutureExt as _,
    future::{self, join_all},
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{ResourceExt as _, core::PartialObjectMeta};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// The longest time that a reconcile waits for unsynced views. After it the reconcile is requeued,
/// and others take its place.
pub(super) const SYNC_WAIT: Duration = Duration::from_secs(2);

/// The index key of the grants that may be about any namespace: those that choose namespaces by
/// label, and those that are about every namespace.
const ANYWHERE: &str = "anywhere";

/// The views, one for each kind of object. A scope is one namespace, or all namespaces.
#[derive(Clone)]
pub struct Views {
    /// The configs of the scope.
    pub configs: Watched<AwsConfig>,
    /// The roles of the scope.
    pub roles: Watched<AwsRole>,
    /// The metadata of the Secrets of the scope that carry keyturn's label.
    pub secrets: Watched<PartialObjectMeta<Secret>>,
    /// The metadata of the Secrets of the scope that their owners offer as sources.
    pub sources: Watched<PartialObjectMeta<Secret>>,
    /// All grants.
    pub grants: Watched<AwsRoleGrant>,
    /// The names and labels of all namespaces.
    pub namespaces: Watched<PartialObjectMeta<Namespace>>,
    /// All `DssInstance`s.
    pub instances: Watched<DssInstance>,
    /// All `DataRobotInstance`s.
    pub data_robots: Watched<DataRobotInstance>,
}

/// Makes the view of all grants. Each is found by the namespaces that it names.
#[must_use]
pub fn grants() -> Watched<AwsRoleGrant> {
    let keys_of = |grant: &AwsRoleGrant| {
        let Some(namespaces) = &grant.spec.namespaces else {
            return if grant.spec.is_about_every_namespace() { vec![ANYWHERE.to_owned()] } else { vec![] };
        };
        let by_label = namespaces.selector.iter().map(|_| ANYWHERE.to_owned());
        namespaces.names.iter().map(|name| named(name)).chain(by_label).collect()
    };
    Watched::new("awsrolegrants.keyturn.dev", Kept::Whole, keys_of, slim::grant)
}

/// Makes the view of all namespaces.
#[must_use]
pub fn namespaces() -> Watched<PartialObjectMeta<Namespace>> {
    Watched::new("namespaces", Kept::Whole, |_| vec![], slim::namespace)
}

/// Makes the view of all `DssInstance`s.
#[must_use]
pub fn instances() -> Watched<DssInstance> {
    Watched::new("dssinstances.keyturn.dev", Kept::Whole, |_| vec![], slim::instance)
}

/// Makes the view of all `DataRobotInstance`s.
#[must_use]
pub fn data_robots() -> Watched<DataRobotInstance> {
    Watched::new("datarobotinstances.keyturn.dev", Kept::Whole, |_| vec![], slim::data_robot)
}

fn uses(instance: &str) -> String {
    format!("dss {instance}")
}

fn uses_data_robot(instance: &str) -> String {
    format!("datarobot {instance}")
}

fn named(namespace: &str) -> String {
    format!("namespace {namespace}")
}

fn wanted(namespace: &str, secret: &str) -> String {
    format!("target {namespace}/{secret}")
}

fn feeds(namespace: &str, secret: &str) -> String {
    format!("source {namespace}/{secret}")
}

fn pushes(slot: Slot, instance: &str, name: &str) -> String {
    format!("push {} {instance} {name}", slot.as_str())
}

fn restarts(namespace: &str) -> String {
    format!("restarts {namespace}")
}

fn without_room(namespace: &str) -> String {
    format!("without room {namespace}")
}

/// The index key of the configs whose withdrawal is held back.
const HELD: &str = "held";

/// Whether keyturn refused the config because its namespace had no room for another one.
fn lacks_room(config: &AwsConfig) -> bool {
    let conditions = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let accepted = find_condition(conditions, ConditionType::Accepted);
    accepted.is_some_and(|accepted| accepted.reason == Reason::TooManyConfigs.as_str())
}

/// The index keys of the places that a config asks for, and of those that it has.
fn pushed_names(config: &AwsConfig) -> Vec<String> {
    let had = all_recorded(config.pushed()).map(|(slot, place)| pushes(slot, &place.instance, &place.name));
    let asked = wanted_names(config.spec.push.as_deref())
        .filter_map(|(slot, name)| Some(pushes(slot, slot.wanted_instance(&config.spec)?, &name)));
    let both: BTreeSet<String> = had.chain(asked).collect();
    both.into_iter().collect()
}

fn of_config(namespace: &str, config: &str) -> String {
    format!("config {namespace}/{config}")
}

impl Views {
    /// Makes the empty views of a scope. All scopes share the given views.
    #[must_use]
    pub fn new(
        grants: Watched<AwsRoleGrant>,
        namespaces: Watched<PartialObjectMeta<Namespace>>,
        instances: Watched<DssInstance>,
        data_robots: Watched<DataRobotInstance>,
    ) -> Self {
        let keys_of_config = |config: &AwsConfig| {
            let namespace = config.namespace().unwrap_or_default();
            let dss = config.spec.dss.as_ref();
            let key = config.spec.key_secret_ref.as_ref().map(|source| &source.name);
            let api_key = dss.and_then(|dss| dss.api_key_secret_ref.as_ref()).map(|source| &source.name);
            let data_robot = config.spec.push.as_ref().and_then(|push| push.data_robot.as_ref());
            let token = data_robot.and_then(|it| it.token_secret_ref.as_ref()).map(|source| &source.name);
            let sources = key.into_iter().chain(api_key).chain(token).map(|source| feeds(&namespace, source));
            let in_use = data_robot.map(|it| it.instance.as_str());
            let robots: BTreeSet<&str> = credential_places(config).chain(in_use).collect();
            let instances: BTreeSet<&str> = key_places(config).chain(dss.map(|dss| dss.instance.as_str())).collect();
            let both = [named(&namespace), wanted(&namespace, &config.target_name())];
            let restarts = (!config.spec.restart.is_empty()).then(|| restarts(&namespace));
            let room = lacks_room(config).then(|| without_room(&namespace));
            let is_held = config.status.as_ref().is_some_and(|status| status.withdrawal_held.is_some());
            let held = is_held.then(|| HELD.to_owned());
            let of_others = sources.chain(instances.into_iter().map(uses)).chain(restarts).chain(room).chain(held);
            let of_others = of_others.chain(robots.into_iter().map(uses_data_robot)).chain(pushed_names(config));
            both.into_iter().chain(of_others).collect()
        };
        let keys_of_role =
            |role: &AwsRole| vec![of_config(&role.namespace().unwrap_or_default(), &role.spec.aws_config_ref.name)];
        let configs = Watched::new("awsconfigs.keyturn.dev", Kept::Packed, keys_of_config, slim::config);
        let roles = Watched::new("awsroles.keyturn.dev", Kept::Packed, keys_of_role, slim::role);
        let secrets = Watched::new("secrets (labelled by keyturn)", Kept::Packed, |_| vec![], slim::secret);
        let sources = Watched::new("secrets (offered as sources)", Kept::Packed, |_| vec![], slim::source);
        Self { configs, roles, secrets, sources, grants, namespaces, instances, data_robots }
    }

    /// The grants that name this namespace, choose namespaces by label, or are about every
    /// namespace. No other grant can allow or deny the namespace anything.
    #[must_use]
    pub fn grants_about(&self, namespace: &str) -> Vec<Arc<AwsRoleGrant>> {
        self.grants.find(named(namespace)).chain(self.grants.find(ANYWHERE)).collect()
    }

    /// The configs of a namespace.
    pub fn configs_in(&self, namespace: &str) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(named(namespace))
    }

    /// The number of configs of a namespace.
    #[must_use]
    pub fn number_in(&self, namespace: &str) -> usize {
        self.configs.count(&named(namespace))
    }

    /// The other configs that have the target of this config as theirs.
    pub fn others_wanting_target(&self, config: &AwsConfig) -> impl Iterator<Item = Arc<AwsConfig>> {
        let (namespace, own) = (config.namespace().unwrap_or_default(), config.name_any());
        self.configs.find_beside(wanted(&namespace, &config.target_name()), move |name| name.name() == own)
    }

    /// The names of the configs that have this Secret as their target.
    #[must_use]
    pub fn names_wanting(&self, namespace: &str, secret: &str) -> Vec<Name> {
        self.configs.find_names(&wanted(namespace, secret))
    }

    /// The configs of a namespace that name workloads to restart.
    pub fn configs_restarting(&self, namespace: &str) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(restarts(namespace))
    }

    /// The names of the configs of a namespace that were refused because the namespace had no room
    /// for them.
    #[must_use]
    pub fn names_without_room(&self, namespace: &str) -> Vec<Name> {
        self.configs.find_names(&without_room(namespace))
    }

    /// The roles that name this config as theirs, no matter who wrote them.
    pub fn roles_of(&self, namespace: &str, config: &str) -> impl Iterator<Item = Arc<AwsRole>> {
        self.roles.find(of_config(namespace, config))
    }

    /// What [`Self::roles_of`] returns, apart from the role of this name. It is not read.
    pub fn roles_beside(
        &self,
        namespace: &str,
        config: &str,
        role: Option<&str>,
    ) -> impl Iterator<Item = Arc<AwsRole>> {
        self.roles.find_beside(of_config(namespace, config), move |name| Some(name.name()) == role)
    }

    /// The configs whose withdrawal is held back.
    pub fn configs_held(&self) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(HELD)
    }

    /// The names of the roles that name this config as theirs.
    #[must_use]
    pub fn names_of_roles(&self, namespace: &str, config: &str) -> Vec<Name> {
        self.roles.find_names(&of_config(namespace, config))
    }

    /// The names of the configs that read a key from this Secret.
    #[must_use]
    pub fn names_fed_by(&self, namespace: &str, secret: &str) -> Vec<Name> {
        self.configs.find_names(&feeds(namespace, secret))
    }

    /// The configs that use this DSS instance, or may have keys in it.
    pub fn configs_using(&self, instance: &str) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(uses(instance))
    }

    /// The configs that push to places of this kind and name in this instance, whichever account
    /// has them.
    pub fn configs_pushing(&self, slot: Slot, instance: &str, name: &str) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(pushes(slot, instance, name))
    }

    /// The version of a Secret with an API token that its owner offers; `None` if there is none. A
    /// Secret that keyturn writes is none: each write would change the version, and with it what
    /// keyturn writes into the Secrets that hold the token.
    #[must_use]
    pub fn offered_token(&self, namespace: &str, name: &str) -> Option<String> {
        let is_written = self.secrets.get(namespace, name).is_some();
        self.sources.get(namespace, name).filter(|_| !is_written)?.resource_version()
    }

    /// The configs that use this instance of DataRobot, or may have a credential in it.
    pub fn configs_using_data_robot(&self, instance: &str) -> impl Iterator<Item = Arc<AwsConfig>> {
        self.configs.find(uses_data_robot(instance))
    }

    /// Whether a config uses this instance of DataRobot, or may have a credential in it.
    #[must_use]
    pub fn is_data_robot_used(&self, instance: &str) -> bool {
        self.configs.count(&uses_data_robot(instance)) > 0
    }

    /// Whether a config may have a credential in this instance of DataRobot.
    #[must_use]
    pub fn has_credentials_in(&self, instance: &str) -> bool {
        let mut using = self.configs_using_data_robot(instance);
        using.any(|config| credential_places(&config).any(|place| place == instance))
    }

    /// Whether a config uses this DSS instance, or may have keys in it.
    #[must_use]
    pub fn is_used(&self, instance: &str) -> bool {
        self.configs.count(&uses(instance)) > 0
    }

    /// Whether a config may have keys in this DSS instance.
    #[must_use]
    pub fn has_keys_in(&self, instance: &str) -> bool {
        let mut using = self.configs_using(instance);
        using.any(|config| key_places(&config).any(|place| place == instance))
    }

    fn sync_state(&self) -> [&SyncState; 8] {
        [
            self.configs.sync_state(),
            self.roles.sync_state(),
            self.secrets.sync_state(),
            self.sources.sync_state(),
            self.grants.sync_state(),
            self.namespaces.sync_state(),
            self.instances.sync_state(),
            self.data_robots.sync_state(),
        ]
    }

    /// Says in words which views are unsynced and why. Empty if every view is synced.
    #[must_use]
    pub fn unsynced(&self) -> Vec<String> {
        self.sync_state().into_iter().filter_map(SyncState::unsynced).collect()
    }

    /// Waits until a view is unsynced.
    pub async fn until_unsynced(&self) {
        future::select_all(self.sync_state().map(|sync_state| Box::pin(sync_state.wait_until_unsynced()))).await;
    }

    /// Relists every view. The future ends when all have been listed again.
    pub fn relist(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = [
            self.grants.relist().boxed(),
            self.namespaces.relist().boxed(),
            self.instances.relist().boxed(),
            self.data_robots.relist().boxed(),
        ];
        future::join(self.relist_own(), join_all(shared)).map(|_| ())
    }

    /// Relists the views of this scope, and not those that all scopes share. The future ends when
    /// all have been listed again.
    pub fn relist_own(&self) -> impl Future<Output = ()> + Send + 'static {
        let lists = [
            self.configs.relist().boxed(),
            self.roles.relist().boxed(),
            self.secrets.relist().boxed(),
            self.sources.relist().boxed(),
        ];
        join_all(lists).map(|_| ())
    }

    /// Waits until the views of this scope have been listed.
    pub async fn own_are_listed(&self) {
        for sync_state in
            [self.configs.sync_state(), self.roles.sync_state(), self.secrets.sync_state(), self.sources.sync_state()]
        {
            sync_state.wait().await;
        }
    }

    /// Waits at most [`SYNC_WAIT`] for every view to be synced. Returns whether all are.
    pub(super) async fn synced(&self) -> bool {
        let all = async {
            for sync_state in self.sync_state() {
                sync_state.wait().await;
            }
        };
        tokio::time::timeout(SYNC_WAIT, all).await.is_ok() && self.unsynced().is_empty()
    }
}
