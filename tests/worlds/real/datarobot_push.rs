//! `spec.push` into DataRobot on a real API server: DataRobot's own client uses the person's
//! credential by its ID, through renewals, a hand-over, a suspension and the deletion. The same
//! AwsConfig keeps its credential in a Secret and in user secrets of a DSS.

use super::{
    datarobot::{ACCOUNT, DataRobotServer},
    dss::DssServer,
    dss_push::until_pushed_is,
    ground::{eventually, run_with_input},
    injection::{create, get, pod, serving},
    install::Install,
};
use crate::fixtures::{pushes_secrets, robot};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use keyturn::api::{AwsConfigSpec, DataRobotInstance, DataRobotInstanceSpec, Pushed, names};
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::{Value, json};

const NAME: &str = "alice-s3";

/// The name of the `DataRobotInstance` of a release.
pub fn instance_of(install: &Install<'_>) -> String {
    format!("robot-{}", install.account)
}

/// Applies the `DataRobotInstance` of a release, changed as the test needs it, and the Secret with
/// the token of the shared account.
pub async fn apply(install: &Install<'_>, server: &DataRobotServer, change: impl FnOnce(&mut DataRobotInstanceSpec)) {
    put_token(install, &install.system, "datarobot-token", &server.token).await;
    let url = server.endpoint();
    let wanted = robot(&instance_of(install), &url, |spec| {
        spec.token_secret_ref.as_mut().unwrap().namespace.clone_from(&install.system);
        spec.allow[0].namespaces.names = vec![install.namespace.clone()];
        change(spec);
    });
    let instances: Api<DataRobotInstance> = Api::all(install.admin.clone());
    let admin = PatchParams::apply("cluster-admin").force();
    instances.patch(&instance_of(install), &admin, &Patch::Apply(&wanted)).await.unwrap();
}

/// Puts an API token into a Secret that is offered to keyturn.
pub async fn put_token(install: &Install<'_>, namespace: &str, name: &str, token: &str) {
    let labels = [(names::SOURCE.to_owned(), names::SOURCE_OFFERED.to_owned())].into();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some([("apiToken".to_owned(), ByteString(token.into()))].into()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(install.admin.clone(), namespace);
    let admin = PatchParams::apply("cluster-admin").force();
    secrets.patch(name, &admin, &Patch::Apply(&secret)).await.unwrap();
}

async fn recorded(install: &Install<'_>) -> Option<Pushed> {
    install.configs().get("alice").await.ok()?.status?.push?.data_robot
}

/// Waits until DataRobot holds the session of the Secret, and status and Secret have its ID.
/// Returns the ID.
async fn until_datarobot_has_the_session(install: &Install<'_>, server: &DataRobotServer) -> String {
    eventually("DataRobot has the session of the Secret", async || {
        let held = server.datarobot.credential(ACCOUNT, NAME);
        let session = install.record("alice").await.filter(|record| record.withdrawn.is_none());
        let session = session.map(|record| record.access_key_id);
        let (id, key) =
            (held.as_ref().map(|it| it.id.clone()), held.and_then(|it| it.triplet()).map(|it| it.access_key_id));
        let said = recorded(install).await.and_then(|it| it.credential_id);
        let in_secret = install.values("alice").await.get("DATAROBOT_CREDENTIAL_ID").cloned();
        match id {
            Some(id)
                if key.is_some() && key == session && said.as_ref() == Some(&id) && in_secret.as_ref() == Some(&id) =>
            {
                Ok(id)
            }
            id => Err((id, key, session, said, in_secret)),
        }
    })
    .await
}

/// The end of a batch prediction that reads and writes the first bucket by this ID, for a user of
/// the shared account.
async fn scored(install: &Install<'_>, server: &DataRobotServer, id: &str) -> Value {
    let bucket = &install.aws.buckets[0];
    let (source, target) = (format!("s3://{bucket}/in.csv"), format!("s3://{bucket}/out.csv"));
    server.user(Some(id), &["--score", &source, &target]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_datarobot_user_has_the_person_s_credential_by_its_id() {
    let install = Install::scoped().await;
    let (server, dss) = (DataRobotServer::start(install.ground).await, DssServer::start(&install).await);
    dss.apply(&install, |spec| spec.allow[0].push = true).await;
    install.apply_grant(|_| {}).await;
    let bucket = &install.aws.buckets[0];
    let mut put = install.aws_as_root(&install.account, &["s3", "cp", "-", &format!("s3://{bucket}/in.csv")]);
    let (ok, said) = run_with_input(&mut put, "amount,country\n10,FR\n");
    assert!(ok, "{said}");
    // What others keep in the account, made by DataRobot's own client.
    let theirs = ["--create-basic", "db", "me", "my password", "--create-oauth", "git", "a token", "another"];
    server.user(None, &theirs).await;
    let before = ["db", "git"].map(|name| server.datarobot.credential(ACCOUNT, name).unwrap());

    let serving = serving(&install).await;
    let asks = |spec: &mut AwsConfigSpec| {
        pushes_secrets("AWS_")(spec);
        spec.role = Some(install.role("ds-analyst"));
        spec.dss.as_mut().unwrap().instance.clone_from(&dss.instance);
        let data_robot = json!({"instance": instance_of(&install), "name": NAME});
        spec.push.as_mut().unwrap().data_robot = serde_json::from_value(data_robot).unwrap();
    };
    install.apply_config("alice", asks).await;
    install.until_ready_is("alice", "True/Issued").await;
    until_pushed_is(&install, "alice", "False/DataRobotInstanceMissing").await;
    apply(&install, &server, |_| {}).await;
    until_pushed_is(&install, "alice", "True/Pushed").await;

    let id = until_datarobot_has_the_session(&install, &server).await;
    let saw = scored(&install, &server, &id).await;
    assert_eq!(saw["score"]["status"], "COMPLETED", "{saw}");
    assert_eq!((&saw["credential"]["name"], &saw["credential"]["type"]), (&json!(NAME), &json!("s3")), "{saw}");
    let values = install.values("alice").await;
    assert!(!values.contains_key("DATAROBOT_API_TOKEN"), "the token of the instance is delivered to nobody");

    create(&install, &pod("scorer", &json!({"annotations": {"keyturn.dev/aws-config": "alice"}})));
    let stored = json!(get(&install, "scorer").await);
    let variables = stored["spec"]["containers"][0]["env"].as_array().unwrap();
    let id_of_pod = variables.iter().find(|variable| variable["name"] == "DATAROBOT_CREDENTIAL_ID").unwrap();
    let from = json!({"name": "alice-aws", "key": "DATAROBOT_CREDENTIAL_ID", "optional": true});
    assert_eq!(id_of_pod["valueFrom"]["secretKeyRef"], from);

    for row in ["a renewal", "another renewal"] {
        let former = install.record("alice").await.unwrap().access_key_id;
        let renew = json!({"metadata": {"annotations": {names::RENEW: row}}});
        install.configs().patch("alice", &PatchParams::default(), &Patch::Merge(renew)).await.unwrap();
        eventually(row, async || {
            let record = install.record("alice").await.ok_or("no Secret")?;
            if record.access_key_id == former { Err("the former session") } else { Ok(()) }
        })
        .await;
        assert_eq!(until_datarobot_has_the_session(&install, &server).await, id, "{row}: the ID stays");
        let saw = scored(&install, &server, &id).await;
        assert_eq!(saw["score"]["status"], "COMPLETED", "{row}: {saw}");
    }
    assert_eq!(server.datarobot.held(ACCOUNT, &id).len(), 3, "no mixture of two sessions in between");

    another_person_has_another_id(&install, &server, &id, asks).await;
    suspended_and_back(&install, &server).await;

    install.configs().delete("alice", &DeleteParams::default()).await.unwrap();
    eventually("the credential is deleted, and then the config", async || {
        let (entry, config) =
            (server.datarobot.credential(ACCOUNT, NAME), install.configs().get_opt("alice").await.unwrap());
        if entry.is_none() && config.is_none() { Ok(()) } else { Err((entry.map(|it| it.name), config.is_some())) }
    })
    .await;
    assert_eq!(["db", "git"].map(|name| server.datarobot.credential(ACCOUNT, name).unwrap()), before);
    assert!(serving.webhook.stop().await.success());
    let log = serving.operator.log();
    assert!(serving.operator.stop().await.success());
    assert!(!log.contains(&server.token), "the token is not logged: {log}");
}

async fn another_person_has_another_id(
    install: &Install<'_>,
    server: &DataRobotServer,
    id: &str,
    asks: impl FnOnce(&mut AwsConfigSpec),
) {
    let for_bob = |spec: &mut AwsConfigSpec| {
        asks(spec);
        spec.person = Some("bob".to_owned());
    };
    install.apply_config("alice", for_bob).await;
    eventually("alice's credential is gone", async || {
        let ids: Vec<String> = server.datarobot.credentials(ACCOUNT).into_iter().map(|it| it.id).collect();
        if ids.iter().any(|it| it == id) { Err(ids) } else { Ok(()) }
    })
    .await;
    let of_bob = until_datarobot_has_the_session(install, server).await;
    assert_ne!(of_bob, id);
    let saw = scored(install, server, &of_bob).await;
    assert_eq!(saw["score"]["status"], "COMPLETED", "{saw}");
}

async fn suspended_and_back(install: &Install<'_>, server: &DataRobotServer) {
    let id = recorded(install).await.unwrap().credential_id.unwrap();
    let suspend = |suspend: bool| Patch::Merge(json!({"spec": {"suspend": suspend}}));
    install.configs().patch("alice", &PatchParams::default(), &suspend(true)).await.unwrap();
    eventually("it is unusable", async || {
        let key = server.datarobot.holds(ACCOUNT, &id).map(|held| held.access_key_id);
        if key.as_ref().is_some_and(|key| key.contains("WITHDRAWN")) { Ok(()) } else { Err(key) }
    })
    .await;
    let saw = scored(install, server, &id).await;
    assert_eq!(saw["score"]["status"], "ABORTED", "{saw}");
    install.configs().patch("alice", &PatchParams::default(), &suspend(false)).await.unwrap();
    assert_eq!(until_datarobot_has_the_session(install, server).await, id, "the ID stays");
    let saw = scored(install, server, &id).await;
    assert_eq!(saw["score"]["status"], "COMPLETED", "{saw}");
}
