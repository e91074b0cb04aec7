//! Confirmations of `AwsConfig`s: who may write them, as the API server enforces the chart's
//! policy, and that no self-healing writer takes one back.

use super::{
    ground::{eventually, run, run_with_input},
    install::Install,
    people::{People, Person, refusal},
};
use keyturn::api::AwsConfig;
use kube::ResourceExt as _;
use serde_json::json;

const CONFIRMED: &str = "keyturn.dev/confirmed";
/// A time long ago, which only matters as a value.
const THEN: &str = "2026-01-01T00:00:00Z";
/// Another one.
const LATER: &str = "2026-01-02T00:00:00Z";

/// Lets the user `lead` and the group `leads` confirm, and waits until the policy says so.
async fn with_confirmers(people: &People<'_>) {
    run(people
        .install
        .upgrade()
        .args(["--set-json", r#"ceilings.confirmers={"users": ["lead"], "groups": ["leads"]}"#]));
    let lead = people.person("lead").await;
    people.person("probe").await.creates("probe", "probe").await.unwrap();
    eventually("the lead may confirm", async || {
        confirms(&lead, "probe", THEN).await.map_err(|error| error.to_string())
    })
    .await;
}

/// Confirms an `AwsConfig`, and changes nothing else.
async fn confirms(who: &Person, name: &str, text: &str) -> kube::Result<AwsConfig> {
    who.marks(name, json!({"annotations": {CONFIRMED: text}})).await
}

fn confirmation(config: &AwsConfig) -> Option<&str> {
    config.annotations().get(CONFIRMED).map(String::as_str)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn only_the_person_and_confirmers_confirm_a_config() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    with_confirmers(&people).await;
    let (alice, bob) = (people.person("alice").await, people.person("bob").await);
    let (lead, member) = (people.person("lead").await, people.member("carol", &["leads"]).await);
    people.may_use("User", "ci", &["alice", "system"], &install.namespace).await;
    let ci = people.person("ci").await;
    let operator = people.person(&install.user()).await;

    alice.creates("alice", "alice").await.unwrap();
    for (row, stranger) in [("another user", &bob), ("a user who may use alice", &ci), ("the operator", &operator)] {
        let said = refusal(confirms(stranger, "alice", THEN).await);
        let words = format!("may not write the annotation {CONFIRMED} of AwsConfig \"alice\"");
        let is_the_operators = said.message.contains("keyturn writes no label, annotation or owner");
        assert!(said.message.contains(&words) || is_the_operators, "{row}: {}", said.message);
        assert_eq!(said.code, 403, "{row}");
    }
    for (row, who, text) in [("the person", &alice, THEN), ("a user", &lead, LATER), ("a group", &member, THEN)] {
        let confirmed = confirms(who, "alice", text).await.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(confirmation(&confirmed), Some(text), "{row}");
    }

    // Others may change everything else, and may end a confirmation.
    bob.marks("alice", json!({"annotations": {"note": "of bob", CONFIRMED: THEN}})).await.expect("it is there already");
    refusal(bob.marks("alice", json!({"annotations": {"note": "again", CONFIRMED: LATER}})).await);
    let removed = bob.marks("alice", json!({"annotations": {CONFIRMED: null}})).await.unwrap();
    assert_eq!(confirmation(&removed), None);
    refusal(confirms(&bob, "alice", THEN).await);

    // A config for a whole namespace has no person, and a change of the person takes the new one.
    ci.creates_with("shared", "", |spec| (spec.mode, spec.person) = (keyturn::api::Mode::System, None)).await.unwrap();
    refusal(confirms(&ci, "shared", THEN).await);
    confirms(&lead, "shared", THEN).await.unwrap();
    people.may_use("User", "alice", &["bob"], &install.namespace).await;
    let moved = json!({"metadata": {"annotations": {CONFIRMED: LATER}}, "spec": {"person": "bob"}});
    let patch = kube::api::Patch::Merge(moved);
    refusal(alice.configs().patch("alice", &kube::api::PatchParams::default(), &patch).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_git_ops_writer_takes_no_confirmation_back() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    with_confirmers(&people).await;
    let alice = people.person("alice").await;
    people.may_use("User", "git-ops", &["alice"], &install.namespace).await;
    let git_ops = people.person("git-ops").await;
    // The names of both writers differ, because each has its own object.
    let manifest = json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
        "metadata": {"name": "three-way", "namespace": install.namespace, "labels": {"team": "ds"}},
        "spec": {"person": "alice", "role": install.role("ds-analyst")},
    });
    let kubectl_apply = || {
        let mut kubectl = install.ground.kubectl();
        kubectl.args(["apply", "--as=git-ops", "--as-group=writers", "-f", "-"]);
        tokio::task::block_in_place(|| run_with_input(&mut kubectl, &manifest.to_string()))
    };
    let (ok, said) = kubectl_apply();
    assert!(ok, "{said}");
    git_ops.applies("server-side", "alice").await.unwrap();

    for name in ["three-way", "server-side"] {
        confirms(&alice, name, THEN).await.unwrap();
    }
    // Somebody changes what the writers have written, and they heal it.
    alice.marks("three-way", json!({"labels": {"team": "other"}})).await.unwrap();
    alice.edits("three-way", json!({"region": "eu-west-3"})).await.unwrap();
    alice.edits("server-side", json!({"role": install.role("ds-other")})).await.unwrap();
    for _ in 0..2 {
        let (ok, said) = kubectl_apply();
        assert!(ok, "{said}");
        git_ops.applies("server-side", "alice").await.unwrap();
    }
    let (three_way, server_side) =
        (install.configs().get("three-way").await.unwrap(), install.configs().get("server-side").await.unwrap());
    assert_eq!(three_way.labels()["team"], "ds");
    assert_eq!(server_side.spec.role, Some(install.role("ds-analyst")));
    assert_eq!([confirmation(&three_way), confirmation(&server_side)], [Some(THEN); 2]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_limit_of_the_age_needs_the_person_policy() {
    let install = Install::scoped().await;
    let mut helm = install.upgrade();
    helm.args(["--set", "ceilings.maxAge=90d", "--set", "personPolicy.enabled=false"]);
    let (ok, said) = run_with_input(&mut helm, "");
    assert!(!ok && said.contains("ceilings.maxAge needs personPolicy.enabled=true"), "{said}");
    install.set("ceilings.maxAge=90d");
    let operator = install.start().await;
    install.apply_grant(|_| {}).await;
    let people = People::of(&install).await;
    people.person("alice").await.creates("alice", "alice").await.unwrap();
    install.until_ready_is("alice", "True/Issued").await;
    let alice = people.person("alice").await;
    confirms(&alice, "alice", "2036-01-01T00:00:00Z").await.unwrap();
    let configs = install.configs();
    eventually("the operator notes the early confirmation", async || {
        let status = configs.get("alice").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let due = status.conditions.iter().any(|condition| condition.type_ == "ConfirmationDue");
        if due && status.early_confirmation.is_some() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert!(operator.stop().await.success());
}
