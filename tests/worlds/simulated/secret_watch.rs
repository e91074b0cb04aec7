//! The Secret and the AwsRole under other writers: edits, deletions, take-overs. keyturn repairs
//! its own objects within a second at the promised price, and never touches a foreign object.

use super::world::{Cost, World};
use crate::{
    doubles::{apiserver::Fault, rules::Times},
    fixtures::{SCORING, alice, analysts, config},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "alice-aws";

fn edit(world: &World, change: impl FnOnce(&mut Value)) {
    world.api.edit("Secret", SCORING, SECRET, change);
}

fn annotations(secret: &mut Value) -> &mut serde_json::Map<String, Value> {
    let annotations = &mut secret["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations.as_object_mut().unwrap()
}

fn base64(text: &str) -> Value {
    serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap()
}

/// A foreign Secret.
fn foreign_secret(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": SCORING}, "data": {"theirs": base64("untouched")},
    })
}

fn is_healthy(world: &World) -> bool {
    let Some(secret) = world.secret("alice") else { return false };
    let owner = secret.metadata.owner_references.unwrap_or_default();
    let uid = world.config("alice").and_then(|config| config.metadata.uid);
    world.holds_a_valid_session("alice")
        && world.is_ready("alice")
        && secret.immutable != Some(true)
        && secret.metadata.labels.unwrap_or_default().get("keyturn.dev/aws-config").map(String::as_str) == Some("alice")
        && owner.iter().any(|owner| Some(&owner.uid) == uid.as_ref())
        && world.record("alice").is_some_and(|record| keyturn::secret::is_intact(&record, &data(secret.data)))
}

fn data(data: Option<std::collections::BTreeMap<String, ByteString>>) -> std::collections::BTreeMap<String, Vec<u8>> {
    data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

// ---- One edit and its cost ----------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_drifted_secret_is_repaired_within_a_second_at_its_price() {
    type Edit = fn(&World);
    /// The edit, and the most reads and calls to STS that it may cost.
    type Row = (&'static str, Edit, usize, usize);
    let table: [Row; 16] = [
        ("deleted", |w| assert!(w.api.delete("Secret", SCORING, SECRET)), 1, 1),
        ("a key edited", |w| edit(w, |s| s["data"]["AWS_SESSION_TOKEN"] = base64("mine")), 1, 1),
        ("a key of the files edited", |w| edit(w, |s| s["data"]["config"] = base64("[default]")), 1, 1),
        ("a key removed", |w| edit(w, |s| drop(s["data"].as_object_mut().unwrap().remove("credentials"))), 1, 1),
        ("all data removed", |w| edit(w, |s| s["data"] = json!({})), 1, 1),
        ("the expiry edited", |w| edit(w, |s| annotate(s, "expires-at", "2030-01-01T00:00:00Z")), 1, 1),
        ("the issue digest edited", |w| edit(w, |s| annotate(s, "issue-digest", "x")), 1, 1),
        ("the render digest edited", |w| edit(w, |s| annotate(s, "render-digest", "x")), 1, 1),
        ("the content digest edited", |w| edit(w, |s| annotate(s, "content-digest", "x")), 1, 1),
        ("the list of keys edited", |w| edit(w, |s| annotate(s, "keys", "config")), 1, 1),
        ("the person edited", |w| edit(w, |s| annotate(s, "person", "mallory")), 1, 1),
        ("marked as withdrawn", |w| edit(w, |s| annotate(s, "withdrawn", "Suspended")), 1, 1),
        ("an annotation removed", |w| edit(w, |s| drop(annotations(s).remove("keyturn.dev/issued-at"))), 1, 1),
        ("all annotations removed", |w| edit(w, |s| annotations(s).clear()), 1, 1),
        ("our label stripped", |w| edit(w, |s| s["metadata"]["labels"] = json!({})), 2, 0),
        ("made immutable", |w| edit(w, |s| s["immutable"] = json!(true)), 1, 0),
    ];
    for (what, edit, reads, sts) in table {
        let world = World::with(&[alice()]).await;
        edit(&world);
        world.at_once(what, is_healthy).await;
        world.pass(Duration::from_secs(60)).await;
        assert!(is_healthy(&world), "{what}: {}", world.picture());
        let cost = world.cost();
        assert!(cost.reads <= reads && cost.sts == sts, "{what}: {cost:?}\n{}", world.picture());
        let before = world.cost();
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.cost(), before, "{what}: and nothing follows");
    }
}

fn annotate(secret: &mut Value, name: &str, value: &str) {
    annotations(secret).insert(format!("keyturn.dev/{name}"), json!(value));
}

#[tokio::test(start_paused = true)]
async fn foreign_keys_and_labels_in_our_secret_stay_and_cost_one_read() {
    let world = World::with(&[alice()]).await;
    let additions: [(&str, fn(&mut Value)); 3] = [
        ("a label", |s| s["metadata"]["labels"]["backup"] = json!("yes")),
        ("an annotation", |s| s["metadata"]["annotations"]["note"] = json!("hello")),
        ("a key", |s| s["data"]["THEIRS"] = base64("stays")),
    ];
    for (what, add) in additions {
        world.count_from_here();
        edit(&world, add);
        world.pass(Duration::from_secs(120)).await;
        let cost = world.cost();
        assert!(cost.reads <= 1 && cost.sts == 0 && cost.writes == 0, "{what}: {cost:?}");
    }
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(world.sts.count(), 1, "a renewal later");
    let secret = world.secret("alice").unwrap();
    assert_eq!(world.value("alice", "THEIRS"), "stays");
    assert_eq!(secret.metadata.labels.unwrap().get("backup").map(String::as_str), Some("yes"));
    assert_eq!(secret.metadata.annotations.unwrap().get("note").map(String::as_str), Some("hello"));
    assert!(is_healthy(&world));
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_reported_in_one_event() {
    let world = World::with(&[alice()]).await;
    edit(&world, |secret| secret["data"]["AWS_ACCESS_KEY_ID"] = base64("AKIAMINE"));
    world.at_once("it is put right", is_healthy).await;
    world.settle().await;
    assert_eq!(world.event_reasons(), ["Issued", "Drifted"]);
    assert!(world.events()[1].1.contains("alice-aws"));
}

#[tokio::test(start_paused = true)]
async fn an_edited_withdrawn_secret_is_repaired_without_a_call_to_sts() {
    let world = World::with(&[config("alice", |_| {})]).await;
    let key = world.value("alice", "AWS_ACCESS_KEY_ID");
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
    world.settle().await;
    let changes: [(&str, fn(&mut Value, &str)); 6] = [
        ("the former key", |s, key| s["data"]["AWS_ACCESS_KEY_ID"] = base64(key)),
        ("another reason", |s, _| annotate(s, "withdrawn", "NotGranted")),
        ("no reason", |s, _| drop(annotations(s).remove("keyturn.dev/withdrawn"))),
        ("no annotations", |s, _| annotations(s).clear()),
        ("no labels", |s, _| s["metadata"]["labels"] = json!({})),
        ("immutable", |s, _| s["immutable"] = json!(true)),
    ];
    for (what, change) in changes {
        edit(&world, |secret| change(secret, &key));
        world.pass(Duration::from_secs(15)).await;
        assert!(world.is_withdrawn("alice"), "{what}: {}", world.picture());
    }
    assert_eq!(world.sts.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_immutable_secret_is_replaced_only_if_its_uid_is_unchanged() {
    let world = World::with(&[alice()]).await;
    // Between keyturn's read and its delete, another writer replaces the Secret by a foreign one.
    let theirs = Fault::before(|api| {
        api.delete("Secret", SCORING, SECRET);
        api.put(foreign_secret(SECRET));
    });
    world.api.fault_on(Times::Once, "delete", "secrets", theirs);
    edit(&world, |secret| secret["immutable"] = json!(true));
    world.until("it is seen to be another's", |world| world.ready("alice") == "False/ForeignTarget").await;
    assert_eq!(world.value("alice", "theirs"), "untouched");
}

// ---- Another writer that does not stop ----------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_fight_with_another_writer_costs_few_calls() {
    let edits: [(&str, fn(&World)); 6] = [
        ("edits a key", |w| edit(w, |s| s["data"]["AWS_SESSION_TOKEN"] = base64("mine"))),
        ("removes the data", |w| edit(w, |s| s["data"] = json!({}))),
        ("edits the person", |w| edit(w, |s| annotate(s, "person", "mallory"))),
        ("removes the annotations", |w| edit(w, |s| annotations(s).clear())),
        ("marks it as withdrawn", |w| edit(w, |s| annotate(s, "withdrawn", "Suspended"))),
        ("deletes it", |w| assert!(w.api.delete("Secret", SCORING, SECRET))),
    ];
    for (what, edit) in edits {
        let world = World::with(&[alice()]).await;
        for _ in 0..300 {
            if world.secret("alice").is_some() {
                edit(&world);
            }
            world.pass(Duration::from_millis(100)).await;
        }
        // Five at once, then 1, 2, 4, 8, 16 and 32 seconds apart, and a few that crossed an edit.
        assert!(world.sts.count() <= 16, "{what}: {}", world.picture());
        let cost = world.cost();
        assert!(cost.writes <= 90 && cost.reads <= 400, "{what}: {cost:?}\n{}", world.picture());

        world.until(&format!("it is repaired in the end: {what}"), is_healthy).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fight_over_our_label_costs_no_call_to_sts() {
    let world = World::with(&[alice()]).await;
    for _ in 0..300 {
        edit(&world, |secret| secret["metadata"]["labels"] = json!({}));
        world.pass(Duration::from_millis(100)).await;
    }
    assert_eq!(world.sts.count(), 0);
    assert!(world.api.count("patch", "secrets") <= 12, "{:?}", world.cost());
}

// ---- Foreign objects ----------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_foreign_secret_is_never_written_and_read_every_five_minutes() {
    let world = World::started();
    let theirs = world.api.put(foreign_secret(SECRET));
    world.apply(&alice());
    world.until("it is foreign", |world| world.ready("alice") == "False/ForeignTarget").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains("\"alice-aws\""), "{message}");
    world.settle().await;
    world.count_from_here();

    world.pass(Duration::from_secs(3600)).await;
    assert_eq!(world.cost(), Cost { sts: 0, reads: 12, writes: 0 }, "{}", world.picture());
    assert_eq!(world.api.get("Secret", SCORING, SECRET), Some(theirs), "untouched");
    let data_was_read = world.api.requests().iter().any(|r| r.is("get", "secrets") && !r.accept.contains("Metadata"));
    assert!(!data_was_read, "somebody's data is not read");
    assert_eq!(world.event_reasons(), ["ForeignTarget"]);

    world.api.delete("Secret", SCORING, SECRET);
    world.pass(Duration::from_secs(301)).await;
    assert!(is_healthy(&world), "{}", world.picture());
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_secret_created_before_ours_is_not_touched() {
    let world = World::started();
    world.api.fault_on(Times::Once, "create", "secrets", Fault::before(|api| drop(api.put(foreign_secret(SECRET)))));
    world.apply(&alice());
    world.until("it is foreign", |world| world.ready("alice") == "False/ForeignTarget").await;
    assert_eq!(world.sts.count(), 1);
    assert_eq!(world.value("alice", "theirs"), "untouched");
    assert!(world.secret("alice").unwrap().metadata.labels.is_none(), "nothing of ours in it");

    world.pass(Duration::from_secs(400)).await;
    world.api.delete("Secret", SCORING, SECRET);
    world.pass(Duration::from_secs(301)).await;
    assert!(is_healthy(&world), "{}", world.picture());
    assert_eq!(world.sts.count(), 1, "the session that was issued is written now");
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_its_owner_reference_is_not_ours() {
    let world = World::with(&[alice()]).await;
    let owner = world.api.get("Secret", SCORING, SECRET).unwrap()["metadata"]["ownerReferences"].clone();
    edit(&world, |secret| drop(secret["metadata"].as_object_mut().unwrap().remove("ownerReferences")));
    world.at_once("it is foreign", |world| world.ready("alice") == "False/ForeignTarget").await;
    world.pass(Duration::from_secs(2 * 3600)).await;
    assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (0, 0), "it is left alone");
    edit(&world, |secret| secret["metadata"]["ownerReferences"] = owner);
    world.at_once("it is ours again, and renewed, since it is due", is_healthy).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_second_config_of_a_target_gets_no_credential() {
    let world = World::with(&[alice()]).await;
    let target = keyturn::api::Target { name: Some(SECRET.into()), ..Default::default() };
    world.apply(&config("bob", |spec| spec.target = Some(target)));
    world.until("bob's is foreign", |world| world.ready("bob") == "False/ForeignTarget").await;
    assert!(world.condition("bob", "Ready").unwrap().2.contains("AwsConfig \"alice\""));
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sts.count(), 0);
    assert!(is_healthy(&world));

    world.api.delete("AwsConfig", SCORING, "alice");
    world.until("bob is next", |world| world.is_ready("bob")).await;
    let secret: Secret = serde_json::from_value(world.api.get("Secret", SCORING, SECRET).unwrap()).unwrap();
    assert_eq!(secret.metadata.owner_references.unwrap()[0].name, "bob");
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_secret_is_created_again_by_the_oldest_config_only() {
    let world = World::with(&[alice()]).await;
    world.pass(Duration::from_secs(5)).await;
    let target = keyturn::api::Target { name: Some(SECRET.into()), ..Default::default() };
    world.apply(&config("mallory", |spec| spec.target = Some(target)));
    world.until("mallory's is foreign", |world| world.ready("mallory") == "False/ForeignTarget").await;
    for round in 0..200 {
        world.api.delete("Secret", SCORING, SECRET);
        world.until("it is created again", |world| world.secret("alice").is_some()).await;
        let secret: Secret = serde_json::from_value(world.api.get("Secret", SCORING, SECRET).unwrap()).unwrap();
        assert_eq!(secret.metadata.owner_references.unwrap()[0].name, "alice", "round {round}");
        world.pass(Duration::from_secs(if round % 3 == 0 { 400 } else { 1 })).await;
    }
    world.until("alice has her session", is_healthy).await;
    assert_eq!(world.ready("mallory"), "False/ForeignTarget");
}

#[tokio::test(start_paused = true)]
async fn a_name_stays_the_oldest_configs_before_it_has_a_secret() {
    let world = World::started();
    world.apply(&config("alice", |spec| spec.suspend = true));
    world.until("alice is suspended", |world| world.ready("alice") == "False/Suspended").await;
    world.pass(Duration::from_secs(5)).await;
    let target = keyturn::api::Target { name: Some(SECRET.into()), ..Default::default() };
    world.apply(&config("mallory", |spec| spec.target = Some(target)));
    world.until("mallory has no name", |world| world.ready("mallory") == "False/ForeignTarget").await;
    assert!(world.condition("mallory", "Ready").unwrap().2.contains("AwsConfig \"alice\""));
    world.pass(Duration::from_secs(3600)).await;
    assert!(world.secret("alice").is_none() && world.sts.count() == 0, "{}", world.picture());

    world.api.delete("AwsConfig", SCORING, "alice");
    world.at_once("mallory is next", |world| world.is_ready("mallory")).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_secret_swapped_in_at_a_renewal_is_not_touched() {
    let world = World::with(&[alice()]).await;
    let theirs = Fault::before(|api| {
        api.delete("Secret", SCORING, SECRET);
        api.put(foreign_secret(SECRET));
    });
    world.api.fault_on(Times::Once, "patch", "secrets", theirs);
    world.pass_until_due("alice").await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.ready("alice"), "False/ForeignTarget", "{}", world.picture());
    assert_eq!(world.value("alice", "theirs"), "untouched");
    assert_eq!(world.value("alice", "AWS_ACCESS_KEY_ID"), "");
    assert_eq!(world.sts.count(), 1);
}

// ---- The AwsRole --------------------------------------------------------------------------------

fn generated(world: &World) -> String {
    world.status("alice").active_role.unwrap().name
}

/// The status of a role without its times.
fn reported(role: &keyturn::api::AwsRole) -> (Option<bool>, Vec<(String, String)>) {
    let status = role.status.clone().unwrap_or_default();
    (status.active, status.conditions.into_iter().map(|c| (c.status, c.message)).collect())
}

#[tokio::test(start_paused = true)]
async fn an_edited_or_deleted_aws_role_is_restored_without_sts() {
    let edits: [(&str, fn(&World)); 4] = [
        ("deleted", |w| assert!(w.api.delete("AwsRole", SCORING, &generated(w)))),
        ("another role", |w| {
            w.api
                .edit("AwsRole", SCORING, &generated(w), |r| r["spec"]["role"] = json!(crate::fixtures::role("admin")));
        }),
        ("its labels", |w| {
            w.api.edit("AwsRole", SCORING, &generated(w), |r| r["metadata"]["labels"] = json!({}));
        }),
        ("its status", |w| {
            w.api.edit("AwsRole", SCORING, &generated(w), |r| r["status"]["active"] = json!(false));
        }),
    ];
    for (what, edit) in edits {
        let world = World::with(&[alice()]).await;
        let before = world.roles().remove(0);
        edit(&world);
        world.pass(Duration::from_secs(1)).await;
        let [after] = &world.roles()[..] else { panic!("{what}: {}", world.picture()) };
        assert_eq!(after.spec, before.spec, "{what}");
        assert_eq!(reported(after), reported(&before), "{what}");
        assert_eq!(after.metadata.labels, before.metadata.labels, "{what}");
        assert_eq!(world.sts.count(), 0, "{what}");
        assert_eq!(world.api.count("patch", "secrets"), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_aws_role_under_the_generated_name_is_left_alone() {
    let mut world = World::with(&[alice()]).await;
    let name = generated(&world);
    world.kill().await;
    world = World::empty();
    let theirs = world.api.put(json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsRole", "metadata": {"name": name, "namespace": SCORING},
        "spec": {"awsConfigRef": {"name": "alice"}, "person": "alice", "role": crate::fixtures::role("ds-analyst")},
    }));
    world.apply(&analysts());
    world.apply(&alice());
    world.start();
    world.until("it is refused", |world| world.ready("alice") == "False/RoleNotOfThisConfig").await;
    assert!(world.condition("alice", "Ready").unwrap().2.contains(&name));
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.sts.count(), 0);
    assert!(world.secret("alice").is_none());
    let after = world.api.get("AwsRole", SCORING, &name).unwrap();
    assert_eq!((&after["spec"], &after["metadata"]["labels"]), (&theirs["spec"], &theirs["metadata"]["labels"]));
    assert_eq!(after["status"]["active"], false, "it is not the one in use");

    world.api.delete("AwsRole", SCORING, &name);
    world.at_once("the way is free", is_healthy).await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_secret_s_metadata_drift_is_repaired() {
    let edits: [(&str, fn(&mut Value)); 3] = [
        ("its labels", |secret| secret["metadata"]["labels"] = json!({})),
        ("its annotations", |secret| secret["metadata"]["annotations"] = json!({})),
        ("both", |secret| {
            secret["metadata"]["labels"] = json!({});
            secret["metadata"]["annotations"] = json!({});
        }),
    ];
    for (what, edit) in edits {
        let world = World::with(&[alice()]).await;
        world.change("alice", |spec| spec.suspend = true);
        world.at_once("it is withdrawn", |world| world.is_withdrawn("alice")).await;
        world.settle().await;
        world.api.edit("Secret", SCORING, "alice-aws", edit);
        let is_repaired = |world: &World| {
            let labels = world.secret("alice").and_then(|secret| secret.metadata.labels).unwrap_or_default();
            world.is_withdrawn("alice") && labels.contains_key("keyturn.dev/aws-config")
        };
        world.at_once(what, is_repaired).await;
        assert_eq!(world.sts.count(), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_restored_from_a_backup_is_never_adopted_and_says_so() {
    let world = World::with(&[alice()]).await;
    let mut copy = world.api.get("Secret", SCORING, SECRET).unwrap();
    assert_eq!(copy["metadata"]["labels"]["velero.io/exclude-from-backup"], "true");
    // A backup tool restores objects without the fields that the API server sets, and without
    // owners.
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences"] {
        copy["metadata"].as_object_mut().unwrap().remove(field);
    }
    world.api.delete("AwsConfig", SCORING, "alice");
    world.settle().await;
    world.api.put(copy);
    world.count_from_here();
    world.apply(&alice());
    world.until("it is foreign", |world| world.ready("alice") == "False/ForeignTarget").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    let command = "kubectl -n scoring delete secret alice-aws";
    assert!(message.contains("restored from a backup") && message.contains(command), "{message}");
    world.pass(Duration::from_secs(3600)).await;
    assert_eq!((world.sts.count(), world.api.count("patch", "secrets")), (0, 0), "it is left alone");
    world.api.delete("Secret", SCORING, SECRET);
    world.at_once("alice has a session of her own", |world| world.is_ready("alice")).await;
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_restored_namespace_works_after_the_command_of_the_message() {
    let world = World::with(&[alice()]).await;
    let role = generated(&world);
    let objects = [("AwsConfig", "alice"), ("AwsRole", role.as_str()), ("Secret", SECRET)];
    let copies: Vec<_> = objects.map(|(kind, name)| world.api.get(kind, SCORING, name).unwrap()).into();
    world.api.delete("AwsConfig", SCORING, "alice");
    world.settle().await;
    world.count_from_here();
    for mut copy in copies {
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences"] {
            copy["metadata"].as_object_mut().unwrap().remove(field);
        }
        copy.as_object_mut().unwrap().remove("status");
        world.api.put(copy);
    }
    // Each message has the command that mends it.
    world.until("the role is foreign", |world| world.ready("alice") == "False/RoleNotOfThisConfig").await;
    let message = world.condition("alice", "Ready").unwrap().2;
    assert!(message.contains(&format!("kubectl -n scoring delete awsrole {role}")), "{message}");
    world.api.delete("AwsRole", SCORING, &role);
    world.until("the Secret is foreign", |world| world.ready("alice") == "False/ForeignTarget").await;
    world.api.delete("Secret", SCORING, SECRET);
    world.at_once("alice has a session", |world| world.is_ready("alice")).await;
    let [restored] = &world.roles()[..] else { panic!("one AwsRole: {}", world.picture()) };
    assert_eq!(restored.status.as_ref().and_then(|status| status.active), Some(true), "{}", world.picture());
    world.pass(Duration::from_secs(3 * 3600)).await;
    assert!(is_healthy(&world), "{}", world.picture());
}
