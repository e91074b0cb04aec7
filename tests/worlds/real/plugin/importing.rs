//! Imports from recorded answers and from objects of the cluster, applied.

use super::{Install, Plugin};
use crate::real::ground::{run, run_with_input};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use serde_json::{from_value, json};
use std::fs;

/// Answers of Trifacta's API (docs.trifacta.com: people r064, awsConfigs r064, awsRoles r068).
/// ROLE stands for the beginning of the ARNs of the install's account.
const PEOPLE: &str = include_str!("trifacta/people.json");
const CONFIGS: &str = include_str!("trifacta/awsConfigs.json");
const ROLES: &str = include_str!("trifacta/awsRoles.json");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn every_person_of_trifacta_has_after_the_import_what_they_had() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    let plugin = Plugin::of(&install);
    let mut arguments = vec!["import".to_owned(), "trifacta".to_owned()];
    for (name, text) in [("people.json", PEOPLE), ("awsConfigs.json", CONFIGS), ("awsRoles.json", ROLES)] {
        let path = install.dir.join(name);
        fs::write(&path, text.replace("ROLE", &install.role(""))).unwrap();
        arguments.push(path.to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (ended, out, err) = plugin.says(None, &[], &arguments);
    assert_eq!(ended, Some(0), "{err}");
    assert!(out.contains("(awsConfig 15): nobody has it any more"), "{out}");

    // Other tests of the cluster import, too.
    let out = out.replace("name: imported-", &format!("name: imported-{}-", install.account));
    let (applied, said) = run_with_input(install.ground.kubectl().args(["apply", "-f", "-"]), &out);
    assert!(applied, "{said}");
    let rows = [
        ("alice-example-com", "True/Issued"),
        ("bob-example-com", "False/Suspended"),
        ("carol-example-com", "False/KeySecretInvalid"),
    ];
    for (name, ready) in rows {
        install.until_ready_is(name, ready).await;
    }
    let record = install.record("alice-example-com").await.unwrap();
    assert_eq!((record.person.as_str(), record.role), ("alice@example.com", install.role("ds-analyst")));

    // Carol's key is replaced by a role, as Trifacta's guide does it.
    let role = install.role("ds-other");
    let (ended, out, err) = plugin.says(None, &[], &["migrate", "carol-example-com", "--role", &role]);
    assert!(ended == Some(0) && out.contains("nothing was changed; --apply changes it"), "{out}{err}");
    install.apply_grant(|spec| spec.roles = vec![role.clone()]).await;
    let (ended, out, err) = plugin.says(None, &[], &["migrate", "carol-example-com", "--role", &role, "--apply"]);
    assert!(ended == Some(0), "{out}{err}");
    install.until_ready_is("carol-example-com", "True/Issued").await;
    let grants = install.grants();
    for grant in grants.list(&ListParams::default()).await.unwrap().items {
        let name = grant.metadata.name.unwrap_or_default();
        if name.starts_with(&format!("imported-{}-", install.account)) {
            grants.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
        }
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn an_imported_key_is_delivered_once_its_owner_offers_it() {
    let install = Install::scoped().await;
    let operator = install.start().await;
    install
        .apply_grant(|spec| {
            spec.providers = vec![keyturn::api::CredentialProvider::Default];
            spec.roles = vec![];
        })
        .await;
    let hidden = "notToBeShown0123456789notToBeShown012345";
    let secret = json!({"metadata": {"name": "carol"},
        "stringData": {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": hidden}});
    let secret: Secret = from_value(secret).unwrap();
    install.secrets().create(&PostParams::default(), &secret).await.unwrap();
    let plugin = Plugin::of(&install);

    let (ended, out, err) = plugin.says(None, &[], &["import", "keys", "carol", "--no-grants"]);
    assert!(ended == Some(0) && !out.contains(hidden) && !out.contains("AKIA"), "{out}{err}");
    let (applied, said) = run_with_input(install.ground.kubectl().args(["apply", "-f", "-"]), &out);
    assert!(applied, "{said}");
    install.until_ready_is("carol", "False/SecretNotOffered").await;
    let label = ["-n", install.namespace.as_str(), "label", "secret", "carol", "keyturn.dev/source=true"];
    assert!(out.contains(&format!("kubectl {}", label.join(" "))), "{out}");
    run(install.ground.kubectl().args(label));
    install.until_ready_is("carol", "True/Issued").await;
    assert_eq!(install.values("carol").await["AWS_ACCESS_KEY_ID"], "AKIAIOSFODNN7EXAMPLE");

    for other in ["zalando", "external-secrets"] {
        let (ended, _, err) = plugin.says(None, &[], &["import", other]);
        assert!(ended == Some(1) && err.contains("custom resource is not installed"), "{other}: {err}");
    }
    operator.stop().await;
}
