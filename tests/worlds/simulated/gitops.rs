//! The objects that Argo CD and Flux read (`tests/worlds/gitops`), as the operator leaves them.

use super::{dataiku, datarobot, world::World};
use crate::{
    doubles::{dss::Behaviour as DssBehaviour, sts::Behaviour},
    fixtures::{SCORING, alice, analysts, aws_role, config, design, grant, instance, personal_key, role, uses},
    gitops::{RECORDED, folder},
};
use keyturn::api::AwsConfigSpec;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// The objects by the names of their files.
type Objects = BTreeMap<String, Value>;

/// Keeps an object as `kubectl get` shows it, without what is another in each cluster.
fn keep(objects: &mut Objects, world: &World, name: &str, kind: &str, namespace: &str, object: &str) {
    let mut found = world.api.get(kind, namespace, object).unwrap_or_else(|| panic!("{name}: there is no {object}"));
    let metadata = found["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| !["managedFields", "resourceVersion", "uid", "creationTimestamp"].contains(&key.as_str()));
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        owner["uid"] = json!("00000000-0000-0000-0000-000000000000");
    }
    let spec = found["spec"].as_object_mut().unwrap();
    spec.retain(|_, value| !value.is_null());
    assert!(objects.insert(name.to_owned(), found).is_none(), "{name} is there twice");
}

fn keep_alice(objects: &mut Objects, world: &World, name: &str) {
    keep(objects, world, &format!("awsconfig-{name}"), "AwsConfig", SCORING, "alice");
}

fn keep_design(objects: &mut Objects, world: &World, name: &str) {
    keep(objects, world, &format!("dssinstance-{name}"), "DssInstance", "", "design");
}

/// Nothing has been looked at by an operator.
fn unseen(objects: &mut Objects) {
    let world = World::empty();
    world.apply(&alice());
    world.apply(&analysts());
    world.apply(&aws_role("lead", "alice", &role("ds-lead")));
    world.apply(&design(dataiku::URL));
    keep_alice(objects, &world, "unseen");
    keep(objects, &world, "awsrolegrant-unseen", "AwsRoleGrant", "", "analysts");
    keep(objects, &world, "awsrole-unseen", "AwsRole", SCORING, "lead");
    keep_design(objects, &world, "unseen");
}

/// One config, from its first credential over a failing renewal to the end.
async fn life_of_a_config(objects: &mut Objects) {
    let mut world = World::with(&[alice()]).await;
    keep_alice(objects, &world, "ready");
    keep(objects, &world, "awsrolegrant-in-order", "AwsRoleGrant", "", "analysts");
    let generated = world.roles()[0].metadata.name.clone().unwrap();
    keep(objects, &world, "awsrole-active", "AwsRole", SCORING, &generated);

    world.sts.always(Behaviour::ConnectionFailure);
    world.pass_until_due("alice").await;
    world.pass(2 * MINUTE).await;
    keep_alice(objects, &world, "renewal-fails");
    world.pass(60 * MINUTE).await;
    keep_alice(objects, &world, "expired");

    world.stop().await;
    world.change("alice", |spec| spec.region = Some("eu-central-1".to_owned()));
    keep_alice(objects, &world, "changed");
}

/// Specs for which there is no credential, each with the reason of `Ready`.
async fn refusals(objects: &mut Objects) {
    let rows: [(&str, &str, fn(&mut AwsConfigSpec)); 4] = [
        ("role-pending", "False/RolePending", |spec| uses("later")(spec)),
        ("not-granted", "False/NotGranted", |spec| spec.role = Some(role("admin"))),
        ("invalid", "False/InvalidSpec", |spec| {
            spec.session = serde_json::from_value(json!({"policy": "no policy"})).unwrap();
        }),
        ("suspended", "False/Suspended", |spec| spec.suspend = true),
    ];
    for (name, ready, change) in rows {
        let world = World::started();
        world.apply(&config("alice", change));
        world.until(ready, |world| world.ready("alice") == ready).await;
        keep_alice(objects, &world, name);
    }
    let profiles = json!([{"name": "lake", "role": role("admin")}]);
    let world = World::with(&[config("alice", |spec| spec.profiles = serde_json::from_value(profiles).unwrap())]).await;
    keep_alice(objects, &world, "profile-not-granted");
}

async fn roles_and_grants(objects: &mut Objects) {
    let world = World::with(&[alice()]).await;
    world.apply(&grant("nobody", |spec| spec.persons = vec![]));
    let rows = [
        ("inactive", "alice", role("ds-lead")),
        ("not-granted", "alice", role("admin")),
        ("without-config", "nobody", role("ds-lead")),
        ("invalid", "alice", "arn:aws:iam::123456789012:user/alice".to_owned()),
    ];
    for (name, config, role) in &rows {
        world.apply(&aws_role(name, config, role));
    }
    world.settle().await;
    for (name, _, _) in rows {
        keep(objects, &world, &format!("awsrole-{name}"), "AwsRole", SCORING, name);
    }
    keep(objects, &world, "awsrolegrant-invalid", "AwsRoleGrant", "", "nobody");
}

async fn instances(objects: &mut Objects) {
    let is_ready = |world: &World| {
        let status = world.instance("design").and_then(|instance| instance.status).unwrap_or_default();
        status.conditions.into_iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.status == "True")
    };
    let rows =
        [("ready", None), ("unreachable", Some(DssBehaviour::BadGateway)), ("denied", Some(DssBehaviour::EchoedKey))];
    for (name, behaviour) in rows {
        let mut world = dataiku::world();
        let expected = behaviour.is_none();
        if let Some(behaviour) = behaviour {
            world.dss.always(behaviour);
        }
        world.start();
        world.until(name, |world| is_ready(world) == Some(expected)).await;
        keep_design(objects, &world, name);
    }
    let mut world = dataiku::world();
    // The schema does not know the limit of a port.
    world.apply(&instance("design", "https://dss.test:99999", |_| {}));
    world.start();
    world.until("it is refused", |world| is_ready(world) == Some(false)).await;
    keep_design(objects, &world, "invalid");
}

async fn data_robots(objects: &mut Objects) {
    let keep = |objects: &mut Objects, world: &World, name: &str| {
        keep(objects, world, &format!("datarobotinstance-{name}"), "DataRobotInstance", "", "prod");
    };
    let ready = |world: &World| {
        let status = world.data_robot("prod").and_then(|instance| instance.status).unwrap_or_default();
        status.conditions.into_iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.status)
    };
    let mut world = datarobot::world();
    keep(objects, &world, "unseen");
    world.start();
    world.until("it is ready", |world| ready(world).as_deref() == Some("True")).await;
    keep(objects, &world, "ready");
    let mut world = datarobot::world();
    world.datarobot.revoke_token(datarobot::SHARED);
    world.start();
    world.until("it is denied", |world| ready(world).as_deref() == Some("False")).await;
    keep(objects, &world, "denied");
}

/// Objects that are deleted while keyturn cannot delete an API key in DSS.
async fn deletions(objects: &mut Objects) {
    let mut world = dataiku::world();
    world.start();
    world.apply(&config("alice", personal_key));
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.dss.always(DssBehaviour::BadGateway);
    world.api.delete("AwsConfig", SCORING, "alice");
    world.api.delete("DssInstance", "", "design");
    world.pass(MINUTE).await;
    keep_alice(objects, &world, "being-deleted");
    keep_design(objects, &world, "being-deleted");
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests and not of the operator")]
async fn the_objects_of_gitops_are_as_the_operator_leaves_them() {
    let mut objects = Objects::new();
    unseen(&mut objects);
    life_of_a_config(&mut objects).await;
    refusals(&mut objects).await;
    roles_and_grants(&mut objects).await;
    instances(&mut objects).await;
    data_robots(&mut objects).await;
    deletions(&mut objects).await;
    let names: Vec<&str> = objects.keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = RECORDED.iter().map(|recorded| recorded.name).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "the objects, and the rows about them");

    let is_written = std::env::var_os("KEYTURN_WRITE_PAGES").is_some();
    for recorded in RECORDED {
        let expected = serde_json::to_string_pretty(&objects[recorded.name]).unwrap() + "\n";
        if is_written {
            fs::create_dir_all(folder()).unwrap();
            fs::write(recorded.path(), &expected).unwrap();
        }
        let present = fs::read_to_string(recorded.path()).unwrap_or_default();
        let differing = expected.lines().zip(present.lines()).find(|(expected, present)| expected != present);
        let path = recorded.path();
        assert!(present == expected, "{} is out of date: run make gitops; first at {differing:?}", path.display());
    }
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, RECORDED.len(), "{} holds a file that no row is about", folder().display());
}
