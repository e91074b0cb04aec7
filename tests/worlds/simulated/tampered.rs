//! A writer of the Secret who knows how keyturn works: saved sessions, annotations that no write
//! passes with, and forgeries whose digest fits.

use super::world::World;
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{SCORING, alice},
};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use keyturn::secret::{Content, Record};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const SECRET: &str = "alice-aws";

fn edit(world: &World, change: impl FnOnce(&mut Value)) {
    world.api.edit("Secret", SCORING, SECRET, change);
}

/// The data of alice's Secret.
fn data(world: &World) -> BTreeMap<String, Vec<u8>> {
    let data = world.secret("alice").and_then(|secret| secret.data).unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// Writes data into alice's Secret, beside what is there.
fn put_data(secret: &mut Value, data: &BTreeMap<String, Vec<u8>>) {
    for (key, value) in data {
        secret["data"][key] = serde_json::to_value(ByteString(value.clone())).unwrap();
    }
}

/// Writes the annotations of a record, whose digest fits the data.
fn put_record(secret: &mut Value, record: &Record) {
    for (name, value) in record.annotations() {
        secret["metadata"]["annotations"][name] = json!(value);
    }
}

/// This record with a digest that fits the data.
fn sealed(record: &Record, data: &BTreeMap<String, Vec<u8>>) -> Record {
    record.rendered_again(record.render_digest.clone(), record.api_key.clone(), &Content(data.clone()))
}

/// Whether no key of keyturn's in alice's Secret holds a part of a session.
fn holds_no_session(world: &World) -> bool {
    world.secret("alice").is_none() || world.is_withdrawn("alice")
}

#[tokio::test(start_paused = true)]
async fn a_saved_session_does_not_stay_in_a_withdrawn_secret() {
    let long = (0..20_000).map(|n| format!("key-{n}")).collect::<Vec<_>>().join(",");
    for (case, keys) in [("no data key at all", "x y"), ("an over-long list", &long), ("an empty list", "")] {
        for planted in ["before the withdrawal", "after it"] {
            let case = format!("{case}, {planted}");
            let world = World::with(&[alice()]).await;
            let saved = data(&world);
            let plant = |world: &World| {
                edit(world, |secret| {
                    put_data(secret, &saved);
                    secret["metadata"]["annotations"]["keyturn.dev/keys"] = json!(keys);
                });
            };
            if planted == "after it" {
                world.change("alice", |spec| spec.suspend = true);
                world.at_once(&case, |world| world.is_withdrawn("alice")).await;
                world.settle().await;
                plant(&world);
            } else {
                plant(&world);
                world.change("alice", |spec| spec.suspend = true);
            }
            world.pass(Duration::from_secs(60)).await;
            assert!(holds_no_session(&world), "{case}: {}", world.picture());
            assert!(world.status("alice").access_key_id.is_none(), "{case}");
        }
    }
}

/// A session under a data key that the present formats do not have, and that the record does not
/// name.
#[tokio::test(start_paused = true)]
async fn a_session_under_another_data_key_of_keyturn_s_is_withdrawn() {
    let world = World::with(&[alice()]).await;
    let session = data(&world)["credentials"].clone();
    edit(&world, |secret| put_data(secret, &[("aws-credential.json".to_owned(), session.clone())].into()));
    world.settle().await;
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    assert_eq!(world.value("alice", "aws-credential.json"), "WITHDRAWN");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_is_refused_as_invalid_deletes_the_secret() {
    let world = World::with(&[alice()]).await;
    let rule = world.api.fault_on(Times::UntilCleared, "patch", "secrets", Fault::status(422));
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("it is deleted", |world| world.secret("alice").is_none()).await;
    world.pass(Duration::from_secs(60)).await;
    assert!(world.secret("alice").is_none(), "{}", world.picture());
    assert_eq!(world.ready("alice"), "False/Suspended");
    assert!(world.status("alice").access_key_id.is_none());
    let told = |(_, note): &(String, String)| note.contains("was deleted") && note.contains(SECRET);
    assert_eq!(world.events().iter().filter(|event| told(event)).count(), 1, "{:?}", world.events());
    world.api.forgive(rule);
    world.change("alice", |spec| spec.suspend = false);
    world.at_once("it is issued again", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_withdrawal_deletes_no_secret_of_another_owner() {
    let world = World::with(&[alice()]).await;
    world.api.fault_on(Times::UntilCleared, "patch", "secrets", Fault::status(422));
    // Between the refusal and the delete, another writer replaces the Secret by a foreign one.
    let theirs = Fault::before(|api| {
        api.delete("Secret", SCORING, SECRET);
        api.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": SCORING},
            "data": {"theirs": serde_json::to_value(ByteString(b"untouched".to_vec())).unwrap()}}));
    });
    world.api.fault_on(Times::Once, "delete", "secrets", theirs);
    world.change("alice", |spec| spec.suspend = true);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.value("alice", "theirs"), "untouched");
}

#[tokio::test(start_paused = true)]
async fn a_forgery_whose_digest_fits_is_replaced_at_once() {
    type Forge = fn(&mut Record, &mut BTreeMap<String, Vec<u8>>);
    let table: [(&str, Forge); 4] = [
        ("another key", |record, data| {
            record.access_key_id = "AKIAMINE".into();
            data.insert("AWS_ACCESS_KEY_ID".into(), b"AKIAMINE".to_vec());
        }),
        ("a later expiry", |record, _| {
            record.expires_at = record.expires_at.map(|at| at + SignedDuration::from_hours(99_999));
        }),
        ("another command", |_, data| {
            drop(data.insert("config".into(), b"[default]\ncredential_process = mine".to_vec()));
        }),
        ("a withdrawal", |record, _| record.withdrawn = Some("Suspended".into())),
    ];
    for (case, forge) in table {
        let world = World::with(&[alice()]).await;
        let (mut record, mut forged) = (world.record("alice").unwrap(), data(&world));
        forge(&mut record, &mut forged);
        let record = sealed(&record, &forged);
        edit(&world, |secret| {
            put_data(secret, &forged);
            put_record(secret, &record);
        });
        let is_ours = |world: &World| {
            world.holds_a_valid_session("alice")
                && world.record("alice").is_some_and(|now| now.content_digest != record.content_digest)
        };
        world.at_once(case, is_ours).await;
        world.pass(Duration::from_secs(60)).await;
        assert!(is_ours(&world) && world.is_ready("alice"), "{case}: {}", world.picture());
        assert_eq!(world.sts.count(), 1, "{case}: {}", world.picture());
        let expiry = world.status("alice").expires_at.unwrap().0;
        assert!(expiry.duration_since(world.now()) < SignedDuration::from_hours(2), "{case}: {expiry}");
        assert!(world.event_reasons().contains(&"Drifted".to_owned()), "{case}: {:?}", world.events());
        let before = world.cost();
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.cost(), before, "{case}: and nothing follows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forged_withdrawn_secret_is_withdrawn_again() {
    let world = World::with(&[alice()]).await;
    let saved = data(&world);
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.settle().await;
    let record = sealed(&world.record("alice").unwrap(), &saved);
    edit(&world, |secret| {
        put_data(secret, &saved);
        put_record(secret, &record);
    });
    world.at_once("it is withdrawn again", |world| world.is_withdrawn("alice")).await;
    assert_eq!(world.sts.count(), 0);
}
