//! The right to write a person's name: the chart's admission policy, as the API server enforces it.

use super::{
    ground::{eventually, run, run_with_input},
    install::Install,
    people::{People, refusal},
};
use k8s_openapi::api::rbac::v1::Role;
use keyturn::api::Mode;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn people_write_their_own_name_and_nobody_elses() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, bob) = (people.person("alice").await, people.person("bob").await);

    alice.creates("alice", "alice").await.unwrap();
    alice.edits("alice", json!({"region": "eu-west-3"})).await.unwrap();
    alice.creates("laptop", "alice").await.unwrap();
    people.refused("alice", bob.creates("alices", "alice")).await;
    people.refused("alice", bob.applies("alices", "alice")).await;
    people.refused("alice", bob.applies("alice", "alice")).await;
    people.refused("Alice", alice.creates("upper", "Alice")).await;
    people.refused("alice", bob.edits("alice", json!({"role": install.role("ds-other")}))).await;
    people.refused("alice", bob.edits("alice", json!({"suspend": true}))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_right_to_use_a_name_is_per_name_and_namespace() {
    let (install, elsewhere) = (Install::scoped().await, Install::scoped().await);
    let people = People::of(&install).await;
    let (ci, other, member) =
        (people.person("ci").await, people.person("other").await, people.member("member", &["scoring-team"]).await);

    people.may_use("User", "ci", &["alice", "bob"], &install.namespace).await;
    ci.creates("alice", "alice").await.unwrap();
    ci.edits("alice", json!({"person": "bob"})).await.unwrap();
    people.refused("carol", ci.creates("carol", "carol")).await;
    people.refused("carol", ci.edits("alice", json!({"person": "carol"}))).await;

    people.may_use("User", "other", &["alice"], &elsewhere.namespace).await;
    people.refused("alice", other.creates("others", "alice")).await;

    people.may_use("Group", "scoring-team", &["alice"], &install.namespace).await;
    member.creates("members", "alice").await.unwrap();
    people.refused("alice", other.creates("others", "alice")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn only_the_spec_of_another_person_s_config_is_protected() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, bob) = (people.person("alice").await, people.person("bob").await);
    alice.creates("alice", "alice").await.unwrap();

    let marked =
        bob.marks("alice", json!({"labels": {"team": "ds"}, "annotations": {"note": "of bob"}})).await.unwrap();
    assert_eq!(marked.labels()["team"], "ds");
    bob.edits("alice", json!({"region": "eu-west-1"})).await.expect("what is there already is no change");
    people.refused("alice", bob.edits("alice", json!({"region": "eu-west-3"}))).await;

    // The deletion of a config has to be able to finish.
    bob.marks("alice", json!({"finalizers": ["example.com/hold"]})).await.unwrap();
    install.configs().delete("alice", &DeleteParams::default()).await.unwrap();
    assert!(install.configs().get("alice").await.unwrap().metadata.deletion_timestamp.is_some());
    bob.marks("alice", json!({"finalizers": null})).await.unwrap();
    assert_eq!(install.configs().get_opt("alice").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_config_cannot_be_taken_over_or_given_away() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, mallory) = (people.person("alice").await, people.person("mallory").await);
    alice.creates("alice", "alice").await.unwrap();

    people.refused("alice", mallory.edits("alice", json!({"person": "mallory"}))).await;
    people.refused("alice", mallory.applies("alice", "mallory")).await;
    people.refused("bob", alice.edits("alice", json!({"person": "bob"}))).await;

    people.may_use("User", "alice", &["bob"], &install.namespace).await;
    let given = alice.edits("alice", json!({"person": "bob"})).await.unwrap();
    assert_eq!(given.spec.person.as_deref(), Some("bob"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_change_of_mode_counts_as_a_change_of_person() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, system) = (people.person("alice").await, people.person("system").await);
    let shared = || json!({"mode": "System", "person": null});
    let hers = || json!({"mode": "User", "person": "alice"});
    alice.creates("alice", "alice").await.unwrap();

    people.refused("system", alice.edits("alice", shared())).await;
    for nobody in [&alice, &system] {
        let created = nobody.creates_with("shared", "", |spec| (spec.mode, spec.person) = (Mode::System, None));
        people.refused("system", created).await;
    }

    people.may_use("User", "admin-of-scoring", &["system", "alice"], &install.namespace).await;
    let admin = people.person("admin-of-scoring").await;
    let changed = admin.edits("alice", shared()).await.unwrap();
    assert_eq!((changed.spec.mode, changed.spec.person), (Mode::System, None));
    people.refused("system", alice.edits("alice", hers())).await;
    people.refused("system", alice.edits("alice", json!({"region": "eu-west-3"}))).await;
    admin.edits("alice", hers()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_aws_role_is_written_by_the_person_it_names() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let (alice, bob) = (people.person("alice").await, people.person("bob").await);
    alice.creates("alice", "alice").await.unwrap();

    alice.creates_role("hers", json!("alice")).await.unwrap();
    alice.edits_role("hers", json!({"role": install.role("ds-other")})).await.unwrap();
    people.refused("alice", bob.creates_role("his", json!("alice"))).await;
    people.refused("alice", bob.edits_role("hers", json!({"role": install.role("ds-analyst")}))).await;
    people.refused("system", alice.creates_role("shared", Value::Null)).await;
    // A role for another person than its config's is useless. The operator reports that; the policy
    // does not.
    bob.creates_role("his", json!("bob")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_chart_maps_user_names_to_persons_or_to_nobody() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let expression = "request.userInfo.username.matches('^oidc:[a-z.]+@corp[.]example$') \
                      ? request.userInfo.username.substring(5).split('@')[0] : ''";
    let user = "oidc:alice@corp.example";
    people.change_policy(&json!({"requesterPerson": expression}), user, "alice", true).await;

    people.person(user).await.creates("alice", "alice").await.unwrap();
    people.refused("bob", people.person(user).await.creates("bobs", "bob")).await;
    for nobody in ["alice", "alice@corp.example", "oidc:alice@corp.example.evil", "oidc:alice@evil@corp.example"] {
        people.refused("alice", people.person(nobody).await.creates("alices", "alice")).await;
    }
    let shared = people.person("oidc:system@corp.example").await;
    people.refused("system", shared.edits("alice", json!({"mode": "System", "person": null}))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_expressions_for_eks_map_no_session_that_its_user_named() {
    const PAGE: &str = include_str!("../../../docs/install.md");
    const IDENTITY_CENTER: &str = "assumed-role/AWSReservedSSO_DataScientist_0123456789abcdef";
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let without_a_name = format!("arn:aws:sts::123456789012:{IDENTITY_CENTER}/alice");
    // A case, the beginning of its pattern on the page, a user of this form, and the person.
    let table = [
        ("Identity Center, with a user name", "'^sso:", "sso:alice@corp.example", "alice@corp.example"),
        ("Identity Center, without one", "'^arn:aws:sts:", without_a_name.as_str(), "alice"),
        ("a user of IAM", "'^arn:aws:iam:", "arn:aws:iam::123456789012:user/alice", "alice"),
    ];
    let another_account = format!("arn:aws:sts::210987654321:{IDENTITY_CENTER}/");
    let a_role_of_people = "arn:aws:sts::123456789012:assumed-role/analyst/";
    for (case, pattern, user, person) in table {
        let start = PAGE.find(&format!("request.userInfo.username.matches({pattern}"));
        let from = &PAGE[start.unwrap_or_else(|| panic!("{case}: docs/install.md has no {pattern}"))..];
        let expression = from.split_inclusive(": ''").next().unwrap();
        people.change_policy(&json!({"requesterPerson": expression}), user, person, true).await;
        for nobody in ["", "xsso:", another_account.as_str(), a_role_of_people] {
            let name = format!("{nobody}{person}");
            people.refused(person, people.person(&name).await.creates("another", person)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_service_account_is_never_the_person_of_the_same_name() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let names = [format!("system:serviceaccount:{}:alice", install.namespace), "system:alice".to_owned()];
    for name in &names {
        people.refused("alice", people.person(name).await.creates("alice", "alice")).await;
    }

    let the_last_part = "request.userInfo.username.split(':')[request.userInfo.username.split(':').size() - 1]";
    people.change_policy(&json!({"requesterPerson": the_last_part}), "any:alice", "alice", true).await;
    for name in &names {
        people.refused("alice", people.person(name).await.creates("alice", "alice")).await;
    }

    people.may_use("User", &names[0], &["alice"], &install.namespace).await;
    people.person(&names[0]).await.creates("alice", "alice").await.expect("by the right to use her name");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_failing_expression_allows_only_users_with_the_right() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    for wrong in ["request.userInfo.nickname", "nonsense(", "request.userInfo.username == 'alice'"] {
        let (ok, said) = run_with_input(&mut people.upgrade(&json!({"requesterPerson": wrong})), "");
        assert!(!ok && said.contains("spec.variables") && said.contains("compilation failed"), "{wrong}: {said}");
    }
    let by_certificate = json!({"requesterPerson": "request.userInfo.extra['person'][0]"});
    people.change_policy(&by_certificate, "alice", "alice", false).await;
    let said = refusal(people.person("alice").await.creates("alice", "alice").await).message;
    assert!(said.contains("no such key: extra"), "{said}");
    people.may_use("User", "ci", &["alice"], &install.namespace).await;
    people.person("ci").await.creates("alice", "alice").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_cluster_admin_may_use_every_name() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let root = people.member("root", &["system:masters"]).await;
    root.creates("alice", "alice").await.unwrap();
    root.edits("alice", json!({"mode": "System", "person": null})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_chart_gives_the_operator_the_right_to_use_every_name() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let operator = install.start().await;
    install.apply_grant(|_| {}).await;
    people.person("alice").await.creates("alice", "alice").await.unwrap();
    install.until_ready_is("alice", "True/Issued").await;
    assert_eq!(install.until_its_role().await.spec.person.as_deref(), Some("alice"));
    assert!(operator.stop().await.success());
    let mut wrote = install.ground.audit(&install.user());
    // Grants belong to the cluster: another test may delete one while its status is written.
    wrote.retain(|request| {
        ["create", "patch"].contains(&request.verb.as_str()) && request.resource != "awsrolegrants/status"
    });
    assert!(wrote.iter().any(|request| request.resource == "awsroles"), "{wrote:#?}");
    // The end of the operator may break off its last write: the server logs that as a 504.
    let refused = wrote.iter().filter(|request| (400..500).contains(&request.code)).collect::<Vec<_>>();
    assert!(refused.is_empty(), "{refused:#?}");

    // Without that right the operator is refused as any other user. A write of status is no request
    // for a person and is allowed.
    let rights: Api<Role> = Api::namespaced(install.admin.clone(), &install.namespace);
    let mut rules = rights.get(&install.fullname()).await.unwrap().rules.unwrap();
    rules.retain(|rule| rule.resources.as_deref() != Some(&["persons".to_owned()]));
    let only = Patch::Merge(json!({"rules": rules}));
    rights.patch(&install.fullname(), &PatchParams::default(), &only).await.unwrap();
    people.until_may_use(&install.user(), &[], "alice", &install.namespace, false).await;
    let operator = people.person(&install.user()).await;
    people.refused("alice", operator.creates_role("another", json!("alice"))).await;
    let status = Patch::Merge(json!({"status": {"externalId": "seen"}}));
    let written = operator.configs().patch_status("alice", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(written.status.unwrap().external_id.as_deref(), Some("seen"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn disabling_the_policy_removes_it_and_the_operator_s_right() {
    let install = Install::scoped().await;
    let people = People::of(&install).await;
    let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
    let policies = || {
        let listed = run(install.ground.kubectl().args(["get", kinds, "-o", "name"]));
        listed.lines().filter(|name| name.ends_with(&format!("{}-person", install.fullname()))).count()
    };
    assert_eq!(policies(), 2);
    people.change_policy(&json!({"enabled": false}), "bob", "alice", true).await;
    assert_eq!(policies(), 0);
    people.until_may_use(&install.user(), &[], "alice", &install.namespace, false).await;
    eventually("bob names alice", async || people.person("bob").await.creates("alice", "alice").await.map(|_| ()))
        .await;
}
