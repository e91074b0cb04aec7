//! Watches that die without a word: no event comes any more, and no end. The operator notices it
//! within 50 s and takes each watch up where it ended.

use super::world::World;
use crate::fixtures::{SCORING, alice, config};
use std::time::Duration;

/// Within this time keyturn knows what a dead watch did not show, if the API server answers again.
const NOTICED: Duration = Duration::from_secs(51);

async fn with_silent_watches() -> World {
    let world = World::with(&[alice()]).await;
    world.api.silence_watches();
    world
}

type Change = fn(&World);
type Seen = fn(&World) -> bool;

#[tokio::test(start_paused = true)]
async fn a_silent_watch_hides_nothing_for_longer_than_51_s() {
    let rows: [(&str, Change, Seen); 4] = [
        ("a new AwsConfig", |w| w.apply(&config("bob", |_| {})), |w| w.is_ready("bob")),
        (
            "a grant that is deleted",
            |w| assert!(w.api.delete("AwsRoleGrant", "", "analysts")),
            |w| w.is_withdrawn("alice"),
        ),
        (
            "a Secret that is deleted",
            |w| assert!(w.api.delete("Secret", SCORING, "alice-aws")),
            |w| w.holds_a_valid_session("alice"),
        ),
        ("a suspension", |w| w.change("alice", |spec| spec.suspend = true), |w| w.is_withdrawn("alice")),
    ];
    for (row, change, seen) in rows {
        let world = with_silent_watches().await;
        change(&world);
        world.settle().await;
        assert!(!seen(&world), "{row}: the watch hides it at first");
        world.pass(NOTICED).await;
        assert!(seen(&world), "{row}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_goes_on_where_it_ended_and_costs_no_list() {
    let world = with_silent_watches().await;
    world.count_from_here();
    world.pass(NOTICED).await;
    let lists = world.api.count_where(|request| request.verb == "list");
    assert_eq!((lists, world.cost().sts, world.api.writes().len()), (0, 0, 0), "{}", world.picture());
    world.apply(&config("bob", |_| {}));
    world.at_once("the watches are alive", |world| world.is_ready("bob")).await;
}
