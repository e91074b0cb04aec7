//! DSS in a history: its admins, its users, its failures, and the permissions of cluster admins.

use super::{super::pushes::THEIRS, History, NAMES, ROLES};
use crate::{
    doubles::{
        dss::{ADMIN_KEY, Behaviour},
        rules::Times,
    },
    fixtures::{CLUSTER, OPERATORS, SCORING, design, instance, personal_key, role, role_from_dss},
    simulated::{dataiku::put_admin_key, world::World},
};
use keyturn::api::{ApiKey, AwsConfig, CredentialProvider, Mode};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The `spec.role` that takes the role from DSS.
pub const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";
/// The users of DSS.
pub const LOGINS: [&str; 5] = ["alice", "bob", "carol", "dave", "svc"];
const URL: &str = "https://dss.test";

/// DSS as its admins believe it to be.
#[derive(Debug, Default)]
pub struct Model {
    /// The roles in the admin property.
    roles: BTreeMap<String, Option<String>>,
    disabled: BTreeSet<String>,
    /// The instance allows every person whose name begins so, and the namespace or not.
    persons: String,
    system: bool,
    /// The instance allows pushes into the accounts of these persons.
    push: bool,
}

impl Model {
    /// The login that a config may use now.
    pub fn login(&self, config: &AwsConfig) -> Option<String> {
        let allowed = match (config.spec.mode, config.spec.person.as_deref()) {
            (Mode::System, _) => self.system.then(|| "svc".to_owned()),
            (Mode::User, person) => person.filter(|person| person.starts_with(&self.persons)).map(str::to_owned),
        };
        allowed.filter(|login| self.roles.contains_key(login) && !self.disabled.contains(login))
    }

    /// The login into whose account a config may push now.
    pub fn push_login(&self, config: &AwsConfig) -> Option<String> {
        let may_push = self.push && config.spec.mode == Mode::User && config.spec.dss.is_some();
        self.login(config).filter(|_| may_push)
    }

    /// The role that DSS knows for a login.
    pub fn role(&self, login: &str) -> Option<String> {
        self.roles.get(login)?.as_deref().map(role)
    }
}

/// Creates an instance, its admin key and its users.
pub(super) fn found(world: &World) -> Model {
    world.api.namespace(OPERATORS, &[]);
    put_admin_key(world, ADMIN_KEY);
    world.apply(&design(URL));
    let mut model = Model { push: true, ..Model::default() };
    allow(world, &model);
    for login in LOGINS {
        world.dss.add_user(login, &[]);
        world.dss.set_admin_property(login, "associatedRole", Some("ds-analyst"));
        world.dss.add_personal_key(login, "their own");
        world.dss.set_secret(login, THEIRS.0, THEIRS.1);
        model.roles.insert(login.to_owned(), Some("ds-analyst".to_owned()));
    }
    model
}

/// Lets the instance allow what the model says.
fn allow(world: &World, model: &Model) {
    world.apply(&instance("design", URL, |spec| {
        (spec.allow[0].persons, spec.allow[0].push) = (vec![format!("{}*", model.persons)], model.push);
        let shared = json!({"namespaces": {"names": [SCORING]}, "systemLogin": "svc"});
        spec.allow.extend(model.system.then(|| serde_json::from_value(shared).unwrap()));
    }));
}

/// The keys that were created for a config and still exist.
pub fn keys_of(world: &World, config: &str) -> Vec<crate::doubles::dss::PersonalKey> {
    let begins = format!("keyturn {CLUSTER}/{SCORING}/{config} ");
    world.dss.personal_keys().into_iter().filter(|key| key.label.starts_with(&begins)).collect()
}

impl History {
    /// A config changes what it wants of DSS.
    pub(super) fn change_dss_request(&mut self) -> String {
        let name = self.dice.one_of(&NAMES);
        if self.world.config(name).is_none() {
            return "nothing".to_owned();
        }
        match self.dice.below(5) {
            0 | 1 => {
                self.world.change(name, |spec| {
                    spec.credential_provider = CredentialProvider::Temporary;
                    (spec.active_role_ref, spec.key_secret_ref) = (None, None);
                    let dss = spec.dss.clone();
                    role_from_dss(FROM_PROPERTY)(spec);
                    spec.dss = dss.or(spec.dss.take());
                });
                format!("{name} takes its role from DSS")
            }
            2 => {
                self.world.change(name, |spec| match &mut spec.dss {
                    Some(dss) if dss.api_key == ApiKey::Personal => {
                        let before = dss.api_key_rotation.clone().unwrap_or_default();
                        dss.api_key_rotation = Some(format!("{}x", &before[..before.len().min(20)]));
                    }
                    _ => personal_key(spec),
                });
                format!("{name} asks for an API key, or for another")
            }
            3 => {
                self.world.change(name, |spec| match &mut spec.dss {
                    Some(dss) => (dss.api_key, dss.api_key_rotation) = (ApiKey::None, None),
                    None => personal_key(spec),
                });
                format!("{name} asks for an API key, or for none")
            }
            _ => {
                let from_dss = |config: AwsConfig| config.spec.role.is_some_and(|role| role.contains('$'));
                if self.world.config(name).is_some_and(from_dss) {
                    return "nothing".to_owned();
                }
                self.world.change(name, |spec| spec.dss = None);
                format!("{name} asks nothing of DSS")
            }
        }
    }

    /// An admin of DSS or of the cluster changes a setting.
    pub(super) fn change_dss(&mut self) -> String {
        let login = self.dice.one_of(&LOGINS);
        match self.dice.below(5) {
            0 | 1 => {
                let name = self.dice.one_of(&[Some(ROLES[0]), Some(ROLES[1]), Some("admin"), None]);
                if let Some(known) = self.dss.roles.get_mut(login) {
                    *known = name.map(str::to_owned);
                    self.world.dss.set_admin_property(login, "associatedRole", name);
                }
                format!("{login}'s role is {name:?} in DSS")
            }
            2 => {
                let enable = self.dice.below(2) == 0;
                self.world.dss.set_enabled(login, enable);
                if enable {
                    self.dss.disabled.remove(login);
                } else {
                    self.dss.disabled.insert(login.to_owned());
                }
                format!("{login} is enabled in DSS: {enable}")
            }
            3 => {
                (self.dss.persons, self.dss.system) =
                    (self.dice.one_of(&["", "", "a", "b"]).to_owned(), self.dice.below(2) == 0);
                self.dss.push = self.dice.below(3) > 0;
                allow(&self.world, &self.dss);
                let Model { persons, system, push, .. } = &self.dss;
                format!("the instance allows {persons}*, system: {system}, push: {push}")
            }
            _ => {
                let name = self.dice.one_of(&NAMES);
                let Some(key) = keys_of(&self.world, name).pop() else { return "nothing".to_owned() };
                self.world.dss.delete_personal_key(&key.id);
                format!("an API key of {name}'s is deleted in DSS")
            }
        }
    }

    /// DSS fails for some calls.
    pub(super) fn inject_dss_failure(&mut self) -> String {
        let troubles = [
            Behaviour::BadGateway,
            Behaviour::AnswerLost,
            Behaviour::ConnectionFailure,
            Behaviour::EmptyListing,
            Behaviour::Latency(Duration::from_secs(2)),
        ];
        let trouble = self.dice.one_of(&troubles);
        let step = format!("DSS: {trouble:?}");
        self.world.dss.behave(Times::N(1 + self.dice.below(6)), trouble);
        step
    }
}
