//! The fields by which the API server finds objects among many (`kubectl get --field-selector`).

use super::{ground::eventually, install::Install};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Resource},
};
use serde::de::DeserializeOwned;

/// The names of what the API server selects, sorted.
async fn found<K>(objects: &Api<K>, selector: &str) -> Vec<String>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let list = objects.list(&ListParams::default().fields(selector)).await;
    let mut names: Vec<String> =
        list.unwrap_or_else(|error| panic!("{selector}: {error}")).iter().map(K::name_any).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn the_api_server_selects_objects_by_their_fields() {
    let install = Install::scoped().await;
    install.apply_grant(|_| {}).await;
    let operator = install.start().await;
    install.apply_config("alice", |_| {}).await;
    install.apply_config("mallory", |spec| spec.role = Some(install.role("admin"))).await;
    let alice = install.until_ready_is("alice", "True/Issued").await;
    install.until_ready_is("mallory", "False/NotGranted").await;
    let key = alice.status.unwrap().access_key_id.unwrap();
    let role = install.role("ds-analyst");

    for (selector, expected) in [
        ("spec.mode=User".to_owned(), &["alice", "mallory"][..]),
        ("spec.person=alice".to_owned(), &["alice"]),
        ("spec.person=bob".to_owned(), &[]),
        ("spec.credentialProvider=temporary".to_owned(), &["alice", "mallory"]),
        ("spec.credentialProvider=default".to_owned(), &[]),
        ("spec.dss.instance=dss".to_owned(), &[]),
        (format!("status.accessKeyId={key}"), &["alice"]),
        (format!("status.activeRole.role={role}"), &["alice"]),
        ("status.trouble.word=NotGranted".to_owned(), &["mallory"]),
        ("status.trouble.word!=NotGranted,spec.mode=User".to_owned(), &["alice"]),
    ] {
        assert_eq!(found(&install.configs(), &selector).await, expected, "{selector}");
    }
    // The AwsRole trails behind the credential.
    eventually("alice has her AwsRole", async || {
        let roles = found(&install.roles(), "spec.awsConfigRef.name=alice").await;
        if roles.is_empty() { Err(roles) } else { Ok(()) }
    })
    .await;
    for selector in [format!("spec.role={role}"), "spec.awsConfigRef.name=alice".to_owned()] {
        let roles = found(&install.roles(), &selector).await;
        assert!(matches!(&roles[..], [name] if name.starts_with("alice-")), "{selector}: {roles:?}");
    }
    assert!(found(&install.grants(), "spec.effect=Allow").await.contains(&install.namespace));
    assert!(!found(&install.grants(), "spec.effect=Deny").await.contains(&install.namespace));
    operator.stop().await;
}
