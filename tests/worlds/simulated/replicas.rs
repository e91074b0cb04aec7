//! Two replicas: one leads, the other takes over, and a takeover costs nothing.

use super::world::{Cost, World};
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
        sts::{Behaviour, Outcome},
    },
    fixtures::{alice, analysts, config, role},
};
use jiff::{SignedDuration, Timestamp};
use keyturn::{
    leader::{LeaseName, Lost},
    operator::Operator,
};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const SYSTEM: &str = "keyturn-system";

/// One of several operators of a world.
pub(super) struct Replica {
    name: &'static str,
    task: JoinHandle<Result<(), Lost>>,
    stop: Option<oneshot::Sender<()>>,
    frozen: watch::Sender<bool>,
}

/// Does the work, except while it is frozen. Tasks that the work has spawned go on, as they may
/// before it when a frozen process thaws.
async fn freezing<T>(work: impl Future<Output = T>, mut frozen: watch::Receiver<bool>) -> T {
    let mut work = pin!(work);
    loop {
        let is_frozen = *frozen.borrow_and_update();
        tokio::select! {
            biased;
            Ok(()) = frozen.changed() => {}
            done = &mut work, if !is_frozen => return done,
        }
    }
}

impl Replica {
    /// Starts a replica whose user agent is its name.
    pub(super) fn start(world: &World, name: &'static str) -> Self {
        let lease = LeaseName { namespace: SYSTEM.to_owned(), name: "keyturn".to_owned() };
        let operator = Operator {
            client: world.api.client_as(name),
            instance: name.to_owned(),
            lease: Some(lease),
            ..world.operator()
        };
        let (stop, stopped) = oneshot::channel();
        let (frozen, freeze) = watch::channel(false);
        let task = tokio::spawn(async move {
            operator.check().await.expect("the operator starts");
            let shutdown = async move {
                let _ = stopped.await;
            };
            Box::pin(freezing(operator.run(None, shutdown), freeze)).await
        });
        Self { name, task, stop: Some(stop), frozen }
    }

    /// Asks the replica to stop and waits until it has.
    pub(super) async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap().expect("it ends because it was asked to");
    }

    /// Stops to do the work, except for the tasks that the work has spawned.
    pub(super) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(super) fn leads(&self, world: &World) -> bool {
        holder(world).starts_with(self.name)
    }
}

/// The holder of the Lease; empty without one.
pub(super) fn holder(world: &World) -> String {
    let lease = world.api.get("leases", SYSTEM, "keyturn").unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// A world with these configs, issued by "first", while "second" is on standby. Nothing is counted
/// yet.
async fn two_replicas(names: &[&str]) -> (World, Replica, Replica) {
    let world = World::empty();
    world.api.namespace(SYSTEM, &[]);
    world.apply(&analysts());
    let first = Replica::start(&world, "first");
    world.until("the first leads", |world| first.leads(world)).await;
    let second = Replica::start(&world, "second");
    for name in names {
        world.apply(&config(name, |_| {}));
    }
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.settle().await;
    world.count_from_here();
    (world, first, second)
}

/// The cost without that of the Lease.
fn cost(world: &World) -> Cost {
    let of = |fits: fn(&Request) -> bool| {
        world.api.count_where(move |request| request.resource != "leases" && fits(request))
    };
    Cost {
        sts: world.sts.count(),
        reads: of(|request| request.verb == "get" && !request.resource.is_empty()),
        writes: of(Request::is_write),
    }
}

/// When each write of a replica was sent, without writes of the Lease.
fn writes_of(world: &World, replica: &str) -> Vec<Timestamp> {
    let is_its = |request: &Request| {
        request.is_write() && request.resource != "leases" && request.user_agent.as_deref() == Some(replica)
    };
    world.api.requests().iter().filter(|request| is_its(request)).map(|request| request.at).collect()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_replicas_issues_and_the_other_only_watches() {
    let world = World::empty();
    world.api.namespace(SYSTEM, &[]);
    world.apply(&analysts());
    let replicas = [Replica::start(&world, "first"), Replica::start(&world, "second")];
    let names: Vec<String> = (0..20).map(|n| format!("person-{n}")).collect();
    for name in &names {
        world.apply(&config(name, |_| {}));
    }
    world.until("all are ready", |world| names.iter().all(|name| world.is_ready(name))).await;
    world.pass(10 * MINUTE).await;
    assert_eq!(world.sts.count(), 20);
    let [leader, other] = if replicas[0].leads(&world) { ["first", "second"] } else { ["second", "first"] };
    assert!(!writes_of(&world, leader).is_empty() && writes_of(&world, other).is_empty());
    let beside_the_lease = |request: &Request| {
        request.user_agent.as_deref() == Some(other) && !request.resource.is_empty() && request.resource != "leases"
    };
    let verbs: Vec<&str> = world.api.requests().iter().filter(|r| beside_the_lease(r)).map(|r| r.verb).collect();
    assert!(!verbs.is_empty() && verbs.iter().all(|verb| matches!(*verb, "list" | "watch")), "{verbs:?}");
    let to_the_lease = |request: &Request| request.user_agent.as_deref() == Some(other) && request.resource == "leases";
    // It lists the Leases of other shards once, at its start.
    let is_read = |request: &Request| matches!(request.verb, "get" | "list") || request.status == Some(409);
    assert!(world.api.requests().iter().filter(|r| to_the_lease(r)).all(is_read));
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_within_the_lease_at_no_cost() {
    let (world, first, second) = two_replicas(&["alice", "bob", "carol"]).await;
    first.kill().await;
    world.pass(13 * SECOND).await;
    assert!(!second.leads(&world), "not before the lease has run out");
    world.pass(5 * SECOND).await;
    assert!(second.leads(&world));
    world.pass(5 * MINUTE).await;
    assert_eq!(cost(&world), Cost::NOTHING, "{}", world.picture());
    world.apply(&config("dora", |_| {}));
    world.at_once("the second issues", |world| world.is_ready("dora")).await;
    assert_eq!(world.sts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_leader_hands_over_at_once_and_at_no_cost() {
    let (world, first, second) = two_replicas(&["alice", "bob"]).await;
    first.stop().await;
    assert_eq!(holder(&world), "", "it is released");
    world.pass(2 * SECOND).await;
    assert!(second.leads(&world));
    world.apply(&config("carol", |_| {}));
    world.at_once("the second issues", |world| world.is_ready("carol")).await;
    world.pass(5 * MINUTE).await;
    assert_eq!(world.sts.count(), 1, "carol's: {}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_stopping_leader_finishes_its_writes_before_another_leads() {
    let (world, first, second) = two_replicas(&[]).await;
    let hold = world.api.hold(|request| request.is("create", "secrets"));
    world.apply(&alice());
    world.until("the session is being written", |_| hold.waiting() == 1).await;
    let stopping = tokio::spawn(first.stop());
    world.pass(6 * SECOND).await;
    assert!(holder(&world).starts_with("first") && !stopping.is_finished(), "it is not released before");
    hold.release();
    stopping.await.unwrap();
    world.pass(2 * SECOND).await;
    assert!(second.leads(&world));
    world.pass(MINUTE).await;
    assert!(world.is_ready("alice") && world.holds_a_valid_session("alice"));
    assert_eq!(world.sts.count(), 1, "{}", world.picture());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_its_lease_ends_before_another_leads() {
    let faults =
        [Fault::status(500), Fault::forbidden(), Fault::RefuseConnection, Fault::Hang, Fault::Delay(20 * SECOND)];
    for fault in faults {
        let case = format!("{fault:?}");
        let (world, first, second) = two_replicas(&["alice"]).await;
        let begun = world.now();
        let is_first = |request: &Request| request.user_agent.as_deref() == Some("first");
        world.api.fault(Times::UntilCleared, move |request| is_first(request) && request.resource == "leases", fault);
        // In every second there is something to write.
        for n in 0..40 {
            world.apply(&config(&format!("person-{n}"), |_| {}));
            world.pass(SECOND).await;
        }
        assert!(first.task.is_finished(), "{case}");
        let lost = first.task.await.unwrap().unwrap_err();
        assert!(lost.to_string().contains("could not be renewed within 10 s"), "{case}: {lost}");
        let last = *writes_of(&world, "first").last().unwrap();
        let next = writes_of(&world, "second")[0];
        assert!(last.duration_since(begun) <= SignedDuration::from_secs(11), "{case}: {last}");
        assert!(next.duration_since(last) >= SignedDuration::from_secs(4), "{case}: {last} and {next}");
        world.until("all are ready", |world| (0..40).all(|n| world.is_ready(&format!("person-{n}")))).await;
        assert!(second.leads(&world) && world.sts.count() == 40, "{case}: {} calls", world.sts.count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_thawed_leader_writes_nothing_after_a_takeover() {
    let (world, first, second) = two_replicas(&["alice"]).await;
    let renewals = |world: &World| {
        let is_renewal = |request: &Request| request.is_write() && request.user_agent.as_deref() == Some("first");
        world.api.count_where(move |request| request.resource == "leases" && is_renewal(request))
    };
    let before = renewals(&world);
    world.until("the lease is renewed", |world| renewals(world) > before).await;
    let is_its_lease =
        |request: &Request| request.resource == "leases" && request.user_agent.as_deref() == Some("first");
    world.api.fault(Times::UntilCleared, is_its_lease, Fault::Hang);
    // STS answers after the lease has run out.
    world.pass(9 * SECOND).await;
    world.sts.once(Behaviour::Latency(Duration::from_millis(9_800)));
    world.change("alice", |spec| spec.role = Some(role("ds-lead")));
    world.at_once("STS is asked", |world| world.sts.count() == 1).await;
    first.freeze();
    let frozen_at = world.now();
    world.until("the second leads and issues", |world| second.leads(world) && world.is_ready("alice")).await;
    world.change("alice", |spec| spec.suspend = true);
    world.at_once("the second withdraws", |world| world.is_withdrawn("alice")).await;
    assert_eq!(world.sts.calls()[0].outcome, Outcome::Unanswered, "the first still waits: {}", world.picture());
    world.pass(5 * SECOND).await;
    assert_ne!(world.sts.calls()[0].outcome, Outcome::Unanswered);
    let late: Vec<_> = writes_of(&world, "first").into_iter().filter(|at| *at > frozen_at).collect();
    assert!(late.is_empty(), "{late:?}\n{}", world.picture());
    assert!(world.is_withdrawn("alice"));
    first.frozen.send_replace(false);
    let lost = first.task.await.unwrap().unwrap_err();
    assert!(lost.to_string().contains("could not be renewed"), "{lost}");
    assert!(world.is_withdrawn("alice") && writes_of(&world, "first").iter().all(|at| *at <= frozen_at));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_ends_and_names_the_holder() {
    let (world, first, _second) = two_replicas(&["alice"]).await;
    world.api.edit("leases", SYSTEM, "keyturn", |lease| lease["spec"]["holderIdentity"] = "somebody".into());
    world.pass(3 * SECOND).await;
    let lost = first.task.await.unwrap().unwrap_err();
    assert!(lost.to_string().contains("somebody holds it now"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_or_edited_lease_stays_with_its_holder() {
    let (world, first, second) = two_replicas(&["alice"]).await;
    let before = holder(&world);
    for n in 0..20 {
        world.api.edit("leases", SYSTEM, "keyturn", |lease| {
            lease["metadata"]["labels"] = serde_json::json!({"n": n.to_string()});
        });
        world.pass(SECOND).await;
        world.api.delete("leases", SYSTEM, "keyturn");
        world.pass(3 * SECOND).await;
        assert_eq!(holder(&world), before);
    }
    assert!(!first.task.is_finished() && !second.task.is_finished());
    assert_eq!(cost(&world), Cost::NOTHING);
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_of_the_api_server_costs_no_lease() {
    let (world, first, second) = two_replicas(&["alice"]).await;
    for fault in [Fault::status(503), Fault::LoseAnswer, Fault::RefuseConnection] {
        let case = format!("{fault:?}");
        let rule = world.api.fault(Times::UntilCleared, |request| request.resource == "leases", fault);
        world.pass(6 * SECOND).await;
        world.api.forgive(rule);
        world.pass(5 * SECOND).await;
        let both_run = !first.task.is_finished() && !second.task.is_finished();
        assert!(first.leads(&world) && both_run, "{case}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_go_on_across_every_takeover() {
    let names: Vec<String> = (0..10).map(|n| format!("person-{n}")).collect();
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, mut leader, mut standby) = two_replicas(&listed).await;
    for n in 0..24 {
        world.pass(10 * MINUTE).await;
        // A rolling upgrade in odd rounds, a crash in even ones.
        if n % 2 == 0 {
            leader.kill().await;
        } else {
            leader.stop().await;
        }
        world.pass(20 * SECOND).await;
        assert!(standby.leads(&world));
        (leader, standby) = (standby, Replica::start(&world, if n % 2 == 0 { "even" } else { "odd" }));
        assert!(names.iter().all(|name| world.holds_a_valid_session(name)));
    }
    // Four hours and eight minutes: each session of an hour is renewed after 33 to 42 minutes.
    let calls = world.sts.count();
    assert!((50..=75).contains(&calls), "{calls} calls");
}

// ---- Late watches -------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_renewal_that_the_next_leader_s_watch_lacks_is_not_repeated() {
    for (how, gracefully) in [("stopped", true), ("killed", false)] {
        let (world, first, second) = two_replicas(&["alice"]).await;
        // The watches show the standby nothing any more.
        for resource in ["secrets", "awsconfigs", "awsroles"] {
            world.api.lag(resource, 60 * MINUTE);
        }
        world.pass_until_due("alice").await;
        world.until("it is renewed", |world| world.sts.count() == 1).await;
        world.settle().await;
        if gracefully {
            first.stop().await;
        } else {
            first.kill().await;
        }
        world.until("the second leads", |world| second.leads(world)).await;
        world.pass(5 * MINUTE).await;
        assert_eq!(world.sts.count(), 1, "{how}: {}", world.picture());
        assert!(writes_of(&world, "second").is_empty(), "{how}: {}", world.picture());
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_knows_changes_that_its_late_watch_lacks() {
    let (world, first, second) = two_replicas(&["alice"]).await;
    for resource in ["awsrolegrants", "awsconfigs", "namespaces", "secrets"] {
        world.api.lag(resource, 60 * MINUTE);
    }
    world.change_grant("analysts", |grant| grant.persons = vec!["bob".into()]);
    world.apply(&config("bob", |_| {}));
    first.stop().await;
    world.until("the second leads", |world| second.leads(world)).await;
    world.at_once("both are as they should be", |world| world.is_ready("bob") && world.is_withdrawn("alice")).await;
}
