//! The limit of the number of configs in a namespace that get a credential.

use super::world::World;
use crate::fixtures::{SCORING, alice, analysts, config, config_in, grant};
use keyturn::{api::Namespaces, operator::Operator};
use std::time::Duration;

/// A world whose operator serves two configs of each namespace. No config is there yet.
fn world() -> World {
    let mut world = World::empty();
    world.api.namespace("lab", &[]);
    world.apply(&analysts());
    world.apply(&grant("lab", |spec| {
        spec.namespaces = Some(Namespaces { names: vec!["lab".to_owned()], selector: None });
    }));
    start(&mut world, Some(2));
    world
}

fn start(world: &mut World, limit: Option<usize>) {
    world.start_as(Operator { configs_per_namespace: limit, ..world.operator() });
}

#[tokio::test(start_paused = true)]
async fn the_newest_configs_beyond_the_limit_wait_until_an_older_one_is_deleted() {
    let mut world = world();
    for name in ["alice", "bob", "carol", "dave"] {
        world.apply(&config(name, |_| {}));
        world.pass(Duration::from_secs(2)).await;
    }
    world.apply(&config_in("lab", "erin", |_| {}));
    world.settle().await;
    let ready = |world: &World| ["alice", "bob", "carol", "dave"].map(|name| world.ready(name));
    let (issued, refused) = ("True/Issued".to_owned(), "False/TooManyConfigs".to_owned());
    assert_eq!(ready(&world), [&issued, &issued, &refused, &refused].map(Clone::clone));
    let (_, _, message) = world.condition("carol", "Ready").unwrap();
    assert!(message.contains("room for 2 AwsConfigs") && message.contains("delete one of them"), "{message}");
    assert_eq!(world.sts.count(), 3, "erin has a namespace of her own: {}", world.picture());
    assert!(world.secret("carol").is_none() && world.secret("dave").is_none());

    assert!(world.api.delete("AwsConfig", SCORING, "alice"));
    world.at_once("carol moves up", |world| world.is_ready("carol")).await;
    assert_eq!(world.ready("dave"), refused);

    // A lower limit takes nothing away, and the renewals go on.
    world.stop().await;
    start(&mut world, Some(1));
    world.settle().await;
    world.count_from_here();
    let before = world.record("carol").unwrap();
    world.pass_until_due("carol").await;
    world
        .at_once("carol's is renewed", |world| {
            world.record("carol").is_some_and(|record| record.access_key_id != before.access_key_id)
        })
        .await;
    world.apply(&alice());
    world.settle().await;
    assert_eq!(["alice", "bob", "carol"].map(|name| world.ready(name)), [refused, issued.clone(), issued]);
    assert!(world.holds_a_valid_session("carol") && world.holds_a_valid_session("bob"));
}
