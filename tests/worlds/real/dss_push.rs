//! `spec.push` on a real API server: code in DSS has the person's credential, by Dataiku's own
//! client, through a renewal, a hand-over, a suspension and the deletion.

use super::{
    dss::DssServer,
    ground::{eventually, run},
    install::Install,
};
use crate::fixtures::{delivers_key, pushes_secrets};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use keyturn::api::{CredentialProvider, names};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const PREFIX: &str = "AWS_";

/// What code in DSS sees as this user.
async fn code_in_dss(install: &Install<'_>, server: &DssServer, login: &str) -> Value {
    let key = server.dss.add_personal_key(login, "by hand").key;
    let mut command = install.in_pod(install.ground.at.bin.python.as_ref().unwrap(), std::path::Path::new("/nowhere"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worlds/real/in_dss.py"));
    command.args([server.url(), &key, PREFIX]).args(&install.aws.buckets);
    let said = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Waits until the condition `Pushed` has this status and reason.
pub(super) async fn until_pushed_is(install: &Install<'_>, name: &str, wanted: &str) {
    eventually(&format!("Pushed of {name} is {wanted}"), async || {
        let status = install.configs().get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let find = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
        let pushed = find("Pushed").ok_or("not said")?;
        let seen = format!("{}/{}", pushed.status, pushed.reason);
        let ready = find("Ready").map(|ready| format!("Ready {}: {}", ready.reason, ready.message));
        if seen == wanted { Ok(()) } else { Err(format!("{seen}: {}; {}", pushed.message, ready.unwrap_or_default())) }
    })
    .await;
}

/// Waits until the secrets of a login are the credential in the Secret of `alice`.
async fn until_dss_has_what_the_secret_has(install: &Install<'_>, server: &DssServer, login: &str) {
    eventually("DSS has what the Secret has", async || {
        let record = install.record("alice").await.filter(|record| record.withdrawn.is_none());
        let (wanted, there) = (record.map(|record| record.access_key_id), server.dss.secrets(login));
        let there = there.get("AWS_ACCESS_KEY_ID").cloned();
        if there.is_some() && there == wanted { Ok(()) } else { Err((wanted, there)) }
    })
    .await;
}

/// Waits until DSS has none of keyturn's secrets of a login, and leaves those of others alone.
async fn until_gone(server: &DssServer, login: &str) {
    eventually("keyturn's secrets are gone", async || {
        let names: Vec<String> = server.dss.secrets(login).into_keys().collect();
        if names.iter().any(|name| name.starts_with(PREFIX)) { Err(names) } else { Ok(()) }
    })
    .await;
    assert_eq!(server.dss.secrets(login).get("NOTE").map(String::as_str), Some("by hand"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn code_in_dss_has_the_person_s_credential_for_as_long_as_it_may() {
    let install = Install::scoped().await;
    let server = DssServer::start(&install).await;
    install.apply_grant(|spec| spec.providers = vec![CredentialProvider::Temporary, CredentialProvider::Default]).await;
    let operator = install.start().await;
    let [allowed, other] = &install.aws.buckets[..] else { panic!("two buckets") };
    let asks = |spec: &mut keyturn::api::AwsConfigSpec| {
        pushes_secrets(PREFIX)(spec);
        spec.role = Some(install.role("ds-analyst"));
        spec.dss.as_mut().unwrap().instance.clone_from(&server.instance);
    };

    // A cluster admin has to allow it.
    install.apply_config("alice", asks).await;
    install.until_ready_is("alice", "True/Issued").await;
    until_pushed_is(&install, "alice", "False/PushRefused").await;
    assert!(server.dss.secrets("alice").is_empty());
    server.apply(&install, |spec| spec.allow[0].push = true).await;
    until_pushed_is(&install, "alice", "True/Pushed").await;

    let saw = code_in_dss(&install, &server, "alice").await;
    assert_eq!(saw["key"], json!(install.record("alice").await.unwrap().access_key_id));
    assert_eq!(saw["listed"], json!({allowed: ["hello.txt"], other: "AccessDenied"}), "{saw}");
    assert_eq!(code_in_dss(&install, &server, "bob").await["names"], json!([]), "nobody else sees them");

    // A renewal replaces them and leaves alone what alice wrote by hand meanwhile.
    let renew = json!({"metadata": {"annotations": {names::RENEW: "now"}}});
    install.configs().patch("alice", &PatchParams::default(), &Patch::Merge(renew)).await.unwrap();
    let former = saw["key"].clone();
    eventually("DSS has the next session", async || {
        let key = server.dss.secrets("alice").remove("AWS_ACCESS_KEY_ID");
        if key.is_some() && json!(key) != former { Ok(()) } else { Err(key) }
    })
    .await;
    let saw = code_in_dss(&install, &server, "alice").await;
    let names =
        ["ACCESS_KEY_ID", "EXPIRATION", "SECRET_ACCESS_KEY", "SESSION_TOKEN"].map(|name| format!("{PREFIX}{name}"));
    let all: Vec<String> = names.into_iter().chain(["NOTE".to_owned()]).collect();
    assert_eq!(saw["names"], json!(all));
    assert_eq!((&saw["credentials"], &saw["properties"]), (&json!(["warehouse"]), &json!({"team": "fraud"})));
    assert_eq!(saw["listed"][allowed], json!(["hello.txt"]));

    // Another person: the secrets leave alice's account and come into bob's.
    install
        .apply_config("alice", |spec| {
            asks(spec);
            spec.person = Some("bob".to_owned());
        })
        .await;
    until_gone(&server, "alice").await;
    until_dss_has_what_the_secret_has(&install, &server, "bob").await;

    // Suspended, and back again.
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    let patch = Patch::Merge(suspend(true));
    install.configs().patch("alice", &PatchParams::default(), &patch).await.unwrap();
    until_gone(&server, "bob").await;
    let patch = Patch::Merge(suspend(false));
    install.configs().patch("alice", &PatchParams::default(), &patch).await.unwrap();
    until_dss_has_what_the_secret_has(&install, &server, "bob").await;
    until_pushed_is(&install, "alice", "True/Pushed").await;

    // Deleted: the finalizer goes with the secrets.
    install.configs().delete("alice", &DeleteParams::default()).await.unwrap();
    until_gone(&server, "bob").await;
    eventually("the config is gone", async || {
        let config = install.configs().get_opt("alice").await.unwrap();
        if config.is_none() { Ok(()) } else { Err("it is there") }
    })
    .await;

    a_key_is_the_person_s_own_credential_of_a_connection(&install, &server).await;
    let log = operator.log.clone();
    assert!(operator.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("pushed+secret") && !log.contains("dkuaps-Leaked"), "no secret is logged: {log}");
}

async fn a_key_is_the_person_s_own_credential_of_a_connection(install: &Install<'_>, server: &DssServer) {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("her-key".to_owned()),
            labels: Some([(names::SOURCE.to_owned(), names::SOURCE_OFFERED.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some(
            [("aws_access_key_id", "AKIAIOSFODNN7EXAMPLE"), ("aws_secret_access_key", "a/pushed+secret")]
                .map(|(name, value)| (name.to_owned(), ByteString(value.into())))
                .into(),
        ),
        ..Secret::default()
    };
    install.secrets().create(&PostParams::default(), &secret).await.unwrap();
    let with_key = |spec: &mut keyturn::api::AwsConfigSpec| {
        delivers_key("her-key")(spec);
        spec.person = Some("alice".to_owned());
        spec.dss = serde_json::from_value(json!({"instance": server.instance})).unwrap();
        spec.push = serde_json::from_value(json!({"dssConnection": {"connection": "lake"}})).unwrap();
    };
    install.apply_config("key", with_key).await;
    until_pushed_is(install, "key", "True/Pushed").await;
    let key = Some(("AKIAIOSFODNN7EXAMPLE".to_owned(), "a/pushed+secret".to_owned()));
    assert_eq!(server.dss.credential("alice", "lake"), key);
    assert_eq!(server.dss.credential("alice", "warehouse"), Some(("me".to_owned(), "my password".to_owned())));

    // A session has no place in it, and the API server says so.
    let refused = json!({
        "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig",
        "metadata": {"name": "session", "namespace": install.namespace},
        "spec": {
            "person": "alice", "role": install.role("ds-analyst"), "dss": {"instance": server.instance},
            "push": {"dssConnection": {"connection": "lake"}},
        },
    });
    let (ok, said) = install.kubectl_create(&refused, &[]);
    assert!(!ok && said.contains("no place for the session token"), "{said}");

    install.configs().delete("key", &DeleteParams::default()).await.unwrap();
    eventually("her credential is gone", async || {
        let left = server.dss.credential("alice", "lake");
        if left.is_none() { Ok(()) } else { Err(left.map(|(user, _)| user)) }
    })
    .await;
}
