//! The instances that several shards use: each shard has its keys deleted, and the owner reports
//! and lets the instance go last.

use super::{LAB, MINUTE, SCORING, is_ready, leads, shard, start, written_by};
use crate::{
    doubles::apiserver::Request,
    fixtures::{config_in, grant, instance, personal_key},
    simulated::{
        dataiku::{URL, world as world_with_dss},
        world::World,
    },
};

/// A world whose DSS both namespaces may use.
fn world() -> World {
    let world = world_with_dss();
    world.api.namespace(LAB, &[]);
    world.apply(&grant("lab", |grant| grant.namespaces.as_mut().unwrap().names = vec![LAB.to_owned()]));
    world.apply(&instance("design", URL, |spec| {
        spec.allow[0].namespaces.names.push(LAB.to_owned());
    }));
    world
}

fn finalizers(world: &World) -> String {
    world.api.get("DssInstance", "", "design").unwrap_or_default()["metadata"]["finalizers"].to_string()
}

#[tokio::test(start_paused = true)]
async fn an_instance_stays_until_the_keys_of_every_shard_are_deleted() {
    let world = world();
    let _a = start(shard(&world, "a", &[SCORING], true));
    world.until("a serves", |world| leads(world, "keyturn-a")).await;
    let b = start(shard(&world, "b", &[LAB], false));
    world.until("b serves", |world| leads(world, "keyturn-b")).await;
    world.apply(&config_in(LAB, "alice", personal_key));
    world.until("alice has a key", |world| is_ready(world, LAB, "alice") && world.dss.personal_keys().len() == 1).await;
    world.pass(30 * MINUTE).await;
    let by_b = written_by(&world, "b");
    let of_instances: Vec<_> = by_b.iter().filter(|path| path.contains("dssinstances")).collect();
    assert_eq!(of_instances.len(), 1, "the finalizer, and no status: {of_instances:?}");
    assert!(of_instances.iter().all(|path| !path.ends_with("/status")), "{of_instances:?}");
    assert!(written_by(&world, "a").iter().any(|path| path.ends_with("dssinstances/design/status")));
    assert!(finalizers(&world).contains("keyturn.dev/dss-keys"), "a, which sees no user, does not remove it");

    // b cannot delete the key while it does not run.
    b.stop().await;
    world.count_from_here();
    world.api.delete("DssInstance", "", "design");
    world.pass(5 * MINUTE).await;
    assert!(finalizers(&world).contains("keyturn.dev/dss-keys"), "{}", world.picture());
    let lists =
        world.api.count_where(|request: &Request| request.is("list", "awsconfigs") && request.status == Some(200));
    assert!((4..=8).contains(&lists), "once in a minute: {lists}");
    let _b = start(shard(&world, "b", &[LAB], false));
    world.until("it is gone", |world| world.api.get("DssInstance", "", "design").is_none()).await;
    assert!(world.dss.personal_keys().is_empty(), "{}", world.picture());
    assert!(written_by(&world, "a").iter().any(|path| path.ends_with("dssinstances/design")), "the owner lets it go");
}
