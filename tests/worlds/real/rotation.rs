//! First issues and renewals in real time on a real API server. The STS double grants sessions that
//! live for seconds.

use super::{
    ground::{Audited, eventually},
    install::Install,
};
use crate::doubles::{
    rules::Times,
    sts::{Behaviour, Sts},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

#[expect(clippy::disallowed_methods, reason = "the real world has real time")]
fn real_clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(Timestamp::now)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_first_issue_is_three_audited_calls_and_then_its_trail() {
    let install = Install::scoped().await;
    let sts = Sts::new(real_clock());
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let operator = install.start_at_sts(&listening.url()).await;
    install.apply_grant(|_| {}).await;
    // Once the operator has seen the grant, a new config has it from the beginning.
    install.apply_config("witness", |_| {}).await;
    install.until_ready_is("witness", "True/Issued").await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    let calls = || {
        let audited = install.ground.audit(&install.user());
        let about_alice = audited.into_iter().filter(|request| {
            let is_hers = request.namespace == install.namespace && request.name.starts_with("alice");
            is_hers && !["watch", "list"].contains(&request.verb.as_str())
        });
        about_alice.map(|request| format!("{} {}", request.verb, request.resource)).collect::<Vec<_>>()
    };
    eventually("her AwsRole has its status", async || {
        let calls = calls();
        if calls.iter().any(|call| call == "patch awsroles/status") { Ok(()) } else { Err(calls) }
    })
    .await;
    assert!(operator.stop().await.success());
    let expected = [
        "get secrets",
        "create secrets",
        "patch awsconfigs/status",
        "create events",
        "create awsroles",
        "patch awsroles/status",
    ];
    assert_eq!(calls(), expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn each_renewal_is_one_call_to_sts_and_two_audited_writes() {
    let install = Install::scoped().await;
    let sts = Sts::new(real_clock());
    // Renewed after 3 s, the earliest that there is: 7 s are left to a machine that is busy.
    sts.behave(Times::UntilCleared, Behaviour::Lifetime(10));
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let operator = install.start_at_sts(&listening.url()).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |spec| spec.renew_before = Some("1m".parse().unwrap())).await;
    install.until_ready_is("alice", "True/Issued").await;
    // This is the last write of a first issue, besides Events.
    eventually("her AwsRole says that it is usable, and so does the audit log", async || {
        let asked = install.ground.audit(&install.user());
        let is_logged = asked.iter().any(|request| request.resource == "awsroles/status");
        if is_logged { Ok(()) } else { Err(asked.len()) }
    })
    .await;
    let (asked, issued) = (install.ground.audit(&install.user()).len(), sts.count());

    let rotations = 5;
    eventually("five rotations", async || {
        let count = sts.count();
        let record = install.record("alice").await.unwrap();
        assert!(record.is_live(real_clock()()), "never an expired credential: {record:?}");
        if count >= issued + rotations { Ok(()) } else { Err(count) }
    })
    .await;
    // Once status shows the last session, the renewal that was counted last is written.
    let last = sts.issued().pop().unwrap();
    eventually("the last session is in status", async || {
        let status = install.configs().get("alice").await.unwrap().status.unwrap();
        if status.access_key_id.as_deref() >= Some(last.access_key_id.as_str()) { Ok(()) } else { Err(status) }
    })
    .await;
    let counted = sts.count() - issued;
    assert!(operator.stop().await.success());
    let requests = install.ground.audit(&install.user()).split_off(asked);
    // Grants belong to the cluster: the operator writes the status of those of other tests, too.
    let is_about_objects = |request: &&Audited| {
        !["watch", "list"].contains(&request.verb.as_str())
            && !["leases", "awsrolegrants/status"].contains(&request.resource.as_str())
    };
    let about: Vec<&Audited> = requests.iter().filter(is_about_objects).collect();
    let count = |verb: &str, resource: &str| about.iter().filter(|r| r.verb == verb && r.resource == resource).count();
    assert_eq!(count("patch", "secrets"), count("patch", "awsconfigs/status"));
    assert!((counted..=counted + 1).contains(&count("patch", "secrets")), "{counted}: {about:#?}");
    assert_eq!(count("get", "secrets"), 0);
    assert_eq!(
        about.len(),
        count("patch", "secrets") + count("patch", "awsconfigs/status"),
        "nothing else: {about:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_denied_role_is_explained_and_not_retried_by_a_restart() {
    let install = Install::scoped().await;
    let sts = Sts::new(real_clock());
    sts.always(Behaviour::AccessDenied);
    let listening = sts.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let operator = install.start_at_sts(&listening.url()).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    let alice = install.until_ready_is("alice", "False/AssumeRoleDenied").await;
    let status = alice.status.unwrap();
    let message = &status.conditions[2].message;
    let external_id = format!("{}/{}", install.cluster, install.namespace);
    assert!(message.contains("not authorized to perform") && message.contains(&external_id), "{message}");
    let failure = status.failure.unwrap();
    assert_eq!(failure.next_attempt_at.0.duration_since(failure.last_at.0), SignedDuration::from_secs(30));
    assert_eq!(sts.count(), 1);

    operator.kill();
    let operator = install.start_at_sts(&listening.url()).await;
    install.apply_config("witness", |spec| spec.role = None).await;
    install.until_ready_is("witness", "False/RolePending").await;
    assert_eq!(sts.count(), 1, "the pace is kept in status");

    sts.behave_well();
    install.apply_config("alice", |spec| spec.region = Some("eu-west-3".to_owned())).await;
    install.until_ready_is("alice", "True/Issued").await;
    assert_eq!(sts.count(), 2, "a changed spec is tried at once");
    drop(operator);
}
