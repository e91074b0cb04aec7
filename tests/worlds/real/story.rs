//! The whole story once, with the chart's defaults on a cluster of its own: every promise that a
//! user can see, through the API server, IAM, S3 and the AWS CLI. At the end the API server's audit
//! log shows which rights the operator used.

use super::{
    datarobot::{self, DataRobotServer},
    datarobot_push,
    dss::DssServer,
    ground::{Audited, Ground, eventually, kinds, within},
    install::{Install, labels},
    people::People,
};
use crate::fixtures::{aws_role, personal_key, uses};
use k8s_openapi::{
    ByteString,
    api::{
        core::v1::Secret,
        rbac::v1::{ClusterRole, Role},
    },
};
use keyturn::api::{AwsConfigSpec, Ceilings, DataRobotInstance, DssInstance, Format, RoleRetention, Target};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_main_job_works_from_apply_to_deletion_with_the_chart_s_rights() {
    let ground = Ground::own();
    let install = Install::cluster_wide(&ground).await;
    another_person_s_name_is_refused(&install).await;
    let operator = install.start().await;

    nothing_is_given_without_a_grant(&install).await;
    a_grant_gives_a_secret_that_the_aws_cli_can_use(&install).await;
    a_changed_role_is_a_new_session_at_once(&install).await;
    a_change_of_the_rendering_costs_no_session(&install).await;
    a_drifted_secret_is_repaired_within_a_second(&install).await;
    an_aws_role_that_was_edited_is_restored(&install).await;
    deleting_a_user_s_own_role_withdraws_the_credential(&install).await;
    a_dss_api_key_is_created_and_deleted(&install).await;
    a_datarobot_credential_is_created_and_deleted(&install).await;
    a_foreign_secret_is_never_touched(&install).await;
    a_narrower_grant_withdraws_the_credential(&install).await;
    let operator = a_restart_over_healthy_objects_costs_nothing(&install, operator).await;
    missed_pods_were_searched_for(&install).await;
    deleting_the_config_deletes_everything_it_owns(&install).await;

    let metrics = operator.get("metrics").await.unwrap();
    assert!(
        metrics.contains("keyturn_build_info")
            && metrics.contains("keyturn_credentials{state=\"ready\",reason=\"Issued\"}"),
        "{metrics}"
    );
    let log = operator.log.clone();
    assert!(operator.stop().await.success(), "SIGTERM ends it cleanly");
    no_secret_was_logged(&std::fs::read_to_string(log).unwrap());
    the_chart_s_rights_are_exactly_the_used_ones(&install).await;
}

async fn another_person_s_name_is_refused(install: &Install<'_>) {
    let people = People::of(install).await;
    people.refused("alice", people.person("bob").await.creates("alice", "alice")).await;
}

async fn nothing_is_given_without_a_grant(install: &Install<'_>) {
    install.apply_config("alice", |_| {}).await;
    let alice = install.until_ready_is("alice", "False/NotGranted").await;
    let message = &alice.status.unwrap().conditions[0].message;
    assert!(message.contains(&install.namespace) && message.contains("\"alice\""), "{message}");
    assert!(install.secret("alice").await.is_none(), "no Secret that never held a credential");
}

async fn a_grant_gives_a_secret_that_the_aws_cli_can_use(install: &Install<'_>) {
    install.apply_grant(|_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
    let [allowed, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    let (ok, listed) = install.aws("alice", &["s3", "ls", &format!("s3://{allowed}")]).await;
    assert!(ok && listed.contains("hello.txt"), "{listed}");
    let (ok, refused) = install.aws("alice", &["s3", "ls", &format!("s3://{other}")]).await;
    assert!(!ok && refused.contains("AccessDenied"), "{refused}");
    let (ok, identity) = install.aws("alice", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    assert!(
        ok && identity.contains("assumed-role/ds-analyst/alice"),
        "the session bears the person's name: {identity}"
    );
    let role = install.until_its_role().await;
    assert_eq!(role.status.and_then(|status| status.active), Some(true));
    let events = install.events("alice").await;
    assert!(events.iter().any(|event| event.starts_with("Issued: ")), "{events:?}");

    let table = super::ground::run(install.ground.kubectl().args(["get", "awscfg", "-n", &install.namespace]));
    let [header, row] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(columns, ["NAME", "PERSON", "PROVIDER", "ROLE", "READY", "TROUBLE", "EXPIRES", "AGE"]);
    let values: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(values[..5], ["alice", "alice", "temporary", &install.role("ds-analyst"), "True"]);
    let record = install.record("alice").await.unwrap();
    // TROUBLE is empty.
    assert_eq!(values[5], record.expires_at.unwrap().to_string());
}

async fn a_changed_role_is_a_new_session_at_once(install: &Install<'_>) {
    let before = install.record("alice").await.unwrap();
    install.apply_config("alice", |spec| spec.role = Some(install.role("ds-other"))).await;
    let after = within(2 * SECOND, "a session of the other role", async || {
        let record = install.record("alice").await.unwrap();
        if record.role == install.role("ds-other") { Ok(record) } else { Err(record) }
    })
    .await;
    assert_ne!(after.access_key_id, before.access_key_id);
    eventually("the former AwsRole stays and is not active", async || {
        let roles = install.roles().list(&kube::api::ListParams::default()).await.unwrap().items;
        let active = |name: &str| {
            let role = roles.iter().find(|role| role.spec.role == install.role(name));
            role.and_then(|role| role.status.as_ref()).and_then(|status| status.active)
        };
        let seen = (active("ds-analyst"), active("ds-other"));
        if seen == (Some(false), Some(true)) { Ok(()) } else { Err(seen) }
    })
    .await;
    install.apply_config("alice", |spec| spec.role_retention = RoleRetention::Prune).await;
    eventually("the one that is no longer in use is pruned", async || {
        let roles = install.roles().list(&kube::api::ListParams::default()).await.unwrap().items;
        let arns: Vec<String> = roles.into_iter().map(|role| role.spec.role).collect();
        if arns == [install.role("ds-analyst")] { Ok(()) } else { Err(arns) }
    })
    .await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
}

async fn a_change_of_the_rendering_costs_no_session(install: &Install<'_>) {
    let before = install.record("alice").await.unwrap();
    let only_files = || Target { formats: Some(vec![Format::Files]), ..Target::default() };
    install.apply_config("alice", |spec| spec.target = Some(only_files())).await;
    eventually("the variables are gone and the files stay", async || {
        let keys: Vec<String> = install.values("alice").await.into_keys().collect();
        if keys == ["config", "credential-process.json", "credentials"] { Ok(()) } else { Err(keys) }
    })
    .await;
    install.apply_config("alice", |_| {}).await;
    eventually("the variables are back", async || {
        let values = install.values("alice").await;
        values.get("AWS_ACCESS_KEY_ID").cloned().ok_or(values.into_keys().collect::<Vec<_>>())
    })
    .await;
    let after = install.record("alice").await.unwrap();
    assert_eq!(before.access_key_id, after.access_key_id, "the same session");
}

async fn a_drifted_secret_is_repaired_within_a_second(install: &Install<'_>) {
    install.until_ready_is("alice", "True/Issued").await;
    let secrets = install.secrets();
    let name = "alice-aws";
    let merge = PatchParams::default();

    // Foreign labels and keys stay, and cost no session.
    let before = install.record("alice").await.unwrap();
    secrets.patch(name, &merge, &labels(&[("team", Some("ds"))])).await.unwrap();
    let key = json!({"stringData": {"NOT_OURS": "stays"}});
    secrets.patch(name, &merge, &Patch::Merge(key)).await.unwrap();

    // Without its label: keyturn adds the label again.
    secrets.patch(name, &merge, &labels(&[("keyturn.dev/aws-config", None)])).await.unwrap();
    within(SECOND, "the label is back", async || {
        let secret = secrets.get(name).await.unwrap();
        if secret.labels().contains_key("keyturn.dev/aws-config") { Ok(()) } else { Err(secret.metadata.labels) }
    })
    .await;
    assert_eq!(install.record("alice").await.unwrap().access_key_id, before.access_key_id);

    // Immutable: keyturn replaces the Secret by a mutable one with the same session.
    secrets.patch(name, &merge, &Patch::Merge(json!({"immutable": true}))).await.unwrap();
    within(SECOND, "it can be changed again", async || match install.secret("alice").await {
        Some(secret) if secret.immutable != Some(true) && secret.data.is_some() => Ok(()),
        other => Err(other.map(|secret| secret.metadata)),
    })
    .await;
    assert_eq!(install.record("alice").await.unwrap().access_key_id, before.access_key_id);

    // With an edited value: keyturn issues a new session, because the old one may have been
    // replaced by a foreign one.
    let edited = json!({"stringData": {"AWS_SECRET_ACCESS_KEY": "edited"}});
    secrets.patch(name, &merge, &Patch::Merge(edited)).await.unwrap();
    let after = within(SECOND, "another session", async || {
        let record = install.record("alice").await.unwrap();
        let is_restored = install.values("alice").await["AWS_SECRET_ACCESS_KEY"] != "edited";
        if is_restored && record.access_key_id != before.access_key_id { Ok(record) } else { Err(record) }
    })
    .await;
    let added = json!({"stringData": {"NOT_OURS": "stays"}});
    secrets.patch(name, &merge, &Patch::Merge(added)).await.unwrap();

    // Deleted: keyturn creates the Secret again with a new session.
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    within(SECOND, "the Secret is back", async || match install.record("alice").await {
        Some(record) if record.access_key_id != after.access_key_id => Ok(()),
        other => Err(other),
    })
    .await;
    let events = install.events("alice").await;
    assert!(events.iter().any(|event| event.starts_with("Drifted: ")), "{events:?}");
}

async fn an_aws_role_that_was_edited_is_restored(install: &Install<'_>) {
    install.until_ready_is("alice", "True/Issued").await;
    let before = install.record("alice").await.unwrap();
    let status = install.configs().get("alice").await.unwrap().status.unwrap();
    let name = status.active_role.unwrap().name;
    let edit = Patch::Merge(json!({"spec": {"role": install.role("ds-other")}}));
    install.roles().patch(&name, &PatchParams::default(), &edit).await.unwrap();
    eventually("the AwsRole names its role again", async || {
        let role = install.roles().get(&name).await.unwrap().spec.role;
        if role == install.role("ds-analyst") { Ok(()) } else { Err(role) }
    })
    .await;
    assert_eq!(install.record("alice").await.unwrap(), before, "the credential is untouched");
}

async fn deleting_a_user_s_own_role_withdraws_the_credential(install: &Install<'_>) {
    let own = || {
        let mut own = aws_role("own", "alice", &install.role("ds-other"));
        own.metadata.namespace = Some(install.namespace.clone());
        own
    };
    install.roles().create(&PostParams::default(), &own()).await.unwrap();
    install.apply_config("alice", uses("own")).await;
    install.until_ready_is("alice", "True/Issued").await;
    assert_eq!(install.record("alice").await.unwrap().role, install.role("ds-other"));
    let table = super::ground::run(install.ground.kubectl().args(["get", "awsr", "own", "-n", &install.namespace]));
    let values: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(values[..6], ["own", "alice", "alice", &install.role("ds-other"), "true", "True"], "{table}");

    install.roles().delete("own", &DeleteParams::default()).await.unwrap();
    install.until_ready_is("alice", "False/ActiveRoleMissing").await;
    assert_eq!(install.values("alice").await["AWS_ACCESS_KEY_ID"], "WITHDRAWN_by_keyturn_ActiveRoleMissing");
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
}

async fn a_dss_api_key_is_created_and_deleted(install: &Install<'_>) {
    let server = DssServer::start(install).await;
    server.dss.add_user("dora", &[]);
    let dss = |spec: &mut AwsConfigSpec| {
        personal_key(spec);
        spec.dss.as_mut().unwrap().instance.clone_from(&server.instance);
    };
    install.apply_config("dora", dss).await;
    install.until_ready_is("dora", "True/Issued").await;
    let keys = server.dss.personal_keys();
    assert_eq!((keys.len(), install.values("dora").await["DKU_API_KEY"].as_str()), (1, keys[0].key.as_str()));
    let instances: Api<DssInstance> = Api::all(install.admin.clone());
    // The instance waits for the deletion of the key in it, and the config reports the missing
    // instance.
    instances.delete(&server.instance, &DeleteParams::default()).await.unwrap();
    install.until_ready_is("dora", "False/DssInstanceMissing").await;
    eventually("the key and the instance are gone", async || {
        let left = (server.dss.personal_keys().len(), instances.get_opt(&server.instance).await.unwrap().is_some());
        if left == (0, false) { Ok(()) } else { Err(left) }
    })
    .await;
    install.configs().delete("dora", &DeleteParams::default()).await.unwrap();
}

async fn a_datarobot_credential_is_created_and_deleted(install: &Install<'_>) {
    let server = DataRobotServer::start(install.ground).await;
    datarobot_push::apply(install, &server, |_| {}).await;
    let name = datarobot_push::instance_of(install);
    let pushes = |spec: &mut AwsConfigSpec| {
        let push = json!({"dataRobot": {"instance": name, "name": "robin-s3"}});
        spec.push = Some(serde_json::from_value(push).unwrap());
    };
    install.apply_config("robin", pushes).await;
    eventually("DataRobot has the credential", async || {
        let there = server.datarobot.credentials(datarobot::ACCOUNT);
        let names: Vec<String> = there.iter().filter_map(|it| Some(it.triplet()?.access_key_id)).collect();
        let session = install.record("robin").await.map(|record| record.access_key_id);
        if session.as_ref().is_some_and(|key| names.contains(key)) { Ok(()) } else { Err((session, names)) }
    })
    .await;
    let instances: Api<DataRobotInstance> = Api::all(install.admin.clone());
    // The instance waits for the deletion of the credential in it.
    instances.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the credential and the instance are gone", async || {
        let there = server.datarobot.credentials(datarobot::ACCOUNT).len();
        let left = (there, instances.get_opt(&name).await.unwrap().is_some());
        if left == (0, false) { Ok(()) } else { Err(left) }
    })
    .await;
    assert!(install.record("robin").await.unwrap().withdrawn.is_none(), "the Secret does not depend on it");
    install.configs().delete("robin", &DeleteParams::default()).await.unwrap();
}

async fn a_foreign_secret_is_never_touched(install: &Install<'_>) {
    let metadata = ObjectMeta { name: Some("bob-aws".to_owned()), ..ObjectMeta::default() };
    let data = [("password".to_owned(), ByteString(b"bob's own".to_vec()))];
    let foreign = Secret { metadata, data: Some(data.into()), ..Secret::default() };
    let created = install.secrets().create(&PostParams::default(), &foreign).await.unwrap();
    install.apply_config("bob", |_| {}).await;
    let bob = install.until_ready_is("bob", "False/ForeignTarget").await;
    assert!(bob.status.unwrap().conditions[1].message.contains("bob-aws"));
    let present = install.secrets().get("bob-aws").await.unwrap();
    assert_eq!(present.metadata.resource_version, created.metadata.resource_version);
    install.configs().delete("bob", &DeleteParams::default()).await.unwrap();
    eventually("bob's config is gone", async || match install.configs().get_opt("bob").await.unwrap() {
        None => Ok(()),
        Some(config) => Err(config.metadata),
    })
    .await;
    assert!(install.secret("bob").await.is_some(), "garbage collection leaves it alone, too");
}

async fn a_narrower_grant_withdraws_the_credential(install: &Install<'_>) {
    let too_short = Ceilings { max_duration: Some("30m".parse().unwrap()), ..Ceilings::default() };
    install.apply_grant(|spec| spec.ceilings = Some(too_short)).await;
    let alice = install.until_ready_is("alice", "False/NotGranted").await;
    let message = alice.status.unwrap().conditions[0].message.clone();
    assert!(message.contains("ceilings.maxDuration") && message.contains("stays usable until"), "{message}");
    let values = install.values("alice").await;
    assert_eq!(values["AWS_ACCESS_KEY_ID"], "WITHDRAWN_by_keyturn_NotGranted");
    assert_eq!(values["AWS_CREDENTIAL_EXPIRATION"], "WITHDRAWN by keyturn: NotGranted");
    assert_eq!(values["AWS_SESSION_TOKEN"], "WITHDRAWN");
    let (ok, said) = install.aws("alice", &["s3", "ls"]).await;
    assert!(!ok && said.contains("WITHDRAWN by keyturn: NotGranted"), "the SDK fails and prints the reason: {said}");

    let lost = PatchParams::default();
    let no_ceiling = Patch::Merge(json!({"spec": {"ceilings": null}}));
    install.grants().patch(&install.namespace, &lost, &no_ceiling).await.unwrap();
    install.until_ready_is("alice", "True/Issued").await;
    let (ok, _) = install.aws("alice", &["s3", "ls", &format!("s3://{}", install.aws.buckets[0])]).await;
    assert!(ok, "a new session");
}

async fn a_restart_over_healthy_objects_costs_nothing(
    install: &Install<'_>,
    operator: super::install::Process,
) -> super::install::Process {
    install.until_ready_is("alice", "True/Issued").await;
    assert!(operator.stop().await.success());
    let (before, events) = (install.secret("alice").await, install.events("alice").await);
    let config = install.configs().get("alice").await.unwrap();
    let asked = install.ground.audit(&install.user()).len();
    let operator = install.start().await;
    eventually("the restarted operator has reconciled alice", async || {
        let metrics = operator.get("metrics").await?;
        if metrics.contains("keyturn_credentials{state=\"ready\",reason=\"Issued\"} 1") { Ok(()) } else { Err(metrics) }
    })
    .await;
    // A change that costs a status write proves that everything before it has been reconciled.
    install.apply_config("witness", |spec| spec.role = None).await;
    install.until_ready_is("witness", "False/RolePending").await;
    let requests = install.ground.audit(&install.user()).split_off(asked);
    let about_alice: Vec<&Audited> = requests
        .iter()
        .filter(|request| {
            request.name.starts_with("alice") || request.resource == "events" && !request.name.starts_with("witness")
        })
        .collect();
    assert!(about_alice.is_empty(), "no read and no write: {about_alice:#?}");
    let issues = operator.get("metrics").await.unwrap();
    assert!(!issues.contains("keyturn_sts_requests_total{"), "no call to STS: {issues}");
    assert_eq!(install.secret("alice").await, before);
    assert_eq!(install.events("alice").await, events);
    assert_eq!(install.configs().get("alice").await.unwrap(), config);
    operator
}

async fn missed_pods_were_searched_for(install: &Install<'_>) {
    eventually("the pods of her namespace were listed", async || {
        let requests = install.ground.audit(&install.user());
        let listed = requests.iter().any(|request| request.verb == "list" && request.resource == "pods");
        if listed { Ok(()) } else { Err(requests.len()) }
    })
    .await;
}

async fn deleting_the_config_deletes_everything_it_owns(install: &Install<'_>) {
    install.configs().delete("alice", &DeleteParams::default()).await.unwrap();
    eventually("Secret and AwsRoles are collected", async || {
        let secret = install.secret("alice").await.map(|secret| secret.name_any());
        let roles = install.roles().list(&kube::api::ListParams::default()).await.unwrap().items;
        if secret.is_none() && roles.is_empty() { Ok(()) } else { Err((secret, roles)) }
    })
    .await;
}

fn no_secret_was_logged(log: &str) {
    let long_words =
        log.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c)).filter(|word| word.len() >= 40);
    let suspicious: Vec<&str> = long_words.filter(|word| !word.contains("role/") && !word.contains("Secret")).collect();
    assert!(suspicious.is_empty(), "{suspicious:?}");
}

/// A missing right has already failed a step. A right that no step used has no reason to be
/// granted.
async fn the_chart_s_rights_are_exactly_the_used_ones(install: &Install<'_>) {
    let requests = eventually("the watches have ended", async || {
        let requests = install.ground.audit(&install.user());
        let watched = requests.iter().filter(|request| request.verb == "watch").map(|request| request.resource.clone());
        let watched: BTreeSet<String> = watched.collect();
        if watched.len() >= 5 { Ok(requests) } else { Err(watched) }
    })
    .await;
    let forbidden: Vec<&Audited> = requests.iter().filter(|request| request.code == 403).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let used: BTreeSet<String> = requests
        .iter()
        .filter(|request| !request.resource.is_empty())
        .map(|request| format!("{} {}.{}", request.verb, request.resource, request.group))
        .collect();
    let roles: Api<ClusterRole> = Api::all(install.admin.clone());
    let mut rules = Vec::new();
    for role in [install.fullname(), format!("{}-certificate", install.fullname())] {
        rules.extend(roles.get(&role).await.unwrap().rules);
    }
    let roles: Api<Role> = Api::namespaced(install.admin.clone(), &install.system);
    for what in ["leader", "certificate"] {
        rules.extend(roles.get(&format!("{}-{what}", install.fullname())).await.unwrap().rules);
    }
    let mut granted = BTreeSet::new();
    for rule in rules.into_iter().flatten() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| format!("{verb} {resource}.{group}")));
            }
        }
    }
    // keyturn makes no request with this right; the person policy asks for it (`person_policy`).
    assert!(granted.remove("use persons.keyturn.dev"));
    let unused: Vec<&String> = granted.difference(&used).collect();
    assert!(unused.is_empty(), "rights that nothing used: {unused:?}; used: {:?}", kinds(&requests));
}
