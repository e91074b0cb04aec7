//! The main job: an AwsConfig becomes a Secret that stays valid, at the promised price.

use super::world::World;
use crate::fixtures::{SCORING, alice, analysts, config, role};
use std::time::Duration;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test(start_paused = true)]
async fn an_applied_config_gets_a_secret_with_its_role_and_person() {
    let world = World::started();
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;

    assert!(world.holds_a_valid_session("alice"));
    let [call] = &world.sts.calls()[..] else { panic!("one call: {}", world.picture()) };
    assert_eq!(call.role_arn, Some(role("ds-analyst")));
    assert_eq!(call.session_name.as_deref(), Some("alice"));
    assert_eq!(call.external_id.as_deref(), Some("prod/scoring"));
    assert_eq!(call.duration_seconds, Some(3600));

    let status = world.status("alice");
    assert_eq!(status.external_id.as_deref(), Some("prod/scoring"));
    assert_eq!(status.access_key_id.as_deref(), Some(world.value("alice", "AWS_ACCESS_KEY_ID").as_str()));
    let [aws_role] = &world.roles()[..] else { panic!("one AwsRole: {}", world.picture()) };
    assert_eq!(aws_role.metadata.name, status.active_role.map(|active| active.name));
    assert_eq!(aws_role.spec.role, role("ds-analyst"));
    assert_eq!(aws_role.status.as_ref().and_then(|status| status.active), Some(true));
    assert_eq!(world.event_reasons(), ["Issued"]);
}

#[tokio::test(start_paused = true)]
async fn each_renewal_of_a_week_costs_one_sts_call_two_writes_no_read() {
    let mut world = World::empty();
    world.apply(&analysts());
    // The watches stay open. `renewal` has a week in which they end, about 14,600 times.
    world.api.keep_watches_open();
    world.start();
    world.apply(&alice());
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    let status = world.status("alice");
    let period = status.renew_at.unwrap().0.duration_since(status.issued_at.unwrap().0);
    world.api.clear_requests();
    let (begun, first) = (world.now(), world.sts.count());

    world.pass(WEEK).await;

    let renewals = world.sts.count() - first;
    let sessions = world.sts.issued();
    for pair in sessions.windows(2) {
        assert!(pair[1].at < pair[0].expiration, "at every moment there was a valid session: {pair:?}");
    }
    assert!(sessions.last().is_some_and(|session| session.expiration > world.now()));
    assert!(world.holds_a_valid_session("alice"));
    let expected = world.now().duration_since(begun).as_secs() / period.as_secs();
    assert!((expected - 1..=expected).contains(&i64::try_from(renewals).unwrap()), "{renewals} of {expected}");
    assert_eq!(world.api.count("patch", "secrets"), renewals);
    assert_eq!(world.api.count("patch", "awsconfigs/status"), renewals);
    assert_eq!(world.api.writes().len(), 2 * renewals, "no other write");
    assert_eq!(world.api.count("get", "secrets"), 0, "no read");
    assert_eq!(world.event_reasons(), ["Issued"], "a routine renewal is no news");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_new_configs_cost_exactly_a_thousand_calls_to_sts() {
    let mut world = World::empty();
    world.apply(&analysts());
    for n in 0..1000 {
        world.apply(&config(&format!("person-{n}"), |_| {}));
    }
    // The watch shows our own writes late, and status later than Secrets.
    world.api.lag("awsconfigs", Duration::from_millis(300));
    world.api.lag("secrets", Duration::from_millis(40));
    world.start();
    world.until("all are ready", |world| (0..1000).all(|n| world.is_ready(&format!("person-{n}")))).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sts.count(), 1000);
    assert_eq!(world.api.count_where(|request| request.is("create", "secrets")), 1000);
    assert_eq!(world.api.count("get", "secrets"), 1000, "each is looked for once, although it waits for STS");
    assert_eq!(world.api.count_where(|request| request.is("patch", "secrets")), 0, "each is created whole");
    assert_eq!(world.api.count_where(|request| request.is("patch", "awsconfigs/status")), 1000);
    assert!(world.api.get("AwsConfig", SCORING, "person-999").is_some());
}
