//! Dataiku with its real Python client and boto3. A pod has nothing but the Secret, and the
//! operator wrote the Secret on a real API server with the chart's rights.

use super::{
    dss::{DssServer, endpoint},
    ground::{eventually, within},
    install::Install,
};
use crate::{
    doubles::dss::{ADMINISTRATORS, Connection},
    fixtures::{from_connection, personal_key, role_from_dss},
};
use keyturn::api::{AwsConfigSpec, CredentialProvider, Format};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::time::Duration;

const FROM_PROPERTY: &str = "${adminProperty:associatedRole}";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_real_clients_act_as_the_person_with_the_secret_alone() {
    let install = Install::scoped().await;
    let server = DssServer::start(&install).await;
    server.dss.add_connection("s3", Connection::assume_role(FROM_PROPERTY).readable_by(&["analysts"]));
    server.assumes(&install, "ds-from-dss");
    install
        .apply_grant(|spec| spec.providers = vec![CredentialProvider::Temporary, CredentialProvider::Connection])
        .await;
    let operator = install.start().await;

    the_role_comes_from_the_admin_property(&install, &server).await;
    // It takes up to two minutes to follow, in which the others are shown.
    server.dss.set_admin_property("bob", "associatedRole", Some(&install.role("ds-other")));
    the_documented_pattern_and_its_replacements_reach_the_bucket(&install, &server).await;
    an_administrator_s_key_needs_the_instance_s_permission(&install, &server).await;
    a_connection_s_credential_is_delivered_and_works(&install, &server).await;
    the_role_follows_the_admin_property(&install).await;
    a_person_who_is_not_allowed_gets_nothing(&install, &server).await;
    deleting_the_config_deletes_the_key_in_dss(&install, &server).await;

    let log = operator.log.clone();
    assert!(operator.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("dkuaps-Leaked"), "no API key is logged: {log}");
}

fn by_dss<'a>(
    server: &'a DssServer,
    change: impl FnOnce(&mut AwsConfigSpec) + 'a,
) -> impl FnOnce(&mut AwsConfigSpec) + 'a {
    move |spec| {
        change(spec);
        spec.dss.as_mut().unwrap().instance.clone_from(&server.instance);
        spec.target.get_or_insert_default().formats = Some(vec![Format::Env, Format::Files, Format::Dataiku]);
    }
}

async fn the_role_comes_from_the_admin_property(install: &Install<'_>, server: &DssServer) {
    install.apply_config("bob", by_dss(server, role_from_dss(FROM_PROPERTY))).await;
    server.until(install, "Authorized", "True/Granted").await;
    install.until_ready_is("bob", "True/Issued").await;
    assert_eq!(install.record("bob").await.unwrap().role, install.role("ds-analyst"));
}

async fn the_role_follows_the_admin_property(install: &Install<'_>) {
    // The list of users is read again each minute, which is the shortest `refresh` there is.
    within(Duration::from_secs(150), "the session is of the other role", async || {
        let role = install.record("bob").await.unwrap().role;
        if role == install.role("ds-other") { Ok(()) } else { Err(role) }
    })
    .await;
}

async fn the_documented_pattern_and_its_replacements_reach_the_bucket(install: &Install<'_>, server: &DssServer) {
    let [allowed, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    server.dss.set_admin_property("alice", "associatedRole", Some("ds-from-dss"));
    install
        .apply_config(
            "alice",
            by_dss(server, |spec| {
                personal_key(spec);
                spec.role = Some(install.role("ds-analyst"));
            }),
        )
        .await;
    install.until_ready_is("alice", "True/Issued").await;
    let variables: Vec<(&str, String)> = install
        .values("alice")
        .await
        .into_iter()
        .filter_map(|(key, value)| {
            ["DKU_DSS_URL", "DKU_API_KEY"].into_iter().find(|name| *name == key).map(|name| (name, value))
        })
        .collect();
    assert_eq!(variables.len(), 2);
    let saw = endpoint(install, "alice", &variables, &["s3"]).await;
    assert_eq!(
        (&saw["who"]["associatedDSSUser"], &saw["who"]["authSource"]),
        (&json!("alice"), &json!("PERSONAL_API_KEY"))
    );
    assert_eq!(saw["who_by_variables"], "alice");
    an_ordinary_person_s_client_acts_as_nobody_else(server, &saw["as_another"]);
    for way in ["documented", "dict", "mounted"] {
        assert_eq!(saw[way][allowed], json!(["hello.txt"]), "{way}: {saw}");
        assert_eq!(saw[way][other], "AccessDenied", "{way}: {saw}");
    }
}

/// The double refuses the calls as DSS does, and the real client raises its exception.
fn an_ordinary_person_s_client_acts_as_nobody_else(server: &DssServer, refused: &Value) {
    for (call, why) in [
        ("get_auth_info", "only an admin may act as another user"),
        ("list_personal_api_keys", "only an admin may act as another user"),
        ("create_personal_api_key", "only an admin may act as another user"),
        ("get_settings", "you are not admin"),
    ] {
        assert!(refused[call].as_str().is_some_and(|said| said.contains(why)), "{call}: {refused}");
    }
    assert!(server.dss.personal_keys().iter().all(|key| key.user == "alice"), "no key of another user was made");
}

/// An administrator gets the AWS credential, and an API key only if the instance allows it.
async fn an_administrator_s_key_needs_the_instance_s_permission(install: &Install<'_>, server: &DssServer) {
    server.dss.add_user("dana", &[ADMINISTRATORS]);
    install
        .apply_config(
            "dana",
            by_dss(server, |spec| {
                personal_key(spec);
                spec.role = Some(install.role("ds-analyst"));
            }),
        )
        .await;
    install.until_ready_is("dana", "False/DssAdminKey").await;
    let values = install.values("dana").await;
    assert!(values.contains_key("AWS_ACCESS_KEY_ID") && !values.contains_key("DKU_API_KEY"));
    assert!(server.dss.personal_keys().iter().all(|key| key.user != "dana"), "the key is deleted again");
    install.configs().delete("dana", &DeleteParams::default()).await.unwrap();
    eventually("it is gone", async || {
        let config = install.configs().get_opt("dana").await.unwrap();
        if config.is_none() { Ok(()) } else { Err("it is there") }
    })
    .await;
}

async fn a_connection_s_credential_is_delivered_and_works(install: &Install<'_>, server: &DssServer) {
    let [allowed, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    server.dss.add_user("carol", &["analysts"]);
    server.dss.set_admin_property("carol", "associatedRole", Some("ds-from-dss"));
    install.apply_config("carol", by_dss(server, from_connection("s3"))).await;
    install.until_ready_is("carol", "True/Issued").await;
    let saw = endpoint(install, "carol", &[], &["-"]).await;
    assert_eq!(saw["mounted"], json!({allowed: ["hello.txt"], other: "AccessDenied"}));
    assert_eq!(saw["who"], Value::Null, "no API key was asked for");
    let (ok, identity) = install.aws("carol", &["sts", "get-caller-identity", "--query", "Arn"]).await;
    assert!(ok && identity.contains("assumed-role/ds-from-dss/carol"), "{identity}");
}

async fn a_person_who_is_not_allowed_gets_nothing(install: &Install<'_>, server: &DssServer) {
    server.apply(install, |spec| spec.allow[0].persons = vec!["bob".to_owned(), "carol".to_owned()]).await;
    let refused = install.until_ready_is("alice", "False/NotGranted").await;
    let message = &refused.status.unwrap().conditions[0].message;
    assert!(message.contains(&server.instance) && message.contains("\"alice\""), "{message}");
    eventually("her key is deleted in DSS", async || {
        let keys = server.dss.personal_keys();
        if keys.is_empty() { Ok(()) } else { Err(keys) }
    })
    .await;
    server.apply(install, |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;
}

async fn deleting_the_config_deletes_the_key_in_dss(install: &Install<'_>, server: &DssServer) {
    assert_eq!(server.dss.personal_keys().len(), 1);
    let alice = install.configs().get("alice").await.unwrap();
    assert_eq!(alice.metadata.finalizers.unwrap(), [format!("keyturn.dev/dss.{}", server.instance)]);
    install.configs().delete("alice", &DeleteParams::default()).await.unwrap();
    eventually("all of it is gone", async || {
        let config = install.configs().get_opt("alice").await.unwrap();
        let (secret, keys) = (install.secret("alice").await, server.dss.personal_keys());
        if config.is_none() && secret.is_none() && keys.is_empty() { Ok(()) } else { Err((config.is_some(), keys)) }
    })
    .await;
}
