//! Two replicas as two processes: one leads, the other takes over.

use super::{
    ground::{Audited, eventually, within},
    install::{Install, Process},
};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

async fn leads(operator: &Process) -> Result<(), String> {
    let metrics = operator.get("metrics").await?;
    if metrics.lines().any(|line| line == "keyturn_leader 1") { Ok(()) } else { Err(metrics) }
}

/// Starts two replicas, of which the first leads, and issues alice's credential.
async fn two(install: &Install<'_>) -> (Process, Process) {
    let first = install.start().await;
    within(5 * SECOND, "the first leads", async || leads(&first).await).await;
    let second = install.start().await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    // The last that is written at a first issue, besides Events.
    eventually("her AwsRole's status is written", async || {
        let asked = install.ground.audit(&install.user());
        if asked.iter().any(|request| request.resource == "awsroles/status") { Ok(()) } else { Err(asked.len()) }
    })
    .await;
    assert!(leads(&second).await.is_err(), "one leads");
    assert!(second.get("readyz").await.is_ok(), "the other is ready");
    (first, second)
}

/// Applies a config and waits for its credential, which proves that a leader works.
async fn issues(install: &Install<'_>, name: &str) {
    install.apply_config(name, |_| {}).await;
    install.until_ready_is(name, "True/Issued").await;
}

/// What this operator has written since then, the lease apart.
fn writes_since(install: &Install<'_>, operator: &Process, since: Timestamp) -> Vec<Audited> {
    let mut requests = install.ground.audit(&install.user());
    requests.retain(|request| request.credential == operator.credential);
    assert_ne!(requests, [], "nothing is known of {}", operator.credential);
    requests.retain(|request| request.at > since && request.writes() && request.resource != "leases");
    requests
}

/// The same without what is about `name`.
fn writes_of_others(writes: Vec<Audited>, name: &str) -> Vec<String> {
    let others = writes.into_iter().filter(|request| !request.name.starts_with(name) && request.resource != "events");
    // What is created has no name in the log.
    let others = others.filter(|request| !request.name.is_empty());
    others.map(|request| format!("{} {} {}", request.verb, request.resource, request.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_killed_leader_is_replaced_and_healthy_objects_stay_unwritten() {
    let install = Install::scoped().await;
    let (first, second) = two(&install).await;
    let (secret, config) = (install.secret("alice").await, install.configs().get("alice").await.unwrap());
    let since = at();
    first.kill();
    within(18 * SECOND, "the second leads", async || leads(&second).await).await;
    issues(&install, "bob").await;
    assert_eq!(install.secret("alice").await, secret);
    assert_eq!(install.configs().get("alice").await.unwrap(), config);
    assert_eq!(writes_of_others(writes_since(&install, &second, since), "bob"), [""; 0]);
    let metrics = second.get("metrics").await.unwrap();
    let calls = "keyturn_sts_requests_total{outcome=\"success\"} 1";
    assert!(metrics.contains(calls), "bob's and no other: {metrics}");
    assert!(second.log().contains("this replica leads"), "{}", second.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_stopped_leader_hands_over_within_two_seconds() {
    let install = Install::scoped().await;
    let (first, second) = two(&install).await;
    let log = first.log.clone();
    assert!(first.stop().await.success());
    within(2 * SECOND, "the second leads", async || leads(&second).await).await;
    issues(&install, "bob").await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("the lease is released"), "{log}");
    // An upgrade: the new replica is on standby before the old one ends.
    let third = install.start().await;
    assert!(second.stop().await.success());
    within(2 * SECOND, "the third leads", async || leads(&third).await).await;
    issues(&install, "carol").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_leader_frozen_past_its_lease_ends_without_a_write() {
    let install = Install::scoped().await;
    let (mut first, second) = two(&install).await;
    let pid = first.child.id().to_string();
    super::ground::run(std::process::Command::new("kill").args(["-STOP", &pid]));
    within(18 * SECOND, "the second leads", async || leads(&second).await).await;
    issues(&install, "bob").await;
    let since = at();
    super::ground::run(std::process::Command::new("kill").args(["-CONT", &pid]));
    let ended = first.ended().await;
    assert_eq!(ended.code(), Some(1), "{}", first.log());
    let said = first.log();
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("keyturn: the lease ") && last.ends_with("this process ends"), "{said}");
    // Of the second there may be writes, which follow an issue.
    assert_eq!(writes_since(&install, &first, since), []);
    assert!(leads(&second).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_lease_names_the_leading_pod() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    let leases: Api<Lease> = Api::namespaced(install.admin.clone(), &install.system);
    let spec = eventually("the lease is held", async || {
        let lease = leases.get_opt(&install.fullname()).await.unwrap();
        lease.and_then(|lease| lease.spec).ok_or("no lease")
    })
    .await;
    let holder = spec.holder_identity.unwrap_or_default();
    assert!(holder.starts_with(&format!("{}-", install.fullname())), "{holder}");
    assert!(operator.stop().await.success());
    assert_eq!(leases.get(&install.fullname()).await.unwrap().spec.unwrap().holder_identity, None);
}

#[expect(clippy::disallowed_methods, reason = "the real world has real time")]
fn at() -> Timestamp {
    Timestamp::now()
}
