//! The output of each command, held as a snapshot: as an admin, as Alice, who may not read grants
//! and Secrets, and as somebody without rights. `INSTA_UPDATE=always` writes the snapshots anew.

use super::{World, asks};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    fixtures::{SCORING, alice, config, grant, role},
};

/// Alice has a credential, Bob is suspended, and Mallory asks for a role that no grant names.
async fn world() -> World {
    let world = World::with(&[alice()]).await;
    world.apply(&config("bob", |spec| spec.suspend = true));
    world.apply(&config("mallory", |spec| spec.role = Some(role("admin"))));
    world.apply(&grant("gone", |spec| {
        *spec = serde_json::from_value(serde_json::json!({"effect": "Deny", "persons": ["carol"]})).unwrap();
    }));
    world.settle().await;
    world
}

/// The commands, and what they print.
async fn transcript(world: &World, commands: &[&[&str]]) -> String {
    let mut text = String::new();
    for arguments in commands {
        let (said, code) = match asks(world, SCORING, arguments).await {
            Ok(answer) => (answer.text, answer.code),
            Err(failed) => (format!("error: {}\n", failed.message), failed.code),
        };
        text += &format!("$ kubectl keyturn {}\n{said}(exit code {code})\n\n", arguments.join(" "));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_an_admin_are_those_of_the_snapshot() {
    let world = world().await;
    let (analyst, admin) = (role("ds-analyst"), role("admin"));
    let all: [&[&str]; 19] = [
        &["status"],
        &["status", "alice", "-o", "json"],
        &["status", "--person", "bob", "-o", "yaml"],
        &["status", "-l", "team=none"],
        &["why", "alice"],
        &["why", "bob"],
        &["why", "mallory"],
        &["why", "nobody"],
        &["can", "--person", "alice", "--role", &analyst],
        &["can", "--person", "carol", "--role", &analyst],
        &["can", "--person", "alice", "--role", "admin"],
        &["who-can", &analyst],
        &["roles", "--person", "alice"],
        &["grant", "admins", "--role", &admin, "--person", "mallory", "--max-duration", "4h"],
        &["trust-policy", "alice", "--principal", "arn:aws:iam::123456789012:role/keyturn"],
        &["iam-policy"],
        &["renew", "bob"],
        &["migrate", "--role", &analyst],
        &["import", "keys"],
    ];
    insta::assert_snapshot!("admin", transcript(&world, &all).await);
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_alice_are_those_of_the_snapshot() {
    let world = world().await;
    for resource in ["awsrolegrants", "secrets", "namespaces"] {
        let reads = move |request: &Request| ["get", "list"].iter().any(|verb| request.is(verb, resource));
        world.api.fault(Times::UntilCleared, reads, Fault::forbidden());
    }
    let (analyst, admin) = (role("ds-analyst"), role("admin"));
    let all: [&[&str]; 10] = [
        &["status"],
        &["why", "alice"],
        &["why", "mallory"],
        &["can", "--person", "alice", "--role", &analyst],
        &["can", "--person", "alice", "--role", &admin],
        &["can", "--person", "dave", "--role", &analyst],
        &["roles"],
        &["who-can", &analyst],
        &["env", "alice"],
        &["exec", "alice", "--", "true"],
    ];
    insta::assert_snapshot!("alice", transcript(&world, &all).await);
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_somebody_without_rights_are_those_of_the_snapshot() {
    let world = world().await;
    world.api.fault(Times::UntilCleared, |_| true, Fault::forbidden());
    let role = role("ds-analyst");
    let all: [&[&str]; 9] = [
        &["status"],
        &["status", "-A"],
        &["why", "alice"],
        &["can", "--person", "alice", "--role", &role],
        &["roles"],
        &["renew", "alice"],
        &["env", "alice"],
        &["grant", "mine", "--role", &role, "--person", "*"],
        &["migrate", "alice", "--role", &role],
    ];
    insta::assert_snapshot!("nobody", transcript(&world, &all).await);
}
