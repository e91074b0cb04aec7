//! Profiles in the histories: the step that changes them, and the rules for what each may have.

use super::{
    history::{History, NAMES, ROLES, dss::Model},
    rules::{allows, subject},
};
use crate::{fixtures::role, simulated::world::World};
use keyturn::api::{AwsConfig, CredentialProvider, Mode, Profile};
use serde_json::{Value, from_value, json};

const PROFILES: [&str; 2] = ["lake", "mart"];

/// Gives a config other profiles, or none.
pub fn change_profiles(history: &mut History) -> String {
    let name = history.dice.one_of(&NAMES);
    let mut profiles: Vec<Profile> = Vec::new();
    for profile in PROFILES {
        if history.dice.below(3) > 0 {
            let role = role(history.dice.one_of(&ROLES));
            profiles.push(from_value(json!({"name": profile, "role": role})).unwrap());
        }
    }
    let config = history.world.config(name);
    let is_session = config.is_some_and(|it| it.spec.credential_provider == CredentialProvider::Temporary);
    if !is_session {
        return format!("{name} can have no profiles");
    }
    let said: Vec<&str> = profiles.iter().filter_map(|profile| profile.role.as_deref()).collect();
    let step = format!("{name} has the profiles {said:?}");
    history.world.change(name, |spec| spec.profiles = profiles);
    step
}

/// The roles that the profiles of a config should have now, by name; `None` for nothing.
fn expected(world: &World, dss: &Model, config: &AwsConfig) -> Vec<(String, Option<String>)> {
    let spec = &config.spec;
    let may_have_any = !spec.suspend && (spec.dss.is_none() || dss.login(config).is_some());
    let grants = world.api.list("awsrolegrants");
    let seconds = spec.duration().length().unwrap().as_secs();
    let may_have = |role: &String| may_have_any && allows(&grants, &subject(config), Some(role), seconds);
    spec.profiles.iter().map(|profile| (profile.name.clone(), profile.role.clone().filter(may_have))).collect()
}

/// Whether any profile of a config should have a session.
pub fn may_have_any(world: &World, dss: &Model, config: &AwsConfig) -> bool {
    expected(world, dss, config).iter().any(|(_, role)| role.is_some())
}

/// Asserts that each profile has exactly its due, and that nothing is left of others.
pub fn assert_profiles(history: &History, name: &str, config: &AwsConfig) {
    let world = &history.world;
    let expected = expected(world, &history.dss, config);
    let secret = world.secret(name);
    for profile in PROFILES {
        let file = format!("credential-process-{profile}.json");
        let process: Value = serde_json::from_str(&world.value(name, &file)).unwrap_or_default();
        let held = process["AccessKeyId"].as_str().map(|id| world.sts.session(id).expect("STS issued it"));
        let due = expected.iter().find(|(name, _)| name == profile);
        match due {
            None => assert_eq!((world.value(name, &file), held), (String::new(), None), "{name}: no {profile}"),
            Some((_, None)) => assert_eq!(held, None, "{name}: {profile} has what it may not have"),
            Some((_, Some(role))) => {
                let session = held.unwrap_or_else(|| panic!("{name}: {profile} has nothing: {secret:?}"));
                let as_whom = match config.spec.mode {
                    Mode::User => config.spec.person.clone().unwrap(),
                    Mode::System => format!("{},{name}", crate::fixtures::SCORING),
                };
                assert_eq!((&session.role_arn, &session.session_name), (role, &as_whom), "{name}: {profile}");
                assert!(session.expiration > world.now(), "{name}: {profile}");
                assert_eq!(process["SecretAccessKey"], session.secret_access_key, "{name}: {profile}");
                assert_eq!(process["SessionToken"], session.session_token, "{name}: {profile}");
            }
        }
        let reported = world.status(name).profile(profile).cloned();
        assert_eq!(reported.is_some(), due.is_some(), "{name}: {profile}: {reported:?}");
        let is_ready = reported.is_some_and(|reported| reported.is_ready());
        assert_eq!(is_ready, due.is_some_and(|(_, role)| role.is_some()), "{name}: {profile}");
    }
}
