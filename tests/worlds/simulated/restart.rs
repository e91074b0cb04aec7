//! Restarts, crashes and late watches: an operator may end at any line without losing a session
//! that was already issued.

use super::world::{Cost, World};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
        sts::Behaviour,
    },
    fixtures::{alice, analysts, config, role},
};
use std::time::Duration;
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

// ---- Healthy objects ----------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_restart_over_healthy_objects_costs_nothing() {
    let configs: Vec<_> = (0..100).map(|n| config(&format!("person-{n}"), |_| {})).collect();
    let mut world = World::with(&configs).await;
    world.change("person-7", |spec| spec.suspend = true);
    world.apply(&config("stranger", |spec| spec.role = Some(role("admin"))));
    world.until("one is withdrawn", |world| world.is_withdrawn("person-7")).await;
    world.settle().await;
    for how in ["stopped", "killed"] {
        if how == "stopped" {
            world.stop().await;
        } else {
            world.kill().await;
        }
        world.pass(MINUTE).await;
        world.count_from_here();
        let (version, events) = (world.api.version(), world.events().len());
        world.start();
        world.pass(5 * MINUTE).await;
        assert_eq!(world.cost(), Cost::NOTHING, "{how}");
        assert_eq!((world.api.version(), world.events().len()), (version, events), "{how}: not one write");
        let lists = world.api.count_where(|request| request.verb == "list" && !request.resource.is_empty());
        // Configs, roles and Secrets have six pages each.
        assert!(lists <= 22, "{how}: {lists} lists");
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_due_during_downtime_are_made_once_after_it() {
    let mut world = World::with(&[alice(), config("bob", |_| {})]).await;
    world.stop().await;
    world.pass(50 * MINUTE).await;
    world.start();
    world.until("both are renewed", |world| world.sts.count() == 2).await;
    world.pass(MINUTE).await;
    assert_eq!(world.sts.count(), 2);
    assert!(world.holds_a_valid_session("alice") && world.holds_a_valid_session("bob"));
}

#[tokio::test(start_paused = true)]
async fn changes_during_downtime_are_applied_after_it() {
    let names = ["suspended", "edited", "deleted", "other-role", "other-region", "gone"];
    let mut world = World::with(&names.map(|name| config(name, |_| {}))).await;
    world.stop().await;
    world.change("suspended", |spec| spec.suspend = true);
    world.api.edit("Secret", "scoring", "edited-aws", |secret| secret["data"]["config"] = serde_json::json!("eA=="));
    world.api.delete("Secret", "scoring", "deleted-aws");
    world.change("other-role", |spec| spec.role = Some(role("ds-lead")));
    world.change("other-region", |spec| spec.region = Some("eu-west-2".into()));
    world.api.delete("AwsConfig", "scoring", "gone");
    world.start();
    world.pass(Duration::from_secs(2)).await;
    assert!(world.is_withdrawn("suspended"));
    for name in ["edited", "deleted", "other-role", "other-region"] {
        assert!(world.holds_a_valid_session(name) && world.is_ready(name), "{name}");
    }
    assert_eq!(world.value("other-region", "AWS_REGION"), "eu-west-2");
    assert_eq!(world.sts.count(), 3, "edited, deleted and another role: {}", world.picture());
    assert!(world.secret("gone").is_none());
}

// ---- Killed at every request --------------------------------------------------------------------

/// Kills the operator at its `k`th write from now, before or after the write's effect, and starts
/// another operator. Returns `None` without such a write within `patience`.
pub(super) async fn kill_at_write(world: &mut World, k: usize, after: bool, patience: Duration) -> Option<Request> {
    let begun = world.api.requests().last().map_or(0, |request| request.number);
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let fits =
        move |request: &Request| request.is_write() && seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == k;
    // The request gets no answer. The process is gone before an answer could arrive.
    let fault = if after { Fault::HangAfter } else { Fault::Hang };
    let rule = world.api.fault(Times::UntilCleared, fits, fault);
    let api = world.api.clone();
    let writes = move |api: &crate::doubles::apiserver::ApiServer| {
        api.requests().into_iter().filter(|request| request.number > begun && request.is_write()).nth(k - 1)
    };
    let reached = timeout(patience, api.until(|api| writes(api).is_some())).await;
    world.pass(Duration::from_millis(10)).await;
    world.kill().await;
    world.api.forgive(rule);
    let request = writes(&world.api);
    world.start();
    reached.ok().and(request)
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_write_of_a_first_issue_costs_at_most_one_more_call() {
    for after in [false, true] {
        let mut reached = Vec::new();
        for k in 1..20 {
            let mut world = World::started();
            world.settle().await;
            world.apply(&alice());
            let Some(request) = kill_at_write(&mut world, k, after, MINUTE).await else { break };
            let case = format!("killed at {} {} (after: {after})", request.verb, request.path);
            world.pass(MINUTE).await;
            assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{case}: {}", world.picture());
            // Until status confirms the Secret, it could be anybody's.
            let is_confirmed = (request.resource == "awsconfigs" && after) || request.resource == "events";
            let most = if is_confirmed { 1 } else { 2 };
            assert!(world.sts.count() <= most, "{case}: {} calls\n{}", world.sts.count(), world.picture());
            assert_eq!(world.roles().len(), 1, "{case}");
            reached.push(format!("{} {}/{}", request.verb, request.resource, request.subresource));
        }
        assert!(reached.len() >= 5, "{reached:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_write_of_a_renewal_costs_at_most_one_more_call() {
    for after in [false, true] {
        for k in 1..=2 {
            let mut world = World::with(&[alice()]).await;
            let request = kill_at_write(&mut world, k, after, 60 * MINUTE).await.expect("a renewal has two writes");
            let case = format!("killed at {} {} (after: {after})", request.verb, request.path);
            world.pass(MINUTE).await;
            assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"), "{case}: {}", world.picture());
            let calls = if k == 2 && after { 1 } else { 2 };
            assert_eq!(world.sts.count(), calls, "{case}: {}", world.picture());
            assert_eq!(world.status("alice").access_key_id, Some(world.record("alice").unwrap().access_key_id));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_killed_during_a_call_to_sts_calls_it_again() {
    let mut world = World::started();
    world.sts.once(Behaviour::Latency(Duration::from_secs(3)));
    world.apply(&alice());
    world.until("STS is asked", |world| world.sts.count() == 1).await;
    world.kill().await;
    world.start();
    world.until("alice is ready", |world| world.is_ready("alice")).await;
    world.pass(MINUTE).await;
    assert_eq!(world.sts.count(), 2);
    assert!(world.holds_a_valid_session("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_random_kills_waste_few_calls() {
    let configs: Vec<_> = (0..5).map(|n| config(&format!("person-{n}"), |_| {})).collect();
    let mut world = World::empty();
    world.apply(&analysts());
    for config in &configs {
        world.apply(config);
    }
    for n in 0..100_u64 {
        world.start();
        world.pass(Duration::from_millis(n * 37 % 900)).await;
        world.kill().await;
    }
    world.start();
    world.settle().await;
    assert!((0..5).all(|n| world.holds_a_valid_session(&format!("person-{n}"))));
    assert!(world.sts.count() <= 10, "{} calls", world.sts.count());
}

// ---- Late watches -------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn late_watches_cost_no_call_however_short_the_sessions() {
    for (what, lag) in [("secrets", 700), ("awsconfigs", 700), ("awsroles", 700), ("all", 1500)] {
        for seconds in [10, 60, 900] {
            let mut world = World::empty();
            world.sts.always(Behaviour::Lifetime(seconds));
            let lag = Duration::from_millis(lag);
            for resource in ["secrets", "awsconfigs", "awsroles"] {
                if what == resource || what == "all" {
                    world.api.lag(resource, lag);
                }
            }
            world.apply(&analysts());
            world.apply(&alice());
            world.start();
            let case = format!("{what} late, sessions of {seconds} s");
            world.until(&case, |world| world.is_ready("alice")).await;
            let record = world.record("alice").unwrap();
            let renew_at = world.status("alice").renew_at.unwrap().0;
            let period = renew_at.duration_since(record.issued_at).as_secs();
            world.sts.clear();
            world.pass(Duration::from_secs(u64::try_from(20 * period).unwrap())).await;
            let calls = i64::try_from(world.sts.count()).unwrap();
            assert!((19..=20).contains(&calls), "{case}: {calls} calls in 20 periods of {period} s");
            assert!(world.holds_a_valid_session("alice"), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn broken_watches_and_a_compacted_history_cost_no_call() {
    let world = World::with(&[alice(), config("bob", |_| {})]).await;
    for n in 0..30 {
        match n % 3 {
            0 => world.api.break_watches(),
            1 => world.api.end_watches(),
            _ => {
                world.api.put(serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "noise"}}));
                world.api.compact();
                world.api.break_watches();
            }
        }
        world.pass(Duration::from_secs(20)).await;
    }
    assert_eq!(world.cost(), Cost::NOTHING, "{}", world.picture());
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.until("a change is still seen", |world| world.sts.count() == 1 && world.is_ready("alice")).await;
}
