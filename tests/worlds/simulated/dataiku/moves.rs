//! Two instances of DSS, and configs that move from one to the other.

use super::*;
use crate::{
    doubles::dss::{Behaviour, Dss},
    fixtures::{instance, personal_key},
    simulated::wire::InProcess,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use keyturn::{
    dss::{Lost, Wire},
    operator::Operator,
};
use std::sync::Arc;

const OTHER_URL: &str = "https://other.test";

/// The connection to both instances, by host.
#[derive(Debug)]
struct ByHost {
    design: InProcess,
    other: InProcess,
}

impl Wire for ByHost {
    fn send(&self, request: Request<String>, most_bytes: usize) -> BoxFuture<'_, Result<Response<Bytes>, Lost>> {
        let is_other = request.uri().host() == Some("other.test");
        if is_other { self.other.send(request, most_bytes) } else { self.design.send(request, most_bytes) }
    }
}

fn start(world: &mut World, other: &Dss) {
    let wire: Arc<dyn Wire> =
        Arc::new(ByHost { design: InProcess(world.dss.router()), other: InProcess(other.router()) });
    let operator = Operator { connect: Arc::new(move |_| Ok(wire.clone())), ..world.operator() };
    world.start_as(operator);
}

/// A world with two instances that both know alice. Her key is in the first.
async fn alice_in_the_first() -> (World, Dss) {
    let mut world = world();
    let other = world.another_dss();
    other.add_user("alice", &["analysts"]);
    world.apply(&instance("other", OTHER_URL, |_| {}));
    start(&mut world, &other);
    world.apply(&config("alice", personal_key));
    world.until("it is ready", |world| world.is_ready("alice")).await;
    world.settle().await;
    (world, other)
}

fn move_to_the_other(world: &World) {
    world.change("alice", |spec| "other".clone_into(&mut spec.dss.as_mut().unwrap().instance));
}

fn finalizers(world: &World) -> Vec<String> {
    world.config("alice").and_then(|config| config.metadata.finalizers).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_config_that_moves_has_one_key_in_the_new_instance() {
    let (world, other) = alice_in_the_first().await;
    move_to_the_other(&world);
    world.until("it has moved", |world| world.is_ready("alice") && world.dss.personal_keys().is_empty()).await;
    world.settle().await;
    assert_eq!(other.personal_keys().len(), 1);
    assert_eq!(world.value("alice", "DKU_API_KEY"), other.personal_keys()[0].key);
    assert_eq!(finalizers(&world), ["keyturn.dev/dss.other"]);
    let dss = world.status("alice").dss.unwrap();
    assert_eq!((dss.instance.as_str(), dss.keys.len()), ("other", 1));
}

/// IDs are unique in one instance only: two instances may give the same one.
#[tokio::test(start_paused = true)]
async fn a_leftover_key_is_never_deleted_in_another_instance() {
    let (world, other) = alice_in_the_first().await;
    let bobs = {
        other.add_user("bob", &[]);
        other.add_personal_key("bob", "bob's own")
    };
    assert_eq!(bobs.id, world.dss.personal_keys()[0].id, "as luck will have it");
    world.dss.always(Behaviour::Maintenance);
    move_to_the_other(&world);
    world.until("it has moved", |world| world.is_ready("alice")).await;
    world.pass(Duration::from_mins(20)).await;
    let left: Vec<String> = other.personal_keys().into_iter().map(|key| key.user).collect();
    assert_eq!(left, ["bob", "alice"]);
    assert_eq!(finalizers(&world), ["keyturn.dev/dss.design", "keyturn.dev/dss.other"]);
    let keys = world.status("alice").dss.unwrap().keys;
    let recorded: Vec<(&str, bool)> = keys.iter().map(|key| (key.instance.as_str(), key.delete_at.is_some())).collect();
    assert_eq!(recorded, [("other", false), ("design", true)], "status records the leftover and its place");

    world.dss.behave_well();
    world.until("it is deleted where it was", |world| world.dss.personal_keys().is_empty()).await;
    world.settle().await;
    assert_eq!((other.personal_keys().len(), world.status("alice").dss.unwrap().keys.len()), (2, 1));
    assert_eq!(finalizers(&world), ["keyturn.dev/dss.other"]);
    assert!(world.is_ready("alice"));
}
