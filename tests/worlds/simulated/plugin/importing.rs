//! The recorded answers of Trifacta's API, imported and applied beside a running operator.

use super::{World, asks};
use crate::fixtures::{SCORING, grant, role};
use keyturn::{
    clock::Clock,
    plugin::{self, FILE_NAME, Screen},
};
use serde_json::Value;
use std::{ffi::OsString, fs};

/// The answers, and the names of their files. ROLE stands for the beginning of an ARN.
const ANSWERS: [(&str, &str); 3] = [
    ("people.json", include_str!("../../real/plugin/trifacta/people.json")),
    ("awsConfigs.json", include_str!("../../real/plugin/trifacta/awsConfigs.json")),
    ("awsRoles.json", include_str!("../../real/plugin/trifacta/awsRoles.json")),
];

#[tokio::test(start_paused = true)]
async fn every_person_of_trifacta_has_after_the_import_what_they_had() {
    let mut world = World::empty();
    world.start();
    let folder = tempfile::tempdir().unwrap();
    let mut arguments: Vec<OsString> = [FILE_NAME, "import", "trifacta", "-n", SCORING].map(OsString::from).into();
    for (name, text) in ANSWERS {
        let path = folder.path().join(name);
        fs::write(&path, text.replace("ROLE", &role(""))).unwrap();
        arguments.push(path.into());
    }
    let mut out = Vec::new();
    let import = plugin::parse(arguments).unwrap();
    let said = plugin::run(&import, &Clock::simulated(world.now()), &mut Screen::plain(&mut out)).await.unwrap();
    for document in said.text.split("---\n").skip(1) {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        world.api.put(object);
    }
    world.until("alice is ready", |world| world.is_ready("alice-example-com")).await;
    world.settle().await;

    let key = world.value("alice-example-com", "AWS_ACCESS_KEY_ID");
    let session = world.sts.session(&key).unwrap();
    assert_eq!((session.session_name.as_str(), session.role_arn), ("alice@example.com", role("ds-analyst")));
    assert_eq!(world.value("alice-example-com", "AWS_EXTRA_BUCKETS"), "extra-one");
    assert_eq!(world.ready("bob-example-com"), "False/Suspended", "a disabled person has nothing");
    assert!(world.ready("carol-example-com").starts_with("False/KeySecret"), "{}", world.ready("carol-example-com"));

    // Carol's key is replaced by a role.
    world.apply(&grant("others", |_| {}));
    let other = role("ds-other");
    let dry = asks(&world, SCORING, &["migrate", "carol-example-com", "--role", &other]).await.unwrap();
    assert!(dry.text.ends_with("nothing was changed; --apply changes it\n"), "{dry:?}");
    assert!(!world.is_ready("carol-example-com"));
    let done = asks(&world, SCORING, &["migrate", "carol-example-com", "--role", &other, "--apply"]).await.unwrap();
    assert!(done.is_fine(), "{done:?}");
    world.until("carol is ready", |world| world.is_ready("carol-example-com")).await;
    let key = world.value("carol-example-com", "AWS_ACCESS_KEY_ID");
    assert_eq!(world.sts.session(&key).unwrap().role_arn, other);
}
