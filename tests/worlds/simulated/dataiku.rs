//! A world with a Dataiku DSS in it: the calls that DSS gets, what they cost, and the behaviour
//! when DSS fails.

mod admins;
mod api_keys;
mod connections;
mod forged;
mod instances;
mod intermediaries;
mod kinds;
mod leftovers;
mod listings;
mod moves;
mod pushes;
mod refused_calls;
mod roles;
mod rotations;
mod shared_accounts;
mod slow;
mod unreachable;
mod wrong_owner;

use super::world::World;
use crate::{
    doubles::dss::{ADMIN_KEY, Call},
    fixtures::{OPERATORS, analysts, config, design, grant, instance},
};
use keyturn::api::{ApiKey, AwsConfigSpec, CredentialProvider};
use serde_json::json;
use std::time::Duration;

pub(super) const URL: &str = "https://dss.test";
/// A little more than `refresh`.
const REFRESH: Duration = Duration::from_secs(5 * 60 + 5);

/// A world whose DSS knows alice and bob. Each has the name of a role in an admin property. No
/// operator runs yet.
pub(super) fn world() -> World {
    let world = World::empty();
    world.apply(&analysts());
    world.apply(&grant("from-dss", |grant| {
        grant.providers = vec![CredentialProvider::Connection, CredentialProvider::Default];
        grant.roles.clear();
    }));
    world.apply(&design(URL));
    world.api.namespace(OPERATORS, &[]);
    put_admin_key(&world, ADMIN_KEY);
    for login in ["alice", "bob"] {
        world.dss.add_user(login, &["analysts"]);
        world.dss.set_admin_property(login, "associatedRole", Some("ds-analyst"));
    }
    world
}

/// The same, whose `design` allows pushes.
fn allowing_pushes() -> World {
    let world = world();
    world.apply(&instance("design", URL, |spec| spec.allow[0].push = true));
    world
}

/// The status and the reason of the condition `Pushed`.
pub(super) fn pushed(world: &World, name: &str) -> String {
    world.condition(name, "Pushed").map(|(status, reason, _)| format!("{status}/{reason}")).unwrap_or_default()
}

/// Whether a call to DSS changes an account.
fn is_write(call: &Call) -> bool {
    call.method == "PUT"
}

/// The access key ID of a key of alice's own.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// The same with an operator, and with these configs ready.
async fn world_with(configs: &[(&str, Box<dyn Fn(&mut AwsConfigSpec)>)]) -> World {
    let mut world = world();
    world.start();
    for (name, change) in configs {
        world.apply(&config(name, |spec| change(spec)));
    }
    world.until("all are ready", |world| configs.iter().all(|(name, _)| world.is_ready(name))).await;
    world.settle().await;
    world.count_from_here();
    world
}

/// The Secret in which the operator finds its admin key.
pub(super) fn put_admin_key(world: &World, key: &str) {
    use k8s_openapi::ByteString;
    let data = json!({"apiKey": ByteString(key.as_bytes().to_vec())});
    if world.api.get("Secret", OPERATORS, "dss-admin").is_some() {
        world.api.edit("Secret", OPERATORS, "dss-admin", |secret| secret["data"] = data);
    } else {
        let metadata = json!({"name": "dss-admin", "namespace": OPERATORS});
        world.api.put(json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": metadata}));
    }
}

/// Status, reason and message of a condition of the instance `design`.
fn instance_condition(world: &World, type_: &str) -> (String, String, String) {
    let status = world.instance("design").and_then(|instance| instance.status).unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == type_);
    found.map(|condition| (condition.status, condition.reason, condition.message)).unwrap_or_default()
}

/// The login that a key belongs to, according to the double.
fn owner_of(world: &World, key: &str) -> Option<String> {
    world.dss.personal_keys().into_iter().find(|personal| personal.key == key).map(|personal| personal.user)
}
