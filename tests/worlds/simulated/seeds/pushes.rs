//! `spec.push` in a history: configs that push, and what DSS holds at rest.

use super::{
    foreign_secret,
    history::{History, NAMES, dss::LOGINS},
    rules::{Expected, expected},
};
use crate::{fixtures::SCORING, simulated::world::World};
use keyturn::api::{AwsConfig, Push, Pushed};
use serde_json::json;
use std::collections::BTreeMap;

const PREFIXES: [&str; 2] = ["AWS_", "S3_"];
/// A secret that every user has in DSS, and keyturn never touches.
pub const THEIRS: (&str, &str) = ("MINE", "my own");

/// A config changes the place that it pushes to.
pub fn change_push(history: &mut History) -> String {
    let name = history.dice.one_of(&NAMES);
    let prefix = history.dice.one_of(&[Some(PREFIXES[0]), Some(PREFIXES[0]), Some(PREFIXES[1]), None]);
    if history.world.config(name).is_none() {
        return "nothing".to_owned();
    }
    history.world.change(name, |spec| {
        let mut push: Push = spec.push.take().map(|push| *push).unwrap_or_default();
        push.dss_secrets = prefix.map(|prefix| serde_json::from_value(json!({"prefix": prefix})).unwrap());
        spec.push = (push != Push::default()).then(|| Box::new(push));
        if prefix.is_some() && spec.dss.is_none() {
            spec.dss = serde_json::from_value(json!({"instance": "design"})).unwrap();
        }
    });
    format!("{name} pushes to {prefix:?}")
}

fn prefix_of(config: &AwsConfig) -> Option<String> {
    Some(config.spec.push.as_ref()?.dss_secrets.as_ref()?.prefix.clone())
}

fn recorded(world: &World, name: &str) -> Option<Pushed> {
    world.config(name)?.status?.push?.dss_secrets
}

/// Asserts that DSS holds what users wrote, and of keyturn the credentials that are in Secrets, for
/// configs that may push.
pub fn assert_pushes(history: &History) {
    let world = &history.world;
    for login in LOGINS {
        let mut secrets = world.dss.secrets(login);
        assert_eq!(secrets.remove(THEIRS.0).as_deref(), Some(THEIRS.1), "{login}: what others wrote is left alone");
        for prefix in PREFIXES {
            let there = |end: &str| secrets.get(&format!("{prefix}{end}")).cloned().unwrap_or_default();
            let is_here = |it: &Pushed| (it.login.as_str(), it.name.as_str()) == (login, prefix);
            let has_it = |name: &&str| recorded(world, name).is_some_and(|it| is_here(&it) && it.digest.is_some());
            let owners: Vec<&str> = NAMES.into_iter().filter(has_it).collect();
            let is_there = !there("ACCESS_KEY_ID").is_empty();
            assert_eq!(owners.len(), usize::from(is_there), "{login} {prefix}: {owners:?} of {secrets:?}");
            let Some(owner) = owners.first() else { continue };
            assert_may_push(history, owner, login, prefix);
            if !is_foreign(world, owner) {
                let held = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"];
                let of_secret = held.map(|end| (end, world.value(owner, &format!("AWS_{end}"))));
                assert_eq!(held.map(|end| (end, there(end))), of_secret, "{owner}: DSS has what the Secret has");
            }
        }
        let is_ours = |name: &String| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let others: BTreeMap<&String, &String> = secrets.iter().filter(|(name, _)| !is_ours(name)).collect();
        assert!(others.is_empty(), "{login}: {others:?}");
    }
    for name in NAMES {
        assert_has_its_place(history, name);
    }
}

fn assert_may_push(history: &History, owner: &str, login: &str, prefix: &str) {
    let config = history.world.config(owner).unwrap();
    assert_eq!(prefix_of(&config).as_deref(), Some(prefix), "{owner} asks for the place");
    assert_eq!(history.dss.push_login(&config).as_deref(), Some(login), "{owner} may push there");
    let due = expected(&history.world, &history.dss, &config);
    assert_ne!(due, Expected::Nothing, "{owner} may have no credential");
}

/// A config that may push has done so, unless another config of the same person asks for the same
/// place: the older one comes first, even if it has no credential.
fn assert_has_its_place(history: &History, name: &str) {
    let world = &history.world;
    let Some(config) = world.config(name) else { return };
    let (Some(prefix), Some(login)) = (prefix_of(&config), history.dss.push_login(&config)) else { return };
    let others = NAMES.into_iter().filter(|other| *other != name).filter_map(|other| world.config(other));
    let asks = |it: AwsConfig| it.spec.person == config.spec.person && prefix_of(&it).as_ref() == Some(&prefix);
    let has_none = expected(world, &history.dss, &config) == Expected::Nothing;
    if has_none || is_foreign(world, name) || others.into_iter().any(asks) {
        return;
    }
    let is_there = world.dss.secrets(&login).contains_key(&format!("{prefix}ACCESS_KEY_ID"));
    assert!(is_there, "{name} has not pushed to {prefix}: {:?}", world.condition(name, "Pushed"));
}

pub fn is_foreign(world: &World, name: &str) -> bool {
    let secret = world.api.get("Secret", SCORING, &format!("{name}-aws"));
    secret.is_some_and(|secret| secret["data"]["theirs"] == foreign_secret(name)["data"]["theirs"])
}
