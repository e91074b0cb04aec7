//! Clocks: a node whose clock is wrong, sessions of seconds, and an STS with another clock.

use super::{node_clock::NodeClock, world::World};
use crate::{
    doubles::sts::Behaviour,
    fixtures::{alice, analysts},
};
use jiff::SignedDuration;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_node_clock_that_is_hours_wrong_does_not_change_renewals() {
    for ahead in [-48, -2, 2, 48].map(SignedDuration::from_hours) {
        let mut world = World::empty();
        world.node_clock().set_ahead(ahead);
        world.sts.check_signing_time(true);
        world.apply(&analysts());
        world.apply(&alice());
        world.start();
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        let record = world.record("alice").unwrap();
        assert!(
            record.issued_at.duration_since(world.now()).abs() <= SignedDuration::from_secs(2),
            "{ahead}: {record:?}"
        );
        for _ in 0..24 * 4 {
            assert!(world.holds_a_valid_session("alice"), "{ahead}: {}", world.picture());
            world.pass(Duration::from_secs(15 * 60)).await;
        }
        // 55 to 70 % of an hour.
        assert!((34..=45).contains(&world.sts.count()), "{ahead}: {} calls in a day", world.sts.count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_at_a_restart_neither_renews_nor_withdraws() {
    let mut world = World::with(&[alice()]).await;
    for ahead in [-3, 3].map(SignedDuration::from_hours) {
        world.stop().await;
        world.node_clock().set_ahead(ahead);
        world.count_from_here();
        world.start();
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.sts.count(), 0, "{ahead}");
        assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{ahead}: {}", world.picture());
        assert_eq!(world.api.writes().len(), 0, "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_wrong_while_keyturn_leads_changes_no_renewal() {
    type GoesWrong = fn(&NodeClock);
    let rows: [(&str, GoesWrong); 6] = [
        ("it stands still", NodeClock::stand_still),
        ("it jumps back by ten minutes", |clock| clock.set_ahead(SignedDuration::from_mins(-10))),
        ("it jumps back by a day", |clock| clock.set_ahead(SignedDuration::from_hours(-24))),
        ("it jumps ahead by ten minutes", |clock| clock.set_ahead(SignedDuration::from_mins(10))),
        ("it jumps ahead by a day", |clock| clock.set_ahead(SignedDuration::from_hours(24))),
        ("it jumps back and stands still", |clock| {
            clock.set_ahead(SignedDuration::from_hours(-1));
            clock.stand_still();
        }),
    ];
    for (row, go_wrong) in rows {
        // The API server's clock is wrong as well, by another time.
        for api_server_ahead in [0, -20].map(SignedDuration::from_mins) {
            let world = World::with(&[alice()]).await;
            world.api.skew(api_server_ahead);
            world.pass(Duration::from_secs(50 * 60)).await;
            go_wrong(world.node_clock());
            world.count_from_here();
            for _ in 0..4 * 60 {
                assert!(world.holds_a_valid_session("alice"), "{row}, {api_server_ahead}: {}", world.picture());
                world.pass(Duration::from_secs(60)).await;
            }
            let calls = world.sts.count();
            assert!((5..=8).contains(&calls), "{row}, {api_server_ahead}: {calls} calls in four hours");
            world.node_clock().set_right();
            world.count_from_here();
            world.pass(Duration::from_secs(4 * 3600)).await;
            let calls = world.sts.count();
            assert!((5..=8).contains(&calls), "{row}, {api_server_ahead}, set right: {calls} calls in four hours");
            assert!(world.holds_a_valid_session("alice") && world.is_ready("alice"), "{row}: {}", world.picture());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_expiration_of_an_sts_with_another_clock_is_trusted() {
    for ahead in [-1, 1].map(SignedDuration::from_hours) {
        let world = World::started();
        world.sts.skew(ahead);
        world.apply(&alice());
        world.until("alice is ready", |world| world.is_ready("alice")).await;
        world.pass(Duration::from_secs(24 * 3600)).await;
        assert!((34..=45).contains(&world.sts.count()), "{ahead}: {} calls in a day", world.sts.count());
        let last = world.sts.issued().pop().unwrap();
        assert_eq!(world.value("alice", "AWS_ACCESS_KEY_ID"), last.access_key_id);
        assert!(last.expiration > world.now() + ahead, "valid by the clock of STS");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_of_seconds_are_renewed_in_time_without_a_loop() {
    for seconds in [1, 2, 3, 5, 10, 30] {
        let world = World::started();
        world.sts.always(Behaviour::Lifetime(seconds));
        // The latency lets simulated time pass even if calls follow each other without a pause.
        world.sts.always(Behaviour::Latency(Duration::from_millis(20)));
        world.apply(&alice());
        world.pass(Duration::from_secs(60)).await;
        let calls = i64::try_from(world.sts.count()).unwrap();
        assert!(calls <= 60 / (seconds / 2).max(1) + 5, "sessions of {seconds} s: {calls} calls in a minute");
        assert!(calls >= 60 / seconds / 2, "sessions of {seconds} s: {calls} calls in a minute");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_arrives_expired_is_a_failure_without_a_loop() {
    for seconds in [0, -3600] {
        let world = World::started();
        world.sts.always(Behaviour::Lifetime(seconds));
        world.apply(&alice());
        world.pass(Duration::from_secs(600)).await;
        assert!(world.sts.count() <= 30, "{} calls", world.sts.count());
        assert!(world.secret("alice").is_none());
        assert!(world.ready("alice").starts_with("False/"));
    }
}
