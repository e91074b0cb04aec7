//! `push.dataRobot` in a history: configs that push, and what DataRobot holds at rest.

use super::{
    history::{History, NAMES},
    pushes::is_foreign,
    rules::{Expected, expected, subject},
};
use crate::{
    doubles::{
        datarobot::{Behaviour, Credential},
        rules::Times,
    },
    fixtures::{OPERATORS, robot},
    simulated::world::World,
};
use k8s_openapi::ByteString;
use keyturn::api::{AwsConfig, Push, Pushed};
use serde_json::{from_value, json};

const ENTRIES: [&str; 2] = ["first", "second"];
const ACCOUNT: &str = "svc";
/// A credential that somebody else keeps in the account, and keyturn never touches.
const THEIRS: &str = "theirs";

/// Creates an instance, its token, and a credential of somebody else in its account.
pub fn found(world: &World) {
    let token = world.datarobot.add_account(ACCOUNT);
    let data = json!({"apiToken": ByteString(token.into_bytes())});
    let metadata = json!({"name": "datarobot-token", "namespace": OPERATORS});
    world.api.put(json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": metadata}));
    world.datarobot.add_credential(ACCOUNT, THEIRS, "basic", &[("user", "u"), ("password", "p")]);
    allow(world, true);
}

fn allow(world: &World, everybody: bool) {
    world.apply(&robot("prod", "https://robot.test", |spec| {
        spec.allow[0].persons.push("system:*".to_owned());
        if !everybody {
            spec.allow.clear();
        }
    }));
}

/// A config changes its entry, an admin of the cluster changes the instance, or DataRobot fails.
pub fn change_datarobot(history: &mut History) -> String {
    match history.dice.below(8) {
        0 => {
            history.robot_allows = !history.robot_allows;
            allow(&history.world, history.robot_allows);
            format!("DataRobot is allowed: {}", history.robot_allows)
        }
        1 => {
            let troubles = [Behaviour::BadGateway, Behaviour::AnswerLost, Behaviour::ConnectionFailure];
            let trouble = history.dice.one_of(&troubles);
            let step = format!("DataRobot: {trouble:?}");
            history.world.datarobot.behave(Times::N(1 + history.dice.below(6)), trouble);
            step
        }
        _ => {
            let name = history.dice.one_of(&NAMES);
            let entry = history.dice.one_of(&[Some(ENTRIES[0]), Some(ENTRIES[1]), None]);
            if history.world.config(name).is_none() {
                return "nothing".to_owned();
            }
            history.world.change(name, |spec| {
                let mut push: Push = spec.push.take().map(|push| *push).unwrap_or_default();
                push.data_robot = entry.map(|entry| from_value(json!({"instance": "prod", "name": entry})).unwrap());
                spec.push = (push != Push::default()).then(|| Box::new(push));
            });
            format!("{name} has the entry {entry:?} in DataRobot")
        }
    }
}

fn entry_of(config: &AwsConfig) -> Option<String> {
    Some(config.spec.push.as_ref()?.data_robot.as_ref()?.name.clone())
}

fn recorded(world: &World, name: &str) -> Option<Pushed> {
    world.config(name)?.status?.push?.data_robot
}

/// Asserts that DataRobot holds what others wrote, and of keyturn one entry for each config that
/// has one: with the session of the Secret, or with values that do not work.
pub fn assert_datarobot(history: &History) {
    let world = &history.world;
    let mut all = world.datarobot.credentials(ACCOUNT);
    all.retain(|it| it.name != THEIRS);
    let theirs = world.datarobot.credential(ACCOUNT, THEIRS).expect("what others wrote is there");
    assert_eq!((theirs.values["user"].as_str(), theirs.values["password"].as_str()), ("u", "p"));
    for entry in &all {
        let has_it = |name: &&str| recorded(world, name).is_some_and(|it| it.credential_id.as_ref() == Some(&entry.id));
        let owners: Vec<&str> = NAMES.into_iter().filter(has_it).collect();
        assert_eq!(owners.len(), 1, "{owners:?} have {entry:?}");
        assert_is_right(history, owners[0], entry);
    }
    for name in NAMES {
        let Some(config) = world.config(name) else { continue };
        let Some(entry) = entry_of(&config) else { continue };
        let others = NAMES.into_iter().filter(|other| *other != name).filter_map(|other| world.config(other));
        let is_alone = !others.into_iter().any(|other| entry_of(&other).as_ref() == Some(&entry));
        let due = expected(world, &history.dss, &config) != Expected::Nothing;
        if due && is_alone && history.robot_allows && !is_foreign(world, name) {
            let is_there = all.iter().any(|it| it.name == entry && is_live(it));
            assert!(is_there, "{name} has no entry {entry}: {:?}", world.condition(name, "Pushed"));
        }
    }
}

fn assert_is_right(history: &History, owner: &str, entry: &Credential) {
    let world = &history.world;
    let config = world.config(owner).unwrap();
    assert!(history.robot_allows, "{owner}: nobody may keep an entry");
    assert_eq!(entry_of(&config).as_ref(), Some(&entry.name), "{owner} asks for the entry");
    assert_eq!(recorded(world, owner).unwrap().login, subject(&config), "{owner}: an ID is of one person");
    let due = expected(world, &history.dss, &config) != Expected::Nothing;
    assert!(due || !is_live(entry), "{owner} may have no credential: {entry:?}");
    if due && !is_foreign(world, owner) {
        let held = entry.triplet().unwrap();
        let held = [held.access_key_id, held.secret_access_key, held.session_token.unwrap_or_default()];
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        assert_eq!(held, names.map(|name| world.value(owner, name)), "{owner}: DataRobot has what the Secret has");
        assert_eq!(world.value(owner, "DATAROBOT_CREDENTIAL_ID"), entry.id, "{owner}: pods have the ID");
    }
}

fn is_live(entry: &Credential) -> bool {
    entry.triplet().is_some_and(|held| !held.access_key_id.contains("WITHDRAWN"))
}
