//! Several operators that share a cluster: each has namespaces of its own, and none runs beside
//! another one that might serve the same.

use super::world::World;
use crate::{
    doubles::{
        apiserver::{Fault, Request},
        rules::Times,
    },
    fixtures::{OPERATORS, SCORING, config_in, grant},
};
use keyturn::{
    leader::LeaseName,
    operator::{Operator, ShardPlace},
};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinHandle};

mod instances;
mod labels;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The namespace of the second shard. The first has [`SCORING`].
const LAB: &str = "lab";

/// A running replica of a shard.
struct Running {
    name: String,
    task: JoinHandle<Result<(), String>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// The text with which it ended.
    async fn refusal(self) -> String {
        self.task.await.unwrap().expect_err("it does not start")
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap().expect("it ends because it was asked to");
    }
}

/// A replica of the shard `name` for these namespaces, whose user agent is the name.
fn shard(world: &World, name: &str, namespaces: &[&str], owns_cluster: bool) -> Operator {
    Operator {
        client: world.api.client_as(name),
        instance: name.to_owned(),
        namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect(),
        shard: Some(ShardPlace { name: name.to_owned(), owns_cluster }),
        lease: Some(LeaseName { namespace: OPERATORS.to_owned(), name: format!("keyturn-{name}") }),
        ..world.operator()
    }
}

/// An operator without a shard's name.
fn unnamed(world: &World, namespaces: &[&str]) -> Operator {
    let lease = LeaseName { namespace: OPERATORS.to_owned(), name: "keyturn".to_owned() };
    Operator { shard: None, lease: Some(lease), ..shard(world, "keyturn", namespaces, true) }
}

/// Starts a replica as `main.rs` does: it checks, then runs.
fn start(operator: Operator) -> Running {
    begin(operator, true)
}

fn begin(operator: Operator, checks: bool) -> Running {
    let name = operator.instance.clone();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        if checks {
            operator.check().await.map_err(|error| error.to_string())?;
        }
        let shutdown = async move {
            let _ = stopped.await;
        };
        Box::pin(operator.run(None, shutdown)).await.map_err(|error| error.to_string())
    });
    Running { name, task, stop: Some(stop) }
}

/// Two namespaces, a grant for both, and no operator.
fn world() -> World {
    let world = World::empty();
    world.api.namespace(OPERATORS, &[]);
    world.api.namespace(LAB, &[("team", "lab")]);
    world.apply(&grant("analysts", |grant| {
        grant.namespaces.as_mut().unwrap().names.push(LAB.to_owned());
    }));
    world
}

fn apply(world: &World, namespace: &str, names: &[&str]) {
    for name in names {
        world.apply(&config_in(namespace, name, |_| {}));
    }
}

fn is_ready(world: &World, namespace: &str, name: &str) -> bool {
    let conditions = world.api.get("AwsConfig", namespace, name).unwrap_or_default()["status"]["conditions"].clone();
    let conditions = conditions.as_array().cloned().unwrap_or_default();
    conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

fn leads(world: &World, lease: &str) -> bool {
    let lease = world.api.get("leases", OPERATORS, lease).unwrap_or_default();
    lease["metadata"]["annotations"]["keyturn.dev/shard-standing"] == "Serving"
        && lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty())
}

/// The paths that a replica wrote to, without its Lease.
fn written_by(world: &World, name: &str) -> Vec<String> {
    let is_its = |request: &Request| {
        request.is_write() && request.resource != "leases" && request.user_agent.as_deref() == Some(name)
    };
    world.api.requests().iter().filter(|request| is_its(request)).map(|request| request.path.clone()).collect()
}

/// Waits until two shards serve, "a" for [`SCORING`] and "b" for [`LAB`].
async fn two_shards(world: &World) -> (Running, Running) {
    let a = start(shard(world, "a", &[SCORING], true));
    world.until("a serves", |world| leads(world, "keyturn-a")).await;
    let b = start(shard(world, "b", &[LAB], false));
    world.until("b serves", |world| leads(world, "keyturn-b")).await;
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn two_shards_never_write_an_object_of_the_other() {
    let world = world();
    let (_a, _b) = two_shards(&world).await;
    let persons = ["alice", "bob", "carol"];
    apply(&world, SCORING, &persons);
    apply(&world, LAB, &persons);
    let all_ready =
        |world: &World| persons.iter().all(|name| is_ready(world, SCORING, name) && is_ready(world, LAB, name));
    world.until("all are ready", all_ready).await;
    // Each session of an hour is renewed four times.
    world.pass(3 * 60 * MINUTE).await;
    let of = |name: &str, part: &str| written_by(&world, name).iter().filter(|path| path.contains(part)).count();
    let (in_scoring, in_lab) = ("/namespaces/scoring/", "/namespaces/lab/");
    assert!(of("a", in_scoring) > 10 && of("b", in_lab) > 10, "{}", world.picture());
    assert_eq!((of("a", in_lab), of("b", in_scoring)), (0, 0), "{}", world.picture());
    assert_eq!((of("a", "awsrolegrants"), of("b", "awsrolegrants")), (1, 0), "the owner reports about grants");
    let calls = world.sts.count();
    assert!((24..=36).contains(&calls), "each session once: {calls}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_might_serve_the_same_does_not_start() {
    type Starts = fn(&World) -> Operator;
    let rows: [(&str, Starts, &[&str]); 5] = [
        (
            "one namespace of two",
            |world| shard(world, "c", &[LAB, SCORING], false),
            &["the shard \"c\"", "\"kubernetes.io/metadata.name in (lab,scoring)\"", "a namespace may be in both"],
        ),
        ("every namespace", |world| shard(world, "c", &[], false), &["which serves every namespace, does not start"]),
        ("another owner", |world| shard(world, "c", &["other"], true), &["--shard-owns-cluster to one of them"]),
        ("no shard, every namespace", |world| unnamed(world, &[]), &["keyturn without a shard's name"]),
        ("no shard, some namespace", |world| unnamed(world, &["other"]), &["--shard-owns-cluster"]),
    ];
    let world = world();
    let (a, b) = two_shards(&world).await;
    apply(&world, SCORING, &["alice"]);
    world.until("alice is ready", |world| is_ready(world, SCORING, "alice")).await;
    world.settle().await;
    for (case, operator, parts) in rows {
        world.count_from_here();
        let third = start(operator(&world));
        let name = third.name.clone();
        let refusal = third.refusal().await;
        let parts =
            [parts, &["the shard \"a\"", "Lease keyturn-a, held by a_", "delete its Lease, or wait until"]].concat();
        for part in parts {
            assert!(refusal.contains(part), "{case}: {part}: {refusal}");
        }
        assert!(!refusal.contains('\n') && written_by(&world, &name).is_empty(), "{case}: {refusal}");
        assert_eq!(
            world.api.count_where(|request| request.is_write() && request.path.contains("keyturn-c")),
            0,
            "{case}"
        );
    }
    assert!(!a.task.is_finished() && !b.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn of_two_shards_that_begin_together_one_works() {
    let is = |request: &Request, name: &str, verb: &str| {
        request.resource == "leases" && request.verb == verb && request.user_agent.as_deref() == Some(name)
    };
    // Each row delays calls of one shard, in milliseconds.
    let rows: [&[(&'static str, &'static str, u64)]; 9] = [
        &[],
        &[("a", "list", 500)],
        &[("b", "list", 500)],
        &[("a", "create", 500)],
        &[("b", "create", 500)],
        &[("a", "list", 500), ("b", "list", 500)],
        &[("a", "update", 500)],
        &[("b", "update", 500), ("a", "list", 200)],
        &[("a", "create", 100), ("b", "create", 50), ("b", "list", 200), ("a", "update", 3000)],
    ];
    for delays in rows {
        let world = world();
        for (name, verb, milliseconds) in delays {
            let delay = Fault::Delay(Duration::from_millis(*milliseconds));
            world.api.fault(Times::UntilCleared, move |request| is(request, name, verb), delay);
        }
        apply(&world, SCORING, &["alice"]);
        // Neither saw the other at its start.
        let mut running = ["a", "b"].map(|name| begin(shard(&world, name, &[SCORING], false), false));
        world.until("alice is ready", |world| is_ready(world, SCORING, "alice")).await;
        world.pass(2 * MINUTE).await;
        running.sort_by_key(|it| it.task.is_finished());
        let [works, yields] = running;
        let (worker, other) = (works.name.clone(), yields.name.clone());
        assert!(!works.task.is_finished(), "{delays:?}: one works");
        let wrote = [&worker, &other].map(|name| written_by(&world, name).len());
        assert!(wrote[0] > 0 && wrote[1] == 0, "{delays:?}: {worker} works: {wrote:?}");
        let refusal = yields.refusal().await;
        assert!(refusal.contains(&format!("does not start beside the shard \"{worker}\"")), "{delays:?}: {refusal}");
        assert_eq!(world.sts.count(), 1, "{delays:?}");
        let left = world.api.get("leases", OPERATORS, &format!("keyturn-{other}")).unwrap();
        assert_eq!(left["metadata"]["labels"]["keyturn.dev/shard"], serde_json::Value::Null, "{delays:?}: {left}");
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_of_one_shard_stand_by_for_each_other() {
    let world = world();
    let first = start(shard(&world, "a", &[SCORING], true));
    world.until("a serves", |world| leads(world, "keyturn-a")).await;
    apply(&world, SCORING, &["alice"]);
    world.until("alice is ready", |world| is_ready(world, SCORING, "alice")).await;
    let second = start(Operator {
        client: world.api.client_as("a-2"),
        instance: "a-2".to_owned(),
        ..shard(&world, "a", &[SCORING], true)
    });
    world.pass(MINUTE).await;
    assert!(!second.task.is_finished() && written_by(&world, "a-2").is_empty());
    first.stop().await;
    world.pass(3 * SECOND).await;
    assert!(leads(&world, "keyturn-a"), "{}", world.picture());
    apply(&world, SCORING, &["bob"]);
    world.at_once("the second issues", |world| is_ready(world, SCORING, "bob")).await;
    assert!(!written_by(&world, "a-2").is_empty() && !second.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_moves_by_two_upgrades_and_costs_no_session() {
    let world = world();
    let a = start(shard(&world, "a", &[SCORING, LAB], true));
    world.until("a serves", |world| leads(world, "keyturn-a")).await;
    apply(&world, LAB, &["alice"]);
    world.until("alice is ready", |world| is_ready(world, LAB, "alice")).await;
    let too_early = start(shard(&world, "b", &[LAB], false)).refusal().await;
    assert!(too_early.contains("beside the shard \"a\""), "{too_early}");

    let next = start(shard(&world, "a", &[SCORING], true));
    world.pass(10 * SECOND).await;
    let too_early = start(shard(&world, "b", &[LAB], false)).refusal().await;
    assert!(
        too_early.contains("\"kubernetes.io/metadata.name in (lab,scoring)\""),
        "the old leader works: {too_early}"
    );
    a.stop().await;
    world.pass(3 * SECOND).await;
    world.count_from_here();
    let b = start(shard(&world, "b", &[LAB], false));
    world.pass(10 * MINUTE).await;
    assert!(leads(&world, "keyturn-b") && !next.task.is_finished() && !b.task.is_finished());
    assert_eq!((world.sts.count(), written_by(&world, "b")), (0, vec![]), "the record in the Secret counts");
    world.pass(60 * MINUTE).await;
    assert_eq!(world.sts.count(), 1, "the renewal that was due: {}", world.picture());
    assert!(written_by(&world, "a").iter().all(|path| !path.contains("/namespaces/lab/")));
}

#[tokio::test(start_paused = true)]
async fn an_uninstalled_shard_keeps_its_namespaces_for_five_minutes() {
    let world = world();
    let (a, _b) = two_shards(&world).await;
    a.stop().await;
    world.pass(4 * MINUTE).await;
    let refusal = start(shard(&world, "c", &[SCORING], true)).refusal().await;
    assert!(refusal.contains("Lease keyturn-a, held by nobody"), "{refusal}");
    world.pass(MINUTE).await;
    let c = start(shard(&world, "c", &[SCORING], true));
    world.until("c serves", |world| leads(world, "keyturn-c")).await;
    let back = start(shard(&world, "a", &[SCORING], true)).refusal().await;
    assert!(back.contains("beside the shard \"c\"") && !c.task.is_finished(), "the first is the second now: {back}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_may_not_list_leases_says_which_right_is_missing() {
    let world = world();
    world.api.fault_on(Times::UntilCleared, "list", "leases", Fault::forbidden());
    let refusal = start(shard(&world, "a", &[SCORING], true)).refusal().await;
    assert!(
        refusal.contains("the right to list leases.coordination.k8s.io") && refusal.contains(OPERATORS),
        "{refusal}"
    );
}
